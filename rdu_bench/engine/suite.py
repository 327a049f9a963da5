"""What a suite file may say, and how it is read; expand.py makes curves of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from .._hash import canonical
from ..budget import SUITES, Budget, Chosen, named
from .sentences import close, sentence

STRATEGIES = ("independent", "continuation", "batched")
HIGHEST = 1e4  # nats, above any rate that a code of ours can have
Sigma = Annotated[float, Field(gt=0, lt=HIGHEST)]


class SuiteError(ValueError):
    """A suite file or a selection from it is not usable; the message names the key, the value and the fix."""


class _Strict(BaseModel):
    """Numbers are numbers: neither strings nor booleans pass for them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Entry(_Strict):
    name: str
    params: dict[str, Any] = {}

    @field_validator("params")
    @classmethod
    def _sayable(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters are part of a record's key, so JSON must be able to say them."""
        try:
            canonical(params)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError("must hold finite numbers, strings, lists and tables only") from error
        return params


class ModelEntry(_Entry):
    """A model of a suite, with its parameters; `variant` tells two entries of one model apart.

    `sweep` gives a parameter the values that trace this model's frontier in the place of target rates: one ELBO
    point for each, all on one row.
    """

    variant: str = ""
    datasets: Annotated[tuple[str, ...], Field(strict=False)] = ("*",)
    sweep: dict[str, Annotated[tuple[float, ...], Field(strict=False)]] = Field(default_factory=dict, max_length=1)


class DataEntry(_Entry):
    """A data set of a suite, with the networks that all models use on it."""

    label: str = ""
    family: Literal["mlp", "conv"] = "mlp"
    hidden: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(strict=False)] = (256, 256)
    latent: int = Field(10, gt=0)
    sigmas: Annotated[tuple[Sigma, ...], Field(strict=False)]
    budget: Chosen | None = None


def _named(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


class Suite(_Strict):
    """A suite file."""

    name: str
    version: int = 1
    title: str = ""
    budget: Chosen = Field(default_factory=lambda: named()["laptop"])
    strategy: Literal["auto", "independent", "continuation", "batched"] = "auto"
    seeds: int = Field(1, gt=0)
    elbo: bool = True
    heads: Annotated[tuple[str, ...], Field(strict=False)] = ("linear", "mlp")
    models: Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_named)], ...], Field(strict=False)] = (
        ModelEntry(name="*"),
    )
    datasets: Annotated[tuple[DataEntry, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        """Two entries of one name would share a row of the leaderboard, and their points a line."""
        models = [f"{m.name} {m.variant}".strip() for m in self.models]
        labels = [d.label or d.name for d in self.datasets]
        for names, what, key in ((models, "models", "variant"), (labels, "datasets", "label")):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what}: {name} is there twice; give one another {key}")
        return self


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(p.stem for p in SUITES.glob("*.toml") if p.stem != "budgets")


def read(name: str | Path) -> Suite:
    """The suite of a name, or of a TOML file.  Raises `SuiteError`."""
    path = Path(name)
    if path.suffix != ".toml":
        path = SUITES / f"{name}.toml"
        if not path.is_file():
            raise SuiteError(
                f"there is no suite {str(name)!r}.{close(str(name), names())} There are {', '.join(names())}."
            )
    if not path.is_file():
        raise SuiteError(f"suite file {path} does not exist")
    try:
        return Suite.model_validate({"name": path.stem, **tomllib.loads(path.read_text("utf-8"))})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise SuiteError("\n".join(f"{path}: {sentence(e, _known(e['loc']))}" for e in error.errors())) from error


def _known(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a place in a suite is in."""
    levels: dict[str, type[BaseModel]] = {"models": ModelEntry, "datasets": DataEntry}
    table = levels.get(str(loc[0]) if loc[1:] else "", Suite)
    if "budget" in loc[:-1]:
        return ["base", *Budget.model_fields]
    return list(table.model_fields)
