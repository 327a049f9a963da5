"""Digits, split again: the same images with the same labels, each still in one split, and in another one."""

import numpy as np
import pytest

from rdu_bench import registry
from rdu_bench.api import DataError
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves


def images(data, part=None):
    """(pixels, digit) of each example, in order."""
    parts = data.splits.values() if part is None else [data.splits[part]]
    return [(x.tobytes(), int(y)) for p in parts for x, y in zip(p.stored(), p.factors["digit"], strict=True)]


@pytest.fixture(scope="module")
def digits():
    return registry.dataset("digits")


@pytest.fixture(scope="module")
def resplit():
    return registry.dataset("digits_resplit")


def test_they_are_the_digits_as_they_are_binarised_there(digits, resplit):
    assert resplit.verify() == [] and resplit.provides == digits.provides and resplit.entropy.nats is None
    assert sorted(images(resplit)) == sorted(images(digits))
    assert {part: len(s) for part, s in resplit.splits.items()} == {"train": 1258, "val": 180, "test": 359}


def test_each_digit_is_in_one_split_alone(resplit):
    rows = np.concatenate([part.rows for part in resplit.splits.values()])
    assert sorted(rows) == list(range(1797))


def test_which_digits_are_tested_is_drawn_anew(digits, resplit):
    """Of 359 as many as chance has it, 72 ± 7, are tested in both; so in any two resplits."""
    other = registry.dataset("digits_resplit", split=2)
    tested = [set(images(data, "test")) for data in (digits, resplit, other)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert 45 < len(tested[one] & tested[two]) < 100
    assert len({data.hash for data in (digits, resplit, other)}) == 3


def test_a_split_is_the_same_every_time(resplit):
    again = registry.dataset("digits_resplit", split=1)
    assert again.hash == resplit.hash and images(again) == images(resplit)


@pytest.mark.parametrize("split", [0, -1, 1.0, True, "1"])
def test_a_split_is_a_whole_number(split):
    with pytest.raises(DataError, match=f"split is {split!r}; it must be a whole number of at least 1"):
        registry.dataset("digits_resplit", split=split)


def test_every_panel_of_the_suite_differs_from_its_base_in_one_thing():
    found = {c.data_label: c for c in curves(suite.read("sensitivity")) if c.model == "vae"}
    plain = next(c for c in curves(suite.read("quick")) if c.model == "vae")
    base = found.pop("digits")
    fields = ("dataset", "network", "budget", "heads", "strategy", "seed", "params")
    assert all(getattr(base, name) == getattr(plain, name) for name in fields)
    assert base.sigmas == tuple(s for s in plain.sigmas if s is not None)
    changed = {label: [n for n in fields if getattr(c, n) != getattr(base, n)] for label, c in found.items()}
    assert changed == {
        "twice as wide": ["network"],
        "half the learning rate": ["budget"],
        "double the learning rate": ["budget"],
        "another split": ["dataset"],
    }
    rates = [
        found[label].budget.lr / base.budget.lr for label in ("half the learning rate", "double the learning rate")
    ]
    assert rates == [0.5, 2.0] and found["twice as wide"].network["hidden"] == [256, 256]
