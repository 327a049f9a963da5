"""Whatever a plug-in does becomes the record of its point; only the machine's own trouble ends a run."""

import threading
import time
from dataclasses import replace
from textwrap import dedent

import fake_records
import numpy as np
import pytest
import torch

from rdu_bench import _paths, registry
from rdu_bench._hash import named_seed
from rdu_bench.budget import Budget
from rdu_bench.engine.curve import give_up, run_curve
from rdu_bench.engine.kept import load_model
from rdu_bench.engine.point import MEASURED_TABLES, shortened
from rdu_bench.engine.spec import Curve
from rdu_bench.records import laws
from rdu_bench.records.flatten import load_results
from rdu_bench.records.store import Store
from rdu_bench.training import Training, train_at

MODEL = """
import sys
import torch
from rdu_bench.api import Autoencoder, Row


class Planted(Autoencoder):
    row = Row(paper="1312.6114", title="Planted")

    def regularizer(self, batch, code):
        {training}
        return batch.x.new_zeros(())

    def decode(self, code):
        if not self.training:
            {measuring}
        return super().decode(code)
"""

DATA = """
import sys
import torch
from rdu_bench.api import Card, Dataset, Examples, Factor


class Few(Dataset):
    card = Card(title="few", source="made", shape="1x2x2", task="y")

    def load(self, *, test: int = 30, leave: bool = False):
        if leave:
            sys.exit("not today")
        x = torch.rand(120, 1, 2, 2, generator=torch.Generator().manual_seed(3)).round()
        y = x[:, 0, 0, 0].long()
        self.shape, self.task, self.factors = (1, 2, 2), ("y",), (Factor("y", 2),)
        at = {"train": slice(0, 60), "val": slice(60, 90), "test": slice(90, 90 + test)}
        self.splits = {part: Examples(x[rows], {"y": y[rows]}) for part, rows in at.items()}
"""

SURROGATE = 'raise RuntimeError("half a pair: \\\\ud83d")'
MUTE = """class Mute(Exception):
            def __str__(self):
                raise OSError("no words")
        raise Mute"""
