"""Pictures of a measured model: what is shown, on which scale, and that a part that fails costs no other."""

import numpy as np
import pytest
import torch
from worlds import Coins, Optimal, Plane, Symbols, Wires, study

from rdu_bench import registry
from rdu_bench.api import Batch, Examples, Model, Row, gaussian, transmit
from rdu_bench.measure import measure
from rdu_bench.measure.pictures import BETWEEN, STEPS, moved, pictures
from rdu_bench.measure.prior_draws import from_own_marginal
from rdu_bench.scores import Undefined


@pytest.fixture(scope="module")
def coins():
    made = Coins()
    made.load(n=400)
    return made


def shown(model, data):
    found = pictures(study(model, data, codes=200))
    arrays = {name.removeprefix("pictures/"): array for name, array in found.vectors.items()}
    assert all(array.dtype == np.uint8 for array in arrays.values())
    return arrays, found.tables["pictures"], found.nulls


def test_they_show_the_test_images_and_the_latent_that_moves_a_pixel(coins):
    arrays, about, nulls = shown(Wires(4.0), coins)
    assert nulls == {} and about["range"] == [0.0, 1.0] and about["at"] == list(STEPS)
    np.testing.assert_array_equal(arrays["originals"], (coins.splits["test"].take(slice(8)) * 255).numpy().astype("u1"))
    assert np.abs(arrays["reconstructions"].astype(int) - arrays["originals"]).mean() < 20
    assert arrays["traversals"].shape == (3, 9, 1, 1, 3) and len(STEPS) == 9 and STEPS[::2] == (-2, -1, 0, 1, 2)
    for name, row in zip(about["latents"], arrays["traversals"], strict=True):
        change = np.ptp(row[:, 0, 0].astype(int), axis=0)
        assert change.argmax() == int(name[2]) and change.max() > 200 and sorted(change)[-2] == 0
        assert (np.diff(row[:, 0, 0, int(name[2])].astype(int)) >= 0).all()


def test_interpolations_go_from_one_reconstruction_to_the_other(coins):
    arrays, _, _ = shown(Wires(4.0), coins)
    assert arrays["interpolations"].shape == (2, BETWEEN, 1, 1, 3)
    for row, (a, b) in zip(arrays["interpolations"], ((0, 1), (2, 3)), strict=True):
        np.testing.assert_array_equal(row[0], arrays["reconstructions"][a])
        np.testing.assert_array_equal(row[-1], arrays["reconstructions"][b])
        steps = np.diff(row.astype(int), axis=0)
        assert ((steps >= 0).all(0) | (steps <= 0).all(0)).all()


