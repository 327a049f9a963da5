"""The laws of the receiver: what it gets of x went through draws whose density was charged, in training and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..measure.draws import Off, density, standard, worst
from ..measure.receiver import entangled, followed, halved, remembered, replayed
from ..model import Batch, Model
from ..records.laws import LIMITS
from ..training.posthoc import at_rate, comes_after
from .model_subject import DRAWS, B, ModelSubject
from .plugin import Problems

SIZES = (B, 3, 1)  # of batches: what depends on how many examples there are is found, too
UNITS = {"draws_z": "standard errors", "density_gap": "of its mass"}  # of limits that are no nats
ASKED = 4.0  # nats of a model that is given its rate afterwards, or has another size for each

Trial = Callable[[Model, Batch, Batch], Off]


def receiver_has_the_draw_alone(subject: ModelSubject) -> Problems:
    """What arrives, what was expected and what is decoded are decided by the draws alone."""
    hint = "sample, p and decode may depend on x through draws only, which go through transmit in sending order"
    yield from _tried(subject, replayed, "replay_gap", hint)


def draws_are_those_of_q(subject: ModelSubject) -> Problems:
    """Codes are drawn from q: noise is plain, and symbols are one-hot."""
    hint = "draw by transmit(q, p), and hand on the draw"
    yield from _tried(subject, lambda m, a, _: standard(m, a, DRAWS), "draws_z", hint, (B,))


def density_is_that_of_the_draws(subject: ModelSubject) -> Problems:
    """log q(z|x) is the log-density of what is drawn."""
    hint = "its integral is off 1 by this much: q.log_prob must be the density of q.rsample, with all its factors"
    yield from _tried(subject, lambda m, a, _: density(m, a.rows(slice(2))), "density_gap", hint, (B,))


def decoder_remembers_nothing(subject: ModelSubject) -> Problems:
    """A code is decoded alike whatever was encoded before it, and by the same weights imported afresh."""
    fresh = subject.afresh().new()

    def trial(model: Model, batch: Batch, other: Batch) -> Off:
        if not model.decodes:
            return Off(0.0, "")
        return worst([remembered(model, batch, other, fresh.train(model.training)), followed(model, batch)])

    model = subject.used()
    fresh.load_state_dict(model.state_dict())
    hint = "keep nothing of a batch in self, in the module or anywhere else"
    yield from _tried(subject, trial, "memory_gap", hint, model=model)


def decoder_factorises(subject: ModelSubject) -> Problems:
    """Given the code, p(x|z) is a product of densities of pixels, or the row says that it is autoregressive."""
    if "A" in subject.row.decoder:
        return

    def trial(model: Model, batch: Batch, other: Batch) -> Off:
        return entangled(model, batch) if model.decodes else Off(0.0, "")

    hint = (
        'make decode a density of pixels, or say decoder = "A" in the row where they depend: it has boards of its own'
    )
    wrong = [*_tried(subject, trial, "pairs_gap", hint)]
    yield from wrong
    colours = subject.spec(shape=(3, 3, 8, 8) if subject.sequence else (3, 8, 8))
    for spec in () if wrong else (subject.spec(), colours):
        model = subject.used(spec)
        off = halved(model, subject.measured(subject.batch(spec).x)) if model.decodes else Off(0.0, "")
        if off.by > LIMITS["pairs_gap"]:
            yield f"{off.what} ({off.by:.3g} nats off, {spec.shape} an example): {hint}"
            return


def judged(subject: ModelSubject) -> Model:
    """The model that has a rate: what is made of it where that is given to it afterwards."""
    model = subject.used()
    if comes_after(model):
        return at_rate(model, subject.measured(subject.batch().x), ASKED)
    return model


def _tried(
    subject: ModelSubject,
    trial: Trial,
    name: str,
    hint: str,
    sizes: tuple[int, ...] = SIZES,
    model: Model | None = None,
) -> Iterator[str]:
    """The worst of a trial over modes and sizes of batches, where it exceeds the limit called `name`."""
    model, largest, where = model or judged(subject), Off(0.0, ""), ""
    one, other = (subject.measured(subject.batch(seed=seed).x) for seed in (1, 2))
    for training in (True, False):
        model.train(training)
        for size in sizes:
            found = trial(model, one.rows(slice(size)), other.rows(slice(size)))
            if found.by > largest.by:
                largest = found
                where = f"in {'training' if training else 'evaluation'}, {size} example{'s' * (size > 1)} at a time"
    if largest.by > LIMITS[name]:
        yield f"{largest.what} ({largest.by:.3g} {UNITS.get(name, 'nats')} off, {where}): {hint}"
