"""DC-IGN: batches in which one factor varies alone, and what they teach its latents."""

import pytest
import torch

from rdu_bench import registry
from rdu_bench.api import GROUP, Batch, DataError, Spec
from rdu_bench.scores import mutual_information
from rdu_bench.training import Training, fit

SPEC = Spec((1, 8, 8), examples=1000, factors=3, hidden=(32,), latent=6)


@pytest.fixture(scope="module")
def sprites():
    small = {"size": 8, "scales": 2, "orientations": 4, "positions": 4, "n_train": 2000, "n_val": 100, "n_test": 500}
    return registry.dataset("sprites", **small)


def group_batch(varied, groups=4, seed=0):
    torch.manual_seed(seed)
    n = groups * GROUP
    unknown = torch.full((n,), -1)
    return Batch((torch.rand(n, 1, 8, 8) < 0.5).float(), unknown, unknown, torch.tensor(0.5), torch.tensor(varied))


def test_within_a_group_one_factor_varies_and_no_other(sprites, monkeypatch):
    asked, draw = [], sprites.sample_observations_from_factors
    monkeypatch.setattr(
        sprites,
        "sample_observations_from_factors",
        lambda factors, state: asked.append(factors) or draw(factors, state),
    )
    seen = set()
    for batch in sprites.one_factor(70, 40, seed=1):
        assert len(batch.x) == 64 and bool((batch.y == -1).all())
        for group in asked[-1].reshape(-1, GROUP, 5):
            varying = [k for k in range(5) if len(set(group[:, k])) > 1]
            assert varying in ([], [int(batch.varied)])
            seen |= set(varying)
    assert seen == set(range(5))


def test_data_without_a_full_grid_vary_no_factor_alone():
    with pytest.raises(DataError, match="no full grid"):
        next(registry.dataset("digits").one_factor(64, 1, seed=0))


def test_inactive_latents_are_the_same_all_over_a_group_and_active_ones_are_as_sent():
    model, batch = registry.model("dc_ign", SPEC), group_batch(1)
    assert model.meaning.tolist() == [1, 1, 2, 2, 0, 0]
    z = torch.randn(len(batch.x), 6)
    seen, away = model.clamped(batch, z)
    assert torch.equal(seen[:, :2], z[:, :2]) and bool((away[:, :2] == 0).all())
    for group in seen[:, 2:].split(GROUP):
        assert torch.equal(group, group[:1].expand_as(group))
    torch.testing.assert_close(seen[:GROUP, 2:].mean(0), z[:GROUP, 2:].mean(0))


def test_the_gradient_of_inactive_latents_is_their_distance_from_the_mean():
    model, batch = registry.model("dc_ign", SPEC, pull=0.3), group_batch(2)
    code = model.encode(batch)
    z = code["z"].sample.detach().requires_grad_()
    code = {"z": code["z"]._replace(sample=z)}
    (model.distortion(batch, code).mean() + model.regularizer(batch, code)).backward()
    mean = z.detach().unflatten(0, (-1, GROUP)).mean(1, keepdim=True).expand(-1, GROUP, -1).flatten(0, 1)
    inactive = [0, 1, 4, 5]
    torch.testing.assert_close(z.grad[:, inactive], (0.3 * (z.detach() - mean) / len(z))[:, inactive])
    plain = z.detach().clone()
    plain[:, inactive] = mean[:, inactive]
    plain.requires_grad_()
    (-model.decode({"z": code["z"]._replace(sample=plain)}).log_prob(batch.x)).mean().backward()
    torch.testing.assert_close(z.grad[:, 2:4], plain.grad[:, 2:4])


def test_without_a_varied_factor_it_is_a_vae():
    model, batch = registry.model("dc_ign", SPEC), group_batch(-1)
    code = model.encode(batch)
    torch.testing.assert_close(model.distortion(batch, code), -model.decode(code).log_prob(batch.x))
    assert model.regularizer(batch, code).item() == 0


def test_latents_that_do_not_suffice_are_named():
    with pytest.raises(ValueError, match="width = 3: 3 factors keep 6 latents of 6"):
        registry.model("dc_ign", SPEC, width=3)


@pytest.mark.effect
def test_latents_know_the_factor_they_are_kept_for(sprites):
    """Scale, x and y are known best by a latent kept for them, and x and y by both; a VAE knows of no such order."""
    found = {}
    y = torch.stack([sprites.splits["test"].factors[n] for n in sprites.factor_names], 1).numpy()
    for name, params in (("vae", {}), ("dc_ign", {"pull": 0.1})):
        torch.manual_seed(0)
        model = registry.model(name, sprites.spec(hidden=(128, 128), latent=10), **params)
        fit(model, sprites, 5.0, Training(steps=3000))
        z = model.encode(sprites.view("test", model.row).batch())["z"].q.mean.detach().numpy()
        found[name] = mutual_information(z, y)
    meaning = model.meaning.numpy()
    for k in (1, 3, 4):
        assert meaning[found["dc_ign"][:, k].argmax()] == k
    gain = {name: [mi[meaning == k, k].min() - mi[meaning != k, k].max() for k in (3, 4)] for name, mi in found.items()}
    assert min(gain["dc_ign"]) > 0.3 > max(gain["vae"]), gain
