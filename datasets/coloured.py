import numpy as np

from rdu_bench.api import (
    Card,
    DataError,
    Entropy,
    Examples,
    Factor,
    GroundTruth,
    Source,
    dataset,
    images_among,
    missing_files,
    named_seed,
)

BASES = ("digits", "mnist", "sprites")
COLOURS = 3  # red, green and blue: one channel of the image each


class Coloured(GroundTruth):
    """Coloured: the images of another data set drawn in one of a few colours, which is the sensitive factor s.

        P(s | y) = (1 − ρ)/C + ρ [s = y mod C]        ρ = `correlation`, C = `colours`

    A colour is a channel: all ink of an image is in channel s of x.  At ρ = 0 colour tells nothing of the label y, at
    ρ = 1 all that y mod C tells.  Colours are drawn once by a fixed named seed, and splits are those of `base`.
    H(x) is counted over pictures and their colours, and is exact where the base's is: that of the base and H(s|y) where
    a picture tells its y, and more where some are of several y, as a square is in four orientations.
    """

    card = Card(
        title="Coloured",
        source="generated from digits, MNIST or sprites",
        shape="C×H×W, binary",
        task="that of the base: digit or shape",
        sensitive="colour",
        provides=("labels", "image", "binary", "groups"),
        files="those of its base",
    )

    def load(self, *, base: str = "digits", colours: int = 2, correlation: float = 0.5, **params: object) -> None:
        """`params` are those of the base."""
        if base not in BASES:
            raise DataError(f"coloured: base is {base!r}; it must be one of {', '.join(BASES)}.")
        if isinstance(colours, bool) or colours not in range(2, COLOURS + 1):
            raise DataError(f"coloured: colours is {colours!r}; it must be 2 or {COLOURS}.")
        if not isinstance(correlation, int | float) or not 0 <= correlation <= 1:
            raise DataError(f"coloured: correlation is {correlation!r}; it must be from 0 to 1.")
        plain = dataset(base, **params)
        if plain.sensitive:
            raise DataError(f"coloured: the base's {plain.sensitive} is sensitive already; leave that to the colour.")
        if plain.likelihood != "bernoulli":
            raise DataError(f"coloured: {base} is grey there, and ink is 0 or 1; leave pixels out, or take 'binary'.")
        label = plain.label
        self.shape, self.likelihood, self.task = (colours, *plain.shape[1:]), plain.likelihood, plain.task
        self.sensitive = "colour"
        apart = correlation == 0
        table = (1 - correlation) / colours + correlation * np.eye(colours)[np.arange(label.size) % colours]  # P(s|y)
        exact = plain.population is not None  # so y is uniform
        known = [f._replace(independent=f.independent and (apart or f.name != label.name)) for f in plain.factors]
        colour = Factor("colour", colours, independent=apart, entropy=entropy(table.mean(0)) if exact else None)
        self.factors = (*known, colour)
        for part, split in plain.splits.items():
            draw = np.random.default_rng(named_seed("colour", base, part))
            y = split.factors[label.name].numpy()
            s = (draw.random(len(y))[:, None] > table[y].cumsum(1)[:, :-1]).sum(1)
            self.splits[part] = Examples(Drawn(split, s, colours), {**split.factors, "colour": s})
        if plain.population is not None:
            y = plain.population.factors[label.name].numpy()
            self.entropy = Entropy(coloured_entropy(plain.population, table[y]), "exact")

    def missing(self, *, base: str = "digits", **params: object) -> str:
        own = ("colours", "correlation")
        return missing_files(base, **{k: v for k, v in params.items() if k not in own}) if base in BASES else ""


class Drawn(Source):
    """Plain images (N, 1, H, W), each in the one of `colours` channels that `s` (N,) says, drawn when asked for."""

    def __init__(self, plain: Examples, s: np.ndarray, colours: int):
        self.plain, self.s = plain, s
        self.shape, self.dtype = (len(plain), colours, *plain.shape[1:]), plain.source.dtype
        self.slow = plain.slow

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        x = np.zeros((len(rows), *self.shape[1:]), self.dtype)
        x[np.arange(len(rows)), self.s[rows]] = self.plain.stored(rows)[:, 0]
        return x


def coloured_entropy(plain: Examples, chances: np.ndarray) -> float:
    """Nats of one of n equally likely plain images in a colour of its `chances` (n, C), which no ink does not show."""
    joint = np.zeros_like(chances)
    np.add.at(joint, images_among(plain), chances / len(plain))
    blank = np.concatenate([(x == 0).flatten(1).all(1).numpy() for x in plain.chunks()])
    joint[blank, 0], joint[blank, 1:] = joint[blank].sum(1), 0
    return entropy(joint)


def entropy(p: np.ndarray) -> float:
    """Nats of a distribution, of any shape."""
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())
