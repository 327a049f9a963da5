"""Damaged files of disentanglement_lib's sets: one sentence that names the file, and nothing is written."""

import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from small_dlib import (
    DSPRITES_FILE,
    SHAPES3D_FILES,
    draw,
    dsprites_arrays,
    hdf5,
    norb,
    norb_arrays,
    npz,
    put,
    scream,
    shapes3d_arrays,
    small,
)

from rdu_bench import registry
from rdu_bench.cli import main
from rdu_bench.data import STAND_IN, DataError

SHAPES3D_FILE, OTHER_SHAPES3D_FILE = SHAPES3D_FILES
MPI3D_FILE, CAR = "mpi3d_toy/mpi3d_toy.npz", "cars/car_002_mesh.mat"
DAT, CAT, INFO = (f"small_norb/smallnorb-train-{what}.mat" for what in ("dat", "cat", "info"))
FILES = {"dsprites": DSPRITES_FILE, "shapes3d": SHAPES3D_FILE, "mpi3d": MPI3D_FILE, "cars3d": CAR, "smallnorb": DAT}


def arrays_with(change, arrays=dsprites_arrays, write=npz):
    """Damage of what a file holds: `change` is done to its arrays."""

    def damage(path):
        found = arrays()
        change(found)
        path.unlink()
        write(path, **found)

    return damage


def dsprites(**changed):
    return arrays_with(lambda found: found.update(changed))


def shapes3d(**changed):
    return arrays_with(lambda found: found.update(changed), shapes3d_arrays, hdf5)


def cut(share):
    def damage(path):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return damage


def replaced(content):
    return lambda path: path.write_bytes(content)


def folder_instead(path):
    path.unlink()
    path.mkdir()


def loop_of_links(path):
    path.unlink()
    path.symlink_to(path.name)


