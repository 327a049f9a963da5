from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from rdu_bench.api import Card, Dataset, Factor, Split, assign_splits


class Digits(Dataset):
    """Handwritten digits of 43 people, 8×8 counts of 0 to 16, binarised once: pixel ~ Bernoulli(count/16).

    1797 examples that come with scikit-learn, so that nothing is downloaded.
    """

    card = Card(
        title="Digits",
        source="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; bundled with scikit-learn",
        shape="1×8×8 binary",
        task="digit, 10 classes",
        provides=("labels", "image", "binary"),
    )

    def load(self, **params: Any) -> None:
        if params:
            raise TypeError(f"digits takes no parameters, but got {', '.join(params)}")
        bundle = load_digits()
        counts = bundle.images.astype(np.int64)
        draws = np.random.default_rng(20181212).integers(0, 16, counts.shape)
        x = torch.from_numpy((draws < counts).astype(np.float32))[:, None]
        y = torch.from_numpy(bundle.target.astype(np.int64))
        self.shape, self.likelihood = (1, 8, 8), "bernoulli"
        self.factors, self.task = (Factor("digit", 10),), ("digit",)
        parts = assign_splits(len(x), "digits", (0.15, 0.25))
        self.splits = {part: Split(x[at], {"digit": y[at]}) for part, at in parts.items()}
