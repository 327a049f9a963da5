"""What is wrong with a model file, in words: every law that training, measuring and records rely on.

The laws run from the file to its class, from the class to one batch, and from there to a short training on digits.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from dataclasses import replace

import torch

from .. import _near, registry
from .._claims import claims
from ..data import Dataset
from ..model import Model, Row, Terms
from ..nn.networks import Spec
from ..training import Control, Trained, Training, fit, train_at
from ..training.fitting import put_at
from ..training.posthoc import comes_after
from . import model_densities, model_hooks, model_rates, model_receiver, model_terms, reach
from .model_subject import CHANNELS, ModelSubject, specs
from .plugin import (
    NEEDS,
    Law,
    Problems,
    blame,
    card_cells,
    file_name,
    first_wrong,
    imports,
    law_name,
    one_class,
    parameters_of,
)

PAPER = re.compile(r"\d{4}\.\d{4,5}|[A-Za-z0-9_-]{8,12}|10\.\d{4,9}/\S+")  # arXiv id, OpenReview id, or DOI
CITED = re.compile(r"(?:arXiv:|openreview |doi:)([\w./-]*\w)", re.IGNORECASE)
LABELS = {"", "optional", "required"}
TRAINING = Training(steps=300, batch=100)
BALL = {"frames": 4, "places": 6, "directions": 8, "n_train": 600, "n_val": 100, "n_test": 100}
LONGER = replace(TRAINING, steps=3 * TRAINING.steps)  # the rate of a game takes more steps to settle
TWINS = replace(TRAINING, steps=5)


def row(subject: ModelSubject) -> Problems:
    """The row is complete, and of literals."""
    cells, wrong = card_cells(subject, "row", Row._fields)
    yield from wrong
    if cells is None:
        if not wrong:
            yield 'the class has no row; add `row = Row(paper="1312.6114", title="VAE", objective="D + R")`'
        return
    paper = cells.get("paper") or ""
    if not PAPER.fullmatch(paper):
        yield f"paper = {paper!r}: give the arXiv id (1312.6114), OpenReview id (Sy2fzU9gl) or DOI that defines it"
    for cell in ("title", "objective"):
        if not cells.get(cell):
            yield f"row lacks {cell}: it is what the table of models shows"
    if (labels := cells.get("labels", "")) not in LABELS:
        yield f"labels = {labels!r}: it is '', 'optional' or 'required'"
    if not isinstance(needs := cells.get("needs", ()), tuple) or set(needs) - set(NEEDS):
        yield f"needs = {needs!r}: it is a tuple of {', '.join(map(repr, sorted(NEEDS)))}"
    with suppress(ValueError):  # one that cannot be read is told already
        for claim in claims(cells.get("claim") or ""):
            name = claim.reference
            beside = subject.path.with_name(f"{name}.py").is_file()
            if name and not beside and name not in registry.files("models"):
                yield f"claim {claim.text!r}: there is no model {name!r}.{_near.near('models', name)}"


def docstring(subject: ModelSubject) -> Problems:
    """The docstring states the loss and cites the row's paper."""
    classes = [n for n in subject.tree.body if isinstance(n, ast.ClassDef)]
    doc = "\n".join(d for d in map(ast.get_docstring, classes) if d)
    if not re.search(r"\S +(=|∝|≥) +\S|min_", doc):
        yield "the class's docstring states no equation; write the loss, `L = D + R + …`, in an indented line"
    cited = CITED.findall(doc)
    found = re.search(r"paper=['\"]([^'\"]+)", subject.text)
    if found and found[1] not in cited:
        said = ", ".join(cited) or "nothing"
        yield f"row says paper {found[1]}, the docstring cites {said}: make them agree, as in (arXiv:{found[1]})"


def parameters(subject: ModelSubject) -> Problems:
    """Hyper-parameters are keyword-only and have defaults, and it is built in both families of networks."""
    yield from parameters_of(subject.kind.__init__, given=2)  # self and data
    failed: dict[str, list[str]] = {}
    for spec in specs(subject):
        try:
            model = subject.new(spec)
        except Exception as error:
            failed.setdefault(blame(error, subject).removeprefix("raised "), []).append(
                f"{spec.family} networks and {spec.likelihood} data"
            )
        else:
            if model.channel not in CHANNELS:
                yield f"channel = {model.channel!r}: it is one of {', '.join(sorted(CHANNELS))}"
    yield from (f"cannot be built for {' or '.join(where)}: {said}" for said, where in failed.items())


# ---- training ------------------------------------------------------------------------------------------------------


def _practice(row: Row) -> tuple[str, dict[str, int]]:
    """The smallest data set that has what a model needs, with its parameters."""
    if "sequence" in row.needs:
        return "bouncing_ball", BALL
    return "sprites" if "factors" in row.needs else "coloured" if "groups" in row.needs else "digits", {}