def flipped(path):
    """A few bytes in the middle are others."""
    content = bytearray(path.read_bytes())
    for i in range(len(content) // 2, len(content) // 2 + 40):
        content[i] ^= 0xFF
    path.write_bytes(bytes(content))


def headed(shape, dtype="|u1", rest=b""):
    """The bytes of a member whose header declares an array that is not there."""
    text = str({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + rest


def without(key, arrays=dsprites_arrays, write=npz):
    return arrays_with(lambda found: found.pop(key), arrays, write)


def at(key, place, value):
    """One number of an array is another."""

    def change(found):
        found[key] = found[key].copy()
        found[key][place] = value

    return change


def swapped(found):
    found["latents_classes"] = found["latents_classes"][:, [0, 2, 1, 3, 4, 5]]


def shuffled(found):
    found["latents_classes"] = np.roll(found["latents_classes"], 1, 0)


def declared_only(path):
    """An HDF5 file that declares all and holds none of it."""
    shapes = {key: (array.shape, array.dtype) for key, array in shapes3d_arrays().items()}
    with h5py.File(path, "w") as file:
        for key, (shape, dtype) in shapes.items():
            file.create_dataset(key, shape, dtype, chunks=True)


def half_written(path):
    """A file whose images end after the first chunks."""
    with h5py.File(path, "a") as file:
        images = file["images"][:16]
        del file["images"]
        file.create_dataset("images", (288, 64, 64, 3), "u1", chunks=(8, 64, 64, 3))[:16] = images


def link_outside(path):
    with h5py.File(path, "a") as file:
        del file["images"]
        file["images"] = h5py.ExternalLink("gone.h5", "/images")


def bomb(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (10**8, 64, 64, 3), "u1", chunks=(1, 64, 64, 3))
        file["labels"] = np.zeros((3, 6))


def link_inside(path):
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = h5py.SoftLink("/labels"), h5py.SoftLink("/images")


def marked(path):
    with h5py.File(path, "a") as file:
        file.attrs[STAND_IN] = True


def chunk_lost(path):
    """A chunk of images does not unpack."""
    with h5py.File(path) as file:
        where = file["images"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(where.byte_offset)
        file.write(bytes(where.size))


def encrypted(path):
    content = bytearray(path.read_bytes())
    for mark, at_flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        i = -1
        while (i := content.find(mark, i + 1)) >= 0:
            content[i + at_flags] |= 1
    path.write_bytes(bytes(content))


def as_mat(**arrays):
    return lambda path: savemat(path, arrays)


def matrix(what, change):
    """A matrix of NORB's training part is another, or other bytes."""

    def damage(path):
        found = change(norb_arrays()["train"][what])
        path.write_bytes(found if isinstance(found, bytes) else norb(found))

    return damage


def other(array, place, value):
    array = array.copy()
    array[place] = value
    return array


STANDING_IN = np.array({"title": f"a {STAND_IN}"}, dtype=object)
IM = draw(128, 128, 3, 3, 2)
DAMAGES = {  # name -> data set, file, damage, what is said
    "npz: not there": ("dsprites", DSPRITES_FILE, Path.unlink, "No such file"),
    "npz: mpi3d not there": ("mpi3d", MPI3D_FILE, Path.unlink, r"^\S+ cannot be read: No such file"),
    "npz: no bytes": ("dsprites", DSPRITES_FILE, replaced(b""), "cannot be read as .npz"),
    "npz: zeros": ("dsprites", DSPRITES_FILE, replaced(bytes(5000)), "cannot be read as .npz"),
    "npz: half": ("dsprites", DSPRITES_FILE, cut(0.5), "cannot be read as .npz"),
    "npz: all but the end": ("dsprites", DSPRITES_FILE, cut(0.999), "cannot be read as .npz"),
    "npz: a folder": ("dsprites", DSPRITES_FILE, folder_instead, "is a folder"),
    "npz: a loop of links": ("dsprites", DSPRITES_FILE, loop_of_links, "cannot be read"),
    "npz: other bytes in the middle": ("dsprites", DSPRITES_FILE, flipped, "cannot be read"),
    "npz: encrypted": ("dsprites", DSPRITES_FILE, encrypted, "cannot be read"),
    "npz: a page of the web": ("dsprites", DSPRITES_FILE, replaced(b"<html>404</html>" * 99), "cannot be read as .npz"),
    "npz: no images": ("dsprites", DSPRITES_FILE, without("imgs"), "has no array imgs; it has latents_classes"),
    "npz: no classes": ("dsprites", DSPRITES_FILE, without("latents_classes"), "has no array latents_classes"),
    "npz: no values": ("dsprites", DSPRITES_FILE, without("latents_values"), "has no array latents_values"),
    "npz: reals": ("dsprites", DSPRITES_FILE, dsprites(imgs=np.zeros((144, 64, 64))), "imgs is float64 of 144×64×64"),
    "npz: signed": ("dsprites", DSPRITES_FILE, dsprites(imgs=np.zeros((144, 64, 64), "i1")), "imgs is int8"),
    "npz: smaller images": ("dsprites", DSPRITES_FILE, dsprites(imgs=draw(144, 32, 32)), "expected uint8 of 144×64×64"),
    "npz: fewer images": ("dsprites", DSPRITES_FILE, dsprites(imgs=draw(100, 64, 64)), "imgs is uint8 of 100×64×64"),
    "npz: one axis": ("dsprites", DSPRITES_FILE, dsprites(imgs=draw(144 * 4096)), "imgs is uint8 of 589824"),
    "npz: columns first": (
        "dsprites", DSPRITES_FILE, dsprites(imgs=np.asfortranarray(draw(144, 64, 64, top=2))), "stored column by column"
    ),
    "npz: objects": (
        "dsprites", DSPRITES_FILE, dsprites(imgs=np.full((2, 2), None, dtype=object)), "holds objects of Python"
    ),
    "npz: a pixel of 7": ("dsprites", DSPRITES_FILE, arrays_with(at("imgs", (100, 3, 4), 7)), "imgs holds 7"),
    "npz: factors swapped": ("dsprites", DSPRITES_FILE, arrays_with(swapped), "column 1 of latents_classes"),
    "npz: another order": ("dsprites", DSPRITES_FILE, arrays_with(shuffled), "is not the grid of 1×3×2×4×3×2"),
    "npz: a class out of range": (
        "dsprites", DSPRITES_FILE, arrays_with(at("latents_classes", (5, 2), 9)), "from 0 to 9, not to 1"
    ),
    "npz: a class below 0": (
        "dsprites", DSPRITES_FILE, arrays_with(at("latents_classes", (5, 2), -1)), "from -1 to 1"
    ),
    "npz: a class that is no number": (
        "dsprites", DSPRITES_FILE, arrays_with(at("latents_values", (5, 2), np.nan)), "latents_values holds NaN"
    ),
    "npz: an infinite value": (
        "dsprites", DSPRITES_FILE, arrays_with(at("latents_values", (0, 0), np.inf)), "latents_values holds NaN or inf"
    ),
    "npz: a stand-in": ("dsprites", DSPRITES_FILE, dsprites(metadata=STANDING_IN), "is a stand-in"),
    "npz: 10^12 numbers": ("dsprites", DSPRITES_FILE, dsprites(imgs=headed((10**6, 1000, 1000))), "1,000,000,000,000"),
    "npz: 10^30 numbers": ("dsprites", DSPRITES_FILE, dsprites(imgs=headed((10**10, 10**10, 10**10))), "imgs has 0"),
    "npz: a header of letters": ("dsprites", DSPRITES_FILE, dsprites(imgs=b"\x93NUMPY\x01\x00\x05\x00hello"), "imgs"),
    "npz: a header that is code": (
        "dsprites", DSPRITES_FILE, dsprites(imgs=headed("__import__('os').getpid()")), "imgs cannot be read"
    ),
    "npz: no header": ("dsprites", DSPRITES_FILE, dsprites(imgs=b""), "imgs cannot be read"),
    "npz: mpi3d in grey": ("mpi3d", MPI3D_FILE, lambda p: npz(p, images=draw(960, 64, 64, 1)), "960×64×64×1"),
    "npz: mpi3d of another count": ("mpi3d", MPI3D_FILE, lambda p: npz(p, images=draw(90, 64, 64, 3)), "90×64×64×3"),
    "npz: mpi3d under another key": ("mpi3d", MPI3D_FILE, lambda p: npz(p, imgs=draw(9, 4)), "it has imgs"),
    "h5: not there": ("shapes3d", SHAPES3D_FILE, Path.unlink, "No such file"),
    "h5: no bytes": ("shapes3d", SHAPES3D_FILE, replaced(b""), "cannot be read as HDF5"),
    "h5: half": ("shapes3d", SHAPES3D_FILE, cut(0.5), "cannot be read as HDF5"),
    "h5: a folder": ("shapes3d", SHAPES3D_FILE, folder_instead, "No such file|is a folder"),
    "h5: a loop of links": ("shapes3d", SHAPES3D_FILE, loop_of_links, "cannot be read"),
    "h5: a chunk lost": ("shapes3d", SHAPES3D_FILE, chunk_lost, "rows of images cannot be read"),
    "h5: no images": ("shapes3d", SHAPES3D_FILE, without("images", shapes3d_arrays, hdf5), "it has labels"),
    "h5: no labels": ("shapes3d", SHAPES3D_FILE, without("labels", shapes3d_arrays, hdf5), "has no data set labels"),
    "h5: reals": ("shapes3d", SHAPES3D_FILE, shapes3d(images=np.zeros((288, 64, 64, 3), "f4")), "images is float32"),
    "h5: channels first": ("shapes3d", SHAPES3D_FILE, shapes3d(images=draw(288, 3, 64, 64)), "288×3×64×64"),
    "h5: text": ("shapes3d", SHAPES3D_FILE, shapes3d(labels=np.array([[b"a"] * 6] * 288)), r"labels is \|S1"),
    "h5: a label of NaN": (
        "shapes3d", SHAPES3D_FILE, arrays_with(at("labels", (7, 3), np.nan), shapes3d_arrays, hdf5), "labels holds NaN"
    ),
    "h5: a label of its own": (
        "shapes3d", SHAPES3D_FILE, arrays_with(at("labels", (7, 3), 0.5), shapes3d_arrays, hdf5), "column 3 of labels"
    ),
    "h5: labels in another order": (
        "shapes3d", SHAPES3D_FILE, shapes3d(labels=shapes3d_arrays()["labels"][::-1]), "labels is not the grid"
    ),
    "h5: a link in a circle": ("shapes3d", SHAPES3D_FILE, link_inside, "has no data set images"),
    "h5: declared, not there": ("shapes3d", SHAPES3D_FILE, declared_only, "declared but holds nothing"),
    "h5: half written": ("shapes3d", SHAPES3D_FILE, half_written, "images was not written to its end, 2 of 36 chunks"),
    "h5: a link to no file": ("shapes3d", SHAPES3D_FILE, link_outside, "no data set images, but a group or link of"),
    "h5: 10^12 numbers": ("shapes3d", SHAPES3D_FILE, bomb, "holds nothing|100000000×64×64×3"),
    "h5: a stand-in": ("shapes3d", SHAPES3D_FILE, marked, "is a stand-in"),
    "mat: one missing": ("cars3d", CAR, Path.unlink, "there are 3 files"),
    "mat: no bytes": ("cars3d", CAR, replaced(b""), "cannot be read as a file of MATLAB"),
    "mat: half": ("cars3d", CAR, cut(0.5), "cannot be read as a file of MATLAB"),
    "mat: other bytes in the middle": ("cars3d", CAR, flipped, "cannot be read as a file of MATLAB"),
    "mat: another format": ("cars3d", CAR, lambda p: hdf5(p, im=IM), "cannot be read as a file of MATLAB"),
    "mat: a folder": ("cars3d", CAR, folder_instead, "cannot be read as a file of MATLAB"),
    "mat: a loop of links": ("cars3d", CAR, loop_of_links, "cannot be read"),
    "mat: another key": ("cars3d", CAR, as_mat(pictures=IM), "has no array im; it has pictures"),
    "mat: fewer sides": ("cars3d", CAR, as_mat(im=IM[:, :, :, 1:]), "im is 128×128×3×2×2"),
    "mat: smaller pictures": ("cars3d", CAR, as_mat(im=IM[:32, :32]), "im is 32×32×3×3×2"),
    "mat: reals": ("cars3d", CAR, as_mat(im=IM / 255), "im holds float64"),
    "mat: a single number": ("cars3d", CAR, as_mat(im=3), "im is 1×1"),
    "norb: no bytes": ("smallnorb", DAT, replaced(b""), "less than the header"),
    "norb: half": ("smallnorb", DAT, cut(0.5), "bytes where its header says"),
    "norb: one byte more": ("smallnorb", DAT, matrix("dat", lambda a: norb(a) + b"0"), "bytes where its header says"),
    "norb: still packed": ("smallnorb", DAT, replaced(b"\x1f\x8b\x08\x00" + bytes(99)), "gzipped; unpack it"),
    "norb: another format": ("smallnorb", DAT, replaced(b"MATLAB 5.0 MAT-file" + bytes(99)), "is no matrix of NORB"),
    "norb: a thousand dimensions": (
        "smallnorb", DAT, replaced(struct.pack("<12i", 0x1E3D4C55, 1000, *[9] * 10)), "has 1000 dimensions"
    ),
    "norb: 10^12 numbers": (
        "smallnorb", DAT, replaced(struct.pack("<6i", 0x1E3D4C55, 4, *[1000] * 4) + bytes(99)), "1,000,000,000,024"
    ),
    "norb: below none": (
        "smallnorb", DAT, replaced(struct.pack("<6i", 0x1E3D4C55, 4, 9, 2, -96, 96) + bytes(99)), "has 4 dimensions"
    ),
    "norb: one camera": ("smallnorb", DAT, matrix("dat", lambda a: a[:, :1]), "expected uint8 of 48×2×96×96"),
    "norb: images for labels": ("smallnorb", CAT, matrix("dat", lambda a: a), "expected int32 of 48"),
    "norb: fewer labels": ("smallnorb", INFO, matrix("info", lambda a: a[1:]), "expected int32 of 48×4"),
    "norb: a category too many": ("smallnorb", CAT, matrix("cat", lambda a: other(a, 3, 7)), "category goes from 0"),
    "norb: a toy below 0": ("smallnorb", INFO, matrix("info", lambda a: other(a, (3, 0), -5)), "instance goes from -5"),
    "norb: one toy twice": ("smallnorb", INFO, matrix("info", lambda a: other(a, 3, a[4])), "not every combination"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def everything(folder):
    return sorted(str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file())


def damaged(folder, name, file, damage, monkeypatch):
    small(monkeypatch, name)
    put(folder, name)
    damage(folder / file)
    return everything(folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_gets_one_sentence_and_nothing_is_written(damage, folder, monkeypatch, capsys):
    name, file, do, said = DAMAGES[damage]
    before = damaged(folder, name, file, do, monkeypatch)
    with pytest.raises(DataError, match=said) as caught:
        registry.dataset(name, data_dir=str(folder))
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence[-1] in ".?" and len(sentence) < 500
    assert Path(file).name in sentence or "small_norb/" in sentence or "cars/" in sentence
    assert everything(folder) == before
    with pytest.raises(SystemExit) as stop:
        main(["data", "verify", name, "--data-dir", str(folder)])
    told = capsys.readouterr()
    assert stop.value.code == 2 and "Traceback" not in told.err and everything(folder) == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(3))
def test_a_file_cut_anywhere_is_refused(name, seed, folder, monkeypatch):
    share = np.random.default_rng(seed).uniform(0, 0.98)
    before = damaged(folder, name, FILES[name], cut(share), monkeypatch)
    with pytest.raises(DataError):
        registry.dataset(name, data_dir=str(folder))
    assert everything(folder) == before


PICTURES = {
    "not there": (Path.unlink, "there is no .*scream.jpg"),
    "no bytes": (replaced(b""), "cannot be read as a picture"),
    "cut": (cut(0.3), "cannot be read as a picture"),
    "no picture": (replaced(b"text"), "cannot be read as a picture"),
    "a folder": (folder_instead, "cannot be read as a picture"),
}


@pytest.mark.parametrize("damage", PICTURES)
def test_a_damaged_picture_gets_one_sentence(damage, folder, monkeypatch):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites"), scream(folder)
    do, said = PICTURES[damage]
    do(folder / "scream/scream.jpg")
    with pytest.raises(DataError, match=said) as caught:
        registry.dataset("scream_dsprites", data_dir=str(folder))
    assert "\n" not in str(caught.value)
    assert registry.missing_files("scream_dsprites", data_dir=str(folder)) or damage == "cut"


def test_a_picture_that_is_too_small_is_named(folder, monkeypatch):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites"), scream(folder, size=(60, 200))
    with pytest.raises(DataError, match=r"must be RGB and larger than 64×64"):
        registry.dataset("scream_dsprites", data_dir=str(folder))


def test_a_file_may_be_packed_in_any_way(folder, monkeypatch):
    small(monkeypatch, "dsprites")
    put(folder, "dsprites")
    first = registry.dataset("dsprites", data_dir=str(folder)).hash
    path = folder / DSPRITES_FILE
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as plain:
        for name, content in members.items():
            plain.writestr(name, content)
    assert registry.dataset("dsprites", data_dir=str(folder)).hash == first
