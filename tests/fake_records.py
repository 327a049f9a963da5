# ruff: noqa: E501
"""Synthetic records for tests of analysis and report: plausible curves that respect every bound.  Not results."""

from __future__ import annotations

import math
import random

from rdu_bench._hash import digest

RECEIVED = {"replay_gap": 0.0, "draws_z": 2.1, "density_gap": 0.0, "memory_gap": 0.0, "pairs_gap": 0.0}
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
    draw.getrandbits(64)
    factors = {"shape": 3, "scale": 6, "position": 16, "hue": 8}
    out = {
        "schema": 2,
        "key": "",
        "spec": {
            "suite": "fake", "suite_version": "1", "model": model, "variant": variant, "params": {}, "seed": seed,
            "dataset": dataset, "dataset_label": dataset, "dataset_params": {}, "sigma": sigma, "strategy": "continuation", "protocol": 2,
            "network": {"family": "mlp", "hidden": [256], "latent": 10}, "budget": {"steps": 2000}, "sweep": [], "heads": ["linear", "mlp"],
            "plugins": {f"models/{model}": "0" * 16},
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
            "hash": "9f" * 16, "shape": [1, 16, 16], "likelihood": "bernoulli", "n_train": 8000, "n_val": 1000, "n_test": 2000,
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
            "started": 1767323045.0, "finished": 1767323105.0,
        },
    }  # fmt: skip
    out["key"] = digest(out["spec"])
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
        "R_own": R * 1.2, "R_own_se": 0.05, "R_own_mc": R * 1.2, "R_own_mc_se": 0.05, "D_null_se": 0.3, "R_parts": {"z": R * 1.2}, "R_star": R, "R_star_se": 0.06, "R_star_w": {"own": 1.0},
        "I_low": min(R * 0.93, math.log(2000) - 0.3), "log_N": math.log(2000), "saturated": R > 6.6, "D_own": D, "D_own_se": 0.4,
        "D_star": D + 0.8, "D_star_se": 0.4, "D": D, "D_se": 0.4, "D_source": "own", "D_null": null, "D_per_dim": D / 256,
        "D_bits_per_dim": D / 256 / math.log(2), "likelihood": "bernoulli", **RECEIVED, "H_x": H_x, "H_x_kind": H_x_kind if H_x is not None else "none",
        "gap_RD": gap, "gap_RD_se": 0.4, "Dy": Dy, "Dy_se": 0.02, "Hy_V": Hy_V, "H_y": H_y, "IV": Hy_V - Dy, "IV_se": 0.02,
        "Dy_sum": sum(f["Dy"] for f in out["factors"].values()), "U": 0.5,
    }  # fmt: skip
    return out


def costly(model="vae", R=100.0, **about):
    """A point without a target whose code costs about R nats."""
    made = record(model, sigma=R, **about)
    made["spec"]["sigma"] = made["control"]["sigma"] = None
    return made


def of_point(curve, sigma, status="ok"):
    """A record that keeps every law, of a point of a curve."""
    fake = record("vae", sigma=4.0)
    n = fake["data"]["n_test"] // 2
    rate = {} if sigma is None else {"R_train": sigma, "rate_err": 0.0}
    return {
        **fake,
        "control": {**fake["control"], "sigma": sigma, **rate},
        "folds": {"n": [n, n], **{name: [fake["values"][name]] * 2 for name in ("R_star", "D", "Dy")}},
        "key": curve.key(sigma),
        "spec": curve.spec(sigma),
        "status": status,
        "reason": None if status == "ok" else "as\nplanned \x1b[31m",
        "traceback": None,
    }


def _factor(n, IV, draw):
    H = math.log(n)
    return {
        "H_y": H, "Hy_V": H + 0.002, "Dy": H + 0.002 - IV, "Dy_se": 0.01, "Dy_linear": H - IV + 0.1, "Dy_mlp": H + 0.002 - IV,
        "Dy_head": draw.choice(["linear", "mlp"]), "IV": IV, "IV_se": 0.01, "IV_shuffled": 0.001, "IV_shuffled_se": 0.002,
        "acc": min(0.99, 1 / n + (1 - 1 / n) * IV / H), "bal_acc": 0.5, "ece": 0.02, "settings": {}, "Dy_mean": H - IV,
    }  # fmt: skip


