"""What is written is whole, and what is read was whole when it was written."""

import errno
import json
import math
import os

import numpy as np
import pytest

from rdu_bench._hash import digest
from rdu_bench.store import Store, StoreError, faults, load_results


def record(sigma=2.0, **changes):
    spec = {
        "suite": "t",
        "model": "vae",
        "variant": "",
        "dataset_label": "toy",
        "seed": 0,
        "sigma": sigma,
        "strategy": "independent",
    }
    made = {
        "schema": 1,
        "key": digest(spec),
        "spec": spec,
        "status": "ok",
        "reason": None,
        "traceback": None,
        "model": {"title": "VAE", "labels": "", "decoder": ""},
        "data": {"hash": "0", "factors": {}},
        "control": {"sigma": sigma, "beta_end": 1.0},
        "values": {"R_star": 1.0, "R_parts": {"z": 1.0}},
        "factors": {"digit": {"Dy_linear": 0.5, "settings": {}}},
        "times": {"train_s": 1.0, "measure_s": 1.0},
        "provenance": {},
    }
    return made | changes


def test_a_record_comes_back_as_it_was_written(tmp_path):
    store, made = Store(tmp_path), record()
    vectors = {"R_i": np.arange(3, dtype=np.float32), "Dy_i/digit": np.ones(3, np.float32)}
    path = store.write(made, vectors)
    assert store.read(made["key"]) == made
    assert store.has(made["key"]) and store.keys() == {made["key"]}
    for name, vector in store.vectors(made).items():
        np.testing.assert_array_equal(vector, vectors[name])
    assert path.relative_to(tmp_path).as_posix() == f"records/toy/vae/s0-2-{made['key']}.json"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_is_never_written(tmp_path, bad):
    with pytest.raises(ValueError):
        Store(tmp_path).write(record(values={"R_star": bad}))
    assert Store(tmp_path).records() == []


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path, monkeypatch, fails):
    store = Store(tmp_path)
    store.write(record(1.0))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fails == "write":
        monkeypatch.setattr(os, "fdopen", full)
    else:
        monkeypatch.setattr(os, fails, full)
    with pytest.raises(StoreError, match="free some space") as caught:
        store.write(record(2.0), {"R_i": np.ones(3, np.float32)})
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert [r["spec"]["sigma"] for r in store.records()] == [1.0]
    left = {p.suffix for p in (tmp_path / "records").rglob("*") if p.is_file()}
    assert left == {".json"} and store.broken() == []


def test_vectors_are_there_whenever_their_record_is(tmp_path, monkeypatch):
    store, order = Store(tmp_path), []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(str(b).rsplit(".", 1)[1]), replace(a, b))[1])
    store.write(record(), {"R_i": np.ones(1, np.float32)})
    assert order == ["safetensors", "json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "\x00"])
def test_a_broken_file_is_missing_and_named_and_never_fatal(tmp_path, content):
    store, made = Store(tmp_path), record()
    path = store.write(made)
    path.write_text(content)
    assert not store.has(made["key"]) and store.records() == [] and store.broken() == [path]
    store.write(made)
    assert store.has(made["key"]) and store.broken() == []


def test_the_form_of_a_record_is_checked_in_words():
    assert faults(record()) == []
    assert "not the hash" in faults(record(key="0" * 16))[0]
    assert "none of" in faults(record(status="fine"))[0]
    assert "without a reason" in faults(record(status="error"))[0]
    assert "NaN" in faults(record(values={"D": math.nan}))[0]
    assert "missing" in faults({"schema": 1})[0]


def test_results_are_one_row_a_point(tmp_path):
    store = Store(tmp_path)
    store.write(record(1.0))
    store.write(record(None))
    frame = load_results(tmp_path)
    assert sorted(frame["sigma"].fillna(0)) == [0, 1]
    assert {"dataset", "model", "variant", "status", "R_star", "Dy_linear[digit]", "data.hash"} <= set(frame.columns)
    assert (frame["Dy_linear[digit]"] == 0.5).all()


def test_no_results_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no records"):
        load_results(tmp_path)


def test_a_name_cannot_leave_the_folder(tmp_path):
    made = record()
    made["spec"]["variant"] = "../../x"
    assert Store(tmp_path).write(made).resolve().is_relative_to(tmp_path.resolve())


def test_json_on_disk_is_readable_by_anyone(tmp_path):
    path = Store(tmp_path).write(record())
    assert json.loads(path.read_text())["status"] == "ok"
