"""Coloured: the base in one channel, with the declared dependence."""

from collections import Counter

import numpy as np
import pytest
import torch
from small_data import GRID, MANY, put, sprites

from rdu_bench import registry
from rdu_bench.data import DataError


def test_colour_is_the_channel_and_the_rest_is_the_base():
    data, base = registry.dataset("coloured", colours=3), registry.dataset("digits")
    for part, split in data.splits.items():
        assert torch.equal(split.take().sum(1, keepdim=True), base.splits[part].take())
        assert torch.equal(split.take().sum((2, 3)).argmax(1), split.factors["colour"])
        assert torch.equal(split.factors["digit"], base.splits[part].factors["digit"])
    assert data.sensitive == "colour" and data.spec().groups == 3 and data.task == ("digit",)


@pytest.mark.parametrize("correlation", [0, 0.6, 1])
def test_colour_goes_with_the_label_to_the_declared_degree(correlation):
    data = registry.dataset("coloured", correlation=correlation)
    factors = data.splits["train"].factors
    agree = (factors["colour"] == factors["digit"] % 2).float().mean().item()
    assert agree == pytest.approx((1 + correlation) / 2, abs=0.04)


def test_coloured_sprites_know_their_entropies():
    many = {"n_train": 3000, "n_val": 100, "n_test": 100}
    data = registry.dataset("coloured", base="sprites", correlation=0.5, **GRID, **many)
    table = 0.25 + 0.5 * np.eye(2)[[0, 1, 0]]
    assert data.entropy.nats == pytest.approx(coloured_nats(sprites(), "shape", table)) and data.verify() == []
    share = np.array([0.75 + 0.25 + 0.75, 0.25 + 0.75 + 0.25]) / 3  # of three shapes, two go with the first colour
    assert data.factor("colour").entropy == pytest.approx(float(-(share * np.log(share)).sum()))
    assert not data.factor("colour").independent and not data.factor("shape").independent
    assert data.factor("x").independent


def coloured_nats(base, label, table):
    """H of picture and colour by enumeration; `table` (K, C) is P(s|y)."""
    chances = Counter()
    for x, y in zip(base.population.stored(), base.population.factors[label].tolist(), strict=True):
        for s, p in enumerate(table[y]):
            chances[x.tobytes(), s] += p / len(base.population)
    return -sum(p * np.log(p) for p in chances.values() if p)


@pytest.mark.parametrize("task", ["shape", "orientation", "scale", "x"])
@pytest.mark.parametrize(("colours", "correlation"), [(2, 0.5), (3, 1), (3, 0)])
def test_a_picture_of_two_labels_has_the_colours_of_both(task, colours, correlation):
    """A square is the same at four orientations, whose colours differ; small shapes are the same as one another."""
    params = {"task": [task], **GRID, **MANY, "size": 10}
    data = registry.dataset("coloured", base="sprites", colours=colours, correlation=correlation, **params)
    base = sprites(**params)
    y = np.arange(base.label.size)
    table = (1 - correlation) / colours + correlation * np.eye(colours)[y % colours]
    assert data.entropy.nats == pytest.approx(coloured_nats(base, task, table), abs=1e-9)
    chance = -np.mean([sum(p * np.log(p) for p in row if p) for row in table])
    assert data.entropy.nats >= base.entropy.nats + chance - 1e-9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"base": "linear_gaussian"}, "base is 'linear_gaussian'; it must be one of digits, mnist, sprites"),
        ({"colours": 4}, "colours is 4; it must be 2 or 3"),
        ({"correlation": 1.5}, "correlation is 1.5; it must be from 0 to 1"),
        ({"base": "mnist", "pixels": "grey"}, "mnist is grey there, and ink is 0 or 1; leave pixels out"),
        ({"base": "sprites", "sensitive": "scale", **GRID, **MANY}, "scale is sensitive already"),
    ],
)
def test_bad_parameters_of_coloured_are_named(params, message, tmp_path):
    if params.get("base") == "mnist":
        put(tmp_path)
        params = {**params, "data_dir": str(tmp_path)}
    with pytest.raises(DataError, match=message):
        registry.dataset("coloured", **params)
