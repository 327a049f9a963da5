"""Whatever is wrong with a suite is one sentence that names the key, the value and the fix, before anything is done."""

import os
import re
import subprocess
import sys
import time

import pytest

from rdu_bench import _paths, cli
from rdu_bench._hash import canonical
from rdu_bench.engine import suite
from rdu_bench.engine.expand import Selection, curves

DATA = '\n[[datasets]]\nname = "digits"\nsigmas = [1, 2]\n'
BIG = "9" * 5000
LONG = "x" * 300


def data(line="", *, sigmas="[1, 2]", name="'digits'"):
    return f"[[datasets]]\nname = {name}\nsigmas = {sigmas}\n{line}\n"


def models(text):
    return f"models = [{text}]{DATA}"


def nested(n):
    return "[" * n + "]" * n


BAD = {
    # keys that there are not, at every level
    f"bugdet = 'smoke'{DATA}": "bugdet: there is no such key. Did you mean 'budget'?",
    f"model = ['vae']{DATA}": "Did you mean 'models'?",
    f"dataset = 1{DATA}": "Did you mean 'datasets'?",
    f"sigmas = [1]{DATA}": "sigmas: there is no such key. There are name, version",
    models("{ name = 'vae', varant = 'x' }"): "models[0].varant: there is no such key. Did you mean 'variant'?",
    models("{ name = 'vae', param = {} }"): "Did you mean 'params'?",
    models("'vae', { name = 'm2', seeds = 2 }"): "models[1].seeds: there is no such key",
    data("hiden = [3]"): "datasets[0].hiden: there is no such key. Did you mean 'hidden'?",
    data("sigma = [3]"): "Did you mean 'sigmas'?",
    f"budget = {{ base = 'smoke', stepz = 3 }}{DATA}": "budget.stepz: there is no such key. Did you mean 'steps'?",
    data("budget = { base = 'smoke', code = 3 }"): "datasets[0].budget.code: there is no such key.",
    # keys that are missing
    "title = 'x'": "datasets is missing",
    "": "datasets is missing",
    "[[datasets]]\nsigmas = [1]": "datasets[0].name is missing",
    "[[datasets]]\nname = 'digits'": "datasets[0].sigmas is missing",
    models("{ variant = 'x' }"): "models[0].name is missing",
    f"budget = {{ batch = 3 }}{DATA}": "budget.steps is missing",
    # numbers
    f"seeds = 0{DATA}": "seeds = 0: must be greater than 0",
    f"seeds = -1{DATA}": "seeds = -1",
    f"seeds = 2.5{DATA}": "seeds = 2.5: must be a valid integer",
    f"seeds = 2.0{DATA}": "seeds = 2.0: must be a valid integer",
    f"seeds = '2'{DATA}": "seeds = '2': must be a valid integer",
    f"seeds = true{DATA}": "seeds = True: must be a valid integer",
    f"seeds = [1]{DATA}": "seeds = [1]: must be a valid integer",
    f"seeds = nan{DATA}": "seeds = nan",
    f"seeds = 100000000{DATA}": "must be less than or equal to 1000",
    f"seeds = {10**400}{DATA}": "must be less than or equal to 1000",
    f"seeds = {BIG}{DATA}": "an integer of thousands of digits",
    f"seeds = 0x{BIG}{DATA}": "seeds = a very large int",
    f"seeds = 2024-01-01{DATA}": "seeds = datetime.date",
    f"version = '1'{DATA}": "version = '1': must be a valid integer",
    f"version = 0{DATA}": "version = 0",
    f"version = 1.5{DATA}": "version = 1.5",
    f"elbo = 1{DATA}": "elbo = 1: must be true or false",
    f"elbo = 'yes'{DATA}": "elbo = 'yes': must be true or false",
    data(sigmas="[-1]"): "datasets[0].sigmas[0] = -1: must be greater than 0",
    data(sigmas="[1, 0]"): "datasets[0].sigmas[1] = 0",
    data(sigmas="[nan]"): "sigmas[0] = nan",
    data(sigmas="[inf]"): "sigmas[0] = inf",
    data(sigmas="[1e5]"): "must be less than 10000",
    data(sigmas="['3']"): "sigmas[0] = '3': must be a number",
    data(sigmas="[true]"): "sigmas[0] = True: must be a number",
    data(sigmas=f"[{10**400}]"): "sigmas[0] = ",
    data(sigmas=f"[0x{BIG}]"): "a very large int",
    data(sigmas="3"): "datasets[0].sigmas = 3: must be a list",
    data(sigmas="'3'"): "must be a list",
    data(sigmas="[[3]]"): "must be a number",
    data(sigmas="{ a = 1 }"): "must be a list",
    data(sigmas=str(list(range(1, 1002)))): "must have at most 1000 entries",
    data("latent = 0"): "datasets[0].latent = 0",
    data("latent = '4'"): "latent = '4': must be a valid integer",
    data("latent = true"): "latent = True",
    data("latent = 4.0"): "latent = 4.0",
    data("latent = 99999999999"): "less than or equal to 1000000",
    data("hidden = [0]"): "hidden[0] = 0",
    data("hidden = ['8']"): "hidden[0] = '8'",
    data("hidden = [8.5]"): "hidden[0] = 8.5",
    data("hidden = 8"): "hidden = 8: must be a list",
    data(f"hidden = {[8] * 101}"): "must have at most 100 entries",
    # choices
    f"strategy = 'fast'{DATA}": "strategy = 'fast': must be 'auto', 'independent', 'continuation' or 'batched'",
    f"strategy = 3{DATA}": "strategy = 3",
    data("family = 'mpl'"): "datasets[0].family = 'mpl': must be 'mlp', 'conv' or 'study'",
    data("family = 1"): "family = 1",
    data(
        "family = 'study'"
    ): "datasets[0].family = 'study': its networks are for images of 64×64, and digits has 1×8×8",
    data("family = 'study'\nhidden = [8, 16]", name="'dsprites'"): "leave hidden out",
    # networks that cannot be built
    data("family = 'conv'\nhidden = []"): "hidden = [] is too short for family = 'conv'",
    data("family = 'conv'\nhidden = [8]"): "hidden = [8] is too short for family = 'conv'",
    data("family = 'conv'", name="'linear_gaussian'"): "linear_gaussian provides neither 'image' nor",
    # names, which become names of files
    f"name = '../../escaped'{DATA}": "name = '../../escaped': becomes part of a file's name",
    f"name = '/tmp/escaped'{DATA}": "becomes part of a file's name",
    f"name = 'a\\b'{DATA}": "becomes part of a file's name",
    f"name = 'a:b'{DATA}": "becomes part of a file's name",
    f"name = '.'{DATA}": "becomes part of a file's name",
    f"name = '..'{DATA}": "becomes part of a file's name",
    f"name = ''{DATA}": "name = '': must not be empty",
    f"name = ' '{DATA}": "must not be empty",
    f"name = ' a'{DATA}": "spaces at its ends",
    f'name = "a\\nb"{DATA}': "control characters",
    f'name = "a\\u0000b"{DATA}': "control characters",
    f'name = "a\\u202Eb"{DATA}': "control characters",
    f"name = '{LONG}'{DATA}": "has 300 characters; it must have at most 40",
    f"name = 3{DATA}": "name = 3: must be a string",
    f"name = ['a']{DATA}": "must be a string",
    f"title = 3{DATA}": "title = 3: must be a string",
    f"title = ''{DATA}": "must not be empty",
    f'title = "a\\tb"{DATA}': "control characters",
    f"title = '{LONG}'{DATA}": "at most 200",
    models(f"{{ name = 'vae', variant = '{LONG}' }}"): "has 300 characters; it must have at most 40",
    models("{ name = 'vae', variant = '../x' }"): "models[0].variant = '../x': becomes part of a file's name",
    models("{ name = 'vae', variant = '' }"): "must not be empty",
    models("{ name = 'vae', variant = 3 }"): "must be a string",
    data("label = '..'"): "datasets[0].label = '..'",
    data("label = '/etc'"): "datasets[0].label = '/etc'",
    data(f"label = '{'é' * 240}'"): "has 240 characters",
    data("label = ''"): "must not be empty",
    data("label = true"): "must be a string",
    # plug-ins that there are not
    models("'vea'"): "there is no model 'vea'. Did you mean 'vae'?",
    models("'vae*'"): "there is no model 'vae*'",
    models("''"): "must not be empty",
    models(f"'{'v' * 150}'"): "there is no model",
    models("3"): "models[0] = 3: must be a table",
    models("['vae']"): "models[0] = ['vae']: must be a table",
    models("{ name = 3 }"): "models[0].name = 3: must be a string",
    f"models = 'vae'{DATA}": "models = 'vae': must be a list",
    f"models = {{ name = 'vae' }}{DATA}": "must be a list",
    f"models = []{DATA}": "models = []: must have at least 1 entry",
    data(name="'didgits'"): "there is no dataset 'didgits'. Did you mean 'digits'?",
    data(name="3"): "datasets[0].name = 3: must be a string",
    data(name="'*'"): "there is no dataset '*'",
    "datasets = []": "must have at least 1 entry",
    "datasets = ['digits']": "datasets[0] = 'digits': must be a table",
    "datasets = 'digits'": "must be a list",
    "[datasets]\nname = 'digits'\nsigmas = [1]": "must be a list",
    f"heads = ['liner']{DATA}": "there is no probe 'liner'. Did you mean 'linear'?",
    f"heads = []{DATA}": "heads = []: must have at least 1 entry",
    f"heads = 'linear'{DATA}": "heads = 'linear': must be a list",
    f"heads = [1]{DATA}": "heads[0] = 1: must be a string",
    models("{ name = 'vae', datasets = ['digts'] }"): "models[0].datasets[0] = 'digts'",
    models("{ name = 'vae', datasets = [] }"): "must have at least 1 entry",
    models("{ name = 'vae', datasets = 'digits' }"): "must be a list",
    models("{ name = 'vae', datasets = [3] }"): "must be a string",
    # parameters
    models("{ name = 'beta_vae', params = { beat = 2 } }"): "models[0].params: beta_vae takes no 'beat'",
    models("{ name = 'vae', params = { latnt = 2 } }"): "Did you mean 'latent'?",
    models("{ name = 'beta-vae', params = { x = 2 } }"): "beta_vae takes no 'x'",
    models("{ name = '*', params = { gama = 2 } }"): "takes no 'gama'",
    models("{ name = 'beta_vae', params = { beta = '2' } }"): "params.beta = '2': beta_vae takes a number",
    models("{ name = 'beta_vae', params = { beta = true } }"): "takes a number there",
    models("{ name = 'beta_vae', params = { latent = 2.5 } }"): "takes an integer there",
    models("{ name = 'beta_vae', params = { latent = [2] } }"): "takes an integer there",
    models("{ name = 'dip_vae', params = { variant = 1 } }"): "takes a string there",
    models("{ name = 'ladder_vae', params = { share = 1 } }"): "takes true or false there",
    models("{ name = 'ladder_vae', params = { dims = 3 } }"): "takes a list there",
    models("{ name = 'beta_vae', params = { beta = nan } }"): "finite numbers",
    models("{ name = 'beta_vae', params = { beta = -inf } }"): "finite numbers",
    models("{ name = 'beta_vae', params = { beta = [nan] } }"): "finite numbers",
    models("{ name = 'beta_vae', params = { beta = 2024-01-01 } }"): "no dates",
    models(f"{{ name = 'beta_vae', params = {{ beta = {nested(20)} }} }}"): "within each other; make it flatter",
    models(f"{{ name = 'beta_vae', params = {{ beta = {nested(3000)} }} }}"): "within each other; make it flatter",
    models(f"{{ name = 'beta_vae', params = {{ beta{'.a' * 3000} = 1 }} }}"): "within each other; make it flatter",
    models(f"{{ name = 'beta_vae', params = {{ beta = {10**30} }} }}"): "an integer of more than 64 bits",
    models(f"{{ name = 'dip_vae', params = {{ variant = '{'x' * 20000}' }} }}"): "a string of 20000 characters",
    models(f"{{ name = 'ladder_vae', params = {{ dims = {[1] * 10001} }} }}"): "a list or table of 10001 values",
    models("{ name = 'beta_vae', params = 3 }"): "params = 3: must be a table",
    data("params = { size = 3 }"): "datasets[0].params: digits takes no 'size'. It takes no parameters.",
    data("params = { sise = 3 }", name="'sprites'"): "Did you mean 'size'?",
    data("params = { size = '16' }", name="'sprites'"): "sprites takes an integer there",
    data("params = []"): "params = []: must be a table",
    # sweeps
    models("{ name = 'beta_vae', sweep = { beat = [2] } }"): "models[0].sweep: beta_vae takes no 'beat'",
    models("{ name = 'beta_vae', sweep = { beta = [nan] } }"): "models[0].sweep.beta[0] = nan: must be a finite number",
    models("{ name = 'beta_vae', sweep = { beta = [inf] } }"): "must be a finite number",
    models("{ name = 'beta_vae', sweep = { beta = [] } }"): "must have at least 1 entry",
    models("{ name = 'beta_vae', sweep = { beta = 2 } }"): "must be a list",
    models("{ name = 'beta_vae', sweep = { beta = ['2'] } }"): "must be a number",
    models("{ name = 'beta_vae', sweep = { beta = [true] } }"): "must be a number",
    models("{ name = 'dip_vae', sweep = { variant = [1] } }"): "takes a string there",
    models("{ name = 'beta_vae', sweep = { latent = [2.5] } }"): "takes an integer there",
    models("{ name = 'beta_vae', sweep = { beta = [1], latent = [2] } }"): "must have at most 1 entry",
    models("{ name = 'beta_vae', params = { beta = 2 }, sweep = { beta = [1] } }"): "beta is in both params and sweep",
    models(f"{{ name = 'beta_vae', sweep = {{ beta = {[1] * 1001} }} }}"): "must have at most 1000 entries",
    models("{ name = 'beta_vae', elbo = false, sweep = { beta = [1] } }"): "elbo = false and a sweep of beta",
    models("{ name = 'vae', elbo = 'no' }"): "models[0].elbo = 'no': must be true or false",
    # budgets
    f"budget = 'smok'{DATA}": "budget = 'smok': there is no budget 'smok'. Did you mean 'smoke'?",
    f"budget = 3{DATA}": "budget = 3: must be the name of a budget or a table",
    f"budget = {{}}{DATA}": "budget.steps is missing",
    f"budget = {{ base = 'lptop' }}{DATA}": "Did you mean 'laptop'?",
    f"budget = {{ base = 3 }}{DATA}": "base must be the name of a budget",
    f"budget = {{ base = 'smoke', steps = 0 }}{DATA}": "budget.steps = 0: must be greater than 0",
    f"budget = {{ base = 'smoke', steps = '9' }}{DATA}": "budget.steps = '9'",
    f"budget = {{ base = 'smoke', steps = true }}{DATA}": "budget.steps = True",
    f"budget = {{ base = 'smoke', lr = nan }}{DATA}": "budget.lr = nan",
    f"budget = {{ base = 'smoke', lr = '1' }}{DATA}": "budget.lr = '1'",
    f"budget = {{ base = 'smoke', lr = {10**400} }}{DATA}": "budget.lr = ",
    f"budget = {{ base = 'smoke', batch = 1 }}{DATA}": "budget.batch = 1",
    f"budget = {{ base = 'smoke', continuation = 2 }}{DATA}": "budget.continuation = 2",
    f"budget = {{ base = 'smoke', mixtures = [0] }}{DATA}": "budget.mixtures[0] = 0",
    f"budget = {{ base = 'smoke', mixtures = 4 }}{DATA}": "budget.mixtures = 4: must be a list",
    f"budget = {{ base = 'smoke', score_trees = 1 }}{DATA}": "budget.score_trees = 1: must be true or false",
    f"budget = {{ base = 'smoke', test = {10**12} }}{DATA}": "budget.test = ",
    data("budget = 'smok'"): "datasets[0].budget = 'smok': there is no budget 'smok'. Did you mean 'smoke'?",
    data("budget = ''"): "datasets[0].budget = '': there is no budget ''",
    # suites that say one thing twice, or nothing
    models("'vae', 'vae'"): "vae is there twice; give one another variant",
    models("'beta-vae', 'beta_vae'"): "beta_vae is there twice; give one another variant",
    models("'*', '*'"): "* is there twice",
    DATA + DATA: "digits is there twice; give one another label",
    f"elbo = false\n{data(sigmas='[]')}": "leave nothing to do",
    f"models = [{{ name = 'vae', elbo = false }}]\n{data(sigmas='[]')}": "sigmas = [] and vae has elbo = false",
    models("'m2'").replace("digits", "linear_gaussian"): "m2 needs data with labels",
    models("'m2', 'vae'").replace("digits", "linear_gaussian"): "m2 needs data with labels",
    # texts that are no TOML
    "title = ": "is not TOML",
    f"title = 'x{DATA}": "is not TOML",
    f"seeds = 1\nseeds = 2{DATA}": "is not TOML",
    "[[datasets]": "is not TOML",
    '{"name": "x"}': "is not TOML",
    "a = " + "[" * 5000: "within each other",
}


