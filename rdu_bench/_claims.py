"""What a model's paper says it is for, as a literal that a table of points can be held to.

    total correlation, lower than vae, on sprites
    D_y with 20 % of the pixels flipped, lower than ae, on digits
    I_V of shape from static, higher than its I_V of shape from dynamic, on moving_sprites
    D, within 0.5 of vae, on digits

Each is a quantity, how it compares and with what, and a data set; `;` stands between several of one model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

LIKE = "such as 'D_y, lower than vae, on digits'"
FORMS: Mapping[str, str] = {  # of a quantity: what it is called here, and how a claim says it
    "D": "D",
    "D_y": "D_y(?: of (?P<of>[a-z]\\w*))?",
    "D_y of few labels": "D_y with (?P<at>\\d+) labels",
    "D_y under noise": "D_y with (?P<at>\\d+) % of the pixels flipped",
    "I_V of a block": "I_V of (?P<of>\\w+) from (?P<at>\\w+)",
    "D_pred": "D_pred",
    "D_pred_null": "D_pred of a constant",
    "leakage": "leakage of (?P<of>\\w+)",
    "mismatch": "mismatch",
    "total correlation": "total correlation",
    "clusters": "(?P<at>ARI|AMI|NMI) of the clusters",
    "score": "(?P<at>MIG|SAP|Modularity|DCI disentanglement|FactorVAE|BetaVAE) score",
}
SAID = (
    "D, D_y, D_y of FACTOR, D_y with N labels, D_y with N % of the pixels flipped, I_V of FACTOR from BLOCK, D_pred, "
    "D_pred of a constant, leakage of FACTOR, mismatch, total correlation, ARI (AMI, NMI) of the clusters, and "
    "MIG (SAP, Modularity, DCI disentanglement, FactorVAE, BetaVAE) score"
)


class Quantity(NamedTuple):
    """Something that is measured at every point."""

    kind: str  # of `FORMS`
    of: str = ""  # a factor
    at: str = ""  # a block, labels, per cent of the pixels, or the name of a score


class Claim(NamedTuple):
    """A quantity of a model against another model's at equal R*, or against another quantity of the model itself."""

    text: str
    quantity: Quantity
    direction: str  # "lower", "higher" or "within"
    margin: float  # of "within", in the unit of the quantity
    reference: str  # a model; "" for a quantity of its own
    other: Quantity  # of the reference
    dataset: str  # its label in a suite


class Said(NamedTuple):
    """What a model's file says: its claims, and the paper that makes them."""

    claim: str
    paper: str


def claims(text: str) -> list[Claim]:
    """The claims of a literal; none of an empty one.  Raises `ValueError` with what is wrong and what is right."""
    return [_claim(" ".join(part.split())) for part in text.split(";")] if text.strip() else []


def _claim(text: str) -> Claim:
    said = f"claim {text!r:.150}"
    found = re.fullmatch(r"([^,]+), (?:(lower|higher) than|within (\d+(?:\.\d+)?) of) ([^,]+), on (\w+)", text)
    if not found:
        raise ValueError(
            f"{said} is not 'QUANTITY, lower than MODEL, on DATASET', nor with 'higher than', 'within NUMBER of' or "
            f"'its QUANTITY' in place of MODEL, {LIKE}."
        )
    what, way, margin, whom, dataset = found.groups()
    own = whom.startswith("its ")
    if not own and not re.fullmatch(r"\w+", whom):
        raise ValueError(f"{said}: {whom!r} is no name of a model; a quantity of the model's own begins with 'its'.")
    quantity = _quantity(what, said)
    other = _quantity(whom.removeprefix("its "), said) if own else quantity
    return Claim(text, quantity, way or "within", float(margin or 0), "" if own else whom, other, dataset)


def _quantity(text: str, said: str) -> Quantity:
    for kind, form in FORMS.items():
        if found := re.fullmatch(form, text):
            return Quantity(kind, **{name: value or "" for name, value in found.groupdict().items()})
    raise ValueError(f"{said}: {text!r} is nothing that is measured; quantities are {SAID}.")
