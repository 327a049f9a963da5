"""UDR over the seeds of a row."""

import numpy as np
import pytest
from fake_records import record

from rdu_bench.analysis.udr import udr


def seeds(count, turned=False):
    """Records of one point with `count` seeds, and the latents of each: the same three sources, permuted or turned."""
    draw = np.random.default_rng(0)
    source = draw.normal(size=(400, 3))
    found, stored = [], {}
    for seed in range(count):
        found.append(record("vae", seed=seed, sigma=4.0))
        mix = np.linalg.qr(draw.normal(size=(3, 3)))[0] if turned else np.eye(3)[draw.permutation(3)]
        dead = 0.01 * draw.normal(size=(400, 1))
        latents = np.concatenate([source @ mix, dead], 1).astype(np.float16)
        stored[found[-1]["key"]] = {"latents/mean": latents, "latents/rate": np.array([1, 1, 1, 0.0], dtype="f4")}
    return found, lambda one: stored[one["key"]]


def test_seeds_that_found_the_same_latents_agree():
    [same] = udr(*seeds(5)).to_dict("records")
    [turned] = udr(*seeds(5, turned=True)).to_dict("records")
    assert same["seeds"] == 5 and same["sigma"] == 4 and same["reason"] == ""
    assert same["udr_robust_mean"] > 0.85 > 0.65 > turned["udr_robust_mean"]
    assert same["udr_dlib_mean"] > 0.85 > 0.65 > turned["udr_dlib_mean"]


def test_fewer_than_five_seeds_have_a_reason_and_no_number():
    [line] = udr(*seeds(3)).to_dict("records")
    assert np.isnan(line["udr_robust_mean"]) and "at least 5" in line["reason"]
    found, _ = seeds(5)
    [line] = udr(found, lambda one: {}).to_dict("records")
    assert np.isnan(line["udr_dlib_mean"]) and "no latents" in line["reason"]
    assert pytest.approx(line["R_star"]) == np.mean([r["values"]["R_star"] for r in found])
