"""Who may import whom.  The order below is the architecture; this test keeps it true."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# lower layers first; a file may import ours from layers below its own, and from its own folder
LAYERS = [
    [
        "rdu_bench/_hash.py",
        "rdu_bench/_paths.py",
        "rdu_bench/_sources.py",
        "rdu_bench/_cards.py",
        "rdu_bench/analytic.py",
    ],
    ["rdu_bench/records/laws.py", "rdu_bench/records/store.py"],
    ["rdu_bench/nn/densities.py"],
    ["rdu_bench/nn/networks.py", "rdu_bench/model.py"],
    ["rdu_bench/nn/*.py", "rdu_bench/data/*.py", "rdu_bench/autoencoder.py"],
    ["rdu_bench/probe.py"],
    ["rdu_bench/registry.py"],
    ["rdu_bench/api.py"],
    ["models/*.py", "probes/*.py", "datasets/*.py"],
    [
        "rdu_bench/training/*.py",
        "rdu_bench/measure/*.py",
        "rdu_bench/engine/s[pu]*.py",
        "rdu_bench/engine/expand.py",
        "rdu_bench/engine/sentences.py",
    ],
    ["rdu_bench/engine/curve.py", "rdu_bench/encoder.py"],
    ["rdu_bench/analysis/*.py", "rdu_bench/conformance/laws.py", "rdu_bench/records/audit.py"],
    ["rdu_bench/engine/scheduler.py", "rdu_bench/report/*.py", "rdu_bench/conformance/check.py"],
    ["rdu_bench/cli.py"],
]
LEVEL: dict[Path, int] = {}
for level, globs in enumerate(LAYERS):
    for path in (path for g in globs for path in ROOT.glob(g)):
        LEVEL.setdefault(path, level)


def imported(path: Path) -> set[Path]:
    """Files of ours that `path` imports."""
    here, out = path.relative_to(ROOT).with_suffix("").parts, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = (
                (*here[: len(here) - node.level], *(node.module or "").split("."))
                if node.level
                else tuple(node.module.split("."))
            )
            out |= {ROOT.joinpath(*base).with_suffix(".py")}
    return {p for p in out if p in LEVEL}


@pytest.mark.parametrize("path", sorted(LEVEL), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    for other in imported(path):
        beside = other.parent == path.parent and LEVEL[other] == LEVEL[path]
        assert LEVEL[other] < LEVEL[path] or beside, f"{path.name} may not import {other.name}"


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=lambda p: p.stem)
def test_models_know_only_the_api(path):
    assert {p.name for p in imported(path)} <= {"api.py"}


HEAVY = {"torch", "pandas", "sklearn", "matplotlib", "distributed", "dask", "scipy"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_the_command_line_imports_nothing_heavy_until_it_must():
    loaded = run_python(
        "import sys, rdu_bench.cli, rdu_bench.engine.suite, rdu_bench.registry; print(*sys.modules)"
    ).split()
    assert not HEAVY & set(loaded)


def test_records_are_read_and_drawn_without_torch():
    loaded = run_python(
        "import sys, rdu_bench.analysis, rdu_bench.report, rdu_bench.records.store; print(*sys.modules)"
    ).split()
    assert "torch" not in loaded
