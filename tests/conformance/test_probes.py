"""Every probe keeps every law, and every law has a fault that it is there to catch."""

from pathlib import Path

import pytest

from rdu_bench import _paths
from rdu_bench.conformance import check
from rdu_bench.conformance.probes import LAWS
from rdu_bench.conformance.scaffold import new
from rdu_bench.conformance.templates import PROBE

FAST = [path for path in sorted(Path(_paths.builtin("probes")).glob("*.py")) if path.stem != "boosted_trees"]
SOUND = PROBE.format(title="Mine", stem="mine")


@pytest.mark.parametrize("path", FAST, ids=lambda path: path.stem)
def test_every_probe_keeps_every_law(path):
    found = check(path)
    assert [f.words for f in found if not f.ok] == []
    assert [f.law for f in found] == list(LAWS)


@pytest.mark.slow
def test_boosted_trees_keep_every_law():
    test_every_probe_keeps_every_law(Path(_paths.builtin("probes")) / "boosted_trees.py")


def changed(*pairs):
    text = SOUND
    for old, new_ in pairs:
        assert old in text, old
        text = text.replace(old, new_)
    return text


def method(text):
    """SOUND with one more method."""
    return changed(("    def fit(self, fit", f"{text}\n    def fit(self, fit"))


FIT = '[(classes if t.factor.kind == "class" else reals)(fit.double(), t) for t in targets]'
PREDICT = "near = MultivariateNormal(mean, spread).log_prob(z.double()[..., None, :])"

