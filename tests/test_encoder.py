"""A trained encoder behaves as scikit-learn expects, and the noise of a row is the row's own."""

import math
import pickle
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils.data import DataLoader, TensorDataset

from rdu_bench import Encoder, registry
from rdu_bench.api import Autoencoder, Row, gaussian, transmit
from rdu_bench.encoder.decoding import from_marginal
from rdu_bench.encoder.labels import labels
from rdu_bench.encoder.rows import RowNoise, UnknownDraw
from rdu_bench.model import Batch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden": (64,), "latent": 6, "steps": 600}
TINY = {"hidden": (8,), "latent": 3, "steps": 3, "sigma": 2.0}
EXCUSED: dict[str, str] = {}  # checks of scikit-learn that the encoder fails, by name with the reason


@pytest.fixture(scope="module")
def digits():
    bundle = load_digits()
    return (bundle.images[:, None] >= 8).astype("f4")[:800], bundle.target[:800]


@parametrize_with_checks(
    [Encoder(hidden=(8,), latent=2, steps=4, sigma=2.0)], expected_failed_checks=lambda estimator: EXCUSED
)
def test_it_keeps_the_rules_of_scikit_learn(estimator, check):
    check(estimator)


def test_it_sends_what_was_asked_for_and_is_useful(digits):
    X, y = digits
    pipe = make_pipeline(Encoder(sigma=8, **SMALL), LogisticRegression(max_iter=500))
    pipe.fit(X[:600], y[:600].astype(str))
    assert pipe[0].rate_ == pytest.approx(8, rel=0.02)
    assert pipe.score(X[600:], y[600:].astype(str)) > 0.5
    made = pipe[0]
    back = made.reconstruct(X[600:])
    assert back.shape == X[600:].shape and back.min() >= 0 and back.max() <= 1
    assert np.abs(back - X[600:]).mean() < 0.6 * np.abs(back[::-1] - X[600:]).mean()
    np.testing.assert_allclose(made.inverse_transform(made.transform(X[:9])), made.reconstruct(X[:9]), atol=1e-5)
    mean = made.set_params(output="mean").transform(X[:50])
    assert np.abs(made.set_params(output="sample").transform(X[:50]) - mean).mean() > 0.05


def test_it_can_be_cloned():
    assert clone(Encoder("beta_vae", sigma=3)).get_params()["sigma"] == 3


# ---- rows ----------------------------------------------------------------------------------------------------------


class Shared(Autoencoder):
    """Every row gets the same noise, which cannot be told apart by rows."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        block = transmit(self.encoder(batch.x), self.prior())
        return {"z": block._replace(sample=block.q.mean + torch.randn(block.sample.shape[1]))}


class Picked(Autoencoder):
    """Draws by an operation that rows are not known to have a share in."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        block = transmit(self.encoder(batch.x), self.prior())
        return {"z": block._replace(sample=block.sample + torch.randint(0, 9, (len(batch.x), 1)))}


class Centred(Autoencoder):
    """Rows see one another."""

    row = Row(paper="0000.00000")

    def encode(self, batch):
        block = transmit(self.encoder(batch.x), self.prior())
        return {"z": block._replace(sample=block.sample - block.sample.mean(0))}


ALL = ["vae", "ae", "mr_vae", "m2", "svae", "gumbel_vq", "ladder_vae", "vlae_ladder", "joint_vae", "structured_dgm"]


@pytest.mark.parametrize("model", [*ALL, Shared, Picked, Centred])
def test_a_row_is_sent_as_it_is_sent_alone_and_wherever_it_stands(digits, model):
    X, y = digits
    made = Encoder(model, **TINY).fit(X[:100], y[:100])
    assert (made._codes.together is None) == (model in (Shared, Picked, Centred))
    X = X[:30]
    Z = made.transform(X)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(made.transform(X[order]), Z[order])
    for i in (0, 7, 29):
        np.testing.assert_array_equal(made.transform(X[i : i + 1])[0], Z[i])
    np.testing.assert_array_equal(made.transform(np.concatenate([X, X[:1]]))[-1], Z[0])
    assert model is Centred or (made.transform(X, draw=1) != Z).any(1).mean() > 0.5  # alone, a row is its mean
    np.testing.assert_array_equal(made.transform(-0.0 + X.astype("f8")[::-1])[::-1], Z)


