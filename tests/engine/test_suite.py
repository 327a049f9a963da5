"""Suites select what they say, refuse what they do not know, and name every point for good."""

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from rdu_bench import registry
from rdu_bench.engine import suite
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.selection import matches
from rdu_bench.engine.suite import SuiteError


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


DATA = '\n[[datasets]]\nname = "digits"\nsigmas = [1, 2]\n'


@pytest.mark.parametrize("name", suite.names())
def test_every_suite_of_ours_expands(name):
    found = curves(suite.read(name))
    keys = [curve.key(sigma) for curve in found for sigma in curve.sigmas]
    assert len(keys) == len(set(keys)) > 0


def test_what_a_suite_asks_for_is_known_without_torch():
    """A command line answers at once, and a suite can be read where nothing can be trained."""
    program = """
import sys
sys.modules["torch"] = None
from rdu_bench.engine import suite
from rdu_bench.engine.expand import curves
print(sum(len(curves(suite.read(name))) > 0 for name in suite.names()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [str(len(suite.names()))], done.stderr


def test_the_whole_suite_has_every_model_and_those_of_pictures_at_seven_rates():
    """Those of sequences, groups and scenes have a suite of their own, with whole curves."""
    needs = {name: registry.card("models", name).get("needs", ()) for name in registry.files("models")}
    sequences, found = curves(suite.read("sequences")), curves(suite.read("all"))
    assert {c.model for c in sequences} == {name for name in needs if "sequence" in needs[name]} | {"vae"}
    assert {c.model for c in found} == {*needs}
    of_pictures = [c for c in found if c.dataset not in {c.dataset for c in sequences}]
    assert {c.model for c in of_pictures} == {name for name in needs if "sequence" not in needs[name]}
    whole = [*of_pictures, *sequences]
    assert all(len([s for s in c.sigmas if s]) == 7 for c in whole if c.sigmas != (None,))


def test_panels_of_sequences_in_the_whole_suite_are_those_of_their_own_at_fewer_rates():
    sequences = {(c.dataset, c.model): c for c in curves(suite.read("sequences"))}
    for curve in curves(suite.read("all")):
        if whole := sequences.get((curve.dataset, curve.model)):
            assert (curve.budget, curve.network, curve.dataset_params) == (
                whole.budget,
                whole.network,
                whole.dataset_params,
            )
            assert {*curve.sigmas} <= {*whole.sigmas} and None in curve.sigmas  # as the reference has


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(SuiteError, match="Did you mean 'quick'"):
        suite.read("quik")


def test_globs_narrow_and_name_what_they_miss():
    read = suite.read("quick")
    assert {c.model for c in curves(read, Selection(models=["*_vae"]))} >= {"beta_vae", "info_vae"}
    assert {c.row for c in curves(read, Selection(models=["beta-vae"]))} == {"beta_vae"}
    with pytest.raises(SuiteError, match="--model nothing selects nothing"):
        curves(read, Selection(models=["nothing"]))
    with pytest.raises(SuiteError, match="--sigma -3"):
        curves(read, Selection(sigmas=[-3.0]))


def test_a_label_means_its_data_set_alone_and_a_glob_every_one_that_it_fits():
    read = suite.read("fashion")
    chosen = {
        glob: {c.data_label for c in curves(read, Selection(datasets=[glob]))} for glob in ("fashion_mnist", "f*")
    }
    assert chosen == {"fashion_mnist": {"fashion_mnist"}, "f*": {"fashion_mnist", "fashion-conv", "fashion-grey"}}


def test_models_go_only_where_the_data_has_what_they_need(tmp_path):
    text = "models = ['*']\n[[datasets]]\nname = 'linear_gaussian'\nsigmas = [1]\n"
    chosen = {c.model for c in curves(suite.read(write(tmp_path, text)))}
    assert "vae" in chosen and not chosen & {"vib", "m2", "vlae_lossy"}


def test_a_key_is_a_matter_of_what_decides_the_numbers():
    [curve] = curves(suite.read("smoke"), Selection(models=["vae"]))
    assert curve.key(3.0) == curve.key(3.0) != curve.key(8.0)
    assert curve.key(3.0) == replace(curve, sigmas=(3.0,)).key(3.0)  # its neighbours do not matter
    for change in ({"seed": 1}, {"params": {"latent": 3}}, {"threads": 2}, {"heads": ("linear",)}):
        assert replace(curve, **change).key(3.0) != curve.key(3.0)
    chained = replace(curve, strategy="continuation")
    assert chained.key(3.0) != replace(chained, sigmas=(3.0,)).key(3.0)  # unless it was warm-started from them
    assert chained.key(8.0) == replace(chained, sigmas=(8.0,)).key(8.0)


def test_an_edited_plugin_is_another_point(tmp_path, monkeypatch):
    [curve] = curves(suite.read("smoke"), Selection(models=["vae"]))
    before, again = curve.key(3.0), replace(curve)
    monkeypatch.setattr(registry, "plugin_hash", lambda kind, name: "0" * 16)
    assert again.key(3.0) != before == curve.key(3.0)  # hashes are those of when the curve was first asked


def test_a_curve_travels_with_its_hashes():
    [curve] = curves(suite.read("smoke"), Selection(models=["vae"]))
    key = curve.key(3.0)
    copy = pickle.loads(pickle.dumps(curve))
    assert copy == curve and "plugins" in vars(copy) and copy.key(3.0) == key


def test_the_same_target_twice_is_one_point():
    [curve] = curves(suite.read("smoke"), Selection(models=["vae"], sigmas=[3, 3.0]))
    assert curve.sigmas == (3.0,)


def test_a_sweep_is_one_row_of_elbo_points(tmp_path):
    text = "models = [{ name = 'beta_vae', sweep = { beta = [0.5, 4] } }, 'vae']" + DATA
    swept = [c for c in curves(suite.read(write(tmp_path, text)), Selection(sigmas=[3.0])) if c.model == "beta_vae"]
    assert [c.params for c in swept] == [{"beta": 0.5}, {"beta": 4}]
    assert {c.row for c in swept} == {"beta_vae"} and {c.sigmas for c in swept} == {(None,)}
    assert swept[0].key(None) != swept[1].key(None)


@pytest.mark.parametrize("whole", ["true", "false"])
def test_a_model_has_an_elbo_point_where_it_says_so_and_else_where_the_suite_does(tmp_path, whole):
    text = f"elbo = {whole}\nmodels = ['vae', {{ name = 'vib', elbo = false }}, {{ name = 'aae', elbo = true }}]" + DATA
    found = {c.model: c.sigmas for c in curves(suite.read(write(tmp_path, text)))}
    assert found == {"vae": (*[None] * (whole == "true"), 1, 2), "vib": (1, 2), "aae": (None, 1, 2)}


def test_the_elbo_is_no_part_of_what_a_target_is_called(tmp_path):
    both = [f"models = [{{ name = 'vae', elbo = {said} }}]" + DATA for said in ("true", "false")]
    one, other = (curves(suite.read(write(tmp_path, text)))[0] for text in both)
    assert one.key(2.0) == other.key(2.0)


def test_a_model_asked_for_by_name_runs_in_any_suite():
    assert "m2" not in {c.model for c in curves(suite.read("smoke"))}
    [curve] = curves(suite.read("smoke"), Selection(models=["m2"]))
    assert curve.model == "m2" and curve.dataset == "digits"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_shards_are_a_partition(n):
    whole = curves(suite.read("smoke"))
    parts = [curves(suite.read("smoke"), Selection(shard=(i + 1, n))) for i in range(n)]
    assert sorted(str(c) for part in parts for c in part) == sorted(map(str, whole))


def test_a_file_is_hashed_once_however_many_curves_it_makes(monkeypatch):
    asked = []
    known = registry.plugin_hash
    monkeypatch.setattr(registry, "plugin_hash", lambda *file: asked.append(file) or known(*file))
    found = curves(suite.read("smoke"), Selection(seeds=20))
    assert len({curve.key(3.0) for curve in found}) == 60
    assert sorted(asked) == sorted({file for curve in found for file in curve.files}) and len(asked) == 6


@pytest.mark.parametrize(("glob", "kept"), [("vq-*", True), ("[!a-z]*", False), ("[a-v]*", True), ("vq_vae", True)])
def test_dashes_of_a_range_are_no_underscores(glob, kept):
    assert matches("vq_vae", glob) is kept


CARD = """
from rdu_bench.api import Card, Dataset


class Mine(Dataset):
    card = Card(title="Mine", source="nowhere", shape="{shape}", task="none", provides=("image",))

    def load(self):
        pass
"""


@pytest.mark.parametrize(
    "shape, fits", [("1×64×64", True), ("1x64x64", True), ("3 x 64 x 64", True), ("1×640×64", False)]
)
def test_networks_for_64_by_64_are_refused_where_the_card_says_another_size(shape, fits, plugins):
    (plugins / "datasets").mkdir()
    (plugins / "datasets" / "mine.py").write_text(CARD.format(shape=shape))
    text = 'models = ["vae"]\n[[datasets]]\nname = "mine"\nfamily = "study"\nsigmas = [1]\n'
    read = suite.read(write(plugins, text))
    if fits:
        assert len(curves(read)) == 1
    else:
        with pytest.raises(SuiteError, match="its networks are for images of 64×64"):
            curves(read)
