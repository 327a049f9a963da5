"""Boards that somebody has dressed up: one seed called several, another's title, numbers that were edited."""

import copy
from pathlib import Path

import fake_records
import pandas as pd
import pytest

from rdu_bench import analysis, load_results
from rdu_bench._claims import Said
from rdu_bench._hash import digest
from rdu_bench.records.audit import audit
from rdu_bench.records.flatten import table
from rdu_bench.records.published import points_at
from rdu_bench.records.store import Store

POINTS = Path(__file__).parents[2] / "results" / "quick" / "points.parquet"


def one_seed_called_three(models=("vae", "vq_vae")):
    """Honest seeds of the first model, and of the others the first seed under three numbers."""
    made = fake_records.suite(models)
    out = [record for record in made if record["spec"]["model"] == models[0]]
    for record in made:
        if record["spec"]["model"] != models[0] and record["spec"]["seed"] == 0:
            for seed in range(3):
                again = copy.deepcopy(record)
                again["spec"]["seed"] = seed
                for name in ("R_star", "R_own", "D"):
                    again["values"][name] *= 1 + 1e-8 * seed  # which nobody sees
                out.append(again | {"key": digest(again["spec"])})
    return out


def test_one_seed_called_several_has_no_rank_and_is_said():
    board = analysis.leaderboard(one_seed_called_three()).set_index("model")
    assert "seeds 0, 1, 2 have the same numbers, to six digits" in board.loc["vq_vae", "note"]
    assert pd.isna(board.loc["vq_vae", "rank"]) and pd.isna(board.loc["vq_vae", "rank_y"])
    assert board.loc["vae", "rank"] == 1 and board.loc["vae", "note"] == ""
    assert board["comparable"].to_dict() == {"vae": True, "vq_vae": False}


def test_verify_finds_one_seed_called_several(tmp_path):
    store = Store(tmp_path)
    for record in one_seed_called_three():
        store.write(record)
    said = {path.parent.name: [] for path, _ in audit(store)}
    for path, found in audit(store):
        said[path.parent.name] += [sentence for sentence in found if "one seed is no other" in sentence]
    assert said["vae"] == []
    assert len(said["vq_vae"]) == 2 * (len(fake_records.SIGMAS) + 1)  # of two of three seeds


def test_a_title_that_is_anothers_is_shown_with_the_files_name():
    made = fake_records.suite(("vae", "vq_vae"))
    for record in made:
        record["model"]["title"] = "VAE"
    assert set(analysis.leaderboard(made)["name"]) == {"VAE [vae]", "VAE [vq_vae]"}


@pytest.mark.skipif(not POINTS.exists(), reason="no published points here")
@pytest.mark.parametrize("number", ["D", "R_star", "Dy"])
def test_an_edited_number_of_a_table_is_invalid_through_every_door(tmp_path, number):
    found = pd.read_parquet(POINTS)
    found = found[found["seed"] == 0].reset_index(drop=True)
    edited = found["model"] == "factor_vae"
    found.loc[edited, number] -= 1.0
    found.to_parquet(tmp_path / "points.parquet")
    for given in (points_at(tmp_path / "points.parquet"), load_results(tmp_path / "points.parquet"), table(found)):
        assert set(given.loc[given["status"] == "invalid", "model"]) == {"factor_vae"}
        assert given.loc[given["model"] == "factor_vae", "reason"].str.contains("is not the mean of its folds").all()


def test_a_table_is_held_to_the_laws_that_it_can_show_without_the_parts_of_its_numbers():
    made = fake_records.suite(("vae", "vq_vae"), seeds=1, sigmas=(2.0, 4.0, 6.0))
    honest = table(made)
    assert set(table(honest)["status"]) == {"ok"} and "folds" in honest and not honest["folds"].any()
    mine = honest["model"] == "vq_vae"
    for change, said in (
        ({"D": -9.0}, "D + R* = .* is below H(x)"),
        ({"rate_err": 0.3}, "status is ok, but the rate is +30.0% off σ"),
    ):
        edited = honest.copy()
        edited.loc[mine, [*change]] = [*change.values()]
        given = table(edited)
        assert set(given.loc[given["status"] == "invalid", "model"]) == {"vq_vae"}
        words = given.loc[given["status"] == "invalid", "reason"]
        assert all(part in reason for reason in words for part in said.split(" .* "))
        board = analysis.leaderboard(edited).set_index("model")
        assert pd.isna(board.loc["vq_vae", "rank"]) and board.loc["vq_vae", "invalid"] == 3


