"""What is written is whole, and what is read was whole when it was written."""

import errno
import io
import json
import math
import os
import pickle
import shutil

import numpy as np
import pytest

from rdu_bench._files import WriteError
from rdu_bench._hash import digest
from rdu_bench.records.audit import audit, faults, vector_faults
from rdu_bench.records.flatten import load_results
from rdu_bench.records.schema import SCHEMA, Damaged
from rdu_bench.records.store import WEIGHTS, Store


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
        "schema": SCHEMA,
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


def broken(store):
    """Files that are no whole record."""
    return [path for path, found in store.each() if isinstance(found, Damaged)]


def test_a_record_comes_back_as_it_was_written(tmp_path):
    store, made = Store(tmp_path), record()
    vectors = {"R_i": np.arange(3, dtype=np.float32), "Dy_i/digit": np.ones(3, np.float32)}
    path = store.write(made, vectors)
    assert store.read(made["key"]) == made
    assert store.has(made["spec"]) and store.keys() == {made["key"]}
    for name, vector in store.vectors(made).items():
        np.testing.assert_array_equal(vector, vectors[name])
    assert path.relative_to(tmp_path).as_posix() == f"records/toy/vae/s0-2-{made['key']}.json"


UNSAYABLE = [
    ({"values": {"R_star": math.nan}}, "R_star", "nan"),
    ({"values": {"D": math.inf}}, "D", "inf"),
    ({"values": {"D": "12"}}, "D", "'12'"),
    ({"values": {"R_parts": {"z": math.nan}}}, "R_parts.z", "nan"),
    ({"values": {"n": 10**400}}, "n", "large"),
    ({"factors": {"digit": {"Dy": -math.inf}}}, "Dy[digit]", "inf"),
    ({"scores": {"mig_robust_mean": True}}, "mig_robust_mean", "true"),
    ({"model": {"title": 3}}, "model.title", "3"),
    ({"structure": {"levels": {"z": 1}}}, "structure.levels.z", "1"),
]


@pytest.mark.parametrize(("change", "name", "said"), UNSAYABLE)
def test_what_a_record_cannot_say_is_null_and_has_a_reason(tmp_path, change, name, said):
    store, made = Store(tmp_path), record(**change)
    path = store.write(made)
    assert store.has(made["spec"]) and not any("not a whole" in why for why in dict(audit(store))[path])
    kept = store.read(made["key"])
    assert faults(kept) == [] and said in kept["nulls"][name]


def test_letters_that_utf8_lacks_are_written_as_escapes(tmp_path):
    store, made = Store(tmp_path), record(status="error", reason="no \ud800", traceback="\udcff", values={})
    store.write(made)
    assert store.read(made["key"])["reason"] == "no \\ud800"


@pytest.mark.parametrize("change", [{"status": "fine"}, {"spec": {}}, {"key": "x"}, {"schema": 3}, {"values": 1}])
def test_a_record_that_is_none_is_refused(tmp_path, change):
    with pytest.raises(ValueError, match="cannot be recorded"):
        Store(tmp_path).write(record(**change))


def test_numbers_of_numpy_are_numbers(tmp_path):
    store, made = Store(tmp_path), record(values={"R_star": np.float32(0.5), "n": np.int64(3)})
    store.write(made)
    assert store.read(made["key"])["values"] == {"R_star": 0.5, "n": 3}


@pytest.mark.parametrize("fails", ["write", "replace"])
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path, monkeypatch, fails):
    store = Store(tmp_path)
    store.write(record(1.0))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fails == "write":
        monkeypatch.setattr("os.fdopen", full, raising=False)
    else:
        monkeypatch.setattr(os, fails, full)
    with pytest.raises(WriteError, match="free some space") as caught:
        store.write(record(2.0), {"R_i": np.ones(3, np.float32)})
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert [r["spec"]["sigma"] for r in store.records()] == [1.0]
    left = {p.suffix for p in (tmp_path / "records").rglob("*") if p.is_file()}
    assert left == {".json"} and broken(store) == []


