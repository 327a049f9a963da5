"""D: the model's own decoder, a decoder probe on frozen codes, and the best decoder of no code at all."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..data import View
from ..model import Arrived, Batch, Message, Model
from ..nn.networks import Decoder
from .codes import CHUNK, Codes
from .decoded import Decoded, best_of, null
from .found import Found, averaged, folds, per_point, stored
from .streams import random_state, seed_all, set_random_state
from .study import Study

LOOKS = 6  # times a probe is looked at on validation
BATCH = 128  # examples of a step


def distortion(study: Study) -> Found:
    """D_null, D_own, D_star and D, the best of them on validation, in nats; and D + R* − H(x) where H(x) is known.

    A decoder that fails, or whose −log p(x|z) is not finite somewhere, is no candidate for D, and `nulls` says
    so; `D_own_lost` counts the examples.
    """
    nothing = null(study)
    own, nulls = _own(study)
    probes, failed = _probes(study, own is not None)
    nulls |= {f"D_star_kind.{name}": reason for name, reason in failed.items()}
    values: dict[str, Any] = {**averaged("D_null", nothing.test), "D_own": None, "D_own_se": None, "D_train": None}
    values |= {"D_star": None, "D_star_se": None, "D_star_kind": None, "elbo_gen_D": None}
    vectors, candidates = {}, {"null": nothing}
    values["D_own_lost"] = _lost(study)
    if values["D_own_lost"] is None:
        nulls["D_own_lost"] = nulls["D_own"]
    if own is not None:
        candidates["own"] = own
        values |= averaged("D_own", own.test)
        vectors["D_own_i"] = stored(per_point(own.test))
    if study.codes.train.distortion is not None and not study.model.predicts:
        values["D_train"] = float(study.codes.train.distortion.double().mean())
    if own is not None:
        values["elbo_gen_D"] = values["D_own"] - values["D_train"]
    else:
        nulls["elbo_gen_D"] = nulls["D_own"]
    if probes:
        kind = best_of(probes)
        candidates["probe"] = probes[kind]
        values |= {**averaged("D_star", probes[kind].test), "D_star_kind": kind}
    else:
        nulls["D_star"] = "; ".join(failed.values())
    source = best_of(candidates)
    best = candidates[source].test.expand(len(study.codes.test.z), -1)
    values |= {**averaged("D", best), "D_source": source, "likelihood": study.data.likelihood}
    values["D_per_dim"] = values["D"] / study.spec.size
    values["D_bits_per_dim"] = values["D"] / (study.spec.size * math.log(2))
    vectors["D_i"] = stored(per_point(best))
    values |= _gap(study, per_point(best), nulls)
    parts = {"D": folds(per_point(best)), "D_null": folds(per_point(nothing.test))}
    return Found(values, vectors=vectors, tables={"folds": parts}, nulls=nulls)


def _own(study: Study) -> tuple[Decoded | None, dict[str, str]]:
    """The model's own decoder, or why it is none."""
    if study.model.predicts:
        reason = "the model's own decoder is of frames to come, whose D is D_pred, and not of x"
        return None, dict.fromkeys(("D_own", "D_train"), reason)
    train, val, test = study.codes
    for codes in (train, val, test):
        if codes.distortion is None:
            return None, dict.fromkeys(("D_own", "D_train"), codes.undecoded)
    assert val.distortion is not None and test.distortion is not None
    found = Decoded(val.distortion, test.distortion)
    if found.trouble:
        return None, {"D_own": f"{found.trouble}, so the model's own decoder is no candidate for D"}
    return found, {}


def _lost(study: Study) -> int | None:
    """How many examples of all splits the model's own decoder gives no finite number for; None where it has none."""
    given = [part.distortion for part in study.codes if part.distortion is not None]
    return sum(int((~nats.isfinite()).any(0).sum()) for nats in given) if given else None


def _probes(study: Study, own: bool) -> tuple[dict[str, Decoded], dict[str, str]]:
    """Decoder probes by name, and why one that was tried is none."""
    tried: dict[str, Callable[[Study], Decoded]] = {"scratch": probe}
    if own and "A" not in study.model.row.decoder:
        tried["tuned"] = tuned
    found, failed = {}, {}
    with study.drawing:  # each draws from a seed of its own, and the pictures from where the last one ends
        for name, decoder in tried.items():
            try:
                one = decoder(study)
            except Exception as error:
                failed[name] = f"the {name} decoder probe failed with {type(error).__name__}: {error}"
                continue
            if one.trouble:
                failed[name] = f"{one.trouble} for the {name} decoder probe"
            else:
                found[name] = one
    return found, failed


def _gap(study: Study, d: Tensor, nulls: dict[str, str]) -> Mapping[str, float | None]:
    """D + R* − H(x), which is never negative beyond its error."""
    nats = study.data.entropy.nats
    if nats is None:
        nulls["gap_RD"] = "H(x) is not known"
        return {"gap_RD": None, "gap_RD_se": None}
    return averaged("gap_RD", (d + per_point(study.marginal.rate) - nats)[None])


