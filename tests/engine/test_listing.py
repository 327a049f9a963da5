"""What is printed about suites is what reads them: every key, every row, every point; and files that lack are known."""

import pytest

from rdu_bench import registry
from rdu_bench.budget import Budget, find, name_of
from rdu_bench.engine import listing, ready, suite
from rdu_bench.engine.expand import Selection, curves

KEYS = listing.keys()
DATA = '\n[[datasets]]\nname = "digits"\nsigmas = [1, 2]\n'


def made(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    return suite.read(tmp_path / "mine.toml")


def test_every_key_has_a_type_a_meaning_and_a_default_that_reads_back(tmp_path):
    keys = KEYS
    assert len(keys) == len({(key.table, key.name) for key in keys})
    assert all(key.type and key.meaning for key in keys)
    lines = {"": [], "[[models]]": ["name = 'vae'"], "[[datasets]]": ["name = 'digits'", "sigmas = [1, 2]"]}
    for key in keys:  # a suite that says what would hold anyway
        if key.table in lines and key.default not in ("", '""', "required", "the file's") and key.name != "models":
            lines[key.table].append(f"{key.name} = {key.default}")
    text = "\n".join(line for table, said in lines.items() for line in (table, *said))
    plain = curves(made(tmp_path, f"models = ['vae']{DATA}"))
    assert curves(made(tmp_path, text)) == plain
    assert [curve.spec(1.0) for curve in curves(made(tmp_path, text))] == [curve.spec(1.0) for curve in plain]


def test_the_keys_are_those_that_are_read(tmp_path):
    for key in KEYS:
        if key.table == "[budget]":
            assert key.name == "base" or key.name in Budget.model_fields
    said = "\n".join(listing.key_lines())
    for name in ("sweep", "variant", "hidden", "[budget]", "score_trees", "batched"):
        assert name in said
    with pytest.raises(suite.SuiteError) as error:
        made(tmp_path, f"no_such_key = 1{DATA}")
    for key in KEYS:
        assert key.table or key.name in str(error.value)


def test_the_overview_counts_what_would_run():
    head, *rows = listing.overview()
    assert [row[0] for row in rows] == suite.names() and all(len(row) == len(head) for row in rows)
    [smoke] = [dict(zip(head, row, strict=True)) for row in rows if row[0] == "smoke"]
    assert smoke == {
        "name": "smoke",
        "models": "3",
        "points": "9",
        "budget": "smoke",
        "data sets": "digits",
        "title": "Does everything run?",
    }


def test_a_description_names_every_row_with_its_points():
    lines = listing.description(suite.read("quick"))
    said = "\n".join(lines)
    found = curves(suite.read("quick"))
    for row in {curve.row for curve in found}:
        assert any(line.split()[:1] == [row] for line in lines)
    assert "beta = [0.25, 0.5, 1, 2]" in said and 'noise = "posthoc-learned"' in said
    assert f"digits: {sum(len(c.sigmas) for c in found)} points" in said and "laptop" in said


def test_a_description_says_which_models_a_data_set_is_not_for(tmp_path):
    text = "models = ['*']\n[[datasets]]\nname = 'linear_gaussian'\nsigmas = [1]\n"
    said = "\n".join(listing.description(made(tmp_path, text)))
    assert "without m2, which needs labels" in said
    only = text.replace("['*']", "['vae', { name = 'm2', datasets = ['digits'] }]") + DATA
    assert "without" not in "\n".join(listing.description(made(tmp_path, only)))


OWN = [
    ("budget = 'smoke'", find("smoke")),
    ("budget = { base = 'smoke' }", find("smoke")),
    ("budget = { base = 'smoke', steps = 20, lr = 1 }", find("smoke").model_copy(update={"steps": 20, "lr": 1.0})),
    ("budget = { steps = 20 }", Budget(steps=20)),
    ("[budget]\nsteps = 20\nmixtures = [3]", Budget(steps=20, mixtures=(3,))),
]


@pytest.mark.parametrize(("text", "budget"), OWN)
def test_a_suite_may_have_a_budget_of_its_own(tmp_path, text, budget):
    read = made(tmp_path, f"{text}{DATA}")
    [curve] = curves(read, Selection(models=("vae",)))
    assert curve.budget == budget and curve.spec(1.0)["budget"] == budget.spec()
    [other] = curves(read, Selection(models=("vae",), budget="paper"))
    assert other.budget == find("paper")


@pytest.mark.parametrize(("text", "budget"), OWN[:4])
def test_a_data_set_may_have_a_budget_of_its_own(tmp_path, text, budget):
    read = made(tmp_path, f"models = ['vae']{DATA}{text}{DATA}label = 'other'\n")
    one, other = curves(read)
    assert one.budget == budget and other.budget == find("laptop")


def test_a_budget_of_known_fields_has_its_name():
    assert name_of(find("laptop")) == "laptop" and name_of(Budget(steps=3)) == "own"


@pytest.mark.parametrize("named", [False, True], ids=["no folder", "an empty folder"])
def test_a_data_set_without_files_is_left_out_and_the_rest_is_done(tmp_path, monkeypatch, named):
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    if named:
        monkeypatch.setenv("RDU_BENCH_DATA", str(tmp_path))
    found = curves(suite.read("all"))
    kept, sentences = ready.at_hand(found, found)
    assert {c.dataset for c in found} - {c.dataset for c in kept} == {"mnist"}
    assert len(sentences) == 1 and sentences[0].startswith("mnist: mnist") and "\n" not in sentences[0]


def test_a_selection_of_data_sets_without_files_alone_is_refused(monkeypatch):
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    found = [curve for curve in curves(suite.read("all")) if curve.dataset == "mnist"]
    with pytest.raises(suite.SuiteError, match="mnist needs"):
        ready.at_hand(found, found)


def test_points_that_are_there_need_no_files(monkeypatch):
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)
    found = curves(suite.read("all"))
    kept, sentences = ready.at_hand(found, [curve for curve in found if curve.dataset != "mnist"])
    assert kept == found and sentences == []


def test_data_sets_that_need_no_files_are_not_imported_to_ask(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "missing_files", lambda name, **params: asked.append(name) or "")
    ready.without_files(curves(suite.read("all")))
    assert sorted(asked) == ["coloured", "mnist"]
