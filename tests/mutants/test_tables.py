"""Tables of mutants are sound: each fault has one place in its model, and each named file is there."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("mutants_run", HERE / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


@pytest.mark.parametrize("table", run.tables([]), ids=lambda table: table.model)
def test_every_mutant_changes_one_place_of_its_file(table):
    for mutant in table.mutants:
        source = (run.ROOT / mutant.where(table.model)).read_text(encoding="utf-8")
        changed = run.mutated(source, mutant)
        assert changed != source
        compile(changed, table.model, "exec")
    assert table.tests and all((run.ROOT / test).is_file() for test in table.tests)
    assert len({mutant.says for mutant in table.mutants}) == len(table.mutants)


@pytest.mark.parametrize("find", ["y", "z"])
def test_a_mutant_of_two_places_or_none_is_refused(find):
    with pytest.raises(ValueError, match="not once"):
        run.mutated("y = y", run.Mutant("", find, "x"))