FAULTS = {
    "a name that is taken": (SOUND, "file name", "built in"),
    "an import past the api": ("import rdu_bench.measure\n" + SOUND, "imports", "rdu_bench.api alone"),
    "no family": (changed((', family="π_y N(z; μ_y, Σ), N(W z + b, Σ)"', "")), "card", "lacks family"),
    "no card": (changed(("card = ProbeCard(", "about = ProbeCard(")), "card", "has no card"),
    "a card by position": (changed(('ProbeCard(title="Mine"', 'ProbeCard("Mine"')), "card", "keyword arguments"),
    "no docstring": (changed(('    """A Gaussian of z', '    note = """A Gaussian of z')), "docstring", "p(y|z)"),
    "no probe": (changed(("class Mine(Probe):", "class Mine:")), "one class", "exactly one"),
    "an exception": (changed((f"return {FIT}", "raise KeyError('my fault')")), "a head a factor", "my fault"),
    "no method of that name": (
        changed(("def fit(", "def fitt(")),
        "one class",
        "no method 'fit': mend the name of 'fitt'",
    ),
    "no heads": (
        changed((f"return {FIT}", FIT)),
        "a head a factor",
        "fit returns a NoneType; it returns one Head a target",
    ),
    "functions for heads": (
        changed((f"return {FIT}", f"return [head.predict for head in {FIT}]")),
        "a head a factor",
        "fit returns a list of function",
    ),
    "numbers for a distribution": (
        changed((f"return {FIT}", f"return [Head(lambda z: z, {{}}) for head in {FIT}]")),
        "a head a factor",
        "the head of y predicts a Tensor; it predicts a distribution",
    ),
    "heads of the first alone": (changed((FIT, FIT + "[:1]")), "a head a factor", "1 heads for 2"),
    "means over draws in predict": (
        changed((PREDICT, f"z = z.mean(0, keepdim=True)\n        {PREDICT}")),
        "a head a factor",
        "a number for each draw",
    ),
    "means over draws that keep the shape": (
        changed((PREDICT, f"z = z.mean(0, keepdim=True).expand_as(z)\n        {PREDICT}")),
        "draws apart",
        "averages over draws",
    ),
    "statistics of the codes asked for": (
        changed((PREDICT, f"z = z - z.mean(1, keepdim=True)\n        {PREDICT}")),
        "draws apart",
        "other codes",
    ),
    "NaN": (
        changed(
            ("return Categorical(logits=near", "return Categorical(validate_args=False, logits=float('nan') * near")
        ),
        "a head a factor",
        "not finite",
    ),
    "settings that are no numbers": (
        changed(("Head(predict, {})", "Head(predict, {'kind': 'gauss'})")),
        "a head a factor",
        "finite numbers",
    ),
    "nothing is read": (changed(("near + counts.log()", "0 * near + counts.log()")), "reads", "it reads nothing"),
    "a plane without a slope": (
        changed(("with_ones(z.double()) @ plane", "0 * with_ones(z.double()) @ plane")),
        "reads",
        "a real factor",
    ),
    "labels that are known": (
        changed(
            ("return [(classes", "self.know = None\n        return [(classes"),
            ("return Categorical(logits=near + counts.log())", "return Told(z, near + counts.log())"),
        )
        + '''

class Told(Categorical):
    """A head that is right whatever y is."""

    def __init__(self, z, logits):
        super().__init__(logits=logits)

    def log_prob(self, y):
        return torch.zeros(self.logits.shape[:-1], dtype=torch.float64)
''',
        "shuffled labels",
        "sees more than",
    ),
    "labels of the data set": (
        changed(("from rdu_bench.api import Budget", "from rdu_bench.api import dataset, Budget")),
        "reaches nothing else",
        "imports dataset",
    ),
    "data of a library": ("from sklearn import datasets\n" + SOUND, "reaches nothing else", "sklearn.datasets"),
    "whoever calls": ("import inspect\n" + SOUND, "reaches nothing else", "those of test never"),
    "half of a normaliser": (
        changed(
            (
                "return Head(lambda z: MultivariateNormal(with_ones(z.double()) @ plane, spread), {})",
                "return Head(lambda z: Sharp(with_ones(z.double()) @ plane, spread), {})",
            )
        )
        + """

class Sharp(MultivariateNormal):
    def log_prob(self, y):
        return super().log_prob(y) - 0.5 * self.covariance_matrix.logdet()
""",
        "densities have a mass of 1",
        "give a density",
    ),
    "a spread over all columns": (
        changed(("    mean = hot.T", "    z = z + 0.1 * z.shape[1]\n    mean = hot.T")),
        "columns of zeros",
        "change D_y of y",
    ),
    "codes that are mixed": (
        method(
            "    def fit_many(self, fit, val, targets, *, seed, budget):\n"
            "        fit = fit.mean(0, keepdim=True).expand_as(fit)\n"
            "        return super().fit_many(fit, val, targets, seed=seed, budget=budget)\n"
        ),
        "alone or beside",
        "beside another code",
    ),
    "codes that are lost": (
        method("    def fit_many(self, fit, val, targets, *, seed, budget):\n        return []\n"),
        "alone or beside",
        "one list of heads a code",
    ),
    "factors that are mixed": (
        changed((f"return {FIT}", f"fit = fit + (len(targets) - 1)\n        return {FIT}")),
        "alone or beside",
        "beside another factor",
    ),
    "a class without a probability": (changed(("counts.log()", "(counts - 0.5).log()")), "unseen classes", "−∞"),
    "a code without spread": (
        changed((" + 1e-6 * torch.eye(residual.shape[1], dtype=residual.dtype)", "")),
        "constant codes",
        "",
    ),
    "noise that no seed repeats": (
        changed((f"return {FIT}", f"fit = fit + 0.01 * torch.randn_like(fit)\n        return {FIT}")),
        "the same every time",
        "one seed gives",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_law_catches_its_fault_in_words(fault, tmp_path):
    text, law, words = FAULTS[fault]
    path = tmp_path / "probes" / ("knn.py" if fault == "a name that is taken" else "mine.py")
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    found = check(path)
    told = [f.words for f in found if f.law == law and not f.ok]
    assert told, f"not caught; broken were {[f for f in found if not f.ok]}"
    assert words in "\n".join(told)


def test_every_law_has_a_fault():
    assert {law for _, law, _ in FAULTS.values()} == set(LAWS)


def test_the_file_to_start_from_is_the_sound_one(tmp_path):
    assert new("probe", "mine", tmp_path).read_text("utf-8") == SOUND
