"""How much is spent on one point: on its training and on measuring it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SUITES = Path(__file__).parent / "suites"
MOST = 1_000_000_000  # of anything that is counted
STEEPEST = 100.0  # slope that is paid unless a budget says more: more than any frontier of one small image has
Count = Annotated[int, Field(gt=0, le=MOST)]


class Budget(BaseModel):
    """A budget never changes what a number means, only how tight its bound is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    steps: int = Field(gt=0, le=MOST, description="training steps from scratch: all of them, or the most")
    patience: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="share of the steps without gain on validation that ends training; 0: none does",
    )
    warm: int = Field(default=800, ge=0, le=MOST, description="steps before which validation does not end training")
    batch: int = Field(default=128, gt=1, le=MOST, description="training examples a step")
    lr: float = Field(default=2e-3, gt=0, allow_inf_nan=False, description="learning rate of Adam")
    w: float = Field(
        default=STEEPEST, gt=0, le=1e6, description="of w|σ − R|: the largest slope −dD/dR of a frontier that is paid"
    )
    continuation: float = Field(default=0.35, gt=0, le=1, description="fraction of steps for a warm-started point")
    codes: int = Field(default=4000, gt=10, le=MOST, description="training codes used to fit the marginal")
    draws_fit: int = Field(default=2, ge=1, le=MOST, description="draws z of each training code")
    draws_test: int = Field(default=4, ge=2, le=MOST, description="draws z of each test code")
    mixtures: Annotated[tuple[Count, ...], Field(strict=False)] = Field(
        default=(10, 40), description="numbers of components of the mixtures that are fitted to the codes"
    )
    probe_steps: int = Field(default=600, gt=0, le=MOST, description="training steps of the decoder probe")
    head_steps: int = Field(default=3000, gt=0, le=MOST, description="most training steps of the MLP head")
    score_groups: int = Field(default=2000, ge=2, le=MOST, description="groups of BetaVAE and FactorVAE scores")
    score_trees: bool = Field(default=False, description="DCI with boosted trees, in minutes a point")
    test: int = Field(default=10_000, gt=1, le=MOST, description="most points scored of test, and of val")

    def spec(self) -> dict[str, Any]:
        """The budget as JSON can say it, part of the key of every record."""
        plain = set() if self.patience else {"patience", "warm"}
        return self.model_dump(mode="json", exclude=plain | ({"w"} if self.w == STEEPEST else set()))


@cache
def named() -> Mapping[str, Budget]:
    """The budgets that come with the package: `smoke`, `laptop`, `trained`, `paper`, `sequence` and `analytic`."""
    known = tomllib.loads((SUITES / "budgets.toml").read_text("utf-8"))
    return {name: Budget.model_validate(fields) for name, fields in known.items()}


def find(name: str) -> Budget:
    """The budget of a name.  Raises `ValueError` with the nearest name when there is none."""
    known = named()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no budget {name!r}.{hint} There are {', '.join(known)}.")


def name_of(budget: Budget) -> str:
    """The name of a budget that comes with the package, `own` for any other."""
    return next((name for name, known in named().items() if known == budget), "own")


def _based(given: Any) -> Any:
    """What a suite says of a budget, as the fields of one: a name, or a table that may start from a `base`."""
    if isinstance(given, str):
        return find(given)
    if isinstance(given, dict) and "base" in given:
        base = given["base"]
        if not isinstance(base, str):
            raise ValueError(f"base must be the name of a budget: {', '.join(named())}")
        return find(base).model_dump() | {key: value for key, value in given.items() if key != "base"}
    if not isinstance(given, dict | Budget):
        raise ValueError("must be the name of a budget or a table of its fields")
    return given


Chosen = Annotated[Budget, BeforeValidator(_based)]  # a field of a suite that holds a budget