def test_vectors_are_there_whenever_their_record_is(tmp_path, monkeypatch):
    store, order = Store(tmp_path), []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(str(b).rsplit(".", 1)[1]), replace(a, b))[1])
    store.write(record(), {"R_i": np.ones(1, np.float32)})
    assert order == ["safetensors", "json"]


HALF = json.dumps(record())[:-40]
SHAPES = [json.dumps(record(**change)) for change in ({"spec": {}}, {"values": None}, {"factors": {"digit": 1}})]
NAN = json.dumps(record(values={"D": math.nan}))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "\x00", HALF, NAN, *SHAPES])
def test_a_broken_file_is_missing_and_named_and_never_fatal(tmp_path, content):
    store, made = Store(tmp_path), record()
    path = store.write(made)
    path.write_text(content)
    assert not store.has(made["spec"]) and store.records() == [] and broken(store) == [path]
    store.write(made)
    assert store.has(made["spec"]) and broken(store) == []


def test_the_form_of_a_record_is_checked_in_words():
    assert faults(record()) == []
    assert "not the hash" in faults(record(key="0" * 16))[0]
    assert "one of ok" in faults(record(status="fine"))[0]
    assert "without a reason" in faults(record(status="error"))[0]
    assert "finite" in faults(record(values={"D": math.nan}))[0]
    assert "missing" in faults({"schema": 1})[0]


def test_an_audit_names_the_file_and_what_is_wrong_with_it(tmp_path):
    store = Store(tmp_path)
    failed = {"values": {}, "factors": {}, "status": "error", "reason": "planned"}
    lawful = record(1.0, **failed)
    good = store.write(lawful)
    other = record(2.0, **failed | {"data": {"hash": "1", "factors": {}}})
    odd = store.write(other)
    lost = good.with_name(f"s9-9-{lawful['key']}.json")
    lost.write_text(good.read_text())
    half = good.with_name("half.json")
    half.write_text("{")
    found = dict(audit(store))
    assert found[good] == []
    assert "other records of toy have 0" in found[odd][0]
    assert "does not lie where" in found[lost][0]
    assert "not a whole record" in found[half][0]


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


