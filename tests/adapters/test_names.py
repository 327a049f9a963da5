"""Models of other libraries by name: what is said of them, and what names their records, without the libraries."""

import tomllib
from pathlib import Path

import pytest

from rdu_bench import _adapters, _libraries, _sources, registry
from rdu_bench.api import Row
from rdu_bench.conformance import check
from rdu_bench.engine.expand import curves
from rdu_bench.engine.selection import Selection
from rdu_bench.engine.suite import SuiteError, read
from rdu_bench.records.schema import MODEL

ROWS = tomllib.loads((_libraries.HOME / "pythae.toml").read_text(encoding="utf-8"))
NAMED = [name for name in ROWS if name != "unfit"]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder that stands for an installed Pythae 0.1."""
    (tmp_path / "pythae" / "models").mkdir(parents=True)
    (tmp_path / "pythae" / "__init__.py").write_text("")
    (tmp_path / "pythae" / "models" / "vae.py").write_text("beta = 1")
    monkeypatch.setattr(_libraries, "_root", lambda name: tmp_path / "pythae")
    monkeypatch.setattr(_libraries, "version", lambda name: "0.1")
    _libraries.digest.cache_clear()
    yield tmp_path / "pythae"
    _libraries.digest.cache_clear()


@pytest.mark.parametrize("name", NAMED)
def test_a_row_has_what_the_tables_of_models_show(name):
    row = {cell: value for cell, value in ROWS[name].items() if cell not in ("doc", *_adapters.OWN)}
    assert Row(**row).title.endswith("(Pythae)") and row["paper"] and row["objective"]
    assert ROWS[name]["posterior"] in ("gaussian", "point")
    assert ROWS[name]["subtracts"] in ("closed form", "draw", "nothing")
    assert ROWS[name]["posterior"] == "gaussian" or ROWS[name]["subtracts"] == "nothing"  # a point has no R


def test_a_library_that_is_missing_is_a_sentence_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_libraries, "_root", lambda name: None)
    with pytest.raises(
        registry.PluginError, match=r'Pythae is not installed: pip install "rdu-bench\[pythae\]"'
    ) as caught:
        registry.find("models", "pythae:VAE")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("pythae:BetaTCVEA", LookupError, "Did you mean 'pythae:BetaTCVAE'"),
        ("pythae:wae-mmd", LookupError, "Did you mean 'pythae:WAE_MMD'"),
        ("pythae:", LookupError, "There are VAE, BetaVAE"),
        ("pythae:VAMP", registry.PluginError, "its prior is learned"),
        ("pixyz:VAE", LookupError, "Pixyz has no whole models with names"),
    ],
)
def test_a_name_that_is_none_gets_one_sentence(name, error, words, library):
    with pytest.raises(error, match=words) as caught:
        registry.find("models", name)
    assert "\n" not in str(caught.value)
    with pytest.raises(error, match=words):
        curves(read("smoke"), Selection(models=(name,)))
    with pytest.raises(error, match=words):
        check(name)


def test_a_colon_alone_makes_no_library_of_a_name():
    assert not _adapters.is_adapted("hdf5:usps.h5") and not _adapters.is_adapted("pythae")
    for glob in ("keras:VAE", "pythae:*"):
        with pytest.raises(SuiteError, match="selects nothing"):
            curves(read("smoke"), Selection(models=(glob,)))


def test_a_name_runs_in_any_suite_beside_its_models_with_dashes_for_underscores(library):
    found = curves(read("smoke"), Selection(models=("vae", "pythae:WAE-MMD")))
    assert {curve.model for curve in found} == {"vae", "pythae:WAE_MMD"}
    assert {curve.row for curve in found} == {"vae", "pythae:WAE_MMD"}
    assert MODEL.fits("pythae:WAE_MMD") and not MODEL.fits("pythae:") and not MODEL.fits("a:b:c")


def test_the_key_of_a_record_holds_the_library_its_version_and_every_source(library, monkeypatch):
    def key(name="pythae:VAE"):
        _libraries.digest.cache_clear()
        [curve, *_] = curves(read("smoke"), Selection(models=(name,), sigmas=(4.0,)))
        return curve.key(4.0)

    first = key()
    assert key() == first and key("pythae:AE") != first
    (library / "models" / "vae.py").write_text("beta = 2")
    edited = key()
    monkeypatch.setattr(_libraries, "version", lambda name: "0.2")
    assert len({first, edited, key()}) == 3


def test_the_hash_of_a_library_is_that_of_what_is_in_it(library):
    before = _libraries.digest("pythae")
    (library / "models" / "vae.py").write_text("beta = 2")
    assert _libraries.digest("pythae") == before, "taken once a process"
    _libraries.digest.cache_clear()
    after = _libraries.digest("pythae")
    (library / "models" / "vae.py").rename(library / "models" / "other.py")
    _libraries.digest.cache_clear()
    assert len({before, after, _libraries.digest("pythae")}) == 3


IMPORTS = [
    "from rdu_bench.adapters.pythae import FromPythae",
    "import rdu_bench.adapters.pythae as adapter",
    "from rdu_bench.adapters import pythae",
    "def late():\n    from rdu_bench.adapters.pythae import from_pythae",
    "import importlib\nimportlib.import_module('rdu_bench.adapters.pythae')",
]


@pytest.mark.parametrize("lines", IMPORTS)
def test_a_file_that_imports_an_adapter_has_the_library_in_its_hash(lines, tmp_path, monkeypatch):
    path = tmp_path / "models" / "mine.py"
    path.parent.mkdir()
    path.write_text(lines)
    assert _sources.libraries(path) == ["pythae"]
    monkeypatch.setattr(_libraries, "digest", lambda name: "one")
    first = _sources.source_digest(path)
    monkeypatch.setattr(_libraries, "digest", lambda name: "other")
    assert len({first, _sources.source_digest(path), _sources.digest_of(path)}) == 3


def test_the_hash_of_a_file_that_imports_none_is_its_own(tmp_path):
    path = tmp_path / "models" / "mine.py"
    path.parent.mkdir()
    path.write_text("import pythae\nfrom rdu_bench.api import Model")
    assert _sources.libraries(path) == [] and _sources.source_digest(path) == _sources.digest_of(path)


def test_what_a_file_imports_beside_it_may_import_the_adapter(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "_parts.py").write_text("from rdu_bench.adapters.pixyz import from_pixyz")
    (tmp_path / "models" / "mine.py").write_text("from . import _parts")
    assert _sources.libraries(tmp_path / "models" / "mine.py") == ["pixyz"]


@pytest.mark.parametrize(("module", "allowed"), [("adapters.pythae", True), ("adaptersx", False), ("training", False)])
def test_a_model_file_may_import_an_adapter_and_the_interface_and_no_more(module, allowed, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"from rdu_bench.{module} import FromPythae\nclass Mine(FromPythae):\n    pass\n")
    [found] = [finding for finding in check(path, only=["imports"]) if finding.law == "imports"]
    assert found.ok == allowed


def test_adapters_are_in_no_list_of_models_and_the_front_page_has_none():
    assert not [name for name in registry.files("models") if ":" in name or name in _libraries.TITLES]
    assert "Pythae" not in (Path(__file__).parents[2] / "models" / "README.md").read_text(encoding="utf-8")
