"""Examples: the same rows however they are asked for, and one sentence for what is no number."""

import numpy as np
import pandas as pd
import pytest
import torch

from rdu_bench._memory import give_back
from rdu_bench.data import DataError, Examples, View, batches

N = 10
PIXELS = np.random.default_rng(0).integers(0, 2, (N, 1, 2, 3)).astype(np.uint8)
CLASS = np.arange(N) % 3


def examples(**changed):
    return Examples(PIXELS, {"y": CLASS}, **changed)


def shuffled():
    """The same examples in another order of an array with more of them."""
    rows = np.random.default_rng(1).permutation(3 * N)[:N]
    wide = np.zeros((3 * N, 1, 2, 3), np.uint8)
    wide[rows] = PIXELS
    return Examples(wide, {"y": CLASS}, rows=rows)


ROWS = {
    "a slice": (slice(2, 7, 2), [2, 4, 6]),
    "all": (slice(None), list(range(N))),
    "a slice past the end": (slice(8, 20), [8, 9]),
    "a list": ([3, 1, 1], [3, 1, 1]),
    "numbers from the end": ([-1, 0, -N], [9, 0, 0]),
    "a tensor": (torch.tensor([5, 2]), [5, 2]),
    "small integers": (np.array([5, 250 - 245], np.uint8), [5, 5]),
    "a range": (range(3), [0, 1, 2]),
    "nothing": ([], []),
    "no row of a tensor": (torch.tensor([], dtype=torch.int64), []),
    "a mask": (CLASS == 2, [2, 5, 8]),
    "a mask of a tensor": (torch.from_numpy(CLASS == 2), [2, 5, 8]),
    "a mask of none": (np.zeros(N, bool), []),
}


@pytest.mark.parametrize("of", [examples, shuffled])
@pytest.mark.parametrize("rows", ROWS)
def test_rows_are_those_that_are_named(of, rows):
    at, means = ROWS[rows]
    some, view = of(), View(of(), at, "y")
    assert np.array_equal(some.stored(at), PIXELS[means]) and some.stored(at).dtype == np.uint8
    taken = some.take(at)
    assert taken.dtype == torch.float32 and np.array_equal(taken, PIXELS[means])
    part = some.subset(at)
    assert len(part) == len(view) == len(means)
    assert np.array_equal(part.stored(), PIXELS[means]) and part.factors["y"].tolist() == CLASS[means].tolist()
    batch = view.batch()
    assert np.array_equal(batch.x, PIXELS[means]) and batch.s.tolist() == CLASS[means].tolist()
    assert (batch.y == -1).all()


@pytest.mark.parametrize(
    "at", [[N], [-N - 1], [0, 2**40], np.zeros(N - 1, bool), [True], [[0]], 3, [0.5], ["a"], np.array(2)]
)
def test_rows_that_there_are_not_are_refused(at):
    for ask in (examples().take, examples().subset, examples().stored, lambda at: View(examples(), at)):
        with pytest.raises(IndexError, match=r"^\S.*\d|rows"):
            ask(at)


def test_a_subset_of_a_subset_shares_the_array():
    part = examples().subset([7, 3, 5]).subset([2, 0])
    assert np.shares_memory(part.source, PIXELS) and np.array_equal(part.stored(), PIXELS[[5, 7]])
    assert part.factors["y"].tolist() == [CLASS[5], CLASS[7]]


def test_chunks_are_the_examples_in_order():
    assert torch.equal(torch.cat(list(examples().chunks(4))), examples().take())
    assert [len(part) for part in examples().chunks(4)] == [4, 4, 2] and list(examples().subset([]).chunks()) == []
    view = View(examples(), [4, 2, 9, 1], "y")
    assert torch.equal(torch.cat([b.x for b in view.chunks(3)]), view.batch().x)
    assert view.rows([1, -1]).at.tolist() == [2, 1]


def test_what_is_taken_is_a_copy():
    x = np.zeros((3, 2), np.float32)
    some = Examples(x, {})
    some.take().add_(1), some.take([0, 1]).add_(1), next(some.chunks()).add_(1)
    assert not x.any()


def test_scale_turns_what_is_stored_into_what_a_model_sees():
    grey = Examples(np.array([[0, 51, 255]], np.uint8), {}, scale=1 / 255)
    assert grey.take()[0].tolist() == pytest.approx([0, 0.2, 1]) and grey.stored()[0].tolist() == [0, 51, 255]
    assert torch.equal(grey.subset([0]).take(), grey.take())
    assert torch.equal(grey.relabelled({"y": [1]}).take(), grey.take())


@pytest.mark.parametrize("kind", ["?", "i1", "u2", ">u2", "i8", "f2", "f4", ">f4", "f8", ">f8"])
def test_every_kind_of_number_is_seen_as_float32(kind):
    x = PIXELS.astype(kind)
    assert torch.equal(Examples(x, {}).take(), torch.from_numpy(PIXELS).float())


# --- factors --------------------------------------------------------------------------------------------------------

RIGHT = {
    "a list": ([0, 1, 2], torch.int64),
    "booleans": (np.array([True, False, True]), torch.int64),
    "bytes": (np.array([0, 1, 255], np.uint8), torch.int64),
    "a column": (pd.Series([0, 1, 2], dtype="Int64"), torch.int64),
    "categories' numbers": (pd.Categorical(["b", "a", "b"]).codes, torch.int64),
    "a mask of nothing": (np.ma.array([0, 1, 2], mask=False), torch.int64),
    "doubles": (np.ones((3, 2)), torch.float32),
    "a tensor of doubles": (torch.ones(3, 2, dtype=torch.float64), torch.float32),
    "half precision": (torch.ones(3, 2, dtype=torch.bfloat16), torch.float32),
}


