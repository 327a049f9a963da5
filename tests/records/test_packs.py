"""Both forms of an archive hold the same, and neither is read when it would lead out of itself or never end."""

import io
import lzma
import shutil
import tarfile
import zipfile
from contextlib import nullcontext

import pytest

from rdu_bench.cli.options import folders
from rdu_bench.records import packs
from rdu_bench.records.archive import write_archive
from rdu_bench.records.packs import ArchiveError, check_archive, names
from rdu_bench.records.raw import read_ends, read_file
from rdu_bench.records.schema import Damaged

FORMS = ["bad.zip", "bad.tar.xz"]
FILES = [("records/a/é.json", b"{}\n"), (f"records/{'x' * 100}/{'y' * 100}.json", b"z" * 9000)]


@pytest.fixture(params=FORMS)
def place(request, tmp_path):
    return tmp_path / request.param


def put(place, name, content=b"x", **about):
    """An archive of one file, as no `publish` writes it."""
    if place.suffix == ".zip":
        info = zipfile.ZipInfo(name)
        info.external_attr = about.get("mode", 0) << 16
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(info, content)
        return
    with tarfile.open(place, "w:xz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        info.type = about.get("type", tarfile.REGTYPE)
        info.linkname = content.decode("latin1") if "type" in about else ""
        archive.addfile(info, None if "type" in about else io.BytesIO(content))


def test_what_was_put_in_comes_out(place):
    hashes = write_archive(place, FILES)
    assert [*hashes] == names(place) == [name for name, _ in FILES]
    for name, content in FILES:
        assert read_file(place / name) == content and read_ends(place / name)[0] == content[:4096]
        assert packs.has(place / name)
    assert not packs.has(place / "records/b.json")
    with pytest.raises(Damaged, match="has 9000 bytes"):
        read_file(place / FILES[1][0], limit=8999)
    with pytest.raises(Damaged, match="cannot be read from"):
        read_file(place / "records/b.json")
    check_archive(place)
    assert folders([place]) == [place]


def test_equal_files_make_equal_archives(place):
    again = place.with_name(f"again-{place.name}")
    assert write_archive(place, FILES) == write_archive(again, FILES) and place.read_bytes() == again.read_bytes()


def test_other_programs_open_it(place, tmp_path):
    write_archive(place, FILES)
    shutil.unpack_archive(place, tmp_path / "to", **({} if place.suffix == ".zip" else {"filter": "data"}))
    assert (tmp_path / "to" / FILES[0][0]).read_bytes() == FILES[0][1]


@pytest.mark.parametrize("name", ["../out.py", "/etc/x", "a/../../x", "C:/x", "..\\x", "records/\x1b[31m.json"])
def test_one_whose_names_lead_out_of_it_is_refused(place, name):
    put(place, name)
    with pytest.raises(ArchiveError, match="leads out of it"):
        check_archive(place)


def test_one_that_holds_a_link_is_refused(place):
    put(place, "plugins/models/x.py", b"/etc/passwd", mode=0o120777, type=tarfile.SYMTYPE)
    with pytest.raises(ArchiveError, match="is a link"):
        check_archive(place)
    with pytest.raises(Damaged) if place.suffix == ".xz" else nullcontext():
        assert read_file(place / "plugins/models/x.py") == b"/etc/passwd"  # words, and nothing that they lead to


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_tar_with_anything_but_files_is_refused(tmp_path, kind):
    place = tmp_path / "bad.tar.xz"
    with tarfile.open(place, "w:xz", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("records/x.json")
        info.type, info.linkname = kind, "etc"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="no regular file"):
        check_archive(place)
    assert names(place) == []


def test_one_that_unpacks_to_too_much_is_refused(place, monkeypatch):
    put(place, "records/x.json", b" " * 10**6)
    check_archive(place)
    packs._opened.cache_clear()
    monkeypatch.setattr(packs, "UNPACKED", 10**6 - 1)
    monkeypatch.setattr(packs, "WHOLE", 10**6 - 1)
    with pytest.raises(ArchiveError, match="more than any run"):
        check_archive(place)


def test_a_tar_whose_header_never_ends_is_read_no_further_than_any_run(tmp_path, monkeypatch):
    place = tmp_path / "bad.tar.xz"
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.XHDTYPE, 8 * 10**9  # which tarfile would take into memory
    place.write_bytes(lzma.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(10**6)))
    monkeypatch.setattr(packs, "WHOLE", 10**5)
    with pytest.raises(ArchiveError, match="more than any run"):
        check_archive(place)


def test_one_with_two_files_of_a_name_is_refused(place):
    with pytest.warns(UserWarning) if place.suffix == ".zip" else nullcontext():
        write_archive(place, [("a", b"1"), ("a", b"2")])
    with pytest.raises(ArchiveError, match="two files of one name"):
        check_archive(place)


def test_the_name_that_is_there_twice_is_told_however_many_others_there_are(place):
    with pytest.warns(UserWarning) if place.suffix == ".zip" else nullcontext():
        write_archive(place, [*((f"{i}", b"") for i in range(200)), ("last", b"1"), ("last", b"2")])
    with pytest.raises(ArchiveError, match="two files of one name, 'last'"):
        check_archive(place)


def test_one_file_is_looked_up_without_a_list_of_all(place, monkeypatch):
    write_archive(place, FILES)
    monkeypatch.setattr(packs, "names", lambda archive: pytest.fail("a list of all names, for one of them"))
    assert packs.has(place / FILES[0][0]) and not packs.has(place / "records/b.json")


@pytest.mark.parametrize("keep", [0, 7, 40, 200, -1])
def test_one_that_is_cut_off_or_no_archive_is_refused(place, keep):
    write_archive(place, FILES)
    place.write_bytes(place.read_bytes()[:keep])
    with pytest.raises(ArchiveError, match="cannot be read"):
        check_archive(place)
    assert names(place) == [] and not packs.has(place / FILES[0][0])
    place.write_text("no archive")
    with pytest.raises(ArchiveError, match="cannot be read"):
        check_archive(place)