PLANTED = {
    "leaves": ("sys.exit(7)", "pass", "SystemExit: 7"),
    "leaves_later": ("pass", "sys.exit('enough')", "SystemExit: enough"),
    "surrogate": (SURROGATE, "pass", "half a pair: \\ud83d"),
    "mute": (MUTE, "pass", "Mute: it cannot say what it is"),
    "wordy": ("raise ValueError('no' * 10**6)", "pass", "ValueError: nono"),
    "own": ("raise type('Stop', (BaseException,), {})('halt')", "pass", "Stop: halt"),
    "interrupted": ("raise KeyboardInterrupt", "pass", ""),
    "large": ("raise MemoryError('full')", "pass", ""),
    "sound": ("pass", "pass", ""),
}
COARSE = "torch.set_float32_matmul_precision('medium')"
CHANGING = {"changes_in_training": (COARSE, "pass", ""), "changes_in_measuring": ("pass", COARSE, "")}
BUDGET = Budget(
    steps=4, batch=16, codes=40, draws_fit=1, draws_test=2, mixtures=(2,), probe_steps=2, head_steps=5, score_groups=4
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder of plug-ins."""
    root = tmp_path_factory.mktemp("plugins")
    for kind in ("models", "datasets"):
        (root / kind).mkdir()
    for name, (training, measuring, _) in (PLANTED | CHANGING).items():
        text = MODEL.format(training=training, measuring=measuring)
        (root / "models" / f"{name}.py").write_text(text, encoding="utf-8")
    (root / "models" / "leaves_at_once.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    (root / "datasets" / "few.py").write_text(dedent(DATA), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_paths.PLUGINS, str(root))
        yield root


def curve(model, **changes):
    made = Curve(
        suite="planted",
        suite_version=1,
        model=model,
        dataset="few",
        sigmas=(None, 1.0),
        budget=BUDGET,
        network={"family": "mlp", "hidden": [4], "latent": 2},
        heads=("linear",),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("strategy", ["independent", "continuation", "batched"])
@pytest.mark.parametrize("name", [name for name, planted in PLANTED.items() if planted[2]])
def test_what_a_plug_in_raises_is_the_record_of_its_point_and_is_not_repeated(planted, tmp_path, name, strategy):
    store, told = Store(tmp_path), []
    run_curve(curve(name, strategy=strategy), store, progress=told.append)
    records = store.records()
    assert len(records) == 2
    assert {r["status"] for r in records} == {"error"}
    assert all(PLANTED[name][2] in r["reason"] and len(r["reason"]) <= 2000 for r in records)
    assert all(f"{name}.py" in r["traceback"] for r in records)
    before = len(told)
    run_curve(curve(name, strategy=strategy), store, progress=told.append)
    assert len(told) == before  # nothing is computed again


@pytest.mark.parametrize("strategy", ["independent", "batched"])
@pytest.mark.parametrize("name", CHANGING)
def test_what_a_plug_in_changes_of_the_process_is_an_error_and_is_put_back(planted, tmp_path, name, strategy):
    before = torch.get_float32_matmul_precision()
    run_curve(curve(name, strategy=strategy), Store(tmp_path))
    assert torch.get_float32_matmul_precision() == before == "highest"
    for record in Store(tmp_path).records():
        assert record["status"] == "error" and record["values"] == {}
        assert f"{name} changes the precision of products of matrices (highest before)" in record["reason"]


@pytest.mark.parametrize("name", ["interrupted", "large"])
def test_trouble_of_the_machine_is_raised_and_no_record(planted, tmp_path, name):
    with pytest.raises((KeyboardInterrupt, MemoryError)):
        run_curve(curve(name), Store(tmp_path))
    assert Store(tmp_path).records() == []


def test_a_file_that_leaves_when_it_is_imported_is_the_record_of_every_point(planted, tmp_path):
    run_curve(curve("leaves_at_once"), Store(tmp_path))
    assert ["PluginError" in r["reason"] for r in Store(tmp_path).records()] == [True] * 2


def test_a_data_set_that_leaves_is_the_record_of_every_point(planted, tmp_path):
    run_curve(curve("sound", dataset_params={"leave": True}), Store(tmp_path))
    assert ["exit" in r["reason"] for r in Store(tmp_path).records()] == [True] * 2


def test_a_point_whose_numbers_break_a_law_is_invalid_and_says_which(planted, tmp_path, monkeypatch):
    monkeypatch.setitem(laws.LIMITS, "replay_gap", -1.0)
    store = Store(tmp_path)
    run_curve(curve("sound", sigmas=(None,)), store)
    [record] = store.records()
    assert record["status"] == "invalid" and "under another x" in record["reason"]
    assert record["control"]["status"] == "ok" and record["values"]["D"] > 0
    monkeypatch.undo()
    assert laws.judged(record)[0] == "invalid"  # until it is made again


def test_a_record_says_what_its_point_took_of_the_clock_and_of_the_cpu(planted, tmp_path):
    store = Store(tmp_path)
    run_curve(curve("sound"), store)
    run_curve(curve("leaves"), store)
    for times in load_results(tmp_path)[["train_s", "train_cpu_s", "measure_s", "measure_cpu_s"]].itertuples(
        index=False
    ):
        assert min(times) >= 0 and times.train_s > 0 and times.train_cpu_s > 0
    *_, sound = store.records()
    assert all(
        sound["times"][f"{part}_cpu_s"] <= 1.1 * sound["times"][f"{part}_s"] + 0.1 for part in ("train", "measure")
    )
    assert sound["times"]["measure_cpu_s"] > 0


def test_what_was_measured_has_seven_digits_and_what_was_asked_has_all(planted, tmp_path):
    third = 1 / 3
    run_curve(curve("sound", sigmas=(third,)), Store(tmp_path))
    [record] = Store(tmp_path).records()
    assert record["spec"]["sigma"] == record["control"]["sigma"] == third
    numbers = [number for name in (*MEASURED_TABLES, "learning") for number in floats(record[name])]
    assert len(numbers) > 100 and numbers == [float(f"{number:.7g}") for number in numbers]
    assert any(number != float(f"{number:.6g}") for number in numbers)


def floats(value):
    if isinstance(value, dict | list):
        return [number for part in (value.values() if isinstance(value, dict) else value) for number in floats(part)]
    return [value] if isinstance(value, float) else []


def test_numbers_are_shortened_whatever_type_they_are_of():
    given = {"a": (np.float64(200 / 3), torch.tensor(2.0), np.float32(0.1)), "n": 12345678901, "t": "x", "f": True}
    assert shortened(given) == {"a": [66.66667, 2.0, 0.1], "n": 12345678901, "t": "x", "f": True}
    assert shortened(float("inf")) == float("inf") and shortened(1e-12 / 3) == 3.333333e-13


def test_numbers_that_one_test_point_cannot_give_are_null_with_a_reason(planted, tmp_path):
    run_curve(curve("sound", dataset_params={"test": 1}, sigmas=(None,)), Store(tmp_path))
    [record] = Store(tmp_path).records()
    values = record["values"]
    assert record["status"] != "error", record["reason"]
    assert values["D"] > 0 and values["D_se"] is None
    assert record["nulls"]["D_se"]


def test_what_the_store_refuses_is_a_record_that_says_so(planted, tmp_path, monkeypatch):
    write = Store.write

    def picky(self, record, vectors=None):
        if record["values"]:
            raise ValueError("no values here")
        return write(self, record, vectors)

    monkeypatch.setattr(Store, "write", picky)
    run_curve(curve("sound"), Store(tmp_path))
    assert [r["reason"] for r in Store(tmp_path).records()] == [
        "ValueError: the record cannot be written: ValueError: no values here"
    ] * 2


def test_a_point_that_is_given_up_is_a_record(planted, tmp_path):
    give_up(curve("sound"), Store(tmp_path), RuntimeError("gone"), only=[1.0])
    assert [(r["spec"]["sigma"], r["status"]) for r in Store(tmp_path).records()] == [(1.0, "error")]


def test_no_more_are_given_up_than_said_and_none_that_others_have_in_work(planted, tmp_path):
    store, made = Store(tmp_path), curve("sound", sigmas=(None, 1.0, 2.0))
    with store.lock(made.key(None)):
        give_up(made, store, RuntimeError("gone"), most=1)
        assert [r["spec"]["sigma"] for r in store.records()] == [1.0]
        give_up(made, store, RuntimeError("gone"))
        assert sorted(r["spec"]["sigma"] for r in store.records()) == [1.0, 2.0]


def test_points_that_others_have_in_work_are_left_to_them(planted, tmp_path):
    store, made = Store(tmp_path), curve("sound", sigmas=(None, 1.0, 2.0))
    with store.lock(made.key(1.0)):
        run_curve(made, store, wait=False)
        assert {r["spec"]["sigma"] for r in store.records()} == {None, 2.0}
    run_curve(made, store, wait=False)
    assert {r["spec"]["sigma"] for r in store.records()} == {None, 1.0, 2.0}


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("sound", {"strategy": "continuation"}),
        ("sound", {"strategy": "batched"}),
        ("ae", {"params": {"noise": "posthoc-iso"}}),
        ("mr_vae", {}),
    ],
)
def test_points_that_are_trained_together_are_in_one_hand(planted, tmp_path, model, changes):
    store, made = Store(tmp_path), curve(model, sigmas=(1.0, 2.0), **changes)
    with store.lock(made.key(2.0)):
        run_curve(made, store, wait=False)
        assert store.records() == []
    run_curve(made, store, wait=False)
    assert len(store.records()) == 2


@pytest.mark.parametrize("does", ["makes it", "dies"])
@pytest.mark.parametrize("strategy", ["independent", "batched"])
def test_a_point_that_another_has_in_work_is_waited_for(planted, tmp_path, strategy, does):
    store, made, told = Store(tmp_path), curve("sound", sigmas=(1.0, 2.0), strategy=strategy), []
    held = threading.Event()

    def other():
        with store.lock(made.key(2.0)):
            held.set()
            while not waiting.is_alive():
                time.sleep(0.01)
            time.sleep(0.3)
            if does == "makes it":
                store.write(fake_records.of_point(made, 2.0, "ok"), {})

    holder = threading.Thread(target=other)
    waiting = threading.Thread(target=run_curve, args=(made, store), kwargs={"progress": told.append})
    holder.start()
    held.wait()
    waiting.start()
    holder.join()
    waiting.join()
    assert len(store.records()) == 2
    done = [message["sigma"] for message in told if message["phase"] == "done"]
    assert done == ([1.0] if does == "makes it" else [1.0, 2.0])


@pytest.mark.parametrize(
    ("model", "params"), [("vae", {}), ("ae", {}), ("ae", {"noise": "posthoc-iso"}), ("mr_vae", {})]
)
def test_a_model_that_was_kept_comes_back_and_sends_the_same(planted, tmp_path, model, params):
    made = curve(model, params=params, keep_models=True)
    run_curve(made, Store(tmp_path))
    data = registry.dataset("few")
    batch = data.view("test", registry.load("models", model).row).batch()
    for record in Store(tmp_path).records():
        back = load_model(record, tmp_path)
        assert not back.training and not any(p.requires_grad for p in back.parameters())
        with torch.random.fork_rng():
            torch.manual_seed(named_seed("init", 0))
            new = registry.model(model, data.spec(**made.network), **params)
        training = Training.of(BUDGET, seed=named_seed("train", 0))
        again = train_at(new, data, record["spec"]["sigma"], training).model
        codes = []
        for m in (back, again):
            torch.manual_seed(1)
            codes.append(m.encode(batch))
        assert torch.equal(codes[0]["z"].sample, codes[1]["z"].sample)
        assert torch.equal(*(m.decode(c).mean for m, c in zip((back, again), codes, strict=True)))


def test_why_a_model_cannot_come_back_is_said_in_a_sentence(planted, tmp_path):
    store = Store(tmp_path)
    run_curve(curve("sound", sigmas=(None,)), store)
    [record] = store.records()
    with pytest.raises(FileNotFoundError, match="--keep-models"):
        load_model(record, tmp_path)
    with pytest.raises(ValueError, match="folder"):
        load_model({name: part for name, part in record.items() if name != "path"})
    with pytest.raises(FileNotFoundError, match="no record"):
        load_model(tmp_path / "nothing.json")
    run_curve(curve("sound", sigmas=(None,), keep_models=True), store.retrying([record["spec"]]))
    [path] = store.paths()
    assert load_model(path).row.title == "Planted"
    assert load_model(load_results(tmp_path).iloc[0]).row.title == "Planted"
    file = planted / "models" / "sound.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "OTHER = 1\n", encoding="utf-8")
    with pytest.raises(registry.PluginError, match="has changed"):
        load_model(path)
    file.write_text(text, encoding="utf-8")
    weights = path.with_suffix(".weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(ValueError, match="damaged"):
        load_model(path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="weights"):
        load_model(path)
