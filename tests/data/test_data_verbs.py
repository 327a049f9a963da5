"""Parameters of data sets on the command line: what `--set` says is what a suite says."""

import pytest
from hdf5_files import BITS, GREY, LABELS, put

from rdu_bench import registry
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves
from rdu_bench.engine.selection import Selection

SUITE = """
models = ["vae"]
[[datasets]]
name = "hdf5"
hidden = [16]
sigmas = [4]
params = {{ file = "a.h5", {params} }}
"""
SETTINGS = {  # as they are typed, and as a suite has them
    "a text": (["x=b/images"], 'x = "b/images"'),
    "a text of a number": (["seed=7"], 'seed = "7"'),
    "a text in quotes": (["seed='7 8'"], 'seed = "7 8"'),
    "numbers": (["limit=9", "noise=0.5", "likelihood=gaussian"], 'limit = 9, noise = 0.5, likelihood = "gaussian"'),
    "a list": (['task=["digit"]', 'factors={ digit = "y" }'], 'task = ["digit"], factors = { digit = "y" }'),
    "a text or a table": (["splits=which"], 'splits = "which"'),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put("a.h5", x=BITS, b__images=GREY, y=LABELS, which=LABELS)
    return tmp_path


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_is_what_a_suite_sets(name, by_name, place, command):
    typed, written = SETTINGS[name]
    if "x=" not in typed[0]:
        typed, written = [*typed, "x=x"], f'{written}, x = "x"'
    line = ["data", "verify", *(("hdf5:a.h5",) if by_name else ("hdf5", "--set", "file=a.h5"))]
    done = command(*line, *(part for text in typed for part in ("--set", text)), cwd=place)
    (place / "s.toml").write_text(SUITE.format(params=written))
    [curve] = curves(suite.read("s.toml"), Selection())
    data = registry.dataset("hdf5", **curve.dataset_params)
    assert done.returncode == 0, done
    assert f"hdf5:a: hash {data.hash}, shape {data.shape}, {data.likelihood}" in done.stdout
    plain = registry.dataset("hdf5", file="a.h5", x="x")
    assert data.hash != plain.hash or data.noise != plain.noise or name == "a list"
    assert (data.task == ("digit",)) == (name == "a list")


def test_the_files_of_a_set_are_made_as_they_are_told(place, command):
    done = command("data", "make", "sprites", "--data-dir", place, "--set", "size=8", "--set", "scales=2", cwd=place)
    assert done.returncode == 0, done
    made = place / done.stdout.strip().splitlines()[-1]
    data = command(
        "data", "verify", "sprites", "--data-dir", place, "--set", "size=8", "--set", "scales=2", "--set", "n_train=50",
        cwd=place,
    )  # fmt: skip
    assert made.is_file() and data.returncode == 0 and "shape (1, 8, 8)" in data.stdout and "train  50" in data.stdout
    assert [path for path in place.rglob("*.h5") if path.name != "a.h5"] == [made]


def test_a_stride_is_made_and_read_again(place, command):
    for verb in ("make", "verify"):
        done = command("data", verb, "dsprites_like", "--data-dir", place, "--set", "stride=8", cwd=place)
        assert done.returncode == 0, done
    assert "  position_x: class of 4" in done.stdout


def test_files_are_made_in_no_folder_that_is_not_there(tmp_path, command):
    gone = tmp_path / "gone"
    done = command("data", "make", "sprites", cwd=tmp_path, RDU_BENCH_DATA=str(gone))
    assert done.returncode == 2 and f"the data folder {gone} does not exist" in done.stderr and not gone.exists()


@pytest.mark.parametrize("name", ["mnist", "dsprites", "noisy_dsprites"])
def test_verify_says_as_run_does_how_files_are_fetched(name, tmp_path, command):
    done = command("data", "verify", name, "--data-dir", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"`rdu-bench data get {name}` fetches them.\n")