SCORES = {  # score: highest value, rate in nats at which most of that is reached
    "betavae": (0.98, 3), "factorvae": (0.9, 5), "mig": (0.45, 9), "dci_disentanglement": (0.6, 8), "dci_completeness": (0.5, 8),
    "dci_informativeness": (0.9, 6), "sap": (0.12, 7), "modularity": (0.9, 2), "explicitness": (0.95, 6), "irs": (0.7, 4),
    "gaussian_tc": (1.8, 10), "gaussian_wasserstein": (0.6, 10), "mutual_info": (0.09, 10),
}  # fmt: skip
LATENTS = [f"z[{j}]" for j in range(10)]
LEVELS = (0.0, 0.05, 0.1, 0.2)
LABELS = (20, 50, 100, 300, 1000, 4000)
AT = [-2.0, -1.0, 0.0, 1.0, 2.0]


def rich(record):
    """The same record with all that it may also have: scores, a matrix, pictures, structure, more heads."""
    if not record["values"]:
        return record
    R, model = record["values"]["R_star"], record["spec"]["model"]
    useful = MODELS.get(model, (0, 0, 0, 0, 0.5))[4]
    draw = random.Random("rich" + record["key"])
    record["scores"], record["nulls"] = _scores(R, useful, draw)
    record["mi"] = _mi(record, R, useful)
    steps = list(range(100, 2001, 100))
    record["learning"] = {
        "step": steps,
        "D": [record["values"]["D"] + 60 * math.exp(-t / 300) for t in steps],
        "R": [R * (1 - math.exp(-t / 400)) for t in steps],
        "beta": [0.4 + 3 * math.exp(-t / 200) for t in steps],
    }
    record["pictures"] = {"latents": ["z[3]", "z[0]", "z[7]"], "at": AT, "prior": "own"}
    record["data"]["factors"]["angle"] = {"size": 1, "kind": "real", "independent": True, "H_y": None}
    record["factors"]["angle"] = {
        "H_y": None, "Hy_V": 1.42, "Dy": 1.42 - R / 20, "Dy_se": 0.01, "Dy_linear": 1.5 - R / 20, "Dy_linear_se": 0.01, "Dy_head": "mlp",
        "IV": R / 20, "IV_se": 0.01, "Dy_bins": 3.0 - R / 20, "Dy_bins_se": 0.01, "Hy_bins": 3.0, "IV_bins": R / 20,
    }  # fmt: skip
    for name, f in record["factors"].items():
        f["Dy_knn"], f["Dy_knn_se"] = f["Dy"] + 0.08, 0.012
        if name != "hue":
            f["Dy_boosted_trees"], f["Dy_boosted_trees_se"] = f["Dy"] + 0.03, 0.011
    classes = {k: f for k, f in record["factors"].items() if record["data"]["factors"][k]["kind"] == "class"}
    record["structure"] = _structure(classes, record["values"], useful, draw)
    if model == "vae":
        del record["structure"]["levels"]
        record["nulls"]["structure.levels"] = "the code has 1 block; levels are 2 to 6"
    return record


def _scores(R, useful, draw):
    found, nulls = {}, {}
    for score, (top, scale) in SCORES.items():
        for protocol in ("dlib", "robust"):
            for rep in ("mean", "sample"):
                column = f"{score}_{protocol}_{rep}"
                level = top * (0.5 + 0.5 * useful) * (1 - math.exp(-(R + (3 if rep == "mean" else 0)) / scale))
                found[column] = round(level * (0.95 if protocol == "dlib" else 1) + draw.gauss(0, 0.015), 6)
                if score.startswith("dci") and protocol == "dlib":
                    found[column], nulls[column] = None, "boosted trees take minutes; this budget leaves them out"
                if score == "dci_disentanglement" and protocol == "robust" and R < 3:
                    found[column], nulls[column] = (
                        None,
                        "nothing is known of any factor, <so> there is nothing to divide",
                    )
    return found, nulls


def _mi(record, R, useful):
    names = ["shape", "scale", "position", "hue"]
    H = [math.log(record["data"]["factors"][k]["size"]) for k in names]
    shape = random.Random(record["spec"]["model"] + str(record["spec"]["seed"])).sample(range(10), 4)
    peak = useful * (1 - math.exp(-R / 6))
    table = [
        [
            round(h * (peak if shape[k] == j else 0.02 + 0.1 * peak * ((j * 7 + k * 3) % 5) / 5), 4)
            for k, h in enumerate(H)
        ]
        for j in range(10)
    ]
    mean = [[round(min(h, 1.15 * v), 4) for v, h in zip(row, H, strict=True)] for row in table]
    return {"latents": LATENTS, "factors": names, "H": H, "sample": table, "mean": mean}


