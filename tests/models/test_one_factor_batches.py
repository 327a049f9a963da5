"""DC-IGN: batches in which one factor varies alone, and what they teach its latents."""

from dataclasses import replace

import pytest
import torch

from rdu_bench import registry
from rdu_bench.api import GROUP, Batch, DataError, Examples, Spec
from rdu_bench.scores import mutual_information
from rdu_bench.training import Training, fit

SPEC = Spec((1, 8, 8), examples=1000, factors=3, hidden=(32,), latent=6)
SMALL = {"size": 8, "scales": 2, "orientations": 4, "positions": 4}  # 384 combinations


@pytest.fixture(scope="module")
def sprites():
    return registry.dataset("sprites", **SMALL, n_train=2000, n_val=100, n_test=500)


def group_batch(varied, groups=4, seed=0):
    torch.manual_seed(seed)
    n = groups * GROUP
    unknown = torch.full((n,), -1)
    return Batch((torch.rand(n, 1, 8, 8) < 0.5).float(), unknown, unknown, torch.tensor(0.5), torch.tensor(varied))


def drawn(data, monkeypatch, *asked, **how):
    """Batches, each with where in the pool its examples are."""
    places, take = [], data.pool.take
    monkeypatch.setattr(data.pool, "take", lambda at: places.append(at) or take(at))
    return [(batch, places[-1]) for batch in data.one_factor(*asked, **how)]


def factors_of(data, places):
    return torch.stack([data.pool.factors[name][torch.from_numpy(places)] for name in data.factor_names], 1)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_within_a_group_one_factor_varies_and_no_other(sprites, part, monkeypatch):
    seen = set()
    for batch, places in drawn(sprites, monkeypatch, 70, 40, seed=1, part=part):
        assert len(batch.x) == 64 and bool((batch.y == -1).all())
        for group in factors_of(sprites, places).unflatten(0, (-1, GROUP)):
            varying = [k for k in range(5) if len(set(group[:, k].tolist())) > 1]
            assert varying in ([], [int(batch.varied)])
            seen |= set(varying)
    assert seen == set(range(5))


def test_no_group_has_what_is_held_out(monkeypatch):
    """Else a model that asks for groups would be tested on examples that it has learned."""
    sprites = registry.dataset("sprites", **SMALL, n_train=300, n_val=60, n_test=100)
    rows = {part: set(split.rows.tolist()) for part, split in sprites.splits.items()}
    only_test, only_val = rows["test"] - rows["train"], rows["val"] - rows["train"]
    assert only_test and only_val
    trained = {int(at) for _, places in drawn(sprites, monkeypatch, 128, 100, seed=1) for at in places}
    assert len(trained) > 200 and not trained & (only_test | only_val)
    groups = [p.reshape(-1, GROUP) for _, p in drawn(sprites, monkeypatch, 128, 100, seed=1, part="val")]
    judged = {int(at) for group in groups for at in group.flatten()}
    assert {int(at) for group in groups for at in group[:, 0]} <= rows["val"] and judged & only_val
    assert not judged & (rows["test"] - rows["val"])


def test_where_nearly_all_is_held_out_no_group_is_made(sprites):
    held = Examples(sprites.pool.source, sprites.pool.factors, rows=range(len(sprites.pool)))
    few = held.subset(range(2))
    without = replace(sprites, splits={"train": few, "val": held, "test": held})
    with pytest.raises(DataError, match="hold fewer out"):
        next(without.one_factor(128, 1, seed=0))


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