def test_more_rows_than_a_chunk_and_images_are_sent_the_same(digits):
    X = np.random.default_rng(0).integers(0, 2, (1500, 1, 8, 8))
    made = Encoder(family="conv", **{**TINY, "hidden": (4, 8)}).fit(X[:50])
    Z = made.transform(X)
    np.testing.assert_array_equal(made.transform(X[1000:]), Z[1000:])
    assert made._codes.together is not None


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (lambda n: torch.rand(n, 3), stats.uniform()),
        (lambda n: torch.rand_like(torch.zeros(n, 3)), stats.uniform()),
        (lambda n: torch.empty(n, 3).uniform_(2, 5), stats.uniform(2, 3)),
        (lambda n: torch.randn(n, 3), stats.norm()),
        (lambda n: torch.randn_like(torch.zeros(n, 3)), stats.norm()),
        (lambda n: torch.empty(n, 3).normal_(), stats.norm()),
        (lambda n: torch.empty(n, 3).normal_(4, 2), stats.norm(4, 2)),
        (lambda n: torch.normal(torch.full((n, 3), 4.0), torch.full((n, 3), 2.0)), stats.norm(4, 2)),
        (lambda n: torch.normal(torch.full((n, 3), 4.0), 2.0), stats.norm(4, 2)),
        (lambda n: torch.normal(0.0, torch.full((n, 3), 2.0)), stats.norm(0, 2)),
        (lambda n: torch.empty(n, 3).exponential_(2.0), stats.expon(0, 0.5)),
        (lambda n: torch.distributions.Normal(torch.full((n, 3), 1.0), 3.0).rsample(), stats.norm(1, 3)),
        (lambda n: gaussian(torch.zeros(n, 3), torch.ones(n, 3)).sample(), stats.norm()),
    ],
)
def test_noise_of_rows_has_the_law_that_was_asked_for(draw, law):
    n = 4000
    with RowNoise(np.random.default_rng(0).integers(0, 2**63, n).astype(np.uint64)):
        first, second = draw(n).numpy(), draw(n).numpy()
    for drawn in (first, second):
        assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 1e-4
    both = np.corrcoef(np.concatenate([first, second], 1).T)
    assert np.abs(both - np.eye(6)).max() < 5 / math.sqrt(n)


def test_symbols_of_rows_come_as_often_as_they_should():
    n, p = 6000, torch.tensor([0.1, 0.2, 0.7])
    with RowNoise(np.random.default_rng(1).integers(0, 2**63, n).astype(np.uint64)):
        symbols = torch.multinomial(p.expand(n, 3), 1)[:, 0]
        coins = [torch.bernoulli(torch.full((n, 1), 0.3)), torch.empty(n, 1).bernoulli_(0.3)]
    assert stats.chisquare(np.bincount(symbols), n * p.double().numpy()).pvalue > 1e-4
    assert all(abs(float(coin.mean()) - 0.3) < 5 * math.sqrt(0.21 / n) for coin in coins)
    assert not torch.equal(*coins)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(4, 2),
        lambda: torch.rand(()),
        lambda: torch.randint(0, 2, (3,)),
        lambda: torch.normal(0.0, 1.0, (3,)),
        lambda: torch.multinomial(torch.ones(3, 4), 2),
    ],
)
def test_what_rows_are_not_known_to_have_a_share_in_is_refused(draw):
    with RowNoise(np.arange(3, dtype=np.uint64)), pytest.raises(UnknownDraw):
        draw()


