"""Every data set keeps every law, and every law has a fault that it is there to catch."""

from pathlib import Path

import pytest

from rdu_bench import _paths, registry
from rdu_bench.conformance import check
from rdu_bench.conformance.datasets import LAWS

OURS = sorted(path for path in Path(_paths.builtin("datasets")).glob("[a-z]*.py") if path.stem != "hdf5")
MADE = {"coloured", "digits", "linear_gaussian", "sprites"}  # others need files, with which tests of their own are made


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_every_data_set_keeps_every_law(path):
    lost = registry.missing_files(path.stem)
    if lost and path.stem not in MADE:
        pytest.skip(lost)
    found = check(path)
    assert [f.words for f in found if not f.ok] == []
    assert [f.law for f in found] == list(LAWS)


def test_files_that_are_missing_are_a_finding(monkeypatch):
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    [finding] = [f for f in check(Path(_paths.builtin("datasets")) / "mnist.py") if not f.ok]
    assert finding.law == "loads" and "mnist needs MNIST's IDX files" in finding.words


SOUND = '''
import numpy as np

from rdu_bench.api import Card, DataError, Entropy, Examples, Factor, GroundTruth, Source, check_counts, named_seed


class Mine(GroundTruth):
    """Two bits that are drawn, and one that is their sum."""

    card = Card(
        title="Mine",
        source="here",
        shape="1×1×3, binary",
        task="first",
        provides=("labels", "image", "binary"),
    )

    def load(self, *, examples: int = 900, chance: float = 0.5, order: str = "as drawn") -> None:
        check_counts("mine", examples=examples)
        if not isinstance(chance, float) or not 0 <= chance <= 1:
            raise DataError(f"mine: chance is {chance!r}; it must be from 0 to 1.")
        if order not in ("as drawn", "sorted"):
            raise DataError(f"mine: order is {order!r}; it must be 'as drawn' or 'sorted'.")
        draw = np.random.default_rng(named_seed("mine"))
        y = (draw.random((examples, 2)) < chance).astype(np.uint8)
        noise = (draw.random((examples, 1, 5, 5)) < 0.5).astype(np.uint8)
        x = np.concatenate([y[:, None, None, :], y[:, None, None, :1] ^ y[:, None, None, 1:]], -1)
        x = np.concatenate([x.repeat(5, 2), noise], -1)
        self.shape = (1, 5, 8)
        self.factors = (
            Factor("first", 2, independent=True, entropy=float(np.log(2))),
            Factor("second", 2, entropy=float(np.log(2))),
        )
        self.task = ("first",)
        cut = {"train": slice(0, 500), "val": slice(500, 600), "test": slice(600, 900)}
        every = Examples(x, {"first": y[:, 0], "second": y[:, 1]})
        self.splits = {part: every.subset(at) for part, at in cut.items()}
'''


def written(folder, text, name="mine"):
    path = folder / "datasets" / f"{name}.py"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


def changed(*pairs):
    text = SOUND
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def after(*lines):
    """SOUND with more lines at the end of `load`."""
    return SOUND + "".join(f"        {line}\n" for line in lines)


def source(body):
    """SOUND whose rows are made by a `Source` of its own."""
    made = f"""

class Rows(Source):
    def __init__(self, x):
        self.x, self.shape, self.dtype = x, x.shape, x.dtype

    def __getitem__(self, rows):
        {body}
"""
    return changed(("every = Examples(x,", "every = Examples(Rows(x),")) + made


def test_a_sound_data_set_has_no_findings(tmp_path):
    assert [f.words for f in check(written(tmp_path, SOUND)) if not f.ok] == []


def test_a_sound_source_has_no_findings(tmp_path):
    assert [f.words for f in check(written(tmp_path, source("return self.x[rows]"))) if not f.ok] == []


