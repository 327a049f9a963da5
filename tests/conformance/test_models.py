"""Every model keeps every law, and every law has a bug that it is there to catch."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch

from rdu_bench import _paths, registry
from rdu_bench.conformance import Finding, check
from rdu_bench.conformance.models import LAWS

OURS = sorted(Path(_paths.builtin("models")).glob("*.py"))
VARIANTS = [
    *((path.stem, ()) for path in OURS),
    ("aae", (("variant", "clustering"),)),
    ("aae", (("variant", "semi-supervised"),)),
    ("bigan", (("noise", "posthoc-iso"),)),
    ("dip_vae", (("variant", "I"),)),
    ("hfvae", (("symbols", 10),)),
    ("hsic_vae", (("against", "s"),)),
    ("information_dropout", (("layers", 1),)),
    ("information_dropout", (("task", "label"),)),
    ("ladder_vae", (("share", False),)),
    ("pixel_vae", (("levels", 1),)),
    ("pixelgan_ae", (("prior", "categorical"),)),
    ("vfae", (("layers", 2),)),
    ("vq_vae", (("codebook", "ema"),)),
    ("wae", (("noise", "posthoc-iso"),)),
    ("wae", (("noise", "posthoc-learned"),)),
    ("wae", (("penalty", "gan"),)),
]


@lru_cache
def findings(variant) -> list[Finding]:
    name, params = variant
    return check(registry.find("models", name), dict(params))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join([v[0], *(str(value) for _, value in v[1])]))
def test_every_model_keeps_every_law(variant, law):
    about = [f for f in findings(variant) if f.law == law]
    assert about, f"{law} was not reached: {[f for f in findings(variant) if not f.ok]}"
    broken = [f.words for f in about if not f.ok]
    assert not broken, "\n".join(broken)


SOUND = '''
import torch
from torch import Tensor, nn

from rdu_bench.api import Autoencoder, Batch, Block, Code, Critic, Row, Spec, gaussian, permute_dims, transmit


class Mine(Autoencoder):
    """An autoencoder with every seam in use.

        L = D + R + γ TC(q(z)) + E[ −log p(y|z) ]

    Nobody 2018 (arXiv:1802.05983).
    """

    row = Row(paper="1802.05983", title="Mine", objective="D + R + γ TC + D_y", labels="optional")

    def __init__(self, data: Spec, *, latent: int | None = None, gamma: float = 1.0):
        super().__init__(data, latent=latent)
        self.gamma, self.seen = gamma, 0
        self.critic = Critic(self.latent, hidden=16, depth=1)
        self.head = nn.Linear(self.latent, data.classes)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        wrong = nn.functional.cross_entropy(self.head(z), batch.y, ignore_index=-1, reduction="none").mean()
        return self.gamma * self.critic.ratio(z).mean() + wrong

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        z = code["z"].sample
        return self.critic.loss(z, permute_dims(z))
'''


def written(folder, text, name="mine"):
    (folder / "models").mkdir(exist_ok=True)
    path = folder / "models" / f"{name}.py"
    path.write_text(text)
    return path


def broken(path, *only):
    """Broken laws and all that is said of each; training is judged where it is named."""
    found: dict[str, str] = {}
    for finding in check(path, only=only or [law for law in LAWS if law != "learns"]):
        if not finding.ok:
            found[finding.law] = found.get(finding.law, "") + finding.words + "\n"
    return found


def test_a_sound_model_has_no_findings(tmp_path):
    found = check(written(tmp_path, SOUND))
    assert [f.words for f in found if not f.ok] == []
    assert [f.law for f in found] == list(LAWS)


def changed(*pairs):
    text = SOUND
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def method(text):
    """SOUND with one more method."""
    return SOUND + "\n" + text


def built(line):
    """SOUND with one more line in its constructor."""
    made = "self.gamma, self.seen = gamma, 0"
    return changed((made, f"{made}\n        {line}"))


BUGS = {
    "missing detach: the critic trains the encoder": (
        changed(("return self.critic.loss(z, permute_dims(z))", "return self.critic.net(z).mean()")),
        "players apart",
        "critic_loss trains the model",
    ),
    "missing detach: the loss trains the critic": (
        changed(("self.critic.ratio(z).mean()", "self.critic.net(z).mean()")),
        "players apart",
        "freezes its weights",
    ),
    "an adversary that is no Critic": (
        changed(("return self.critic.loss(z, permute_dims(z))", "return self.head(z.detach()).mean()")),
        "players apart",
        "critic_loss trains the model",
    ),
    "a critic that nothing trains": (
        changed(("return self.critic.loss(z, permute_dims(z))", "return z.new_zeros(())")),
        "players apart",
        "nothing trains",
    ),
    "D said to teach nothing": (
        changed(("    row = Row(", "    learns_distortion = False\n    row = Row(")),
        "players apart",
        "learns_distortion is False",
    ),
    "batch normalisation": (
        built("self.encoder.net.head.insert(1, nn.BatchNorm1d(32, track_running_stats=False))"),
        "examples apart",
        "no batch normalisation",
    ),
    "running statistics": (
        built("self.encoder.net.head.insert(1, nn.BatchNorm1d(32))"),
        "pure",
        "running_mean",
    ),
    "a counter on self": (
        method("    def encode(self, batch):\n        self.seen += 1\n        return super().encode(batch)\n"),
        "pure",
        "seen",
    ),
    "a cache on self": (
        method("    def encode(self, batch):\n        self.last = batch.x\n        return super().encode(batch)\n"),
        "pure",
        "last",
    ),
    "a branch on a tensor that depends on the weights": (
        changed(
            (
                'z = code["z"].sample\n        wrong',
                'z = code["z"].sample\n        z = z if z.mean() > 0 else 2 * z\n        wrong',
            )
        ),
        "no branches",
        "torch.where",
    ),
    "a branch on the progress": (
        changed(
            (
                'z = code["z"].sample\n        wrong',
                'z = code["z"].sample\n        z = z if batch.progress > 0.1 else 2 * z\n        wrong',
            )
        ),
        "no branches",
        "torch.where",
    ),
    "noise that no seed repeats": (
        changed(
            ("import torch\n", "import random\n\nimport torch\n"),
            ("return self.gamma *", "return random.random() + self.gamma *"),
        ),
        "pure",
        "same seed",
    ),
    "a wrong citation": (changed(("(arXiv:1802.05983)", "(arXiv:1802.04942)")), "docstring", "1802.04942"),
    "no equation": (changed(("L = D + R + γ TC(q(z)) + E[ −log p(y|z) ]", "See the paper.")), "docstring", "equation"),
    "a row that is no literal": (changed(('title="Mine"', "title=str(1)")), "row", "not a literal"),
    "a paper that is none": (changed(('paper="1802.05983"', 'paper="Nobody 2018"')), "row", "arXiv id"),
    "labels of no such kind": (changed(('labels="optional"', 'labels="some"')), "row", "'required'"),
    "a cell there is not": (changed(('title="Mine"', 'title="Mine", noise="none"')), "row", "'noise'"),
    "no objective": (changed(('objective="D + R + γ TC + D_y", ', "")), "row", "objective"),
    "an import past the api": (
        changed(("from torch import Tensor, nn", "from torch import Tensor, nn\n\nimport rdu_bench.train")),
        "imports",
        "rdu_bench.api alone",
    ),
    "hyper-parameters by position": (changed(("*, latent", "latent")), "parameters", "by position"),
    "a hyper-parameter without default": (changed(("gamma: float = 1.0", "gamma: float")), "parameters", "no default"),
    "images of one family only": (built("assert data.family == 'mlp'"), "parameters", "conv networks"),
    "two models in a file": (SOUND + "\n\nclass Other(Autoencoder):\n    pass\n", "one class", "exactly one"),
    "a file that does not import": ("import no_such_package\n" + SOUND, "one class", "no_such_package"),
    "a file that does not parse": ("def (:\n" + SOUND, "file", "line 1"),
    "an exception of the author's": (
        method("    def decode(self, code):\n        raise KeyError('my fault')\n"),
        "per example",
        "my fault",
    ),
    "a layer of another width": (
        built("self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(100, 8))"),
        "per example",
        "in self.encoder.1: Linear(in_features=100, out_features=8",
    ),
    "a method misspelt": (
        changed(("def regularizer", "def regulariser")),
        "names are known",
        "'regulariser': if it is to be 'regularizer'",
    ),
    "an attribute misspelt": (
        changed(("    row = Row(", "    learns_distorsion = False\n    row = Row(")),
        "names are known",
        "'learns_distortion'",
    ),
    "no data": (
        changed(("(self, data: Spec, *, latent: int | None = None,", "(self, *, latent: int | None = None,")),
        "takes data",
        "def __init__(self, data: Spec, *, …)",
    ),
    "a base that is not built": (changed(("super().__init__(data, latent=latent)", "pass")), "takes data", "super()"),
    "a regularizer that returns nothing": (
        changed(("return self.gamma *", "self.gamma *")),
        "per example",
        "regularizer returns nothing; it returns a tensor of torch, a scalar",
    ),
    "a regularizer of numpy": (
        changed(("+ wrong", "+ wrong.detach().numpy()"), ("self.critic.ratio(z).mean()", "0.0")),
        "per example",
        "regularizer returns a numpy.float",
    ),
    "a number without gradient": (
        changed(("permute_dims(z))", "permute_dims(z)).item()")),
        "per example",
        "critic_loss returns a float",
    ),
    "a code that pays no rate": (
        method("    def encode(self, batch):\n        return {'z': self.encoder(batch.x)}\n"),
        "per example",
        "encode returns a dict of Independent; it returns the blocks of the code by name",
    ),
    "a code without a name": (
        method("    def encode(self, batch):\n        return self.encoder(batch.x).rsample()\n"),
        "per example",
        "encode returns a Tensor",
    ),
    "a picture for a distribution": (
        method("    def decode(self, code):\n        return super().decode(code).mean\n"),
        "per example",
        "decode returns a torch.Tensor; it returns a distribution over x",
    ),
    "a distribution over something else": (
        method("    def decode(self, code):\n        return gaussian(code['z'].sample, 1 + 0 * code['z'].sample)\n"),
        "per example",
        "decode's distribution is over (16, 4); it is over x, (16, 1, 8, 8) for 16 examples",
    ),
    "a forward of torch": (
        method("    def forward(self, x):\n        return x\n"),
        "per example",
        "forward returns a Batch; leave it out",
    ),
    "a print": (
        changed(("return self.gamma *", "print(z)\n        return self.gamma *")),
        "reaches nothing else",
        "calls print",
    ),
    "a claim that a run refuses": (
        changed(('title="Mine"', 'title="Mine", claim="Dy, lower than vae, on digits"')),
        "row",
        "'Dy' is nothing that is measured",
    ),
    "a claim against no model": (
        changed(('title="Mine"', 'title="Mine", claim="D, lower than vaee, on digits"')),
        "row",
        "there is no model 'vaee'. Did you mean 'vae'?",
    ),
    "D averaged over the batch": (
        method("    def distortion(self, batch, code):\n        return super().distortion(batch, code).mean()\n"),
        "per example",
        "one number an example",
    ),
    "D averaged over pixels": (
        method("    def distortion(self, batch, code):\n        return super().distortion(batch, code) / 64\n"),
        "terms are the codes",
        "−log p(x|z)",
    ),
    "D of the mean code": (
        method(
            "    def distortion(self, batch, code):\n        return -self.decoder(code['z'].q.mean).log_prob(batch.x)\n"
        ),
        "terms are the codes",
        "−log p(x|z)",
    ),
    "R averaged over dimensions": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        return {'z': z._replace(rate=z.rate / self.latent)}\n"
        ),
        "rate is paid",
        "transmit",
    ),
    "a forgotten ½": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n        q = z.q\n"
            "        return {'z': z._replace(rate=(q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1))}\n"
        ),
        "rate is paid",
        "standard errors",
    ),
    "a negative rate": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        return {'z': z._replace(rate=-z.rate)}\n"
        ),
        "rate is paid",
        "negative",
    ),
    "a sample that is not what was paid for": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        sharp = z.q.mean + 0.01 * torch.randn_like(z.sample)\n"
            "        return {'z': z._replace(sample=sharp, drawn=sharp)}\n"
        ),
        "rate is paid",
        "standard errors",
    ),
    "a block that training does not pay": (
        method(
            "    def encode(self, batch):\n        code = super().encode(batch)\n"
            "        z = code['z'].sample\n"
            "        return code | {'again': transmit(gaussian(z, torch.ones_like(z)), self.prior())}\n\n"
            "    def forward(self, batch):\n        terms = super().forward(batch)\n"
            "        return terms._replace(rate=self.encode(batch)['z'].rate)\n"
        ),
        "terms are the codes",
        "blocks pay",
    ),
    "a rate without gradient": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        return {'z': z._replace(rate=z.rate.detach())}\n"
        ),
        "rate can be priced",
        "no gradient",
    ),
    "a likelihood with a weight": (
        method(
            "    def decode(self, code):\n        p = super().decode(code)\n        log_prob = p.log_prob\n"
            "        p.log_prob = lambda x: 2 * log_prob(x)\n        return p\n"
        ),
        "decoder is normalised",
        "sums to",
    ),
    "an unknown label taken for a class": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        known = torch.eye(self.head.out_features)[batch.y]\n"
            "        return {'z': z._replace(sample=z.sample + 0 * known.sum(-1, keepdim=True) + known[:, :1])}\n\n"
            "    def regularizer(self, batch, code):\n        return self.critic.ratio(code['z'].sample).mean()\n"
        ),
        "labels are declared",
        "last class",
    ),
    "labels used on the quiet": (changed((', labels="optional"', "")), "labels are declared", "row.labels is ''"),
    "labels promised and unused": (
        changed((" + wrong", "")),
        "labels are declared",
        "no label changes the loss",
    ),
    "a code that needs a label": (
        method(
            "    def encode(self, batch):\n        z = super().encode(batch)['z']\n"
            "        return {'z': z._replace(sample=z.sample / (batch.y >= 0).sum())}\n"
        ),
        "measured without labels",
        "unlabelled",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_every_law_catches_its_bug_in_words(tmp_path, bug):
    text, law, words = BUGS[bug]
    found = broken(written(tmp_path, text), law)
    assert law in found, f"not caught; broken were {found}"
    assert words in found[law]


def test_a_model_that_does_not_learn_is_caught(tmp_path):
    climbs = (
        "    def distortion(self, batch, code):\n"
        "        D = super().distortion(batch, code)\n        return 2 * D.detach() - D\n"
    )
    assert "does not fall" in broken(written(tmp_path, method(climbs)), "learns")["learns"]


def test_a_name_that_is_taken_or_cannot_be_one_is_caught(tmp_path):
    assert "built in" in broken(written(tmp_path, SOUND, "vae"), "file name")["file name"]
    assert "underscores" in broken(written(tmp_path, SOUND, "my-vae"), "file name")["file name"]


def test_checking_leaves_the_callers_generator_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check(written(tmp_path, SOUND), only=["pure", "rate is paid"])
    assert torch.equal(torch.rand(3), expected)


def test_an_authors_line_is_named(tmp_path):
    path = written(tmp_path, method("    def decode(self, code):\n        raise KeyError('my fault')\n"))
    assert "raise KeyError('my fault')" in broken(path)["per example"]
