"""Data sets: fixed splits, honest entropies, known factors, and what is there of them."""

import sys

import numpy as np
import pytest
import torch
from small_data import put, small_gaussian, sprites

from rdu_bench import registry
from rdu_bench.conformance.data_files import data_files
from rdu_bench.data import (
    DataError,
    Dataset,
    Entropy,
    Examples,
    Factor,
    GroundTruth,
    assign_splits,
    binarise,
    population_entropy,
)


@pytest.mark.parametrize(
    "load", [lambda: registry.dataset("digits"), sprites, small_gaussian, lambda: registry.dataset("coloured")]
)
def test_a_data_set_is_sound_and_the_same_every_time(load):
    data, again = load(), load()
    assert data.verify() == []
    assert data.hash == again.hash
    assert all(torch.equal(data.splits[part].take(), again.splits[part].take()) for part in data.splits)


@pytest.mark.parametrize("name", sorted(registry.files("datasets")))
def test_every_card_is_complete(name):
    card = registry.card("datasets", name)
    assert card["title"] and card["source"] and card["shape"] and card["task"] and card["doc"]


@pytest.mark.parametrize("name", ["digits", "sprites", "linear_gaussian", "coloured"])
def test_a_card_promises_what_the_data_provide(name):
    assert set(registry.card("datasets", name).get("provides", ())) == registry.dataset(name).provides


@pytest.mark.parametrize("name", ["digits", "sprites", "linear_gaussian"])
def test_an_unknown_parameter_is_named(name):
    with pytest.raises(TypeError, match=f"{name}.*sise"):
        registry.dataset(name, sise=3)


def test_data_that_is_bundled_has_nothing_to_make(tmp_path):
    with pytest.raises(DataError, match="Digits has nothing to make; it needs no files"):
        registry.dataset("digits").make(tmp_path)


class Broken(Dataset):
    """Two pixels, sound until a test breaks it."""

    def load(self):
        self.shape, self.factors, self.task = (2,), (Factor("y", 2), Factor("r", 1, kind="real")), ("y",)
        for part in ("train", "val", "test"):
            self.splits[part] = Examples(
                torch.ones(4, 2), {"y": torch.zeros(4, dtype=torch.int64), "r": torch.ones(4, 1)}
            )
        self.population = Examples(torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]), {})
        self.entropy = population_entropy(self.population)


def change(part="val", x=None, **factors):
    def break_it(data):
        old = data.splits[part]
        data.splits[part] = Examples(old.take() if x is None else x, {**old.factors, **factors})

    return break_it


BREAKS = {
    "val: x has the shape (3,), not (2,)": change(x=torch.ones(4, 3)),
    "val: x holds NaN": change(x=torch.full((4, 2), torch.nan)),
    "val: x must hold 0 and 1 only": change(x=torch.full((4, 2), 0.5)),
    "val: it has the factors": change(other=torch.zeros(4)),
    "val: y must be a whole number from 0 to 1": change(y=torch.full((4,), 2)),
    "val: y must be a whole number": change(y=torch.zeros(4)),
    "val: r must be 1 numbers": change(r=torch.ones(4, 2)),
    "val: it is empty": lambda data: data.splits.update(val=data.splits["val"].subset([])),
    "there is no test split": lambda data: data.splits.pop("test"),
    "colour is no factor": lambda data: setattr(data, "sensitive", "colour"),
    "H(x) is given as 1.386": lambda data: setattr(data, "entropy", Entropy(float(np.log(4)), "exact")),
}


@pytest.mark.parametrize("message", BREAKS)
def test_verify_finds_every_fault(message):
    data = Broken()
    data.load()
    assert data.verify() == []
    BREAKS[message](data)
    assert any(found.startswith(message) for found in data.verify()), data.verify()


def test_the_hash_covers_every_number():
    data = Broken()
    data.load()
    seen = {data.hash}
    for part in ("train", "val", "test"):
        change(part, y=torch.tensor([0, 0, 0, 1]))(data)
        seen.add(data.hash)
    assert len(seen) == 4


def test_what_is_missing_is_said_once(tmp_path, monkeypatch, capsys):
    from rdu_bench.cli.app import app

    monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    assert not app(["data", "ls"], standalone_mode=False)
    told = [line for line in capsys.readouterr().out.splitlines() if str(tmp_path) in line]
    assert len(told) > 5
    for line in told:
        name = line.partition(":")[0]
        assert line.count("rdu-bench data get") <= 1 and not line.startswith(f"{name}: {name}:"), line
        assert line.count("cannot be read") <= 1, line


def test_missing_files_are_named_as_loading_would(tmp_path):
    assert registry.missing_files("digits") == registry.missing_files("sprites") == ""
    for name, params in {"mnist": {}, "coloured": {"base": "mnist"}}.items():
        assert "mnist needs MNIST's IDX files" in registry.missing_files(name, **params)
        assert "put MNIST's IDX files there" in registry.missing_files(name, data_dir=str(tmp_path), **params)
    put(tmp_path)
    assert registry.missing_files("mnist", data_dir=str(tmp_path), limit=3) == ""
    assert registry.missing_files("coloured", base="mnist", colours=3, data_dir=str(tmp_path)) == ""
    assert "no train-images" in registry.missing_files("mnist", data_dir=str(tmp_path), images="all")
    assert "no train-images" in registry.missing_files("coloured", base="mnist", data_dir=str(tmp_path), images="all")


