"""Figures as files: what is in them, and who shares a panel."""

import io
import itertools

import fake_records
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from rdu_bench.report import render
from rdu_bench.report.context import gather
from rdu_bench.report.figures import of_few_colours
from rdu_bench.report.figures.chart import chart
from rdu_bench.report.figures.planes import plane
from rdu_bench.report.figures.sheet import reach
from rdu_bench.report.plots import CROWD, FEW, beyond, panels
from rdu_bench.report.style import Palette


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
@pytest.mark.parametrize("plane", ["D", "Dy"])
def test_every_figure_is_there_in_every_format(page, plane, kind):
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    for dataset in ("sprites", "digits"):
        content = (page.parent / "figures" / f"{dataset}-R-{plane}.{kind}").read_bytes()
        assert content.startswith(start) and len(content) > 5000


def test_figures_name_axes_units_and_directions(page):
    svg = (page.parent / "figures" / "sprites-R-D.svg").read_text(encoding="utf-8")
    for words in ("R* (nats)", "≥ I(x; z)", "D (nats)", "≥ H(x|z)", "infeasible", "no code", "trained on labels"):
        assert words in svg


def test_a_png_of_few_colours_is_the_same_picture_in_fewer_bytes():
    """Every model keeps its colour, and edges their grey, within an eighth of what can be told."""
    names = [f"m{i}" for i in range(36)]
    whole, figure = io.BytesIO(), Figure()
    for i, name in enumerate(names):
        figure.gca().plot([0, 1, 2], [i, 2 * i, 9], "o-", color=Palette(names, "m0")[name].colour, label=name)
    figure.legend()
    figure.savefig(whole, format="png")
    few = of_few_colours(whole)
    before, after = (np.asarray(Image.open(io.BytesIO(b)).convert("RGB"), int) for b in (whole.getvalue(), few))
    assert np.abs(before - after).max() <= 32 and len(few) < 0.7 * len(whole.getvalue())


def rows(names, labels=(), autoregressive=()):
    """What a plane is drawn from, as far as the division into panels looks."""
    given = {"labels": ["required" if n in labels else "none" for n in names], "name": list(names)}
    return pd.DataFrame({**given, "autoregressive": [n in autoregressive for n in names]})


def test_a_few_models_share_a_panel():
    names = [f"m{i:02}" for i in range(CROWD)]
    [(_, one), (title, apart)] = panels([*names, "ar"], rows([*names, "ar"], autoregressive=["ar"]), "m00")
    assert one == tuple(names) and apart == ("ar",) and "autoregressive" in title


def test_a_crowd_is_divided_with_the_reference_everywhere_and_nobody_lost():
    names = [f"m{i:02}" for i in range(30)]
    seen = names[-3:]
    parts = panels(names, rows(names, labels=seen), "m00")
    assert all("m00" in of and len(of) <= FEW + 1 for _, of in parts)
    assert sorted(n for _, of in parts for n in of if n != "m00") == names[1:]
    assert [of[1:] for title, of in parts if "labels" in title] == [tuple(seen)]


@pytest.mark.parametrize("n", [5, 36, 300])
def test_no_two_models_have_one_colour_and_neighbours_differ_in_hue(n):
    names = [f"m{i}" for i in range(n)]
    looks = [Palette(names, "m0")[name] for name in names]
    assert len({look.colour for look in looks}) == n
    assert all(a.marker != b.marker for a, b in itertools.pairwise(looks[1:]))
    assert all(len(look.colour) == 7 and int(look.colour[1:], 16) >= 0 for look in looks)


def test_a_model_looks_the_same_on_every_data_set(page, told):
    sets = told(page)["sets"]
    looks = [
        {look["name"]: (look["colour"], look["symbol"]) for look in sets[s]["looks"]} for s in ("sprites", "digits")
    ]
    shared = looks[0].keys() & looks[1].keys()
    assert len(shared) == 8 and all(looks[0][name] == looks[1][name] for name in shared)


