"""Every command prints in every encoding: what it has no character for is escaped, and nothing ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = [["models"], ["models", "vae"], ["suites"], ["suites", "smoke"], ["run", "--dry-run", "--suite", "smoke"]]
SOME = [("models", LINES[0]), ("dry-run", LINES[4])]


def said(args, cwd, **env):
    return subprocess.run(
        [sys.executable, "-m", "rdu_bench", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1:strict"])
@pytest.mark.parametrize("args", [args for _, args in SOME], ids=[name for name, _ in SOME])
def test_what_an_encoding_lacks_is_escaped(tmp_path, encoding, args):
    done = said(args, tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"\\u" in done.stdout  # β, σ, ✓ or −
    done.stdout.decode(encoding.partition(":")[0])


def test_the_c_locale_ends_nothing(tmp_path):
    done = said(LINES[0], tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("args", LINES, ids=" ".join)
def test_every_list_is_printed(args, encoding, tmp_path, monkeypatch):
    """As above, in this process."""
    import io

    from rdu_bench.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert not stop.value.code and out.buffer.getvalue()


def test_a_program_without_a_console_prints_nothing(monkeypatch):
    from rdu_bench.cli import main

    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as stop:
        main(["models"])
    assert not stop.value.code


def test_a_full_disk_behind_the_output_is_a_sentence(tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rdu_bench", "models"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode != 0 and b"Traceback" not in done.stderr and b"No space left" in done.stderr
