"""What a suite file may say, and how it is read; expand.py makes curves of it."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from .._text import called
from ..budget import MOST, SUITES, Budget, Chosen, named
from ..nn import study
from .sentences import close, first_causes, sentence, shown

STRATEGIES = ("independent", "continuation", "batched")
HIGHEST = 1e4  # nats, above any rate that a code of ours can have
SEEDS = 1000  # most of them in one suite
LONGEST = 40  # characters of a name, which becomes part of the names of files
BYTES = 1_000_000  # of a suite file
SHORT = 10_000  # most characters of a string, and most values of a list
SAID = 3  # most faults of one file that are told one by one
DEEPEST = 8  # tables and lists within each other in a parameter


class SuiteError(ValueError):
    """A suite file or a selection from it is not usable; the message names the key, the value and the fix."""


def _line(text: str) -> str:
    """A string that fits on a line of a table."""
    if not text.strip():
        raise ValueError("must not be empty; write something, or leave the key out")
    if text != text.strip() or not text.isprintable():
        raise ValueError("must have neither control characters nor spaces at its ends")
    return text


def _file_name(text: str) -> str:
    """A string that can be part of the name of a file or folder, whatever the system."""
    if len(_line(text)) > LONGEST:
        raise ValueError(f"has {len(text)} characters; it must have at most {LONGEST}")
    if text in (".", "..") or set(text) & set('/\\:*?"<>|'):
        raise ValueError("becomes part of a file's name: it must be without / \\ : * ? \" < > | and neither . nor ..")
    return text


Name = Annotated[str, AfterValidator(_file_name)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Glob = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Sigma = Annotated[float, Field(gt=0, lt=HIGHEST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Width = Annotated[int, Field(gt=0, le=1_000_000)]
Listed = Field(strict=False)  # TOML's lists are tuples here; what is in them stays strict


class Strict(BaseModel):
    """Numbers are numbers: neither strings nor booleans pass for them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(Strict):
    """A plug-in of a suite, with its parameters."""

    name: Glob = Field(description="name of the plug-in: that of its file")
    params: dict[str, Any] = Field(default={}, description="its parameters, where they are not its defaults")

    @field_validator("params")
    @classmethod
    def _sayable(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters are part of a record's key, so JSON must be able to say them."""
        _json(params, 0)
        return params


def _json(value: Any, depth: int) -> None:
    """Raises `ValueError` for what a parameter cannot be."""
    if depth > DEEPEST:
        raise ValueError(f"has more than {DEEPEST} tables or lists within each other; make it flatter")
    if isinstance(value, dict | list | tuple):
        inside = value.values() if isinstance(value, dict) else value
        if len(inside) > SHORT:
            raise ValueError(f"has a list or table of {len(inside)} values; at most {SHORT} can be part of a key")
        for item in inside:
            _json(item, depth + 1)
    elif isinstance(value, str):
        if len(value) > SHORT:
            raise ValueError(f"has a string of {len(value)} characters; at most {SHORT} can be part of a key")
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise ValueError("has an integer of more than 64 bits; write a smaller one, or a float")
    elif not (isinstance(value, float) and abs(value) < float("inf")):
        raise ValueError("must hold finite numbers, strings, true and false, lists and tables only, no dates")


class ModelEntry(Entry):
    """A model of a suite; `*` is every model that is not there by name."""

    variant: Name = Field(default="", description="tells two entries of one model apart, on a row of its own")
    datasets: Annotated[tuple[Glob, ...], Listed] = Field(
        default=("*",),
        min_length=1,
        max_length=SHORT,
        description="labels of the data sets it runs on, * and ? allowed",
    )
    sweep: dict[str, Annotated[tuple[Finite, ...], Listed, Field(min_length=1, max_length=SEEDS)]] = Field(
        default={}, max_length=1, description="one parameter and its values, each an ELBO point, in place of targets"
    )
    elbo: bool | None = Field(
        default=None, description="as the suite's, for this model alone: whether it has a point without a target"
    )

    @model_validator(mode="after")
    def _once(self) -> ModelEntry:
        for name in self.sweep:
            if self.elbo is False:
                raise ValueError(
                    f"elbo = false and a sweep of {name}, each value of which is an ELBO point: leave one out"
                )
            if name in self.params:
                raise ValueError(f"{name} is in both params and sweep; leave it out of params")
        return self


class DataEntry(Entry):
    """A data set of a suite, with the networks that all models use on it."""

    label: Name = Field(default="", description="tells two entries of one data set apart")
    family: Literal["mlp", "conv", "study"] = Field(
        default="mlp", description="what networks are made of; study: those of disentanglement_lib for 64×64"
    )
    hidden: Annotated[tuple[Width, ...], Listed] = Field(
        default=(256, 256),
        max_length=100,
        description="mlp: widths; conv: channels of stride-2 layers, then one width; study: its own",
    )
    latent: Width = Field(default=10, description="dimensions of the code, unless a model says otherwise")
    sigmas: Annotated[tuple[Sigma, ...], Listed] = Field(max_length=SEEDS, description="target rates, in nats")
    budget: Chosen | None = Field(default=None, description="as the suite's, for this data set alone")

    @model_validator(mode="before")
    @classmethod
    def _of_the_study(cls, given: Any) -> Any:
        known = isinstance(given, dict) and given.get("family") == "study"
        return {"hidden": study.HIDDEN, **given} if known else given

    @model_validator(mode="after")
    def _deep_enough(self) -> DataEntry:
        if self.family == "study" and self.hidden != study.HIDDEN:
            raise ValueError(f"family = 'study' has hidden = {list(study.HIDDEN)} and no other: leave hidden out")
        if self.family == "conv" and len(self.hidden) < 2:
            raise ValueError(
                f"hidden = {list(self.hidden)} is too short for family = 'conv': give the channels of one layer or "
                "more, then one width, such as [32, 64, 128]"
            )
        return self


def _named(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


class Suite(Strict):
    """A suite file."""

    name: Name = Field(description="names the folder of its results; without it, the file's name")
    version: int = Field(default=1, gt=0, le=MOST, description="raised when the suite's numbers come out differently")
    title: Line = Field(default="", description="heading of its page")
    budget: Chosen = Field(
        default_factory=lambda: named()["laptop"],
        description="name of a budget, or a table of its fields, from `base` where there is one",
    )
    strategy: Literal["auto", "independent", "continuation", "batched"] = Field(
        default="auto",
        description="how points are trained; auto: independent on a CPU, batched on a GPU",
    )
    seeds: int = Field(default=1, gt=0, le=SEEDS, description="seeds 0 to seeds − 1 of every curve")
    elbo: bool = Field(default=True, description="whether every curve also has a point without a target")
    heads: Annotated[tuple[Glob, ...], Listed] = Field(
        default=("linear", "mlp"), min_length=1, max_length=100, description="probes that D_y is the best of"
    )
    models: Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_named)], ...], Listed] = Field(
        default=(ModelEntry(name="*"),),
        min_length=1,
        max_length=SEEDS,
        description="names of models, or tables [[models]]",
    )
    datasets: Annotated[tuple[DataEntry, ...], Listed] = Field(
        min_length=1, max_length=SEEDS, description="tables [[datasets]]"
    )

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        """Two entries of one name would share a row of the leaderboard, and their points a line."""
        models = [f"{m.name.replace('-', '_')} {m.variant}".strip() for m in self.models]
        labels = [d.label or called(d.name.replace("-", "_"), d.params) for d in self.datasets]
        for names, what, key in ((models, "models", "variant"), (labels, "datasets", "label")):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what}: {name} is there twice; give one another {key}")
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> Suite:
        targeted = any(not (model.sweep or model.elbo) for model in self.models)
        for i, data in enumerate(self.datasets):
            if targeted and not (self.elbo or data.sigmas):
                raise ValueError(
                    f"datasets[{i}].sigmas = [] and elbo = false leave nothing to do for models without a sweep: "
                    "give target rates, or set elbo = true"
                )
        return self


