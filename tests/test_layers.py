"""The architecture is true: imports point down, plug-ins know one module, and what is light stays light."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from layers import ADAPTED, LAYERS, faults, layer, modules, read

ROOT = Path(__file__).parents[1]
KNOWN = modules(ROOT)


def test_imports_point_down_and_go_in_no_circle():
    assert list(faults(ROOT)) == []


def test_every_module_has_one_layer_and_every_layer_a_module():
    assert {layer(module) for module in KNOWN} == set(LAYERS)


UPWARD = [
    ("rdu_bench.nn.densities", "from rdu_bench.api import Batch", "rdu_bench.api"),
    ("rdu_bench.nn.densities", "import rdu_bench.registry", "rdu_bench.registry"),
    ("rdu_bench.registry", "from .api import Batch", "rdu_bench.api"),
    ("rdu_bench.nn.densities", "import rdu_bench.registry as plain", "rdu_bench.registry"),
    ("rdu_bench.nn.densities", "from rdu_bench import registry", "rdu_bench.registry"),
    ("rdu_bench.nn.densities", "from .. import registry", "rdu_bench.registry"),
    ("rdu_bench.nn.densities", "from ..registry import model", "rdu_bench.registry"),
    ("rdu_bench.model", "from . import registry", "rdu_bench.registry"),
    ("rdu_bench.model", "from .training import loop", "rdu_bench.training.loop"),
    ("rdu_bench.model", "def later():\n    from .engine import suite", "rdu_bench.engine.suite"),
    ("rdu_bench.model", "class C:\n    def f(self):\n        import rdu_bench.cli", "rdu_bench.cli"),
    ("rdu_bench.model", "try:\n    from . import cli\nexcept ImportError:\n    cli = None", "rdu_bench.cli"),
    ("rdu_bench.model", "import importlib\nimportlib.import_module('rdu_bench.cli')", "rdu_bench.cli"),
    ("rdu_bench.model", "from importlib import import_module\nimport_module('.cli', __package__)", "rdu_bench.cli"),
    ("rdu_bench.model", "__import__('rdu_bench.cli')", "rdu_bench.cli"),
    ("rdu_bench.data", "from ..measure import codes", "rdu_bench.measure.codes"),  # a package's own file
    ("rdu_bench.records.store", "from ..analysis import frontier", "rdu_bench.analysis"),
    ("rdu_bench.measure.codes", "from ..engine import curve", "rdu_bench.engine.curve"),
    ("rdu_bench.training.fitting", "from ..measure import measure", "rdu_bench.measure"),
    ("rdu_bench.report.page", "from ..registry import model", "rdu_bench.registry"),
    ("rdu_bench.analysis.points", "from ..data import Dataset", "rdu_bench.data"),
    ("rdu_bench.models.vae", "from rdu_bench import registry", "rdu_bench.registry"),
    ("rdu_bench.models.vae", "from rdu_bench.model import Model", "rdu_bench.model"),
    ("rdu_bench.probes.knn", "from rdu_bench.data import Dataset", "rdu_bench.data"),
    ("rdu_bench.datasets.digits", "def load():\n    from rdu_bench._hash import digest", "rdu_bench._hash"),
    (
        "rdu_bench.datasets.digits",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rdu_bench.data import Dataset",
        "rdu_bench.data",
    ),
    ("rdu_bench.adapters.pythae", "from ..model import Model", "rdu_bench.model"),
    ("rdu_bench", "from .engine import scheduler", "rdu_bench.engine.scheduler"),
]


@pytest.mark.parametrize(("module", "lines", "wrong"), UPWARD)
def test_an_upward_import_is_found_in_every_form(module, lines, wrong):
    found = [fault for fault in faults(ROOT, {module: lines}) if fault.startswith(f"{module}, line")]
    assert any(f"imports {wrong}" in fault for fault in found)


@pytest.mark.parametrize(
    "lines", ["import torch", "def late():\n    import torch.nn as nn", "from safetensors.torch import load_file"]
)
@pytest.mark.parametrize("module", ["rdu_bench.records.store", "rdu_bench.analysis.points", "rdu_bench.report.page"])
def test_what_reads_records_does_without_torch(module, lines):
    assert any("does without it" in fault for fault in faults(ROOT, {module: lines}))


def test_a_module_without_a_layer_is_found():
    [fault] = faults(ROOT, {"rdu_bench.newcomer": "import math"})
    assert "rdu_bench.newcomer has no layer" in fault


def test_a_circle_within_a_layer_is_found():
    circle = {"rdu_bench.scores.one": "from . import two", "rdu_bench.scores.two": "def f():\n    from .one import g"}
    [fault] = faults(ROOT, circle)
    assert "circle" in fault and "scores.one" in fault and "scores.two" in fault


def test_what_only_a_type_checker_imports_is_no_import_but_in_a_plug_in():
    lines = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .cli import main"
    assert list(faults(ROOT, {"rdu_bench.model": lines})) == []
    assert read(lines, "rdu_bench.model", False, KNOWN).found == []


HEAVY = {"torch", "pandas", "sklearn", "matplotlib", "distributed", "dask", "scipy"}


def loaded(code: str) -> set[str]:
    """Modules that a fresh Python has loaded after `code`."""
    line = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_command_line_imports_nothing_heavy_until_it_must():
    assert not HEAVY & loaded("import rdu_bench.cli, rdu_bench.engine.suite, rdu_bench.registry")


def test_records_are_read_and_drawn_without_torch():
    found = loaded("import rdu_bench.analysis, rdu_bench.report, rdu_bench.records.store, rdu_bench.records.audit")
    assert "torch" not in found


WITHOUT_TORCH = """
import sys, pytest

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_the_tests_that_run_without_torch_need_none_of_it():
    """Those that `.ci/run` runs on a Python that has no torch yet, whether such a Python is at hand or not."""
    [files] = re.findall(r"^without_torch=\((.*?)\)$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.M | re.S)
    asked = [
        sys.executable,
        "-c",
        WITHOUT_TORCH,
        "--collect-only",
        "-qq",
        "-p",
        "no:cacheprovider",
        *shlex.split(files),
    ]
    collected = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert collected.returncode == 0, collected.stdout
    assert "tests/scores/test_scores.py: " in collected.stdout


@pytest.mark.parametrize("library", ADAPTED)
@pytest.mark.parametrize("module", ["rdu_bench.training.loop", "rdu_bench.registry", "rdu_bench.models.vae"])
def test_a_library_that_has_an_adapter_is_imported_by_it_alone(library, module):
    for lines in (f"import {library}", f"def late():\n    from {library}.models import VAE"):
        assert any(f"imports {library}" in fault and module in fault for fault in faults(ROOT, {module: lines}))


def test_the_names_of_the_package_load_from_where_they_lie():
    import rdu_bench

    for name in rdu_bench.__all__:
        assert getattr(rdu_bench, name) is getattr(import_module(getattr(rdu_bench, name).__module__), name)
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        rdu_bench.nothing_of_ours  # noqa: B018
