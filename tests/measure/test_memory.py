"""No split is ever held as floats: x is read in chunks, and sums over it are those of the whole."""

import numpy as np
import pytest
import torch
from worlds import Coins, Plane, Wires, study

from rdu_bench.api import Examples
from rdu_bench.data.examples import Source, View, at_once
from rdu_bench.data.pixels import pixels
from rdu_bench.measure import measure
from rdu_bench.measure.decoded import null


class Watched(Source):
    """An array that remembers the most rows it was asked for at once."""

    def __init__(self, array):
        self.array, self.most = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, rows):
        self.most = max(self.most, len(rows))
        return self.array[rows]


def test_no_split_is_read_whole():
    """Training examples with codes are the most that may be held: the others go by in chunks of 1024 at most."""
    data = Coins()
    data.load(n=3000)
    watched = {part: Watched(split.take().numpy().astype(np.uint8)) for part, split in data.splits.items()}
    data.splits = {part: Examples(watched[part], split.factors) for part, split in data.splits.items()}
    found = measure(study(Wires(1.5), data, codes=500, test=3000, draws_test=2, probe_steps=3))
    assert set(found.structure) >= {"clusters", "efficiency", "noise"} and found.values["D_star_kind"] is not None
    assert {part: source.most for part, source in watched.items()} == {"train": 1024, "val": 512, "test": 512}


def test_no_more_of_val_and_test_is_measured_than_the_budget_says():
    data = Coins()
    data.load(n=3000)
    small = study(Wires(1.5), data, codes=500, test=40, draws_test=2)
    assert [len(small.view(part)) for part in ("train", "val", "test")] == [500, 40, 40]
    assert all([len(y) for y in labels.values] == [500, 40, 40] for labels in small.labels.values())


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("n", [1, 7, 1024, 2500])
def test_sums_over_chunks_are_those_of_the_whole(n, offset):
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(n, 2, 3)) + offset)
    about, whole = pixels(Examples(x, {})), x.float().double()
    torch.testing.assert_close(about.mean, whole.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(about.variance, whole.var(0, correction=0), rtol=1e-6, atol=1e-12)
    assert about.deviation == pytest.approx(float(whole.std()), rel=1e-6)
    assert (about.low, about.high) == (float(whole.min()), float(whole.max()))


@pytest.mark.parametrize("kind", [Coins, Plane])
def test_d_without_a_code_is_that_of_the_best_constant(kind):
    data = kind()
    data.load(n=1500)
    if kind is Plane:
        data.noise = None
    x, test = data.splits["train"].take().double(), data.splits["test"].take().double()
    if kind is Coins:
        p = (x.sum(0) + 0.5) / (len(x) + 1)
        expected = -(test * p.log() + (1 - test) * (1 - p).log()).flatten(1).sum(1)
    else:
        scale = (x - x.mean(0)).square().mean().sqrt()
        expected = -torch.distributions.Normal(x.mean(0), scale).log_prob(test).flatten(1).sum(1)
    found = null(study(Wires(), data)).test[0].double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "most", "expected"), [((1, 8, 8), 512, 512), ((1, 28, 28), 1024, 1024), ((3, 64, 64), 512, 160)]
)
def test_large_examples_are_handed_out_fewer_at_once(shape, most, expected):
    """In sixteens, as the noise that is put on them needs; all of them, in order."""
    watched = Watched(np.arange(700 * np.prod(shape), dtype=np.float32).reshape(700, *shape))
    chunks = [batch.x for batch in View(Examples(watched, {}), slice(650)).chunks(most)]
    assert watched.most == min(650, expected) and torch.equal(torch.cat(chunks), torch.from_numpy(watched.array[:650]))
    assert at_once((3, 4000, 4000), most) == 16
