"""How a run ends: what it says, its exit code, and what is left, whatever happens to it."""

import os
import re
import shutil
import signal

import pytest
from fake_records import of_point as record

from rdu_bench.cli import results
from rdu_bench.records.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")
RUN = ("run", "--suite", "smoke", "--model", "vae", "-j", "0", "--out", "out")


@pytest.fixture
def trained(monkeypatch):
    """Training is replaced by what `trained` holds: a function of curve, σ and store, called for every point."""
    does = {"point": lambda curve, sigma, store: None, "status": "ok"}

    def run_curve(curve, store, *, progress, wait=True):
        for sigma in curve.sigmas:
            if not store.has(curve.spec(sigma)):
                store.write(record(curve, sigma, does["status"]))
                progress({"sigma": sigma, "phase": "done", "step": 1, "steps": 1, "status": does["status"]})
            does["point"](curve, sigma, store)

    monkeypatch.setattr("rdu_bench.engine.curve.run_curve", run_curve)
    monkeypatch.setattr("rdu_bench.report.render", lambda records, out, **_: out / "index.html")
    return does


def test_a_run_that_goes_well_is_exit_code_0(command, trained, tmp_path):
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.endswith("3 points, 0 failed\nreport: out/index.html\n")


def test_a_page_that_cannot_be_drawn_does_not_hide_that_the_records_are_there(command, trained, tmp_path, monkeypatch):
    def render(*_, **__):
        raise ValueError("no ink")

    monkeypatch.setattr("rdu_bench.report.render", render)
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "3 points, 0 failed" in done.stdout and "records: out/records" in done.stdout
    assert "ValueError: no ink" in done.stderr and len(Store(tmp_path / "out").keys()) == 3
    told = command(*RUN, cwd=tmp_path, RDU_BENCH_DEBUG="1")
    assert told.returncode == 1 and "Traceback" in told.stderr


def test_points_that_vanish_are_said_and_are_exit_code_1(command, trained, tmp_path):
    trained["point"] = lambda curve, sigma, store: shutil.rmtree(store.root) if sigma == 3.0 else None
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 1
    assert "2 of 3 points have no record in out" in done.stderr and "computes them again" in done.stderr
    trained["point"] = lambda curve, sigma, store: shutil.rmtree(store.folder, ignore_errors=True)
    assert "3 of 3 points have no record" in command(*RUN, cwd=tmp_path).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("when", ["training", "drawing"])
