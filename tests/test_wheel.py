"""The wheel holds what the checkout holds: the same plug-ins, suites and report, found from anywhere."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

LIST = """
import json
from rdu_bench import _paths, registry
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves
plugins = {kind: {name: registry.plugin_hash(kind, name) for name in registry.files(kind)} for kind in _paths.KINDS}
assert all(registry.load(kind, name) for kind in plugins for name in plugins[kind])
print(json.dumps({
    "plugins": plugins,
    "suites": suite.names(),
    "report": sorted(str(p.relative_to(_paths.builtin("report"))) for p in _paths.builtin("report").rglob("*.*")),
    "checkout": _paths.checkout() is not None,
    "keys": sorted(c.key(s) for c in curves(suite.read("smoke")) for s in c.sigmas),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of a fresh environment with the wheel, and with this environment's packages but not this checkout."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "others.pth").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    return python


def ask(python, code, cwd):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RDU_BENCH", "PYTHONPATH"))}
    done = subprocess.run([python, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_wheel_finds_what_the_checkout_finds(installed, tmp_path):
    import json

    here = json.loads(ask(sys.executable, LIST, ROOT))
    there = json.loads(ask(installed, LIST, tmp_path))
    assert here.pop("checkout") and not there.pop("checkout")
    assert there == here
    assert {"vae", "vq_vae"} <= set(there["plugins"]["models"])
    where = ask(installed, "import rdu_bench; print(rdu_bench.__file__)", tmp_path)
    assert str(installed.parents[1]) in where and str(ROOT) not in where


def test_a_run_from_the_wheel_ends_in_a_report(installed, tmp_path):
    (tmp_path / "tiny.toml").write_text(
        "models = ['vae']\nelbo = false\nheads = ['linear']\nbudget = 'smoke'\n"
        "[[datasets]]\nname = 'digits'\nhidden = [16]\nlatent = 3\nsigmas = [2]\n"
    )
    code = (
        "import sys; from rdu_bench.cli import main\n"
        "sys.argv = ['rdu-bench', 'run', '--suite', 'tiny.toml', '--out', 'out', '-j', '0']\nmain()"
    )
    said = ask(installed, code, tmp_path)
    page = tmp_path / "out" / "index.html"
    assert said.strip().endswith("out/index.html") and page.stat().st_size > 100_000


def test_a_wheel_carries_the_licence_of_what_it_brings_along(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any("LICENSE-plotly" in name for name in names)
    assert not [name for name in names if name.startswith(("tests/", "results/", "models/", "datasets/"))]
