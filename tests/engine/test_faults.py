"""What goes wrong costs the point it hits and nothing else; what resumes ends where an undisturbed run ends."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdu_bench.records.store import Store

SUITE = """
models = [{models}]
heads = ["linear"]
budget = "smoke"

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [2, 5]
"""

FUSE = """
import os
import signal

import torch
from rdu_bench.api import Autoencoder, Row


class Fuse(Autoencoder):
    \"\"\"A VAE that kills its process where FUSE names a file: once when that holds x, always when it holds !.\"\"\"

    row = Row(paper="1312.6114", title="Fuse")

    def regularizer(self, batch, code):
        fuse = os.environ.get("FUSE", "")
        if os.path.exists(fuse) and batch.progress > 0.5:
            if open(fuse).read() == "x":
                os.unlink(fuse)
            os.kill(os.getpid(), signal.SIGKILL)
        return batch.x.new_zeros(())
"""

TELLING = """
import os
from rdu_bench.api import Autoencoder, Row


class Telling(Autoencoder):
    \"\"\"A VAE that writes down which process trained it to the end.\"\"\"

    row = Row(paper="1312.6114", title="Telling")

    def regularizer(self, batch, code):
        if batch.progress > 0.97:
            with open(os.environ["TOLD"], "a") as file:
                print(os.getpid(), file=file)
        return batch.x.new_zeros(())
"""

BROKEN = """
from rdu_bench.api import Autoencoder, Row


class Broken(Autoencoder):
    row = Row(paper="0000.00000")

    def regularizer(self, batch, code):
        raise RuntimeError("no good")
"""

NAN = """
from rdu_bench.api import Autoencoder, Row


class Nan(Autoencoder):
    row = Row(paper="0000.00000")

    def regularizer(self, batch, code):
        return (batch.progress - 0.5).sqrt() * 0 + code["z"].sample.sum() * 0
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the plug-ins above and suites of them."""
    root = tmp_path_factory.mktemp("home")
    (root / "models").mkdir()
    for name, text in (("fuse", FUSE), ("broken", BROKEN), ("nan", NAN), ("telling", TELLING)):
        (root / "models" / f"{name}.py").write_text(text)
    (root / "fuse.toml").write_text(SUITE.format(models='"fuse", "vae"'))
    (root / "telling.toml").write_text(SUITE.format(models='"telling"'))
    (root / "faulty.toml").write_text(SUITE.format(models='"broken", "nan", "vae"'))
    return root


def prepare(limit):
    """As a shell starts a command: SIGINT heard, also where the tests themselves were started to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def start(home, suite, out, *args, jobs=0, **env):
    command = [sys.executable, "-m", "rdu_bench.cli", "run", "--suite", f"{suite}.toml", "--plugins", ".", "--out"]
    limit = env.pop("limit", None)
    return subprocess.Popen(
        [*command, str(out), "-j", str(jobs), *args],
        cwd=home,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: prepare(limit),
    )


def finish(process, timeout=240):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def undisturbed(home):
    """Records of `fuse.toml` when nothing happens."""
    code, out, err = finish(start(home, "fuse", home / "undisturbed"))
    assert code == 0, out + err
    return whole(home / "undisturbed")


OWN = ("times", "provenance", "path", "asked")  # what a record says of its run, and what reading adds


