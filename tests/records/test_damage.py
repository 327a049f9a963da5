"""Damaged records cost themselves and nothing else: each is named in one sentence, and the rest is done."""

import contextlib
import json
import os

import fake_records
import numpy as np
import pytest

from rdu_bench import analysis
from rdu_bench._hash import digest
from rdu_bench.records.audit import audit
from rdu_bench.records.flatten import table
from rdu_bench.records.store import Store
from rdu_bench.report import render

DEEP = "[" * 5000 + "]" * 5000
NUMBERS = ("1", True, [1.0], {"a": 1.0}, 10**400)  # what is no number
TEXTS = (1, 1.5, True, ["a"], {"a": "b"})
TABLES = (None, 1, "a", [], True)

WRONG = {  # field: values it may not have
    "schema": (None, "2", 2.0, True, 0, 3, 10**400, [2]),
    "key": (None, 1, "", "xyz", "0" * 15, "G" * 16, ["a"], "../../../../a"),
    "status": (None, 1, "fine", "", ["ok"], {"ok": 1}, True, "OK"),
    "reason": (1, ["a"], {}, True),
    "spec": TABLES,
    "spec.suite": (None, *TEXTS),
    "spec.model": (None, "", "a/b", "../vae", "..", "a b", *TEXTS),
    "spec.variant": (None, *TEXTS),
    "spec.dataset": (None, "a/b", "..", *TEXTS),
    "spec.dataset_label": (None, *TEXTS),
    "spec.seed": (None, -1, 1.5, "0", True, 2**70, [0]),
    "spec.sigma": ("6", 0, -1.0, 1e9, True, [6.0], {}),
    "spec.params": TABLES,
    "spec.budget": TABLES,
    "spec.network": TABLES,
    "spec.heads": ("linear", [1], {}),
    "spec.sweep": ("beta", [1], {}),
    "spec.plugins": (1, "a", ["a"], {"models/vae": 1}),
    "spec.protocol": (None, "2", -1, 1.5),
    "spec.strategy": (None, *TEXTS),
    "model": TABLES,
    "model.title": TEXTS,
    "model.labels": TEXTS,
    "model.decoder": TEXTS,
    "model.blocks": (1, "z", ["z"], {"z": 1}, {"z": {"dim": "10"}}),
    "data": TABLES,
    "data.hash": TEXTS,
    "data.shape": (None, "1x16x16", ["1"], [1.5], [-1], {}, [10**400]),
    "data.factors": (1, "shape", ["shape"], {"shape": 1}, {"shape": {"H_y": "1"}}),
    "data.task": ("shape", [1], {}),
    "control": TABLES,
    "control.beta_end": NUMBERS,
    "control.reason": TEXTS,
    "values": TABLES,
    **{f"values.{name}": NUMBERS for name in ("R_star", "R_star_se", "R_own", "D", "D_null", "Dy", "H_x", "log_N")},
    "values.R_parts": (1, "z", ["z"], {"z": "1"}, {"z": [1]}),
    "values.H_x_kind": TEXTS,
    "factors": TABLES,
    "factors.shape": (1, "a", ["a"], True),
    "factors.shape.Dy": NUMBERS,
    "factors.shape.Dy_head": TEXTS,
    "scores": (1, "a", ["a"]),
    "scores.mig_robust_mean": NUMBERS,
    "nulls": (1, "a", ["a"], {"D": 1}),
    "structure": (1, "a", ["a"]),
    "structure.levels": (1, "a", ["a"], {"z1": 1}, {"z1": {"R_star": "1"}}),
    "structure.clusters": (1, ["a"], {"mixture": [1]}),
    "structure.efficiency": (1, {"shape": 1}, {"shape": {"n": 1}}, {"shape": {"Dy": ["1"]}}),
    "structure.leakage": (1, {"s": 1}, {"s": "hue", "IV": "1"}),
    "structure.noise": (1, {"Dy": 1}, {"Dy": {"shape": ["1"]}}, {"levels": "a"}),
    "mi": (1, {"mean": [1]}, {"H": ["1"]}, {"latents": [1]}),
    "pictures": (1, {"at": ["1"]}),
    "times": (*TABLES, {"train_s": "7"}),
    "provenance": (*TABLES, {"finished": "yesterday"}),
}
MISSING = ("schema", "key", "status", "spec", "model", "data", "control", "values", "factors", "times", "provenance")
MISSING += tuple(f"spec.{n}" for n in ("suite", "model", "variant", "dataset_label", "seed", "sigma", "strategy"))
RAW = {  # how the bytes of a file are changed
    "empty": lambda b: b"",
    "blank": lambda b: b"\n\n",
    "cut": lambda b: b[:-40],
    "half": lambda b: b[: len(b) // 2],
    "head cut": lambda b: b[10:],
    "twice": lambda b: b + b,
    "binary": lambda b: bytes(range(256)) * 20,
    "zeros": lambda b: bytes(len(b)),
    "BOM": lambda b: b"\xef\xbb\xbf" + b,
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "UTF-32": lambda b: b.decode().encode("utf-32"),
    "Latin-1": lambda b: b.replace(b'"reason":null', '"reason":"é"'.encode("latin-1")),
    "deep": lambda b: DEEP.encode(),
    "deep inside": lambda b: b.replace(b'"mi":{}', b'"mi":' + DEEP.encode()),
    "a list": lambda b: b"[" + b + b"]",
    "a number": lambda b: b"1",
    "null": lambda b: b"null",
    "a string": lambda b: b'"record"',
    "NaN": lambda b: b.replace(b'"D_se":0.4', b'"D_se":NaN'),
    "Infinity": lambda b: b.replace(b'"D_se":0.4', b'"D_se":-Infinity'),
    "1e400": lambda b: b.replace(b'"D_se":0.4', b'"D_se":1e400'),
    "1e400 in what nobody knows": lambda b: b.replace(b'"traceback":null', b'"traceback":null,"new":[-1E+400]'),
    "400 digits": lambda b: b.replace(b'"D_se":0.4', b'"D_se":' + b"9" * 400 + b".5"),
    "5000 digits": lambda b: b.replace(b'"D_se":0.4', b'"D_se":' + b"9" * 5000),
    "surrogate": lambda b: b.replace(b'"reason":null', b'"reason":"\\ud800"'),
    "single quotes": lambda b: b.replace(b'"', b"'"),
    "comment": lambda b: b"// a record\n" + b,
    "trailing comma": lambda b: b.rstrip()[:-1] + b",}",
    "merge conflict": lambda b: b"<<<<<<< HEAD\n" + b,
    "one key twice": lambda b: b.replace(b'"status":"ok"', b'"status":"error","status":"ok"'),
    "one factor twice": lambda b: b.replace(b'"D_se":0.4', b'"D_se":0.4,"D_se":0.5'),
}


def _other(path):
    path.unlink()
    return path


def _fifo(path):
    os.mkfifo(_other(path))


def _folder(path):
    _other(path).mkdir()


def _loop(path):
    _other(path).symlink_to(path.name)


def _dangling(path):
    _other(path).symlink_to("nowhere")


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(2**33)


def _moved(path):
    path.rename(path.with_name(f"s999-1-{path.stem.rpartition('-')[2]}.json"))


def _beside(content):
    def damage(path):
        path.with_suffix(".safetensors").write_bytes(content)

    return damage


def _vectors(**changes):
    def damage(path):
        from safetensors.numpy import save

        record = json.loads(path.read_text("utf-8"))
        path.with_suffix(".safetensors").write_bytes(save({**vectors(record), **changes}))

    return damage


ON_DISK = {
    "a pipe": _fifo,
    "a folder": _folder,
    "a loop of links": _loop,
    "a link to nothing": _dangling,
    "gigabytes of nothing": _sparse,
    "under another name": _moved,
    "vectors empty": _beside(b""),
    "vectors half": _beside(b"\x10\x00"),
    "vectors of text": _beside(b"vectors"),
    "vectors missing": lambda path: path.with_suffix(".safetensors").unlink(),
    "vectors a folder": lambda path: (
        path.with_suffix(".safetensors").unlink(),
        path.with_suffix(".safetensors").mkdir(),
    ),
    "a vector of another length": _vectors(D_star_i=np.ones(3, np.float32)),
    "a vector of another mean": _vectors(R_i=np.zeros(5, np.float32)),
    "a vector of NaN": _vectors(R_i=np.full(5, np.nan, np.float32)),
}


def vectors(record):
    values = record["values"]
    found = {"R_i": values["R_own"], "R_star_i": values["R_star"], "D_i": values["D"]}
    found |= {f"Dy_i/{name}": factor["Dy"] for name, factor in record["factors"].items()}
    return {name: np.full(5, mean, np.float32) for name, mean in found.items()}


def whole(seed):
    record = fake_records.rich(fake_records.record("vae", seed=seed, sigma=6.0))
    record["mi"], record["pictures"] = {}, {}
    record["values"]["R_own_mc"] = record["values"]["R_own"]
    return record


def changed(record, field, value, gone=False):
    """A deep copy with one field changed."""
    record = json.loads(json.dumps(record))
    at = record
    *place, last = field.split(".")
    for name in place:
        at = at.setdefault(name, {})
    if gone:
        del at[last]
    else:
        at[last] = value
    if isinstance(record.get("spec"), dict) and field.startswith("spec."):
        with contextlib.suppress(TypeError, ValueError):
            record["key"] = digest(record["spec"])
    return record


KINDS = {f"{field} = {str(value)[:30]!r}": (field, value) for field, values in WRONG.items() for value in values}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A run with one whole record and one of every kind of damage, and where each lies."""
    store, places, seed = Store(tmp_path_factory.mktemp("run")), {}, 0

    def place(name):
        nonlocal seed
        seed += 1
        record = whole(seed)
        places[name] = store.write(record, vectors(record))
        return record, places[name]

    place("whole")
    for name, (field, value) in KINDS.items():
        record, path = place(name)
        path.write_text(json.dumps(changed(record, field, value)), "utf-8")
    for field in MISSING:
        record, path = place(f"no {field}")
        path.write_text(json.dumps(changed(record, field, None, gone=True)), "utf-8")
    for name, change in RAW.items():
        _, path = place(name)
        before = path.read_bytes()
        assert change(before) != before, name
        path.write_bytes(change(before))
    for name, change in ON_DISK.items():
        change(place(name)[1])
    return store, places


def test_every_kind_of_damage_is_named_in_one_sentence(damaged):
    store, places = damaged
    found = dict(audit(store))
    assert len(places) > 300
    assert found[places["whole"]] == []
    moved = places.pop("under another name")
    assert any("does not lie" in " ".join(why) for path, why in found.items() if path not in places.values())
    for name, path in places.items():
        if name != "whole":
            assert found[path], f"{name} is not named"
            assert all(why and len(why.splitlines()) == 1 and len(why) < 400 for why in found[path]), found[path]
    places["under another name"] = moved


def test_the_rest_of_the_records_is_used_all_the_same(damaged):
    store, _places = damaged
    frame = table(store.folder)
    assert 1 in frame["seed"].tolist() and frame["R_star"].notna().all()
    assert len(frame.attrs["ignored"]) == 100  # so many are told of by name
    assert len(frame) + len(store.found()) - len(store.records()) == len(store.paths())
    assert len(analysis.leaderboard(frame)) >= 1 and len(analysis.frontier(frame)) > 1
    assert {head["key"] for _, head in store.heads() if isinstance(head, dict)} >= set(frame["key"])


def test_verify_status_and_leaderboard_go_on(damaged, capsys):
    from rdu_bench.cli.app import app

    store, _ = damaged
    assert app(["verify", str(store.folder)], standalone_mode=False) == 1
    assert "not a whole record" in capsys.readouterr().out
    assert not app(["status", str(store.folder)], standalone_mode=False)
    assert "not a whole record" in capsys.readouterr().out
    assert not app(["leaderboard", str(store.folder)], standalone_mode=False)
    assert "VAE" in capsys.readouterr().out


def test_the_page_says_which_files_are_no_whole_records(tmp_path):
    from rdu_bench.cli.app import app

    store, record = Store(tmp_path / "run"), whole(1)
    store.write(record, vectors(record))
    broken = store.write(other := whole(2), vectors(other))
    broken.write_bytes(broken.read_bytes()[:300])
    assert not app(["report", str(store.folder), "--formats", "png"], standalone_mode=False)
    by_hand = render(store.found(), tmp_path / "by-hand", formats=())
    for page in (store.folder / "index.html", by_hand, render([store], tmp_path / "store", formats=())):
        text = page.read_text("utf-8").partition("<dt>Left out</dt><dd>")[2]
        assert (
            text.startswith("1 that is no whole record<details>") and f"Not a record: {broken}: it is not JSON" in text
        )