def test_a_signal_is_exit_code_130_and_what_is_finished_stays(command, trained, tmp_path, monkeypatch, number, when):
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    handlers = {**dict.fromkeys(before, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    for n, handler in handlers.items():  # under nohup, say, some are ignored
        signal.signal(n, handler)
    if when == "training":
        trained["point"] = lambda curve, sigma, store: os.kill(os.getpid(), number) if sigma == 3.0 else None
    else:
        monkeypatch.setattr("rdu_bench.report.render", lambda *_, **__: os.kill(os.getpid(), number))
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 130 and "every finished point is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(Store(tmp_path / "out").keys()) == (2 if when == "training" else 3)
    after = {n: signal.getsignal(n) for n in handlers}
    for n, handler in before.items():
        signal.signal(n, handler)
    assert after == handlers  # as they were


def test_failed_points_are_exit_code_1_and_status_names_them_on_one_line(command, trained, tmp_path):
    trained["status"] = "diverged"
    assert command(*RUN, cwd=tmp_path).returncode == 1
    done = command("status", "out", cwd=tmp_path)
    assert done.returncode == 0 and "3 of 3 that runs asked for last, 0 missing" in done.stdout
    assert "48 s of CPU, " in done.stdout and "left" not in done.stdout
    assert "    3 diverged" in done.stdout and done.stdout.count("as planned \\x1b[31m") == 3


def test_status_tells_what_is_expected_beside_what_is_done(command, trained, tmp_path):
    trained["point"] = lambda curve, sigma, store: os.kill(os.getpid(), signal.SIGTERM)
    assert command(*RUN, cwd=tmp_path).returncode == 130
    told = command("status", "out", cwd=tmp_path).stdout
    assert "1 of 3 that runs asked for last, 2 missing" in told
    assert "16 s of CPU, " in told and " expected; about 32 s left" in told  # twice as many points as there are


def test_status_compares_what_points_took_with_what_the_same_points_were_expected_to():
    told = results._time({"a": 60.0, "b": 30.0, "c": 600.0}, {"a": 30.0, "b": 15.0, "d": 90.0})
    assert (
        told
        == "12 min of CPU; 2 of these points took 2 min, 45 s expected; about 3 min left, less with several workers"
    )
    assert results._time({"a": 60.0}, {"a": 30.0}) == "60 s of CPU, 30 s expected"
    assert results._time({"a": 60.0}, {}) == "60 s of CPU"


def test_a_point_under_whose_name_another_was_copied_is_missing_and_made_again(command, trained, tmp_path):
    command(*RUN, cwd=tmp_path)
    one, other, _ = Store(tmp_path / "out").paths()
    shutil.copy(one, other)
    told = command("status", "out", cwd=tmp_path).stdout
    assert "2 of 3 that runs asked for last, 1 missing" in told and f"a copy, counted once: out/{_in(other)}: " in told
    done = command(*RUN, cwd=tmp_path)
    assert done.stdout.endswith("3 points, 0 failed\nreport: out/index.html\n") and "1 of" not in done.stdout
    assert "3 of 3 that runs asked for last, 0 missing" in command("status", "out", cwd=tmp_path).stdout


def test_failed_points_that_are_to_be_made_again_are_planned_and_not_lost_without_data(command, trained, tmp_path):
    trained["status"] = "error"
    command(*RUN, cwd=tmp_path)
    trained["status"] = "ok"
    planned = command(*RUN, "--retry-failed", "--dry-run", cwd=tmp_path).stdout
    assert "3 points, 0 done" in planned and "nothing is left" not in planned
    assert "3 done ✓; nothing is left to do" in command(*RUN, "--dry-run", cwd=tmp_path).stdout
    assert command(*RUN, "--retry-failed", cwd=tmp_path).returncode == 0


def test_failed_points_whose_data_are_not_here_keep_their_records(command, trained, tmp_path, monkeypatch):
    trained["status"] = "error"
    command(*RUN, cwd=tmp_path)
    before = {path: path.read_text() for path in Store(tmp_path / "out").paths()}
    lost = {"digits": "digits needs digits.h5, which is not here."}
    monkeypatch.setattr("rdu_bench.engine.ready.without_files", lambda curves: lost if [*curves] else {})
    done = command(*RUN, "--retry-failed", cwd=tmp_path)
    assert done.returncode == 2 and "which is not here" in done.stderr
    assert {path: path.read_text() for path in Store(tmp_path / "out").paths()} == before


@pytest.mark.parametrize("seconds", ["NaN", "1e400", "-1", "true", '"9"', "[]"])
def test_a_damaged_note_of_what_was_expected_is_passed_over(command, trained, tmp_path, seconds):
    command(*RUN, cwd=tmp_path)
    note = tmp_path / "out" / "asked.json"
    note.write_text(re.sub(r'"seconds":\s*[0-9.]+', f'"seconds": {seconds}', note.read_text()))
    told = command("status", "out", cwd=tmp_path)
    assert told.returncode == 0 and "3 of 3 that runs asked for last" in told.stdout and "expected" not in told.stdout
    note.write_text('{"rows": {"x": {"keys": "abc"}}}')
    assert "asked for" not in command("status", "out", cwd=tmp_path).stdout


def _in(path):
    return path.relative_to(path.parents[3]).as_posix()


def test_status_names_no_more_than_a_screenful(command, trained, tmp_path):
    trained["status"] = "error"
    command(*RUN, "--seeds", "9", cwd=tmp_path)
    short, every = (command("status", "out", *more, cwd=tmp_path).stdout for more in ((), ("--all",)))
    assert short.count(": error: ") == 20 and "and 7 more" in short
    assert every.count(": error: ") == 27 and "more" not in every


@pytest.mark.parametrize("inside", ["records", "figures", "records/digits"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(command, trained, tmp_path, inside):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out" / inside
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 2 and f"{inside} is a link that leads out of out" in done.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_folder_itself_may_be_a_link(command, trained, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    assert command(*RUN, cwd=tmp_path).returncode == 0


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(command, trained, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    trained["point"] = lambda *_: pytest.fail("it was begun")
    monkeypatch.setattr("pathlib.Path.touch", refused)
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 1 and "cannot write out: Permission denied" in done.stderr


def test_a_reader_that_went_away_is_no_traceback(command, trained, tmp_path, monkeypatch):
    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("rdu_bench.engine.run.conclude", gone)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == ""


def test_a_fault_of_the_program_has_its_traceback_and_says_where_to_go(command, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("rdu_bench.engine.run.conclude", lambda *_: {}["key"])
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr and "rdu-bench doctor" in done.stderr


def test_an_interrupt_that_an_import_turns_into_another_error_is_an_interrupt(command, trained, tmp_path, monkeypatch):
    def half_imported(*_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("half of a package") from None

    monkeypatch.setattr("rdu_bench.engine.run.name_folders", half_imported)
    done = command(*RUN, cwd=tmp_path)
    assert done.returncode == 130 and "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_a_signal_that_the_caller_ignores_stays_ignored(command, trained, tmp_path):
    trained["point"] = lambda *_: os.kill(os.getpid(), signal.SIGHUP)
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        assert command(*RUN, cwd=tmp_path).returncode == 0
    finally:
        signal.signal(signal.SIGHUP, old)
