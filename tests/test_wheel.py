"""What is built holds what is needed and no more: the same plug-ins, suites and report, found from anywhere."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(find_spec("build") is None, reason="`build` is not installed: pip install -e .[dev]")
PLUGINS = ("models", "probes", "datasets")
SHIPPED = ("templates", "assets", "vendor")  # of report/; pages and figures that a run makes stay out
MB = 1_000_000

LIST = """
import json
from rdu_bench import _paths, registry
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves
from rdu_bench.records.published import shipped
plugins = {kind: {name: registry.plugin_hash(kind, name) for name in registry.files(kind)} for kind in _paths.KINDS}
assert all(registry.load(kind, name) for kind in plugins for name in plugins[kind])
report = _paths.builtin("report")
print(json.dumps({
    "plugins": plugins,
    "suites": suite.names(),
    "report": sorted(str(p.relative_to(report)) for part in SHIPPED for p in (report / part).rglob("*.*")),
    "checkout": _paths.checkout() is not None,
    "published": [shipped().parent.name] if shipped().is_file() else [],
    "keys": sorted(c.key(s) for c in curves(suite.read("smoke")) for s in c.sigmas),
}))
""".replace("SHIPPED", repr(SHIPPED))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source archive of the checkout, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def here(*folders, ending=".py"):
    """Files of the checkout below some folders."""
    found = (path for folder in folders for path in (ROOT / folder).rglob(f"*{ending}"))
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_file() and "__pycache__" not in path.parts}


def test_a_wheel_is_small_and_holds_the_package_the_plug_ins_and_the_parts_of_the_page(built):
    _, wheel = built
    [points] = [about for about in zipfile.ZipFile(wheel).infolist() if about.filename.endswith("points.parquet")]
    assert wheel.stat().st_size - points.compress_size <= 1.2 * MB and points.compress_size <= 2.0 * MB
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    parts = {
        f"rdu_bench/_{name}"
        for part in SHIPPED
        for name in here(f"report/{part}", ending="")
        if Path(ROOT / name).is_file()
    }
    ours = (
        here("rdu_bench")
        | here("rdu_bench/suites", ending=".toml")
        | {"rdu_bench/engine/pace.toml", "rdu_bench/data/downloads.toml", "rdu_bench/adapters/pythae.toml"}
        | {"rdu_bench/py.typed"}
    )
    ours |= {f"rdu_bench/{name}" for name in here(*PLUGINS)} | {"rdu_bench/models/README.md"}
    assert names == ours | parts | {"rdu_bench/_results/all/points.parquet"}


def test_a_source_archive_is_small_and_holds_no_page_and_of_the_results_the_published_points(built):
    sdist, _ = built
    assert sdist.stat().st_size <= 5 * MB
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(*PurePosixPath(member.name).parts[1:]) for member in archive if member.isfile()}
    assert {name.parts[0] for name in names if len(name.parts) > 1} == {
        ".ci", "datasets", "models", "probes", "rdu_bench", "report", "results", "tests",
    }  # fmt: skip
    assert {name.parts[1] for name in names if name.parts[0] == "report"} == set(SHIPPED)
    made = {str(name) for name in names if name.suffix in (".png", ".pdf", ".svg", ".parquet", ".html", ".csv", ".zip")}
    assert made == {"results/all/points.parquet"} and {str(n) for n in names if n.parts[0] == "results"} == made
    assert {"README.md", "METHOD.md", "CONTRIBUTING.md", "constraints.txt", "LICENSE"} <= {str(name) for name in names}


def test_a_wheel_carries_the_licence_of_what_it_brings_along(built):
    names = zipfile.ZipFile(built[1]).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any("LICENSE-plotly" in name for name in names)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Python of a fresh environment with the wheel, and with this environment's packages but not this checkout."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(site)
    (site / "others.pth").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    return python


def ask(python, code, cwd):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RDU_BENCH", "PYTHONPATH"))}
    done = subprocess.run([python, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_installed_wheel_finds_what_the_checkout_finds(installed, tmp_path):
    mine = json.loads(ask(sys.executable, LIST, ROOT))
    there = json.loads(ask(installed, LIST, tmp_path))
    assert mine.pop("checkout") and not there.pop("checkout")
    assert there == mine
    assert there["published"] == ["all"]
    assert {"vae", "vq_vae"} <= set(there["plugins"]["models"])
    where = ask(installed, "import rdu_bench; print(rdu_bench.__file__)", tmp_path)
    assert str(installed.parents[1]) in where and str(ROOT) not in where


@pytest.mark.slow
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
