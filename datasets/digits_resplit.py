import numpy as np

from rdu_bench.api import Card, Examples, GroundTruth, assign_splits, check_counts, dataset


class DigitsResplit(GroundTruth):
    """Digits, split again: the images and labels of `digits`, divided by another named seed.

    The 1,797 digits are binarised as there, and 1,258 of them are for training, 180 for validation and 359 for
    testing, as there: what changes between `digits` and its resplits is which of them are where.  H(x) is unknown.
    """

    card = Card(
        title="Digits, split again",
        source="Alpaydin & Kaynak (1998), UCI optdigits, as bundled with scikit-learn",
        shape="1×8×8, binary",
        task="digit",
        provides=("labels", "image", "binary"),
    )

    def load(self, *, split: int = 1) -> None:
        """`split` names the seed of the split.  Raises `DataError` where it is no whole number of at least 1."""
        check_counts("digits_resplit", split=split)
        digits = dataset("digits")
        self.shape, self.likelihood = digits.shape, digits.likelihood
        self.factors, self.task = digits.factors, digits.task
        known = digits.splits.values()
        x = np.concatenate([part.stored() for part in known])
        y = np.concatenate([part.factors["digit"].numpy() for part in known])
        order = np.argsort(np.concatenate([part.rows for part in known]))  # of scikit-learn
        x, y = x[order], y[order]
        for part, at in assign_splits(len(x), f"digits, split {split}").items():
            self.splits[part] = Examples(x, {"digit": y[at]}, rows=at)
