"""Side information: a decoder that is given s pays for it, and the representation has none of it."""

import math

import pytest
import torch
from worlds import spent

from rdu_bench import registry
from rdu_bench.api import Autoencoder, Batch, Decoder, Row, flatten, label_block
from rdu_bench.measure import Study, measure
from rdu_bench.measure.codes import draw
from rdu_bench.records.laws import check
from rdu_bench.training import Training, fit, mean_rate
from rdu_bench.training.posthoc import Whitened


class Informed(Autoencoder):
    """A VAE whose decoder is given the colour."""

    row = Row(paper="0000.00000", title="informed", side="s", needs=("groups",))

    def __init__(self, data):
        super().__init__(data, decoder=Decoder(data, data.latent + data.groups))
        self.groups = data.groups

    def encode(self, batch):
        return {"s": label_block(batch.s, self.groups), **super().encode(batch)}

    def decode(self, code):
        return self.decoder(torch.cat([code["z"].sample, code["s"].sample], -1))


class Noiseless(Informed):
    """The same without noise of its own."""

    channel = "posthoc-iso"

    def encode(self, batch):
        code = super().encode(batch)
        return {**code, "z": code["z"]._replace(sample=code["z"].q.mean, drawn=code["z"].q.mean)}


@pytest.fixture(scope="module")
def data():
    return registry.dataset("coloured", colours=3, correlation=0.0)


def test_side_information_is_sent_as_it_is_and_costs_its_logarithm():
    s = torch.tensor([0, 2, 1, 2])
    block = label_block(s, 3)
    assert block.side and block.discrete and torch.equal(block.sample.argmax(1), s)
    torch.testing.assert_close(block.rate, torch.full((4,), math.log(3)))
    torch.testing.assert_close(block.log_ratio, block.rate)


def test_the_representation_has_no_side_information(data):
    torch.manual_seed(0)
    model = Informed(data.spec(hidden=(16,), latent=4))
    seen = data.view("test", model.row).batch()
    assert torch.equal(seen.s, data.splits["test"].factors["colour"]) and bool((seen.y == -1).all())
    assert flatten(model.encode(seen)).shape[1] == 4
    codes = draw(model, data.view("test", model.row), 2)
    assert codes.z.shape[-1] == 4 and codes.side.shape[-1] == 3 and codes.sent.shape[-1] == 7
    assert codes.names == tuple(f"z[{i}]" for i in range(4)) and codes.latents.shape[-1] == 4
    assert codes.sizes == (3,) and codes.own == 0


def test_models_without_side_information_are_not_given_s(data):
    assert bool((data.view("test", Row(paper="")).batch().s == -1).all())


def test_a_rate_counts_what_the_decoder_is_given(data):
    torch.manual_seed(0)
    model = Informed(data.spec(hidden=(32,), latent=4))
    control = fit(model, data, 4.0, Training(steps=300)).control
    code = model.encode(data.view("train", model.row).batch())
    assert control.R_train == pytest.approx(4, rel=0.05)
    assert code["z"].rate.mean().item() == pytest.approx(4 - math.log(3), rel=0.1)


def test_records_of_a_model_with_side_information_break_no_law(data):
    torch.manual_seed(0)
    model = Informed(data.spec(hidden=(32,), latent=4))
    fit(model, data, 4.0, Training(steps=200))
    budget = spent(
        codes=800, draws_fit=2, draws_test=2, mixtures=(4,), probe_steps=50, head_steps=10, test=400, score_groups=50
    )
    spec = data.spec(hidden=(32,), latent=4)
    found = measure(Study(model.requires_grad_(False), data, budget, ("linear",), spec))
    factors = {f.name: {"independent": f.independent} for f in data.factors}
    record = {"values": found.values, "factors": found.factors, "status": "ok", "control": {}}
    assert check(record | {"data": {"shape": list(data.shape), "factors": factors}}) == []
    assert found.values["R_parts"]["s"] == pytest.approx(math.log(3), abs=1e-3)
    assert set(found.values["R_star_parts"]) >= {"own", "histogram×full", "train aggregate"}
    assert all(name.startswith("z") for name in found.mi["latents"])


def test_a_channel_put_on_afterwards_lets_side_information_pass(data):
    torch.manual_seed(0)
    seen = data.view("train", Noiseless.row).batch()
    noisy = Whitened(Noiseless(data.spec(hidden=(16,), latent=4)), seen, 2.0)
    assert mean_rate(noisy, seen) == pytest.approx(2, rel=1e-3) and not noisy.limit
    some = seen.rows(slice(5))
    other = some._replace(s=(some.s + 1) % 3)
    one, two = (noisy.decode({**noisy.encode(some), "s": label_block(b.s, 3)}).mean for b in (some, other))
    assert isinstance(some, Batch) and not torch.allclose(one, two)


def test_a_channel_cannot_give_less_than_side_information_costs_and_says_so(data):
    torch.manual_seed(0)
    seen = data.view("train", Noiseless.row).batch()
    noisy = Whitened(Noiseless(data.spec(hidden=(16,), latent=4)), seen, 1.0)
    control = fit(noisy, data, 1.0, Training(steps=1)).control
    assert control.R_train == pytest.approx(math.log(3), abs=0.01)
    assert control.status == "unreachable" and "side information alone costs 1.10 nats" in control.reason
