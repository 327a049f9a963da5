"""Small binary images that a model learns in a second, and how a model of them is made."""

import torch

from rdu_bench import registry
from rdu_bench._hash import named_seed
from rdu_bench.data import Dataset, Examples, Factor
from rdu_bench.training import Training


class Stripes(Dataset):
    """Binary images of noisy rows: about 4 bits that matter."""

    def load(self, n: int = 600) -> None:
        generator = torch.Generator().manual_seed(named_seed("stripes"))
        rows = torch.rand(n, 4, 1, generator=generator).round()
        flips = (torch.rand(n, 4, 4, generator=generator) < 0.05).float()
        x = ((rows + flips) % 2)[:, None]
        y = rows[:, 0, 0].long()
        self.name, self.shape, self.task = "stripes", (1, 4, 4), ("top",)
        self.factors = (Factor("top", 2),)
        cut = {"train": slice(0, n // 2), "val": slice(n // 2, 3 * n // 4), "test": slice(3 * n // 4, n)}
        self.splits = {part: Examples(x[at], {"top": y[at]}) for part, at in cut.items()}


def new(data, name="vae", **params):
    torch.manual_seed(0)
    return registry.model(name, data.spec(hidden=(32,), latent=4), **params)


LONG = Training(steps=400, batch=100, seed=1)