def test_all_data_sets_are_listed_with_what_they_lack(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "broken.py").write_text("import no_such_package", encoding="utf-8")
    monkeypatch.setenv("RDU_BENCH_PLUGINS", str(tmp_path))
    found = {about.name: about for about in data_files()}
    assert set(found) == set(registry.files("datasets"))
    assert found["digits"] == ("digits", "", "") and found["sprites"].missing == ""
    assert found["mnist"].needs and found["mnist"].missing.startswith("mnist needs")
    assert "broken.py" in found["broken"].missing and "\n" not in found["broken"].missing


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("self.splits['val'] = self.splits['val'].subset([])", "faulty: val: it is empty"),
        ("del self.splits['test']", "faulty: there is no test split"),
        ("self.task = ('z',)", "faulty: z is no factor"),
        ("self.factors = (Factor('y', 1),)", "faulty: train: y must be a whole number from 0 to 0"),
    ],
)
def test_what_is_unsound_is_not_loaded(fault, message, tmp_path, monkeypatch):
    text = f"""
from rdu_bench.api import Card, Dataset, Examples, Factor
class Faulty(Dataset):
    card = Card(title="Faulty", source="here", shape="2", task="y")
    def load(self):
        self.shape, self.factors, self.task = (2,), (Factor("y", 2),), ("y",)
        self.splits = {{part: Examples([[0, 1], [1, 1]], {{"y": [0, 1]}}) for part in ("train", "val", "test")}}
        {fault}
"""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "faulty.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RDU_BENCH_PLUGINS", str(tmp_path))
    monkeypatch.delitem(sys.modules, "rdu_bench.datasets.faulty", raising=False)
    monkeypatch.setattr(sys.modules["rdu_bench.datasets"], "__path__", [str(tmp_path / "datasets")])
    with pytest.raises(DataError, match=message) as caught:
        registry.dataset("faulty")
    assert str(caught.value).endswith(".")


# --- binarisation and entropy ------------------------------------------------------------------------------------


def test_binarisation_keeps_black_and_white_and_the_mean():
    levels = np.repeat(np.arange(17, dtype=np.uint8)[None], 20000, 0)
    share = binarise(levels, 16, "test").mean(0)
    assert share[0] == 0 and share[16] == 1
    p = np.arange(17) / 16
    assert (np.abs(share - p) <= 4.5 * np.sqrt(p * (1 - p) / 20000)).all()


def test_binarisation_of_the_first_does_not_depend_on_the_rest():
    levels = np.random.default_rng(0).integers(0, 256, (50, 7, 3), dtype=np.uint8)
    assert np.array_equal(binarise(levels, 255, "test")[:20], binarise(levels[:20], 255, "test"))


def test_entropy_is_of_distinct_images():
    population = Examples(np.array([[0, 1], [0, 1], [1, 1], [1, 0]]), {})
    assert population_entropy(population) == (pytest.approx(0.5 * np.log(2) + 0.5 * np.log(4)), "exact")
    assert population_entropy(Examples(np.eye(6), {})).nats == pytest.approx(np.log(6))
    assert population_entropy(Examples(np.ones((6, 2)), {})).nats == pytest.approx(0)


# --- digits ------------------------------------------------------------------------------------------------------


def test_digits_are_what_they_were():
    data = registry.dataset("digits")
    assert {part: len(split) for part, split in data.splits.items()} == {"test": 359, "val": 180, "train": 1258}
    assert data.hash == "5bfb1aae850a1c75"
    assert data.provides == {"labels", "image", "binary"}


def test_splits_are_disjoint_and_fixed():
    parts = assign_splits(1797, "digits")
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1797))
    assert parts["test"][:5].tolist() == [1512, 1062, 1703, 1747, 1201]


def test_an_observation_has_the_class_it_was_drawn_for():
    data = registry.dataset("digits")
    assert isinstance(data, GroundTruth)
    assert (data.num_factors, data.factors_num_values, data.factor_names) == (1, [10], ["digit"])
    factors, x = data.sample(200, np.random.RandomState(0))
    assert (
        factors.shape == (200, 1) and x.shape == (200, *data.observation_shape) and set(factors[:, 0]) == set(range(10))
    )
    test = data.splits["test"]
    for wanted, image in zip(factors[:, 0], torch.from_numpy(x), strict=True):
        same = (test.take() == image).flatten(1).all(1)
        assert wanted in test.factors["digit"][same]


def test_all_examples_of_a_class_are_drawn():
    data = registry.dataset("digits")
    x = data.sample_observations_from_factors(np.full((2000, 1), 3), np.random.default_rng(0))
    test = data.splits["test"]
    threes = test.take(test.factors["digit"] == 3)
    assert {i.tobytes() for i in x} == {i.tobytes() for i in threes.numpy()}


@pytest.mark.parametrize("factors", [[[10]], [[-1]], [[0, 0]], [0], [[0.5]]])
def test_factors_that_cannot_be_are_refused(factors):
    with pytest.raises(DataError, match="digits: "):
        registry.dataset("digits").sample_observations_from_factors(np.array(factors), np.random.RandomState(0))
