"""Divergences of Gaussians in closed form, and draws whose divergence is known."""

import math

import torch

from rdu_bench.api import gram

RHO = torch.tensor([[1.0, 0.8], [0.8, 1.0]])


def gaussian_mmd(shift, d, width):
    """MMD² of N(0, I) and N(Δ, I) under exp(−r²/2ℓ²)."""
    v = width**2
    return 2 * (v / (v + 2)) ** (d / 2) * (1 - math.exp(-(shift**2) / (2 * (v + 2))))


def multiquadric_mmd(shift, d):
    """The same under C/(C + r²) = ∫₀^∞ e^{−t} exp(−t r²/C) dt, which mixes Gaussians of ℓ² = C/2t."""
    t = torch.linspace(1e-6, 40, 200_001, dtype=torch.float64)
    v = 2 * d / (2 * t)
    mixed = 2 * (v / (v + 2)) ** (d / 2) * (1 - (-(shift**2) / (2 * (v + 2))).exp())
    return float(torch.trapezoid((-t).exp() * mixed, t))


def plain_mmd(p, q, kernel):
    """The V-statistic of MMD², pairs of a draw with itself included."""
    return gram(p, p, kernel).mean() + gram(q, q, kernel).mean() - 2 * gram(p, q, kernel).mean()


def total(C):
    """TC of N(0, C): −½ log det of the correlations."""
    scale = C.diagonal().sqrt()
    return -0.5 * torch.logdet(C / scale / scale[:, None])


TC = total(RHO).item()  # 0.511 nats


def correlated(n):
    """(n, 2) draws of N(0, RHO)."""
    return torch.randn(n, 2) @ torch.linalg.cholesky(RHO).T


def lack(C, s, B):
    """What the estimate of log q(z) = log N(0, C), posteriors of width s, lacks in batches of B, to order 1/B."""
    return float(torch.det(C) / s ** (2 * len(C)) - 1) / (2 * B)