# ---- the way back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["vae", "ae", "ladder_vae", "vlae_ladder", "vlae_lossy", "m1_m2", "structured_dgm"])
def test_what_is_sampled_is_drawn_from_what_the_receiver_expects(digits, model):
    X, y = digits
    made = Encoder(model, **TINY).fit(X[:60], y[:60])
    n = 2000
    codes = [
        from_marginal(made.model_, Batch.unlabelled(torch.from_numpy(x).expand(n, 1, 8, 8)), 1) for x in (X[0], X[5])
    ]
    for name, block in codes[0].items():
        assert torch.equal(block.drawn, codes[1][name].drawn)  # x has no part in it
        try:
            mean, std = block.p.mean, block.p.stddev
        except NotImplementedError:
            continue
        if not block.discrete:
            noise = ((block.drawn - mean) / std).numpy()
            assert stats.kstest(noise.ravel(), stats.norm.cdf).pvalue > 1e-4, name
            assert np.abs(np.corrcoef(noise.T) - np.eye(noise.shape[1])).max() < 6 / math.sqrt(n)


def test_samples_are_those_of_their_draw(digits):
    made = Encoder(**TINY).fit(digits[0][:60])
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = made.sample(5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.shape == (5, 1, 8, 8) and first.dtype == np.float32
    np.testing.assert_array_equal(first, made.sample(5))
    assert (made.sample(5, draw=1) != first).any()
    assert np.abs(first[0] - first[1]).max() > 0


@pytest.mark.parametrize(("model", "words"), [("vib", "only encodes"), ("pixel_vae", "pixel by pixel")])
def test_a_model_without_a_mean_of_x_says_so(digits, model, words):
    X, y = digits
    made = Encoder(model, **TINY).fit(X[:60], y[:60])
    for work in (made.sample, lambda: made.reconstruct(X[:2]), lambda: made.inverse_transform(made.transform(X[:2]))):
        with pytest.raises(NotImplementedError, match=words):
            work()


# ---- what is kept --------------------------------------------------------------------------------------------------

PLUGIN = """
from rdu_bench.api import Autoencoder, Row


class Mine(Autoencoder):
    row = Row(paper="1312.6114", title="Mine", labels="optional")
"""


@pytest.mark.parametrize("model", ["vae", "ae", "mr_vae", "m2", "file", Shared])
@pytest.mark.filterwarnings("error:.*weights_only")
def test_what_was_saved_transforms_as_before(digits, tmp_path, model, monkeypatch):
    X, y = digits
    if model == "file":
        model = tmp_path / "mine.py"
        model.write_text(PLUGIN, encoding="utf-8")
    made = Encoder(model, random_state=np.random.RandomState(3), **TINY).fit(X[:60], y[:60].astype(str))
    monkeypatch.setattr(pickle, "loads", None)
    back = Encoder.load(made.save(tmp_path / "kept.safetensors"))
    np.testing.assert_array_equal(back.transform(X[:20]), made.transform(X[:20]))
    np.testing.assert_array_equal(back.reconstruct(X[:20]), made.reconstruct(X[:20]))
    np.testing.assert_array_equal(back.sample(3), made.sample(3))
    assert back.control_ == made.control_ and back.learning_ == made.learning_
    assert back.rate_ == made.rate_ and back.n_features_in_ == made.n_features_in_
    assert list(back.get_feature_names_out()) == list(made.get_feature_names_out())
    assert hasattr(back, "classes_") == hasattr(made, "classes_") == (model not in ("vae", "ae", "mr_vae", Shared))
    if hasattr(made, "classes_"):
        np.testing.assert_array_equal(back.classes_, made.classes_)


def test_a_file_may_import_what_lies_beside_it(digits, tmp_path):
    (tmp_path / "_parts.py").write_text("WIDTH = 5\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(f"from ._parts import WIDTH\n{PLUGIN}    width = WIDTH\n", encoding="utf-8")
    made = Encoder(tmp_path / "mine.py", **TINY).fit(digits[0][:60])
    assert made.model_.width == 5
    (tmp_path / "_parts.py").write_text("WIDTH = 6 + 0\n", encoding="utf-8")
    assert made.fit(digits[0][:60]).model_.width == 6


@pytest.mark.parametrize("y", [[1, "a"], [("a", 1), ("b", 2)], [True, False], [2**63, 2**63 + 1], [b"u", b"v"]])
def test_classes_of_any_kind_come_back_as_they_were(y, tmp_path):
    made = Encoder("m2", **TINY).fit(np.eye(6), y * 3)
    back = Encoder.load(made.save(tmp_path / "made.safetensors"))
    assert back.classes_.tolist() == made.classes_.tolist() and back.classes_.dtype == made.classes_.dtype


def test_a_class_that_cannot_be_saved_is_named(tmp_path):
    made = Encoder("m2", **TINY).fit(np.eye(6), DATES * 3)
    with pytest.raises(
        ValueError, match=r"classes_ holds datetime\.datetime\(2020, 1, 1, 0, 0\), which no file without"
    ):
        made.save(tmp_path / "made.safetensors")


def test_a_class_that_lies_elsewhere_can_be_given_when_loading(digits, tmp_path):
    class Local(Autoencoder):
        row = Row(paper="0000.00000")

    made = Encoder(Local, **TINY).fit(digits[0][:60])
    path = made.save(tmp_path / "kept.safetensors")
    with pytest.raises(LookupError, match="give the class"):
        Encoder.load(path)
    np.testing.assert_array_equal(Encoder.load(path, Local).transform(digits[0][:5]), made.transform(digits[0][:5]))


def test_other_files_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(FileNotFoundError, match="no file"):
        Encoder.load(path)
    path.write_bytes(b"nothing of ours")
    with pytest.raises(ValueError, match="damaged"):
        Encoder.load(path)


# ---- what is given -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"output": "mode"}, "output = 'mode': choose 'sample' or 'mean'"),
        ({"steps": -5}, "steps = -5"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": 2.5}, "steps = 2.5"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": math.nan}, "lr = nan"),
        ({"family": "cnn"}, "family = 'cnn'"),
        ({"likelihood": "gausian"}, "Did you mean 'gaussian'"),
        ({"hidden": (0,)}, r"hidden = \(0,\)"),
        ({"hidden": "64"}, "hidden = '64'"),
        ({"hidden": 64}, "hidden = 64"),
        ({"latent": 0}, "latent = 0"),
        ({"latent": True}, "latent = True"),
        ({"batch": 1}, "batch = 1"),
        ({"sigma": 0}, "sigma = 0"),
        ({"sigma": -1.0}, "sigma = -1.0"),
        ({"sigma": math.inf}, "sigma = inf"),
        ({"sigma": "8"}, "sigma = '8'"),
        ({"device": "gpu"}, "device = 'gpu'"),
        ({"device": "cuda:99"}, "device = 'cuda:99'"),
        ({"params": [1]}, "params"),
        ({"params": {"bta": 2.0}, "model": "beta_vae"}, "Did you mean 'beta'"),
        ({"model": "beta_vea"}, "Did you mean 'beta_vae'"),
        ({"model": "nowhere.py"}, "no such file"),
        ({"model": int}, "int is no model"),
        ({"model": 3}, "model = 3"),
        ({"family": "conv", "hidden": (8,)}, "channels of one layer"),
        ({"family": "conv", "hidden": (8, 8)}, "needs images"),
        ({"random_state": "seven"}, "seven"),
    ],
)
def test_an_argument_that_means_nothing_is_named(argument, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        Encoder(**{**TINY, "model": "vae", **argument}).fit(np.eye(6))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.full((4, 3), 0.5), "likelihood='gaussian'"),
        (np.full((4, 3), np.nan), r"X\[0, 0\] is NaN: leave out such examples"),
        (pd.DataFrame([[0, 1], [1, None]], dtype="Int64"), r"X\[1, 1\] is NaN"),
        (np.full((4, 3), -np.inf), r"X\[0, 0\] is -inf"),
        (np.full((4, 3), 1e300), "as float32"),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros(4), "1D array"),
        (np.zeros((4, 3)) + 1j, "Complex"),
        (np.ma.masked_array(np.zeros((4, 3)), np.eye(4, 3)), "masked array"),
        (sparse.csr_matrix(np.eye(4)), "[Ss]parse"),
        ([["0", "b"]] * 4, r"X\[0, 1\] is 'b', which is no number: encode it"),
        (np.array([["0,5"], ["1"]]), r"X\[0, 0\] is '0,5', which is no number"),
        ([[1.0], [1.0, 2.0]], "X is no array, its examples have several shapes"),
        (np.array([["2020-01-01"]] * 4, dtype="datetime64[D]"), r"X holds dates or durations \(datetime64\[D\]\)"),
        (np.zeros(4, dtype=[("a", float), ("b", float)]), "X has the fields a, b"),
        (pd.DataFrame(np.eye(4), columns=["a", "b", "b", "c"]), "X has two columns 'b'"),
        (None, "X is None: give an array, a frame or a tensor"),
        ("digits.csv", "X is 'digits.csv': give"),
        (Path("digits.csv"), r"X is .*Path\('digits.csv'\): give"),
        ({"x": np.eye(4)}, "X is a dict: give"),
        (TensorDataset(torch.eye(4)), "X is a TensorDataset: give"),
        (DataLoader(TensorDataset(torch.eye(4))), "X is a DataLoader: give"),
        (iter(np.eye(4)), "X is a .*iterator: give"),
        (torch.eye(4).to_sparse(), r"X is a sparse tensor: give X\.to_dense\(\)"),
        (pd.DataFrame({"a": [0, 1], "b": ["u", "v"]}), "no numbers in column 'b', such as 'u'"),
        (pd.DataFrame({"a": [0, 1], "b": [1, "v"]}), "no numbers in column 'b', such as 'v'"),
        (pd.DataFrame({"a": pd.to_datetime(["2020", "2021"])}), "no numbers in column 'a', such as Timestamp"),
    ],
)
def test_x_that_means_nothing_is_named(X, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Encoder(likelihood="bernoulli", **TINY).fit(X)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.eye(6) + 1e9, r"from 1000000000 to 1000000001, .* float32 tells few numbers apart: take away"),
        (np.eye(6) * 1e-40, "X reaches 1e-40, which float32 takes for 0: scale X"),
    ],
)
def test_numbers_that_float32_loses_are_named_when_it_is_fitted(X, words):
    with pytest.raises(ValueError, match=words):
        Encoder(**TINY).fit(X)
    assert Encoder(**TINY).fit(np.eye(6) / 2).transform(np.full((1, 6), 0.5) + X[:1] * 1e-12).shape == (1, 3)