def test_the_map_has_the_reference_at_the_origin_and_says_which_way_is_better(page, told):
    own = told(page)["maps"]["sprites"]
    at = {told(page)["sets"]["sprites"]["looks"][p["model"]]["name"]: p for p in own["points"]}
    assert at["VAE"]["reference"] and at["VAE"]["x"][0] == at["VAE"]["y"][0] == 0
    assert at["β-TCVAE"]["x"][0] > 0 > at["VQ-VAE"]["x"][0]  # it needs .93 of the rate, the other 1.15 times as much
    assert at["β-TCVAE"]["x"][1] <= at["β-TCVAE"]["x"][0] <= at["β-TCVAE"]["x"][2]
    assert "PixelVAE" in own["without"]
    svg = (page.parent / "figures" / "map-sprites.svg").read_text(encoding="utf-8")
    for words in ("rate saved at equal distortion", "better →", "95 % intervals", "against VAE"):
        assert words in svg


@pytest.mark.parametrize("scale", [1.0, 0.02, 20.0])
def test_the_words_of_the_map_lie_inside_it_and_apart_from_the_ticks(tmp_path, scale):
    context = gather(fake_records.suite(("vae", "beta_tcvae", "vq_vae"), seeds=3), tmp_path, None, None)
    context.board[["dIV", "dIV_low", "dIV_high"]] *= scale
    figure = chart(context, "sprites")
    FigureCanvasAgg(figure).draw()
    [ax] = figure.axes
    words, ticks = ax.yaxis.label.get_window_extent(), [tick.get_window_extent() for tick in ax.get_yticklabels()]
    assert 0 <= words.x0 < words.x1 <= min(tick.x0 for tick in ticks) and ticks[-1].x1 <= ax.bbox.x0


@pytest.mark.parametrize("name", ["D", "Dy"])
def test_a_curve_fills_its_panel_however_far_to_the_right_rates_go(tmp_path, name):
    """Seen with H(y) of 1.1 nats and rates up to 46: what no code can have reaches far below the points, as did room
    above them."""
    records = fake_records.suite(("vae", "beta_tcvae"), seeds=1)
    context = gather(records, tmp_path, None, None)
    figure = plane(context, "sprites", name)
    FigureCanvasAgg(figure).draw()
    ax = figure.axes[0]
    low, high = ax.get_ylim()
    losses = context.planes[name]["loss"].dropna()
    assert ax.get_xlim()[1] > 20 and low <= losses.min() and losses.max() <= high
    assert high - losses.max() < 0.15 * (high - low) and losses.min() - low < 0.15 * (high - low)


def test_one_seed_has_no_bars_and_the_map_says_so(tmp_path, told):
    drawn = render(fake_records.suite(("vae", "beta_tcvae", "vq_vae"), seeds=1), tmp_path, formats=("svg",))
    assert all(p["x"][1:] == [None, None] for p in told(drawn)["maps"]["sprites"]["points"])
    assert "no intervals" in (tmp_path / "figures" / "map-sprites.svg").read_text(encoding="utf-8")
    assert "One seed: there are no intervals" in drawn.read_text(encoding="utf-8")


def test_a_sweep_beside_targets_is_not_on_the_map_and_in_no_sentence(tmp_path, told):
    swept = [fake_records.record("beta_vae", seed=s, sigma=6.0 / b, scale=0.2) for s in (0, 1) for b in (0.5, 1.0, 4.0)]
    for r, b in zip(swept, [0.5, 1.0, 4.0] * 2, strict=True):
        r["spec"] |= {"sigma": None, "params": {"beta": b}, "sweep": ["beta"]}
        r["control"]["sigma"] = None
    models = ("vae", "beta_tcvae", "vq_vae")
    page = render([*fake_records.suite(models=models, seeds=2), *swept], tmp_path, formats=("png",))
    text = page.read_text("utf-8")
    found = told(page)["maps"]["sprites"]
    assert len(found["points"]) == 3 and f"rates alone: {swept[0]['model']['title']}." in text
    answer = text.split('id="answer"')[1].split("<figure>")[0]
    assert "TCVAE" in answer and swept[0]["model"]["title"] not in answer


