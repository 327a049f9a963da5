"""IDX files: what is written is read, plain and gzipped; what is bad is one sentence, without work or memory for it."""

import gzip
import hashlib
import os
import struct
import tracemalloc

import numpy as np
import pytest
from small_data import idx

from rdu_bench.data import DataError, read_idx
from rdu_bench.data.idx import MOST, idx_hash

X = np.random.default_rng(3).integers(0, 256, (40, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(0,), (7,), (3, 5), (1, 1, 1), (40, 28, 28), (2, 3, 4, 5)])
@pytest.mark.parametrize("level", [None, 0, 1, 9])
def test_what_is_written_is_read(shape, level, tmp_path):
    array = np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)
    packed = idx(array) if level is None else gzip.compress(idx(array), level)
    (tmp_path / "x").write_bytes(packed)  # packed or not is told by the content, not by the name
    found = read_idx(tmp_path / "x", (None,) * len(shape))
    assert found.dtype == np.uint8 and np.array_equal(found, array) and found.shape == shape
    assert np.array_equal(read_idx(tmp_path / "x", shape), array)


def test_what_is_packed_in_parts_is_read(tmp_path):
    whole = idx(X)
    parts = [whole[:3], whole[3:16], b"", whole[16:999], whole[999:]]
    (tmp_path / "x.gz").write_bytes(b"".join(map(gzip.compress, parts)))
    assert np.array_equal(read_idx(tmp_path / "x.gz", (None, 28, 28)), X)


def test_the_hash_is_that_of_the_unpacked_file():
    assert idx_hash(X) == hashlib.sha256(idx(X)).hexdigest()
    assert idx_hash(X[:, :, ::2]) == hashlib.sha256(idx(X[:, :, ::2])).hexdigest()


def header(*shape, kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


FAULTS = {
    "x is empty": b"",
    "is truncated: 3 bytes do not even hold the header of 16": b"\0\0\x08",
    "is truncated: 10 bytes do not even hold the header of 16": idx(X)[:10],
    "is truncated: 31375 bytes where its header says 31376": idx(X)[:-1],
    "is too long: 31377 bytes where its header says 31376": idx(X) + b"0",
    "starts with 89504e47, not with 00000803: it is no IDX file": b"\x89PNG" + bytes(100),
    "starts with 3c21444f, not with 00000803": b"<!DOCTYPE html><title>404</title>",
    "of IDX type 0x0d; expected unsigned bytes": idx(X, kind=13),
    "has 1 dimensions; expected 3: are images and labels mixed up": idx(np.arange(100)),
    "holds examples of 28×27 numbers; expected 28×28": idx(X[:, :, :27]),
    "is truncated: 31376 bytes where its header says 3367254359296": header(2**32 - 1, 28, 28) + bytes(31360),
    "does not unpack .*ended before": gzip.compress(idx(X))[:200],
    "does not unpack .*ended before the": b"\x1f\x8b" + bytes([8, 0]),
    "does not unpack .*CRC": gzip.compress(idx(X))[:-8] + b"12345678",
    "does not unpack .*Incorrect length": gzip.compress(idx(X))[:-4] + b"1234",
    "does not unpack .*": b"\x1f\x8b" + bytes(50),
    "does not unpack .*Not a gzipped file": gzip.compress(idx(X)) + b"more",
    "does not unpack .*invalid": gzip.compress(idx(X))[:10] + b"\xff" * 100,
    "its header says 3,367,254,359,296 bytes, more than": gzip.compress(header(2**32 - 1, 28, 28) + bytes(1000)),
    "is truncated: 1016 bytes where its header says 31376": gzip.compress(idx(X)[:1016], 0),
    "is too long: its header says 31376 bytes, and more follow": gzip.compress(idx(X) + bytes(2**20)),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_bad_file_gets_one_sentence(message, tmp_path):
    (tmp_path / "x").write_bytes(FAULTS[message])
    with pytest.raises(DataError, match=message) as caught:
        read_idx(tmp_path / "x", (None, 28, 28))
    said = str(caught.value)
    assert "\n" not in said and said[-1] in ".?" and str(tmp_path / "x") in said


def test_a_name_that_says_gzip_is_held_to_it(tmp_path):
    (tmp_path / "x.gz").write_bytes(idx(X))
    with pytest.raises(DataError, match=r"named .gz but is not gzipped; .* rename it"):
        read_idx(tmp_path / "x.gz", (None, 28, 28))


def test_a_bomb_is_not_unpacked_nor_a_header_believed(tmp_path):
    """64 MiB of zeros behind a header of 40 images; and headers of more than is there, packed and plain."""
    bomb = header(40, 28, 28) + bytes(2**26)
    (tmp_path / "bomb").write_bytes(gzip.compress(bomb, 1))
    (tmp_path / "packed").write_bytes(gzip.compress(header(300_000, 28, 28) + bytes(100), 0))
    (tmp_path / "plain").write_bytes(header(2**20, 28, 28))
    tracemalloc.start()
    try:
        for name in ("bomb", "packed", "plain"):
            with pytest.raises(DataError):
                read_idx(tmp_path / name, (None, 28, 28))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_more_than_memory_is_for_is_refused_though_it_is_there(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.write(header(MOST + 1))
        file.truncate(8 + MOST + 1)  # takes no room on most file systems
    with pytest.raises(DataError, match="holds 1,073,741,825 numbers; at most 1,073,741,824"):
        read_idx(tmp_path / "x", (None,))


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are posix")
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    said = {"folder": "is a folder", "pipe": "is no file", "loop": "Too many levels of symbolic links"}
    for name, words in {**said, "nowhere": "No such file", "gone": "No such file"}.items():
        with pytest.raises(DataError, match=words):
            read_idx(tmp_path / name, (None,))
