"""A run goes to others as one file, and they get the same numbers from it, or are told why not."""

import hashlib
import json
import zipfile

import fake_records
import pytest

from rdu_bench import registry
from rdu_bench.engine import submission
from rdu_bench.engine.reproduce import Draw, Planned, compared, curve_of, plan, reproduce
from rdu_bench.engine.submission import SubmissionError, plugin_faults, unpacked
from rdu_bench.records.archive import manifest_faults
from rdu_bench.records.schema import PROTOCOL
from rdu_bench.records.store import Store

MODEL = '''"""A model."""

from rdu_bench.api import Autoencoder, Row

from . import _parts


class Mine(Autoencoder):
    """The VAE under another name."""

    row = Row(paper="1312.6114", title="Mine")
    note = _parts.TITLE
'''


@pytest.fixture
def run(plugins, tmp_path):
    """A run of a model of one's own, with a part that it imports, and of the package's VAE."""
    (plugins / "models" / "mine.py").write_text(MODEL)
    (plugins / "models" / "_parts.py").write_text('TITLE = "Mine"\n')
    folder = tmp_path / "run"
    for name in ("mine", "vae"):
        for sigma in (2.0, 6.0):
            write(folder, name, sigma)
    return folder


def write(folder, name, sigma, **values):
    record = fake_records.rich(fake_records.record(name, sigma=sigma))
    record["spec"]["plugins"] = {
        f"models/{name}": registry.plugin_hash("models", name),
        "datasets/sprites": registry.plugin_hash("datasets", "sprites"),
    }
    record["values"] |= values
    record["key"] = fake_records.digest(record["spec"])
    return Store(folder).write(record, fake_records.vectors(record))


def sound(monkeypatch):
    """Synthetic records and vectors agree in the means that `audit` compares in tests of its own."""
    monkeypatch.setattr(submission, "audit", lambda store: iter(()))


def test_a_submission_holds_records_vectors_the_files_of_plugins_and_their_hashes(run, tmp_path, monkeypatch):
    sound(monkeypatch)
    packed = submit(run, tmp_path / "mine.zip")
    assert (packed.records, packed.vectors, packed.older) == (4, 4, 0)
    assert packed.files == ["plugins/models/_parts.py", "plugins/models/mine.py", "plugins/models/vae.py"]
    with zipfile.ZipFile(packed.path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert set(archive.namelist()) == {*manifest["files"], "manifest.json"}
        assert archive.read("plugins/models/mine.py") == (tmp_path / "models" / "mine.py").read_bytes()
    assert manifest["statuses"] == {"ok": 4} and manifest["records"] == 4
    assert manifest["plugins"]["models/mine"] == registry.plugin_hash("models", "mine")
    assert Store(packed.path).keys() == Store(run).keys()
    assert list(manifest_faults(packed.path)) == []
    with pytest.raises(FileExistsError, match="there already"):
        submit(run, packed.path)


def submit(run, out, wrong=()):
    """Packed, as long as nothing is wrong with its plug-ins."""
    return submission.submit(run, out, lambda specs: [*wrong])


def refusal(run, out, wrong=()):
    with pytest.raises(SubmissionError) as error:
        submit(run, out, wrong)
    assert not out.exists()
    return str(error.value)


def test_a_file_that_was_changed_or_is_gone_is_not_submitted(run, plugins, tmp_path, monkeypatch):
    sound(monkeypatch)
    out = tmp_path / "mine.zip"
    part = plugins / "models" / "_parts.py"
    part.write_text('TITLE = "Other"\n')
    assert "mine.py is not the file of the records" in refusal(run, out)
    part.write_text('TITLE = "Mine"\n')
    (plugins / "models" / "mine.py").rename(plugins / "models" / "moved.py")
    assert "models/mine made records and is gone" in refusal(run, out)


def test_records_with_faults_are_not_submitted(run, tmp_path, monkeypatch):
    path = write(run, "vae", 4.0)
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"key": "0" * 16}))
    assert "is not the hash of its spec" in refusal(run, tmp_path / "mine.zip")
    path.write_text("{")
    assert "not a whole record" in refusal(run, tmp_path / "mine.zip")