def learns(subject: ModelSubject) -> Problems:
    """Training on few data lowers its loss, if that is no game, the same way every time, and a rate target is met."""
    name, params = _practice(subject.row)
    data = registry.dataset(name, **params)
    spec = data.spec(hidden=(64,), latent=10)
    model = subject.new(spec)
    before = _score(model, data)
    free = fit(model, data, None, TRAINING)
    if free.control.status == "diverged":
        yield f"training diverged: {free.control.reason}"
        return
    after = _score(model, data)
    if model.learns_distortion and not after < before - 1e-3 * abs(before):
        yield f"the loss does not fall in {TRAINING.steps} steps on {name}: {before:.4g} nats before, {after:.4g} after"
    yield from model_densities.overfull(model, data.view("val", model.row, slice(16)).batch())
    twins = [fit(subject.new(spec), data, None, TWINS).model for _ in range(2)]
    if not all(torch.equal(a, b) for a, b in zip(*(t.parameters() for t in twins), strict=True)):
        yield "two trainings with one seed give different weights: draw noise from torch.rand* alone"
    yield from _reaches(subject, free, data, spec)


def _reaches(subject: ModelSubject, free: Trained, data: Dataset, spec: Spec) -> Problems:
    """Half the rate it takes by itself beside what it is told, which any price on R must lead to; none has no half."""
    if comes_after(free.model):
        sigma, found = 4.0, put_at(free, data, 4.0, TRAINING).control
    elif free.control.R_train >= 1:
        told = _side(free.model, data)
        sigma = told + (free.control.R_train - told) / 2
        found = train_at(subject.new(spec), data, sigma, TRAINING).control
        if _missed(found):
            found = train_at(subject.new(spec), data, sigma, LONGER).control
    else:
        return
    if _missed(found):
        yield (
            f"asked for {sigma:.3g} nats it gives {found.R_train:.3g} ({found.status}): its rate must follow a "
            "price on R, so let R's gradient reach the encoder and keep the regularizer from setting R"
        )


def _missed(control: Control) -> bool:
    """Whether the rate is further off its target than so short a training explains."""
    return control.rate_err is None or abs(control.rate_err) > 0.2


@torch.no_grad()
def _side(model: Model, data: Dataset) -> float:
    """Nats of side information, which no price on R lowers."""
    code = model.encode(data.view("val", model.row).batch())
    return sum(float(block.rate.mean()) for block in code.values() if block.side)


@torch.no_grad()
def _score(model: Model, data: Dataset) -> float:
    """D + R + regulariser of the validation set, in nats, at the end of training."""
    split = data.splits["val"]
    y = split.factors[data.label.name] if data.label else torch.full((len(split),), -1)
    torch.manual_seed(5)
    terms: Terms = model(data.view("val", model.row).batch()._replace(y=y))
    return float(terms.distortion.mean() + terms.rate.mean() + terms.regularizer + terms.priced)


ON_A_BATCH: tuple[Law, ...] = (
    model_terms.pure,
    model_terms.settings_stay,
    model_terms.seeds_differ,
    model_terms.examples_apart,
    model_terms.players_apart,
    model_terms.no_branches,
    model_terms.stack,
    model_rates.rate_is_paid,
    model_rates.rate_can_be_priced,
    model_rates.terms_are_the_codes,
    model_rates.decoder_is_normalised,
    model_densities.channels_are_one_density,
    model_densities.marginal_is_normalised,
    model_rates.labels_are_declared,
    model_rates.measured_without_labels,
    model_rates.predictor_sees_the_past,
    model_receiver.receiver_has_the_draw_alone,
    model_receiver.draws_are_those_of_q,
    model_receiver.density_is_that_of_the_draws,
    model_receiver.decoder_remembers_nothing,
    model_receiver.decoder_factorises,
)


def sizes_keep_the_laws(subject: ModelSubject) -> Problems:
    """Of whatever size a rate makes it, it is this model and keeps the laws above."""
    if subject.kind.for_rate is Model.for_rate:
        return
    sized = subject.sized(model_receiver.ASKED)
    where = f"for {model_receiver.ASKED:g} nats"
    if (made := type(sized.new())) is not subject.kind:
        yield f"{where} for_rate makes a {made.__name__}: it makes another size of {subject.kind.__name__}"
        return
    yield from first_wrong((f"{where}, {law_name(law)}: {words}" for words in law(sized)) for law in ON_A_BATCH)


STAGES: tuple[tuple[Law, ...], ...] = (
    (file_name, imports, row, docstring, reach.reaches_nothing_else),
    (one_class,),
    (model_hooks.names_are_known, model_hooks.takes_data),
    (parameters,),
    (model_terms.per_example,),
    (*ON_A_BATCH, sizes_keep_the_laws, learns),
)
LAWS = tuple(law_name(law) for stage in STAGES for law in stage)
OF_A_CLASS = ((), *STAGES[3:])  # without what is asked of a file
