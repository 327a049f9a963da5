"""Scores against the reference implementation, on codes whose order is known, and on input that has no score."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.svm import LinearSVC

from rdu_bench import scores
from rdu_bench.scores._inputs import equal_mass
from rdu_bench.scores.dci import completeness, disentanglement
from rdu_bench.scores.decoding import _areas
from rdu_bench.scores.linear_svm import Feature, Machines

HERE = Path(__file__).parents[1] / "reference"
CODES = np.load(HERE / "disentanglement_lib_codes.npz")
TRUTH = json.loads((HERE / "disentanglement_lib_scores.json").read_text())
KINDS = [kind for kind in TRUTH if kind != "_meta"]


@pytest.fixture(params=KINDS)
def stored(request):
    """A stored code with its factors, a test set of both, and what the reference says of it."""
    z, y, z_test, y_test = (CODES[f"{request.param}/{a}_{b}"] for b in ("train", "test") for a in "zy")
    return z, y, {"z_test": z_test, "factors_test": y_test}, TRUTH[request.param]


def test_what_is_deterministic_is_the_references(stored):
    z, y, held_out, truth = stored
    found = {
        "mig": scores.mig(z, y, "dlib"),
        "sap_discrete": scores.sap(z, y, "dlib", **held_out),
        "sap_continuous": scores.sap(z, y, "dlib", continuous=True, **held_out),
        "modularity": scores.modularity(z, y, "dlib"),
        "explicitness_test": scores.explicitness(z, y, "dlib", **held_out),
        "explicitness_train": scores.explicitness(z, y, "dlib", z_test=z, factors_test=y),
        "irs": scores.irs(z, y, "dlib"),
        "gaussian_total_correlation": scores.gaussian_total_correlation(z, "dlib"),
        "gaussian_wasserstein_correlation": scores.gaussian_wasserstein_correlation(z, "dlib"),
        "gaussian_wasserstein_correlation_norm": scores.gaussian_wasserstein_correlation(z, "dlib", normalised=True),
        "mutual_info_score": scores.mutual_info_score(z, "dlib"),
    }
    assert found == pytest.approx({name: truth[name] for name in found}, abs=1e-6)
    np.testing.assert_allclose(scores.mutual_information(z, y, "dlib"), truth["mi_matrix"], atol=1e-6)


@pytest.mark.slow
def test_boosted_trees_are_the_references(stored):
    z, y, held_out, truth = stored
    expected = [truth[f"dci_{part}"] for part in ("disentanglement", "completeness", "informativeness_test")]
    assert scores.dci(z, y, "dlib", **held_out) == pytest.approx(expected, abs=0.01)


# ---- codes whose order is known ------------------------------------------------------------------------------------

SIZES = (3, 6, 40, 32, 32)


def world(n=10_000, seed=0):
    """Independent factors of the sizes of dSprites and the eight codes of them."""
    draw = np.random.default_rng(seed)
    y = np.stack([draw.integers(size, size=n) for size in SIZES], 1)
    perfect = (y - y.mean(0)) / y.std(0)
    noise = draw.normal(size=perfect.shape)
    outlier = perfect.copy()
    outlier[np.arange(5), np.arange(5)] = 100.0
    turn = np.linalg.qr(draw.normal(size=(5, 5)))[0]
    dead = 1e-3 * draw.normal(size=(n, 3))
    return y, {
        "perfect": perfect,
        "noisy": perfect + 0.01 * noise,
        "dead": np.concatenate([perfect, dead], 1),
        "duplicated": np.concatenate([perfect, perfect + 1e-3 * noise], 1),
        "rotated": perfect @ turn,
        "outlier": outlier,
        "noise": noise,
        "partial": np.concatenate([perfect[:, :2], noise[:, 2:]], 1),
    }


PLAIN = {
    "betavae": scores.betavae_score,
    "factorvae": scores.factorvae_score,
    "mig": scores.mig,
    "sap": scores.sap,
    "modularity": scores.modularity,
    "explicitness": scores.explicitness,
    "irs": scores.irs,
}
ROBUST = [*PLAIN, *scores.DCI._fields]


@pytest.fixture(scope="module")
def eight():
    """Every robust score of every code; None where it is undefined."""
    y, codes = world(6000)

    def value(score, z):
        try:
            return score(z, y)
        except scores.Undefined:
            return None

    found = {code: {name: value(score, z) for name, score in PLAIN.items()} for code, z in codes.items()}
    for code, z in codes.items():
        found[code] |= zip(scores.DCI._fields, value(scores.dci, z) or (None,) * 3, strict=True)
    return found


@pytest.mark.parametrize("score", ROBUST)
def test_perfect_codes_are_perfect_and_noise_is_nothing(eight, score):
    assert eight["perfect"][score] >= 0.95
    assert eight["noise"][score] is None or eight["noise"][score] <= 0.1


@pytest.mark.parametrize("score", ROBUST)
def test_an_outlier_and_dead_latents_change_little(eight, score):
    assert eight["outlier"][score] == pytest.approx(eight["perfect"][score], abs=0.03)
    assert eight["dead"][score] == pytest.approx(eight["perfect"][score], abs=0.03)
    assert eight["noisy"][score] >= 0.8


@pytest.mark.parametrize("score", ["mig", "disentanglement", "completeness", "sap", "irs"])
def test_a_rotation_is_seen(eight, score):
    assert eight["rotated"][score] < eight["perfect"][score] - 0.1


def test_modularity_sees_less_of_a_rotation_since_it_squares_informations(eight):
    assert eight["rotated"]["disentanglement"] < eight["rotated"]["modularity"] - 0.3
    assert eight["rotated"]["modularity"] < eight["perfect"]["modularity"] - 0.05


def test_a_factor_that_is_encoded_twice_costs_completeness_only(eight):
    twice = eight["duplicated"]
    assert twice["mig"] < 0.15 and twice["sap"] < 0.15 and twice["completeness"] < 0.8
    assert twice["disentanglement"] > 0.95 and twice["modularity"] > 0.95


def test_factors_left_out_cost_what_measures_presence(eight):
    part = eight["partial"]
    for score in ("mig", "sap", "informativeness", "explicitness", "factorvae"):
        assert 0.1 < part[score] < 0.75, score
    assert part["disentanglement"] > 0.95 and part["modularity"] > 0.95


def test_chance_is_what_guessing_gets_in_the_references_scale():
    y, codes = world(2000)
    for score in (scores.betavae_score, scores.factorvae_score):
        assert score(codes["noise"], y, "dlib") == pytest.approx(1 / 5, abs=0.05)
        assert score(codes["perfect"], y, "dlib") >= 0.95


def test_one_outlier_ruins_the_references_factorvae_score_and_not_the_robust_one():
    y, codes = world(6000)
    z = codes["perfect"] + 0.1 * codes["noise"]
    z[0, 0] = 3000
    assert scores.factorvae_score(z, y, "dlib") < 0.8
    assert scores.factorvae_score(z, y) > 0.97


def test_importances_as_distributions():
    assert disentanglement(np.eye(4)) == pytest.approx(1) and completeness(np.eye(4)) == pytest.approx(1)
    assert disentanglement(np.ones((3, 5))) == pytest.approx(0, abs=1e-9)
    twice = np.repeat(np.eye(3), 2, axis=0)  # each factor in two latents
    assert disentanglement(twice) == pytest.approx(1)
    assert completeness(twice) == pytest.approx(1 - np.log(2) / np.log(6))


def test_gaussian_correlations_are_their_closed_forms():
    draw, rho = np.random.default_rng(0), 0.6
    a, b = draw.normal(size=(2, 200_000))
    z = np.stack([a, rho * a + (1 - rho**2) ** 0.5 * b], 1)
    tc = -0.5 * np.log(1 - rho**2)
    wasserstein = 4 - 2 * (np.sqrt(1 + rho) + np.sqrt(1 - rho))
    for protocol in ("dlib", "robust"):
        assert scores.gaussian_total_correlation(z, protocol) == pytest.approx(tc, abs=0.01)
        assert scores.gaussian_wasserstein_correlation(z, protocol) == pytest.approx(wasserstein, abs=0.01)
    assert scores.mutual_info_score(z) == pytest.approx(tc, abs=0.03)


def test_informations_are_those_of_a_noisy_channel():
    """y uniform on 8, seen through noise that is uniform on all 8 with probability e."""
    draw, e, n = np.random.default_rng(0), 0.3, 40_000
    y = draw.integers(8, size=n)
    z = np.where(draw.random(n) < e, draw.integers(8, size=n), y)
    hit = 1 - e + e / 8
    truth = np.log(8) + hit * np.log(hit) + (1 - hit) * np.log((1 - hit) / 7)
    found = scores.mutual_information(np.stack([z, draw.normal(size=n)], 1), y[:, None])
    assert found[:, 0] == pytest.approx([truth, 0], abs=0.005)
    assert scores.mig(np.stack([z, draw.normal(size=n)], 1), y[:, None]) == pytest.approx(truth / np.log(8), abs=0.005)


def test_seeds_that_agree_and_seeds_that_do_not():
    draw = np.random.default_rng(0)
    source = draw.normal(size=(2000, 5))
    same = [source[:, draw.permutation(5)] * draw.choice([-1, 1], 5) for _ in range(5)]
    turned = [source @ np.linalg.qr(draw.normal(size=(5, 5)))[0] for _ in range(5)]
    for options in ({}, {"method": "spearman"}, {"protocol": "dlib"}):
        assert scores.udr(same, **options).min() > 0.8
        assert scores.udr(turned, **options).max() < 0.6
    silent = [np.concatenate([z, 1e-3 * draw.normal(size=(2000, 2))], 1) for z in same]
    rates = [np.array([1.0] * 5 + [0.0] * 2)] * 5
    np.testing.assert_allclose(scores.udr(silent, kl=rates), scores.udr(same))
    with pytest.raises(scores.Undefined, match="at least 5"):
        scores.udr(same[:4])


def test_between_uncorrelated_codes_the_lasso_of_udr_is_a_soft_threshold():
    """|coefficients| are max(|correlation| − 0.1, 0), in both directions, so the score is that of one matrix."""
    draw = np.random.default_rng(0)
    white = np.linalg.qr(np.concatenate([np.ones((600, 1)), draw.normal(size=(600, 8))], 1))[0][:, 1:] * 600**0.5
    a, turn = white[:, :4], np.linalg.qr(draw.normal(size=(4, 4)))[0]
    b = 0.8 * a @ turn + 0.6 * white[:, 4:]
    kept = np.maximum(np.abs(0.8 * turn) - 0.1, 0)
    expected = np.mean([(kept.max(axis) ** 2 / kept.sum(axis)).mean() for axis in (0, 1)])
    assert scores.udr([a, b], "dlib", least=2) == pytest.approx([expected] * 2, abs=1e-6)


def test_margins_are_scikit_learns():
    draw = np.random.default_rng(0)
    for size in (2, 5):
        y = draw.integers(size, size=600)
        x = y + draw.normal(size=600)
        oracle = LinearSVC(C=0.01, class_weight="balanced", tol=1e-10, max_iter=10_000).fit(x[:, None], y)
        found = Machines(Feature(x), y, size)
        np.testing.assert_allclose(found.weights, oracle.coef_[:, 0], atol=1e-5)
        np.testing.assert_allclose(found.biases, oracle.intercept_, atol=1e-5)
        assert (found.predict(x) == oracle.predict(x[:, None])).all()


# ---- invariance ----------------------------------------------------------------------------------------------------

BOTH = {
    "mig": scores.mig,
    "sap": scores.sap,
    "modularity": scores.modularity,
    "explicitness": scores.explicitness,
    "irs": scores.irs,
    "mutual_info_score": lambda z, y, p: scores.mutual_info_score(z, p),
    "gaussian_tc": lambda z, y, p: scores.gaussian_total_correlation(z, p),
    "gaussian_wasserstein": lambda z, y, p: scores.gaussian_wasserstein_correlation(z, p),
    "betavae": lambda z, y, p: scores.betavae_score(z, y, p, groups=600),
    "factorvae": lambda z, y, p: scores.factorvae_score(z, y, p, groups=600),
}


def little(seed, n=300):
    draw = np.random.default_rng(seed)
    y = np.stack([draw.integers(size, size=n) for size in (2, 3, 5)], 1)
    return draw, np.concatenate([y + 0.5 * draw.normal(size=y.shape), draw.normal(size=(n, 1))], 1), y


@pytest.mark.parametrize("protocol", ["dlib", "robust"])
@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_latents_and_names_of_values_change_no_score(name, protocol, seed):
    draw, z, y = little(seed)
    other = np.stack([(draw.permutation(s) * 7 - 3)[c] for c, s in zip(y.T, (2, 3, 5), strict=True)], 1)
    turn, swap = draw.permutation(4), draw.permutation(3)
    score = BOTH[name]
    tolerance = 0.01 if name in ("betavae", "explicitness") else 1e-9  # solvers that stop early
    assert score(z[:, turn], other[:, swap], protocol) == pytest.approx(score(z, y, protocol), abs=tolerance)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_latents_and_names_of_values_change_no_forest(seed):
    draw, z, y = little(seed)
    other = np.stack([(draw.permutation(s) * 7 - 3)[c] for c, s in zip(y.T, (2, 3, 5), strict=True)], 1)
    np.testing.assert_allclose(scores.dci(z[:, draw.permutation(4)], other), scores.dci(z, y), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), bins=st.integers(2, 64))
def test_bins_have_equal_mass_and_never_part_equal_values(seed, bins):
    draw = np.random.default_rng(seed)
    z = np.stack([draw.normal(size=500), draw.integers(5, size=500), draw.normal(size=500).round(1)], 1)
    found = equal_mass(z, bins)
    counts = np.bincount(found[:, 0])
    assert len(counts) == bins and counts.min() >= 500 // bins and counts.max() <= -(-500 // bins)
    for column, index in zip(z.T, found.T, strict=True):
        order = np.argsort(column, kind="stable")
        assert (np.diff(index[order]) >= 0).all()
        assert all(len(np.unique(index[column == v])) == 1 for v in np.unique(column)[:50])
    if bins >= 5:
        assert len(np.unique(found[:, 1])) == 5


# ---- input that has no score ---------------------------------------------------------------------------------------

EVERY = BOTH | {"dci": scores.dci}
OF_FACTORS = [name for name in EVERY if not name.startswith(("gaussian", "mutual"))]


def check(name, z, y, error, match):
    for protocol in ("dlib", "robust"):
        with pytest.raises(error, match=match):
            EVERY[name](z, y, protocol)


@pytest.mark.parametrize("name", EVERY)
def test_malformed_codes_are_errors_that_say_what_is_wrong(name):
    _, z, y = little(0)
    bad = z.copy()
    bad[7, 2] = np.nan
    check(name, bad, y, ValueError, r"z\[7, 2\] is nan")
    check(name, z[:0], y[:0], ValueError, "empty")
    check(name, z[:, 0], y, ValueError, r"\(n, d\)")
    check(name, np.ones_like(z), y, scores.Undefined, "constant")
    check(name, np.ma.array(z, mask=z > 1), y, ValueError, "masked values")
    check(name, z + 0j, y, ValueError, "complex")
    check(name, z * 1e300, y, ValueError, "scale it")
    check(name, z * 1e-300, y, ValueError, "scale it")
    check(name, np.full(z.shape, "a"), y, ValueError, "no number")


@pytest.mark.parametrize("name", OF_FACTORS)
def test_malformed_factors_are_errors_that_say_what_is_wrong(name):
    _, z, y = little(0)
    single = y.copy()
    single[:, 1] = 4
    check(name, z, single, scores.Undefined, r"factors\[:, 1\] has one value")
    check(name, z[:6], np.arange(6)[:, None] * [[1, 1, 1]], scores.Undefined, "6 values on 6 examples")
    check(name, z, y[:-1], ValueError, "299 rows")
    check(name, z, y.astype(float) * np.nan, ValueError, "nan")
    check(name, z, np.ma.array(y, mask=y > 1), ValueError, "masked values")
    check(name, z, pd.DataFrame(y).astype("Int64").mask(y > 1), ValueError, "no number")
    mixed = y.astype(object)
    mixed[3, 1] = "blue"
    check(name, z, mixed, ValueError, "in a column of texts")
    with pytest.raises(ValueError, match="'dlib' or 'robust'"):
        EVERY[name](z, y, "other")


def test_classes_may_be_texts_and_nullable_numbers():
    _, z, y = little(0)
    names = pd.DataFrame({"a": [f"v{v}" for v in y[:, 0]], "b": y[:, 1], "c": pd.array(y[:, 2], dtype="Int64")})
    assert scores.mig(z, names) == scores.mig(z, y)
    assert scores.mig(z, y.astype(str)) == scores.mig(z, y)


@pytest.mark.parametrize("name", EVERY)
def test_codes_may_be_tensors_as_a_network_gives_them(name):
    torch = pytest.importorskip("torch")
    _, z, y = little(0)
    z = torch.tensor(z).bfloat16()
    wanted = EVERY[name](z.double().numpy(), y, "robust")
    assert EVERY[name](z.requires_grad_(), torch.tensor(y), "robust") == wanted


def test_other_tensors_are_taken_too_and_sparse_codes_are_named():
    torch = pytest.importorskip("torch")
    _, z, y = little(0)
    given, labels = torch.tensor(z, requires_grad=True), torch.tensor(y[:, 0])
    wanted = scores.prequential_codelength(z, y[:, 0], classes=5).nats
    assert scores.prequential_codelength(given, labels, classes=5).nats == wanted
    halves = {"z": z[::2], "factors": y[::2], "z_test": z[1::2], "factors_test": y[1::2]}
    tensors = {name: torch.tensor(part.astype(float), requires_grad=True) for name, part in halves.items()}
    assert scores.sap(**tensors) == scores.sap(**halves)
    with pytest.raises(ValueError, match=r"z is sparse; give z\.toarray\(\)"):
        scores.mig(sparse.csr_matrix(z), y)


def test_a_class_that_was_never_seen_is_an_error():
    _, z, y = little(0)
    other = y.copy()
    other[0, 0] = 9
    with pytest.raises(ValueError, match="has the value 9"):
        scores.sap(z, y, z_test=z, factors_test=other)
    with pytest.raises(ValueError, match="come together"):
        scores.sap(z, y, z_test=z)


def test_reals_are_cut_into_twenty():
    draw = np.random.default_rng(0)
    y = draw.normal(size=(3000, 2))
    assert scores.mig(y, y) > 0.9
    assert scores.sap(y, y, z_test=y[:1000], factors_test=y[:1000]) > 0.8


def test_areas_with_ties_are_scikit_learns():
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(0)
    p, truth = draw.integers(6, size=(200, 3)) / 6, draw.integers(3, size=200)
    own = truth[:, None] == np.arange(3)
    np.testing.assert_allclose(_areas(p, own), [roc_auc_score(own[:, k], p[:, k]) for k in range(3)], rtol=1e-12)
