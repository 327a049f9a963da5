"""A folder of plug-ins may hold anything: what cannot be used is named and hides nothing; what is used is hashed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rdu_bench import _paths, _scan, _sources, registry
from rdu_bench._hash import file_digest
from rdu_bench.engine import suite
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.suite import SuiteError

MODEL = """\
from rdu_bench.api import Autoencoder, Row


class Mine(Autoencoder):
    row = Row(paper="0000.00000", title="Mine")
"""
DATA = """\
from rdu_bench.api import Card, Dataset


class Mine(Dataset):
    card = Card(title="Mine", source="nowhere", shape="1", task="none", {field})

    def load(self):
        pass
"""


@pytest.fixture
def plug(plugins):
    """A function that writes a file of a plug-in folder."""
    return writer(plugins)


def writer(root):
    def write(name, text=MODEL):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def folder(write):
    write("models/bad.py/inside.txt", "x")


def loop(write):
    path = write("models/other.py").with_name("bad.py")
    path.symlink_to(path)


def pipe(write):
    os.mkfifo(write("models/other.py").with_name("bad.py"))


BAD = {
    "not UTF-8": (b'"""\xff\xfe"""\n', "not UTF-8 text"),
    "UTF-16": ("x = 1".encode("utf-16"), "bad.py"),
    "null bytes": (b"x = 1\0", "null bytes"),
    "a syntax error": ("def (", "line 1"),
    "deep brackets": ("x = " + "(" * 5000, "bad.py"),
    "empty": ("", "no `row"),
    "no row": ("x = 1", "let its name start with _"),
    "a row of names": (MODEL.replace('"Mine")', "MINE)"), "literals only"),
    "needs a number": (MODEL.replace('title="Mine"', "needs=3"), "needs = 3 must be a tuple of names"),
    "needs a string": (MODEL.replace('title="Mine"', 'needs="labels"'), "must be a tuple of names"),
    "a title that is a number": (MODEL.replace('"Mine")', "3)"), "title = 3 must be a string"),
    "two classes": (MODEL + MODEL.partition("\n\n\n")[2].replace("Mine", "Yours"), "there is a second `row`"),
    "huge": (b"#" * 2_000_000, "2 MB"),
    "binary": (bytes(range(256)), "bad.py"),
    "a folder": (folder, "is a folder"),
    "a link to itself": (loop, "is a link that leads nowhere"),
    "a named pipe": (pipe, "is no regular file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_hides_no_other_and_is_one_sentence_to_use(plug, case):
    made, words = BAD[case]
    plug("models/good.py")
    made(plug) if callable(made) else plug("models/bad.py", made)
    [told] = registry.trouble("models")
    assert words in told and "\n" not in told
    assert registry.card("models", "good")["title"] == "Mine" and "vae" in registry.files("models")
    for use in (registry.card, registry.load):
        with pytest.raises(registry.PluginError) as said:
            use("models", "bad")
        assert words in str(said.value) and "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-vae.py", "rename it, for example to my_vae.py"),
        ("3d.py", "cannot be imported under its name"),
        ("a b.py", "rename it, for example to a_b.py"),
        ("x" * 61 + ".py", "at most 60 letters"),
        ("vae.py", "Rename yours, for example to my_vae.py"),
    ],
)
def test_a_name_that_cannot_be_is_refused_alone(plug, name, words):
    plug("models/good.py"), plug(f"models/{name}")
    [told] = registry.trouble("models")
    assert words in told and "good" in registry.files("models")
    with pytest.raises(registry.PluginError, match=words):
        registry.find("models", name.removesuffix(".py"))
    assert "beta_vae" in registry.files("models")


def test_a_field_of_a_card_is_checked_for_data_sets_too(plug):
    plug("datasets/mine.py", DATA.format(field="provides=('labels', 3)"))
    assert any("provides" in told for told in registry.trouble("datasets"))


def test_one_name_in_two_folders_names_both(plug, tmp_path):
    one = plug("models/good.py")
    other = writer(tmp_path / "second")("models/good.py")
    plug("models/alone.py")
    _paths.add_plugins(tmp_path / "second")
    with pytest.raises(registry.PluginError) as said:
        registry.find("models", "good")
    assert str(one) in str(said.value) and str(other) in str(said.value)
    assert "good" not in registry.files("models") and "alone" in registry.files("models")


@pytest.mark.parametrize("text", ["raise ValueError('no')", "import sys; sys.exit(3)", "import nowhere_at_all"])
def test_an_import_that_fails_is_a_plugin_error_with_its_traceback(plug, text):
    plug("models/bad.py", MODEL + text)
    assert registry.card("models", "bad")["title"] == "Mine"
    with pytest.raises(registry.PluginError, match=r"bad.py does not import:\n(?s:.*bad.py., line)"):
        registry.load("models", "bad")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("torch.set_default_dtype(torch.float64)", "the default precision of torch"),
        ("torch.set_num_threads(torch.get_num_threads() + 1)", "the number of threads"),
        ("torch.distributions.Normal.log_prob = lambda self, value: 0.0", "torch.distributions.normal.Normal.log_prob"),
        (
            "torch.distributions.register_kl(torch.distributions.Normal, torch.distributions.Normal)(lambda q, p: 0)",
            "the divergence of Normal from Normal",
        ),
    ],
)
@pytest.mark.parametrize("where", ["on import", "in the constructor"])
def test_a_plugin_that_changes_what_others_are_made_with_is_refused_and_undone(plug, line, words, where):
    import torch
    from torch.distributions import Normal, kl_divergence

    inside = f"\n    def __init__(self, data):\n        {line}\n" if where == "in the constructor" else "\n"
    first = "import torch\nfrom rdu_bench.api import Model, Row\n"
    outside = f"{line}\n" if where == "on import" else ""
    plug("models/mine.py", f"{first}{outside}class Mine(Model):\n    row = Row(paper='1312.6114'){inside}")
    before = torch.get_default_dtype(), torch.get_num_threads(), Normal.log_prob
    with pytest.raises(registry.PluginError, match=f"mine.* changes {re.escape(words)}"):
        registry.model("mine", None)
    assert before == (torch.get_default_dtype(), torch.get_num_threads(), Normal.log_prob)
    assert float(kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))) == 0.5


def test_two_classes_of_which_one_has_no_row_are_said(plug):
    plug("models/bad.py", MODEL + "\n\nclass Yours(Mine):\n    pass\n")
    with pytest.raises(registry.PluginError, match="exactly one subclass of Model, but defines Mine, Yours"):
        registry.load("models", "bad")


FORMS = [
    "from . import _parts",
    "from ._parts import LATENT",
    "from ._parts import *",
    "from rdu_bench.models import _parts",
    "from rdu_bench.models._parts import LATENT",
    "import rdu_bench.models._parts",
    "import rdu_bench.models._parts as parts",
    "from ..models import _parts",
    "from ..models._parts import LATENT",
    "def f():\n    from . import _parts",
    "try:\n    from ._parts import LATENT\nexcept ImportError:\n    pass",
    "import importlib\nimportlib.import_module('rdu_bench.models._parts')",
    "from importlib import import_module\nimport_module('._parts', __package__)",
    "__import__('rdu_bench.models._parts')",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_import_makes_a_module_part_of_the_hash(plug, form):
    path = plug("models/mine.py", f"{MODEL}\n{form}\n")
    plug("models/_parts.py", "LATENT = 2\n")
    before = registry.plugin_hash("models", "mine")
    assert before != file_digest(path)
    assert registry.load("models", "mine").__name__ == "Mine"
    plug("models/_parts.py", "LATENT = 3\n")
    assert registry.plugin_hash("models", "mine") != before
    plug("models/_parts.py", "LATENT = 2\n")
    assert registry.plugin_hash("models", "mine") == before


def test_the_hash_of_a_file_that_imports_nothing_of_its_folder_is_that_of_what_it_does(plug):
    path = plug("models/mine.py")
    plug("models/_parts.py", "LATENT = 2\n")
    assert registry.plugin_hash("models", "mine") == _sources.digest_of(path)
    for kind in _paths.KINDS:
        for name, ours in registry.files(kind).items():
            if ours.parent == _paths.builtin(kind) and name != "hdf5":  # which is of several files
                assert registry.plugin_hash(kind, name) == _sources.digest_of(ours)


SAME = [  # as what a file does: layout, comments, docstrings, what is claimed
    ("class Mine:", "# a comment\n\n\nclass Mine:  # another"),
    ("class Mine:", 'class Mine:\n    """What it is."""\n'),
    ("row = Row(title='Mine')", "row = Row(\n        title='Mine',\n    )"),
    ("row = Row(title='Mine')", "row = Row(title='Mine', claim='D, lower than vae, on digits')"),
    ("row = Row(title='Mine')", "row = Row(claim='D, lower than ae, on digits', title=('Mine'))"),
    ("return x + 1", '"""Adds one."""\n        return (x + 1)'),
]
OTHER = [
    ("return x + 1", "return x + 2"),
    ("return x + 1", "return x + 1.0"),
    ("return x + 1", "return x, 1"),
    ("return x + 1", "return 1 + x"),
    ("return x + 1", "x += 1"),
    ("row = Row(title='Mine')", "row = Row(title='Mine', labels='required')"),
    ("row = Row(title='Mine')", "row = Row(title='Mine', claims='D')"),
    ("def f(self, x)", "def f(self, x=None)"),
    ("def f(self, x)", "def f(self, *, x)"),
    ("class Mine:", "class Mine:\n    text = 'What it is.'\n"),
]
PLAIN = "class Mine:\n    row = Row(title='Mine')\n\n    def f(self, x):\n        return x + 1\n"


@pytest.mark.parametrize(("old", "new", "same"), [*((*c, True) for c in SAME), *((*c, False) for c in OTHER)])
def test_the_hash_is_of_what_a_file_does_and_not_of_what_is_said_of_it(old, new, same, tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(PLAIN)
    other.write_text(PLAIN.replace(old, new))
    assert old in PLAIN and (_sources.digest_of(one) == _sources.digest_of(other)) is same


def test_the_hash_is_the_same_in_every_version_of_python(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"from a import b\n\n\n{PLAIN}\n\nx: int = {{1: f'{{b!r:>{{3}}}} c', **{{}}}}[1:2, ...]\n")
    assert _sources.digest_of(path) == "a05729111c706335"


def test_a_file_that_does_not_parse_is_hashed_as_it_is(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def f(:\n")
    assert _sources.digest_of(path) == file_digest(path)


def test_what_is_imported_through_others_is_hashed_with_packages_and_probes(plug):
    plug("models/mine.py", f"{MODEL}\nfrom ._pkg import net\n")
    plug("models/_pkg/__init__.py", "from . import deep\n")
    plug("models/_pkg/net.py", "from .._parts import LATENT\n")
    plug("models/_pkg/deep.py", "from rdu_bench.probes._more import WIDTH\n")
    plug("models/_pkg/unused.py", "x = 1\n")
    plug("models/_parts.py", "LATENT = 2\n")
    plug("probes/_more.py", "WIDTH = 2\n")
    _paths.add_plugins()
    assert registry.load("models", "mine")
    seen = {registry.plugin_hash("models", "mine")}
    for count, name in enumerate(["_pkg/__init__", "_pkg/net", "_pkg/deep", "_parts", "../probes/_more"], 2):
        path = Path(_paths.named_roots()[0]) / "models" / f"{name}.py"
        path.write_text(path.read_text() + "changed = True\n")
        seen.add(registry.plugin_hash("models", "mine"))
        assert len(seen) == count, name
    plug("models/_pkg/unused.py", "x = 2\n")
    assert registry.plugin_hash("models", "mine") in seen and len(seen) == count


def test_a_plugin_that_extends_one_of_ours_is_hashed_with_it(plug):
    path = plug("models/mine.py", MODEL.replace("Autoencoder)", "VAE)") + "\n")
    path.write_text("from rdu_bench.models.beta_vae import BetaVAE as VAE\n" + path.read_text())
    assert registry.plugin_hash("models", "mine") != file_digest(path)


def test_a_circle_of_modules_ends(plug):
    plug("models/mine.py", f"{MODEL}\nfrom . import _a\n")
    plug("models/_a.py", "from . import _b\n"), plug("models/_b.py", "from . import _a, mine\n")
    assert len(registry.plugin_hash("models", "mine")) == 16


def test_the_same_files_elsewhere_have_the_same_hash(plug, tmp_path):
    plug("models/mine.py", f"{MODEL}\nfrom . import _parts\n"), plug("models/_parts.py", "LATENT = 2\n")
    before = registry.plugin_hash("models", "mine")
    moved = tmp_path / "elsewhere ü"
    moved.mkdir()
    (tmp_path / "models").rename(moved / "models")
    _paths.add_plugins(moved)
    assert registry.plugin_hash("models", "mine") == before


@pytest.mark.parametrize("form", ["from ._parts import LATENT", "from . import _parts\n    LATENT = _parts.LATENT"])
@pytest.mark.parametrize("name", ["mine", "_parts"])
def test_an_edit_is_taken_up_by_a_process_that_goes_on(plug, name, form):
    plug("models/mine.py", f"{MODEL}\n    {form}\n    OWN = 2\n")
    plug("models/_parts.py", "LATENT = 2\n")
    kind = registry.load("models", "mine")
    assert registry.load("models", "mine") is kind and (kind.LATENT, kind.OWN) == (2, 2)
    if name == "mine":  # within a second, and no longer than before: compiled copies do not notice
        plug("models/mine.py", f"{MODEL}\n    {form}\n    OWN = 5\n")
        assert registry.load("models", "mine").OWN == 5
    else:
        plug("models/_parts.py", "LATENT = 5\n")
        assert registry.load("models", "mine").LATENT == 5


def test_a_module_in_two_folders_is_refused_only_where_it_is_imported(plug, tmp_path):
    plug("models/mine.py", f"{MODEL}\nfrom . import _parts\n"), plug("models/other.py")
    one = plug("models/_parts.py", "LATENT = 2\n")
    other = writer(tmp_path / "second")("models/_parts.py", "LATENT = 3\n")
    _paths.add_plugins(tmp_path / "second")
    with pytest.raises(registry.PluginError) as said:
        registry.find("models", "mine")
    assert str(one) in str(said.value) and str(other) in str(said.value)
    assert registry.find("models", "other")
    assert len(registry.trouble("models")) == 1


def test_a_folder_is_named_once_however_it_is_given(plug, tmp_path, monkeypatch):
    root = tmp_path / "with space ü"
    writer(root)("models/mine.py")
    monkeypatch.chdir(tmp_path)
    _paths.add_plugins("with space ü", root, "with space ü/../with space ü/")
    link = tmp_path / "link"
    link.symlink_to(root)
    _paths.add_plugins(link)
    assert registry.find("models", "mine").samefile(root / "models" / "mine.py")
    assert registry.load("models", "mine") and not registry.trouble("models")
    monkeypatch.chdir("/")
    assert registry.find("models", "mine").samefile(root / "models" / "mine.py")


def test_a_file_of_the_working_folder_that_is_not_used_is_named(plug, tmp_path, monkeypatch):
    writer(tmp_path / "own")("models/my_own.py")
    monkeypatch.chdir(tmp_path / "own")
    said = r"models/my_own\.py is in this folder: add --plugins \. to use it"
    with pytest.raises(LookupError, match=said):
        registry.find("models", "my-own")
    with pytest.raises(SuiteError, match=said):
        curves(suite.read("smoke"), Selection(models=["my_own"]))
    with pytest.raises(LookupError, match="Did you mean 'vae'"):
        registry.find("models", "vaes")
    _paths.add_plugins(".")
    assert registry.find("models", "my_own") and _scan.here("models", "my_own") == ""


def test_folders_that_are_none_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv(_paths.PLUGINS, str(tmp_path / "nowhere"))
    assert "nowhere is no folder" in registry.trouble("models")[0] and "vae" in registry.files("models")
    (tmp_path / "a:b" / "models").mkdir(parents=True)
    for given, words in (("nowhere", "is no folder"), (".", "Put a model file in"), ("a:b", "divides|separates")):
        with pytest.raises(FileNotFoundError, match=words):
            _paths.add_plugins(tmp_path / given)


def test_plugins_run_where_python_trusts_no_folder(tmp_path):
    write = writer(tmp_path / "plug")
    write("models/mine.py", f"{MODEL}\nfrom . import _parts\n"), write("models/_parts.py", "LATENT = 2\n")
    code = "from rdu_bench import registry; print(registry.load('models', 'mine').__name__)"
    env = {**os.environ, "PYTHONSAFEPATH": "1", _paths.PLUGINS: "plug"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Mine\n"


@pytest.mark.parametrize(
    ("kind", "name", "params", "words"),
    [
        ("model", "factor-vae", {"gama": 2}, "factor_vae takes no 'gama'. Did you mean 'gamma'"),
        ("model", "vae", {"latnt": 2}, "vae takes no 'latnt'. Did you mean 'latent'"),
        ("dataset", "digits", {"size": 2}, "digits takes no 'size'. It takes no parameters"),
        ("dataset", "sprites", {"sizes": 2}, "Did you mean 'size'"),
    ],
)
def test_an_unknown_parameter_is_one_sentence(kind, name, params, words):
    from rdu_bench.nn.networks import Spec

    given = (name, Spec((1, 8, 8))) if kind == "model" else (name,)
    with pytest.raises(TypeError, match=words) as said:
        getattr(registry, kind)(*given, **params)
    assert "\n" not in str(said.value)


def test_the_files_type_tells_what_a_parameter_can_be():
    latent = registry.parameters("models", "beta_vae")["latent"]
    assert latent.takes(3) and not any(map(latent.takes, ("3", 3.5, True, [3])))
    groups = registry.parameters("models", "hfvae")["groups"]
    assert groups.takes([2, 2]) and not groups.takes(2)
    assert "latent" in registry.parameters("models", "vae")  # inherited
    assert registry.parameters("datasets", "coloured") is None  # hands on what its base takes


@pytest.mark.parametrize("call", ["sys.exit(3)", "raise SystemExit"])
def test_a_plugin_that_would_end_the_process_is_a_plugin_error(plug, call):
    from rdu_bench.nn.networks import Spec

    plug("models/mine.py", f"import sys\n{MODEL}\n    def __init__(self, data):\n        {call}\n")
    plug("datasets/mine.py", "import sys\n" + DATA.format(field="").replace("pass", call))
    for make in (lambda: registry.model("mine", Spec((1, 8, 8))), lambda: registry.dataset("mine")):
        with pytest.raises(registry.PluginError, match="would end the process"):
            make()
