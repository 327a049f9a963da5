"""How many workers a run has that is not told: as many as cores, curves and memory are enough for."""

import os

import pytest

from rdu_bench.engine import machine
from rdu_bench.engine import run as engine
from rdu_bench.engine.machine import WORKER_MB, Workers, workers

GIB = 2**30


@pytest.fixture
def system(tmp_path, monkeypatch):
    """`system(path=text, …)` is what /proc and /sys/fs/cgroup say on Linux; nothing before that."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def say(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")

    return say


FREE = {"proc/meminfo": "MemTotal:  67108864 kB\nMemFree: 1 kB\nMemAvailable:   33554432 kB"}
SECOND = {"proc/self/cgroup": "0::/box/inner", "groups/box/inner/cpu.max": "max 100000"}
FIRST = {"proc/self/cgroup": "9:cpu,cpuacct:/box\n4:memory:/box/inner\n1:name=systemd:/"}


def test_without_a_word_from_the_system_there_are_the_cores_a_process_is_bound_to(system):
    assert machine.cores() == 16 and machine.memory_mb() is None
    assert workers(100) == Workers(16)


def test_a_machine_has_what_it_calls_available(system):
    system(FREE | SECOND)
    assert machine.cores() == 16 and machine.memory_mb() == 32768
    assert workers(100) == Workers(16) and workers(3) == Workers(3) and workers(0) == Workers(1)


@pytest.mark.parametrize(("quota", "found"), [("350000", 3), ("50000", 1), ("6400000", 16), ("-1", 16), ("max", 16)])
def test_cores_are_those_a_control_group_has_time_for(system, quota, found):
    system(SECOND | {"groups/box/cpu.max": f"{quota} 100000"})
    assert machine.cores() == found
    system(FIRST | {"groups/cpu/box/cpu.cfs_quota_us": quota, "groups/cpu/box/cpu.cfs_period_us": "100000"})
    assert machine.cores() == found


def test_memory_is_what_every_control_group_leaves_with_the_cache_that_it_gives_up(system):
    system(FREE | SECOND | {"groups/box/inner/memory.max": "max", "groups/box/inner/memory.current": str(GIB)})
    assert machine.memory_mb() == 32768
    system({"groups/box/memory.max": str(8 * GIB), "groups/box/memory.current": str(3 * GIB)})
    assert machine.memory_mb() == 5 * 1024
    system({"groups/box/memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file 7"})
    assert machine.memory_mb() == 6 * 1024
    inner = "groups/memory/box/inner/memory"
    system(FREE | FIRST | {f"{inner}.limit_in_bytes": str(4 * GIB), f"{inner}.usage_in_bytes": str(GIB)})
    system({f"{inner}.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 2}"})
    assert machine.memory_mb() == 3.5 * 1024


def test_memory_for_fewer_workers_than_cores_is_said_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    for left, number in ((3.5 * WORKER_MB, 3), (0.5 * WORKER_MB, 1), (-1.0, 1)):
        monkeypatch.setattr(machine, "memory_mb", lambda left=left: left)
        assert engine.How(jobs=None).workers(100) == number
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{number} of 8 workers" in said and "-j" in said
        assert engine.How(jobs=None, quiet=True).workers(100) == number and engine.How(jobs=7).workers(100) == 7
        assert engine.How(jobs=None).workers(1) == 1 and not capsys.readouterr().err


@pytest.mark.parametrize(("jobs", "given"), [(None, 5), (0, 0), (1, 1), (2, 2)])
def test_a_run_has_the_workers_it_is_told_or_else_the_machines(monkeypatch, tmp_path, jobs, given):
    asked = []
    monkeypatch.setattr(engine, "workers", lambda shares: asked.append(shares) or Workers(5))
    monkeypatch.setattr(engine, "execute", lambda *_, jobs, scheduler: asked.append(jobs))
    monkeypatch.setattr(engine, "conclude", lambda curves, store, title: engine.Outcome(store.folder, 0, 0, None))
    engine.run("smoke", models=["vae", "vib"], seeds=2, out=tmp_path, quiet=True, jobs=jobs)
    assert asked[-1] == given and asked[:-1] == [12] * (jobs is None)  # points


@pytest.mark.parametrize(("jobs", "where"), [(0, "here"), (1, "a worker"), (None, "a worker")])
def test_only_no_workers_at_all_is_this_process(monkeypatch, tmp_path, jobs, where):
    """A model that ends its process, as a bug in a compiled library does, ends a worker and not the run."""
    from rdu_bench.engine import scheduler

    begun = []
    monkeypatch.setattr(scheduler, "_here", lambda *_: begun.append("here"))
    monkeypatch.setattr(scheduler, "_distributed", lambda *_: begun.append("a worker"))
    monkeypatch.setattr(engine, "conclude", lambda curves, store, title: engine.Outcome(store.folder, 0, 0, None))
    engine.run("smoke", models=["vae"], out=tmp_path, jobs=jobs, quiet=True)
    assert begun == [where]
