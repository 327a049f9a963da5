"""The same codes, factors and labels have the same score however they are given, and what is no score is named."""

import numpy as np
import pandas as pd
import pytest

from rdu_bench import scores
from rdu_bench.scores.codelength import n_label_curve, prequential_codelength

DRAW = np.random.default_rng(0)
N = 240
Y = DRAW.integers(0, 3, (N, 2))
Z = np.c_[Y + 0.3 * DRAW.normal(size=(N, 2)), DRAW.normal(size=N)]
NAMES = np.array(["cat", "dog", "eel"])
TEXT = NAMES[Y]
LACKS = np.arange(2 * N).reshape(N, 2) == 5  # row 2, column 1
ORDERED = pd.CategoricalDtype([*"xyz", "eel", "dog", "cat"], ordered=True)
FRAME = pd.DataFrame(Y, columns=["a", "b"])

FACTORS = {
    **{kind: Y.astype(kind) for kind in ("uint8", "int8", ">i4", "float16", ">f8")},
    "below zero": Y - 1,
    "list": Y.tolist(),
    "in columns": np.asfortranarray(Y),
    "every other": np.repeat(Y, 2, 0)[::2],
    "texts": TEXT,
    "bytes": TEXT.astype("S"),
    "objects": TEXT.astype(object),
    "bytes as objects": TEXT.astype("S").astype(object),
    "texts and bytes": np.where(DRAW.random(Y.shape) < 0.5, TEXT.astype("S").astype(object), TEXT.astype(object)),
    "two columns of one name": pd.DataFrame(Y, columns=["a", "a"]),
    "of other rows": FRAME.set_index(np.arange(N) + 7),
    "nullable": FRAME.astype("Int64"),
    "categories": pd.DataFrame(TEXT).astype("category"),
    "ordered categories, some unused": pd.DataFrame(TEXT).astype(ORDERED),
    "texts beside numbers": pd.DataFrame({"a": TEXT[:, 0], "b": Y[:, 1].astype(float)}),
}


@pytest.mark.parametrize("way", FACTORS)
def test_however_factors_are_given_the_score_is_the_same(way):
    given = FACTORS[way]
    assert scores.mig(pd.DataFrame(Z), given) == scores.mig(Z, Y)
    rows = [given.iloc[s] if hasattr(given, "iloc") else given[s] for s in (slice(0, 120), slice(120, N))]
    wanted = scores.sap(Z[:120], Y[:120], z_test=Z[120:], factors_test=Y[120:])
    assert scores.sap(Z[:120], rows[0], z_test=Z[120:], factors_test=rows[1]) == wanted


def test_a_real_factor_beside_texts_is_cut_as_it_is_alone():
    real = DRAW.normal(size=N)
    table = pd.DataFrame({"a": TEXT[:, 0], "b": real})
    wanted = scores.sap(
        Z[:120], np.c_[Y, real][:120, [0, 2]], z_test=Z[120:], factors_test=np.c_[Y, real][120:, [0, 2]]
    )
    assert scores.sap(Z[:120], table[:120], z_test=Z[120:], factors_test=table[120:]) == wanted