def entropy(study: Study) -> Found:
    """What is known of H(x), nats."""
    nats, kind = study.data.entropy
    return Found({"H_x": nats, "H_x_kind": kind})


def probe(study: Study) -> Decoded:
    """A standard decoder of the suite's family on frozen draws, from scratch."""
    seed, steps, device = study.seeded("probe") % 2**62, study.budget.probe_steps, study.device
    seed_all(seed)
    codes, view = study.codes, study.view("train")
    flat = codes.train.sent.flatten(0, 1)
    mean, scale = flat.mean(0), flat.std(0).clamp(min=1e-6)
    decoder = Decoder(study.spec, flat.shape[-1]).to(device)

    def given(part: Codes) -> Tensor:
        return ((part.sent - mean) / scale).to(device)

    z = given(codes.train)

    def losses() -> Iterator[Tensor]:
        for s, pick in _order(z.shape[0], len(view), steps):
            yield -decoder(z[s, pick]).log_prob(view.rows(pick).batch().x.to(device)).mean()

    held = {"val": given(codes.val), "test": given(codes.test)}

    @torch.no_grad()
    def score(part: str) -> Tensor:
        return _in_chunks(
            lambda s, rows, batch: decoder(held[part][s, rows]), len(held[part]), study.view(part), device
        )

    val = _train(decoder, losses(), steps, lambda: score("val"))
    return Decoded(val, score("test"))


def tuned(study: Study) -> Decoded:
    """The model's own decoder, trained on with the encoder frozen.

    Codes come from the model and are decoded by its copy: a weight that both halves share must not change the code.
    """
    seed, steps, device = study.seeded("probe") % 2**62, study.budget.probe_steps, study.device
    seed_all(seed)
    model, copied = study.model, copy.deepcopy(study.model).requires_grad_(True)
    train = study.data.view("train", model.row)

    def losses() -> Iterator[Tensor]:
        for _, pick in _order(1, len(train), steps):
            batch = train.rows(pick).batch().to(device)
            with torch.no_grad():
                code = model.encode(batch)
            yield -copied.receive(code).log_prob(copied.predicted(batch.x)).mean()

    def sent(part: str) -> list[Message]:
        """Of every draw, what arrives of a split's examples; afterwards torch draws on from there."""
        seed_all(seed + 1)
        view = study.view(part)
        return [_arrived(model, view, device) for _ in range(study.budget.draws_test)]

    @torch.no_grad()
    def score(part: str, codes: list[Message]) -> Tensor:
        return _in_chunks(
            lambda s, rows, batch: copied.decode({name: Arrived(b.sample[rows]) for name, b in codes[s].items()}),
            len(codes),
            study.view(part),
            device,
            copied.predicted,
        )

    held = sent("val")
    ended = random_state(device)

    def look() -> Tensor:
        set_random_state(device, ended)
        return score("val", held)

    val = _train(copied, losses(), steps, look)
    return Decoded(val, score("test", sent("test")))


@torch.no_grad()
def _arrived(model: Model, view: View, device: str) -> Message:
    """One draw for every example of a view, as the receiver has it."""
    parts = [model.encode(batch.to(device)) for batch in view.chunks(CHUNK)]
    return {name: Arrived(torch.cat([part[name].sample for part in parts])) for name in parts[0]}


def _order(draws: int, n: int, steps: int) -> Iterator[tuple[int, Tensor]]:
    """`steps` pairs of a draw and a batch of examples."""
    size = min(BATCH, n)
    order = torch.empty(0, dtype=torch.int64)
    epoch = -1
    for _ in range(steps):
        if len(order) < size:
            order, epoch = torch.randperm(n), epoch + 1
        pick, order = order[:size], order[size:]
        yield epoch % draws, pick


def _in_chunks(
    decode: Callable[[int, slice, Batch], Distribution],
    draws: int,
    view: View,
    device: str,
    target: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """(S, N) −log p of what is decoded of a view, x unless `target` says otherwise, a chunk at a time."""
    out, done = [], 0
    for batch in view.chunks(CHUNK):
        rows, given = slice(done, done + len(batch.x)), batch.to(device)
        done = rows.stop
        out.append(torch.stack([-decode(s, rows, given).log_prob(target(given.x)) for s in range(draws)]).cpu())
    return torch.cat(out, 1)


def _train(module: nn.Module, losses: Iterator[Tensor], steps: int, look: Callable[[], Tensor]) -> Tensor:
    """Adam with a cosine; afterwards `module` is as it was at the best of `LOOKS` looks at validation.

    A look gives nats, which are compared by their mean; returns those of the best.
    """
    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    least, kept = look(), [p.detach().clone() for p in weights]
    every = max(1, steps // LOOKS)
    with torch.enable_grad():
        for step, loss in enumerate(losses, 1):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % every == 0 or step == steps:
                nats = look()
                best, found = float(least.mean()), float(nats.mean())
                if found < best or (math.isnan(best) and not math.isnan(found)):
                    least, kept = nats, [p.detach().clone() for p in weights]
    with torch.no_grad():
        for p, value in zip(weights, kept, strict=True):
            p.copy_(value)
    return least