def test_formats_are_those_that_were_asked_for(tmp_path):
    render(fake_records.suite(("vae",), seeds=1), tmp_path, formats=("png",))
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png"}
    with pytest.raises(ValueError, match="png, svg, pdf; not as 'gif'"):
        render(fake_records.suite(("vae",), seeds=1), tmp_path, formats=("gif",))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_scores_have_a_figure_in_every_format(whole, kind):
    content = (whole.parent / "figures" / f"sprites-scores.{kind}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert not (whole.parent / "figures" / f"digits-scores.{kind}").exists()


def test_the_figure_of_scores_says_what_they_are(whole):
    svg = (whole.parent / "figures" / "sprites-scores.svg").read_text(encoding="utf-8")
    for words in (
        "MIG",
        "DCI disentanglement",
        "SAP",
        "IRS",
        "robust",
        "sampled z",
        "estimates, no bounds",
        "≥ I(x; z)",
    ):
        assert words in svg


def test_what_lies_beyond_is_of_few_models_has_no_target_and_is_thrice_as_far_as_all_that_have():
    def far(*points):
        return beyond(pd.DataFrame(points, columns=["name", "sigma", "R_star"])).tolist()

    three = [("a", 6.0, 6.0), ("b", 6.0, 5.0), ("c", 6.0, 4.0)]
    assert far(*three, ("a", None, 18.1), ("b", None, 17.9)) == [False, False, False, True, False]
    assert far(*three, ("a", None, 60.0), ("b", None, 50.0)) == [False] * 5  # where most of them go
    assert far(("a", 6.0, 60.0), ("b", 1.0, 1.0), ("c", 1.0, 1.0)) == [False] * 3  # rates that were asked for
    assert far(("a", None, 60.0), ("b", None, 1.0), ("c", None, 1.0)) == [False] * 3  # of sweeps
    assert far() == []


def test_a_model_of_several_points_beyond_all_targets_is_named_once():
    rows = [("a", 6.0, 6.0), ("b", 6.0, 5.0), ("c", 6.0, 4.0), ("b", None, 90.2), ("b", None, 76.4)]
    ax = Figure().subplots()
    reach(ax, pd.DataFrame(rows, columns=["name", "sigma", "R_star"]))
    assert [text.get_text() for text in ax.texts] == ["→ b at 76 to 90"] and ax.get_xlim() == (0, pytest.approx(6.3))


def test_scores_of_a_crowd_have_a_line_of_panels_for_a_few_models_each(tmp_path):
    """Every model is named once, the reference in each line, and every panel goes as far as targets do."""
    names = [f"m{i:02}" for i in range(CROWD + 3)]
    records = [
        fake_records.rich(fake_records.record(name, sigma=sigma, title=f"Model {name}"))
        for name in ("vae", *names)
        for sigma in (2.0, 6.0)
    ]
    far = fake_records.rich(fake_records.costly("m03", title="Model m03"))
    said = f"→ Model m03 at {far['values']['R_star']:.0f}"
    render([*records, far], tmp_path, formats=("svg",))
    svg = (tmp_path / "figures" / "sprites-scores.svg").read_text("utf-8")
    lines = svg.count(">Model vae<")
    assert lines == 3 and [svg.count(f">Model {name}<") for name in names] == [1] * len(names)
    assert svg.count(">MIG<") == svg.count(">IRS<") == lines and svg.count(">the others<") == lines
    assert svg.count(said) == 8 * lines and ">80<" not in svg
    plane = (tmp_path / "figures" / "sprites-R-D.svg").read_text("utf-8")
    assert plane.count(said) == lines
