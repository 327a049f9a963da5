"""Bytes as real numbers: the byte can be read off, the noise is uniform, and no row depends on which are asked for."""

import numpy as np
import pytest
import torch
from small_data import fashion, put_fashion
from torch.distributions import Normal

from rdu_bench.data import Dequantised, Examples

LEVELS = np.random.default_rng(0).integers(0, 256, (500, 1, 7, 6), dtype=np.uint8)


def noise(name="test", levels=LEVELS):
    made = Dequantised(levels, name)
    return made[np.arange(len(levels))] - levels


def test_the_byte_is_the_whole_part():
    x = Dequantised(LEVELS, "test")[np.arange(500)]
    assert x.dtype == np.float32 and x.shape == LEVELS.shape
    assert np.array_equal(np.floor(x), LEVELS)


def test_noise_is_uniform_and_independent():
    u = noise(levels=np.zeros((4000, 1, 7, 7), np.uint8)).reshape(4000, 49).astype(np.float64)
    counts = np.histogram(u, 64, (0, 1))[0]
    expected = u.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 6 * np.sqrt(2 * 63)
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * u.size)
    centred = (u - 0.5) * np.sqrt(12)
    for a, b in ((centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1]), (centred[:, 4:], centred[:, :-4])):
        assert abs((a * b).mean()) < 5 / np.sqrt(a.size)
    assert len(np.unique(u[:, 0])) > 3800  # of 65,536 values


def test_a_row_is_the_same_whoever_asks():
    made = Dequantised(LEVELS, "test")
    every = made[np.arange(500)]
    rows = np.array([499, 3, 3, 0, 77])
    assert np.array_equal(made[rows], every[rows]) and made[rows[:0]].shape == (0, 1, 7, 6)
    assert np.array_equal(Dequantised(LEVELS[:100], "test")[np.arange(100)], every[:100])
    twice = Dequantised(made.levels, "other")[rows]
    assert not np.array_equal(twice, every[rows])


def test_noise_is_what_it_was():
    """It is part of a content hash: of the first two rows, in steps of 1/65,536, the first and the last place."""
    assert (noise()[:2].reshape(2, 42)[:, [0, 41]] * 2**16).astype(int).tolist() == [[12353, 3907], [7280, 4583]]


def test_only_bytes_have_steps_of_one():
    with pytest.raises(ValueError, match="levels are int64"):
        Dequantised(LEVELS.astype(np.int64), "test")


def test_a_density_of_x_bounds_the_nats_of_the_bytes():
    """−log ∫ p(level + u) du ≤ E −log p(level + u), nearly with equality where p is flat over a step."""
    levels = np.clip(np.random.default_rng(1).normal(120, 20, (20000, 1, 1, 2)), 0, 255).astype(np.uint8)
    x = Examples(Dequantised(levels, "test"), {}).take().double()
    at = torch.from_numpy(levels.astype(np.float64))
    gaps = []
    for scale in (20.0, 1.0):
        p = Normal(120.0, scale)
        bytes_take = -(p.cdf(at + 1) - p.cdf(at))[(at - 120).abs() < 7 * scale].log().mean()
        gaps.append(float(-p.log_prob(x)[(at - 120).abs() < 7 * scale].mean() - bytes_take))
    assert abs(gaps[0]) < 2e-3 and gaps[1] > 0.03
    constant = Examples(Dequantised(np.zeros((20000, 1, 1, 2), np.uint8), "test"), {}).take().double()
    best = min(float(-Normal(0.5, scale).log_prob(constant).mean()) for scale in (1.0, 0.3, 0.2887, 0.1, 0.01, 1e-3))
    assert 0 < best < 0.2  # ½ log(2πe/12) = 0.1765: a constant pixel takes 0 nats, and no density goes below


def test_grey_pixels_are_held_as_bytes(tmp_path):
    put_fashion(tmp_path)
    data = fashion(tmp_path, pixels="grey")
    sources = {split.source for split in data.splits.values()}
    [source] = sources
    assert source.levels.dtype == np.uint8 and source.levels.nbytes == 80 * 784
    assert data.likelihood == "gaussian" and data.provides == {"labels", "image"}
    assert [w for w in data.verify() if "another set" not in w] == []
