"""What is wrong with a probe file, in words: a head reads what a code says, all of it that it can, and nothing else."""

from __future__ import annotations

import ast
import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal

from ..budget import Budget
from ..data import Factor
from ..probe import Head, Probe, ProbeCard, Target
from .plugin import Law, Problems, Subject, card_cells, file_name, imports, law_name, one_class
from .reach import reaches_nothing_else

BUDGET = Budget.model_validate({"steps": 1, "head_steps": 300})
FIT, VAL, TEST, D = 600, 200, 400, 3  # examples, and the size of their codes
SAME = 1e-3  # nats by which losses of the same head may differ
PLACES = 4096  # of a real factor, at which a density is looked at
CLASSES = 4  # of which the last is never seen in fit


class ProbeSubject(Subject):
    """A probe file under examination, and codes to read."""

    folder = "probes"
    base = Probe

    def codes(self, seed: int = 0, draws: int = 2) -> dict[str, Tensor]:
        """z (S, N, d) of fit, val and test: three classes and two reals on it, with noise."""
        generator = torch.Generator().manual_seed(seed)
        n = FIT + VAL + TEST
        y, r = torch.arange(n) % (CLASSES - 1), torch.randn(n, 2, generator=generator)
        place = torch.tensor([[-1.5, 0.0], [0.0, 1.5], [1.5, 0.0]])[y] + 0.5 * r
        x = torch.cat([place, r.sum(1, keepdim=True)], 1)
        z = x + 0.3 * torch.randn(draws, n, D, generator=generator)
        cut = dict(zip(("fit", "val", "test"), z.split([FIT, VAL, TEST], 1), strict=True))
        return cut | {"y": y, "r": r}

    def targets(self, codes: dict[str, Tensor], *, shuffled: bool = False) -> list[Target]:
        """A class and a real factor of these codes."""
        order = torch.randperm(FIT + VAL, generator=torch.Generator().manual_seed(5))
        y, r = (codes[k][: FIT + VAL][order] if shuffled else codes[k][: FIT + VAL] for k in "yr")
        factors = (Factor("y", CLASSES), y), (Factor("r", 2, kind="real"), r)
        return [Target(factor, values[:FIT], values[FIT:]) for factor, values in factors]

    def heads(self, codes: dict[str, Tensor], targets: list[Target], seed: int = 0) -> list[Head]:
        """What a new probe learns of them."""
        made: Probe = self.kind(**self.params)
        return made.fit(codes["fit"], codes["val"], targets, seed=seed, budget=BUDGET)


def _truth(codes: dict[str, Tensor]) -> list[Tensor]:
    return [codes["y"][FIT + VAL :], codes["r"][FIT + VAL :]]


def _log_prob(predicted: Distribution, y: Tensor) -> Tensor:
    """(S, N) as the measurement takes it."""
    return predicted.log_prob(y if isinstance(predicted, Categorical) else y.double())


def _losses(heads: list[Head], codes: dict[str, Tensor], z: Tensor | None = None) -> list[float]:
    z = codes["test"] if z is None else z
    return [-float(_log_prob(h.predict(z), y).mean()) for h, y in zip(heads, _truth(codes), strict=True)]


# ---- the file ------------------------------------------------------------------------------------------------------


def card(subject: ProbeSubject) -> Problems:
    """The card is complete, and of literals."""
    cells, wrong = card_cells(subject, "card", ProbeCard._fields)
    yield from wrong
    if cells is None:
        if not wrong:
            yield 'the class has no card; add `card = ProbeCard(title="…", family="…")`'
        return
    for cell in ("title", "family"):
        if not cells.get(cell):
            yield f"card lacks {cell}: it is what the table of probes shows"


def docstring(subject: ProbeSubject) -> Problems:
    """The docstring says what the head is."""
    classes = [node for node in subject.tree.body if isinstance(node, ast.ClassDef)]
    if not any(map(ast.get_docstring, classes)):
        yield "the class has no docstring; say what p(y|z) is and what is chosen on validation"


# ---- the heads -----------------------------------------------------------------------------------------------------