def test_tensors_of_any_kind_are_arrays():
    X = torch.arange(24.0).view(6, 4) / 8
    y = torch.arange(6) % 2
    wanted = Encoder("m2", **TINY).fit(X.numpy(), y.numpy()).transform(X.numpy())
    for given in (X.requires_grad_(), X.detach().bfloat16(), X.detach().double(), X.detach().t().contiguous().t()):
        made = Encoder("m2", **TINY).fit(given, y)
        np.testing.assert_array_equal(made.transform(given), wanted)
    assert made.inverse_transform(torch.zeros(2, wanted.shape[1], requires_grad=True)).shape == (2, 4)


def test_the_same_numbers_have_the_same_code_however_they_are_stored():
    X = np.random.default_rng(0).integers(0, 256, (12, 3, 4)).astype(np.uint8)
    wanted = Encoder(**TINY).fit_transform(X)
    ways = [X.astype(kind) for kind in (">u2", "i8", ">f4", "f8", "O", "U3")]
    for given in (*ways, X.tolist(), np.asfortranarray(X), np.repeat(X, 2, 0)[::2], X[::-1].copy()[::-1]):
        np.testing.assert_array_equal(Encoder(**TINY).fit_transform(given), wanted)
    frame = pd.DataFrame(X[:, 0])
    flat = Encoder(**TINY).fit_transform(X[:, 0])
    for given in (frame, frame.astype("Int64"), frame.astype(str), frame.set_index(np.arange(12)[::-1])):
        np.testing.assert_array_equal(Encoder(**TINY).fit_transform(given), flat)


