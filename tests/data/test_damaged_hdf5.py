"""Damaged and hostile HDF5 files: one sentence, exit code 2, nothing written, and nothing large ever allocated."""

import os
import re
import resource

import h5py
import numpy as np
import pytest
from hdf5_files import BITS, DRAW, LABELS, N, put

from rdu_bench import registry
from rdu_bench.data import DataError

LARGE = 10**12
SUITE = """
models = ["vae"]
budget = "smoke"
[[datasets]]
name = "hdf5"
params = {{ file = "a.h5"{params} }}
hidden = [16]
sigmas = [3]
"""
REAL = DRAW.random((N, 4, 5)).astype(np.float32)


def whole(**more):
    return lambda path: put(path, **{"x": BITS, "y": LABELS, **more})


def edited(change, **contents):
    def make(path):
        put(path, **(contents or {"x": BITS, "y": LABELS}))
        with h5py.File(path, "a") as file:
            change(file)

    return make


def cut(share):
    def make(path):
        put(path, x={"data": BITS, "chunks": (7, 4, 5), "compression": "gzip"}, y=LABELS)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def flipped(path):
    """A compressed chunk of x that does not unpack."""
    put(
        path,
        x={"data": DRAW.integers(0, 256, (N, 40)).astype(np.uint8), "chunks": (N, 40), "compression": "gzip"},
        y=LABELS,
    )
    with h5py.File(path) as file:
        at = file["x"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[at.byte_offset + 20 : at.byte_offset + 60] = bytes(40)
    path.write_bytes(content)


def virtual(name):
    def make(path):
        put(path.with_name("part.h5"), x=BITS)
        layout = h5py.VirtualLayout(shape=BITS.shape, dtype=np.uint8)
        layout[:] = h5py.VirtualSource(name, "x", shape=BITS.shape)
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("x", layout)
            file["y"] = LABELS

    return make


def outside(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", BITS.shape, np.uint8, external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
        file["y"] = LABELS


def half_written(path):
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", BITS.shape, np.uint8, chunks=(10, 4, 5))
        x[:30] = BITS[:30]
        file["y"] = LABELS


def replaced(value, key="x"):
    def change(file):
        del file[key]
        file[key] = value

    return change


RECORDS = np.zeros(N, [("a", int), ("b", float)])
NAN = np.where(np.arange(N)[:, None, None] == 17, np.nan, REAL)
HUGE = {"shape": (LARGE, 10), "dtype": np.uint8, "chunks": (1000, 10)}

# how it is made, further parameters in TOML, words of the sentence
CASES = {
    "no bytes": (lambda path: path.write_bytes(b""), "", "is empty"),
    "text": (lambda path: path.write_text("hello"), "", "is no HDF5 file"),
    "a signature alone": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "", "cannot be read as HDF5"),
    "a signature and zeros": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(5000)),
        "",
        "cannot be read as",
    ),
    **{f"cut at {share}": (cut(share), "", "a.h5") for share in (0.02, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999)},
    "a folder": (lambda path: path.mkdir(), "", "is a folder"),
    "a fifo": (os.mkfifo, "", "no regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "", "cannot be read: Too many levels of symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "", "cannot be read: No such file"),
    "a chunk that does not unpack": (flipped, ", x = 'x'", "x cannot be read from row 0 on"),
    "no data set": (lambda path: h5py.File(path, "w").close(), "", "there is no data set in it"),
    "nothing with two dimensions": (whole(x=LABELS), "", "nothing can be x, .* there are x 60 int64, y 60 int64"),
    "two that may be x": (whole(data=BITS), "", "x may be data or x; name it, as in x = 'data'"),
    "an x that is not there": (whole(), ", x = 'imgs'", "there is no imgs, which is to be x; there are x 60×4×5 uint8"),
    "a vector for x": (whole(), ", x = 'y'", r"y has shape \(60,\) of int64; x is \(N, …\)"),
    "a group for x": (edited(lambda f: f.create_group("g")), ", x = 'g'", "g is a group, not a data set"),
    "a value for x": (whole(x=3.0), ", x = 'x'", "x, which is to be x, has no rows"),
    "an empty space for x": (whole(x=h5py.Empty("f")), ", x = 'x'", "has no rows"),
    "an empty axis": (whole(x=np.zeros((60, 0, 5), np.uint8)), ", x = 'x'", "x, .* is empty: its shape is 60×0×5"),
    "no rows": (whole(x=BITS[:0], y=LABELS[:0]), ", x = 'x'", "is empty: its shape is 0×4×5"),
    "records": (whole(x=RECORDS[:, None]), ", x = 'x'", "it must hold numbers"),
    "complex numbers": (whole(x=BITS * 1j), ", x = 'x'", "holds complex128; it must hold numbers"),
    "texts of any length": (whole(x=np.array([["a"]] * N, object)), ", x = 'x'", "holds object"),
    "rows of any length": (
        edited(lambda f: f.create_dataset("v", (N, 2), h5py.vlen_dtype(np.int64))),
        ", x = 'v'",
        "holds object; it must hold numbers|not written to its end|never written",
    ),
    "references": (edited(lambda f: f.create_dataset("r", (N, 2), h5py.ref_dtype)), ", x = 'r'", "a.h5: r,"),
    "NaN": (whole(x=NAN), "", "x holds NaN or infinity, first in row 17"),
    "infinity": (whole(x=np.where(np.isnan(NAN), -np.inf, NAN)), "", "NaN or infinity, first in row 17"),
    "more than float32 holds": (whole(x=REAL.astype(float) * 1e60), "", "which float32 cannot hold"),
    "grey for a Bernoulli": (whole(x=REAL), ", likelihood = 'bernoulli'", "takes 0 and 1 only"),
    "a link in a circle": (
        edited(lambda f: (replaced(h5py.SoftLink("/z"))(f), f.__setitem__("z", h5py.SoftLink("/x")))),
        ", x = 'x'",
        "x is a link to /z, which leads nowhere",
    ),
    "a link to no key": (edited(replaced(h5py.SoftLink("/gone"))), ", x = 'x'", "a link to /gone, which leads nowhere"),
    "a link to no file": (
        edited(replaced(h5py.ExternalLink("gone.h5", "/x"))),
        ", x = 'x'",
        "a link to x in gone.h5, which is not there|a link to /x in gone.h5",
    ),
    "a link to another file": (
        lambda path: (put(path.with_name("b.h5"), x=BITS), edited(replaced(h5py.ExternalLink("b.h5", "/x")))(path)),
        ", x = 'x'",
        "name that file, or copy it",
    ),
    "virtual with nothing behind": (virtual("gone.h5"), "", "of which gone.h5 is missing"),
    "virtual": (virtual("part.h5"), "", r"in other files \(part.h5\); copy them"),
    "numbers in another file": (outside, "", "are in raw.bin; copy them"),
    "10¹² numbers": (lambda path: put(path, x=HUGE, y=LABELS), "", "has 1,000,000,000,000 rows"),
    "10¹² numbers a row": (
        lambda path: put(path, x={"shape": (N, LARGE), "dtype": np.uint8, "chunks": (1, 1000)}, y=LABELS),
        "",
        "a row may have at most",
    ),
    "10¹² numbers in one piece": (
        lambda path: put(path, x={"shape": (10**7, 10**5), "dtype": np.uint8}, y=LABELS),
        "",
        "1,000,000,000,000 numbers that were never written",
    ),
    "10¹² labels": (
        whole(y={"shape": (LARGE,), "dtype": "i8", "chunks": (1000,)}),
        ", factors = { d = 'y' }",
        "rows; at m",
    ),
    "half written": (half_written, "", "was not written to its end: 3 of 6 chunks"),
    "chunks of gigabytes": (
        lambda path: put(path, x={"shape": (N, 10**7), "dtype": np.uint8, "chunks": (N, 10**7)}, y=LABELS),
        "",
        "in chunks of 600 MB",
    ),
    "too few": (whole(x=BITS[:3], y=LABELS[:3]), "", "3 examples are too few"),
    "channels that are not": (whole(), ", channels = 'last'", "has no channels"),
    "a factor that is not there": (
        whole(),
        ", factors = { digit = 'digits' }",
        "no digits, which is to be factor 'digit'",
    ),
    "a factor of another length": (
        whole(y=LABELS[:50]),
        ", factors = { d = 'y' }",
        "has 50 values for 60 examples in x",
    ),
    "a factor that never changes": (whole(y=0 * LABELS), ", factors = { d = 'y' }", "the same value everywhere, 0"),
    "a factor with a value a row": (
        whole(x=np.zeros((2000, 3), np.uint8), y=np.arange(2000)),
        ", factors = { d = 'y' }",
        "has 2,000 values",
    ),
    "NaN in a factor": (
        whole(y=np.where(LABELS == 0, np.nan, 1.0)),
        ", factors = { d = 'y' }",
        "no finite value for 20 of",
    ),
    "records in a factor": (whole(y=RECORDS), ", factors = { d = 'y' }", "it must hold whole numbers, floats or texts"),
    "a table for a factor": (whole(y=np.stack([LABELS] * 2, 1)), ", factors = { d = 'y' }", "as in 'y:0'"),
    "a column there is not": (whole(y=np.stack([LABELS] * 2, 1)), ", factors = { d = 'y:2' }", "has no column 2"),
    "x for a factor": (whole(), ", factors = { d = 'x' }", "must have one value"),
    "bytes that are no text": (whole(y=np.array([b"\xff\xfe", b"b"] * 30)), ", factors = { d = 'y' }", "no UTF-8 text"),
    "a task there is not": (whole(), ", task = ['digit']", "no factor 'digit'; there are y"),
    "sensitive and task in one": (whole(), ", task = ['y'], sensitive = 'y'", "a class that is not in task"),
    "a split there is not": (whole(), ", splits = 'split'", "no split, which is to be the split of each row"),
    "a split of other names": (whole(split=LABELS + 5), "", "holds '5'; it may hold train, val and test"),
    "a split of another length": (whole(split=LABELS[:9] % 2), "", "for 60 rows"),
    "a split without test": (whole(split=LABELS % 2), "", "leaves test without a row"),
    "rows there are not": (
        whole(i__train=np.arange(50), i__test=np.arange(50, 70)),
        ", x = 'x', splits = { train = 'i/train', test = 'i/test' }",
        "names row 60, but x has the rows 0 to 59",
    ),
    "rows below none": (
        whole(i__train=np.arange(50), i__test=np.arange(-5, 0)),
        ", x = 'x', splits = { train = 'i/train', test = 'i/test' }",
        "names row -5",
    ),
    "a row in two splits": (
        whole(i__train=np.arange(50), i__test=np.arange(49, 60)),
        ", x = 'x', splits = { train = 'i/train', test = 'i/test' }",
        "names a row that it or another part names too",
    ),
    "rows as reals": (
        whole(i__train=np.arange(50) * 1.0, i__test=np.arange(50, 60)),
        ", x = 'x', splits = { train = 'i/train', test = 'i/test' }",
        "must be a vector of row numbers",
    ),
    "groups of other shapes": (
        lambda path: put(path, train__x=BITS, train__y=LABELS, test__x=BITS[:, :3], test__y=LABELS),
        "",
        r"test/x has shape \(60, 3, 5\) of uint8, and train/x has \(60, 4, 5\)",
    ),
    "a group without labels": (
        lambda path: put(path, train__x=BITS, train__y=LABELS, test__x=BITS),
        "",
        "there is no test/y, which is to be factor 'y'",
    ),
    "one group for two parts": (
        lambda path: put(path, train__x=BITS, train__y=LABELS, test__y=LABELS),
        ", x = 'x', splits = { train = 'train', test = 'train' }",
        "train/x and train/x are one and the same; name another for each part",
    ),
    "one x in two groups": (
        edited(lambda f: f.__setitem__("test/x", f["train/x"]), train__x=BITS, train__y=LABELS, test__y=LABELS),
        "",
        "train/x and test/x are one and the same",
    ),
    "labels lying down": (whole(y=LABELS[None]), "", "y is 1×60, but x is 60×4×5: 60 examples, .* want 60 labels"),
    "examples last": (
        whole(x=np.moveaxis(BITS, 0, -1)),
        "",
        r"y is 60, but x is 4×5×60: 4 examples, .* store x as numpy\.moveaxis\(x, 2, 0\), or name the factors",
    ),
    "labels of fewer examples": (whole(y=LABELS[:20]), "", "y is 20, but x is 60×4×5"),
    "arrays of a train and a test set": (
        lambda path: put(path, x_train=BITS, x_test=BITS[:9]),
        "",
        r"x may be x_test or x_train; put .* groups, as in file\.move\('x_train', 'train/x'\), or name it",
    ),
    "a scale that leaves nothing": (
        whole(x=REAL),
        ", scale = 1e-45",
        r"holds 0\.\d+ at most, times scale 1e-45, .* for 0",
    ),
    "numbers far from 0": (
        whole(x=REAL.astype(float) + 1e8),
        "",
        "x goes from 100000000.* to 100000001.*, of which float32 tells few numbers apart; take away",
    ),
    "times of a day": (whole(x=1_700_000_000 + 600 * BITS.astype(int)), "", "of which float32 tells few numbers apart"),
    "numbers below what float32 holds": (
        whole(x=REAL.astype(float) * 1e-45),
        "",
        "which float32 takes for 0; set scale",
    ),
    "labels of which some are unknown": (
        whole(y=LABELS - 1),
        "",
        "factor 'y' is -1 in 20 rows, which stands for unknown; leave them out, or number the classes from 0",
    ),
    "labels of 1 and -1": (whole(y=LABELS % 2 * 2 - 1), "", "factor 'y' is -1 in 40 rows, which stands for unknown"),
    "unknown labels as texts": (whole(y=(LABELS - 1).astype("S")), "", "factor 'y' is -1 in 20 rows"),
    "a sensitive factor of which some are unknown": (
        whole(y=LABELS, s=LABELS - 1),
        ", sensitive = 's'",
        "factor 's' is -1 in 20 rows",
    ),
    "labels one-hot, of which some are unknown": (
        whole(y=np.eye(4, 3, -1, dtype=np.uint8)[LABELS]),
        "",
        r"y has a 1 in one column of a row, but none in 20 of 60 rows; leave these out, or name its columns, .*'y:0'",
    ),
    "a missing value as a whole number": (
        whole(y=LABELS, pose=np.where(LABELS, LABELS, np.iinfo(np.int64).min)),
        "",
        r"factor 'pose' \(pose\) holds -9223372036854775808, which a missing value becomes as int64; leave it out",
    ),
    "labels without a letter": (
        whole(y=np.array([b"", b"a", b"b"])[LABELS]),
        "",
        r"factor 'y' \(y\) holds '', as a missing value is written; leave out examples without a class",
    ),
    "labels as pandas writes missing ones": (
        whole(y=np.array([b"nan", b"a", b"b"])[LABELS]),
        "",
        "holds 'nan', as a missing value is written",
    ),
    "labels that differ in blanks": (
        whole(y=np.array([b"a", b"a ", b"b"])[LABELS]),
        "",
        "holds 'a' and 'a ', which differ in blanks alone; strip these",
    ),
    "texts without a letter": (
        whole(y=np.array([b""] * N)),
        ", factors = { d = 'y' }",
        "the same value everywhere, ''; leave it out",
    ),
    "gzipped": (
        lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(99)),
        "",
        "a.h5 is packed by gzip, .*; unpack it",
    ),
    "bzip2": (lambda path: path.write_bytes(b"BZh91AY" + bytes(99)), "", "is packed by bzip2"),
    "a picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "", "is a picture, not HDF5"),
    "an IDX file": (lambda path: path.write_bytes(b"\0\0\x08\x03" + bytes(99)), "", "is an IDX file, not HDF5"),
    "a name of two lines": (lambda path: put(path, **{"a\nb": BITS, "c": BITS}), "", "x may be a b or c"),
    "a split of NaN": (whole(split=np.full(N, np.nan)), "", "it must be a text or number for 60 rows"),
    "a split of two columns": (whole(split=np.zeros((N, 2), int)), "", "has 2 columns; name one of them"),
    "a train group of nothing": (
        edited(lambda f: f.create_group("train"), test__x=BITS),
        "",
        "nothing can be x, .* there are test/x 60×4×5 uint8",
    ),
    "a row named twice": (
        whole(a=np.array([1, 1, 2]), b=np.array([5])),
        ", x = 'x', factors = {}, splits = { train = 'a', test = 'b' }",
        "names a row that it or another part names too",
    ),
    "another content": (whole(), ", content = '0123456789abcdef'", "it is another file"),
}
PARAMETERS = {
    "file": ("", "name a file"),
    "x": (3, "x is 3; it must be a text"),
    "factors": ("labels", "a table of names and keys"),
    "task": ("digit", "a list of factors"),
    "likelihood": ("poisson", "auto or bernoulli or gaussian"),
    "noise": (-1.0, "a positive number"),
    "scale": (0, "a positive number"),
    "channels": ("middle", "auto or first or last"),
    "splits": ({"train": "a", "dev": "b"}, "a table of train, val and test"),
    "limit": (0, "limit is 0"),
    "data_dir": (4, "data_dir is 4"),
}