def _structure(classes, values, useful, draw):
    R, levels = values["R_star"], {}
    for block, part in (("z1", 0.4), ("z2", 0.8), ("z3", 1.0)):
        factors = {
            k: {"Dy": f["Hy_V"] - part * f["IV"], "Dy_se": 0.01, "Hy_V": f["Hy_V"], "IV": part * f["IV"], "IV_se": 0.01}
            for k, f in classes.items()
        }
        levels[block] = {"R_star": part * R, "R_star_se": 0.05, "factors": factors}
    ari = useful * (1 - math.exp(-R / 5)) + draw.gauss(0, 0.02)
    clusters = {
        name: {
            "k": 3,
            "ari": ari - worse,
            "ami": ari - worse + 0.02,
            "nmi": ari - worse + 0.05,
            "acc": 0.4 + 0.5 * (ari - worse),
        }
        for name, worse in (("k-means", 0.1), ("mixture", 0.0))
    }
    efficiency = {
        k: {
            "n": list(LABELS), "Dy": [f["Dy"] + (f["Hy_V"] - f["Dy"]) * math.exp(-n / 300) + 2 / n for n in LABELS], "Dy_se": [0.3 / n**0.5 for n in LABELS],
            "mdl": 4000 * f["Dy"] + 120, "mdl_ratio": (4000 * f["Dy"] + 120) / (4000 * f["Hy_V"]), "sdl": 300 * f["Dy"], "sdl_eps": 0.4,
            "sdl_bound": ">" if f["Dy"] > 0.4 else "=",
        }
        for k, f in classes.items()
    }  # fmt: skip
    lost = {k: [f["Hy_V"] - f["IV"] * math.exp(-8 * v) for v in LEVELS] for k, f in classes.items()}
    return {
        "clusters": {"from": "mixture", **clusters},
        "levels": levels,
        "leakage": {
            "s": "hue",
            "head": "boosted_trees",
            "Ds": classes["hue"]["Dy"],
            "IV": classes["hue"]["IV"],
            "IV_se": 0.02,
        },
        "efficiency": efficiency,
        "noise": {
            "kind": "flip",
            "levels": list(LEVELS),
            "Dy": lost,
            "Dy_se": {k: [0.01] * len(LEVELS) for k in classes},
        },
    }


def vectors(record, channels=None, side=16):
    """The arrays of a rich record: latents, and discs that get sharper with the rate, grey for sprites."""
    import numpy as np

    if not record.get("pictures"):
        return {}
    channels = channels or (1 if record["spec"]["dataset"] == "sprites" else 3)
    R = record["values"]["R_star"]
    v, u = np.mgrid[0:side, 0:side] / side - 0.5

    def disc(x, y, radius, sharp):
        inside = 1 / (1 + np.exp(-sharp * (radius - np.hypot(u - x, v - y))))
        return np.stack([255 * inside * (1 - 0.35 * c) for c in range(channels)]).round().astype(np.uint8)

    places = [(0.22 * math.cos(i), 0.22 * math.sin(i), 0.12 + 0.02 * (i % 4)) for i in range(8)]
    moved = [
        [disc(*(a * np.array(way) / 8), 0.2 + 0.03 * a * (way == (0, 0)), 4 + R) for a in AT]
        for way in ((1, 0), (0, 1), (0, 0))
    ]
    latents = np.random.default_rng(0).normal(size=(60, 4))[:, [(j + record["spec"]["seed"]) % 4 for j in range(4)]]
    return {
        "R_i": np.full(5, R, np.float32),
        "latents/mean": latents.astype(np.float16),
        "latents/rate": np.full(4, R / 4, np.float32),
        "pictures/originals": np.stack([disc(*p, 60) for p in places]),
        "pictures/reconstructions": np.stack([disc(*p, 3 + R) for p in places]),
        "pictures/prior": np.stack([disc(*p, 2 + R) for p in places[::-1]]),
        "pictures/interpolations": np.stack([[disc(0.06 * i - 0.2, 0, 0.15, 4 + R) for i in range(7)]] * 2),
        "pictures/traversals": np.stack([np.stack(row) for row in moved]),
    }


def suite(models=tuple(MODELS), datasets=("sprites",), seeds=3, sigmas=(*SIGMAS, None), parts=False, **settings):
    """A whole suite, with a diverged, a failed and two off-target points among the later models.

    With `parts`, records have all that they may have, see `rich` and `vectors`.
    """
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
                    made = record(model, dataset, seed, sigma, status=status, **settings)
                    out.append(rich(made) if parts else made)
    return out
