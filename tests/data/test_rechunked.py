"""Files in large chunks are read from a copy: the same numbers under the same hash, and nothing beside the file."""

import multiprocessing
import os
import shutil

import h5py
import numpy as np
import pytest
from hdf5_files import put

from rdu_bench import registry
from rdu_bench.data import HDF5Source, hdf5, rechunked

N = 400
DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (N, 6, 5)).astype(np.uint8)
Y = np.arange(N) % 3
PLACES = rechunked.__globals__


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for files of users; a cache and no data folder; and little is read ahead."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("RDU_BENCH_DATA", "DISENTANGLEMENT_LIB_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(PLACES, "AHEAD", 10 * 30)
    monkeypatch.setitem(PLACES, "CHUNK", 4 * 30)
    return tmp_path


def packed(x, rows, **how):
    return {"data": x, "chunks": (rows, *x.shape[1:]), "compression": "gzip", **how}


def load(file="a.h5", **params):
    return registry.dataset("hdf5", file=file, **params)


def origin(split):
    return split.source.levels if split.source.rule else split.source


def copies(place):
    return sorted((place / "cache").rglob("*.h5"))


COLOUR = DRAW.integers(0, 256, (N, 6, 5, 3)).astype(np.uint8)
REAL = DRAW.random((N, 6, 5)).astype(">f4")
LAYOUTS = {  # a file, and how it is said
    "64 together": ({"x": packed(GREY, 64), "y": Y}, {}),
    "all together": ({"x": packed(GREY, N), "y": Y}, {}),
    "as h5py cuts across": ({"x": packed(GREY, 100) | {"chunks": (100, 2, 3)}, "y": Y}, {}),
    "a chunk for a pixel": ({"x": packed(GREY, N) | {"chunks": (N, 1, 1)}, "y": Y}, {"seed": "b"}),
    "channels last": ({"x": packed(COLOUR, 64), "y": Y}, {"channels": "last"}),
    "floats of another byte order": ({"x": packed(REAL, 64, shuffle=True), "y": Y}, {}),
    "bits": ({"x": packed(GREY % 2, 64), "y": Y}, {}),
    "a split of little": ({"x": packed(GREY, 64), "y": Y}, {"limit": 30}),
    "two groups": ({f"{p}__{k}": v for p in ("train", "test") for k, v in (("x", packed(GREY, 64)), ("y", Y))}, {}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_copy_has_the_rows_and_the_hash_of_a_file_that_is_cut_well(name, place, capsys):
    contents, params = LAYOUTS[name]
    put("a.h5", **contents)
    put("b.h5", **{key: of["data"] if isinstance(of, dict) else of for key, of in contents.items()})
    found, plain = load(**params), load("b.h5", **params)
    said = capsys.readouterr().err
    assert found.hash == plain.hash and found.verify() == []
    for part, split in found.splits.items():
        assert np.array_equal(split.stored(), plain.splits[part].stored())
        assert origin(split).path.parent == place / "cache" / "rdu-bench" / "hdf5"
        assert origin(plain.splits[part]).path == place / "mine" / "b.h5"
    n = 2 if name == "two groups" else 1
    assert len(copies(place)) == said.count("\n") == n and "a.h5: x is packed" in said and str(copies(place)[0]) in said
    each = 1 if name in ("channels last", "floats of another byte order") else 4
    why = f"x is packed {found_rows(contents)} examples at a time"
    assert [note for note in found.notes if "packed" in note] == [
        f"{why}; its rows are read from a copy that packs {each} together"
    ]
    assert sorted(p.name for p in (place / "mine").iterdir() if p.name[0] != ".") == ["a.h5", "b.h5"]
    assert load(**params).hash == plain.hash and len(copies(place)) == n and capsys.readouterr().err == ""


def found_rows(contents):
    return next(of["chunks"][0] for of in contents.values() if isinstance(of, dict))


@pytest.mark.parametrize(
    "how", [{}, {"chunks": (64, 6, 5)}, {"chunks": (4, 6, 5), "compression": "gzip"}], ids=["whole", "plain", "small"]
)
def test_a_file_that_is_read_quickly_is_not_copied(how, place, capsys):
    put("a.h5", x={"data": GREY, **how}, y=Y)
    data = load()
    assert not copies(place) and data.notes == () and capsys.readouterr().err == ""
    assert origin(data.splits["train"]).path == place / "mine" / "a.h5"


def test_what_is_read_as_a_whole_is_not_copied(place, monkeypatch):
    put("a.h5", x=packed(GREY, 64), y=Y)
    monkeypatch.setitem(PLACES, "AHEAD", GREY.nbytes)
    assert load().notes == () and not copies(place)


@pytest.mark.parametrize(
    ("rows", "wanted", "together"), [(1, 80, 8), (7, 80, 8), (7, 100, 30), (50, 20, 8), (100, 90, 9)]
)
def test_what_is_unpacked_is_what_is_read(rows, wanted, together, place, monkeypatch):
    """Rows that are unpacked for those wanted, counted over shuffled batches: no more than is said, nor much less."""
    put("a.h5", x=packed(GREY[:100], rows))
    source, counted = HDF5Source("a.h5", "x"), []
    plain = h5py.Dataset.__getitem__

    def seen(self, at):
        counted.append(sum(min(rows, 100 - i) for i in range(0, 100, rows) if i < at.stop and i + rows > at.start))
        return plain(self, at)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", seen)
    monkeypatch.setattr(source, "_near", max(1, rows - 1))
    some = np.random.default_rng(1).permutation(100)[:wanted]
    for seed in range(50):
        source[np.random.default_rng(seed).permutation(some)[:together]]
    said = source.unpacked(wanted, together * 30)
    assert 0.5 * said <= sum(counted) / (50 * together) <= 1.01 * said


def test_chunks_that_are_not_packed_count_less(place):
    put("a.h5", x=packed(GREY, 64), y=GREY)
    with h5py.File("a.h5", "a") as file:
        file.create_dataset("z", data=GREY, chunks=(64, 6, 5))
    x, y, z = (HDF5Source("a.h5", key).unpacked(N, 300) for key in "xyz")
    assert x == pytest.approx(40, rel=1e-3) and z == pytest.approx(x / hdf5.PLAIN) and y < 1


@pytest.mark.parametrize("piece", [30, 1000, 2**24])
@pytest.mark.parametrize("held", [30, 2**28])
@pytest.mark.parametrize("chunk", [(1, 6, 5), (7, 6, 5), (N, 6, 5), (64, 2, 3)])
def test_pieces_are_all_rows_in_order_and_few_at_a_time(chunk, held, piece, place, monkeypatch):
    put("a.h5", x={"data": GREY, "chunks": chunk, "compression": "gzip"})
    monkeypatch.setattr(hdf5, "PIECE", piece)
    monkeypatch.setattr(hdf5, "HELD", held)
    pieces = list(HDF5Source("a.h5", "x").pieces())
    assert np.array_equal(np.concatenate(pieces), GREY)
    assert max(p.nbytes for p in pieces) <= max(piece, held if chunk[0] * 36 > held else 0, 36)


def test_a_chunk_is_unpacked_once_in_order(place, monkeypatch):
    """Each piece starts where a chunk does, or the chunk is held in a cache as large as it."""
    put("a.h5", x=packed(GREY, 7), y=packed(GREY, 300), z=GREY)
    monkeypatch.setattr(hdf5, "PIECE", 100 * 30)
    with h5py.File("a.h5") as file:
        assert {s.start % 7 for s in hdf5.in_order(file["x"])} == {0}
        assert hdf5.cache_of(file["x"]) == 2**20
        monkeypatch.setattr(hdf5, "HELD", 2**28)
        big = file["y"]
        assert [s.start for s in hdf5.in_order(big)] == [0, 100, 200, 300]
        assert hdf5.chunks_of(big).bytes == 9000
    opened = []
    plain = h5py.File.__init__
    monkeypatch.setattr(h5py.File, "__init__", lambda self, *a, **k: opened.append(k) or plain(self, *a, **k))
    monkeypatch.setattr(hdf5, "cache_of", lambda stored: 12345)
    list(HDF5Source("a.h5", "y").pieces())
    assert 12345 in [how.get("rdcc_nbytes") for how in opened]


def test_the_cache_of_chunks_holds_a_row_of_them_but_no_more_than_is_held(place, monkeypatch):
    x = np.zeros((2048, 1024), np.uint8)
    put("a.h5", x=packed(x, 2048), y={"data": x, "chunks": (2048, 100), "compression": "gzip"})
    with h5py.File("a.h5") as file:
        assert hdf5.cache_of(file["x"]) == 2**21 and hdf5.cache_of(file["y"]) == 2048 * 1100
        monkeypatch.setattr(hdf5, "HELD", 2**21 - 1)
        assert hdf5.cache_of(file["x"]) == 2**20


def _hash(_):
    return load().hash


def test_processes_that_ask_at_once_write_one_copy_and_one_says_so(place, capfd):
    put("a.h5", x=packed(GREY, 64), y=Y)
    registry.load("datasets", "hdf5")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert len(set(pool.map(_hash, range(6)))) == 1
    assert len(copies(place)) == 1 and not list((place / "cache").rglob("*.part"))
    assert capfd.readouterr().err.count("is copied once") == 1


def test_the_copy_is_of_the_content_wherever_the_file_lies(place):
    put("a.h5", x=packed(GREY, 64), y=Y)
    first = load().hash
    os.utime("a.h5", ns=(0, 5))
    shutil.copy("a.h5", "b.h5")
    assert load().hash == load("b.h5").hash == first and len(copies(place)) == 1
    put("a.h5", x=packed(255 - GREY, 64), y=Y)
    assert load().hash != first and len(copies(place)) == 2


def test_a_copy_that_is_damaged_is_written_again(place):
    put("a.h5", x=packed(GREY, 64), y=Y)
    first = load().hash
    [copy] = copies(place)
    copy.write_bytes(copy.read_bytes()[:-100])
    assert load().hash == first and np.array_equal(origin(load().splits["test"])[np.arange(N)][:, 0], GREY)


def room(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free(str(path))))


def test_without_room_the_file_is_read_as_it_is_and_that_is_said(place, monkeypatch, capsys):
    put("a.h5", x=packed(GREY, 64), y=Y)
    first = load().hash
    shutil.rmtree(place / "cache")
    capsys.readouterr()
    room(monkeypatch, lambda path: GREY.nbytes + PLACES["SPARE"] - 1)
    data = load()
    assert data.hash == first and origin(data.splits["train"]).path.name == "a.h5" and not copies(place)
    [note] = data.notes
    assert "12 kB free" in note and "XDG_CACHE_HOME" in note and "64 examples" in note
    room(monkeypatch, lambda path: GREY.nbytes + PLACES["SPARE"])
    assert len(load().notes) == 1 and len(copies(place)) == 1


def test_the_data_folder_has_the_copy_where_the_cache_has_no_room(place, monkeypatch):
    (place / "data").mkdir()
    monkeypatch.setenv("RDU_BENCH_DATA", str(place / "data"))
    put("a.h5", x=packed(GREY, 64), y=Y)
    room(monkeypatch, lambda path: 0 if path.startswith(str(place / "cache")) or path == str(place) else 2**40)
    data = load()
    assert origin(data.splits["train"]).path.parent == place / "data" / "hdf5" and not copies(place)
    room(monkeypatch, lambda path: 2**40)
    assert origin(load().splits["train"]).path.parent == place / "data" / "hdf5" and not copies(place)


def test_a_cache_that_cannot_be_written_is_said(place, monkeypatch):
    put("a.h5", x=packed(GREY, 64), y=Y)
    (place / "cache").write_text("no folder")
    data = load()
    assert origin(data.splits["train"]).path.name == "a.h5" and "cannot be written" in data.notes[0]
    assert data.verify() == []