@pytest.fixture(autouse=True, scope="module")
def _within_bounds():
    """What is allocated from a header is refused memory."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_is_answered_in_a_sentence(case, tmp_path, command, monkeypatch):
    monkeypatch.setattr("rdu_bench.engine.run.execute", lambda *_, **__: pytest.fail("it was begun"))
    make, params, words = CASES[case]
    make(tmp_path / "a.h5")
    (tmp_path / "s.toml").write_text(SUITE.format(params=params), encoding="utf-8")
    before = tree(tmp_path)
    done = command("run", "--suite", "s.toml", cwd=tmp_path)
    assert done.returncode == 2, done
    assert re.search(words, done.stderr), done
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr and "a.h5" in done.stderr
    assert len(done.stderr) < 900 and done.stdout == ""
    assert tree(tmp_path) == before


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize(
    "line", [("run", "--suite", "smoke", "--dataset", "hdf5:a.h5"), ("data", "verify", "hdf5:a.h5")]
)
@pytest.mark.parametrize("case", ["no bytes", "cut at 0.6", "NaN", "10¹² numbers", "virtual with nothing behind"])
def test_every_door_says_the_same(case, line, tmp_path, command):
    make, _, words = CASES[case]
    make(tmp_path / "a.h5")
    before = tree(tmp_path)
    done = command(*line, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_cannot_be_is_named(name, tmp_path):
    value, words = PARAMETERS[name]
    put(tmp_path / "a.h5", x=BITS)
    with pytest.raises(DataError) as caught:
        registry.dataset("hdf5", **{"file": str(tmp_path / "a.h5"), name: value})
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="another user cannot be played")
def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    registry.load("datasets", "hdf5")
    path = put(tmp_path / "a.h5", x=BITS)
    path.chmod(0)
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match=r"a\.h5 cannot be read: Permission denied"):
            registry.dataset("hdf5", file=str(path))
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_random_damage_is_a_sentence_or_does_no_harm(tmp_path):
    """Bytes changed anywhere in the file: a DataError, or numbers that are still finite."""
    put(tmp_path / "a.h5", x={"data": BITS, "chunks": (7, 4, 5), "compression": "gzip"}, y=LABELS)
    content, draw = (tmp_path / "a.h5").read_bytes(), np.random.default_rng(1)
    refused = 0
    for i in range(60):
        changed = bytearray(content)
        at = draw.integers(0, min(len(content), 3000) - 4)
        changed[at : at + 4] = draw.bytes(4)
        path = tmp_path / f"{i}.h5"
        path.write_bytes(changed)
        try:
            registry.dataset("hdf5", file=str(path))
        except DataError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
    assert refused > 5
