"""What a page and its figures show of sequences: frames, blocks, swaps, and what was predicted."""

import math

import fake_records
import numpy as np
import pytest

from rdu_bench.analysis import structure
from rdu_bench.report import render
from rdu_bench.report.pictures import page as sheets

T = 6
TOLD = {"static": {"shape": 1.0, "x": 0.1}, "dynamic": {"shape": 0.2, "x": 1.5}}


def sequence(model, sigma, predicts=False):
    """A record of sequences whose code has two blocks; of a predictor, with D of the frames to come."""
    record = fake_records.record(model, sigma=sigma)
    record["data"]["shape"] = [T, 1, 16, 16]
    size = T * 256
    record["values"] |= {"D_bits_per_dim": record["values"]["D"] / size / math.log(2)}
    record["structure"] = {
        "blocks": {
            block: {
                "R": sigma / 2,
                "R_se": 0.01,
                "factors": {
                    f: {"Dy": 2.0 - iv, "Dy_se": 0.01, "Hy_V": 2.0, "IV": iv, "IV_se": 0.01} for f, iv in told.items()
                },
            }
            for block, told in TOLD.items()
        }
    }
    if predicts:
        record["values"] |= {"D_pred": 90.0 - 5 * sigma, "D_pred_se": 0.5, "D_pred_null": 120.0, "H_pred": 7.5}
    return record


@pytest.fixture(scope="module")
def records():
    return [sequence(m, s, predicts=m == "factor_vae") for m in ("vae", "factor_vae") for s in (2.0, 4.0, 6.0)]


def test_blocks_and_predictions_are_tables(records):
    tables = structure(records)
    blocks = tables["blocks"]
    mine = blocks[(blocks["model"] == "vae") & (blocks["sigma"] == 4.0)].set_index(["block", "factor"])
    assert mine.loc[("static", "shape"), "IV"] == 1.0 and mine.loc[("dynamic", "x"), "R"] == 2.0
    assert mine.loc[("static", "shape"), "gap"] == pytest.approx(0.4)
    assert mine.loc[("dynamic", "x"), "gap"] == pytest.approx(0.7)
    found = tables["prediction"]
    assert set(found["model"]) == {"factor_vae"} and found["D_pred"].tolist() == [80.0, 70.0, 60.0]


def test_the_page_has_them_and_the_figures_an_axis_a_frame(records, tmp_path):
    text = render(records, tmp_path, formats=("svg",)).read_text("utf-8")
    for words in ("Frames to come", "D_pred ≥ H(x_f|z)", "Every block of a code by itself", "I_V shape ≤ I(y; z)"):
        assert words in text
    [figure] = (tmp_path / "figures").glob("*-prediction.svg")
    assert "frames to come" in figure.read_text("utf-8") and "all that is to come" in figure.read_text("utf-8")
    [plane] = (tmp_path / "figures").glob("*-R-D.svg")
    assert f"above R*/{T}, a frame" in plane.read_text("utf-8")


def test_of_images_there_is_neither(tmp_path):
    render([fake_records.record("vae", sigma=s) for s in (2.0, 4.0)], tmp_path, formats=("svg",))
    assert not list((tmp_path / "figures").glob("*-prediction.svg"))
    [plane] = (tmp_path / "figures").glob("*-R-D.svg")
    assert ", a frame)" not in plane.read_text("utf-8")


def test_a_sheet_of_sequences_has_a_row_a_sequence_and_swaps_their_own():
    frames = np.zeros((8, T, 3, 4, 4), np.uint8)
    arrays = {f"pictures/{name}": frames + i for i, name in enumerate(("originals", "swaps/static", "swaps/dynamic"))}
    told, images = sheets({"pictures": {}}, arrays)
    assert set(told) >= {"originals", "swaps/static", "swaps/dynamic"} and len(images) == 3
    assert told["swaps/static"] | {"image": 0} == {"image": 0, "rows": 8, "columns": T, "size": [4, 4]}
