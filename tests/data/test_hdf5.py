"""Examples in an HDF5 file: what memory gives, bit for bit, without being in memory."""

import json
import multiprocessing
import os
import pickle
import time

import h5py
import numpy as np
import pytest
import torch

from rdu_bench.data import DataError, Dataset, Examples, Factor, HDF5Source, batches, content, examples, hdf5

N = 500
PIXELS = np.random.default_rng(0).integers(0, 2, (N, 4, 4)).astype(np.uint8)
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (7, 4, 4)},
    "compressed": {"chunks": (64, 4, 4), "compression": "gzip"},
    "cut across": {"chunks": (3, 2, 4), "shuffle": True},
}


def written(path, pixels=PIXELS, **layout):
    with h5py.File(path, "w") as file:
        file.create_dataset("some/x", data=pixels, **layout)
    return path


@pytest.fixture(params=LAYOUTS)
def path(request, tmp_path):
    return written(tmp_path / "x.h5", **LAYOUTS[request.param])


def source(path):
    return HDF5Source(path, "some/x", shape=(1, 4, 4))


ROWS = [[], [3], [499, 0, 250], [5, 5, 4, 5], list(range(100, 200)), list(range(N)), list(range(0, N, 7))[::-1]]


@pytest.mark.parametrize("rows", ROWS, ids=len)
@pytest.mark.parametrize("near", [1, 2**16])
def test_rows_come_in_the_order_asked_for(path, rows, near, monkeypatch):
    monkeypatch.setattr(hdf5, "NEAR", near)
    monkeypatch.setattr(hdf5, "SPAN", 10 * 16)
    found = source(path)[np.array(rows, dtype=np.int64)]
    assert found.dtype == np.uint8 and np.array_equal(found, PIXELS[rows][:, None])


def test_a_row_is_read_once_and_in_the_order_of_the_file(tmp_path, monkeypatch):
    made, read = source(written(tmp_path / "x.h5")), []
    plain = h5py.Dataset.__getitem__
    monkeypatch.setattr(hdf5, "NEAR", 0)
    made._near = 1
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, at: read.append(at) or plain(self, at))
    made[np.array([300, 2, 300, 1, 40])]
    assert read == [slice(1, 3), slice(40, 41), slice(300, 301)]


@pytest.mark.parametrize("ahead", [1, 2**10, 2**25])
def test_training_gets_the_batches_that_memory_gives(path, ahead, monkeypatch):
    monkeypatch.setattr(examples, "AHEAD", ahead)
    y, rows = np.arange(300) % 5, np.random.default_rng(1).permutation(N)[:300]
    how = {"label": "y", "sensitive": None, "seed": 9}
    far = batches(Examples(source(path), {"y": y}, rows=rows), 64, 11, **how)
    near = batches(Examples(PIXELS[:, None], {"y": y}, rows=rows), 64, 11, **how)
    for a, b in zip(far, near, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def test_few_steps_do_not_read_far_ahead(path, monkeypatch):
    asked = []
    monkeypatch.setattr(HDF5Source, "__getitem__", lambda self, rows: asked.append(len(rows)) or PIXELS[rows][:, None])
    made = batches(Examples(source(path), {}), 50, 3, label=None, sensitive=None, seed=0)
    assert len(list(made)) == 3 and asked == [150]


def _sum(made):
    return int(made[np.arange(N)].sum())


def test_a_source_is_sent_to_other_processes(path):
    made = source(path)
    assert _sum(made) == PIXELS.sum()
    assert _sum(pickle.loads(pickle.dumps(made))) == PIXELS.sum()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_sum, [made] * 4) == [PIXELS.sum()] * 4


