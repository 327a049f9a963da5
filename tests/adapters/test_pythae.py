"""Models of Pythae: a VAE of theirs is ours, and what their losses add to D and R comes through as they wrote it."""

import math
import threading

import pytest
import torch
from small import close, gaussian_kl, lost, reaches, same_noise, seen, shaken
from torch.distributions import Normal

from rdu_bench import registry
from rdu_bench.api import Spec, mmd
from rdu_bench.conformance import check
from rdu_bench.training import Training, fit
from rdu_bench.training.stack import optimizers

pytest.importorskip("pythae")
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput

from rdu_bench.adapters.pythae import ROWS, FromPythae, from_pythae

SPEC = Spec((1, 4, 4), examples=200, hidden=(16,), latent=3)
NAMED = [name for name in ROWS if name != "unfit"]
BROKEN = {"Adversarial_AE": {"no branches", "stack"}}  # its noise asks for a gradient, which no stack can give
FAST = ("per example", "pure", "players apart", "no branches", "stack")


def made(name, spread=0.3, **params):
    """A model by name, from seed 0, its weights shaken."""
    torch.manual_seed(0)
    return shaken(registry.model(name, SPEC, **params), spread)


def terms(name, **params):
    """Its terms on one batch, and its code there."""
    model = made(name, **params)
    return same_noise(model, seen()), same_noise(model.encode, seen()), model


def their_total_correlation(block, n):
    """(B,) log q(z) − Σ_j log q(z_j) by minibatch-weighted sampling, eq. S4 of arXiv:1802.04942, from N examples."""
    density = Normal(block.q.mean[None], block.q.stddev[None]).log_prob(block.sample[:, None])  # (B, B, d)
    scale = math.log(len(block.sample) * n)
    return density.sum(-1).logsumexp(1) - scale - (density.logsumexp(1) - scale).sum(-1)


def test_their_vae_is_ours_on_a_batch():
    ours, theirs = (same_noise(made(name), seen()) for name in ("vae", "pythae:VAE"))
    assert torch.equal(ours.distortion, theirs.distortion) and torch.equal(ours.rate, theirs.rate)
    close(theirs.regularizer, 0.0)


@pytest.mark.parametrize("sigma", [None, 4.0])
def test_their_vae_trains_to_what_ours_does(sigma):
    data = registry.dataset("digits")
    found = []
    for name in ("vae", "pythae:VAE"):
        torch.manual_seed(0)
        model = registry.model(name, data.spec(hidden=(16,), latent=3))
        trained = fit(model, data, sigma, Training(steps=40, batch=64))
        torch.manual_seed(1)
        found.append((trained.control.R_train, lost(trained.model, data)))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_beta_vae_adds_what_it_says(beta):
    found, code, _ = terms("pythae:BetaVAE", beta=beta)
    close(found.regularizer, (beta - 1) * gaussian_kl(code["z"].q).mean(), rtol=1e-3)


@pytest.mark.parametrize("beta", [1.0, 1.5, 4.0])
def test_beta_tcvae_subtracts_the_estimate_of_r_that_its_loss_has(beta):
    found, code, _ = terms("pythae:BetaTCVAE", beta=beta, use_mss=False)
    block = code["z"]
    close(found.regularizer, (beta - 1) * their_total_correlation(block, SPEC.examples).mean(), atol=1e-4, rtol=1e-3)
    assert (block.log_ratio.mean() - block.rate.mean()).abs() > 0.01, "the closed form would be another number"


def test_the_weights_of_stratified_sampling_add_nothing_at_one():
    found, *_ = terms("pythae:BetaTCVAE", use_mss=True)
    close(found.regularizer, 0.0, atol=1e-4)


@pytest.mark.parametrize(("alpha", "lbd"), [(0.5, 0.5), (0.25, 3.0)])
def test_info_vae_takes_alpha_off_r_and_adds_mmd(alpha, lbd):
    plain, code, _ = terms("pythae:INFOVAE_MMD", alpha=0.0, lbd=2.0)
    mismatch = plain.regularizer  # (0 + 2 − 1) MMD²
    found, *_ = terms("pythae:INFOVAE_MMD", alpha=alpha, lbd=lbd)
    wanted = (alpha + lbd - 1) * mismatch - alpha * gaussian_kl(code["z"].q).mean()
    close(found.regularizer, wanted, atol=1e-4, rtol=1e-3)
    assert mismatch.abs() > 1e-3


def test_a_capacity_is_there_from_the_beginning():
    found, code, _ = terms("pythae:DisentangledBetaVAE", beta=2.0, C=1.5)
    rate = gaussian_kl(code["z"].q)
    close(found.regularizer, (2 * (rate - 1.5).abs() - rate).mean(), atol=1e-4, rtol=1e-3)


def test_wae_is_behind_the_noise_channel_and_adds_its_mmd():
    found, _, model = terms("pythae:WAE_MMD", reg_weight=3.0, scales=[1.0])
    assert model.channel == "trained-noise"
    torch.manual_seed(7)
    z = model.encode(seen())["z"].drawn
    close(
        found.regularizer, 3 * mmd(z, torch.randn_like(z)), atol=0.05
    )  # theirs divides the cross term by n², not n(n−1)
    same, *_ = terms("pythae:WAE_MMD", reg_weight=0.0)
    close(same.regularizer, 0.0, atol=1e-4)


def test_point_encoders_without_a_penalty_add_nothing():
    close(terms("pythae:AE")[0].regularizer, 0.0)
    found, code, _ = terms("pythae:RAE_L2", embedding_weight=2.0)
    close(found.regularizer, code["z"].drawn.square().sum(-1).mean(), rtol=1e-3)


