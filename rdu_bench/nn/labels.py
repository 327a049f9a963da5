"""A class that some examples show: theirs is taken as told, the others' is summed over, and none is drawn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.functional import cross_entropy

from .densities import one_hot


class Told(NamedTuple):
    """What q(y|x) and the labels there are make of a batch."""

    weight: Tensor  # (B, K) what each class counts: q(y|x), and all on the label where there is one
    price: Tensor  # (B,) nats, KL(q(y|x) ‖ 1/K), a constant where there is a label
    wrong: Tensor  # () nats, −log q(y|x) over the batch, 0 where there is no label


def tell(logits: Tensor, y: Tensor) -> Told:
    """What to make of q(y|x) ∝ exp(logits) (B, K) where the labels y (B,) are known, and where they are −1."""
    known, label = y >= 0, (y[:, None] == torch.arange(logits.shape[-1], device=y.device)).float()
    price = kl_divergence(one_hot(logits), one_hot(torch.zeros_like(logits)))
    return Told(
        weight=torch.where(known[:, None], label, logits.softmax(-1)),
        price=torch.where(known, price.detach(), price),
        wrong=cross_entropy(logits, y, ignore_index=-1, reduction="sum") / len(logits),
    )


def each_class(x: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """x (B, …) → (B·K, …) and (B·K, K): every example K times in a row, beside each class in turn, one-hot."""
    return x.repeat_interleave(classes, 0), torch.eye(classes, device=x.device).repeat(len(x), 1)
