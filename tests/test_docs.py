"""What the documents say is so: commands parse, code runs, links lead somewhere, and tables are those of the code."""

import ast
import json
import math
import re
import shlex
from pathlib import Path

import fake_records
import numpy as np
import pandas as pd
import pytest
import typer

import rdu_bench
from rdu_bench._sources import digest_of
from rdu_bench.budget import named
from rdu_bench.cli.app import app
from rdu_bench.engine.expand import curves
from rdu_bench.engine.suite import STRATEGIES, read
from rdu_bench.records.schema import STATUSES
from rdu_bench.records.store import Store

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "METHOD.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md", "results/README.md"]
PUBLISHED = ROOT / "results" / "all" / "manifest.json"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """Fenced blocks of a language, without their indent."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text(name), re.M | re.S)
    return ["\n".join(line.removeprefix(indent) for line in block.splitlines()) for indent, block in found]


def commands(name):
    """Command lines of a document, in blocks and in the text."""
    lines = [line for block in blocks(name, "bash") for line in block.splitlines()]
    inline = re.findall(r"`(rdu-bench [^`]*)`", text(name))
    for line in [*lines, *inline]:
        yield from (part.strip() for part in line.split("#")[0].split("&&") if part.strip())


def ours():
    """(document, arguments) of every command line of ours."""
    for name in DOCUMENTS:
        for line in dict.fromkeys(commands(name)):
            words = shlex.split(line)
            if words[0].endswith("rdu-bench"):
                yield name, words[1:]


def test_the_readme_is_short_and_installs_and_tests_in_its_first_lines():
    lines = text("README.md").splitlines()
    assert len(lines) <= 120
    first, second = blocks("README.md", "bash")[:2]
    assert "pip install" in first and first.endswith("rdu-bench run") and first in lines[:20]
    ran = text(".ci/run").splitlines()
    assert second in lines[:20] and any(second.removeprefix(".venv/bin/python") in line for line in ran)


@pytest.mark.parametrize(("name", "words"), list(ours()), ids=lambda v: v if isinstance(v, str) else " ".join(v) or "-")
def test_a_command_of_ours_is_one(name, words):
    """Its verbs exist and take its options; nothing is run."""
    command = typer.main.get_command(app)
    context = command.make_context("rdu-bench", list(words), resilient_parsing=True)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{name}: there is no `rdu-bench {words[0]}`"
        command, words = command.commands[words[0]], words[1:]
    placeholders = [word.replace("NAME", "digits") for word in words]
    if not hasattr(command, "commands"):
        command.make_parser(typer.Context(command, parent=context)).parse_args(placeholders)


def verbs(command=None, name="rdu-bench"):
    """(words, command) of every verb, and of the groups of them."""
    command = typer.main.get_command(app) if command is None else command
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from verbs(below, f"{name} {word}")


@pytest.mark.parametrize(("name", "command"), list(verbs()), ids=lambda v: v if isinstance(v, str) else "")
def test_help_is_whole_and_leaves_nothing_out(name, command):
    """On 80 columns no line of an overview is cut, and each argument and option has words beside it."""
    context = typer.Context(command, info_name=name, terminal_width=80, max_content_width=80)
    assert "..." not in command.get_help(context).partition("Commands:")[2]
    for parameter in command.params:
        shown = parameter.get_help_record(context)
        assert shown and shown[1].strip("[] ") not in ("", "required"), f"{name}: {parameter.name} is not explained"


def test_help_names_the_budgets_and_strategies_that_there_are():
    options = {p.name: p.help for p in dict(verbs())["rdu-bench run"].params}
    assert all(word in options["budget"] for word in named()) and "auto" in options["strategy"]
    assert all(word in options["strategy"] for word in STRATEGIES)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_commands_name_exist(name):
    for line in commands(name):
        words = shlex.split(line)
        for word in words if words[0].endswith(("pip", "python", "pytest")) else ():
            if word.endswith((".py", ".txt")) or word.startswith("tests/"):
                assert (ROOT / word).exists(), f"{name}: {word}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, heading = target.partition("#")
        found = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        if not PUBLISHED.exists() and found.is_relative_to(PUBLISHED.parent):
            continue  # what a published run makes
        assert found.exists(), f"{name}: {target}"
        titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.M) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles], target


def test_the_model_of_the_readme_is_the_shipped_one_but_for_its_claim(tmp_path):
    [shown] = [block for block in blocks("README.md", "python") if block.startswith("class ")]
    [model] = [n for n in ast.parse(text("models/beta_tcvae.py")).body if isinstance(n, ast.ClassDef)]
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(shown), other.write_text(ast.unparse(model))
    assert digest_of(one) == digest_of(other)


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    """In a folder with a run in it; the encoder is built, and fitted in a test of its own."""
    store = Store(tmp_path / "results" / "runs" / "quick")
    for record in fake_records.suite(models=("vae",), seeds=1):
        store.write(record)
    draw = np.random.default_rng(0)
    factors = draw.integers(0, 4, (600, 3))
    z = factors + 0.1 * draw.normal(size=(600, 3))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rdu_bench.Encoder, "fit_transform", lambda self, X: X)
    names = {"X": z, "z": z, "factors": factors, "z_test": z, "factors_test": factors, "y": factors[:, 0]}
    for block in blocks("README.md", "python"):
        if not block.startswith("class "):
            exec(compile(block, "README.md", "exec"), names)
    assert names["Z"] is z and len(names["frame"]) > 0


def test_the_suite_of_contributing_is_one(tmp_path):
    [shown] = blocks("CONTRIBUTING.md", "toml")
    (tmp_path / "shown.toml").write_text(shown, encoding="utf-8")
    made = curves(read(tmp_path / "shown.toml"))
    assert {curve.model for curve in made} == {"vae", "factor_vae"} and made[0].budget.steps == 2000


@pytest.fixture(scope="module")
def points():
    """The published points by suite."""
    found = {path.parent.name: path for path in (ROOT / "results").glob("*/points.parquet")}
    if "all" not in found:
        pytest.skip("the published results are not here")
    return {suite: rdu_bench.load_results(path) for suite, path in found.items()}


def test_what_results_say_of_themselves_is_in_their_points(points):
    """Counts of points and curves, and CPU time to the digit that is given."""
    said = " ".join(text("results/README.md").split())
    every, quick = points["all"], points["quick"]
    curves = every.groupby(["dataset", "model", "variant", "swept", "seed"], dropna=False).ngroups
    counts = every["status"].value_counts()
    assert f"{curves} curves, {len(every)} points, of which {counts['ok']} have the rate asked for" in said
    assert (
        f"{counts['rate_missed']} miss it by more than the tolerance and {counts['unreachable']} cannot reach" in said
    )
    assert f"{(quick['status'] == 'ok').sum()} of its {len(quick)} points have the rate asked for" in said
    hours = [every[column].sum() / 3600 for column in ("train_cpu_s", "measure_cpu_s")]
    assert f"{hours[0]:.1f} hours of CPU to train and {hours[1]:.1f}".replace(" 0.", " .") in said
    cpu = {suite: frame["train_cpu_s"] + frame["measure_cpu_s"] for suite, frame in points.items()}
    each = cpu["quick"].groupby(quick["seed"]).sum() / 60
    assert f"took {each.min():.0f} to {each.max():.0f} minutes of CPU each" in said
    for suite, words in (
        ("sensitivity", "{n} points of which {ok} have the rate asked for, in {cpu:.0f} minutes"),
        ("sequences", "{n} points of the VAE and of DSVAE, FHVAE, KVAE, DDPAE, DRNET, MCNet, SOM-VAE, ML-VAE and GQN"),
        ("sequences", "ML-VAE and GQN, in {cpu:.0f} minutes of CPU; DSVAE and ML-VAE on `moving_sprites` were not run"),
        ("fashion", "{n} points in {cpu:.0f} minutes of CPU, of which {ok} have the rate asked for"),
    ):
        ok = (points[suite]["status"] == "ok").sum()
        assert words.format(n=len(points[suite]), ok=ok, cpu=cpu[suite].sum() / 60) in said
    fates = pd.read_csv(ROOT / "results" / "sensitivity" / "comparisons.csv")
    for score, words in (
        ("bd_nats", "of 15 comparisons {} are resolved on digits, all of which survive"),
        ("dIV", "ΔI_V one seed resolves {}, that FactorVAE is behind, of which {} survive"),
    ):
        of = fates[(fates["score"] == score) & fates["resolved"]]
        survive = (of["conclusion"] == "survives").sum()
        numbers = {3: "three", 4: "four"}
        assert words.format(*(numbers.get(n, n) for n in (len(of), survive))) in said
        assert len(of) == survive if score == "bd_nats" else set(of["behind"]) == {"FactorVAE"}
    films = points["sequences"]
    assert not (films["model"].isin(["dsvae", "ml_vae"]) & (films["dataset"] == "moving_sprites")).any()
    cut = films.groupby("dataset")["capped"].mean()
    there = films[(films["dataset"] == "moving_sprites") & (films["status"] == "ok")]
    assert there["capped"].sum() == len(there) - 1
    assert set(films[films["status"] == "unreachable"]["model"]) == {"fhvae"}
    flown = films[films["dataset"] == "moving_digits"].set_index("model")
    assert (flown["IV"][flown["R_star"] < 55] < 0.05).all() and flown["Hy_V"].round(1).eq(4.2).all()
    least = flown.loc["vae", "D"].min()
    assert (flown.loc["vae", "D"][flown.loc["vae", "R_star"] > 22] < least + 4).all()
    better = flown.loc["ddpae", "D"] < least
    assert flown.loc["ddpae", "R_star"][better].min() == pytest.approx(31.7, abs=0.1) and better.sum() == 4
    sprites = every[every["dataset"] == "sprites"]["capped"]
    assert sprites.mean() > 0.5  # "most"
    spread = every.query("dataset == 'sprites' and sigma == 4.5").groupby("model")["D"].std()
    assert spread.drop(["joint_vae", "dc_ign"]).between(0.035, 0.145).all()  # METHOD's
    assert spread[["joint_vae", "dc_ign"]].round(1).tolist() == [0.2, 0.9]
    assert cut["scenes"] == 14 / 16 and cut["bouncing_ball"] == 31 / 40
    told = sum("blocks" in held or "structure.blocks" in nulls for held, nulls in _held(every))
    assert f"ruled out in the {told} points that were made last" in said


def test_what_results_say_of_seeds_and_claims_is_in_their_tables(points):
    said = " ".join(text("results/README.md").split())
    every = points["all"]
    seeds = every.groupby(["dataset", "model", "variant"])["seed"].nunique()
    digits = seeds["digits"]
    assert f"All {len(digits)} rows on `digits`" in said
    assert set(seeds) == {3} and seeds.index.unique("dataset").size == 9
    claims = pd.read_csv(ROOT / "results" / "all" / "claims.csv")
    counted = claims["verdict"].value_counts()
    held, lost, open_ = (counted[name] for name in ("held", "not held", "undecided"))
    words = "of {} [claims](all/claims.md) {} hold, {} do not, and {} are undecided"
    assert words.format(held + lost + open_, held, lost, open_) in said
    of = claims.groupby("dataset")["verdict"].value_counts()
    held = [of[name, "held"] for name in ("digits", "sprites", "moving_sprites", "coloured")]
    words = "{} of those that hold are of `digits`, {} of `sprites`, {} of `moving_sprites` and all {} of `coloured`"
    assert words.format(*held) in said
    assert of["coloured"].index.tolist() == ["held"]


def test_what_results_say_of_fashion_is_in_their_points(points):
    fashion = points["fashion"].set_index(["dataset", "model", "sigma"]).sort_index()
    assert fashion["capped"].mean() > 0.85 and round(6400 * 128 / 54_000) == 15
    flat, conv = fashion.loc["fashion_mnist", "D"].unstack("model"), fashion.loc[("fashion-conv", "vae"), "D"]
    near = flat.loc[[2, 4, 6, 9, 13], ["vae", "beta_tcvae", "wae", "m2"]]
    assert (near.max(axis=1) - near.min(axis=1)).between(1.9, 3.2).all()
    behind = flat["vq_vae"] - flat["vae"]
    assert behind.loc[4:18].between(2.5, 9).all()
    gained = flat["vae"] - conv
    assert abs(gained.loc[6]) < 0.5 and gained.loc[9:24].between(1.5, 4.5).all()
    blocks = pd.read_csv(ROOT / "results" / "fashion" / "blocks.csv").query("model == 'm2' and block == 'y'")
    assert blocks["IV"].max() < 0.02 and blocks["R"].max() == pytest.approx(1.2, abs=0.05)


def test_every_claim_that_does_not_hold_was_looked_into(points):
    claims = pd.read_csv(ROOT / "results" / "all" / "claims.csv")
    lost = claims.loc[claims["verdict"] == "not held", "name"].str.replace(" (ema)", "")
    rows = text("METHOD.md").partition("| claim | why it does not hold |\n|---|---|\n")[2].partition("\n\n")[0]
    claimed = [row.split("|")[1] for row in rows.splitlines()]
    assert not {name for name in lost if not any(name in of for of in claimed)}
    assert all(any(name in of for name in lost) for of in claimed)
    digits = points["all"].query("dataset == 'digits' and variant == ''").groupby(["model", "sigma"])
    mean = digits[["D", "I_low", "Dy"]].mean()
    assert ((mean.loc["gumbel_vq", "D"] - mean.loc["vae", "D"]).abs() < 0.5).all()
    for game in ("ali", "bigan"):
        off = mean.loc[game] - mean.loc["vae"]
        assert (off["I_low"].abs() < 0.3).all() and (off[["D", "Dy"]] > 0).all(axis=None)
    films = points["all"].query("dataset == 'moving_digits'").groupby(["model", "sigma"], dropna=False)["D"].mean()
    assert (round(films["vae"].min()), round(films["ddpae"].min())) == (482, 371)
    balls = points["all"].query("dataset == 'bouncing_ball'")
    fixed = balls[balls["sigma"] == 4].groupby("model")["D"].mean().round()
    assert fixed[["kvae", "dsvae", "vae"]].tolist() == [430, 396, 282]
    free = balls[balls["sigma"].isna()].groupby("model")["D"].mean().round()
    assert free[["kvae", "vae"]].tolist() == [14, 49]
    known = points["all"].query("dataset == 'digits' and variant == '' and sigma > 0")
    known = known.assign(ari=[held.get("clusters", {}).get("ari") for held, _ in _held(known)])
    joint, vae = (known[known["model"] == name].set_index("sigma")["ari"].round(2) for name in ("joint_vae", "vae"))
    for sigmas, said in (([4.0], (0.23, 0.36, 0.09, 0.13)), ([9.0, 13.0, 18.0], (0.03, 0.18, 0.30, 0.48))):
        assert tuple(f(part.loc[sigmas]) for part in (joint, vae) for f in (min, max)) == said
    ari = known.groupby(["model", "sigma"])["ari"].mean().unstack("sigma")
    for model, said in (("pixelgan_ae", (0.20, 0.36)), ("vae", (0.36, 0.47))):
        assert ari.loc[model, [9.0, 18.0]].round(2).tolist() == list(said)
    assert ari.loc["aae"].max().round(2) == 0.13
    noise = pd.read_csv(ROOT / "results" / "all" / "noise.csv").query("dataset == 'digits' and level == 0.2")
    sure = noise[(noise["model"] == "information_dropout") & (noise["variant"] == "label")]
    assert (sure.loc[sure["sigma"] <= 13, "Dy"] > math.log(10)).all()


def _held(frame):
    """(what is known of the structure, reasons for what is not) of each point."""
    for held, nulls in zip(frame["structure"], frame["nulls"], strict=True):
        yield json.loads(held or "{}"), json.loads(nulls or "{}")


def test_distortions_of_the_method_are_those_that_were_published(points):
    every = points["all"]
    at = every.query("dataset == 'sprites' and sigma == 4.5 and variant == ''").groupby("model")["D"].mean()
    said = (
        f"There the VAE has D = {at['vae']:.2f} at 4.5 nats and FactorVAE {at['factor_vae']:.2f} (means of three seeds)"
    )
    assert said in " ".join(text("METHOD.md").split())


def test_the_share_of_measuring_is_that_of_the_points(points):
    share = {suite: frame["measure_cpu_s"].sum() / frame["train_cpu_s"].sum() for suite, frame in points.items()}
    third = points["all"].query("seed == 2")[["train_cpu_s", "measure_cpu_s"]].sum().sum() / 3600
    assert f"half of the {third:.1f} hours of CPU that the points of the third seed took" in text("METHOD.md")
    said = "{:.2f} in `all`, {:.2f} in `quick`".format(share["all"], share["quick"]).replace("0.", ".")
    assert said in text("METHOD.md")


def test_method_explains_every_status():
    assert not {status for status in STATUSES if f"| `{status}` |" not in text("METHOD.md")}