def test_factor_vae_adds_what_its_critic_reads_on_the_half_that_it_looks_at():
    close(terms("pythae:FactorVAE", gamma=0.0)[0].regularizer, 0.0, atol=1e-4)
    one, two = (terms("pythae:FactorVAE", gamma=gamma)[0].regularizer for gamma in (1.0, 2.0))
    close(two, 2 * one, atol=1e-4, rtol=1e-3)
    assert one.abs() > 1e-3


@pytest.mark.parametrize("name", ["pythae:FactorVAE", "pythae:Adversarial_AE"])
def test_neither_player_is_trained_by_the_other(name):
    found, _, model = terms(name)
    critic = model.theirs.discriminator
    assert not reaches(found.regularizer, critic) and reaches(found.regularizer, model.encoder)
    assert reaches(found.critic_loss, critic) and not reaches(found.critic_loss, model.encoder)
    assert not reaches(found.critic_loss, model.decoder)


# ---- models of one's own ---------------------------------------------------------------------------------------------


class Pull(VAE):
    """A VAE whose loss also has the sum of z, so that what z was can be read off it."""

    def forward(self, inputs, **kwargs):
        out = super().forward(inputs)
        return ModelOutput(loss=out.loss + out.z.sum(-1).mean(), recon_loss=out.recon_loss, z=out.z)


def of(kind, loss="mse", **how):
    def make(data, encoder, decoder):
        config = VAEConfig(input_dim=data.shape, latent_dim=data.latent, reconstruction_loss=loss)
        return kind(config, encoder, decoder)

    return from_pythae(make, **how)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_their_loss_sees_the_draw_that_is_sent(loss):
    torch.manual_seed(0)
    model = of(Pull, loss)(SPEC)
    code = same_noise(model.encode, seen())
    close(model.regularizer(seen(), code), code["z"].drawn.sum(-1).mean(), atol=1e-4)


def test_draws_of_two_threads_do_not_mix():
    meeting = threading.Barrier(2, timeout=30)

    class Waits(Pull):
        def forward(self, inputs, **kwargs):
            asked = self.encoder(inputs["data"])
            meeting.wait()
            z, _ = self._sample_gauss(asked.embedding, (0.5 * asked.log_covariance).exp())
            meeting.wait()
            return ModelOutput(loss=z.sum(-1).mean(), recon_loss=z.new_zeros(()), z=z)

    model = of(Waits, subtracts="nothing")(SPEC)
    codes = [model.encode(seen()) for _ in range(2)]
    found = [None, None]

    def work(i):
        found[i] = model.regularizer(seen(), codes[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value, code in zip(found, codes, strict=True):
        close(value, code["z"].drawn.sum(-1).mean())


class Twice(VAE):
    def forward(self, inputs, **kwargs):
        out = self.encoder(inputs["data"])
        for _ in range(2):
            z, _ = self._sample_gauss(out.embedding, out.log_covariance)
        return ModelOutput(loss=z.sum(), recon_loss=z.sum(), z=z)


class Blurs(VAE):
    def forward(self, inputs, **kwargs):
        return self.encoder(inputs["data"] * 0.5)


class Stranger(torch.nn.Module):
    """No model of Pythae's."""


def test_what_cannot_come_says_why_in_a_sentence():
    for kind, words in ((Twice, "draws more than once from one"), (Blurs, "something else than examples of x")):
        model = of(kind)(SPEC)
        with pytest.raises((ValueError, TypeError), match=words):
            model(seen())
    with pytest.raises(ValueError, match="made from no model of Pythae's whose R is known: say `subtracts`"):
        from_pythae(lambda data, encoder, decoder: Stranger())(SPEC)
    with pytest.raises(ValueError, match="give 'nothing', since z = f"):
        of(Pull, noise="trained")(SPEC)
    with pytest.raises(ValueError, match="subtracts = 'half'"):
        of(Pull, subtracts="half")(SPEC)
    with pytest.raises(TypeError, match=r"takes no 'beat'.*Did you mean 'beta'"):
        registry.model("pythae:BetaVAE", SPEC, beat=2)
    with pytest.raises(ValueError, match="pythae:BetaVAE: beta = 'much'") as caught:
        registry.model("pythae:BetaVAE", SPEC, beta="much")
    assert "\n" not in str(caught.value)


def test_weights_are_counted_once_and_latent_is_that_of_the_model():
    ours, theirs = (registry.model(name, SPEC, latent=5) for name in ("vae", "pythae:VAE"))
    count = [sum(weight.numel() for weight in model.parameters()) for model in (ours, theirs)]
    assert count[0] == count[1] and set(ours.state_dict()) == set(theirs.state_dict())
    assert theirs.theirs.latent_dim == 5 and issubclass(type(theirs), FromPythae)


@pytest.mark.parametrize("name", NAMED)
def test_laws_that_need_no_training_hold_for_every_name(name):
    found = check(f"pythae:{name}", only=FAST)
    assert {finding.law for finding in found if not finding.ok} == BROKEN.get(name, set())


@pytest.mark.parametrize("name", NAMED)
def test_every_weight_is_trained_at_the_learning_rate_of_the_model(name):
    model = registry.model(f"pythae:{name}", SPEC)
    adam, averages = optimizers(model, dict(model.named_parameters()), 2e-3)
    stepped = [weight for group in adam.param_groups for weight in group["params"]]
    assert averages is None and {group["lr"] for group in adam.param_groups} == {2e-3}
    assert {*map(id, stepped)} == {id(weight) for weight in model.parameters() if weight.requires_grad}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_every_name_passes_its_check(name):
    found = check(f"pythae:{name}")
    assert {finding.law for finding in found if not finding.ok} == BROKEN.get(name, set())
