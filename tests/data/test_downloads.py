"""Files that are fetched: from a server on this machine that is good, and bad in every way that servers are."""

import errno
import gzip
import hashlib
import io
import os
import re
import struct
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from rdu_bench import _files, registry
from rdu_bench.data import DataError, downloads, resuming
from rdu_bench.data.downloads import DownloadError, Wanted, get
from rdu_bench.data.resuming import Net

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
OTHER = bytes(len(CONTENT))
SOON = Net(timeout=0.1)


class Server(ThreadingHTTPServer):
    """Answers each path as `how` says, and remembers what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.how, self.woken = [], {}, threading.Event()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        span = self.headers.get("Range")
        self.server.asked.append((self.path[1:], span))
        self.server.how.get(self.path[1:], missing)(self, int(re.match(r"bytes=(\d+)-", span)[1]) if span else 0)

    def send(self, content, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


def missing(handler, start):
    handler.send(b"nothing here", 404)


def good(handler, start):
    if start >= len(CONTENT):
        return handler.send(b"", 416)
    span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    handler.send(CONTENT[start:], 206 if start else 200, **({"Content_Range": span} if start else {}))


def cut(handler, start):
    """Promises all and breaks off after another 100,000 bytes."""
    rest = CONTENT[start:]
    span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    extra = {"Content_Range": span} if start else {}
    handler.send(rest[:100_000], 206 if start else 200, length=len(rest), **extra)
    handler.close_connection = True


def deaf(handler, start):
    """Has not heard of ranges."""
    handler.send(CONTENT)


def silent(handler, start):
    """Sends a little and then nothing more."""
    handler.send(CONTENT[:1000], length=len(CONTENT))
    handler.wfile.flush()
    handler.server.woken.wait(2)


def wrong(handler, start):
    handler.send(OTHER[start:], 206 if start else 200, Content_Range=f"bytes {start}-")


def short(handler, start):
    handler.send(CONTENT[:-1])


def moved_range(handler, start):
    handler.send(CONTENT, 206 if start else 200, Content_Range="bytes 0-299999/300000")


def packed(content):
    return lambda handler, start: handler.send(content)


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.woken.set()
    made.shutdown()
    made.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch(good, …)` gets the file from a server for each way of answering, in turn."""

    def call(*ways, net=SOON, **wanted):
        for i, how in enumerate(ways):
            server.how[f"{i}.bin"] = how
        urls = tuple(server.url(f"{i}.bin") for i in range(len(ways)))
        how = {"path": "sub/a.bin", "hash": SHA256, "size": len(CONTENT), **wanted}
        return get(Wanted(urls=urls, **how), tmp_path, net)

    return call


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_a_file_is_fetched_whole_and_said_to_be(fetch, server, tmp_path):
    told = []
    found = fetch(good, net=Net(0.5, lambda done, total: told.append((done, total))))
    assert found.new and found.path.read_bytes() == CONTENT and tree(tmp_path) == ["sub/a.bin"]
    assert told[-1] == (len(CONTENT), len(CONTENT)) and [done for done, _ in told] == sorted(done for done, _ in told)
    assert found.path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    again = fetch(missing)
    assert not again.new and len(server.asked) == 1


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("known", ["hash", "size", "both"])
def test_an_md5_or_no_size_will_do(fetch, known):
    md5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
    assert fetch(good, **{"hash": {"hash": md5}, "size": {"size": 0}, "both": {"hash": md5, "size": 0}}[known]).new


def test_what_was_cut_off_goes_on_where_it_stopped(fetch, server, tmp_path):
    with pytest.raises(DownloadError, match=r"broke off.*the same command goes on from there") as caught:
        fetch(cut)
    assert "sub" in str(caught.value) and SHA256 in str(caught.value) and "0.bin" in str(caught.value)
    assert tree(tmp_path) == ["sub/.a.bin.partial"]
    assert (tmp_path / "sub/.a.bin.partial").read_bytes() == CONTENT[:100_000]
    assert fetch(good).path.read_bytes() == CONTENT
    assert server.asked[-1] == ("0.bin", "bytes=100000-") and tree(tmp_path) == ["sub/a.bin"]