FAULTS = {
    "a name that is taken": (SOUND, "file name", "built in"),
    "an import past the api": ("import rdu_bench.data\n" + SOUND, "imports", "rdu_bench.api alone"),
    "an import of another": ("from rdu_bench import registry\n" + SOUND, "imports", "rdu_bench.registry"),
    "no source": (changed(('source="here"', 'source=""')), "card", "lacks source"),
    "a cell there is not": (changed(('title="Mine"', 'title="Mine", paper="1"')), "card", "no cell 'paper'"),
    "a card that is no literal": (changed(('title="Mine"', "title=str(1)")), "card", "not a literal"),
    "no card": (changed(("    card = Card(", "    about = Card(")), "card", "has no card"),
    "an entropy of no kind": (changed(('task="first",', 'task="first", entropy="some",')), "card", "'differential'"),
    "no docstring": (
        changed(('"""Two bits that are drawn, and one that is their sum."""', "")),
        "docstring",
        "what the",
    ),
    "two in a file": (SOUND + "\n\nclass Other(GroundTruth):\n    pass\n", "one class", "exactly one"),
    "a parameter by position": (changed(("self, *, examples", "self, examples")), "parameters", "by position"),
    "a parameter without default": (changed(("chance: float = 0.5", "chance: float")), "parameters", "no default"),
    "a file that is not there": (after("raise DataError('mine: there is no x.h5.')"), "loads", "no x.h5"),
    "an exception": (after("raise KeyError('my fault')"), "loads", "my fault"),
    "text for a class": (changed(('{"first": y[:, 0]', '{"first": y[:, 0].astype(str)')), "loads", "holds text"),
    "grey under a Bernoulli": (changed(("every = Examples(x", "every = Examples(x * 0.5")), "sound", "0 and 1 only"),
    "NaN": (changed(("every = Examples(x", "every = Examples(x + np.nan")), "sound", "NaN"),
    "classes from 1": (changed(('"first": y[:, 0]', '"first": y[:, 0] + 1')), "sound", "from 0 to 1"),
    "no method of that name": (
        changed(("def load(", "def laod(")),
        "one class",
        "no method 'load': mend the name of 'laod'",
    ),
    "no shape": (after("self.shape = ()"), "sound", "load sets no shape"),
    "a likelihood there is not": (after("self.likelihood = 'Bernouli'"), "sound", "'bernoulli' or 'gaussian'"),
    "a task that is one word": (after("self.task = 'first'"), "sound", "such as ('first',)"),
    "a factor for a tuple of them": (after("self.factors = self.factors[0]"), "sound", "it is a tuple of Factors"),
    "another shape": (changed(("(1, 5, 8)", "(1, 8, 5)")), "sound", "shape"),
    "no validation": (after("del self.splits['val']"), "sound", "no val split"),
    "a task that is none": (changed(('self.task = ("first",)', 'self.task = ("third",)')), "sound", "no factor"),
    "a split without a factor": (
        after("self.splits['val'] = self.splits['val'].relabelled({})"),
        "sound",
        "it has the factors []",
    ),
    "drawn anew every time": (
        changed(('default_rng(named_seed("mine"))', "default_rng()")),
        "the same every time",
        "differs between two",
    ),
    "drawn from everybody's generator": (
        changed(("noise = (draw.random(", "noise = (np.random.random(")),
        "the same every time",
        "numpy.random's own generator",
    ),
    "labels drawn anew": (
        changed(('"second": y[:, 1]', '"second": np.random.default_rng().permutation(y[:, 1])')),
        "the same every time",
        "train differs",
    ),
    "a seed for all": (after("np.random.seed(0)"), "the same every time", "own generator"),
    "test rows in train": (
        changed(("slice(600, 900)", "slice(400, 700)")),
        "splits apart",
        "100 rows are both in train",
    ),
    "pictures that are there many times": (
        changed(
            (
                "self.shape = (1, 5, 8)",
                "x, y = x[np.arange(examples) % 90], y[np.arange(examples) % 90]; self.shape = (1, 5, 8)",
            )
        ),
        "splits apart",
        "100% of test are in train too",
    ),
    "test is a copy of train": (
        after("self.splits['test'] = Examples(self.splits['train'].stored(), self.splits['train'].factors)"),
        "splits apart",
        "of test are in train",
    ),
    "rows in the order of the file": (
        source("return self.x[np.sort(rows)]"),
        "rows are rows",
        "in the order asked for",
    ),
    "each row once": (source("return self.x[np.unique(rows)]"), "rows are rows", ""),
    "rows that depend on their number": (source("return self.x[rows] ^ (len(rows) % 2)"), "rows are rows", "seven"),
    "rows of another kind": (source("return self.x[rows].astype(np.int32)"), "rows are rows", "dtype says"),
    "an entropy that is not": (
        changed(("entropy=float(np.log(2))),\n            F", "entropy=0.3),\n            F")),
        "entropies",
        "H(first) is given",
    ),
    "H(x) without a number": (after("self.entropy = Entropy(None, 'exact')"), "entropies", "H(x) = None"),
    "H(x) that the card does not promise": (after("self.entropy = Entropy(9.0, 'exact')"), "entropies", "card says"),
    "factors that are not independent": (
        changed(('"second": y[:, 1]', '"second": y[:, 0]')),
        "entropies",
        "independent",
    ),
    "a promise that is not kept": (changed(('"binary")', '"binary", "groups")')), "provides what it says", "groups"),
    "more than is promised": (changed(('("labels", "image"', '("image"')), "provides what it says", "labels"),
    "examples of other factors": (
        SOUND + "\n    def sample_observations_from_factors(self, factors, random_state):\n"
        "        return super().sample_observations_from_factors(1 - factors, random_state)\n",
        "factors can be chosen",
        "none of those",
    ),
    "an exception of Python's": (
        changed(("if not isinstance(chance, float) or not 0 <= chance", "if not 0 <= chance")),
        "bad parameters",
        "chance = 'x': raised TypeError",
    ),
    "a traceback of lines": (
        changed(("it must be from 0 to 1.", "it must be\\nfrom 0 to 1.")),
        "bad parameters",
        "one sentence",
    ),
    "a word where a number is": (
        changed(('        check_counts("mine", examples=examples)\n', "        examples = 900\n")),
        "bad parameters",
        "taken without a word",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_law_catches_its_fault_in_words(fault, tmp_path):
    text, law, words = FAULTS[fault]
    found = check(written(tmp_path, text, "digits" if fault == "a name that is taken" else "mine"))
    told = [f.words for f in found if f.law == law and not f.ok]
    assert told, f"not caught; broken were {[f for f in found if not f.ok]}"
    assert words in "\n".join(told)


def test_every_law_has_a_fault():
    assert {law for _, law, _ in FAULTS.values()} == set(LAWS)
