"""The plug-ins that made records are examined with the parameters that they had there."""

import fake_records
import pytest

from rdu_bench import _paths, registry
from rdu_bench.conformance import of_records
from rdu_bench.conformance.of_records import examined, faults

MODEL = '''"""A model."""

from rdu_bench.api import Autoencoder, Row


class Mine(Autoencoder):
    """The VAE with a share of its rate.

        L = D + R,  R = share · KL(q(z|x) ‖ p(z))

    Kingma and Welling (2014), arXiv:1312.6114.
    """

    row = Row(paper="1312.6114", title="Mine", objective="D + R")

    def __init__(self, spec, *, share: float = 1.0):
        super().__init__(spec)
        self.share = share

    def encode(self, batch):
        code = super().encode(batch)
        return {"z": code["z"]._replace(rate=self.share * code["z"].rate)}
'''


@pytest.fixture
def mine(plugins):
    (plugins / "models" / "mine.py").write_text(MODEL)
    return registry.find("models", "mine")


def spec(name, **params):
    made = fake_records.record(name, sigma=2.0)["spec"]
    hashes = {f"models/{name}": registry.plugin_hash("models", name)}
    return {**made, "params": params, "plugins": {**made.get("plugins", {}), **hashes}}


def test_a_file_is_examined_once_for_all_parameters_that_it_had(mine):
    half, whole = examined([spec("mine"), spec("mine"), spec("mine", share=0.5), spec("vae")])
    assert (whole.path, whole.params, whole.wrong) == (mine, {}, [])
    assert half.where == f"{mine} (share=0.5)"
    assert any(words.startswith("rate is paid: ") for words in half.wrong)


def test_files_of_the_package_are_examined_where_anybodys_may_lie_beside_them(mine, monkeypatch):
    seen, models = [], _paths.builtin("models")
    monkeypatch.setattr(of_records, "check", lambda path, params, kind: seen.append(path.name) or [])
    for checkout, files in ((_paths.HERE.parent, ["mine.py", "vae.py"]), (None, ["mine.py"])):
        monkeypatch.setattr(_paths, "checkout", lambda where=checkout: where)
        monkeypatch.setattr(_paths, "builtin", lambda kind: models)
        assert faults([spec("mine"), spec("vae")]) == [] and seen == files
        seen.clear()
    assert of_records.own_files([spec("mine"), spec("vae")]) == [mine]


def test_what_is_wrong_names_the_file_and_the_law(mine):
    assert all(line.startswith(f"{mine} (share=0.5): ") for line in faults([spec("mine", share=0.5)]))
    made = spec("mine", share=0.5)
    mine.write_text(
        MODEL.replace("-log", "- log") + "# another file than the record's, which is found elsewhere\nx = 1\n"
    )
    assert faults([made]) == []