@pytest.mark.parametrize("values", RIGHT)
def test_factors_are_kept_as_int64_or_float32(values):
    given, kind = RIGHT[values]
    kept = Examples(PIXELS[:3], {"y": given}).factors["y"]
    assert kept.dtype == kind and len(kept) == 3
    assert kept.tolist() == (given if isinstance(given, torch.Tensor) else np.array(given, "f8")).tolist()


WRONG_FACTORS = {
    r"'y' holds text, such as heart; number its classes from 0, as in numpy.unique": ["heart", "square", "heart"],
    r"'y' holds objects of Python, such as 'heart' \(str\)": np.array(["heart", "a", "b"], object),
    r"'y' holds text, such as heart": np.array(["heart", "a", "b"]),
    r"'y' holds objects of Python, such as 'b' \(str\)": pd.Series(["b", "a", "b"], dtype=object),
    r"'y' holds 1 missing values \(<NA>\)|'y' has no finite value for 1 of 3": pd.Series([0, None, 2], dtype="Int64"),
    r"'y' holds 1 missing values \(None\)": [0, None, 2],
    r"'y' has no finite value for 1 of 3": np.array([0, np.nan, 2]),
    r"'y' has no finite value for 2 of 3": np.array([[0, 1], [np.nan, 1], [2, np.inf]]),
    r"'y' is masked in 1 places": np.ma.array([0, 1, 2], mask=[0, 1, 0]),
    r"'y' holds complex numbers": np.array([0, 1j, 2]),
    r"'y' holds dates": np.array(["2020-01-01"] * 3, "M8[D]"),
    r"'y' holds bytes, such as": np.array([b"a", b"b", b"c"]),
    r"'y' has 2 values for 3 examples": [0, 1],
    r"'y' has a single value": 3,
    r"'y' is no array: its rows have different lengths": [[0], [1, 2], [3]],
    r"'y' holds 18446744073709551615, more than int64": np.array([0, 1, 2**64 - 1], np.uint64),
}


@pytest.mark.parametrize("message", WRONG_FACTORS)
def test_a_bad_factor_gets_one_sentence(message):
    with pytest.raises(DataError, match=message) as caught:
        Examples(PIXELS[:3], {"y": WRONG_FACTORS[message]})
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


WRONG_PIXELS = {
    r"x holds complex numbers": PIXELS * 1j,
    r"x is masked in 6 places": np.ma.array(PIXELS, mask=np.repeat(np.arange(N) == 1, 6).reshape(PIXELS.shape)),
    r"x holds objects of Python, such as 1 \(int\)": np.ones((2, 2), object),
    r"x holds 1 missing values \(nan\)": np.array([[1, float("nan")]], object),
    r"x holds text, such as a": [["a", "b"]],
    r"x has shape \(4,\)": np.ones(4),
    r"x has shape \(\)": 3,
    r"x is no array: its rows have different lengths": [[1], [1, 2]],
    r"x holds float128|x holds longdouble": np.ones((2, 2), np.longdouble),
}


@pytest.mark.parametrize("message", WRONG_PIXELS)
def test_bad_pixels_get_one_sentence(message):
    with pytest.raises(DataError, match=message) as caught:
        Examples(WRONG_PIXELS[message], {})
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# --- batches --------------------------------------------------------------------------------------------------------


def drawn(some, size, steps, seed=3):
    return list(batches(some, size, steps, label="y", sensitive="y", seed=seed))


def test_an_epoch_is_a_permutation_fixed_by_the_seed():
    some = Examples(np.arange(N, dtype=np.uint8)[:, None], {"y": np.arange(N)})
    first = drawn(some, 5, 4)
    rows = [batch.x[:, 0].int().tolist() for batch in first]
    assert sorted(rows[0] + rows[1]) == sorted(rows[2] + rows[3]) == list(range(N)) and rows[:2] != rows[2:]
    assert all(batch.y.tolist() == batch.s.tolist() == row for batch, row in zip(first, rows, strict=True))
    assert [float(batch.progress) for batch in first] == [0, 0.25, 0.5, 0.75]
    again, other = drawn(some, 5, 4), drawn(some, 5, 4, seed=4)
    assert all(torch.equal(a.x, b.x) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.x, b.x) for a, b in zip(first, other, strict=True))


def test_the_order_is_that_of_records_made_before():
    some = Examples(np.arange(N, dtype=np.uint8)[:, None], {"y": np.arange(N)})
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3)).tolist()
    assert [batch.y.tolist() for batch in drawn(some, 4, 2)] == [order[:4], order[4:8]]


def test_batches_are_whole():
    assert [len(batch.x) for batch in drawn(examples(), 4, 5)] == [4] * 5
    assert [len(batch.x) for batch in drawn(examples(), 100, 2)] == [N, N]


def test_one_example_is_trained_on_and_none_is_refused():
    assert [batch.y.tolist() for batch in drawn(examples().subset([4]), 8, 3)] == [[CLASS[4]]] * 3
    with pytest.raises(DataError, match="the train split is empty"):
        drawn(examples().subset([]), 8, 3)


def test_what_passing_many_examples_took_is_given_back(monkeypatch):
    """Large ones are passed a few at a time, and the holes that these leave add up to several times as much."""
    given = []
    monkeypatch.setattr("rdu_bench.data.examples.give_back", lambda: given.append(len(seen)))
    view, seen = View(Examples(np.zeros((40, 1, 2, 2), np.uint8), {}), np.arange(40), None), []
    for batch in view.chunks(2):
        seen.append(batch.x)
    assert torch.cat(seen).shape == (40, 1, 2, 2) and given == [8, 16]
    give_back()  # works wherever this runs