def a_head_a_factor(subject: ProbeSubject) -> Problems:
    """There is a head for every factor, which gives p(y|z) of every draw of every code, and says what it chose."""
    codes = subject.codes()
    targets = subject.targets(codes)
    heads = subject.heads(codes, targets)
    if not isinstance(heads, list | tuple) or not all(isinstance(head, Head) for head in heads):
        of = f" of {type(heads[0]).__name__}" if isinstance(heads, list | tuple) and len(heads) else ""
        yield f"fit returns a {type(heads).__name__}{of}; it returns one Head a target: [Head(predict, {{}}), …]"
        return
    if len(heads) != len(targets):
        yield f"fit returns {len(heads)} heads for {len(targets)} factors"
        return
    for head, target, y in zip(heads, targets, _truth(codes), strict=True):
        for z in (codes["test"], codes["test"][:1], codes["test"].repeat(3, 1, 1)[:5, :7], codes["val"][:, :1]):
            predicted = head.predict(z)
            if not isinstance(predicted, Distribution):
                yield (
                    f"the head of {target.factor.name} predicts a {type(predicted).__name__}; it predicts a "
                    "distribution given z, such as Categorical(logits=…)"
                )
                return
            found = _log_prob(predicted, y[: z.shape[1]])
            if found.shape != z.shape[:2]:
                yield (
                    f"log p(y|z) of {target.factor.name} has shape {tuple(found.shape)} for z {tuple(z.shape)}; it is "
                    f"{tuple(z.shape[:2])}: a number for each draw of each code, averaged over none"
                )
                return
            if not bool(found.isfinite().all()):
                yield f"log p(y|z) of {target.factor.name} is not finite"
                return
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in head.settings.values()):
            yield f"the settings of {target.factor.name} are {head.settings}: finite numbers by name"


def reads(subject: ProbeSubject) -> Problems:
    """It reads of a code more than the frequencies of the factor."""
    codes = subject.codes()
    found = _losses(subject.heads(codes, subject.targets(codes)), codes)
    real = codes["r"][FIT + VAL :]
    nothing = [math.log(CLASSES - 1), float(0.5 * (2 * math.pi * math.e * real.var(0)).log().sum())]
    for name, loss, null in zip(("a class", "a real factor"), found, nothing, strict=True):
        if not loss < null - 0.1:
            yield f"of {name} that the code says plainly it reads nothing: D_y = {loss:.3g} nats, {null:.3g} without"


def draws_apart(subject: ProbeSubject) -> Problems:
    """What is predicted from a draw depends on no other draw and no other code."""
    codes = subject.codes(draws=3)
    for head, target, y in zip(
        subject.heads(codes, subject.targets(codes)), subject.targets(codes), _truth(codes), strict=True
    ):
        together = _log_prob(head.predict(codes["test"]), y)
        alone = torch.cat([_log_prob(head.predict(z[None]), y) for z in codes["test"]])
        few = _log_prob(head.predict(codes["test"][:, :9]), y[:9])
        if not torch.allclose(together, alone, atol=SAME):
            yield (
                f"p(y|z) of {target.factor.name} changes with the draws beside it: averages over draws carry more "
                "than the code did"
            )
        elif not torch.allclose(together[:, :9], few, atol=SAME):
            yield f"p(y|z) of {target.factor.name} changes with the other codes it is asked for"


def shuffled_labels(subject: ProbeSubject) -> Problems:
    """Labels that have nothing to do with the code are not read from it."""
    codes = subject.codes()
    heads = subject.heads(codes, subject.targets(codes, shuffled=True))
    order = torch.randperm(TEST, generator=torch.Generator().manual_seed(6))
    real = codes["r"]
    nothing = [math.log(CLASSES - 1), float(0.5 * (2 * math.pi * math.e * real.var(0)).log().sum())]
    for head, y, null in zip(heads, _truth(codes), nothing, strict=True):
        gained = null + _log_prob(head.predict(codes["test"]), y[order]).mean(0)
        error = float(gained.std()) / math.sqrt(TEST)
        if float(gained.mean()) > 5 * error + 0.02:
            yield f"of shuffled labels it reads {float(gained.mean()):.3g} nats: it sees more than z and y of fit"


