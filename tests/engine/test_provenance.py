"""What a record says of the machine that made it, in the units that it says."""

import resource
from types import SimpleNamespace

import pytest

from rdu_bench.engine import provenance


@pytest.mark.parametrize(("system", "held"), [("linux", 3 * 1024), ("darwin", 3 * 1024**2)])
def test_memory_is_told_in_mib_whatever_a_system_counts_in(monkeypatch, system, held):
    """Kibibytes on Linux, bytes on macOS."""
    monkeypatch.setattr(provenance.sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=held))
    assert provenance.peak_mb() == 3.0


def test_a_record_says_when_it_was_begun_and_ended(monkeypatch):
    monkeypatch.setattr(provenance.time, "time", lambda: 1000.12345)
    found = provenance.of_run(device="cpu", threads=3, started=990.98765)
    assert (found["started"], found["finished"], found["threads"]) == (990.988, 1000.123, 3)
    assert found["device"].startswith("cpu (") and found.keys() >= {"version", "torch", "git", "git_dirty", "peak_mb"}