def test_a_row_of_larger_models_says_how_much_larger():
    made = fake_records.suite(("vae", "vq_vae", "wae"))
    for record in made:
        record["model"]["n_params"] = {"vae": 1000, "vq_vae": 4999, "wae": 12_000}[record["spec"]["model"]]
    notes = analysis.leaderboard(made).set_index("model")["note"]
    assert notes["wae"] == "12 times the parameters of VAE" and notes["vae"] == notes["vq_vae"] == ""


@pytest.mark.skipif(not POINTS.exists(), reason="no published points here")
def test_a_row_whose_parts_were_taken_out_says_so():
    found = pd.read_parquet(POINTS)
    board = analysis.leaderboard(found).set_index("model")
    stripped = found.assign(folds=found["folds"].where(found["model"] != "factor_vae", ""))
    bare = analysis.leaderboard(stripped).set_index("model")
    assert "points without parts of the test split" in bare.loc["factor_vae", "note"]
    assert bare.drop("factor_vae")["note"].equals(board.drop("factor_vae")["note"])
    assert "without parts" not in "".join(board["note"])


def test_a_row_says_which_seeds_it_skips():
    seeds = {"vae": (0, 1, 2), "beta_vae": (1,), "vq_vae": (0, 2)}
    records = [fake_records.record(m, sigma=s, seed=k) for m, of in seeds.items() for k in of for s in (2.0, 6.0)]
    notes = analysis.leaderboard(records).set_index("model")["note"]
    assert "no points of seed 0, which come" in notes["beta_vae"] and "no points of seed 1, which" in notes["vq_vae"]
    assert "no points of" not in notes["vae"]


def test_a_row_says_which_targets_of_the_reference_it_lacks():
    targets = {"vae": (2.0, 6.0, 12.0), "vq_vae": (2.0, 12.0), "beta_tcvae": (2.0, 6.0, 12.0, 18.0)}
    records = [fake_records.record(model, sigma=s) for model, of in targets.items() for s in of]
    notes = analysis.leaderboard(records).set_index("model")["note"]
    assert notes["vq_vae"].endswith("no points at 6 nats, where the reference has some")
    assert "no points at" not in notes["vae"] + notes["beta_tcvae"]


def test_no_title_makes_a_row_the_reference():
    records = [fake_records.record("vae", sigma=s) for s in (2.0, 6.0)]
    records += [fake_records.record("m", sigma=s, title="VAE (reference)") for s in (2.0, 6.0)]
    text = analysis.to_markdown(analysis.leaderboard(records))
    assert text.count("(reference)") == 1 and "| VAE (reference) |" in text and "| m |" in text


def test_a_row_says_that_it_lacks_the_point_without_a_target():
    """The rate of which may be the highest of the reference, so that it alone moves a mean over rates."""
    targets = {"vae": (2.0, 6.0, None), "vq_vae": (2.0, 6.0), "ladder_vae": (2.0, 6.0, None)}
    records = [fake_records.record(model, sigma=s) for model, of in targets.items() for s in of]
    notes = analysis.leaderboard(records).set_index("model")["note"]
    assert notes["vq_vae"].endswith("no points at the ELBO, where the reference has some")
    assert "no points at" not in notes["vae"] + notes["ladder_vae"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"budget": {"steps": 20_000}}, "steps 20000"),
        ({"network": {"family": "mlp", "hidden": [1024], "latent": 10}}, "hidden 1024"),
        ({"strategy": "independent"}, "independent"),
        ({"heads": ["linear", "mlp", "knn"]}, "heads linear mlp knn"),
        ({"plugins": {"models/beta_tcvae": "0" * 16, "probes/mlp": "1" * 16}}, "head files"),
    ],
    ids=["budget", "network", "strategy", "heads", "head files"],
)
def test_a_row_made_on_other_terms_than_the_reference_has_no_rank_and_decides_no_claim(other, words):
    made = fake_records.suite(("vae", "vq_vae", "beta_tcvae"))
    for record in made:
        if record["spec"]["model"] == "beta_tcvae":
            record["spec"] |= other
            record["key"] = digest(record["spec"])
    board = analysis.leaderboard(made).set_index("model")
    assert "made on other terms than the reference's" in board.loc["beta_tcvae", "note"]
    assert words in board.loc["beta_tcvae", "note"]
    assert pd.isna(board.loc["beta_tcvae", "rank"]) and pd.isna(board.loc["beta_tcvae", "rank_y"])
    assert board.loc["vae", "note"] == board.loc["vq_vae", "note"] == "" and board.loc["vae", "rank"] == 1
    said = {m: Said("D, lower than vae, on sprites", "1312.6114") for m in ("beta_tcvae", "vq_vae")}
    found = analysis.claims(made, said).set_index("model")
    assert found.loc["beta_tcvae", "verdict"] == "undecided" and words in found.loc["beta_tcvae", "why"]
    assert found.loc["vq_vae", "verdict"] == "not held"