def densities_have_a_mass_of_1(subject: ProbeSubject) -> Problems:
    """What is predicted of a real factor is a density: no constant is missing, and none is added."""
    codes = subject.codes()
    head = subject.heads(codes, subject.targets(codes))[1]
    generator = torch.Generator().manual_seed(7)
    y = 1.5 * torch.randn(PLACES, 2, generator=generator, dtype=torch.float64)  # wider than the factor, which has 1
    near = Normal(0.0, y.new_tensor(1.5)).log_prob(y).sum(-1)
    for i in range(3):
        z = codes["test"][:1, i : i + 1].expand(1, PLACES, D)
        weights = (_log_prob(head.predict(z), y)[0].double() - near).exp()
        mass, error = float(weights.mean()), float(weights.std()) / math.sqrt(PLACES)
        if abs(mass - 1) > 0.1 + 5 * error:
            yield f"p(y|z) of the real factor r has a mass of {mass:.3g}, not 1: give a density with all its factors"
            return


def columns_of_zeros(subject: ProbeSubject) -> Problems:
    """Columns of zeros change no head."""
    codes = subject.codes()
    wide: dict[str, Any] = {k: torch.nn.functional.pad(codes[k], (0, 2)) for k in ("fit", "val", "test")}
    targets = subject.targets(codes)
    narrow = _losses(subject.heads(codes, targets), codes)
    filled = _losses(subject.heads(codes | wide, targets), codes, wide["test"])
    for target, a, b in zip(targets, narrow, filled, strict=True):
        if abs(a - b) > SAME:
            yield f"two columns of zeros change D_y of {target.factor.name} from {a:.4g} to {b:.4g} nats"


def alone_or_beside(subject: ProbeSubject) -> Problems:
    """A code and a factor are read as they are alone, whatever is fitted beside them."""
    first, second = subject.codes(), subject.codes(seed=1)
    targets = subject.targets(first)
    pair = [torch.stack([first[k], 2 * second[k]]) for k in ("fit", "val")]
    made: Probe = subject.kind(**subject.params)
    many = made.fit_many(pair[0], pair[1], targets, seed=0, budget=BUDGET)
    if len(many) != 2 or any(len(heads) != len(targets) for heads in many):
        yield "fit_many gives not one list of heads a code, with one head a factor"
        return
    alone, beside = _losses(subject.heads(first, targets), first), _losses(many[0], first)
    for target, a, b in zip(targets, alone, beside, strict=True):
        if abs(a - b) > SAME:
            yield f"beside another code D_y of {target.factor.name} is {b:.4g} nats, alone {a:.4g}"
    [only] = subject.heads(first, targets[:1])
    single = -float(_log_prob(only.predict(first["test"]), _truth(first)[0]).mean())
    if abs(single - alone[0]) > SAME:
        yield f"beside another factor D_y of {targets[0].factor.name} is {alone[0]:.4g} nats, alone {single:.4g}"


def unseen_classes(subject: ProbeSubject) -> Problems:
    """A class that fit lacks costs much, but not infinity."""
    codes = subject.codes()
    head = subject.heads(codes, subject.targets(codes))[0]
    unseen = torch.full((TEST,), CLASSES - 1)
    if not bool(_log_prob(head.predict(codes["test"]), unseen).isfinite().all()):
        yield "log p(y|z) of a class that fit lacks is −∞: give every class a probability"


def constant_codes(subject: ProbeSubject) -> Problems:
    """A code that says nothing is read without trouble."""
    codes = subject.codes()
    still = {k: torch.zeros(*codes[k].shape[:2], 1) for k in ("fit", "val", "test")}
    heads = subject.heads(codes | still, subject.targets(codes))
    if not all(map(math.isfinite, _losses(heads, codes, still["test"]))):
        yield "of a constant code log p(y|z) is not finite"


def the_same_every_time(subject: ProbeSubject) -> Problems:
    """The seed fixes what is learned, whatever the state of other generators."""
    codes = subject.codes()
    targets = subject.targets(codes)
    torch.manual_seed(1)
    first = _losses(subject.heads(codes, targets), codes)
    torch.manual_seed(2)
    second = _losses(subject.heads(codes, targets), codes)
    if first != second:
        yield f"one seed gives D_y = {first} and then {second}: draw from torch.Generator().manual_seed(seed)"


STAGES: tuple[tuple[Law, ...], ...] = (
    (file_name, imports, card, docstring, reaches_nothing_else),
    (one_class,),
    (a_head_a_factor,),
    (
        reads,
        draws_apart,
        shuffled_labels,
        densities_have_a_mass_of_1,
        columns_of_zeros,
        alone_or_beside,
        unseen_classes,
        constant_codes,
        the_same_every_time,
    ),
)
LAWS = tuple(law_name(law) for stage in STAGES for law in stage)
