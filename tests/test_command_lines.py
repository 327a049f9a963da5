"""Command lines that cannot be: one sentence on stderr, exit code 2, nothing computed and nothing written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

LONG = "x" * 5000
BAD_SUITE = "models = ['vae']\n[[datasets]]\nname = 'digits'\nsigmas = [-1]\n"
SUITE = "models = ['vae']\n[[datasets]]\nname = 'digits'\nhidden = [16]\nsigmas = [2]\n"

# what is typed, and words of the sentence that answers it; files are those of `place`
LINES = [
    ("", "Usage"),
    ("nonsense", "No such command 'nonsense'"),
    ("Run", "No such command"),
    ("--nonsense", "No such option"),
    ("run --nonsense", "--nonsense"),
    ("run extra", "extra"),
    ("models vae extra", "extra"),
    ("data", "Usage"),
    ("data nonsense", "No such command"),
    ("data make", "Missing argument"),
    ("data verify", "Missing argument"),
    ("new", "Usage"),
    ("new nonsense x", "No such command"),
    ("new model", "Missing argument"),
    ("check", "Missing argument"),
    # suites
    ("run --suite quik", "Did you mean 'quick'"),
    ("run --suite nowhere.toml", "does not exist"),
    ("run --suite bad.toml", "sigmas"),
    ("run --suite binary.toml", "not UTF-8"),
    ("run --suite folder.toml", "folder.toml"),
    ("run --suite ''", "suite"),
    ("run --suite ../../escaped", "escaped"),
    (f"run --suite {LONG}", "suite"),
    ("run --suite 'a\x1b[31mb'", "\\x1b"),
    ("run --suite '\udcff'", "\\udcff"),
    ("run --suite", "requires an argument"),
    ("suites quik", "Did you mean 'quick'"),
    ("suites nowhere.toml", "does not exist"),
    ("suites bad.toml", "sigmas"),
    # selections
    ("run --model veryvae", "selects nothing"),
    ("run --model ''", "give a name"),
    ("run --model '[0-9]*'", "selects nothing"),
    (f"run --model {LONG}", "selects nothing"),
    ("run --model '\x07'", "\\x07"),
    ("run --model vae --model nonesuch", "nonesuch selects nothing"),
    ("run --model '\udcff\udcfe'", "\\udcff"),
    ("run --dataset nonesuch", "selects nothing"),
    ("run --dataset ''", "give a name"),
    # names of something near
    ("run --suite smoke --model FactorVAE", "Did you mean 'factor_vae'"),
    ("run --suite smoke --model β-TCVAE", "Did you mean 'beta_tcvae'"),
    ("run --suite smoke --model beta-vea", "Did you mean 'beta_vae'"),
    ("run --suite smoke --model my_vae", "my_vae.py is a file here: put it into FOLDER/models/"),
    ("run --suite smoke --model my_vae.py", "my_vae.py is a file here: put it into FOLDER/models/"),
    ("run --suite smoke --model vae,vq-vae", "for each: --model vae --model vq-vae."),
    ("run --suite smoke --dataset digits,sprites", "for each: --dataset digits --dataset sprites."),
    ("run --suite smoke --dataset mnsit", "Did you mean 'mnist'"),
    ("run --suite smoke --dataset linear-gaussian", "linear_gaussian is in suite analytic."),
    ("run --suite smoke --dataset usps.h5", "Say hdf5:usps.h5."),
    ("run --suite smoke --dataset HDF5:usps.h5", "Say hdf5:usps.h5."),
    ("run --suite smoke --dataset hdf5=usps.h5", "Say hdf5:usps.h5."),
    ("run --suite smoke --dataset arrays.npz", "arrays.npz is no HDF5 file"),
    ("run --suite smoke --dataset hdf5:arrays.npz", "arrays.npz is an .npz or .zip file, not HDF5"),
    ("run --suite smoke --dataset empty", "empty is a folder here: write its pictures into one HDF5 file"),
    ("data verify empty", "empty is a folder here"),
    ("run --suite quick.toml", "Did you mean 'quick'"),
    ("run quick", "name a suite with --suite"),
    ("run --sigma 3,8", "give --sigma again for each"),
    ("run --sigma '3 8'", "give --sigma again for each"),
    ("run --seeds 0,1", "the seeds 0 to N"),
    ("models FactorVAE", "Did you mean 'factor_vae'"),
    ("models my_vae.py", "my_vae.py is a file here"),
    ("datasets mnist.py", "Did you mean 'mnist'"),
    ("datasets hdf5:usps.h5", "`rdu-bench data verify` shows what is in it"),
    ("check vae", "The model vae is in"),
    ("check beta-vae", "The model beta_vae is in"),
    ("check digits", "The dataset digits is in"),
    ("data verify usps.h5", "Say hdf5:usps.h5."),
    ("data get digits --data-dir empty", "comes with the package"),
    ("data get sprites --data-dir empty", "`rdu-bench data make sprites`"),
    ("data get hdf5 --data-dir empty", "has no files to fetch"),
    ("data make mnist --data-dir empty", "`rdu-bench data get mnist` fetches them"),
    ("run --sigma 0", "--sigma 0"),
    ("run --sigma -3", "--sigma -3"),
    ("run --sigma nan", "--sigma nan"),
    ("run --sigma inf", "--sigma inf"),
    ("run --sigma -inf", "--sigma -inf"),
    ("run --sigma 1e400", "--sigma inf"),
    ("run --sigma 1e9", "--sigma 1000000000"),
    ("run --sigma two", "two"),
    ("run --sigma ''", "sigma"),
    ("run --sigma", "requires an argument"),
    ("run --seeds 0", "--seeds 0"),
    ("run --seeds -1", "--seeds -1"),
    ("run --seeds 100000000000000000000", "--seeds 100000000000000000000"),
    ("run --seeds 1000000000", "--seeds 1000000000"),
    ("run --seeds 1.5", "1.5"),
    ("run --seeds many", "many"),
    ("run --seeds ''", "seeds"),
    ("run --seeds ²", "²"),
    ("run --budget hugh", "There are smoke"),
    ("run --budget ''", "There are smoke"),
    ("run --strategy fast", "choose independent"),
    ("run --strategy ''", "choose independent"),
    # how it runs
    ("run --device tpu", "choose cpu, cuda"),
    ("run --device ''", "choose cpu, cuda"),
    ("run --device cpu:x", "--device cpu:x"),
    ("run --device cuda:x", "--device cuda:x"),
    ("run --device cuda:-1", "--device cuda:-1"),
    ("run --device cuda:", "--device cuda:"),
    ("run --device cuda:²", "--device cuda:²"),
    ("run --device cuda:1:2", "--device cuda:1:2"),
    ("run --device cuda:99999999999999999999", "--device cuda:99999999999999999999"),
    ("run --device CUDA", "choose cpu, cuda"),
    ("run --jobs -1", "-j -1"),
    ("run -j 1000000000", "-j 1000000000"),
    ("run -j many", "many"),
    ("run -j ''", "jobs"),
    ("run -j 1.5", "1.5"),
    ("run --shard 3/2", "i/n"),
    ("run --shard 0/2", "i/n"),
    ("run --shard -1/2", "i/n"),
    ("run --shard 1", "i/n"),
    ("run --shard 1/0", "i/n"),
    ("run --shard ²/3", "i/n"),
    ("run --shard ٣/٤", "i/n"),
    ("run --shard 1/2/3", "i/n"),
    ("run --shard ''", "i/n"),
    ("run --shard a/b", "i/n"),
    ("run --shard 1e1/20", "i/n"),
    (f"run --shard 1/{'9' * 5000}", "i/n"),
    ("run --shard 999/999", "fewer parts"),
    ("run --scheduler ''", "--scheduler : give its address"),
    ("run --scheduler nowhere", "--scheduler nowhere"),
    # places
    ("run --out ''", "empty"),
    (f"run --out {LONG}", "too long"),
    ("run --out 'a\0b'", "null"),
    ("run --out file", "not a folder"),
    ("run --out file/below", "not a folder"),
    ("run --out linked", "leads out of"),
    ("run --data-dir nowhere", "not a folder"),
    ("run --data-dir file", "not a folder"),
    ("run --data-dir ''", "empty"),
    ("run --plugins nowhere", "models/"),
    ("run --plugins file", "models/"),
    ("run --plugins empty", "models/"),
    ("run --plugins ''", "empty"),
    # lists
    ("models veryvae", "there is no model"),
    ("models ''", "there is no model"),
    ("models ../models/vae", "there is no model"),
    ("models beta_vea", "Did you mean 'beta_vae'"),
    ("models '\udcff'", "there is no model"),
    (f"models {LONG}", "there is no model"),
    ("models --plugins nowhere", "models/"),
    ("datasets digit", "Did you mean 'digits'"),
    ("probes linar", "Did you mean 'linear'"),
    # results
    ("status", "no run in"),
    ("status nowhere", "not a folder"),
    ("status file", "not a folder"),
    ("status empty", "no records in empty"),
    ("status ''", "empty"),
    (f"status {LONG}", "too long"),
    ("status '\udcff'", "not a folder"),
    ("report", "no run in"),
    ("report nowhere", "not a folder"),
    ("report empty", "no records in empty"),
    ("report empty nowhere", "nowhere is not a folder"),
    ("report file --out other", "not a folder"),
    ("report --formats gif", "png, svg and pdf"),
    ("report --formats ''", "png, svg and pdf"),
    ("leaderboard", "no run in"),
    ("leaderboard file", "not a folder"),
    ("leaderboard empty", "no records in empty"),
    ("leaderboard --csv empty", "no records in empty"),
    ("sensitivity file", "not a folder"),
    ("sensitivity empty", "no records in empty"),
    ("verify", "no run in"),
    ("verify nowhere", "not a folder"),
    ("verify empty", "no records in empty"),
    ("verify bad.zip", "cannot be read as an archive"),
    ("submit", "Missing argument"),
    ("submit nowhere", "not a folder"),
    ("submit empty", "no records in empty"),
    ("submit empty --out mine.tar", "ends in .zip"),
    ("reproduce", "Missing argument"),
    ("reproduce nowhere", "not a folder"),
    ("reproduce empty", "holds no point"),
    ("reproduce empty --sample 0", "--sample 0"),
    ("reproduce empty --seed one", "no whole number"),
    ("leaderboard table.csv", "table.csv is no table of records: it has no column 'key'"),
    ("claims table.csv", "table.csv is no table of records"),
    ("sensitivity table.csv", "table.csv is no table of records"),
    ("report table.csv", "name the folder of the page with --out"),
    ("report table.csv --out empty", "table.csv is no table of records"),
    ("status table.csv", "table.csv is not a folder of records, but a table of points"),
    ("verify table.csv", "but a table of points"),
    ("submit table.csv", "but a table of points"),
    ("reproduce table.csv", "but a table of points"),
    ("publish table.csv --out new", "but a table of points"),
    ("publish empty --out new", "no records in empty"),
    ("publish nowhere --out new", "nowhere is not a folder"),
    ("publish empty --out ''", "empty text is no path"),
    # for authors
    ("check nothing.py", "nothing.py"),
    ("check empty", "empty"),
    ("check ''", "empty"),
    ("check binary.py", "binary"),
    ("check fifo.py", "fifo.py"),
    ("new model 'My Model'", "small letters"),
    ("new model vae", "already"),
    ("new model ''", "small letters"),
    ("new model class", "small letters"),
    ("new model ../escaped", "small letters"),
    ("new model 1vae", "small letters"),
    ("new model '\udcff'", "small letters"),
    ("new model mine --dir file", "file"),
    ("new model mine --dir ''", "empty"),
    ("new probe 'My Head'", "small letters"),
    ("new dataset digits", "already"),
    ("new suite quick", "already"),
    ("new suite mine --dir file", "file"),
    # data
    ("data ls extra", "extra"),
    ("data ls --data-dir nowhere", "not a folder"),
    ("data make digits --data-dir empty", "nothing to make"),
    ("data make sprites", "RDU_BENCH_DATA"),
    ("data make nonesuch --data-dir empty", "there is no dataset"),
    ("data make sprites --data-dir nowhere", "not a folder"),
    ("data verify nonesuch", "there is no dataset"),
    ("data verify ''", "there is no dataset"),
    ("data verify nonesuch:a.h5", "there is no dataset"),
    ("data verify digits:a.h5", "there is no dataset"),
    ("data verify hdf5", "name a file"),
    ("data verify hdf5:", "name a file"),
    ("data verify hdf5:gone.h5", "there is no gone.h5"),
    ("data verify hdf5 --set file=gone.h5", "there is no gone.h5"),
    ("data verify hdf5:gone.h5 --set file=other.h5", "file is given twice"),
    ("data verify hdf5 --set file=a.h5 --set file=a.h5", "file is given twice"),
    ("data verify hdf5:gone.h5 --set fiel=3", "--set: hdf5 takes no 'fiel'. Did you mean 'file'?"),
    ("data verify hdf5:gone.h5 --set limit=many", "--set limit = 'many': hdf5 takes an integer there"),
    ("data verify hdf5:gone.h5 --set limit=-1", "limit is -1; it must be a whole number of at least 1"),
    (
        "data verify hdf5:gone.h5 --set noise=1979-05-27",
        "noise = datetime.date(1979, 5, 27): hdf5 takes a number",
    ),
    ("data verify hdf5:gone.h5 --set channels=middle", "channels is 'middle'; it must be auto or first or last"),
    ("data verify hdf5:gone.h5 --set task=[digit]", "'[digit]' is no value of TOML"),
    ("data verify hdf5:gone.h5 --set 'factors={ digit = labels }'", "is no value of TOML"),
    ("data verify hdf5:gone.h5 --set limit", "'limit': give NAME=VALUE"),
    ("data verify hdf5:gone.h5 --set =3", "'=3': give NAME=VALUE"),
    ("data verify hdf5:gone.h5 --set ''", "give NAME=VALUE"),
    (f"data verify hdf5:gone.h5 --set limit={'[' * 4000}", "is no value of TOML"),
    ("data verify digits --set limit=3", "digits takes no 'limit'. It takes no parameters."),
    ("data verify sprites --set size=2", "a shape needs at least 8 pixels"),
    ("data make sprites --data-dir empty --set size=2", "a shape needs at least 8 pixels"),
    ("data make sprites --data-dir empty --set size=big", "--set size = 'big': sprites takes an integer there"),
    ("data make sprites --data-dir empty --set n_train=3", "there is no parameter n_train"),
    ("data make dsprites_like --data-dir empty --set strid=4", "takes no 'strid'. Did you mean 'stride'?"),
    ("data make dsprites_like --data-dir empty --set limit=4", "takes no 'limit'"),
    ("data make dsprites_like --data-dir empty --set stride=3", "stride"),
]


@pytest.fixture(autouse=True, scope="module")
def _within_bounds():
    """A line that is not refused in time is refused memory."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture
