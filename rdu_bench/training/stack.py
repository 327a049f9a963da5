"""What is trained: one model, or copies of one model side by side, and the optimizers of either."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from ..model import Batch, Model, Terms
from ..nn.critics import Average, Critic

Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer | None]  # of weights, and of averages if there are any


class Single:
    """One model and one rate target, trained as any PyTorch module is."""

    def __init__(self, model: Model):
        self.model = model

    def __call__(self, batch: Batch) -> Terms:
        """Terms with a leading cell axis of one."""
        return Terms(*(term.unsqueeze(0) for term in self.model(batch)))

    def weights(self) -> list[Tensor]:
        """All that is learned."""
        return list(self.model.parameters())

    def copy(self, source: Tensor, into: Tensor, cells: Tensor) -> None:
        """Copy a weight where `cells` (1,) is true."""
        if bool(cells):
            into.copy_(source)

    def optimizers(self, lr: float) -> Optimizers:
        """Of the model's own weights and its critics', and of its averages."""
        return optimizers(self.model, dict(self.model.named_parameters()), lr)


class Stack:
    """Copies of a model, one a rate target, trained side by side.

    Every parameter gains a leading cell axis.  Cells share each batch and each draw of noise, so a stack and
    separate runs agree to rounding, whether the cells are vmapped or taken in turn.
    """

    def __init__(self, model: Model, cells: int, *, vectorise: bool = True):
        self.model, self.cells, self.vectorise = model, cells, vectorise
        self.params = {
            name: weight.detach().expand(cells, *weight.shape).clone().requires_grad_()
            for name, weight in model.named_parameters()
        }

    def __call__(self, batch: Batch) -> Terms:
        """Terms with a leading cell axis."""

        def terms(params: dict[str, Tensor]) -> Terms:
            return functional_call(self.model, params, (batch,))

        if self.vectorise:
            return vmap(terms, randomness="same")(self.params)
        done: list[Terms] = []
        for i in range(self.cells):
            with torch.random.fork_rng(enabled=i + 1 < self.cells):  # the same noise for all
                done.append(terms({name: weight[i] for name, weight in self.params.items()}))
        return Terms(*map(torch.stack, zip(*done, strict=True)))

    def optimizers(self, lr: float) -> Optimizers:
        """Of the models' own weights and their critics', and of their averages."""
        return optimizers(self.model, self.params, lr)

    def weights(self) -> list[Tensor]:
        """All that is learned, with a leading cell axis."""
        return list(self.params.values())

    def copy(self, source: Tensor, into: Tensor, cells: Tensor) -> None:
        """Copy a weight of the cells (cells,) that are true."""
        into[cells] = source[cells]

    def write(self, i: int, into: Model) -> None:
        """Copy the i-th cell's weights into a model of the same shape."""
        with torch.no_grad():
            for name, weight in into.named_parameters():
                weight.copy_(self.params[name][i])


def optimizers(model: Model, params: dict[str, Any], lr: float) -> Optimizers:
    """Of `params`, named as those of `model`: Adam at `lr`, critics perhaps at their own, descent for averages."""
    ours = dict(params)
    groups: list[dict[str, Any]] = []
    averages: list[dict[str, Any]] = []
    for path, module in model.named_modules():
        if isinstance(module, Critic | Average):
            names = [f"{path}.{name}" if path else name for name, _ in module.named_parameters()]
            apart = [ours.pop(name) for name in names]
            if isinstance(module, Critic):
                groups.append({"params": apart, "lr": lr if module.lr is None else module.lr, "betas": module.betas})
            else:
                averages.append({"params": apart, "lr": module.rate})
    weights = [p for p in ours.values() if p.requires_grad]
    adam = torch.optim.Adam([{"params": weights}, *groups], lr=lr, betas=model.betas, fused=True)
    return adam, torch.optim.SGD(averages) if averages else None
