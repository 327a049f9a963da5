"""Modules stay short, functions take few parameters, and nothing is handed on as an untyped bundle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("rdu_bench", "models", "probes", "datasets")
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in FILES.items()}
MOST_LINES, MOST = 300, 6

LONG: dict[str, int] = {}  # modules that are longer for a reason, with the lines they may have
WIDE = {  # functions of more parameters, with the reason; of models and data sets, parameters are what a suite sets
    "rdu_bench/cli/run.py:run": "each parameter is an option of the command line",
    "rdu_bench/engine/run.py:run": "the public function with the same options",
    "rdu_bench/encoder/estimator.py:Encoder.__init__": "parameters of an estimator of scikit-learn",
    "rdu_bench/scores/codelength.py:n_label_curve": "two pairs of arrays and options",
    "rdu_bench/scores/codelength.py:prequential_codelength": "a pair of arrays and options",
    "rdu_bench/scores/codelength.py:least_loss": "three pairs of arrays and options",
}
BUNDLES = {  # `**name: Any`, with the reason; `**params` are parameters of a plug-in, held to its signature
    "network": "fields of a Spec",
    "changes": "fields of a Spec",
    "changed": "parameters of a data set",
    "kwargs": "keywords of a function of torch that is stood in for",
    "look": "keywords of matplotlib",
}
NAMES = ("utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "stuff")
WORDS = ("announce", "foretell", "_deaf", "thrift", "taken as told")


def functions():
    """(file, qualified name, node) of every function."""

    def walk(name, node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, ".".join([*inside, child.name]), child
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from walk(name, child, [*inside, child.name] if named else inside)

    for name, tree in TREES.items():
        yield from walk(name, tree, [])


FUNCTIONS = list(functions())


def parameters(node):
    """Number of parameters, without self or cls."""
    given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([a for a in given if a not in ("self", "cls")])


def test_modules_are_short():
    long = {name: len(text.splitlines()) for name, text in FILES.items() if len(text.splitlines()) > MOST_LINES}
    assert {name: lines for name, lines in long.items() if lines > LONG.get(name, MOST_LINES)} == {}
    assert set(LONG) <= set(long), "no longer long: take it off the list"


def set_by_suites(name, what):
    """Whether the parameters of a function are those of a plug-in."""
    return (name.startswith("models/") and what.endswith(".__init__")) or (
        name.startswith("datasets/") and what.endswith(".load")
    )


def test_functions_take_few_parameters():
    wide = {f"{name}:{what}" for name, what, f in FUNCTIONS if parameters(f) > MOST and not set_by_suites(name, what)}
    assert wide == set(WIDE), "a function of more than six parameters, or one listed that has no more than six"


def test_no_function_is_handed_an_untyped_bundle():
    """`**how: Any` hides what a function takes."""
    bundles = {
        f"{name}:{what}": node.args.kwarg.arg
        for name, what, node in FUNCTIONS
        if node.args.kwarg is not None and ast.unparse(node.args.kwarg.annotation or ast.Name("Any")) == "Any"
    }
    assert {where for where, name in bundles.items() if name not in ("params", *BUNDLES)} == set()
    assert set(BUNDLES) <= set(bundles.values())


@pytest.mark.parametrize("name", FILES)
def test_files_are_named_after_what_they_are(name):
    assert not set(Path(name).stem.strip("_").split("_")) & set(NAMES)


def test_text_that_is_read_or_written_names_its_encoding():
    bare = []
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = {"read_text": 0, "write_text": 1}.get(node.func.attr)  # of the argument that names it
                named = any(keyword.arg == "encoding" for keyword in node.keywords)
                if place is not None and len(node.args) <= place and not named:
                    bare.append(f"{name}, line {node.lineno}")
    assert bare == []


@pytest.mark.parametrize("word", WORDS)
def test_words_that_are_no_terms_of_the_field_are_gone(word):
    assert [name for name, text in FILES.items() if word in text] == []
