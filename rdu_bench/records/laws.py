"""Laws that every record must keep, in words where one is broken.  Reads records only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .schema import FAILED, INVALID, MEASURED

if TYPE_CHECKING:
    import numpy as np

SLACK = 3.0  # standard errors
OWN = 0.02  # nats: R* may exceed R_own by log(1/w) of its component
PART = 0.1  # nats: the stack of a part may fit better than that of the whole, which has more dimensions
FOLD = 1e-4  # relative: what rounding may do to the mean of the means of parts
NULL = 0.02  # nats: D_y may exceed H_V by what choosing on validation costs
FINGERPRINT = ("R_star", "R_own", "D")  # nats, by which a training is known: no other one has all three
SAME = 1e-5  # relative: one in the sixth digit, at most


LIMITS = {  # of what the receiver may get beside the draws: nothing, but for rounding and chance
    "replay_gap": 0.01,  # nats
    "draws_z": 6.5,  # standard errors, the largest of some hundred tests
    "density_gap": 0.1,  # of the mass of q
    "memory_gap": 0.01,  # nats
    "pairs_gap": 0.01,  # nats
}
RECEIVER = {
    "replay_gap": "one and the same draw under another x changes what is received by {:.3g} nats",
    "draws_z": "draws are not those of q(z|x) by {:.1f} standard errors",
    "density_gap": "log q(z|x) is not the log-density of the draws: its integral is off 1 by {:.2f}",
    "memory_gap": "what is decoded changes by {:.3g} nats once something else was encoded",
    "pairs_gap": "p(x|z) is no product of densities of pixels by {:.3g} nats, but the row does not say decoder = 'A'",
}
DECODED = ("memory_gap", "pairs_gap")  # of these, a model without a decoder of x has none
LOOKED_AT = 3  # first protocol whose records say what the receiver got

_CELL = ("R_star", "R_star_se", "R_own", "R_own_se", "R_own_mc", "R_own_mc_se", "R_parts")
_NEEDED = ("D", "D_null")  # or a reason in `nulls`


def one_training(numbers: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(…) whether numbers (…, 3), each a `FINGERPRINT`, are those of others to six digits; shapes broadcast."""
    import numpy as np

    return np.asarray(np.all(np.abs(numbers - others) <= SAME * np.abs(others), axis=-1))


def missing(record: Mapping[str, Any]) -> list[str]:
    """One sentence for each part of a measured record that lacks what it must have; empty for failed points.

    A rate is always there; every other number may be null, with a reason in `nulls`.
    """
    values, nulls = record["values"], record.get("nulls") or {}
    if not values:
        return [] if record["status"] in FAILED else [f"status is {record['status']}, but it has no values"]
    found = []
    lacking = [name for name in _CELL if name not in values]
    lacking += [name for name in _NEEDED if values.get(name) is None and name not in nulls]
    if lacking:
        found.append(f"values lack {', '.join(lacking)}")
    for name, factor in record["factors"].items():
        lacking = [f for f in ("Dy", "IV") if factor.get(f) is None and f"{f}[{name}]" not in nulls and f not in nulls]
        if lacking:
            found.append(f"factors.{name} lacks {', '.join(lacking)}")
    protocol = record["spec"].get("protocol")
    if isinstance(protocol, int) and protocol >= LOOKED_AT:
        depend = "A" in str((record.get("model") or {}).get("decoder"))  # pixels do, as the row says
        excused = nulls if values.get("D_own") is None else ("pairs_gap",) * depend  # by no decoder, or such a one
        unseen = [name for name in LIMITS if values.get(name) is None and not (name in DECODED and name in excused)]
        if unseen:
            found.append(f"values lack {', '.join(unseen)}: nothing says what the receiver got")
        parted = record.get("folds") or {}
        unparted = [n for n in ("R_star", "D", "Dy") if values.get(n) is not None and not parted.get(n)]
        if unparted:
            found.append(f"folds lack {', '.join(unparted)}: nothing says how much they owe to the test points")
        if record["status"] == "ok" and record["spec"].get("sigma") is not None:
            lacking = [name for name in ("R_train", "rate_err") if record["control"].get(name) is None]
            if lacking:
                found.append(f"control lacks {', '.join(lacking)}: nothing says that the rate asked for was met")
    if "shape" not in record["data"]:
        found.append("data lack shape")
    return found


