"""What measurements need of one frozen model: each is a function `Study -> Found`, and shares what costs time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .._hash import named_seed
from ..budget import Budget
from ..data import Dataset, Factor, View
from ..data.pixels import Pixels
from ..model import Model
from ..nn.networks import Spec
from ..scores import Undefined
from .codes import Splits, draw
from .heads import Drawn, Fitted, Readers, Reading, constant, log_prob, read
from .labels import Labels, binned, frame_by_frame
from .marginals import Marginal, refit
from .posteriors import Posteriors, aggregates
from .prefixes import Level, block_names, levels_below
from .streams import Stream


@dataclass
class Study:
    """A frozen model, the data it is measured on, and what several measurements share, made when first asked for.

    Random draws come from named seeds.  Two runs of numbers are shared, because every published number came from them
    in this order: `drawing` gives codes, then what D needs, then the pictures; `dividing` gives the codes of levels,
    then those of corrupted examples.
    """

    model: Model
    data: Dataset
    budget: Budget
    heads: Sequence[str]
    spec: Spec  # of the networks that the decoder probe is built from
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.model = self.model.to(self.device).eval()
        self._drawing = Stream(named_seed("measure", self.seed), self.device)
        self.dividing = Stream(named_seed("structure", self.seed), self.device)

    def seeded(self, *name: object) -> int:
        """A seed for what `name` says, in [0, 2^63)."""
        return named_seed(*name, self.seed)

    @cached_property
    def at(self) -> Tensor:
        """(N,) int64: numbers of the training examples that have codes, as many as the budget says."""
        n = len(self.data.splits["train"])
        order = torch.randperm(n, generator=torch.Generator().manual_seed(named_seed("codes", self.seed)))
        return order[: self.budget.codes]

    def view(self, part: str) -> View:
        """The examples of a split that have codes, as the model is given them."""
        most = slice(self.budget.test)
        rows: dict[str, Tensor | slice] = {"train": self.at, "val": most, "test": most}
        return self.data.view(part, self.model.row, rows[part])

    @property
    def views(self) -> tuple[View, View, View]:
        """Those of train, val and test."""
        return self.view("train"), self.view("val"), self.view("test")

    @cached_property
    def codes(self) -> Splits:
        """Drawn once, for all measurements."""
        fit, score = self.budget.draws_fit, self.budget.draws_test
        with self._drawing:
            return Splits(
                *(
                    draw(self.model, view, draws, device=self.device)
                    for view, draws in zip(self.views, (fit, fit, score), strict=True)
                )
            )

    @property
    def drawing(self) -> Stream:
        """The run of numbers that goes on where the codes end."""
        _ = self.codes
        return self._drawing

    @cached_property
    def aggregates(self) -> dict[str, Posteriors]:
        """Posteriors whose average is a marginal; none where blocks depend on each other's draws."""
        with self.drawing:
            return aggregates(self.model, self.view("train"), self.data.population, self.device)

    @cached_property
    def marginal(self) -> Marginal:
        """m*, and what it charges on test; fails the point where there is none."""
        return refit(self.codes, self.budget.mixtures, self.seed, self.aggregates)

    @cached_property
    def asked(self) -> dict[str, list[Labels]]:
        """What heads are asked for of every factor by its name, on the examples that have codes.

        One thing of a factor of the example; of a factor of frames its value at each frame looked at.
        """
        parts = [self.data.splits[part] for part in ("train", "val", "test")]
        found = {}
        for f in self.data.factors:
            train, val, test = (split.factors[f.name] for split in parts)
            whole = Labels(f, train[self.at], val[: self.budget.test], test[: self.budget.test])
            found[f.name] = frame_by_frame(whole)
        return found

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """Every factor of the example, on the examples that have codes, by its name."""
        return {f.name: self.asked[f.name][0] for f in self.data.factors if not f.frames}

    @property
    def task(self) -> list[Factor]:
        """The factors whose D_y is the headline."""
        return [self.data.factor(name) for name in self.data.task]

    def readers(self, *heads: str) -> Readers:
        """Those heads, or the study's own."""
        return Readers(heads or tuple(self.heads), self.budget, self.seed)

    @cached_property
    def readings(self) -> dict[str, Reading]:
        """All that is `asked`, read from the whole code by the study's heads, and the bins of what is real, by name.

        Bins come after all else, whose places a head may draw its first weights by.
        """
        labels = [one for parts in self.asked.values() for one in parts]
        return self._read([*labels, *(b for one in labels for b in binned(one))], self.readers())

    @cached_property
    def linear(self) -> dict[str, Fitted]:
        """The linear head of every factor on the whole code; raises `Undefined` where there is none."""
        own = "linear" in self.heads
        readings = self.readings if own else self._read([*self.labels.values()], self.readers("linear"))
        for name in self.labels:
            if "linear" in readings[name].failed:
                raise Undefined(f"the linear head of {name} failed: {readings[name].failed['linear']}")
        return {name: readings[name].heads["linear"] for name in self.labels}

    def nothing(self, labels: Labels) -> Tensor:
        """(L,) test nats of a factor without any code."""
        return -log_prob(constant(labels.target), labels.test)

    def _read(self, labels: list[Labels], readers: Readers) -> dict[str, Reading]:
        [found] = read([Drawn.of(self.codes)], labels, readers) if labels else [[]]
        return {one.factor.name: reading for one, reading in zip(labels, found, strict=True)}

    @property
    def pixels(self) -> Pixels:
        """What the training examples are on average."""
        return self.data.pixels

    @cached_property
    def framed(self) -> frozenset[str]:
        """Blocks with an axis of frames: where x is a sequence, those of which every frame has latents of its own."""
        frames = self.spec.frames
        sent = self.codes.test.sent_blocks
        return frozenset(b.name for b in sent if frames > 1 and len(b.drawn) > 1 and b.drawn[0] == frames)

    @cached_property
    def scored(self) -> list[int]:
        """Which latents are scored: those of blocks without an axis of frames.  Raises `Undefined` where none is.

        One object's latents at T frames move together, which is no entanglement, and share what they tell, which makes
        every score that compares the best latents 0.
        """
        found = [i for i, block in enumerate(self.codes.test.owners) if block not in self.framed]
        if not found:
            raise Undefined("every latent is of one frame, and factors of the sequence are in none alone")
        return found

    @cached_property
    def blocks(self) -> list[str]:
        """Names of the blocks of a code in sending order, side information aside."""
        with self.dividing:
            return block_names(self.model, self.view("test").rows(slice(2)), self.device)

    @cached_property
    def levels(self) -> list[Level]:
        """What was sent up to each block but the last; none where there are too few blocks or too many."""
        names, like = self.blocks, self.codes
        with self.dividing:
            return levels_below(self.model, names, self.views, like, self.data.population, self.device)

    def divided(self) -> Stream:
        """The run of numbers that goes on where the levels' codes end, whether or not there are any."""
        with suppress(Exception):
            _ = self.levels
        return self.dividing
