"""The channel that is put on a trained encoder: block by block, and on one block what it was."""

import pytest
import torch
from torch import nn

from rdu_bench.api import Batch, Model, Row, bernoulli, deterministic_block
from rdu_bench.model import replay
from rdu_bench.training.posthoc import Whitened


class Two(Model):
    """x (B, 6) → two blocks of 2 and 3 numbers, the second also of directions that hardly vary."""

    row, channel = Row(paper="0000.00000"), "posthoc-learned"

    def __init__(self, constant=False):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.back = nn.Linear(6, 2), nn.Linear(6, 3), nn.Linear(5, 6)
        self.constant = constant

    def encode(self, batch):
        b = self.b(batch.x)
        return {"a": deterministic_block(self.a(batch.x)), "b": deterministic_block(0 * b if self.constant else b)}

    def decode(self, code):
        return bernoulli(self.back(torch.cat([code["a"].sample, code["b"].sample], 1)))


@pytest.fixture
def seen():
    torch.manual_seed(1)
    return Batch.unlabelled(torch.randn(500, 6) @ torch.randn(6, 6))


def test_blocks_keep_their_names_and_share_the_rate(seen):
    model = Whitened(Two(), seen, 4.0).eval()
    code = model.encode(seen)
    assert list(code) == ["a", "b"] and [block.sample.shape[1] for block in code.values()] == [2, 3]
    rates = {name: float(block.rate.detach().mean()) for name, block in code.items()}
    assert sum(rates.values()) == pytest.approx(4.0, abs=1e-3)
    assert rates["a"] == pytest.approx(4.0 * 2 / 5, abs=1e-3)  # every dimension carries as much


def test_each_block_is_whitened_by_itself(seen):
    model = Whitened(Two(), seen, 40.0).eval()  # hardly any noise
    code = model.encode(seen)
    for block in code.values():
        torch.testing.assert_close(torch.cov(block.q.mean.T), torch.eye(block.sample.shape[1]), atol=0.01, rtol=0)
    apart = Whitened(Two(), Batch.unlabelled(seen.x.clone()), 40.0).eval()
    assert torch.equal(apart.whiten[:2, 2:], torch.zeros(2, 3)) and torch.equal(apart.whiten[2:, :2], torch.zeros(3, 2))


def test_without_noise_the_decoder_gets_the_code(seen):
    inner = Two().eval()
    model = Whitened(inner, seen, 80.0).eval()
    with torch.no_grad():
        code = model.encode(seen)
        expected = inner.receive(inner.encode(seen)).mean
        torch.testing.assert_close(model.receive(code).mean, expected, atol=2e-3, rtol=0)


def test_draws_are_sent_in_the_order_of_the_blocks(seen):
    model = Whitened(Two(), seen, 4.0).eval()
    code = model.encode(seen)
    with replay([block.drawn for block in code.values()]):
        again = model.encode(seen)
    assert all(torch.equal(code[name].sample, again[name].sample) for name in code)


def test_a_constant_block_is_not_sent_and_still_decoded(seen):
    model = Whitened(Two(constant=True), seen, 3.0).eval()
    assert model.silent == ["b"] and not Whitened(Two(), seen, 3.0).silent
    code = model.encode(seen)
    assert list(code) == ["a"] and float(code["a"].rate.detach().mean()) == pytest.approx(3.0, abs=1e-3)
    assert model.receive(code).mean.shape == (500, 6)


def test_a_kept_channel_is_restored_with_its_blocks(seen):
    made = Whitened(Two(), seen, 4.0).eval()
    again = Whitened.restored(Two(), made.state_dict(), made.sigma, made.blocks).eval()
    again.load_state_dict(made.state_dict())
    torch.manual_seed(3)
    first = made.receive(made.encode(seen)).mean
    torch.manual_seed(3)
    assert torch.equal(first, again.receive(again.encode(seen)).mean)