def test_an_ordered_factor_has_a_squared_correlation_on_the_half_that_is_for_training():
    """As with the two halves given, and whatever its numbers are stored as."""
    order = np.random.default_rng(0).permutation(N)
    train, test = order[: N // 2], order[N // 2 :]
    given = {"z": Z[train], "factors": Y[train], "z_test": Z[test], "factors_test": Y[test]}
    wanted = scores.sap(**given, protocol="dlib", continuous=True)
    for factors in (Y, FRAME.astype("Int64"), FRAME.astype("category")):
        assert scores.sap(Z, factors, "dlib", continuous=True) == wanted
    with pytest.raises(ValueError, match=r"takes ordered numbers, and factors\[:, 0\] holds texts, 'eel'"):
        scores.sap(Z, TEXT, "dlib", continuous=True)


DATES = np.datetime64("2020-01-01") + Y * np.timedelta64(1, "D")
NO_FACTORS = {
    "nullable": (FRAME.astype("Int64").mask(LACKS), r"factors\[2, 1\] is <NA>, which is no number"),
    "flags": ((FRAME > 0).astype("boolean").mask(LACKS), r"factors\[2, 1\] is <NA>"),
    "texts": (np.where(LACKS, None, TEXT), r"factors\[2, 1\] is None in a column of texts"),
    "a text of nothing": (np.where(LACKS, "", TEXT), r"factors\[:, 1\] holds '', as a missing value is written"),
    "written by pandas": (np.where(LACKS, "nan", TEXT), r"factors\[:, 1\] holds 'nan', as a missing"),
    "blanks": (np.where(LACKS, "cat ", TEXT), r"factors\[:, 1\] holds 'cat' and 'cat ', which differ in blanks alone"),
    "dates": (DATES, "factors holds dates"),
    "no date": (np.where(LACKS, np.datetime64("NaT"), DATES), "factors holds dates"),
    "dates beside numbers": (pd.DataFrame({"a": Y[:, 0], "b": DATES[:, 1]}), r"factors\[0, 1\] is Timestamp"),
    "ragged": ([[1, 2], [3]], "factors is no array: its rows have several lengths"),
    "a dictionary": ({"a": Y[:, 0]}, "factors is a dict"),
    "fields": (np.array([*map(tuple, Y)], dtype=[("a", int), ("b", int)]), "factors has the fields a, b"),
    "no UTF-8": (np.char.add(TEXT.astype("S3"), b"\xff"), r"factors\[:, 0\] holds bytes that are no UTF-8"),
    "another order": (FRAME.sample(frac=1, random_state=0), "the same index in another order"),
}


@pytest.mark.parametrize("way", NO_FACTORS)
def test_factors_that_lack_something_are_named_with_it(way):
    given, said = NO_FACTORS[way]
    with pytest.raises(ValueError, match=said):
        scores.mig(pd.DataFrame(Z), given)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (np.ma.array(Y, mask=LACKS), "factors_test has 1 masked values"),
        (np.where(LACKS, np.nan, Y), r"factors_test\[2, 1\] is nan"),
        (FRAME.astype("Int64").mask(LACKS), r"factors_test\[2, 1\] is <NA>"),
        (TEXT, r"factors\[:, 0\] holds numbers and factors_test\[:, 0\] texts"),
        (FRAME[["b", "a"]], "factors_test has the columns of factors in another order"),
    ],
)
def test_a_test_set_is_held_to_the_same(test, said):
    with pytest.raises(ValueError, match=said):
        scores.sap(Z, FRAME, z_test=Z, factors_test=test)
    real = np.where(LACKS, np.nan, DRAW.normal(size=Y.shape))  # of a real factor, whose bins take any number
    with pytest.raises(ValueError, match=r"factors_test\[2, 1\] is nan"):
        scores.sap(Z, np.nan_to_num(real), z_test=Z, factors_test=real)


def test_codes_that_are_no_numbers_are_named_with_their_place():
    for given, said in (
        (pd.DataFrame(Z).astype("Float64").mask(np.isclose(Z, Z[3, 1])), r"z\[3, 1\] is <NA>, which is no number"),
        (np.char.replace(Z.astype(str), ".", ","), r"z\[0, 0\] is '-?\d,\d+', which is no number"),
        (np.datetime64("2020-01-01") + (9 * Z).astype(int) * np.timedelta64(1, "D"), "z holds dates"),
        (pd.DataFrame(Z).assign(name="x"), r"z\[0, 3\] is 'x'"),
        (None, "z is None"),
    ):
        with pytest.raises(ValueError, match=said):
            scores.mig(given, Y)


LABELS = Y[:, 0]
WAYS = {
    **{kind: LABELS.astype(kind) for kind in ("uint8", ">i4", "float32", "object")},
    "column": LABELS[:, None],
    "nullable": pd.Series(LABELS).astype("Int64"),
    "categories": pd.Series(LABELS).astype("category"),
}


@pytest.mark.parametrize("way", WAYS)
def test_however_labels_are_given_they_are_the_same(way):
    given = WAYS[way]
    assert prequential_codelength(Z, given, classes=3) == prequential_codelength(Z, LABELS, classes=3)
    assert n_label_curve(Z, given, Z, given).loss[-1] == n_label_curve(Z, LABELS, Z, LABELS).loss[-1]
    assert scores.clustering(given, given).ari == 1 == scores.clustering(TEXT[:, 0], given).acc


def test_labels_that_are_unknown_are_named():
    lacks = LACKS[:, 1]
    for given, said in (
        (np.ma.array(LABELS, mask=lacks), "has 1 masked values"),
        (np.where(lacks, None, LABELS), r"\[2\] is nan; leave out examples without labels"),
        (pd.Series(LABELS).astype("Int64").mask(lacks), r"\[2\] is (nan|<NA>).*; leave out examples without labels"),
        (np.where(lacks, "", TEXT[:, 0]), "holds '', as a missing value is written"),
        (np.where(lacks, -1, LABELS), "-1.*stands for unknown"),
        (None, " is None"),
    ):
        for call in (
            lambda y: prequential_codelength(Z, y, classes=3),
            lambda y: n_label_curve(Z, LABELS, Z, y),
            lambda y: scores.clustering(LABELS, y),
        ):
            with pytest.raises(ValueError, match=said):
                call(given)
    assert scores.clustering(np.where(lacks, -1, LABELS), LABELS).acc == 1 - 1 / N  # noise is a cluster
    with pytest.raises(ValueError, match=r"y holds texts, such as .* numpy\.unique\(y, return_inverse=True\)"):
        prequential_codelength(Z, TEXT[:, 0], classes=3)
