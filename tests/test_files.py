"""Files are written whole or not at all."""

import os
import stat

import pytest

from rdu_bench import _files


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_umask_is_honoured(tmp_path):
    old = os.umask(0o077)
    try:
        _files.write(tmp_path / "a.txt", "ä")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600
    assert (tmp_path / "a.txt").read_bytes() == "ä".encode()


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_it_leaves_what_was_there(tmp_path, end):
    path = tmp_path / "a.txt"
    _files.write(path, "before")
    with pytest.raises(end), _files.replacing(path) as file:
        file.write(b"after")
        raise end
    assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]


def test_a_folder_that_cannot_be_synced_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError("this file system cannot")

    monkeypatch.setattr(os, "fsync", refuse)
    _files.write(tmp_path / "deep" / "a.txt", b"whole")
    assert (tmp_path / "deep" / "a.txt").read_bytes() == b"whole"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "else").write_text("theirs")
    (tmp_path / "a.txt").symlink_to(tmp_path / "else")
    _files.write(tmp_path / "a.txt", "ours")
    assert (tmp_path / "else").read_text() == "theirs" and not (tmp_path / "a.txt").is_symlink()


def test_trouble_names_the_file(tmp_path):
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(_files.WriteError, match=r"taken/a\.txt"):
        _files.write(tmp_path / "taken" / "a.txt", "")


def test_text_that_utf8_cannot_say_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        _files.write(tmp_path / "a.txt", "\ud800")
    assert names(tmp_path) == []


def test_long_names_have_room_for_their_part(tmp_path):
    _files.write(tmp_path / ("x" * 250), "")
    assert names(tmp_path) == ["x" * 250]


def test_only_old_parts_are_swept(tmp_path):
    for name, age in (("old", 2 * _files.STALE), ("new", 0)):
        path = tmp_path / f".{name}{_files.PART}"
        path.write_text("")
        os.utime(path, (path.stat().st_atime - age,) * 2)
    _files.sweep(tmp_path)
    assert names(tmp_path) == [".new.part"]


def test_what_is_written_can_be_read_before_it_is_there(tmp_path):
    """HDF5 reads of a large file what it has put away."""
    with _files.replacing(tmp_path / "x") as file:
        file.write(b"abc")
        file.seek(1)
        assert file.read() == b"bc" and not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == b"abc"


@pytest.mark.parametrize("name", ["字" * 83 + ".zip", "é" * 125, "x" * 255, "x" + "字" * 84])
def test_every_name_that_a_file_system_takes_can_be_written(tmp_path, name):
    _files.write(tmp_path / name, "whole")
    assert (tmp_path / name).read_text() == "whole" and names(tmp_path) == [name]
