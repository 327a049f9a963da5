"""A model of a library goes through a run, its records, the check and an encoder under its name."""

import json

import numpy as np
import pytest

import rdu_bench
from rdu_bench import _libraries

SUITE = """
models = ["vae", { name = "pythae:BetaTCVAE", params = { beta = 1.5 }, variant = "mild" }]
elbo = false
heads = ["linear"]

[budget]
base = "smoke"
steps = 40

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [3]
"""


@pytest.mark.slow
def test_a_suite_has_it_on_its_board_and_in_its_records(tmp_path, command):
    pytest.importorskip("pythae.models")
    (tmp_path / "mine.toml").write_text(SUITE, encoding="utf-8")
    models = [part for name in ("vae", "pythae:*", "pythae:AE") for part in ("--model", name)]
    done = command("run", "--suite", "mine.toml", *models, "-j", "0", "--keep-models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "runs" / "mine"
    records = [json.loads(path.read_text()) for path in folder.glob("records/*/*/*.json")]
    found = {(r["spec"]["model"], r["spec"]["variant"]): r for r in records}
    assert set(found) == {("vae", ""), ("pythae:BetaTCVAE", "mild"), ("pythae:AE", "")}
    record = found["pythae:BetaTCVAE", "mild"]
    assert record["spec"]["params"] == {"beta": 1.5}
    assert record["spec"]["plugins"]["models/pythae:BetaTCVAE"] == _libraries.digest("pythae")
    assert record["provenance"]["libraries"] == {"pythae": _libraries.version("pythae")}
    assert "libraries" not in found["vae", ""]["provenance"]
    assert (
        record["model"]["title"] == "β-TCVAE (Pythae)" and found["pythae:AE", ""]["model"]["channel"] == "trained-noise"
    )
    board = rdu_bench.leaderboard(rdu_bench.load_results(folder))
    assert {"pythae:BetaTCVAE", "pythae:AE"} <= set(rdu_bench.load_results(folder)["model"]) and len(board) > 0
    model = rdu_bench.load_model(record, folder)
    assert type(model).__name__ == "BetaTCVAE"


def test_the_command_line_says_what_a_name_is(command, tmp_path):
    pytest.importorskip("pythae.models")
    done = command("models", "pythae:wae-mmd", cwd=tmp_path)
    assert done.returncode != 0 and "Did you mean 'pythae:WAE_MMD'" in done.stderr
    done = command("models", "pythae:WAE-MMD", cwd=tmp_path)
    assert "1711.01558" in done.stdout and "pythae:WAE_MMD" in done.stdout and "noise channel" in done.stdout


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_encoder_takes_a_name_and_is_kept(tmp_path):
    pytest.importorskip("pythae.models")
    X = (np.random.default_rng(0).random((64, 12)) < 0.5).astype(np.float32)
    made = rdu_bench.Encoder(
        "pythae:BetaVAE", params={"beta": 2.0}, latent=2, hidden=(8,), steps=3, batch=16, sigma=None
    )
    Z = made.fit_transform(X)
    kept = rdu_bench.Encoder.load(made.save(tmp_path / "kept.safetensors"))
    assert np.array_equal(kept.transform(X), Z) and kept.model_.theirs.beta == 2.0