def test_a_full_disk_takes_the_vectors_of_the_record_that_did_not_fit_with_it(tmp_path, monkeypatch):
    store, replace = Store(tmp_path), os.replace

    def full(source, target):
        if str(target).endswith(".json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError):
        store.write(record(), {"R_i": np.ones(3, np.float32)})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_lock_on_a_full_disk_says_so(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(WriteError, match="free some space"), Store(tmp_path).lock("x"):
        pass


def test_a_lock_is_held_by_one(tmp_path):
    from filelock import Timeout

    with Store(tmp_path).lock("x"):
        with pytest.raises(Timeout), Store(tmp_path).lock("x", wait=False):
            pass
        with Store(tmp_path).lock("y", wait=False):
            pass
    with Store(tmp_path).lock("x", wait=False):
        pass


def files(folder):
    """Every file of a run and its bytes, by name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_record_that_is_replaced_takes_its_vectors_and_weights_with_it(tmp_path):
    store, made = Store(tmp_path), record()
    path = store.write(made, {"R_i": np.ones(3, np.float32)})
    (path.parent / (path.stem + WEIGHTS)).write_bytes(b"of a model")
    store.write(record(status="error", reason="as planned"))
    assert [*files(tmp_path)] == [path.name] and store.of(made["spec"])["status"] == "error"


def test_weights_that_a_record_names_stay_with_it(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    kept = path.parent / (path.stem + WEIGHTS)
    kept.write_bytes(b"of a model")
    store.write(record(model={"title": "VAE", "labels": "", "decoder": "", "weights": kept.name}))
    assert kept.read_bytes() == b"of a model"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_record_and_its_vectors_stay_where_the_next_is_not_finished(tmp_path, monkeypatch, error):
    store = Store(tmp_path)
    store.write(record(), {"R_i": np.ones(3, np.float32)})
    before, write = files(tmp_path), io.FileIO.write

    class Full(io.FileIO):
        """A file that takes vectors and no record."""

        def write(self, data):
            if data[:1] == b"{":
                raise error
            return write(self, data)

    monkeypatch.setattr(os, "fdopen", lambda handle, *_: Full(handle, "w+b"))
    with pytest.raises(type(error)):
        store.write(record(status="error", reason="as planned"), {"R_i": np.zeros(3, np.float32)})
    monkeypatch.undo()
    assert files(tmp_path) == before


def test_records_that_are_to_be_made_again_count_as_missing_until_others_stand(tmp_path):
    store, failed, other = Store(tmp_path), record(2.0, status="error", reason="as planned"), record(4.0)
    store.write(failed)
    store.write(other)
    again = pickle.loads(pickle.dumps(store.retrying([failed["spec"], record(6.0)["spec"]])))  # as workers get it
    assert [again.has(made["spec"]) for made in (failed, other, record(6.0))] == [False, True, False]
    assert again.of(failed["spec"]) == failed and len(again.records()) == 2 and store.has(failed["spec"])
    again.write(record(2.0, status="error", reason="as it turned out"))
    assert again.has(failed["spec"])  # though it failed again


def test_a_copy_of_another_record_is_none_of_the_point_in_whose_place_it_lies(tmp_path):
    store, mine, other = Store(tmp_path), record(2.0), record(4.0)
    path = store.write(mine)
    shutil.copy(path, store.path(other["spec"], other["key"]))
    assert store.has(mine["spec"]) and store.of(mine["spec"]) == mine
    assert not store.has(other["spec"]) and store.of(other["spec"]) is None


def test_only_old_temporary_files_are_swept(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    old, new = path.with_name(".a.part"), path.with_name(".b.part")
    for part in (old, new):
        part.write_text("half")
    os.utime(old, (0, 0))
    store.sweep()
    assert not old.exists() and new.exists() and path.exists()


def test_vectors_must_have_the_means_that_the_record_gives():
    made = record(values={"R_own": 1.0, "R_star": None}, factors={"digit": {"Dy": 2.0}})
    right = {"R_i": np.array([0.5, 1.5], np.float32), "Dy_i/digit": np.full(2, 2, np.float32)}
    assert vector_faults(made, right) == []
    assert "mean" in vector_faults(made, right | {"R_i": np.zeros(2, np.float32)})[0]
    assert "missing" in vector_faults(made, {"R_i": right["R_i"]})[0]
    assert "length" in vector_faults(made, right | {"R_i": np.ones(3, np.float32)})[0]


def test_damaged_vectors_are_said(tmp_path):
    store, made = Store(tmp_path), record()
    store.write(made, {"R_i": np.ones(3, np.float32)})
    store.path(made["spec"], made["key"]).with_suffix(".safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged"):
        store.vectors(made)


def test_results_of_several_runs_have_each_point_once(tmp_path):
    for name, sigma in (("a", 1.0), ("b", 1.0), ("b", 2.0)):
        Store(tmp_path / name).write(record(sigma))
    frame = load_results([tmp_path / "a", tmp_path / "b"])
    assert sorted(frame["sigma"]) == [1, 2] and frame["path"].nunique() == 2
    assert len(load_results(tmp_path / "a", tmp_path / "b")) == 2


@pytest.mark.parametrize("field", ["variant", "dataset_label"])
@pytest.mark.parametrize("text", ["../../x", "..", ".", "/", "a/../..", "ü" * 300, "x" * 300, "\0", "\n", "con", " "])
def test_a_name_cannot_leave_the_folder(tmp_path, field, text):
    made = record()
    made["spec"][field] = text
    path = Store(tmp_path).write(made)
    root = (tmp_path / "records").resolve()
    assert path.resolve().parents[2] == root and Store(tmp_path).paths() == [path]


def test_json_on_disk_is_readable_by_anyone(tmp_path):
    path = Store(tmp_path).write(record())
    assert json.loads(path.read_text())["status"] == "ok"
