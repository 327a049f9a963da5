"""A class that some examples show: theirs is taken as told, the others' is summed over, and none is drawn."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from .densities import one_hot


def tell(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What q(y|x) ∝ exp(logits) (B, K) and the labels y (B,) there are, −1 elsewhere, make of a batch.

    (B, K) what each class counts: q(y|x), and all on the label where there is one; and (B,) nats KL(q(y|x) ‖ 1/K),
    without gradient where there is a label.
    """
    known, label = y >= 0, (y[:, None] == torch.arange(logits.shape[-1], device=y.device)).float()
    weight = torch.where(known[:, None], label, logits.softmax(-1))
    price = kl_divergence(one_hot(logits), one_hot(torch.zeros_like(logits)))
    return weight, torch.where(known, price.detach(), price)


def each_class(x: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """x (B, …) → (B·K, …) and (B·K, K): every example K times in a row, beside each class in turn, one-hot."""
    return x.repeat_interleave(classes, 0), torch.eye(classes, device=x.device).repeat(len(x), 1)
