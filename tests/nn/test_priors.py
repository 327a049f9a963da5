"""Laws of learned marginals m(z): they are normalised, and they look only backwards."""

import itertools
import math

import pytest
import torch
from small import randomise
from torch.distributions import kl_divergence

from rdu_bench.api import Autoregression, AutoregressiveFlow, Unigram, gaussian, one_hot, transmit


def flow(dim, layers=2, scale=0.4):
    return randomise(AutoregressiveFlow(dim, layers=layers, hidden=8), scale)


def test_a_new_flow_is_the_unit_gaussian():
    z = torch.randn(50, 4)
    unit = gaussian(torch.zeros(4), torch.ones(4))
    assert torch.allclose(AutoregressiveFlow(4)().log_prob(z), unit.log_prob(z))


def test_scales_of_a_flow_stay_within_three_in_the_logarithm():
    wild, z = flow(3, layers=1, scale=50.0), torch.randn(500, 3)
    _, log_scale = wild.affine(wild.layers[0], z)
    assert 2.99 < log_scale.abs().max() <= 3


def grid(dim, reach, n):
    axis = torch.linspace(-reach, reach, n, dtype=torch.float64)
    return torch.stack(torch.meshgrid(*[axis] * dim, indexing="ij"), -1).view(-1, dim), (axis[1] - axis[0]) ** dim


@pytest.mark.parametrize(("dim", "n"), [(1, 4001), (2, 801)])
def test_the_density_integrates_to_one(dim, n):
    z, cell = grid(dim, 30, n)
    mass = flow(dim).double()().log_prob(z).exp().detach()
    assert float(mass.sum() * cell) == pytest.approx(1, abs=2e-3)


def test_two_layers_are_not_gaussian():
    """Else the test above would hold of any Gaussian: no Gaussian has a third moment about its mean."""
    z, cell = grid(2, 25, 601)
    mass = flow(2).double()().log_prob(z).exp().detach() * cell
    mean = (mass[:, None] * z).sum(0)
    variance, third = ((mass[:, None] * (z - mean) ** k).sum(0) for k in (2, 3))
    assert (third / variance**1.5).abs().max() > 0.1


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_log_density_is_the_change_of_variables(dim):
    """log m(z) = log N(ε) + log |det dε/dz|, the determinant by automatic differentiation."""
    made = flow(dim)

    def noise(z):
        for layer in made.layers:
            mean, log_scale = made.affine(layer, z)
            z = ((z - mean) / log_scale.exp()).flip(-1)
        return z

    z = torch.randn(6, dim)
    jacobian = torch.stack([torch.func.jacrev(noise)(row) for row in z])
    expected = gaussian(torch.zeros(dim), torch.ones(dim)).log_prob(noise(z)) + torch.linalg.slogdet(jacobian)[1]
    assert torch.allclose(made().log_prob(z), expected, atol=1e-5)


def test_drawing_inverts_the_density_pass():
    """Noise pushed through the sampler comes back as itself through the layers of `log_prob`."""
    made = flow(4, layers=3)
    torch.manual_seed(1)
    z = made().sample((64,))
    torch.manual_seed(1)
    noise = gaussian(torch.zeros(4), torch.ones(4)).sample((64,))
    for layer in made.layers:
        mean, log_scale = made.affine(layer, z)
        z = ((z - mean) / log_scale.exp()).flip(-1)
    assert torch.allclose(z, noise, atol=1e-4)


def test_draws_have_the_entropy_of_the_density():
    """−E log m(z) by sampling equals −∫ m log m on a grid."""
    made = flow(2)
    torch.manual_seed(2)
    log_m = made().log_prob(made().sample((20_000,))).detach()
    z, cell = grid(2, 25, 601)
    log_density = made.double()().log_prob(z).detach()
    entropy = float(-(log_density.exp() * log_density).sum() * cell)
    assert -log_m.mean().item() == pytest.approx(entropy, abs=4 * log_m.std().item() / 20_000**0.5)