def check(record: Mapping[str, Any]) -> list[str]:
    """One sentence for every law that a record breaks; empty for failed points, lawful ones and `missing` parts."""
    if not record["values"]:
        return []
    return [
        *_cell(record),
        *_control(record),
        *_factors(record),
        *_structure(record),
        *of_folds(record),
        *_receiver(record),
    ]


def tolerance(sigma: float) -> float:
    """The share of σ nats by which a rate may miss it and still be the one asked for."""
    return 0.01 if sigma >= 2 else 0.02


def judged(record: Mapping[str, Any]) -> tuple[str, str | None]:
    """Status and reason of a record: its own, unless it has numbers that break a law, whatever it says of itself."""
    status, reason = record["status"], record.get("reason")
    if status in MEASURED and (broken := [*missing(record), *check(record)]):
        return INVALID, "; ".join(broken)
    return status, reason


class Numbers(dict[str, Any]):
    """Fields of a table of which those that are null or missing are NaN, so that no law about them can break."""

    def __init__(self, table: Mapping[str, Any]):
        super().__init__({name: value for name, value in table.items() if value is not None})

    def __missing__(self, name: str) -> float:
        return math.nan


def _se(*errors: float) -> float:
    return math.sqrt(sum(e**2 for e in errors))


def _cell(record: Mapping[str, Any]) -> Iterator[str]:
    v = Numbers(record["values"])
    rate, rate_se = v["R_star"], v["R_star_se"]
    d, d_se = v["D"], v["D_se"]
    for name in ("R_star", "R_own"):
        if v[name] < -SLACK * v[f"{name}_se"]:
            yield f"{name} = {v[name]:.3f} nats is negative beyond its error"
    yield from _gap(v)
    if v.get("I_low") is not None:
        if v["I_low"] > rate + SLACK * _se(rate_se, v.get("I_low_se", 0.0)) + 1e-6:
            yield f"I_low = {v['I_low']:.3f} exceeds R* = {rate:.3f} nats"
        if v["I_low"] > v["log_N"] + 1e-6:
            yield f"I_low = {v['I_low']:.3f} exceeds log N = {v['log_N']:.3f} nats"
    if v.get("I_exact") is not None:
        most = min(rate, v["H_x"]) if v.get("H_x") is not None else rate
        if v["I_exact"] > most + SLACK * _se(rate_se, v.get("I_exact_se", 0.0)) + OWN:
            yield f"I = {v['I_exact']:.3f} exceeds min(R*, H(x)) = {most:.3f} nats"
    known = v.get("TC") is not None and v.get("TC_low") is not None
    if known and v["TC_low"] > v["TC"] + SLACK * _se(v["TC_se"], v["TC_low_se"]) + OWN:
        yield f"the lower bound on TC, {v['TC_low']:.3f}, exceeds TC = {v['TC']:.3f} nats"
    if rate > v["R_own"] + OWN + SLACK * _se(rate_se, v["R_own_se"]):
        yield f"R* = {rate:.3f} exceeds R_own = {v['R_own']:.3f} nats, whose marginal it contains"
    if abs(v["R_own"] - v["R_own_mc"]) > 4 * _se(v["R_own_se"], v["R_own_mc_se"]) + 1e-4:
        yield f"the rate charged, {v['R_own']:.3f}, and the log-ratio of the draws, {v['R_own_mc']:.3f} nats, differ"
    parts = sum(Numbers(v.get("R_parts", {})).values()) if v.get("R_parts") else math.nan
    if abs(parts - v["R_own"]) > 1e-4 * max(1.0, abs(v["R_own"])):
        yield f"the blocks' rates add up to {parts:.4f}, not to R_own = {v['R_own']:.4f} nats"
    size = math.prod(record["data"].get("shape") or [math.nan])
    if abs(v["D_bits_per_dim"] * size * math.log(2) - d) > 1e-4 * max(1.0, abs(d)):
        yield f"D_bits_per_dim = {v['D_bits_per_dim']:.5f} is not D = {d:.4f} nats over {size} dimensions"
    if v["D_own_lost"] > 0:
        yield f"the model's own decoder gives no finite number for {v['D_own_lost']} examples"
    if d > v["D_null"] + SLACK * _se(d_se, v["D_null_se"]):
        yield f"D = {d:.3f} is worse than D_null = {v['D_null']:.3f} nats, which needs no code"
    if v["D_pred"] + rate < v["H_pred"] - SLACK * _se(v["D_pred_se"], rate_se):
        yield f"D_pred + R* = {v['D_pred'] + rate:.3f} nats is below H of the frames to come = {v['H_pred']:.3f}"
    if v["D_pred"] > v["D_pred_null"] + SLACK * _se(v["D_pred_se"], v["D_pred_null_se"]):
        yield f"D_pred = {v['D_pred']:.3f} is worse than {v['D_pred_null']:.3f} nats, which needs no code"