def test_records_of_a_file_that_is_at_fault_are_not_submitted(run, tmp_path, monkeypatch):
    sound(monkeypatch)
    said = refusal(run, tmp_path / "mine.zip", ["mine.py: rate is paid: no"])
    assert said.startswith("mine.py: rate is paid: no\n") and said.endswith("mend the above first")


def test_a_folder_without_a_whole_record_is_not_submitted(tmp_path):
    with pytest.raises(FileNotFoundError, match="no records"):
        submit(tmp_path, tmp_path / "mine.zip")


def repacked(path, out, **files):
    """The archive with other files, by names in which `__` stands for a dot and `_in_` for a slash."""
    named = {name.replace("_in_", "/").replace("__", "."): content for name, content in files.items()}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if name not in named:
                new.writestr(name, old.read(name))
        for name, content in named.items():
            new.writestr(name, content)
    return out


def test_what_was_changed_in_a_submission_is_named(run, tmp_path, monkeypatch):
    sound(monkeypatch)
    path = submit(run, tmp_path / "mine.zip").path
    [said] = manifest_faults(repacked(path, tmp_path / "a.zip", plugins_in_models_in_mine__py="x = 1\n"))
    assert said.startswith("plugins/models/mine.py was changed")
    [said] = manifest_faults(repacked(path, tmp_path / "b.zip", more__txt="x"))
    assert said.startswith("more.txt is there, and manifest.json does not name it")


def relabelled(path, out, gone=(), said=None, **files):
    """The archive with other files and without some, and a manifest that was made to fit, but for what is `said`."""
    with zipfile.ZipFile(repacked(path, out.with_suffix(".old"), **files)) as old, zipfile.ZipFile(out, "w") as new:
        kept = {name: old.read(name) for name in old.namelist() if name not in (*gone, "manifest.json")}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
        manifest = json.loads(old.read("manifest.json")) | {"files": hashes} | (said or {})
        for name, content in (kept | {"manifest.json": json.dumps(manifest).encode()}).items():
            new.writestr(name, content)
    return out


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"records": 5}, "manifest.json says records 5, and the records say 4"),
        ({"statuses": {"ok": 5}}, 'manifest.json says statuses {"ok": 5}, and the records say {"ok": 4}'),
        ({"suites": ["all"]}, 'manifest.json says suites ["all"], and the records say ["fake"]'),
        ({"versions": ["9"]}, 'manifest.json says versions ["9"], and the records say '),
        ({"plugins": {}}, "manifest.json says plugins {}, and the records say "),
    ],
)
def test_what_a_manifest_says_of_its_records_is_held_to_them(run, tmp_path, monkeypatch, said, words):
    sound(monkeypatch)
    path = submit(run, tmp_path / "mine.zip").path
    [found] = manifest_faults(relabelled(path, tmp_path / "lie.zip", said=said))
    assert found.startswith(words)


def test_a_plugin_that_did_not_make_the_records_is_named_whatever_the_manifest_says(run, tmp_path, monkeypatch):
    sound(monkeypatch)
    path = submit(run, tmp_path / "mine.zip").path
    assert list(plugin_faults(path)) == []
    for name, content in (("mine", MODEL.replace('title="Mine"', 'title="Other"')), ("_parts", 'TITLE = "Other"\n')):
        changed = relabelled(path, tmp_path / "a.zip", **{f"plugins_in_models_in_{name}__py": content})
        assert list(manifest_faults(changed)) == []
        [said] = plugin_faults(changed)
        assert said.startswith("plugins/models/mine.py is not the file that made 2 records (its hash is ")
    for lost in (["plugins/models/mine.py"], ["plugins/models/mine.py", "plugins/models/vae.py"]):
        [said, *_] = plugin_faults(relabelled(path, tmp_path / "b.zip", gone=lost))
        assert said == "plugins/models/mine.py is not there, which made 2 records"
    every = [f"plugins/models/{name}.py" for name in ("mine", "_parts", "vae")]
    assert len(list(plugin_faults(relabelled(path, tmp_path / "c.zip", gone=every)))) == 2
    odd = relabelled(path, tmp_path / "d.zip", plugins_in_sitecustomize__py="x = 1\n")
    assert ["no file of a plug-in" in said for said in plugin_faults(odd)] == [True]
    assert list(plugin_faults(run)) == []  # which is no submission