def test_a_flow_prior_is_an_inverse_flow_posterior():
    """log q(z|x) − log m(z) is the same number on the other side of the flow, against N(0, I)."""
    made, q = flow(3), gaussian(torch.randn(8, 3), torch.rand(8, 3) + 0.1)
    block = transmit(q, made())
    noise, volume = block.sample, 0.0
    for layer in made.layers:
        mean, log_scale = made.affine(layer, noise)
        noise = ((noise - mean) / log_scale.exp()).flip(-1)
        volume = volume + log_scale.sum(-1)  # log |dz/dε|
    posterior = q.log_prob(block.sample) + volume  # of ε, by inverse autoregressive flow
    unit = gaussian(torch.zeros(3), torch.ones(3))
    assert torch.allclose(block.rate, posterior - unit.log_prob(noise), atol=1e-4)


def strings(P, K):
    """Every string of P symbols out of K, one-hot (K^P, P, K)."""
    return torch.stack([torch.eye(K)[list(s)] for s in itertools.product(range(K), repeat=P)])


@pytest.mark.parametrize("kind", [Unigram, Autoregression])
def test_the_masses_of_all_strings_sum_to_one(kind):
    prior, k = randomise(kind(3, 4), 1.0), strings(3, 4)
    mass = prior(k).log_prob(k).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)
    assert mass.max() > 2 / 64


def test_a_symbol_is_expected_from_those_before_it():
    prior = randomise(Autoregression(4, 3), 1.0)
    sent = torch.rand(4, 3)
    slope = torch.func.jacrev(lambda k: prior(k[None]).base_dist.logits[0])(sent).abs().sum((1, 3))  # (P, P)
    assert torch.equal(slope > 0, torch.ones(4, 4).tril(-1).bool())


def test_with_one_position_there_is_nothing_before():
    """The price of a symbol is a fixed table, as a `Unigram`'s is."""
    prior, k = randomise(Autoregression(1, 5), 1.0), strings(1, 5)
    table = prior(k).base_dist.probs[:, 0]
    assert torch.equal(table, table[:1].expand(5, 5)) and table.std() > 0.01


def test_prices_of_symbols_move_five_times_as_far_as_their_weights():
    prior = Autoregression(2, 3)
    with torch.no_grad():
        prior.base.copy_(torch.tensor([[0.1, 0.2, 0.3], [0.0, -0.4, 0.4]]))
    assert torch.allclose(prior(torch.rand(4, 2, 3)).base_dist.probs, (5 * prior.base).softmax(-1).expand(4, -1, -1))


@pytest.mark.parametrize("kind", [Unigram, Autoregression])
def test_an_untrained_prior_charges_log_k_a_symbol(kind):
    sent = strings(3, 4)
    certain = one_hot(50 * sent)
    assert torch.allclose(kl_divergence(certain, kind(3, 4)(sent)), torch.tensor(3 * math.log(4)), atol=1e-4)


def test_the_fitted_price_of_a_string_lies_between_its_entropy_and_p_log_k():
    """Symbols repeat the one before with probability 0.9: only the autoregression can know that."""
    P, K, N = 4, 3, 3000
    torch.manual_seed(0)
    symbols = [torch.randint(K, (N,))]
    for _ in range(P - 1):
        symbols.append(torch.where(torch.rand(N) < 0.9, symbols[-1], torch.randint(K, (N,))))
    k = torch.eye(K)[torch.stack(symbols, 1)]
    stay, other = 0.9 + 0.1 / K, 0.1 / K
    entropy = math.log(K) - (P - 1) * (stay * math.log(stay) + (K - 1) * other * math.log(other))
    nats = {}
    for kind in (Unigram, Autoregression):
        prior = kind(P, K)
        adam = torch.optim.Adam(prior.parameters(), 0.02)
        for _ in range(300):
            loss = -prior(k).log_prob(k).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        nats[kind] = -prior(k).log_prob(k)
    se = nats[Autoregression].std().item() / N**0.5
    assert nats[Autoregression].mean().item() == pytest.approx(entropy, abs=4 * se)
    counted = k.mean(0).clamp(min=1e-9)
    assert nats[Unigram].mean().item() == pytest.approx(float(-(counted * counted.log()).sum()), abs=1e-3)
    assert nats[Autoregression].mean() < nats[Unigram].mean() <= P * math.log(K) + 1e-3