def test_one_that_breaks_off_again_and_again_is_done_in_the_end(fetch, tmp_path):
    for _ in range(2):
        with pytest.raises(DownloadError):
            fetch(cut)
    assert fetch(cut).path.read_bytes() == CONTENT


def test_a_second_place_goes_on_with_what_the_first_sent(fetch, server, tmp_path):
    assert fetch(missing, cut, good).path.read_bytes() == CONTENT
    assert server.asked == [("0.bin", None), ("1.bin", None), ("2.bin", "bytes=100000-")]


def test_a_server_that_knows_no_ranges_sends_all(fetch, server):
    with pytest.raises(DownloadError):
        fetch(cut)
    assert fetch(deaf).path.read_bytes() == CONTENT and server.asked[-1][1] == "bytes=100000-"


def test_a_server_that_sends_another_range_is_asked_for_all(fetch, server):
    with pytest.raises(DownloadError):
        fetch(cut)
    assert fetch(moved_range).path.read_bytes() == CONTENT and server.asked[-1] == ("0.bin", None)


def test_a_part_that_is_wrong_is_thrown_away_and_all_is_fetched(fetch, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.a.bin.partial").write_bytes(OTHER[:5000])
    assert fetch(good).path.read_bytes() == CONTENT
    assert server.asked == [("0.bin", "bytes=5000-"), ("0.bin", None)] and tree(tmp_path) == ["sub/a.bin"]


@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_part_that_is_whole_is_used(size, fetch, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.a.bin.partial").write_bytes(CONTENT)
    assert fetch(good, size=size).path.read_bytes() == CONTENT
    assert len(server.asked) == (0 if size else 2)


def test_a_part_that_is_too_long_or_a_link_is_thrown_away(fetch, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.a.bin.partial").write_bytes(CONTENT + b"x")
    assert fetch(good).new and server.asked == [("0.bin", None)]
    (tmp_path / "sub/a.bin").unlink()
    (tmp_path / "precious").write_bytes(CONTENT[:10])
    (tmp_path / "sub/.a.bin.partial").symlink_to(tmp_path / "precious")
    assert fetch(good).new and (tmp_path / "precious").read_bytes() == CONTENT[:10]


WORDS = {
    missing: "answers 404",
    silent: "sent nothing for 0.1 s",
    wrong: "sent sha256:",
    short: r"would send 299,999 bytes, and 300,000 were published",
    cut: "broke off",
}


@pytest.mark.parametrize("how", WORDS, ids=lambda how: how.__name__)
def test_what_every_place_did_is_said_and_nothing_stands_under_the_name(how, fetch, tmp_path, server):
    began = time.monotonic()
    with pytest.raises(DownloadError, match=WORDS[how]) as caught:
        fetch(how, missing)
    said = str(caught.value)
    assert "\n" not in said and f"a.bin with {SHA256}" in said and str(tmp_path / "sub") in said
    assert server.url("0.bin") in said and server.url("1.bin") in said and "answers 404" in said
    assert set(tree(tmp_path)) <= {"sub/.a.bin.partial"} and time.monotonic() - began < 2


def test_no_place_that_answers_is_a_sentence(tmp_path):
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{closed.server_port}/a"
    closed.server_close()
    with pytest.raises(DownloadError, match=r"broke off .*refused"):
        get(Wanted("a.bin", (url,), SHA256), tmp_path, SOON)
    with pytest.raises(DownloadError, match="broke off"):
        get(Wanted("a.bin", ("http://nowhere.invalid/a",), SHA256), tmp_path, SOON)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1])
def test_more_than_was_published_is_not_taken(size, fetch):
    with pytest.raises(DownloadError, match=r"would send 300,000 bytes|sent sha256"):
        fetch(good, size=size, hash=SHA256[:-1] + "0" if not size else SHA256)


def test_without_a_published_hash_the_one_that_was_found_is_told_and_no_part_is_used(fetch, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.a.bin.partial").write_bytes(CONTENT[:10])
    found = fetch(good, hash="", size=0)
    assert found.sha256 == SHA256.removeprefix("sha256:") and server.asked == [("0.bin", None)]
    assert fetch(good, hash="", size=0) == found._replace(new=False)


# ---- the place -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [(OTHER, f"; {SHA256} was published; delete it"), (CONTENT[:-1], "has 299,999 bytes; 300,000")],
)
def test_another_file_in_the_place_is_left_alone(content, words, fetch, server, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.bin").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(words)):
        fetch(good)
    assert (tmp_path / "sub/a.bin").read_bytes() == content and server.asked == []


@pytest.mark.parametrize("kind", ["folder", "circle", "lost link"])
def test_what_is_no_file_in_the_place_is_named(kind, fetch, server, tmp_path):
    place = tmp_path / "sub/a.bin"
    place.parent.mkdir()
    if kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(place if kind == "circle" else "gone")
    words = {"folder": "is no regular file", "circle": "Too many levels", "lost link": "No such file"}[kind]
    with pytest.raises(DataError, match=words):
        fetch(good)
    assert server.asked == []


def test_a_file_where_the_folder_must_be_is_named(fetch, server, tmp_path):
    (tmp_path / "sub").write_text("")
    with pytest.raises(_files.WriteError, match=r"cannot write .*sub"):
        fetch(good)


def test_a_full_disk_is_a_sentence(fetch, tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    plain = resuming.Path.open
    monkeypatch.setattr(
        resuming.Path, "open", lambda self, mode="r": Full(self, "w") if "b" in mode else plain(self, mode)
    )
    with pytest.raises(_files.WriteError, match="No space left on device; free some space"):
        fetch(good)
    assert not (tmp_path / "sub/a.bin").exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(fetch, server, monkeypatch):
    usage = downloads.shutil.disk_usage("/")._replace(free=10**5)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="0 MB are needed and 0 MB are free"):
        fetch(good)
    assert server.asked == []


def test_a_folder_that_may_not_be_written_is_a_sentence(fetch, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(downloads.Path, "mkdir", refuse)
    with pytest.raises(_files.WriteError, match=r"cannot write .*a\.bin: Permission denied"):
        fetch(good)


# ---- archives ------------------------------------------------------------------------------------------------------


def tar(**files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("data/cars/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return made.getvalue()


def hashed(content):
    return {"hash": "sha256:" + hashlib.sha256(content).hexdigest(), "size": len(content)}


def test_a_gzipped_file_is_unpacked(fetch, server, tmp_path):
    archive = gzip.compress(CONTENT)
    found = fetch(packed(archive), path="norb/a.mat", unpack="gzip", **hashed(archive))
    assert found.path.read_bytes() == CONTENT and "norb/a.mat" in tree(tmp_path)
    assert set(tree(tmp_path)) <= {"norb/a.mat", "norb/.a.mat.known.json"}
    assert not fetch(missing, path="norb/a.mat", unpack="gzip", **hashed(archive)).new


def test_one_folder_of_an_archive_is_unpacked_and_no_more(fetch, tmp_path):
    files = {
        "data__cars__a": b"1",
        "data__cars__b": b"2",
        "data__cars__more__c": b"3",
        "..__..__evil": b"4",
        "other": b"5",
    }
    archive = tar(**files)
    found = fetch(packed(archive), path="cars", unpack="tar:data/cars", **hashed(archive))
    assert sorted(p.name for p in found.path.iterdir()) == ["a", "b"] and (found.path / "b").read_bytes() == b"2"
    assert set(tree(tmp_path)) <= {"cars/a", "cars/b", ".cars.known.json"}
    assert not fetch(missing, path="cars", unpack="tar:data/cars", **hashed(archive)).new


@pytest.mark.parametrize(
    ("how", "archive"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(CONTENT)[:-9]),
        ("tar:data/cars", b"no tar"),
        ("tar:none", tar(a=b"1")),
    ],
)
def test_an_archive_that_does_not_unpack_leaves_nothing(how, archive, fetch, tmp_path):
    with pytest.raises(DataError, match=r"does not unpack|has no files in none"):
        fetch(packed(archive), path="a", unpack=how, **hashed(archive))
    assert tree(tmp_path) == [] and not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("how", "kept", "content"),
    [("gzip", ".a.gz", gzip.compress(CONTENT)), ("tar:cars", ".a.tar.gz", tar(cars__a=b"1"))],
)
def test_what_was_fetched_stays_where_there_was_no_room_to_unpack_it(how, kept, content, fetch, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(_files.WriteError, match="free some space"):
        fetch(packed(content), path="a", unpack=how, **hashed(content))
    assert tree(tmp_path) == [kept] and not (tmp_path / "a").exists()
    monkeypatch.undo()
    assert fetch(missing, path="a", unpack=how, **hashed(content)).new  # and is not fetched again


# ---- the table and the command -------------------------------------------------------------------------------------


def test_every_entry_of_the_table_is_whole_and_no_hash_is_made_up():
    seen = {}
    for name in downloads._table():
        for entry in downloads.entries(name):
            assert entry.title and entry.licence and entry.cite and entry.files
            for file in entry.files:
                assert file.urls and all(url.startswith(("https://", "http://")) for url in file.urls)
                assert not file.path.startswith(("/", ".")) and ".." not in file.path
                assert file.hash == "" or re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.hash)
                assert seen.setdefault(file.hash, file.path) == file.path or not file.hash
    assert {file.path for e in downloads.entries("scream_dsprites") for file in e.files if not file.hash} == {
        "scream/scream.jpg"
    }


INSTALLED = "/usr/share/datasets/fashion-mnist"  # Debian's: the original streams of deflate under a header of its own
WRITTEN = {"train": 1504176606, "t10k": 1504176627}  # when the labels of a part were packed, in seconds since 1970


@pytest.mark.skipif(not os.path.isdir(INSTALLED), reason="the package dataset-fashion-mnist is not installed")
def test_the_published_hashes_are_those_of_real_files():
    [entry] = downloads.entries("fashion_mnist")
    for file in entry.files:
        name = file.path.rpartition("/")[2]
        with open(f"{INSTALLED}/{name}", "rb") as packed:
            stream = packed.read()[10:]
        when = WRITTEN["train" if "train" in name else "t10k"]
        whole = (
            b"\x1f\x8b\x08\x08" + struct.pack("<IBB", when, 0, 3) + name.removesuffix(".gz").encode() + b"\0" + stream
        )
        assert (len(whole), hashed(whole)["hash"]) == (file.size, file.hash), name


def test_names_of_data_sets_that_need_files_are_in_the_table():
    for name in registry.files("datasets"):
        if registry.card("datasets", name).get("files") and not registry.of_file(name):
            assert downloads.fetchable(name) or name.endswith("_like") or "coloured" in name, name


@pytest.fixture
def table(server, monkeypatch):
    """The table of the project, with two files on the server."""
    server.how |= {"a": good, "b": good}
    files = [{"path": "mine/a.bin", "urls": [server.url("a")], "hash": SHA256, "size": len(CONTENT)}]
    mine = {"title": "Mine", "licence": "CC0", "cite": "me (2020)", "files": files}
    free = {"title": "Free", "licence": "none", "cite": "you", "files": [{"path": "b.bin", "urls": [server.url("b")]}]}
    monkeypatch.setattr(
        downloads, "_table", lambda: {"mine": mine, "free": free, "all_mine": {"needs": ["mine", "free"]}}
    )


def test_the_command_tells_licence_and_size_first_and_what_it_found(table, server, tmp_path, command):
    done = command("data", "get", "all-mine", "--data-dir", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[:3] == ["Mine: 300 kB", "  licence: CC0", "  cite: me (2020)"]
    assert lines[3] == f"fetched: {tmp_path / 'mine/a.bin'}; its SHA-256 is the published one"
    assert lines[4] == "Free: of a size that is not published" and "no published hash is known" in lines[7]
    assert lines[8] == f"  compare its SHA-256 yourself: {SHA256.removeprefix('sha256:')}"
    again = command("data", "get", "mine", cwd=tmp_path, DISENTANGLEMENT_LIB_DATA=str(tmp_path))
    assert again.returncode == 0 and "there already: " in again.stdout and len(server.asked) == 2


def test_the_command_ends_with_1_where_it_could_not_be_fetched(table, server, tmp_path, command):
    server.how["a"] = missing
    done = command("data", "get", "mine", "--data-dir", tmp_path, "--timeout", "0.1", cwd=tmp_path)
    assert done.returncode == 1 and "answers 404" in done.stderr and done.stderr.count("\n") == 1
    assert "licence: CC0" in done.stdout and tree(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("data", "get"), "Missing argument"),
        (("data", "get", "mnst", "--data-dir", "."), "Did you mean 'mnist'? There are mnist, fashion_mnist, dsprites"),
        (("data", "get", "digits", "--data-dir", "."), "digits has no files to fetch; it needs none"),
        (("data", "get", "mnist"), "RDU_BENCH_DATA or DISENTANGLEMENT_LIB_DATA"),
        (("data", "get", "mnist", "--data-dir", "nowhere"), "not a folder"),
        (("data", "get", "mnist", "--data-dir", ".", "--timeout", "0"), "a positive number of seconds"),
        (("data", "get", "mnist", "--data-dir", ".", "--timeout", "soon"), "soon"),
    ],
)
def test_a_line_that_cannot_be_fetches_nothing(line, said, tmp_path, command, monkeypatch):
    monkeypatch.setattr(downloads, "get", lambda *_: pytest.fail("it was begun"))
    done = command(*line, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and tree(tmp_path) == []


def test_a_variable_that_names_no_folder_is_said(tmp_path, command):
    done = command("data", "get", "mnist", cwd=tmp_path, RDU_BENCH_DATA="gone")
    assert done.returncode == 2 and "the data folder gone does not exist" in done.stderr


def test_a_run_without_files_says_how_to_get_them_and_gets_nothing(tmp_path, command, monkeypatch):
    monkeypatch.setattr(downloads, "get", lambda *_: pytest.fail("it was begun"))
    done = command("run", "--suite", "all", "--dataset", "mnist", "--data-dir", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and "`rdu-bench data get mnist` fetches them" in done.stderr


def test_how_files_are_fetched_is_said_once(tmp_path, command):
    told = command("data", "ls", "--data-dir", tmp_path, cwd=tmp_path).stdout.splitlines()
    for line in [line for line in told if "`rdu-bench data get" in line]:
        name = line.split("/")[-2] if line.startswith("/") else line.partition(":")[0]
        assert line.count("`rdu-bench data get") == 1 and f"{name}: {name}: " not in line
    [noisy] = [line for line in told if line.startswith("noisy_dsprites: ")]
    assert noisy.endswith("`rdu-bench data get noisy_dsprites` fetches them.")


def test_ls_says_what_there_is_to_get(tmp_path, command):
    done = command("data", "ls", "--data-dir", tmp_path, cwd=tmp_path)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "12 MB" in rows["mnist"] and "CC BY-SA 3.0" in rows["mnist"] and " no " in rows["mnist"]
    assert "as named" in rows["hdf5"] and "`rdu-bench data get mnist`" in done.stdout


def test_verify_compares_with_what_was_published(tmp_path, command):
    from small_data import put

    put(tmp_path, end=".gz", pack=gzip.compress)
    done = command("data", "verify", "mnist", "--data-dir", tmp_path, cwd=tmp_path)
    assert "note: " in done.stdout and "4542 were published" in done.stdout.replace(",", "")
    assert done.returncode == 1  # the images are not MNIST's


@pytest.mark.parametrize(
    ("given", "first", "second", "found"),
    [("a", "b", "c", "a"), (None, "b", "c", "b"), (None, None, "c", "c"), (None, "", "c", "c")],
)
def test_the_data_folder_is_named_in_three_ways(given, first, second, found, tmp_path, monkeypatch, command):
    from rdu_bench.data.files import data_folder, named_folder

    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for variable, value in (("RDU_BENCH_DATA", first), ("DISENTANGLEMENT_LIB_DATA", second)):
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value)
    assert data_folder(given, "x", "y").name == found
    assert named_folder() == (first or second)
    kind = registry.load("datasets", "sprites")
    monkeypatch.setattr(kind, "make", lambda self, folder, **params: folder)
    option = ("--data-dir", given) if given else ()
    env = {k: v for k, v in (("RDU_BENCH_DATA", first), ("DISENTANGLEMENT_LIB_DATA", second)) if v is not None}
    done = command("data", "make", "sprites", *option, cwd=tmp_path, **env)
    assert done.returncode == 0 and done.stdout.strip().endswith(found)
