# ruff: noqa: E501
"""Synthetic records for tests of analysis and report: plausible curves that respect every bound.  Not results."""

from __future__ import annotations

import math
import random

SIGMAS = (2.0, 4.0, 6.0, 8.0, 12.0, 18.0, 30.0)
MODELS = {  # name: title, labels, decoder, how many times as much rate it needs as the reference, usefulness
    "vae": ("VAE", "", "", 1.00, 0.55),
    "beta_vae": ("β-VAE", "", "", 1.06, 0.60),
    "beta_tcvae": ("β-TCVAE", "", "", 0.93, 0.70),
    "vq_vae": ("VQ-VAE", "", "", 1.15, 0.50),
    "infovae": ("InfoVAE", "", "", 1.004, 0.58),
    "m2": ("M2", "required", "H", 0.97, 0.92),
    "vfae": ("VFAE", "optional", "", 1.02, 0.85),
    "pixelvae": ("PixelVAE", "", "HA", 0.90, 0.65),
}


def record(
    model="vae", dataset="sprites", seed=0, sigma=6.0, *, variant="", status="ok", scale=None, useful=None, title=None,
    noise=0.05, H_x=6.7, D_null=150.0, labels=None, decoder=None, reason=None, H_x_kind="exact",
):  # fmt: skip
    """One point; rate `scale` times the reference's at equal distortion."""
    known = MODELS.get(model, (model, "", "", 1.0, 0.5))
    labels = known[1] if labels is None else labels
    decoder = known[2] if decoder is None else decoder
    scale = known[3] if scale is None else scale
    useful = known[4] if useful is None else useful
    draw = random.Random(f"{model}{variant}{dataset}{seed}{sigma}")
    target = 10.0 if sigma is None else sigma
    factors = {"shape": 3, "scale": 6, "position": 16, "hue": 8}
    out = {
        "schema": 1,
        "key": f"{draw.getrandbits(64):016x}",
        "spec": {
            "suite": "fake", "suite_version": "1", "model": model, "variant": variant, "params": {}, "seed": seed,
            "dataset": dataset, "dataset_params": {}, "sigma": sigma, "strategy": "continuation", "protocol": 1,
            "network": {"family": "mlp", "hidden": 256, "latent": 10}, "budget": {"steps": 2000},
        },
        "status": status,
        "reason": reason or (None if status == "ok" else f"{status} as planned"),
        "traceback": "Traceback (most recent call last):\n  <planned>" if status == "error" else None,
        "model": {
            "title": known[0] if title is None else title, "paper": "1312.6114", "labels": labels, "decoder": decoder,
            "objective": "D + R", "channel": "native", "n_params": 120000,
            "blocks": {"z": {"kind": "continuous", "dim": 10}},
        },
        "data": {
            "hash": "9f" * 16, "shape": [1, 16, 16], "n_train": 8000, "n_val": 1000, "n_test": 2000,
            "task": ["shape", "scale"], "sensitive": None,
            "factors": {k: {"size": n, "kind": "class", "independent": True, "H_y": math.log(n)} for k, n in factors.items()},
        },
        "control": {
            "sigma": sigma, "w": 1.0 if sigma is None else 100.0, "beta_end": 0.4, "rate_err": 0.004, "literal_ok": True,
            "steps": 2000, "strategy": "continuation",
        },
        "values": {}, "factors": {}, "nulls": {},
        "times": {"train_s": 7.0, "measure_s": 9.0},
        "provenance": {
            "version": "0.1.0", "torch": "2.13", "numpy": "2.4", "sklearn": "1.9", "python": "3.11", "platform": "Linux",
            "git": "0123abc", "git_dirty": False, "device": "cpu", "threads": 1, "peak_mb": 812,
            "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00",
        },
    }  # fmt: skip
    if status in ("diverged", "error"):
        return out
    level = random.Random(f"{model}{seed}").gauss(0, noise)
    R = max(0.05, target * 0.85 + draw.gauss(0, noise) + level)
    worth = R / scale  # the rate at which the reference would get as far
    null = D_null * (0.55 if "A" in decoder else 1)
    D = max(H_x - R if H_x is not None else -1e9, 0) + 14 + (null - 14 - (H_x or 0)) * math.exp(-worth / 5.5)
    out["factors"] = {
        name: _factor(n, min(useful * math.log(n) * (1 - math.exp(-worth / 7)), R / 5), draw)
        for name, n in factors.items()
    }
    task = [out["factors"][k] for k in out["data"]["task"]]
    Dy, H_y, Hy_V = (sum(f[k] for f in task) for k in ("Dy", "H_y", "Hy_V"))
    gap = None if H_x is None else D + R - H_x
    out["values"] = {
        "R_own": R * 1.2, "R_own_se": 0.05, "R_parts": {"z": R * 1.2}, "R_star": R, "R_star_se": 0.06, "R_star_w": {"own": 1.0},
        "I_low": min(R * 0.93, math.log(2000) - 0.3), "log_N": math.log(2000), "saturated": R > 6.6, "D_own": D, "D_own_se": 0.4,
        "D_star": D + 0.8, "D_star_se": 0.4, "D": D, "D_se": 0.4, "D_source": "own", "D_null": null, "D_per_dim": D / 256,
        "D_bits_per_dim": D / 256 / math.log(2), "likelihood": "bernoulli", "H_x": H_x, "H_x_kind": H_x_kind if H_x is not None else "none",
        "gap_RD": gap, "gap_RD_se": 0.4, "Dy": Dy, "Dy_se": 0.02, "Hy_V": Hy_V, "H_y": H_y, "IV": Hy_V - Dy, "IV_se": 0.02,
        "Dy_sum": sum(f["Dy"] for f in out["factors"].values()), "U": 0.5,
    }  # fmt: skip
    return out


def _factor(n, IV, draw):
    H = math.log(n)
    return {
        "H_y": H, "Hy_V": H + 0.002, "Dy": H + 0.002 - IV, "Dy_se": 0.01, "Dy_linear": H - IV + 0.1, "Dy_mlp": H + 0.002 - IV,
        "Dy_head": draw.choice(["linear", "mlp"]), "IV": IV, "IV_se": 0.01, "IV_shuffled": 0.001, "IV_shuffled_se": 0.002,
        "acc": min(0.99, 1 / n + (1 - 1 / n) * IV / H), "bal_acc": 0.5, "ece": 0.02, "settings": {}, "Dy_mean": H - IV,
    }  # fmt: skip


def suite(models=tuple(MODELS), datasets=("sprites",), seeds=3, sigmas=(*SIGMAS, None), **settings):
    """A whole suite, with a diverged, a failed and two off-target points among the later models."""
    out = []
    for dataset in datasets:
        for model in models:
            for seed in range(seeds):
                for sigma in sigmas:
                    status = "ok"
                    if (model, sigma) == ("vq_vae", 30.0):
                        status = "rate_missed"
                    if (model, sigma, seed) == ("beta_vae", 30.0, 0):
                        status = "diverged"
                    if (model, sigma, seed) == ("infovae", 2.0, 1):
                        status = "error"
                    out.append(record(model, dataset, seed, sigma, status=status, **settings))
    return out
