"""Models that cheat, each with what must catch it: whoever finds a new one adds its file here."""

import ast
from pathlib import Path

import pytest

from rdu_bench._settings import Untouched
from rdu_bench.conformance import models
from rdu_bench.conformance.model_subject import ModelSubject
from rdu_bench.conformance.plugin import law_name, read

CHEATS = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
TRIED = [law for stage in models.STAGES for law in stage if law is not models.learns]  # which takes training


def catcher(path: Path) -> str:
    """What the file says must catch it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CAUGHT":
            return str(ast.literal_eval(node.value))
    raise AssertionError(f"{path.name} does not say what must catch it")


def broken(path: Path, laws: list) -> dict[str, str]:
    """The laws that a file breaks, with the words of each; one that ends in an exception is broken."""
    subject = ModelSubject(read(path), {})
    before = Untouched()
    subject.load()
    before.put_back()
    found = {}
    for law in laws:
        try:
            words = "; ".join(law(subject))
        except Exception as error:
            words = f"raised {type(error).__name__}: {error}"
        if words:
            found[law_name(law)] = words
    return found


def test_there_are_many_and_every_law_of_the_receiver_catches_some():
    assert len(CHEATS) >= 40
    caught = {catcher(path) for path in CHEATS}
    assert caught - {"nothing"} <= set(models.LAWS)
    for law in vars(models.model_receiver).values():
        if callable(law) and getattr(law, "__module__", "") == models.model_receiver.__name__:
            assert law.__name__ in ("judged", "_tried") or law_name(law) in caught


@pytest.mark.parametrize("path", CHEATS, ids=lambda path: path.stem)
def test_a_cheat_is_caught_by_the_law_it_names(path):
    law = catcher(path)
    if law == "nothing":
        assert broken(path, TRIED) == {}  # said in METHOD.md
    else:
        assert law in broken(path, [one for one in TRIED if law_name(one) == law])