def names() -> list[str]:
    """The suites that come with the package."""
    return sorted(p.stem for p in SUITES.glob("*.toml") if p.stem != "budgets")


def read(name: str | Path) -> Suite:
    """The suite of a name, or of a TOML file.  Raises `SuiteError`."""
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in names():
            raise SuiteError(
                f"there is no suite {shown(str(name))}.{close(str(name), names())} "
                f"There are {', '.join(names())}; a file's name must end in .toml."
            )
        path = SUITES / f"{name}.toml"
    table = _table(path)
    try:
        made = Suite.model_validate({"name": path.stem, **table})
        return made.model_copy(update={"datasets": tuple(_beside(entry, path) for entry in made.datasets)})
    except ValidationError as error:
        faults = first_causes(error.errors(include_url=False))
        said = [f"{path}: {sentence(fault, known_keys(fault['loc']))}" for fault in faults[:SAID]]
        more = [f"{path}: and {len(faults) - SAID} more faults"] if len(faults) > SAID else []
        raise SuiteError("\n".join([*said, *more])) from error


def _beside(entry: DataEntry, suite: Path) -> DataEntry:
    """The entry with the whole path of its `file` where that lies beside the suite and not here."""
    file = entry.params.get("file")
    if not isinstance(file, str) or not file or "\0" in file or os.path.lexists(os.path.expanduser(file)):
        return entry
    beside = suite.parent.resolve() / file
    return entry.model_copy(update={"params": {**entry.params, "file": str(beside)}}) if beside.exists() else entry


def _table(path: Path) -> dict[str, Any]:
    """What a TOML file holds.  Raises `SuiteError` for a file that is none."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise SuiteError(f"{path} is {kind}; give a TOML file, such as {path.stem}/suite.toml")
        if found.st_size > BYTES:
            raise SuiteError(f"{path} has {found.st_size / 1e6:.0f} MB; a suite file has at most {BYTES / 1e6:.0f} MB")
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        hint = close(path.stem, names()) if path.name == str(path) else ""
        raise SuiteError(f"suite file {path} does not exist{hint and '.' + hint}") from error
    except OSError as error:
        raise SuiteError(f"suite file {shown(str(path))} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    except RecursionError as error:
        raise SuiteError(f"{path} has too many tables or lists within each other; make it flatter") from error
    except SuiteError:
        raise
    except ValueError as error:  # of int, for thousands of digits; of the system, for a name with a null character
        what = "an integer of thousands of digits" if "digits" in str(error) else str(error)
        raise SuiteError(f"{shown(str(path))} cannot be read: {what}") from error


def known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a place in a suite is in."""
    if "budget" in loc[:-1]:
        return ["base", *Budget.model_fields]
    levels: dict[str, type[BaseModel]] = {"models": ModelEntry, "datasets": DataEntry}
    return list(levels.get(str(loc[0]) if loc[1:] else "", Suite).model_fields)