def _gap(v: Numbers) -> Iterator[str]:
    """D + R* is no less than H(x), where that is known."""
    if v.get("H_x_kind") in ("exact", "differential") and v.get("H_x") is not None:
        total = v["D"] + v["R_star"]
        error = v["gap_RD_se"] if v.get("gap_RD_se") is not None else _se(v["D_se"], v["R_star_se"])
        if total - v["H_x"] < -SLACK * error:
            yield f"D + R* = {total:.3f} nats is below H(x) = {v['H_x']:.3f} by {v['H_x'] - total:.3f} (se {error:.3f})"


def _met(status: str, sigma: float, error: float) -> Iterator[str]:
    """What is `ok` has the rate asked for."""
    if status == "ok" and not abs(error) <= tolerance(sigma) + 1e-9:
        yield f"status is ok, but the rate is {error:+.1%} off σ = {sigma:g}"


def beyond(row: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each law between columns of one row of a table that it breaks; NaN is what is not known."""
    v = Numbers({name: None if value != value else value for name, value in row.items()})
    yield from _gap(v)
    if "sigma" in v and "rate_err" in v:
        yield from _met(v["status"], v["sigma"], v["rate_err"])


def _control(record: Mapping[str, Any]) -> Iterator[str]:
    """The rate that was met is the one asked for, by the spec and by what training says of itself."""
    control, spec = record["control"], record.get("spec") or {}
    sigma, error, rate = control.get("sigma"), control.get("rate_err"), control.get("R_train")
    if "sigma" in control and "sigma" in spec and sigma != spec["sigma"]:
        yield f"it was trained for {_target(sigma)}, and its spec asks for {_target(spec['sigma'])}"
    if sigma is None or error is None:
        return
    if rate is not None and abs(rate / sigma - 1 - error) > FOLD:
        yield f"R_train = {rate:.3f} nats is {rate / sigma - 1:+.2%} off σ = {sigma:g}, not {error:+.2%}"
    yield from _met(record["status"], sigma, error)


def _target(sigma: float | None) -> str:
    return "the ELBO" if sigma is None else f"σ = {sigma:g}"


def of_folds(record: Mapping[str, Any]) -> Iterator[str]:
    """Means over parts of the test points average to the number itself: no interval is of other numbers."""
    folds = record.get("folds") or {}
    sizes = folds.get("n") or []
    if folds and (None in sizes or not sum(sizes) > 0 or sum(sizes) > (record["data"].get("n_test") or math.inf)):
        yield "folds do not say how many test points they have"
        return
    for name in folds.keys() - {"n"}:
        value, means = record["values"].get(name), folds[name]
        if value is None or None in means:
            continue
        mean = sum(n * m for n, m in zip(sizes, means, strict=False)) / sum(sizes)
        if len(means) != len(sizes) or abs(mean - value) > FOLD * max(1.0, abs(value)):
            yield f"{name} = {value:.5f} nats is not the mean of its folds, {mean:.5f}"


def _receiver(record: Mapping[str, Any]) -> Iterator[str]:
    """Nothing of x reached the receiver but through draws whose density was charged."""
    v = Numbers(record["values"])
    for name, limit in LIMITS.items():
        if v[name] > limit:
            yield RECEIVER[name].format(v[name])


def _factors(record: Mapping[str, Any]) -> Iterator[str]:
    v, told, error_told, known = Numbers(record["values"]), 0.0, 0.0, 0.0
    about = record["data"].get("factors") or {}
    for name, given in record["factors"].items():
        f = Numbers(given)
        error, excess = SLACK * _se(f["Dy_se"], v["R_star_se"]), _excess(name, record)
        if f.get("H_y") is not None and f["Dy"] + v["R_star"] < f["H_y"] - error:
            yield f"D_y + R* = {f['Dy'] + v['R_star']:.3f} nats is below H({name}) = {f['H_y']:.3f}"
        if f["Dy"] > f["Hy_V"] + NULL + SLACK * f["IV_se"]:
            yield f"D_y of {name} = {f['Dy']:.3f} is worse than {f['Hy_V']:.3f} nats, which needs no code"
        if f["IV"] - excess > v["R_star"] + SLACK * _se(f["IV_se"], v["R_star_se"]):
            yield f"{f['IV']:.3f} nats about {name} came out of a code of R* = {v['R_star']:.3f}"
        if abs(f["IV_shuffled"]) > SLACK * f["IV_shuffled_se"] + NULL + excess:
            yield f"a head learned {f['IV_shuffled']:.3f} nats about {name} from shuffled labels"
        if (about.get(name) or {}).get("independent") and "IV" in f:
            told, known = told + f["IV"] - excess, known + (f.get("H_y") or 0.0)
            error_told += f.get("IV_se", 0.0)  # factors of one code err together
    # of a grid that was divided, what is left has less than the sum of their entropies
    dependent = max(0.0, known - v["H_x"]) if v.get("H_x_kind") == "exact" else 0.0
    if told > v["R_star"] + dependent + SLACK * _se(error_told, v["R_star_se"]):
        yield f"{told:.3f} nats about independent factors came out of a code of R* = {v['R_star']:.3f}"


def _structure(record: Mapping[str, Any]) -> Iterator[str]:
    """Parts of a code say no more than they cost, and cost no more than the whole."""
    v, parts = Numbers(record["values"]), record.get("structure") or {}
    factors = {name: Numbers(factor) for name, factor in record["factors"].items()}
    for name, given in (parts.get("levels") or {}).items():
        level = Numbers(given or {})
        if level["R_star"] > v["R_star"] + SLACK * _se(level["R_star_se"], v["R_star_se"]) + PART:
            yield f"blocks up to {name} cost {level['R_star']:.3f} nats, all together {v['R_star']:.3f}"
        for factor, told in _above(level, record, level):
            yield f"{told:.3f} nats about {factor} came out of {level['R_star']:.3f}, of blocks up to {name}"
    for name, given in (parts.get("blocks") or {}).items():
        for factor, told in _above(given or {}, record, v):
            yield f"{told:.3f} nats about {factor} came out of block {name}, and the code has {v['R_star']:.3f}"
    leak = Numbers(parts.get("leakage") or {})
    for s, _ in _above({"factors": {str(leak["s"]): leak}}, record, v):
        yield f"{leak['IV']:.3f} nats about {s} leak from a code of R* = {v['R_star']:.3f}"
    entropy = factors.get(str(leak["s"]), Numbers({})).get("H_y", 0)
    if leak["Ds"] + v["R_star"] < entropy - SLACK * _se(leak["Ds_se"], v["R_star_se"]):
        yield f"D_s + R* = {leak['Ds'] + v['R_star']:.3f} nats is below H({leak['s']})"


def _above(part: Mapping[str, Any], record: Mapping[str, Any], cost: Numbers) -> Iterator[tuple[str, float]]:
    """Factors of which a part of a code tells more than R* of `cost` beyond its error, and how much, nats."""
    for factor, scores in part.get("factors", {}).items():
        f = Numbers(scores or {})
        told, known = f["IV"] - _excess(factor, record), (record["factors"].get(factor) or {}).get("H_y")
        if known is not None:
            told = min(told, known - f["Dy"])
        if told > cost["R_star"] + SLACK * _se(f["IV_se"], cost["R_star_se"]):
            yield factor, told


def _excess(factor: str, record: Mapping[str, Any]) -> float:
    """What H_V of a factor, of a constant fitted to n examples, may lie above the entropy, nats.

    With k parameters that is χ²_k / 2n, here at three standard deviations.
    """
    about = (record["data"].get("factors") or {}).get(factor) or {}
    size = about.get("size") or 1
    k = size * (size + 3) / 2 if about.get("kind") == "real" else size - 1
    budget = (record.get("spec") or {}).get("budget") or {}
    n = min(filter(None, (budget.get("codes"), record["data"].get("n_train"))), default=math.inf)
    return float((k + SLACK * math.sqrt(2 * k)) / (2 * n))
