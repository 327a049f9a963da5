"""Coloured: the base in one channel, with the declared dependence."""

import numpy as np
import pytest
import torch
from small_data import GRID, MANY, sprites

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
    base = sprites()
    chance = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert data.entropy.nats == pytest.approx(base.entropy.nats + chance) and data.verify() == []
    share = np.array([0.75 + 0.25 + 0.75, 0.25 + 0.75 + 0.25]) / 3  # of three shapes, two go with the first colour
    assert data.factor("colour").entropy == pytest.approx(float(-(share * np.log(share)).sum()))
    assert not data.factor("colour").independent and not data.factor("shape").independent
    assert data.factor("x").independent


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"base": "linear_gaussian"}, "base is 'linear_gaussian'; it must be one of digits, mnist, sprites"),
        ({"colours": 4}, "colours is 4; it must be 2 or 3"),
        ({"correlation": 1.5}, "correlation is 1.5; it must be from 0 to 1"),
        ({"base": "sprites", "sensitive": "scale", **GRID, **MANY}, "scale is sensitive already"),
    ],
)
def test_bad_parameters_of_coloured_are_named(params, message):
    with pytest.raises(DataError, match=message):
        registry.dataset("coloured", **params)