def whole(folder):
    """Records by key without what is of their run alone; every file must be whole and nothing else may lie about."""
    store = Store(folder)
    assert store.found() == store.records()
    assert not list(folder.rglob("*.part"))
    vectors = {record["key"]: store.vectors(record) for record in store.records()}
    assert all(vectors[r["key"]] for r in store.records() if r["values"])
    return {r["key"]: {k: v for k, v in r.items() if k not in OWN} for r in store.records()}


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def members(session):
    """Processes of a session that are alive."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            alive.append(int(path.parent.name))
    return alive


def some_records(folder):
    return lambda: any(folder.rglob("records/*/*/*.json"))


def test_an_exception_and_a_nan_are_records_and_stop_nothing(home, tmp_path):
    code, out, err = finish(start(home, "faulty", tmp_path))
    assert code == 1, out + err
    found = Store(tmp_path).records()
    by = {model: [r for r in found if r["spec"]["model"] == model] for model in ("broken", "nan", "vae")}
    assert {len(records) for records in by.values()} == {3}
    assert all(
        r["status"] == "error" and "no good" in r["reason"] and "Traceback" in r["traceback"] for r in by["broken"]
    )
    assert all(r["status"] == "diverged" and "regularizer" in r["reason"] for r in by["nan"])
    assert all(r["values"] for r in by["vae"])


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_says_so_and_keeps_what_is_finished(home, tmp_path, undisturbed, how):
    process = start(home, "fuse", tmp_path)
    wait_for(some_records(tmp_path))
    process.send_signal(how)
    code, _, err = finish(process)
    assert code == 130 and "every finished point is kept" in err and "Traceback" not in err, err
    kept = whole(tmp_path)
    assert kept == {key: undisturbed[key] for key in kept} and 0 < len(kept) < len(undisturbed)


def test_a_run_that_is_killed_goes_on(home, tmp_path, undisturbed):
    process = start(home, "fuse", tmp_path)
    wait_for(some_records(tmp_path))
    process.kill()
    finish(process)
    assert Store(tmp_path).found() == Store(tmp_path).records() and 0 < len(Store(tmp_path).keys()) < len(undisturbed)
    assert finish(start(home, "fuse", tmp_path))[0] == 0
    remove_stale(tmp_path)
    assert whole(tmp_path) == undisturbed


def remove_stale(folder):
    """What a killed process was writing may lie about for an hour; it is no record."""
    for path in folder.rglob("*.part"):
        path.unlink()


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(home, tmp_path, undisturbed):
    code, out, err = finish(start(home, "fuse", tmp_path, "--model", "fuse", limit=3000))
    assert code == 1 and "free some space" in err and "Traceback" not in err, out + err
    assert whole(tmp_path) == {}
    assert not [p for p in (tmp_path / "records").rglob("*") if p.is_file()]
    assert finish(start(home, "fuse", tmp_path, "--model", "fuse", "--sigma", "2"))[0] == 0
    [(key, record)] = whole(tmp_path).items()
    assert record == undisturbed[key]


def test_two_runs_on_one_folder_share_the_work(home, tmp_path, undisturbed):
    both = [start(home, "fuse", tmp_path) for _ in range(2)]
    ends = [finish(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    computed = [line for _, out, _ in ends for line in out.splitlines() if line.startswith("[")]
    assert len(computed) == len(undisturbed)  # no point twice
    assert whole(tmp_path) == undisturbed


def test_workers_share_the_points_of_one_curve(home, tmp_path):
    told = {"TOLD": str(tmp_path / "told")}
    code, out, err = finish(start(home, "telling", tmp_path / "shared", jobs=3, **told))
    assert code == 0, out + err
    assert len(set((tmp_path / "told").read_text().split())) > 1
    assert out.count("[") == 3  # no point twice
    assert finish(start(home, "telling", tmp_path / "alone", **told))[0] == 0
    assert whole(tmp_path / "shared") == whole(tmp_path / "alone")


@pytest.mark.slow
def test_a_killed_worker_loses_its_own_point_only_for_a_while(home, tmp_path, undisturbed):
    fuse = tmp_path / "lit"
    fuse.write_text("x")
    code, out, err = finish(start(home, "fuse", tmp_path / "out", jobs=2, FUSE=str(fuse)))
    assert code == 0, out + err
    assert not fuse.exists()
    assert whole(tmp_path / "out") == undisturbed


@pytest.mark.slow
def test_a_point_that_always_kills_its_worker_is_a_record_with_a_reason(home, tmp_path, undisturbed):
    fuse = tmp_path / "lit"
    fuse.write_text("!")
    code, out, err = finish(start(home, "fuse", tmp_path / "out", "--sigma", "2", jobs=2, FUSE=str(fuse)))
    assert code == 1, out + err
    [bad] = [r for r in Store(tmp_path / "out").records() if r["spec"]["model"] == "fuse"]
    [good] = [r for r in Store(tmp_path / "out").records() if r["spec"]["model"] == "vae"]
    assert bad["status"] == "error" and "process died" in bad["reason"] and good["values"]
    fuse.unlink()
    again = start(home, "fuse", tmp_path / "out", "--sigma", "2", "--retry-failed", FUSE=str(fuse))
    assert finish(again)[0] == 0
    kept = whole(tmp_path / "out")
    assert kept == {key: undisturbed[key] for key in kept} and len(kept) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_run(home, tmp_path, undisturbed, how):
    process = start(home, "fuse", tmp_path, jobs=2)
    wait_for(some_records(tmp_path))
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)  # Ctrl-C reaches the whole group
    code, _, err = finish(process, timeout=30)
    assert code == (-how if how == signal.SIGKILL else 130), err
    assert how == signal.SIGKILL or "Traceback" not in err, err
    wait_for(lambda: not members(process.pid), 15)
    assert finish(start(home, "fuse", tmp_path, jobs=2))[0] == 0
    remove_stale(tmp_path)
    assert whole(tmp_path) == undisturbed


@pytest.mark.slow
def test_records_damaged_from_outside_are_computed_again(home, tmp_path, undisturbed):
    assert finish(start(home, "fuse", tmp_path))[0] == 0
    first, second, *_ = Store(tmp_path).paths()
    first.write_text(first.read_text()[:100])
    record = json.loads(second.read_text())
    second.unlink()
    assert finish(start(home, "fuse", tmp_path))[0] == 0
    assert whole(tmp_path) == undisturbed and record["key"] in undisturbed