def test_only_files_of_plugins_are_unpacked_and_none_that_is_here_already(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("plugins/models/vae.py", "ours is used\n")
        archive.writestr("plugins/models/theirs.py", "x = 1\n")
    assert unpacked(tmp_path / "some.zip", tmp_path / "to") == ["models/theirs.py"]
    assert [path.name for path in (tmp_path / "to").rglob("*.*")] == ["theirs.py"]
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("plugins/sitecustomize.py", "x = 1\n")
    with pytest.raises(SubmissionError, match="no file of a plug-in"):
        unpacked(tmp_path / "odd.zip", tmp_path / "other")


def values(**given):
    return {"status": "ok", "reason": None, "values": {"R_star": 4.0, "R_star_se": 0.01, **given}}


@pytest.fixture
def trusted(monkeypatch):
    monkeypatch.setattr("rdu_bench.engine.reproduce.judged", lambda record: (record["status"], record["reason"]))


def test_numbers_are_the_same_within_three_of_our_errors_or_two_per_cent(trusted):
    assert compared(values(), values(R_star=4.079))[0] == "same"
    assert compared(values(), values(R_star=4.1))[0] == "differs"
    assert compared(values(), values(R_star=4.1, R_star_se=0.04))[0] == "same"
    outcome, words = compared(
        values(R_star_se=9.0), values(R_star=4.1)
    )  # errors that a record claims make nothing same
    assert outcome == "differs" and "R* 4.1000 here, 4.0000 in the record" in words
    assert compared(values(Dy=1.0), values())[0] == "differs"
    assert compared(values(), {**values(), "status": "diverged", "reason": "no"}) == (
        "not made",
        "it ended as diverged: no",
    )


def test_a_point_of_another_protocol_or_file_is_not_trained(run):
    record = Store(run).records()[0]
    with pytest.raises(SubmissionError, match="made under protocol 2"):
        curve_of(record)
    record["spec"] |= {"protocol": PROTOCOL, "plugins": {"models/vae": "0" * 16}}
    record["key"] = fake_records.digest(record["spec"])
    with pytest.raises(SubmissionError, match=r"vae\.py is not the file of the records"):
        curve_of(record)
    with pytest.raises(SubmissionError, match="its record is at fault"):
        curve_of(record | {"key": "1" * 16})


def test_a_seed_draws_the_same_points_and_nothing_is_written_into_the_submission(run, tmp_path):
    drawn = [plan(Draw(run, 2, seed, tmp_path / "again")) for seed in (0, 0, 1, 2, 3)]
    keys = [tuple(record["key"] for record in planned.records) for planned in drawn]
    assert keys[0] == keys[1] and len(set(keys)) > 1 and drawn[0].of == 4
    assert set(drawn[0].refused) == set(keys[0])  # of another protocol, all of them
    with pytest.raises(SubmissionError, match="stays as it is"):
        plan(Draw(run, 1, 0, run / "again"))


def test_a_status_that_is_another_is_said_and_every_measured_point_may_be_drawn(run, tmp_path, trusted):
    outcome, words = compared({**values(), "status": "ok"}, {**values(), "status": "rate_missed"})
    assert outcome == "same" and words.endswith("; rate_missed here, ok in the record")
    assert "in the record;" not in compared(values(), values())[1] and "ok here" not in compared(values(), values())[1]
    for record in Store(run).records():
        Store(run).write(record | {"status": "unreachable", "reason": "as it says"})
    assert plan(Draw(run, 9, 0, tmp_path / "again")).of == 4


def test_a_record_is_not_compared_with_itself(run):
    [record, *_] = Store(run).records()
    planned = Planned(run, [record], 1, {}, {}, [])
    [point] = reproduce(planned, jobs=0, quiet=True)
    assert point.outcome == "not made" and f"{run} holds this very record" in point.words
