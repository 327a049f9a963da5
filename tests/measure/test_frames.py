"""Sequences are measured as wholes: means over frames, blocks by themselves, and frames that were predicted."""

import math

import numpy as np
import pytest
import torch
from worlds import study

from rdu_bench.api import Batch, Dataset, Entropy, Examples, Factor, Model, Row, bernoulli, one_hot, transmit
from rdu_bench.measure import MEASUREMENTS
from rdu_bench.measure.labels import Labels, frame_by_frame, looked_at
from rdu_bench.measure.measured import measure
from rdu_bench.measure.pictures import pictures
from rdu_bench.scores import Undefined

T, E, LOG2 = 4, 0.1, math.log(2)
H = -E * math.log(E) - (1 - E) * math.log(1 - E)  # of a bit that is turned over with probability E


class Film(Dataset):
    """Frames of two pixels: a bit of the sequence, and a bit `b` that every frame has a value of, here always one."""

    def load(self, n=3000):
        draws = np.random.default_rng(0)
        self.name, self.shape, self.likelihood = "film", (T, 1, 1, 2), "bernoulli"
        self.factors = (Factor("a", 2, independent=True, entropy=LOG2), Factor("b", 2, frames=T, entropy=LOG2))
        self.task, self.entropy, self.of_last = ("a",), Entropy(2 * LOG2, "exact"), (2 * LOG2,) * T
        self.splits = {}
        for part in ("train", "val", "test"):
            a, b = draws.integers(2, size=(2, n))
            x = np.repeat(np.stack([a, b], 1)[:, None], T, 1).reshape(n, T, 1, 1, 2).astype(np.uint8)
            self.splits[part] = Examples(x, {"a": a, "b": np.repeat(b[:, None], T, 1)})


class Told(Model):
    """Sends `a` once, and `b` in each of the first `frames` frames, every symbol wrong with probability E."""

    row = Row(paper="0000.00000", needs=("sequence",))

    def __init__(self, frames=1, e=E, predicts=0):
        super().__init__()
        self.frames, self.e, self.predicts = frames, e, predicts
        self.still = torch.nn.Parameter(torch.zeros(()))

    def said(self, bits):
        sure = torch.where(bits.bool(), math.log1p(-self.e), math.log(self.e))
        return torch.stack([sure.exp().neg().log1p(), sure], -1)

    def encode(self, batch):
        bits = batch.x[:, :, 0, 0]
        a, b = self.said(bits[:, 0, 0]), self.said(bits[:, : self.frames, 1])
        return {"static": transmit(one_hot(a), one_hot(0 * a)), "dynamic": transmit(one_hot(b), one_hot(0 * b))}

    def decode(self, code):
        a, b = code["static"].sample[:, 1], code["dynamic"].sample[:, 1]
        surely = math.log((1 - self.e) / self.e) * (2 * torch.stack([a, b], 1) - 1) + self.still
        frames = self.predicts or T
        return bernoulli(surely[:, None, None, None].expand(-1, frames, 1, 1, 2))


@pytest.fixture(scope="module")
def film():
    data = Film()
    data.load()
    return data


def look(model, data, **budget):
    return study(model, data, **{"head_steps": 200, "draws_test": 2, "test": 10_000, **budget})


def test_three_frames_are_looked_at():
    assert looked_at(8) == [0, 4, 7] and looked_at(2) == [0, 1] and looked_at(1) == [0]
    y = torch.arange(12).reshape(3, 4)
    one = Labels(Factor("y", 12, frames=4, entropy=1.0), y, y, y)
    assert [part.factor.name for part in frame_by_frame(one)] == ["y@0", "y@2", "y@3"]
    assert [part.test.tolist() for part in frame_by_frame(one)] == [[0, 4, 8], [2, 6, 10], [3, 7, 11]]
    assert all(not part.factor.frames and part.factor.entropy is None for part in frame_by_frame(one))


def test_what_a_code_tells_of_frames_is_a_mean_and_no_sum(film):
    about = look(Told(), film)
    found = MEASUREMENTS["usefulness"].run(about)
    b, rate = found.factors["b"], MEASUREMENTS["rate"].run(about).values
    assert b["IV"] == pytest.approx(LOG2 - H, abs=0.02 + 4 * b["IV_se"])
    assert rate["R_star"] == pytest.approx(2 * (LOG2 - H), abs=0.03)
    assert 3 * b["IV"] > rate["R_star"] + 0.2  # a sum over the frames looked at would break the law that I_V ≤ R*
    assert b["H_y"] == LOG2 and b["Hy_V"] == pytest.approx(LOG2, abs=0.01)
    assert found.vectors["Dy_i/b"].shape == (len(film.splits["test"]),)
    assert found.vectors["Dy_i/b"].mean() == pytest.approx(b["Dy"], abs=1e-4)
    assert found.values["Dy_sum"] == pytest.approx(found.factors["a"]["Dy"])  # of factors of the example alone
    shuffled = MEASUREMENTS["controls"].run(about).factors["b"]
    assert abs(shuffled["IV_shuffled"]) < 0.02


