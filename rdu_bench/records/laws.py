"""Laws that every record must keep, in words where one is broken.  Reads records only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from .schema import FAILED

SLACK = 3.0  # standard errors
OWN = 0.02  # nats: R* may exceed R_own by log(1/w) of its component
PART = 0.1  # nats: the stack of a part may fit better than that of the whole, which has more dimensions
NULL = 0.02  # nats: D_y may exceed H_V by what choosing on validation costs


_CELL = (
    *("R_star", "R_star_se", "R_own", "R_own_se", "R_own_mc", "R_own_mc_se", "R_parts", "D", "D_se", "D_null"),
    *("D_null_se", "D_bits_per_dim"),
)
_FACTOR = ("Dy", "Dy_se", "Hy_V", "IV", "IV_se", "IV_shuffled", "IV_shuffled_se")
_PART = ("R_star", "R_star_se", "factors")


def missing(record: Mapping[str, Any]) -> list[str]:
    """One sentence for each part of a measured record that lacks what the laws are about; empty for failed points."""
    if not record["values"]:
        return [] if record["status"] in FAILED else [f"status is {record['status']}, but it has no values"]
    places: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [("values", record["values"], _CELL)]
    places += [(f"factors.{name}", factor, _FACTOR) for name, factor in record["factors"].items()]
    parts = record.get("structure") or {}
    for name, level in (parts.get("levels") or {}).items():
        places.append((f"structure.levels.{name}", level, _PART))
        for factor, f in (level.get("factors") or {}).items():
            places.append((f"structure.levels.{name}.factors.{factor}", f, ("Dy", "IV", "IV_se")))
    if parts.get("leakage"):
        places.append(("structure.leakage", parts["leakage"], ("s", "Ds", "Ds_se", "IV", "IV_se")))
        if parts["leakage"].get("s") not in record["factors"]:
            places.append(("factors", record["factors"], (str(parts["leakage"].get("s")),)))
    if any(record["values"].get(name) is not None for name in ("I_low",)):
        places.append(("values", record["values"], ("log_N",)))
    if "shape" not in record["data"]:
        places.append(("data", record["data"], ("shape",)))
    nulls = record.get("nulls") or {}
    found = []
    for place, table, names in places:
        lacking = [name for name in names if table.get(name) is None and name not in nulls]
        if lacking:
            found.append(f"{place} lacks {', '.join(lacking)}")
    return found


def check(record: Mapping[str, Any]) -> list[str]:
    """One sentence for every law that a record breaks; empty for failed points, lawful ones and `missing` parts."""
    if not record["values"]:
        return []
    return [*_cell(record), *_factors(record), *_structure(record)]


def _se(*errors: float | None) -> float:
    return math.sqrt(sum(e**2 for e in errors if e is not None))


def _cell(record: Mapping[str, Any]) -> Iterator[str]:
    v = record["values"]
    rate, rate_se = v["R_star"], v["R_star_se"]
    d, d_se = v["D"], v["D_se"]
    for name in ("R_star", "R_own"):
        if v[name] < -SLACK * v[f"{name}_se"]:
            yield f"{name} = {v[name]:.3f} nats is negative beyond its error"
    if v.get("H_x_kind") in ("exact", "differential") and v.get("H_x") is not None:
        gap = d + rate - v["H_x"]
        error = v["gap_RD_se"] if v.get("gap_RD_se") is not None else _se(d_se, rate_se)
        if gap < -SLACK * error:
            yield f"D + R* = {d + rate:.3f} nats is below H(x) = {v['H_x']:.3f} by {-gap:.3f} (se {error:.3f})"
    if v.get("I_low") is not None:
        if v["I_low"] > rate + SLACK * rate_se + 1e-6:
            yield f"I_low = {v['I_low']:.3f} exceeds R* = {rate:.3f} nats"
        if v["I_low"] > v["log_N"] + 1e-6:
            yield f"I_low = {v['I_low']:.3f} exceeds log N = {v['log_N']:.3f} nats"
    if v.get("I_exact") is not None:
        most = min(rate, v["H_x"]) if v.get("H_x") is not None else rate
        if v["I_exact"] > most + SLACK * _se(rate_se, v.get("I_exact_se")) + OWN:
            yield f"I = {v['I_exact']:.3f} exceeds min(R*, H(x)) = {most:.3f} nats"
    known = v.get("TC") is not None and v.get("TC_low") is not None
    if known and v["TC_low"] > v["TC"] + SLACK * _se(v["TC_se"], v["TC_low_se"]) + OWN:
        yield f"the lower bound on TC, {v['TC_low']:.3f}, exceeds TC = {v['TC']:.3f} nats"
    if rate > v["R_own"] + OWN + SLACK * _se(rate_se, v["R_own_se"]):
        yield f"R* = {rate:.3f} exceeds R_own = {v['R_own']:.3f} nats, whose marginal it contains"
    if abs(v["R_own"] - v["R_own_mc"]) > 4 * _se(v["R_own_se"], v["R_own_mc_se"]) + 1e-4:
        yield f"the rate charged, {v['R_own']:.3f}, and the log-ratio of the draws, {v['R_own_mc']:.3f} nats, differ"
    parts = sum(v["R_parts"].values())
    if abs(parts - v["R_own"]) > 1e-4 * max(1.0, abs(v["R_own"])):
        yield f"the blocks' rates add up to {parts:.4f}, not to R_own = {v['R_own']:.4f} nats"
    size = math.prod(record["data"]["shape"])
    if abs(v["D_bits_per_dim"] * size * math.log(2) - d) > 1e-4 * max(1.0, abs(d)):
        yield f"D_bits_per_dim = {v['D_bits_per_dim']:.5f} is not D = {d:.4f} nats over {size} dimensions"
    if d > v["D_null"] + SLACK * _se(d_se, v["D_null_se"]):
        yield f"D = {d:.3f} is worse than D_null = {v['D_null']:.3f} nats, which needs no code"
    sigma, error = record["control"].get("sigma"), record["control"].get("rate_err")
    if record["status"] == "ok" and sigma is not None and error is not None and abs(error) > 0.02 + 1e-9:
        yield f"status is ok, but the rate is {error:+.1%} off σ = {sigma:g}"


def _factors(record: Mapping[str, Any]) -> Iterator[str]:
    v, told = record["values"], 0.0
    variance = 0.0
    about = record["data"].get("factors", {})
    for name, f in record["factors"].items():
        error = SLACK * _se(f["Dy_se"], v["R_star_se"])
        if f.get("H_y") is not None and f["Dy"] + v["R_star"] < f["H_y"] - error:
            yield f"D_y + R* = {f['Dy'] + v['R_star']:.3f} nats is below H({name}) = {f['H_y']:.3f}"
        if f["Dy"] > f["Hy_V"] + NULL + SLACK * f["IV_se"]:
            yield f"D_y of {name} = {f['Dy']:.3f} is worse than {f['Hy_V']:.3f} nats, which needs no code"
        if f["IV"] > v["R_star"] + SLACK * _se(f["IV_se"], v["R_star_se"]):
            yield f"{f['IV']:.3f} nats about {name} came out of a code of R* = {v['R_star']:.3f}"
        if abs(f["IV_shuffled"]) > SLACK * f["IV_shuffled_se"] + NULL:
            yield f"a head learned {f['IV_shuffled']:.3f} nats about {name} from shuffled labels"
        if about.get(name, {}).get("independent"):
            told += f["IV"]
            variance += f["IV_se"] ** 2
    if told > v["R_star"] + SLACK * math.sqrt(variance + v["R_star_se"] ** 2):
        yield f"{told:.3f} nats about independent factors came out of a code of R* = {v['R_star']:.3f}"


def _structure(record: Mapping[str, Any]) -> Iterator[str]:
    """Parts of a code say no more than they cost, and cost no more than the whole."""
    v, parts = record["values"], record.get("structure", {})
    for name, level in parts.get("levels", {}).items():
        error = SLACK * _se(level["R_star_se"], v["R_star_se"])
        if level["R_star"] > v["R_star"] + error + PART:
            yield f"blocks up to {name} cost {level['R_star']:.3f} nats, all together {v['R_star']:.3f}"
        for factor, f in level["factors"].items():
            known = record["factors"].get(factor, {}).get("H_y")  # H_V, of a constant from training, may be above it
            told = f["IV"] if known is None else min(f["IV"], known - f["Dy"])
            if told > level["R_star"] + SLACK * _se(f["IV_se"], level["R_star_se"]):
                yield f"{told:.3f} nats about {factor} came out of {level['R_star']:.3f}, of blocks up to {name}"
    leak = parts.get("leakage")
    if leak and leak["IV"] > v["R_star"] + SLACK * _se(leak["IV_se"], v["R_star_se"]):
        yield f"{leak['IV']:.3f} nats about {leak['s']} leak from a code of R* = {v['R_star']:.3f}"
    if leak and leak["Ds"] + v["R_star"] < (record["factors"][leak["s"]].get("H_y") or 0) - SLACK * leak["Ds_se"]:
        yield f"D_s + R* = {leak['Ds'] + v['R_star']:.3f} nats is below H({leak['s']})"