def test_labels_in_another_order_than_x_are_named():
    X = pd.DataFrame(np.eye(6))
    y = pd.Series([0, 1, 0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"X and y have the same index in another order, .* give y\.loc\[X\.index\]"):
        Encoder("m2", **TINY).fit(X, y[::-1])
    Encoder("m2", **TINY).fit(X[::-1], y[::-1])
    Encoder("m2", **TINY).fit(X, y.set_axis(y.index + 6))


def test_images_with_channels_last_are_named():
    with pytest.raises(ValueError, match=r"8 channels of 8 × 3: give channels first, numpy\.moveaxis\(X, -1, 1\)"):
        Encoder(family="conv", **{**TINY, "hidden": (4, 8)}).fit(np.zeros((9, 8, 8, 3)))


def test_small_images_for_many_layers_are_named():
    with pytest.raises(ValueError, match=re.escape("halves images 3 times")):
        Encoder(family="conv", **{**TINY, "hidden": (4, 4, 4, 8)}).fit(np.zeros((9, 1, 5, 5)))


def test_the_likelihood_is_that_of_x():
    assert Encoder(**TINY).fit(np.eye(6)).likelihood_ == "bernoulli"
    assert Encoder(**TINY).fit(np.eye(6) / 2).likelihood_ == "gaussian"
    made = Encoder(**TINY).fit(np.eye(6))
    with pytest.raises(ValueError, match="other than 0 and 1"):
        made.transform(np.eye(6) / 2)


def test_another_shape_than_fitted_is_refused(digits):
    X, _ = digits
    made = Encoder(sigma=None, hidden=(8,), steps=2).fit(X)
    with pytest.raises(ValueError, match="fitted on"):
        made.transform(X[:, :, :4])


def test_a_missed_rate_is_said(digits):
    with pytest.warns(ConvergenceWarning, match="σ = 30"):
        Encoder(sigma=30, hidden=(8,), steps=5).fit(digits[0])


DATES = [datetime(2020, 1, 1), datetime(2021, 1, 1)]
UNKNOWN = [None, math.nan, -1, np.float32("nan"), pd.NA]


@pytest.mark.parametrize(
    ("y", "classes", "numbers"),
    [
        (["b", "a", None, "b"], ["a", "b"], [1, 0, -1, 1]),
        (np.array(["b", "a", "b"]), ["a", "b"], [1, 0, 1]),
        ([7, 3, -1, 7], [3, 7], [1, 0, -1, 1]),
        (np.array([1.0, 0.0, np.nan]), [0, 1], [1, 0, -1]),
        ([True, False], [False, True], [1, 0]),
        ([("a", 1), ("a", 0)], [("a", 0), ("a", 1)], [1, 0]),
        (UNKNOWN, [], [-1] * 5),
        (pd.Series(["u", "v"], dtype="category"), ["u", "v"], [0, 1]),
        (np.array([[2], [5]]), [2, 5], [0, 1]),
        (np.array([b"b", b"a"]), ["a", "b"], [1, 0]),
        ([b"b", "b", "a"], ["a", "b"], [1, 1, 0]),
        (["10", "9", "10"], ["9", "10"], [1, 0, 1]),
        (["-1", "none"], ["-1", "none"], [0, 1]),
        (pd.Series([1, 0, 2], dtype="Int64").mask([False, True, False]), [1, 2], [0, -1, 1]),
        (pd.Categorical(["v", "u", None], categories=["w", "v", "u"], ordered=True), ["u", "v"], [1, 0, -1]),
        *((np.array(["2021", "2020", "NaT"], dtype=f"M8[{unit}]"), DATES, [1, 0, -1]) for unit in ("D", "s", "ns")),
    ],
)
def test_labels_of_any_kind_are_told_apart(y, classes, numbers):
    found = labels(y, len(y))
    assert found.classes.tolist() == classes
    assert found.y.tolist() == numbers


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0.5, 1], "0.5"),
        ([-5, 1], "-5"),
        ([0], "1 ?,"),
        (np.eye(2), r"shape .*y\.argmax\(1\)"),
        ([{}, {}], "hashed"),
        ([1, -1], "-1, which stands for unknown and seems to be a class here: number the classes from 0"),
        (["1", "-1"], "-1, which stands for unknown and seems to be a class here"),
        (["", "a"], "y holds '', as a missing value is written"),
        (["nan", "a"], "y holds 'nan', as a missing value is written"),
        (["a ", "a"], "y holds 'a' and 'a ', which differ in blanks alone"),
        ([b"\xff", "a"], "no UTF-8"),
        ([1j, 2j], "cannot be sorted"),
        ("label", "y is 'label'"),
    ],
)
def test_labels_that_mean_nothing_are_named(y, words):
    with pytest.raises(ValueError, match=words):
        labels(y, 2)