def test_every_block_is_read_by_itself(film):
    blocks = MEASUREMENTS["blocks"].run(look(Told(T), film)).tables["structure"]["blocks"]
    assert list(blocks) == ["static", "dynamic"]
    assert blocks["static"]["R"] == pytest.approx(LOG2 - H, abs=1e-3)
    assert blocks["dynamic"]["R"] == pytest.approx(T * (LOG2 - H), abs=1e-3)
    told = {name: {f: v["IV"] for f, v in block["factors"].items()} for name, block in blocks.items()}
    assert told["static"]["a"] == pytest.approx(LOG2 - H, abs=0.03) and abs(told["static"]["b"]) < 0.02
    assert told["dynamic"]["b"] > LOG2 - H + 0.1 and abs(told["dynamic"]["a"]) < 0.02  # four looks at one bit


def test_a_code_of_one_block_has_no_table_of_blocks(film):
    class One(Told):
        def encode(self, batch):
            return {"static": super().encode(batch)["static"]}

    with pytest.raises(Undefined, match="the code has 1 block; blocks told apart"):
        MEASUREMENTS["blocks"].run(look(One(), film))


def test_latents_of_frames_are_not_scored(film):
    about = look(Told(T), film)
    assert about.framed == {"dynamic"} and about.scored == [0]
    scores = MEASUREMENTS["scores"].run(about)
    assert scores.tables["mi"]["latents"] == ["static"] and scores.tables["mi"]["factors"] == ["a"]
    with pytest.raises(Undefined, match="frames of one sequence"):
        MEASUREMENTS["bound on total correlation"].run(about)

    class Dynamic(Told):
        def encode(self, batch):
            return {"dynamic": super().encode(batch)["dynamic"]}

    with pytest.raises(Undefined, match="every latent is of one frame"):
        MEASUREMENTS["scores"].run(look(Dynamic(T), film))


def test_positions_of_an_image_are_no_frames():
    """As many positions as an image has channels, or rows, are scored as before."""
    film = Film()
    film.load(200)
    assert look(Told(1), film).framed == frozenset()


def test_frames_to_come_have_a_distortion_of_their_own(film):
    model = Told(1, e=1e-3, predicts=2)
    about = look(model, film)
    found = MEASUREMENTS["prediction"].run(about).values
    rate = MEASUREMENTS["rate"].run(about).values
    assert found["D_pred_null"] == pytest.approx(4 * LOG2, abs=0.02)
    assert found["H_pred"] == pytest.approx(2 * LOG2)
    assert found["D_pred"] < 0.1 and found["D_pred_source"] in ("own", "tuned")
    assert found["D_pred"] + rate["R_star"] > found["H_pred"] - 4 * rate["R_star_se"]
    whole = MEASUREMENTS["distortion"].run(about)
    assert whole.values["D_own"] is None and "frames to come" in whole.nulls["D_own"]
    assert whole.values["D_null"] == pytest.approx(8 * LOG2, abs=0.03)
    assert MEASUREMENTS["prediction"].run(look(Told(), film)).values == {}


def test_what_is_predicted_is_the_last_frames():
    x = torch.arange(6.0).reshape(1, 3, 2)
    assert torch.equal(Told(predicts=1).predicted(x), x[:, 2:]) and torch.equal(Told().predicted(x), x)


def test_a_predictor_is_measured_whole_and_shown(film):
    found = measure(look(Told(1, predicts=2), film))
    assert found.vectors["pictures/originals"].shape == (8, 2, 1, 1, 2)
    assert found.vectors["pictures/swaps/static"].shape == (8, 2, 1, 1, 2)
    x = film.splits["test"].take(slice(8))
    swapped = found.vectors["pictures/swaps/static"][:, 0, 0, 0] > 127
    with torch.random.fork_rng():
        plain = found.vectors["pictures/reconstructions"][:, 0, 0, 0] > 127
    assert (swapped[:, 1] == plain[:, 1]).all() and (swapped[:, 0] == np.roll(plain[:, 0], 1)).all()
    assert np.array_equal(found.vectors["pictures/originals"] > 127, (x[:, -2:] > 0).numpy())
    assert "D_pred" in found.values and "blocks" in found.structure


def test_a_traversed_sequence_shows_the_frame_that_changes_most(film):
    class Late(Told):
        """One real latent that is seen in the third frame alone."""

        def encode(self, batch):
            from rdu_bench.api import gaussian, standard_normal

            mean = 2 * batch.x[:, :1, 0, 0, 0]
            q = gaussian(mean, torch.ones_like(mean))
            return {"z": transmit(q, standard_normal(mean))}

        def decode(self, code):
            where = torch.tensor([0.0, 0, 1, 0])[:, None, None, None].expand(T, 1, 1, 2)
            return bernoulli(code["z"].sample[:, :, None, None, None] * where)

    found = pictures(look(Late(), film)).vectors
    assert found["pictures/traversals"].shape == (1, 9, 1, 1, 2)
    assert found["pictures/traversals"][0, 0].max() < 127 < found["pictures/traversals"][0, -1].min()
    assert found["pictures/interpolations"].shape == (2, 7, 1, 1, 2)


def test_batches_of_sequences_are_encoded_as_they_come(film):
    code = Told(T).encode(Batch.unlabelled(film.splits["test"].take(slice(3))))
    assert code["dynamic"].drawn.shape == (3, T, 2) and code["dynamic"].sample.shape == (3, 2 * T)


def test_a_prediction_that_fails_costs_itself_alone(film, monkeypatch):
    about = look(Told(1, predicts=2), film)
    monkeypatch.setattr("rdu_bench.measure.prediction.null", lambda *_: 1 / 0)
    found = measure(about)
    assert found.nulls["D_pred"] == "ZeroDivisionError: division by zero" and "D_pred" not in found.values
    assert found.values["D"] is not None