def run(args, capsys, monkeypatch):
    """Exit code, and what was said on stderr, of a command line within this process."""
    monkeypatch.setattr(sys, "argv", ["rdu-bench", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


def test_there_are_as_many_bad_suites_as_promised():
    assert len(BAD) >= 130


@pytest.mark.parametrize("text", BAD, ids=[f"{i:03d}" for i in range(len(BAD))])
def test_a_bad_suite_is_one_sentence_and_exit_code_2(tmp_path, capsys, monkeypatch, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(["run", "--suite", "mine.toml", "--dry-run"], capsys, monkeypatch)
    assert code == 2 and out == "", out + err
    assert BAD[text] in err
    assert err.startswith("rdu-bench: ") and err.count("\n") == 1 and len(err) < 1200
    assert [p.name for p in tmp_path.iterdir()] == ["mine.toml"]


def no_file(path):
    pass


FILES = {
    "nothing": (no_file, "does not exist"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "a named pipe": (lambda path: os.mkfifo(path), "no regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be read"),
    "a dangling link": (lambda path: path.symlink_to(path.with_name("no.toml")), "does not exist"),
    "binary": (lambda path: path.write_bytes(bytes(range(256))), "not UTF-8 text"),
    "Latin-1": (lambda path: path.write_bytes(f"title = 'é'{DATA}".encode("latin-1")), "not UTF-8 text"),
    "UTF-16": (lambda path: path.write_bytes(f"title = 'x'{DATA}".encode("utf-16")), "not UTF-8 text"),
    "null characters": (lambda path: path.write_bytes(b"\0" * 100), "is not TOML"),
    "100 MB": (lambda path: path.open("wb").truncate(10**8), "has 100 MB; a suite file has at most 1 MB"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_is_no_suite_file_is_said_at_once(tmp_path, capsys, monkeypatch, case):
    make, words = FILES[case]
    make(tmp_path / "mine.toml")
    began = time.monotonic()
    code, _, err = run(["run", "--suite", tmp_path / "mine.toml"], capsys, monkeypatch)
    assert code == 2 and words in err and err.count("\n") == 1, err
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["quik", "../suites/quick", "/etc/passwd", "budgets", "", "x" * 400, "a\0b", "a.tml"])
def test_what_is_no_name_of_a_suite_is_said(capsys, monkeypatch, name):
    code, _, err = run(["run", "--suite", name], capsys, monkeypatch)
    assert code == 2 and "there is no suite" in err and err.count("\n") == 1


def test_a_name_too_long_for_a_file_is_said(capsys, monkeypatch):
    code, _, err = run(["run", "--suite", "x" * 400 + ".toml"], capsys, monkeypatch)
    assert code == 2 and "cannot be read" in err and err.count("\n") == 1


@pytest.mark.parametrize("text", [f"seeds = '2'{DATA}", f"name = '../../escaped'{DATA}"])
def test_the_program_ends_as_its_main_function_does(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    command = [sys.executable, "-m", "rdu_bench.cli", "run", "--suite", "mine.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.toml"] and not (tmp_path.parent / "escaped").exists()


def test_many_faults_are_a_few_lines(tmp_path):
    (tmp_path / "mine.toml").write_text(data(sigmas=str(["x"] * 500)))
    with pytest.raises(suite.SuiteError) as said:
        suite.read(tmp_path / "mine.toml")
    assert str(said.value).count("\n") == 3 and "and 497 more faults" in str(said.value)


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_fault(tmp_path, start):
    (tmp_path / "mine.toml").write_bytes((start + f"title = 'Größe — σ'{DATA}").encode())
    assert suite.read(tmp_path / "mine.toml").title == "Größe — σ"


GOOD = [
    data(sigmas="[]"),
    data(sigmas="[2, 2.0, 2]"),
    data("hidden = []"),
    data("latent = 3\nlabel = 'größe 2'\nfamily = 'conv'\nhidden = [8, 16]"),
    models("{ name = 'beta_vae', params = { beta = 2, latent = 3 } }"),
    models("{ name = 'beta_vae', sweep = { beta = [1, 1.0, 2] } }"),
    models("{ name = '*', datasets = ['dig*'] }, 'vae'"),
    models("{ name = '*', elbo = false }, 'vae'"),
    f"elbo = false\nmodels = [{{ name = 'vae', elbo = true }}]\n{data(sigmas='[]')}",
    models("{ name = 'wae', variant = 'a' }, { name = 'wae', variant = 'b' }"),
    f"elbo = false\nmodels = [{{ name = 'beta_vae', sweep = {{ beta = [1] }} }}]\n{data(sigmas='[]')}",
    f"budget = {{ steps = 20 }}{DATA}",
    f"budget = {{ base = 'smoke', lr = 1 }}{DATA}",
]


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_a_good_suite_is_not_refused(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    found = curves(suite.read(tmp_path / "mine.toml"))
    keys = [curve.key(sigma) for curve in found for sigma in curve.sigmas]
    assert len(keys) == len(set(keys)) > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "tpu"}, "choose cpu, cuda"),
        ({"device": "cpu:1"}, "choose cpu, cuda"),
        ({"device": "cuda:x"}, "choose cpu, cuda"),
        ({"device": 3}, "choose cpu, cuda"),
        ({"strategy": "fast"}, "choose independent"),
        ({"seeds": 0}, "at least 1"),
        ({"seeds": True}, "at least 1"),
        ({"seeds": "2"}, "at least 1"),
        ({"seeds": 10**20}, "at most 1000"),
        ({"threads": 0}, "threads 0: give a whole number"),
        ({"sigmas": [float("nan")]}, "positive number"),
        ({"sigmas": [float("inf")]}, "positive number"),
        ({"sigmas": ["3"]}, "positive number"),
        ({"sigmas": [-3.0]}, "--sigma -3.0"),
        ({"sigmas": [10**400]}, "positive number"),
        ({"models": [3]}, "--model 3: give a name"),
        ({"models": [""]}, "--model '': give a name"),
        ({"datasets": ["x" * 200]}, "selects nothing"),
        ({"shard": (3, 2)}, "give i/n"),
        ({"shard": (0, 2)}, "give i/n"),
        ({"shard": (9, 9)}, "fewer parts"),
        ({"shard": "1/2"}, "give i/n"),
        ({"budget": "lptop"}, "Did you mean 'laptop'"),
        ({"budget": ["smoke"]}, "--budget"),
        ({"models": ["vea"]}, "Did you mean 'vae'"),
        ({"models": ["nothing"]}, "--model nothing selects nothing: suite 'smoke' has vae, vib, vq_vae"),
    ],
)
def test_what_is_wrong_with_a_selection_is_said(given, words):
    with pytest.raises(suite.SuiteError, match=re.escape(words)) as said:
        curves(suite.read("smoke"), Selection(**given))
    assert "\n" not in str(said.value)


def test_a_broken_plugin_stops_no_other_model_of_a_star(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "torn.py").write_text("def (")
    monkeypatch.setenv(_paths.PLUGINS, str(tmp_path))
    from rdu_bench import registry
    from rdu_bench.engine.expand import expand

    (tmp_path / "mine.toml").write_text(f"models = ['*']{DATA}")
    done = expand(suite.read(tmp_path / "mine.toml"))
    assert {"beta_vae", "wae"} <= {curve.model for curve in done.curves}
    assert len(done.left_out) == 1 and "torn.py, line 1" in done.left_out[0]
    (tmp_path / "models" / "wae.py").write_text("")
    done = expand(suite.read(tmp_path / "mine.toml"))
    assert "wae" not in {curve.model for curve in done.curves} and len(done.left_out) == 2
    for name in ("torn", "wae"):
        (tmp_path / "mine.toml").write_text(models(f"'{name}', 'm2'"))
        with pytest.raises(registry.PluginError, match=name):
            expand(suite.read(tmp_path / "mine.toml"))
        with pytest.raises(registry.PluginError, match=name):
            expand(suite.read("smoke"), Selection(models=(name,)))


def test_what_a_suite_holds_can_be_part_of_a_key(tmp_path):
    (tmp_path / "mine.toml").write_text(models("{ name = 'vae', params = { latent = 3 } }"))
    for curve in curves(suite.read(tmp_path / "mine.toml")):
        assert canonical(curve.spec(None))