def place(tmp_path):
    """A folder with the files that the lines name."""
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "bad.zip").write_text("no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bad.toml").write_text(BAD_SUITE)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "my_vae.py").write_text("")
    np.savez(tmp_path / "arrays.npz", images=np.zeros((2, 4, 4)))
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 4))
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    (tmp_path / "binary.py").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "figures").symlink_to(tmp_path / "empty")
    return tmp_path


def words(line):
    """A line as a shell splits it; nothing but quotes is special."""
    found, quoted = [], line.split("'")
    for i, part in enumerate(quoted):
        found += [part] if i % 2 else part.split()
    return found


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(("line", "said"), LINES, ids=[ascii(line)[1:40] for line, _ in LINES])
def test_a_line_that_cannot_be_is_answered_in_a_sentence(command, place, line, said, monkeypatch):
    monkeypatch.setattr("rdu_bench.engine.run.execute", lambda *_, **__: pytest.fail("it was begun"))
    before = tree(place)
    done = command(*words(line), cwd=place)
    assert done.returncode == 2, done
    assert said in done.stderr, done
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert "Usage" in done.stderr or len(done.stderr.strip().splitlines()) == 1
    assert len(done.stderr) < 5000
    assert tree(place) == before


def test_there_are_enough_lines():
    assert len({line for line, _ in LINES}) == len(LINES) >= 90


@pytest.mark.parametrize("line", ["", "run --suite quik", "models '\udcff'", "status nowhere", "run --shard ²/3"])
def test_a_process_ends_as_the_line_does(place, line):
    done = subprocess.run(
        [sys.executable, "-m", "rdu_bench", *map(os.fsencode, words(line))],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2 and b"Traceback" not in done.stderr and done.stdout == b""
