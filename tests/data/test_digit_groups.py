"""Digit groups: digits of one class, each split's from the digits of that split."""

import numpy as np
import pytest

from rdu_bench import registry
from rdu_bench.api import DataError


def keys(x):
    """The pixels of each digit, as bytes."""
    return [one.tobytes() for one in x.reshape(-1, 64)]


@pytest.fixture(scope="module")
def groups():
    return registry.dataset("digit_groups", members=5, n_train=400, n_val=60, n_test=100)


@pytest.fixture(scope="module")
def digits():
    """For each split its digits, and the class of each."""
    found = registry.dataset("digits")
    return {
        part: dict(zip(keys(split.stored()), split.factors["digit"].tolist(), strict=True))
        for part, split in found.splits.items()
    }


def test_they_are_sound(groups):
    assert groups.verify() == [] and groups.shape == (5, 1, 8, 8)
    assert groups.provides == {"labels", "sequence", "binary"} and groups.entropy.nats is None
    assert registry.dataset("digit_groups", n_train=3, n_val=2, n_test=2).shape == (6, 1, 8, 8)


def test_all_members_of_a_group_are_of_its_class_and_of_its_split(groups, digits):
    for part, split in groups.splits.items():
        for members, y in zip(split.stored(), split.factors["digit"].tolist(), strict=True):
            assert {digits[part][key] for key in keys(members)} == {y}


def test_no_digit_of_test_is_in_a_group_of_train(groups):
    used = {part: set(keys(split.stored())) for part, split in groups.splits.items()}
    assert not used["train"] & used["test"] and not used["train"] & used["val"] and not used["val"] & used["test"]
    assert len(used["train"]) > 700  # of 1,258


def test_a_group_has_no_digit_twice_and_is_in_no_order(groups):
    x = groups.splits["train"].stored()
    assert all(len(set(keys(members))) == 5 for members in x)
    rank = {key: i for i, key in enumerate(sorted(set(keys(x))))}
    order = np.array([[rank[key] for key in keys(members)] for members in x])
    first = (order[:, :1] <= order).all(1).mean()
    assert first == pytest.approx(1 / 5, abs=0.08)


def test_classes_are_equally_likely(groups):
    counts = np.bincount(groups.splits["train"].factors["digit"], minlength=10)
    assert ((counts - 40) ** 2 / 40).sum() < 27.9  # of 9 degrees of freedom, one in a thousand
    assert groups.factor("digit").entropy == pytest.approx(np.log(10))


def test_a_second_load_is_the_same(groups):
    again = registry.dataset("digit_groups", members=5, n_train=400, n_val=60, n_test=100)
    assert again.hash == groups.hash


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"members": 0}, "members is 0"),
        ({"n_test": 0}, "n_test is 0"),
        ({"members": True}, "members is True"),
        ({"members": 40}, r"members is 40; val has \d+ digits of some class"),
    ],
)
def test_what_cannot_be_drawn_is_refused(params, words):
    with pytest.raises(DataError, match=words) as refused:
        registry.dataset("digit_groups", **params)
    assert "\n" not in str(refused.value)
