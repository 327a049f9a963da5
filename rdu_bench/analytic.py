"""The linear-Gaussian world, where rate, distortion and usefulness are known in closed form.

    x ~ N(0, U diag(λ) Uᵀ),  λ₁ ≥ … ≥ λ_d            `spectrum`
    y = C Uᵀx + N(0, diag(n))                         `readout` C (m, d) acts on principal components, `readout_noise` n
    p(x|z) = N(·, η² I)                               `noise` η²; None: the best single variance

All values are nats per example.  `latent` is the number of code dimensions (None: as many as needed).  θ is the water
level: what is left of a principal component that is sent.  Sources: reverse water-filling, Cover & Thomas (2006),
theorem 10.3.3; the linear VAE, Lucas et al. (2019), arXiv:1911.02469; the Gaussian bottleneck, Chechik et al. (2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class World(NamedTuple):
    """A linear-Gaussian world; the default is tight: η² = λ_d, so D + R = h(x) at β = 1."""

    spectrum: Sequence[float] = (4.0, 2.0, 1.0, 0.6, 0.35, 0.2, 0.1, 0.05)
    # y reads strong components and weak ones, so a code that serves x and one that serves y differ
    readout: Sequence[Sequence[float]] = ((0.5, 0, 0, 0, 1, 0, 2, 0), (0, 0.5, 0, 1, 0, 0, 0, 3))
    readout_noise: Sequence[float] = (0.1, 0.1)
    noise: float | None = 0.05

    def check(self) -> World:
        """Itself in floats; raises `ValueError` that names the parameter, its value and what it must be."""
        spectrum = _vector("spectrum", self.spectrum)
        if (np.diff(spectrum) > 0).any():
            raise ValueError(f"spectrum is {self.spectrum}; list the variances from the largest to the smallest")
        readout = _numbers("readout", self.readout)
        if readout.ndim != 2 or readout.shape[1] != len(spectrum):
            raise ValueError(
                f"readout has shape {readout.shape}; give rows of {len(spectrum)} numbers, one a component"
            )
        readout_noise = _vector("readout_noise", self.readout_noise)
        if len(readout_noise) != len(readout):
            raise ValueError(
                f"readout_noise has {len(readout_noise)} numbers; give {len(readout)}, one a row of readout"
            )
        noise = None if self.noise is None else float(_vector("noise", [self.noise])[0])
        return World(spectrum.tolist(), readout.tolist(), readout_noise.tolist(), noise)

    @property
    def entropy_x(self) -> float:
        """h(x) = ½ Σ log 2πe λᵢ nats."""
        return entropy(self.spectrum)

    @property
    def entropy_y(self) -> float:
        """h(y) nats."""
        return float(_entropy_y(np.asarray(self.spectrum), self.readout, self.readout_noise))


def _numbers(name: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; give numbers in rows of equal length") from None
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} is {value!r}; give finite numbers, at least one")
    return array


def _vector(name: str, value: ArrayLike) -> Array:
    array = _numbers(name, value)
    if array.ndim != 1 or (array <= 0).any():
        raise ValueError(f"{name} is {value!r}; variances must be a list of positive numbers")
    return array


def entropy(spectrum: ArrayLike) -> float:
    """h(x) = ½ Σ log 2πe λᵢ, nats."""
    return float(0.5 * np.log(2 * np.pi * np.e * np.asarray(spectrum, dtype=np.float64)).sum())


# --- rate and distortion -------------------------------------------------------------------------------------------


def residual(spectrum: ArrayLike, theta: ArrayLike, latent: int | None = None) -> Array:
    """(…, d) variance of each principal component given the code: min(λ, θ) for the `latent` first, λ for the rest."""
    lam, level = np.asarray(spectrum, dtype=np.float64), np.asarray(theta, dtype=np.float64)
    sent = np.arange(len(lam)) < (len(lam) if latent is None else latent)
    return np.where(sent, np.minimum(lam, level[..., None]), lam)


def rate(spectrum: ArrayLike, theta: ArrayLike, latent: int | None = None) -> Array:
    """(…,) nats that reverse water-filling to level θ costs: ½ Σ log(λᵢ / min(λᵢ, θ))."""
    return 0.5 * np.log(np.asarray(spectrum) / residual(spectrum, theta, latent)).sum(-1)


def water_level(spectrum: ArrayLike, rates: ArrayLike, latent: int | None = None) -> Array:
    """θ (…,) at which `rate` is R: the inverse of `rate`; λ₁ at R = 0.

    Raises `ValueError` for a negative rate, and so does all below that takes rates.
    """
    lam = np.asarray(spectrum, dtype=np.float64)[:latent]
    nats = np.asarray(rates, dtype=np.float64)
    if (nats < 0).any():
        raise ValueError(f"rates are {rates!r}; a rate is at least 0 nats")
    # with n active components θ = exp((Σ_{i≤n} log λᵢ − 2R)/n); one more becomes active where θ falls to the next λ
    n = np.arange(1, len(lam) + 1)
    below = np.append(lam[1:], 0.0)
    level = np.exp((np.cumsum(np.log(lam)) - 2 * nats[..., None]) / n)
    active = (level >= below).argmax(-1)
    return np.take_along_axis(level, active[..., None], -1)[..., 0]


def frontier(spectrum: ArrayLike, noise: float | None, rates: ArrayLike, latent: int | None = None) -> Array:
    """D*(R) (…,) nats: the least distortion at rate R of a decoder N(·, η² I).

    With `noise` None η² is the best for each rate, and D* = d/2 log(2πe mse/d).  D* ≥ h(x) − R, with equality where
    η² is the water level (β = 1), or where the one variance is learned and every component is sent.
    """
    d = len(np.asarray(spectrum))
    mse = residual(spectrum, water_level(spectrum, rates, latent), latent).sum(-1)
    if noise is None:
        return d / 2 * np.log(2 * np.pi * np.e * mse / d)
    return d / 2 * np.log(2 * np.pi * noise) + mse / (2 * noise)


def slope(spectrum: ArrayLike, noise: float | None, rates: ArrayLike, latent: int | None = None) -> Array:
    """−dD*/dR (…,), which is the β whose optimum has rate R: θ/η², or d θ/mse where η² is learned."""
    theta = water_level(spectrum, rates, latent)
    if noise is not None:
        return theta / noise
    return len(np.asarray(spectrum)) * theta / residual(spectrum, theta, latent).sum(-1)


def shannon(spectrum: ArrayLike, rates: ArrayLike) -> Array:
    """h(x) − R (…,) nats: the frontier of a decoder with a full covariance, below which nothing is."""
    return entropy(spectrum) - np.asarray(rates, dtype=np.float64)


# --- the optimal linear β-VAE --------------------------------------------------------------------------------------


class LinearVAE(NamedTuple):
    """q(z|x) = N(Ax, diag s²), m(z) = N(0, I), p(x|z) = N(Wz, η² I)."""

    A: Array  # (k, d)
    W: Array  # (d, k)
    variance: Array  # (k,) s²
    noise: float  # η²

    def rate(self, covariance: Array) -> float:
        """R nats when x ~ N(0, covariance): ½ [tr AΣAᵀ + Σs² − k − Σ log s²]."""
        s2 = self.variance
        return float(0.5 * (np.trace(self.A @ covariance @ self.A.T) + s2.sum() - len(s2) - np.log(s2).sum()))

    def distortion(self, covariance: Array) -> float:
        """D nats when x ~ N(0, covariance): d/2 log 2πη² + [tr (I−WA)Σ(I−WA)ᵀ + Σⱼ ‖Wⱼ‖² sⱼ²] / 2η²."""
        d = len(covariance)
        miss = np.eye(d) - self.W @ self.A
        squares = np.trace(miss @ covariance @ miss.T) + (self.W**2).sum(0) @ self.variance
        return float(d / 2 * np.log(2 * np.pi * self.noise) + squares / (2 * self.noise))


def optimal_vae(
    spectrum: ArrayLike, noise: float, beta: float, latent: int | None = None, basis: Array | None = None
) -> LinearVAE:
    """The minimum of D + βR over linear models, at water level θ = βη²; `basis` is U (d, d), by default I.

        W = U (Λ − θ)₊^½,   s² = min(θ/λ, 1),   A = (Λ − θ)₊^½ Λ⁻¹ Uᵀ

    Its aggregate posterior is N(0, I), so R is also the mutual information.
    """
    full = np.asarray(spectrum, dtype=np.float64)
    lam, theta = full[:latent], beta * noise
    u = (np.eye(len(full)) if basis is None else basis)[:, : len(lam)]
    root = np.sqrt(np.maximum(lam - theta, 0))
    return LinearVAE((root / lam)[:, None] * u.T, u * root, np.minimum(theta / lam, 1), noise)


# --- usefulness ----------------------------------------------------------------------------------------------------


def _entropy_y(left: Array, readout: ArrayLike, readout_noise: ArrayLike) -> Array:
    """h(y|z) (…,) nats when variances `left` (…, d) of the principal components remain."""
    c = np.asarray(readout, dtype=np.float64)
    covariance = (c * left[..., None, :]) @ c.T + np.diag(np.asarray(readout_noise, dtype=np.float64))
    return 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]


def usefulness(
    spectrum: ArrayLike, readout: ArrayLike, readout_noise: ArrayLike, rates: ArrayLike, latent: int | None = None
) -> Array:
    """D_y(R) (…,) nats of the code that serves x best and never saw y, under the best head: h(y|z)."""
    left = residual(spectrum, water_level(spectrum, rates, latent), latent)
    return _entropy_y(left, readout, readout_noise)


def usefulness_limit(spectrum: ArrayLike, readout: ArrayLike, readout_noise: ArrayLike, rates: ArrayLike) -> Array:
    """D_y*(R) (…,) nats: the least of any code of rate R, made for y: h(y) less the bottleneck's information."""
    prior = _entropy_y(np.asarray(spectrum, dtype=np.float64), readout, readout_noise)
    return prior - bottleneck(canonical_correlations(spectrum, readout, readout_noise), rates)


