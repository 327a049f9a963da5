"""No two entries of a suite that ships are one model under two names."""

import itertools

import pytest
import torch

from rdu_bench import registry
from rdu_bench.api import Batch, Spec
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves


def says(curve):
    """What batches it asks for, and its terms on one of which everything is known, with weights that a seed shakes."""
    frames = (4,) if "sequence" in registry.card("datasets", curve.dataset).get("provides", ()) else ()
    spec = Spec((*frames, 1, 16, 16), examples=500, classes=10, groups=2, factors=4, hidden=(8,), latent=10)
    torch.manual_seed(0)
    model = registry.model(curve.model, spec, **curve.params)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    n = torch.arange(20)
    given = Batch(torch.rand(20, *spec.shape).round(), n % 10, n % 2, torch.tensor(0.5))
    torch.manual_seed(2)
    return model.row.batches, *(float(term.detach().mean()) for term in model(given))


@pytest.mark.parametrize("name", suite.names())
def test_no_two_entries_of_a_suite_are_one_model(name):
    found = {}
    for curve in curves(suite.read(name)):
        if curve.seed == 0:
            found.setdefault((curve.data_label, curve.row), curve)
    said = {at: says(curve) for at, curve in found.items()}
    for (one, a), (other, b) in itertools.combinations(said.items(), 2):
        assert one[0] != other[0] or a != b, f"{one[1]} and {other[1]}"
