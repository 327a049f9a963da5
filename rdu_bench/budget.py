"""How much is spent on one point: on its training and on measuring it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SUITES = Path(__file__).parent / "suites"


class Budget(BaseModel):
    """A budget never changes what a number means, only how tight its bound is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(gt=0, description="training steps from scratch")
    batch: int = Field(128, gt=1)
    lr: float = Field(2e-3, gt=0)
    continuation: float = Field(0.35, gt=0, le=1, description="fraction of steps for a warm-started point")
    codes: int = Field(4000, gt=10, description="training codes used to fit the marginal")
    draws_fit: int = Field(2, ge=1)
    draws_test: int = Field(4, ge=2)
    mixtures: tuple[int, ...] = (10, 40)
    probe_steps: int = Field(600, gt=0, description="decoder probe")
    head_epochs: int = Field(60, gt=0, description="MLP head")
    score_groups: int = Field(2000, ge=2, description="groups of BetaVAE and FactorVAE scores")
    score_trees: bool = Field(False, description="DCI with boosted trees, in minutes a point")
    test: int = Field(10_000, gt=1, description="most test points scored")

    def spec(self) -> dict[str, Any]:
        """The budget as JSON can say it, part of the key of every record."""
        return self.model_dump(mode="json")


def named() -> dict[str, Budget]:
    """The budgets that come with the package: `smoke`, `laptop`, `paper` and `analytic`."""
    known = tomllib.loads((SUITES / "budgets.toml").read_text("utf-8"))
    return {name: Budget.model_validate(fields) for name, fields in known.items()}