class Ladder(Model):
    """z2 ~ N(3, 1/100), z1 ~ N(z2, 1/100) is what the receiver expects; the pixels are the two."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        like = torch.ones(len(batch.x), 1)
        top = transmit(gaussian(0 * like, like), gaussian(3 * like, 0.1 * like))
        below = transmit(gaussian(0 * like, like), gaussian(top.sample, 0.1 * like))
        return {"z2": top, "z1": below}

    def decode(self, code):
        mean = torch.cat([code["z2"].sample, code["z1"].sample, 0 * code["z1"].sample], 1).view(-1, 1, 1, 3)
        return gaussian(mean, torch.ones_like(mean))


class Upwards(Ladder):
    """The same, its blocks named in the other order than they are sent in."""

    def encode(self, batch):
        return dict(reversed(super().encode(batch).items()))


@pytest.mark.parametrize("kind", [Ladder, Upwards])
def test_the_prior_of_a_ladder_is_drawn_from_the_top(kind):
    code = from_own_marginal(kind().eval(), Batch.unlabelled(torch.zeros(4000, 1, 1, 3)), 0, "cpu")
    top, below = code["z2"].sample, code["z1"].sample
    assert float(top.mean()) == pytest.approx(3, abs=0.01) and float(top.std()) == pytest.approx(0.1, abs=0.01)
    assert float((below - top).mean()) == pytest.approx(0, abs=0.01)
    assert float((below - top).std()) == pytest.approx(0.1, abs=0.01)


def test_an_autoregressive_prior_is_drawn_latent_by_latent():
    class Chained(Model):
        """z_1 ~ N(5, 1/100), z_j ~ N(z_{j−1} + 1, 1/100)."""

        row = Row(paper="0000.00000")

        def encode(self, batch):
            like = torch.ones(len(batch.x), 4)

            def expected(z):
                before = torch.cat([4 * torch.ones_like(z[:, :1]), z[:, :-1]], 1)
                return gaussian(before + 1, 0.1 * torch.ones_like(z))

            return {"z": transmit(gaussian(0 * like, like), expected)}

    z = from_own_marginal(Chained().eval(), Batch.unlabelled(torch.zeros(4000, 3)), 0, "cpu")["z"].sample
    torch.testing.assert_close(z.mean(0), torch.tensor([5.0, 6, 7, 8]), atol=0.02, rtol=0)
    torch.testing.assert_close(z.diff(dim=1).std(0), torch.full((3,), 0.1), atol=0.01, rtol=0)


def test_codes_of_the_prior_are_those_of_the_symbols_it_expects(coins):
    code = from_own_marginal(Symbols(0.01).eval(), Batch.unlabelled(torch.zeros(4000, 1, 1, 3)), 0, "cpu")
    counts = code["k"].sample.mean(0)
    torch.testing.assert_close(counts, torch.full((8,), 1 / 8), atol=0.02, rtol=0)
    _, about, nulls = shown(Symbols(0.01), coins)
    assert about["prior"] == "own"
    assert "symbols only" in nulls["pictures.interpolations"] and "no continuous latent" in nulls["pictures.traversals"]


class Unbound(Wires):
    """Draws that nobody can replace."""

    def encode(self, batch):
        block = super().encode(batch)["z"]
        return {"z": block._replace(drawn=block.drawn.clone(), sample=block.drawn.clone())}


def test_a_marginal_that_cannot_be_drawn_from_is_refitted_and_this_is_said(coins):
    arrays, about, _ = shown(Unbound(4.0), coins)
    assert about["prior"] == "refitted" and arrays["prior"].shape == (8, 1, 1, 3)
    assert shown(Wires(4.0), coins)[1]["prior"] == "own"


class Widened(Wires):
    """The receiver gets more numbers than were drawn."""

    def encode(self, batch):
        block = super().encode(batch)["z"]
        return {"z": block._replace(sample=torch.cat([block.sample, block.sample[:, :1]], 1))}

    def decode(self, code):
        block = code["z"]
        return super().decode({"z": block._replace(sample=block.sample[:, :3])})


def test_a_sample_of_another_size_than_its_draw_costs_traversals_and_no_other_number(coins):
    arrays, _, nulls = shown(Widened(4.0), coins)
    assert set(nulls) == {"pictures.traversals"} and "as it was drawn" in nulls["pictures.traversals"]
    assert set(arrays) == {"originals", "reconstructions", "prior", "interpolations"}
    found = measure(study(Widened(4.0), coins, codes=200))
    assert found.values["D"] is not None and found.factors["bit0"]["Dy"] is not None


class Shy(Wires):
    """Decodes eight codes at once and nothing else."""

    def decode(self, code):
        if len(code["z"].sample) not in (8, 400, 200):
            raise RuntimeError("eight, please")
        return super().decode(code)


def test_a_part_that_fails_is_absent_and_says_why(coins):
    arrays, _, nulls = shown(Shy(4.0), coins)
    assert set(arrays) == {"originals", "reconstructions", "prior"}
    assert nulls == dict.fromkeys(("pictures.traversals", "pictures.interpolations"), "RuntimeError: eight, please")


class Levels(Coins):
    """Images of real pixels, from −3 to 5."""

    def load(self, n=300):
        super().load(n)
        self.likelihood, self.noise, self.population = "gaussian", 0.1, None
        self.splits = {part: Examples(s.take() * 8 - 3, s.factors) for part, s in self.splits.items()}


def test_real_images_are_shown_over_their_own_range():
    data = Levels()
    data.load()
    arrays, about, _ = shown(Ladder(), data)
    assert about["range"] == [-3.0, 5.0]
    assert sorted(set(arrays["originals"].ravel())) == [0, 255]
    assert 150 < arrays["prior"][..., 0].mean() < 220  # 3 of −3 to 5 is 191


def test_latents_are_moved_where_they_are_sent():
    model = registry.model("ladder_vae", registry.dataset("digits").spec(hidden=(16,), latent=3))
    code = model.encode(Batch.unlabelled(torch.zeros(2, 1, 8, 8)))
    sizes = [block.drawn[0].numel() for block in code.values()]
    first, second, *_ = moved(code, sizes[0] + 1, torch.tensor([5.0, 6.0])).values()
    old = [*code.values()]
    assert torch.equal(first.sample, old[0].sample[:1].expand(2, -1))
    assert second.drawn[:, 1].tolist() == [5, 6] and torch.equal(second.drawn[:, 0], old[1].drawn[:1, 0].expand(2))


def test_data_that_are_no_images_and_models_that_draw_none_have_no_pictures(coins):
    plane = Plane()
    plane.load(n=500)
    found = measure(study(Optimal(), plane, codes=200))
    assert found.pictures == {} and "no image" in found.nulls["pictures"]

    class Mute(Wires):
        decodes = False

    with pytest.raises(Undefined, match="no decoder"):
        pictures(study(Mute(), coins))
