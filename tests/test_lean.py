"""Training and measuring need nothing of torch's compiler, and whoever wants it afterwards has it whole."""

import os
import subprocess
import sys
import threading
from functools import wraps
from pathlib import Path

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from rdu_bench import _lean
from rdu_bench._lean import METHODS, lean

ROOT = Path(__file__).parents[1]
TRAIN = """
import sys, torch
from rdu_bench import registry
from rdu_bench.training import Training, train_at

data = registry.dataset("digits")
for name in ("vae", "factor_vae", "svae"):  # Adam alone, with a critic's group, and beside plain descent of averages
    model = registry.model(name, data.spec(hidden=(16,), latent=4))
    train_at(model, data, 3.0, Training(steps=4, batch=32))
"""
ENCODER = """
import sys, numpy as np, rdu_bench
rdu_bench.Encoder("vae", sigma=2, steps=4).fit(np.random.default_rng(0).normal(size=(64, 8)))
"""
POINT = """
import sys, torch
from rdu_bench.engine.curve import run_curve
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.suite import read
from rdu_bench.records.store import Store

[curve] = curves(read("tiny.toml"), Selection())
run_curve(curve, Store("out"))
[record] = Store("out").records()
assert record["factors"]["digit"]["Dy_mlp"] is not None and record["values"]["D_star"] is not None, record["nulls"]
"""
SUITE = """
models = ["vae"]
elbo = false
heads = ["linear", "mlp"]
budget = { base = "smoke", steps = 5, probe_steps = 5, head_steps = 5, codes = 50, test = 50, score_groups = 50 }

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [2]
"""
LEAN = """
assert "torch._dynamo" not in sys.modules and "torch._inductor" not in sys.modules
"""
COMPILES = """
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.Adam([weight], lr=0.5)

@torch.compile(backend="eager")
def step():
    optimizer.zero_grad()
    (weight**2).sum().backward()
    optimizer.step()

step()
assert "torch._dynamo" in sys.modules and torch.allclose(weight, torch.full((3,), 0.5))
"""


def fresh(text, folder):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("text", [TRAIN, ENCODER, POINT], ids=["training", "encoder", "point"])
def test_the_compiler_is_not_imported(text, tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE)
    fresh(text + LEAN + (COMPILES if text is TRAIN else ""), tmp_path)


def unhook(monkeypatch):
    """`step` as it is before the first optimizer of its class is made."""
    for owner in (Adam, AdamW, SGD):
        step = owner.step
        monkeypatch.setattr(owner, "step", step.__wrapped__ if hasattr(step, "hooked") else step)


@pytest.fixture
def without_compiler(monkeypatch):
    """As in a process in which nobody has imported it, and no optimizer was made."""
    unhook(monkeypatch)
    monkeypatch.setattr(_lean, "compiling", lambda: False)
    assert not _lean._inside


def methods():
    steps = [vars(owner).get("step") for owner in (Adam, AdamW, SGD)]
    return [vars(Optimizer)[name] for name in METHODS] + steps


def test_all_is_as_it_was_afterwards(without_compiler):
    before = methods()
    with lean():
        inside = methods()
        with lean():
            assert methods() == inside
        other = threading.Thread(target=lean()(lambda: None))
        other.start()
        other.join()
        assert methods() == inside
    assert methods() == before and inside[0] is not before[0] and inside[-1] is not before[-1]
    with pytest.raises(ZeroDivisionError), lean():
        1 / 0  # noqa: B018
    assert methods() == before


def trained(kind, **settings):
    """Weights after a few steps with a schedule and hooks, and what the hooks saw."""
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(5, 3)), torch.nn.Parameter(torch.randn(3))]
    optimizer = kind([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.3}], lr=0.1, **settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    for _ in range(4):
        optimizer.zero_grad()
        sum((w**4).sum() for w in weights).backward()
        optimizer.step()
        schedule.step()
    return [w.detach() for w in weights], seen


@pytest.mark.parametrize(
    ("kind", "settings"), [(Adam, {"fused": True}), (Adam, {"amsgrad": True}), (AdamW, {}), (SGD, {"momentum": 0.5})]
)
def test_it_computes_what_torch_does(without_compiler, monkeypatch, kind, settings):
    plain, hooks = trained(kind, **settings)
    unhook(monkeypatch)
    with lean():
        monkeypatch.setattr(torch._dynamo, "graph_break", lambda: pytest.fail("the compiler was asked"))
        ours, ours_hooks = trained(kind, **settings)
    assert all(torch.equal(a, b) for a, b in zip(plain, ours, strict=True)) and hooks == ours_hooks == [True] * 4


def test_torch_of_another_make_is_left_alone(without_compiler, monkeypatch):
    def another(method):
        @wraps(method)
        def wrapper(*args, **kwargs):
            return method(*args, **kwargs)

        return wrapper

    for name in METHODS:
        monkeypatch.setattr(Optimizer, name, another(vars(Optimizer)[name]))
    for owner in (Adam, AdamW, SGD):
        monkeypatch.setattr(owner, "step", another(owner.step))
    before = [getattr(Optimizer, name) for name in METHODS] + [Adam.step, AdamW.step, SGD.step]
    with lean():
        assert [getattr(Optimizer, name) for name in METHODS] + [Adam.step, AdamW.step, SGD.step] == before


def test_where_the_compiler_is_there_already_nothing_is_replaced(monkeypatch):
    monkeypatch.setattr(_lean, "compiling", lambda: True)
    before = methods()
    with lean():
        assert methods() == before


def test_the_compiler_is_asked_once_somebody_has_imported_it(without_compiler, monkeypatch):
    asked = []

    def whole(self):
        asked.append("whole")

    method = _lean._either(whole, lambda self: asked.append("bare"))
    method(None)
    monkeypatch.setattr(_lean, "compiling", lambda: True)
    method(None)
    assert asked == ["bare", "whole"]
