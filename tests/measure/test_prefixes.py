"""The first blocks of a code are charged by a marginal of these blocks."""

import pytest
import torch

from rdu_bench import registry
from rdu_bench.measure.codes import Splits, draw
from rdu_bench.measure.marginals import refit
from rdu_bench.measure.prefixes import block_names, levels_below, looks_ahead

MODELS = [
    ("m1_m2", "digits", {}, {"z1": "z2"}),
    ("vfae", "coloured", {"layers": 2}, {"z1": "z2"}),
    ("vfae", "coloured", {}, {}),
    ("ladder_vae", "digits", {}, {}),
    ("vlae_ladder", "digits", {}, {}),
    ("structured_dgm", "digits", {}, {}),
    ("joint_vae", "digits", {}, {}),
    ("m2", "digits", {}, {}),
]


def made(name, dataset, params):
    data = registry.dataset(dataset)
    torch.manual_seed(0)
    model = registry.load("models", name)(data.spec(hidden=(16, 16), latent=3), **params).eval()
    return data, model


@pytest.mark.parametrize(("name", "dataset", "params", "ahead"), MODELS)
def test_a_block_that_is_expected_by_a_later_one_is_found(name, dataset, params, ahead):
    data, model = made(name, dataset, params)
    before = torch.get_rng_state()
    assert looks_ahead(model, data.view("train", model.row, slice(4)), "cpu") == ahead
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "params", "own"), [("m1_m2", {}, False), ("ladder_vae", {}, True)])
def test_such_a_block_alone_has_no_marginal_of_its_own(name, params, own):
    data, model = made(name, "digits", params)
    views = tuple(data.view(part, model.row, slice(150)) for part in ("train", "val", "test"))
    like = Splits(*(draw(model, view, 2, device="cpu", decode=False) for view in views))
    first, *_ = levels_below(model, block_names(model, views[0], "cpu"), views, like, None, "cpu")
    found = refit(first.codes, (2,), 0, first.aggregates)
    assert ("own" in found.parts) is own
    assert own or "z1 is expected by block z2, which is sent after it" in found.left_out["own"]