def test_no_file_stays_open(path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    made = source(path)
    made[np.array([1, 2])]
    assert before is None or len(os.listdir("/proc/self/fd")) == before
    with h5py.File(path, "a"):  # which cannot be had while another has it
        pass


def test_few_rows_are_held_in_memory(path):
    assert np.array_equal(source(path).held(), PIXELS[:, None])
    made = source(path)
    assert made.held(most=100) is made


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_what_is_no_hdf5_file_gets_one_sentence(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        source(tmp_path / "x.h5")


def test_what_is_not_in_the_file_gets_one_sentence(tmp_path):
    path = written(tmp_path / "x.h5")
    for key, shape, message in [
        ("y", None, "no data set y"),
        ("some", None, "no data set some"),
        ("some/x", (3, 4), r"shape \(4, 4\), which cannot be taken for \(3, 4\)"),
    ]:
        with pytest.raises(DataError, match=message):
            HDF5Source(path, key, shape)
    with pytest.raises(DataError, match="cannot be read as HDF5; is it there"):
        source(tmp_path / "none.h5")
    with h5py.File(path, "a") as file:
        file["text"] = ["heart"]
        file["complex"] = np.ones((3, 2)) * 1j
    for key in ("text", "complex"):
        with pytest.raises(DataError, match="must hold whole numbers or floats"):
            HDF5Source(path, key)


def test_a_file_that_changes_or_goes_is_noticed(tmp_path):
    made = source(written(tmp_path / "x.h5"))
    written(tmp_path / "x.h5", 1 - PIXELS)
    os.utime(tmp_path / "x.h5", ns=(0, time.time_ns() + 10**9))
    with pytest.raises(DataError, match="was changed while it was in use"):
        made[np.array([0])]
    (tmp_path / "x.h5").unlink()
    with pytest.raises(DataError, match="is it still there"):
        made[np.array([0])]


def test_rows_that_do_not_unpack_get_one_sentence(tmp_path):
    path = written(tmp_path / "x.h5", **LAYOUTS["compressed"])
    made = source(path)
    with h5py.File(path) as file:
        where = file["some/x"].id.get_chunk_info(0)
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(where.byte_offset)
        file.write(bytes(where.size))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(DataError, match="rows of some/x cannot be read"):
        made[np.array([0])]


# --- the content hash -----------------------------------------------------------------------------------------------


class Filed(Dataset):
    """The pixels of a file, or of memory."""

    def load(self, x, first=300, y=0):
        self.name, self.shape, self.factors, self.task = "filed", (1, 4, 4), (Factor("y", 3),), ("y",)
        every = Examples(x, {"y": (np.arange(N) + y) % 3})
        parts = {"train": slice(first), "val": slice(first, 400), "test": slice(400, N)}
        self.splits = {part: every.subset(at) for part, at in parts.items()}


def loaded(x, **params):
    made = Filed()
    made.load(x, **params)
    return made


def test_the_hash_is_that_of_the_same_data_in_memory(path):
    here, there = loaded(PIXELS[:, None]), loaded(source(path))
    assert there.verify() == here.verify() == []
    assert here.hash == there.hash == loaded(PIXELS[:, None].astype(np.float32)).hash


@pytest.fixture
def counted(monkeypatch):
    """How often a hash was worked out."""
    calls = []
    plain = content._computed
    monkeypatch.setattr(content, "_computed", lambda splits: calls.append(1) or plain(splits))
    return calls


def test_a_hash_is_worked_out_once_for_an_object(counted):
    made = loaded(PIXELS[:, None])
    assert made.hash == made.hash and len(counted) == 1
    made.splits["val"] = made.splits["val"].subset(slice(50))
    assert made.hash != loaded(PIXELS[:, None]).hash


def test_a_hash_is_worked_out_once_for_a_file(path, counted):
    first = loaded(source(path)).hash
    assert loaded(source(path)).hash == first and len(counted) == 1
    # another choice of rows, other factors, other pixels: another hash
    others = [loaded(source(path), first=299).hash, loaded(source(path), y=1).hash]
    assert len({first, *others}) == 3 and len(counted) == 3
    with h5py.File(path, "a") as file:
        file["some/x"][0] = 1 - PIXELS[0]
    os.utime(path, ns=(0, time.time_ns() + 10**9))
    assert loaded(source(path)).hash not in {first, *others} and len(counted) == 4


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"size": 1}', "null", "\x00", '{"size": SIZE, "mtime_ns": TIME}'])
def test_what_is_kept_beside_a_file_and_is_damaged_is_not_believed(path, kept):
    first = loaded(source(path)).hash
    [beside] = path.parent.glob(".x.h5*")
    about = path.stat()
    beside.write_text(kept.replace("SIZE", str(about.st_size)).replace("TIME", str(about.st_mtime_ns)))
    assert loaded(source(path)).hash == first
    assert list(json.loads(beside.read_text("utf-8"))["known"].values()) == [first]


def test_a_folder_that_cannot_be_written_costs_only_the_work(path, counted, monkeypatch):
    monkeypatch.setattr("rdu_bench._files.os.open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert loaded(source(path)).hash == loaded(source(path)).hash and len(counted) == 2
    assert [p.name for p in path.parent.iterdir()] == [path.name]
