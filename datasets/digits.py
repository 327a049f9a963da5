import numpy as np
from sklearn.datasets import load_digits

from rdu_bench.api import Card, Examples, Factor, GroundTruth, assign_splits, binarise


class Digits(GroundTruth):
    """Digits: 1,797 handwritten digits of 8×8 pixels, bundled with scikit-learn.

    Their 17 grey levels are binarised once by a fixed named seed, each pixel 1 with probability level/16, and split
    once into 1,258 for training, 180 for validation and 359 for testing.  H(x) is unknown.
    """

    card = Card(
        title="Digits",
        source="Alpaydin & Kaynak (1998), UCI optdigits, as bundled with scikit-learn",
        shape="1×8×8, binary",
        task="digit",
        provides=("labels", "image", "binary"),
    )

    def load(self) -> None:
        """No parameters."""
        bunch = load_digits()
        x = binarise(bunch.images.astype(np.uint8)[:, None], 16, "digits")
        self.shape, self.likelihood = (1, 8, 8), "bernoulli"
        self.factors, self.task = (Factor("digit", 10),), ("digit",)
        parts = assign_splits(len(x), "digits")
        self.splits = {part: Examples(x, {"digit": bunch.target[at]}, rows=at) for part, at in parts.items()}
