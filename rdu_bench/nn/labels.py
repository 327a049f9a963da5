"""Sums over the classes of a partly labelled batch: a known label has all the weight, an unknown one is summed out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from .densities import one_hot


def class_weights(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (B, K) of the classes and the rate (B,) of the class variable, nats.

    The weight of a class is q(y|x) ∝ exp(logits) (B, K) where the label y (B,) is unknown (−1), and 1 for the label and
    0 for the others where it is known.  The rate is KL(q(y|x) ‖ 1/K), without gradient where the label is known.
    """
    known, label = y >= 0, (y[:, None] == torch.arange(logits.shape[-1], device=y.device)).float()
    weight = torch.where(known[:, None], label, logits.softmax(-1))
    price = kl_divergence(one_hot(logits), one_hot(torch.zeros_like(logits)))
    return weight, torch.where(known, price.detach(), price)


def labelled_cross_entropy(q: Distribution, y: Tensor) -> Tensor:
    """() −log q(y|x) nats, the mean over those of the labels y (B,) that are known, of one-hot draws q(y|x) (B, K)."""
    shown = (y[:, None] == torch.arange(q.mean.shape[-1], device=y.device)).float()  # 0 where unknown
    return -q.log_prob(shown).sum() / shown.sum().clamp(min=1)


def enumerate_classes(x: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """x (B, …) → (B·K, …) and (B·K, K): each example repeated K times, and the K classes one-hot for each."""
    return x.repeat_interleave(classes, 0), torch.eye(classes, device=x.device).repeat(len(x), 1)