def test_labels_are_ignored_by_a_model_that_never_looks_at_them():
    plain = Encoder(**TINY).fit(np.eye(6))
    told = Encoder(**TINY).fit(np.eye(6), [0.5, -5, {}, "a", None, 3])
    np.testing.assert_array_equal(plain.transform(np.eye(6)), told.transform(np.eye(6)))
    assert not hasattr(told, "classes_")


def test_a_model_that_looks_at_labels_learns_of_their_order_alone(digits):
    X, y = digits
    numbers = Encoder("m2", **TINY).fit(X[:60], y[:60])
    texts = Encoder("m2", **TINY).fit(X[:60], [f"class {k}" for k in y[:60]])
    np.testing.assert_array_equal(numbers.transform(X[:20]), texts.transform(X[:20]))
    with pytest.raises(ValueError, match="needs labels"):
        Encoder("vib", **TINY).fit(X[:60], [None] * 60)


def test_a_random_state_gives_a_seed_of_its_own_at_every_fit():
    X = np.eye(6)
    state = np.random.RandomState(0)
    one, two = (Encoder(random_state=state, **TINY).fit(X) for _ in range(2))
    again = Encoder(random_state=np.random.RandomState(0), **TINY).fit(X)
    assert one.seed_ == again.seed_ != two.seed_
    np.testing.assert_array_equal(one.transform(X), again.transform(X))
    assert (one.transform(X) != two.transform(X)).any()
    assert Encoder(random_state=None, **TINY).fit(X).seed_ != Encoder(random_state=None, **TINY).fit(X).seed_


def test_a_pandas_frame_goes_in_and_comes_out():
    X = pd.DataFrame(np.eye(6), columns=list("abcdef"))
    made = Encoder(**TINY).set_output(transform="pandas").fit(X)
    found = made.transform(X)
    assert list(found.columns) == ["encoder0", "encoder1", "encoder2"]
    assert list(made.feature_names_in_) == list("abcdef") and made.n_features_in_ == 6


def test_channels_that_come_afterwards_cost_a_continuation_and_no_second_training(digits):
    made = Encoder("ae", **{**TINY, "steps": 20}).fit(digits[0][:60])
    assert made.learning_["step"][-1] == 20
    assert made.control_.R_train == pytest.approx(2, rel=0.01)


def test_every_model_is_sent_in_chunks(digits):
    """None of ours needs to go row by row, which is slow."""
    X, y = digits
    slow = []
    for name in registry.files("models"):
        try:
            made = Encoder(name, sigma=None, hidden=(8,), latent=4, steps=1).fit(X[:20], y[:20])
        except ValueError:  # for what they need, digits lack
            continue
        slow += [name] if made._codes.together is None else []
    assert slow == []