def canonical_correlations(spectrum: ArrayLike, readout: ArrayLike, readout_noise: ArrayLike) -> Array:
    """ρ² (min(d, m),) squared canonical correlations of x and y, largest first."""
    c = np.asarray(readout, dtype=np.float64) * np.sqrt(np.asarray(spectrum, dtype=np.float64))
    # with n^-½ C Λ^½ = UσVᵀ, y whitened given x has signal-to-noise σ², and ρ² = σ²/(1 + σ²)
    snr = np.linalg.svd(c / np.sqrt(np.asarray(readout_noise, dtype=np.float64))[:, None], compute_uv=False) ** 2
    return snr / (1 + snr)


def bottleneck(rho2: ArrayLike, rates: ArrayLike) -> Array:
    """I(y;z) (…,) nats, the most that a code with I(x;z) = R can have.

    Of a canonical pair with ρ² the code keeps a signal at water level 1/(β−1) below ρ²/(1−ρ²), so R inverts by reverse
    water-filling: I_x = ½ Σ log((β−1)ρ²/(1−ρ²)) and I_y = I_x − ½ Σ log βρ² over the pairs with βρ² > 1.
    """
    known = np.asarray(rho2, dtype=np.float64)
    known = known[known > 0]
    if not len(known):
        return np.zeros_like(np.asarray(rates, dtype=np.float64))
    beta = 1 + 1 / water_level(known / (1 - known), rates)
    return np.asarray(rates) - 0.5 * np.log(np.maximum(beta[..., None] * known, 1)).sum(-1)
