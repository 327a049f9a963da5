"""What CONTRIBUTING says of other libraries is so: its lines run, and every model is where it says."""

import re
from pathlib import Path

import pytest
import torch
from small import seen

from rdu_bench import _adapters, registry
from rdu_bench.api import Spec

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
[SECTION] = re.findall(r"## A model of another library\n(.*?)\n## ", TEXT, flags=re.S)
PYTHON = re.findall(r"```python\n(.*?)```", SECTION, flags=re.S)
SPEC = Spec((1, 4, 4), examples=200, hidden=(16,), latent=3)
ROWS = _adapters._rows("pythae")
PARTS = """
from pixyz.distributions import Bernoulli, Normal
from torch import nn, ones, zeros

class Q(Normal):
    def __init__(self, data):
        super().__init__(var=["z"], cond_var=["x"])
        self.mean, self.log = nn.Linear(data.size, data.latent), nn.Linear(data.size, data.latent)

    def forward(self, x):
        return {"loc": self.mean(x), "scale": self.log(x).exp()}

class P(Bernoulli):
    def __init__(self, data):
        super().__init__(var=["x"], cond_var=["z"])
        self.logits = nn.Linear(data.latent, data.size)

    def forward(self, z):
        return {"probs": self.logits(z).sigmoid()}

"""


@pytest.mark.parametrize(("library", "parts"), [("pythae", ""), ("pixyz", PARTS)])
def test_its_lines_make_a_model(library, parts):
    pytest.importorskip(f"{library}.models")
    [block] = [text for text in PYTHON if f"adapters.{library}" in text]
    names = {}
    exec(compile(parts + block, "CONTRIBUTING.md", "exec"), names)
    terms = names["Mine"](SPEC)(seen())
    assert bool(torch.isfinite(terms.distortion.mean() + terms.rate.mean() + terms.regularizer))


def test_every_name_is_told_and_every_name_that_is_told_is_one():
    known = {*ROWS, *ROWS["unfit"]} - {"unfit"}
    told = {word for word in re.findall(r"\w+", SECTION) if word in known}
    kin = {"MIWAE", "PIWAE", "CIWAE", "RHVAE", "VAE_LinNF", "VAE_IAF"}  # of IWAE, of HVAE, and the flows
    assert told | kin == known


MINE = '''
from rdu_bench.adapters.pixyz import from_pixyz
from rdu_bench.api import Row

class Mine(from_pixyz(Q, P, lambda data: Normal(var=["z"], loc=zeros(data.latent), scale=ones(data.latent)))):
    """A VAE of Pixyz's.

        L = D + R

    Kingma & Welling 2014 (arXiv:1312.6114).
    """

    row = Row(paper="1312.6114", title="VAE of Pixyz", objective="D + R", needs=("binary",))
'''


def test_the_class_of_a_file_is_made_from_it(plugins):
    pytest.importorskip("pixyz.models")
    (plugins / "models").mkdir(exist_ok=True)
    (plugins / "models" / "mine.py").write_text(PARTS + MINE, encoding="utf-8")
    assert set(registry.parameters("models", "mine")) == {"latent"}
    assert registry.libraries("models", "mine").keys() == {"pixyz"}
    assert registry.model("mine", SPEC, latent=2).encode(seen())["z"].sample.shape == (64, 2)
