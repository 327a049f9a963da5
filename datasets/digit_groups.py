import numpy as np

from rdu_bench.api import Card, DataError, Examples, Factor, GroundTruth, check_counts, dataset, named_seed


class DigitGroups(GroundTruth):
    """Digit groups: `members` handwritten digits of one class, each written by itself, in no order.

    The digits are those of `digits`, as they are binarised and split there.  A group draws its class, all equally
    likely, and then different digits of it from its own split, so that no digit of test is in a group of train.
    Groups of a split are independent given its digits, which many of them share.  H(x) is unknown.
    """

    card = Card(
        title="Digit groups",
        source="drawn here from `digits`, for groups as in Bouchacourt et al. (2018), arXiv:1705.08841, section 4",
        shape="6×1×8×8, binary: members, channels, rows, columns",
        task="digit",
        provides=("labels", "sequence", "binary"),
    )

    def load(self, *, members: int = 6, n_train: int = 4000, n_val: int = 500, n_test: int = 1000) -> None:
        """Digits in a group, and groups in a split.  Raises `DataError` for more digits than a split has of a class."""
        counts = {"train": n_train, "val": n_val, "test": n_test}
        check_counts("digit_groups", members=members, **{f"n_{part}": n for part, n in counts.items()})
        digits = dataset("digits")
        self.shape, self.likelihood = (members, *digits.shape), "bernoulli"
        self.factors, self.task = (Factor("digit", 10, entropy=float(np.log(10))),), ("digit",)
        for part, n in counts.items():
            split = digits.splits[part]
            at, y = members_drawn(split.factors["digit"].numpy(), members, n, part)
            self.splits[part] = Examples(split.stored()[at], {"digit": y})


def members_drawn(digit: np.ndarray, members: int, n: int, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, members) places in a split of the digits of each group, none twice in it, and (n,) their class.

    Raises `DataError` where a class has too few.
    """
    fewest = int(np.bincount(digit, minlength=10).min())
    if members > fewest:
        raise DataError(f"digit_groups: members is {members}; {part} has {fewest} digits of some class, give no more.")
    draws = np.random.default_rng(named_seed("digit_groups", part))
    y = draws.integers(10, size=n)
    places = [np.flatnonzero(digit == k) for k in range(10)]
    return np.stack([draws.permutation(places[k])[:members] for k in y]), y
