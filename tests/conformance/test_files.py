"""What is no plug-in at all gets one sentence; what is one is known for what it is; files to start from are sound."""

import os

import pytest

from rdu_bench import conformance
from rdu_bench.conformance import CheckError, check
from rdu_bench.conformance.plugin import kind_of, read
from rdu_bench.conformance.scaffold import ScaffoldError, new


def link(path):
    path.symlink_to(path.with_name("other.py"))
    path.with_name("other.py").symlink_to(path)


BAD_FILES = {
    "there is no file": lambda path: None,
    "is a folder; give the file": lambda path: path.mkdir(),
    "is empty; `rdu-bench new`": lambda path: path.write_text(" \n"),
    "is a binary file": lambda path: path.write_bytes(b"\x7fELF\0\0\0"),
    "is not UTF-8 at byte 8": lambda path: path.write_bytes("title = Größe".encode("latin-1").replace(b"Gr", b"")),
    "cannot be read: Too many levels of symbolic links": link,
    "is no regular file": os.mkfifo,
    "has no class made from Model": lambda path: path.write_text("x = 3\n"),
    "does not parse": lambda path: path.write_text("x = " + "-" * 10**6 + "1"),
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_a_file_that_is_no_plug_in_gets_one_sentence(message, tmp_path):
    path = tmp_path / "mine.py"
    BAD_FILES[message](path)
    with pytest.raises(CheckError, match=message) as caught:
        check(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).endswith(".")


KINDS = {
    "class A(Autoencoder): pass": "models",
    "class A(api.Model): pass": "models",
    "class A(Dataset): pass": "datasets",
    "class A(GroundTruth): pass": "datasets",
    "class Part: pass\nclass A(Probe): pass": "probes",
}


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("folder", ["models", "elsewhere"])
def test_a_file_is_known_by_what_its_class_is_made_from(text, folder, tmp_path):
    path = tmp_path / folder / "mine.py"
    path.parent.mkdir()
    path.write_text(text)
    assert kind_of(read(path)) == KINDS[text]


def test_a_file_without_a_class_is_known_by_its_folder_and_a_suite_by_its_end(tmp_path):
    for folder in ("models", "probes", "datasets"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text("def (:")
        assert kind_of(read(tmp_path / folder / "mine.py")) == folder
    (tmp_path / "mine.toml").write_text("x = 3")
    assert kind_of(read(tmp_path / "mine.toml")) == "suites"


def test_a_module_beside_the_file_is_its_own(tmp_path):
    (tmp_path / "_words.py").write_text("TITLE = 'mine'")
    path = new("dataset", "mine", tmp_path)
    path.write_text("from ._words import TITLE\nfrom . import _words\n" + path.read_text("utf-8"), encoding="utf-8")
    assert [f.words for f in check(path, only=["imports", "loads"]) if not f.ok] == []
    path.write_text("from . import digits\n" + path.read_text("utf-8"), encoding="utf-8")
    [imports] = [f for f in check(path, only=["imports"]) if f.law == "imports"]
    assert not imports.ok and "line 1 imports .digits" in imports.words


@pytest.mark.parametrize("kind", ["probe", "dataset", "suite"])
def test_a_new_file_passes_its_check(kind, tmp_path):
    found = check(new(kind, "my-own", tmp_path / "somewhere" / "deep"))
    assert [f.words for f in found if not f.ok] == [] and found


def test_a_new_model_passes_its_check(tmp_path):
    path = new("model", "my-own", tmp_path / "models")
    found = check(path, only=[law for law in conformance.models.LAWS if law != "learns"])
    assert [f.words for f in found if not f.ok] == [] and path.stem == "my_own"


NAMES = ["", "Vae", "1vae", "a b", "größe", "class", "_mine", "a/b", "../a", "a" * 65, "my.vae", "a\nb", "{title}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["model", "probe", "dataset", "suite"])
def test_names_that_cannot_be_are_refused_in_one_sentence(kind, name, tmp_path):
    with pytest.raises(ScaffoldError, match=f"cannot be a {kind}'s name") as caught:
        new(kind, name, tmp_path)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("model", "vae"), ("model", "beta-vae"), ("probe", "knn"), ("dataset", "digits"), ("suite", "all")],
)
def test_names_that_are_taken_are_refused(kind, name, tmp_path):
    with pytest.raises(ScaffoldError, match=f"there is a {kind} '{name.replace('-', '_')}' already"):
        new(kind, name, tmp_path)


def test_what_is_there_is_not_written_over(tmp_path):
    path = new("model", "mine", tmp_path)
    with pytest.raises(ScaffoldError, match="exists already"):
        new("model", "mine", tmp_path)
    with pytest.raises(ScaffoldError, match=r"--dir .*mine.py is a file; give a folder"):
        new("model", "other", path)


def test_a_suite_that_cannot_be_run_is_a_finding(tmp_path):
    path = new("suite", "mine", tmp_path)
    for old, wrong, words in [
        ('"vae"', '"vea"', "vae"),
        ('"digits"', '"digit"', "digits"),
        ('budget = "smoke"', 'budget = "smoke', "TOML"),
    ]:
        bad = tmp_path / "bad.toml"
        bad.write_text(path.read_text("utf-8").replace(old, wrong), encoding="utf-8")
        [finding] = check(bad)
        assert not finding.ok and words in finding.words, finding
