"""Models of Pixyz (Suzuki, Kaneko & Matsuo 2021, arXiv:2107.13109): q(z|x), p(x|z) and p(z) are its distributions.

Pixyz already names what is sent: `get_params` gives the parameters of a distribution without drawing, and
`distribution_torch_class` says what they are parameters of.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

from ..api import Batch, Code, Message, Model, Row, Spec, bernoulli, gaussian, one_hot, transmit

try:
    from pixyz import distributions as pixyz_distributions
    from pixyz.losses.losses import Loss
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f'this needs Pixyz: pip install "rdu-bench[pixyz]" ({error})', name=error.name) from error

__all__ = ["FromPixyz", "from_pixyz"]

Given = Any  # a distribution of Pixyz's, a product of some, or a list of them
X = "x"  # the variable that is the example
_checking = threading.Lock()
_unchecked = [0, True]  # how many passes are under way, and whether torch checked arguments before the first


class FromPixyz(Model):
    """A model of Pixyz's.

        L = E_q(z|x)[−log p(x|z)] + Σ_j KL(q(z_j|x, z_<j) ‖ p(z_j|z_<j)) + loss  =  D + R + loss

    Every factor of q, in the order of its graph, is a block of the code, paid for under the factor of the prior with
    its variable; both may depend on variables sent before.  `loss` is a Pixyz loss in nats, of x and the variables of
    the code, on the draws that were sent: what the objective adds to D and R, and not those two again.
    A relaxed categorical sends its symbol, exactly one-hot, and keeps the gradient of the relaxed one.
    """

    def __init__(self, data: Spec, q: Given, p: Given, prior: Given, *, loss: Loss | None = None, images: bool = False):
        """`images`: q is given x (B, *shape), not (B, n).

        Raises `ValueError` where the parts do not make a model: variables of q and prior differ, p is not that of the
        data's likelihood, or the loss has weights of its own, which one descent cannot train.
        """
        super().__init__()
        parts = {"q": _factors("q", q), "p": _factors("p", p), "prior": _factors("prior", prior)}
        sent = [factor.var[0] for factor in parts["q"]]
        expected = {factor.var[0]: factor for factor in parts["prior"]}
        if set(sent) != set(expected) or [factor.var for factor in parts["p"]] != [[X]]:
            raise ValueError(
                f"q is of {', '.join(sent)}, prior of {', '.join(expected)}, p of "
                f"{', '.join(f.var[0] for f in parts['p'])}: prior must be of the variables of q, and p of x alone"
            )
        if _binary(parts["p"][0]) != (data.likelihood == "bernoulli"):
            raise ValueError(f"p is {parts['p'][0].distribution_name}, which is no density of {data.likelihood} data")
        self.q, self.prior = nn.ModuleList(parts["q"]), nn.ModuleList(expected[name] for name in sent)
        self.p, self.shape, self.images = parts["p"][0], tuple(data.shape), images
        known = {id(weight) for weight in self.parameters()}
        if loss is not None and any(id(weight) not in known for weight in loss.parameters()):
            raise ValueError("the loss has weights that are not those of q, p and prior: an adversary cannot come")
        self.loss = loss

    def encode(self, batch: Batch) -> Code:
        given, code = self._given(batch.x), Code()
        factors: Iterator[tuple[Any, Any]] = zip(self.q, self.prior, strict=True)
        for factor, expected in factors:
            name = factor.var[0]
            q = read(factor, given)
            code[name] = transmit(q, read(expected, given).expand(q.batch_shape))
            given[name] = code[name].drawn
        return code

    def decode(self, code: Message) -> Distribution:
        return read(self.p, {name: arrived.sample for name, arrived in code.items()}, self.shape)

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        if self.loss is None:
            return super().regularizer(batch, code)
        given = self._given(batch.x) | {name: block.drawn for name, block in code.items()}
        with _unwritten(self), _without_checks():
            return self.loss.eval(given).mean()

    def _given(self, x: Tensor) -> dict[str, Tensor]:
        return {X: x if self.images else x.flatten(1)}


def read(factor: Any, given: Mapping[str, Tensor], shape: tuple[int, ...] | None = None) -> Distribution:
    """The distribution of one of Pixyz's given the variables before it, over (B, …), or over (B, *shape)."""
    params = factor.get_params({name: given[name] for name in factor.input_var})
    names, values = list(params), torch.broadcast_tensors(*params.values())
    if shape is not None:
        values = [value.reshape(len(value), *shape) for value in values]
    made = dict(zip(names, values, strict=True))
    kind = factor.distribution_torch_class
    eps = torch.finfo(values[0].dtype).eps  # as torch has it where it is given probabilities
    if kind.__name__ == "Normal":
        return gaussian(made["loc"], made["scale"])
    if issubclass(kind, Bernoulli):
        return bernoulli(torch.logit(made["probs"], eps))
    if "Categorical" in kind.__name__:
        return one_hot(params["probs"].clamp(min=eps).log())
    return Independent(kind(**made, validate_args=False), values[0].dim() - 1, validate_args=False)


def from_pixyz(
    q: Given, p: Given, prior: Given, *, loss: Any = None, images: bool = False, row: Row | None = None
) -> type[Model]:
    """A model class from distributions of Pixyz's; see `FromPixyz`.

    `q`, `p` and `prior` are distributions, products or lists of some, or functions of a `Spec` that give one, such as
    classes whose only argument it is; `loss` is a loss, or a function of (q, p, prior) that gives one.
    Of distributions every model that is made has copies, with weights drawn anew by the `reset_parameters` of layers
    that have it, so that seeds count; their sizes are what they are, whatever x is.
    """
    ready = copy.deepcopy((q, p, prior, loss))  # what is done to the originals later on is no part of the class
    known = not _is_function(p)

    class Made(FromPixyz):
        __doc__ = FromPixyz.__doc__

        def __init__(self, data: Spec, *, latent: int | None = None):
            data = data._replace(latent=latent or data.latent)
            copied = copy.deepcopy(ready)  # together, for the loss is of the other three
            parts = [part(data) if _is_function(part) else _anew(part) for part in copied[:3]]
            added = copied[3](*parts) if _is_function(copied[3]) else copied[3]
            super().__init__(data, *parts, loss=added, images=images)

    needs = ("binary",) if known and _binary(_factors("p", ready[1])[0]) else ()
    told = Row(paper="", title="model of Pixyz's", objective="D + R" if loss is None else "D + R + loss")
    Made.row = row or told._replace(needs=needs)
    return Made


def _is_function(part: Any) -> bool:
    return callable(part) and not isinstance(part, nn.Module)


def _anew(part: Given) -> Given:
    """Distributions with new weights in all layers that know how theirs begin."""
    for factor in _factors("", part):
        for module in factor.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return part


def _factors(what: str, given: Given) -> list[Any]:
    """The atomic distributions of a distribution, a product or a list, in the order in which they are drawn."""
    found = []
    for part in given if isinstance(given, Sequence) else [given]:
        if not isinstance(part, pixyz_distributions.Distribution):
            raise ValueError(f"{what} = {part!r:.60}: give a distribution of Pixyz's, a product of some, or a list")
        found += [factor.dist for factor in part.graph.factors(sorted=True)]
        if any(factor.name_dict for factor in part.graph.factors()):
            raise ValueError(f"{what}: {part.prob_text} has renamed variables; name them where it is made")
    for factor in found:
        factor._graph = None  # made again when it is asked for; it would be a copy of its own distribution's state
        _forget(factor)
        if len(factor.var) != 1 or not hasattr(factor, "distribution_torch_class"):
            raise ValueError(
                f"{what}: {factor.prob_text} is no distribution of one variable with parameters of torch's"
            )
    return found


def _forget(factor: Any) -> None:
    """Have parameters computed whenever they are asked for.

    Pixyz keeps those of the last calls, and gives them out again for the same tensors, or for none, also where weights
    have changed since.
    """
    cells = getattr(type(factor).get_params, "__closure__", None) or ()
    kept = next((cell.cell_contents for cell in cells if hasattr(cell.cell_contents, "cache_clear")), None)
    if kept is not None:
        factor.get_params = MethodType(kept.__wrapped__, factor)


def _binary(p: Any) -> bool:
    return issubclass(p.distribution_torch_class, Bernoulli)


@contextmanager
def _unwritten(model: nn.Module) -> Iterator[None]:
    """Inside, losses may write `_dist` to distributions, as `set_dist` does; afterwards all are as before."""
    before: list[tuple[Any, Any]] = [
        (module, vars(module).get("_dist")) for module in model.modules() if "_dist" in vars(module)
    ]
    try:
        yield
    finally:
        for module, dist in before:
            module._dist = dist


@contextmanager
def _without_checks() -> Iterator[None]:
    """Inside, torch does not look at the arguments of distributions, which vmap could not do; in any thread."""
    with _checking:
        if not _unchecked[0]:
            _unchecked[1] = Distribution._validate_args
            Distribution.set_default_validate_args(False)
        _unchecked[0] += 1
    try:
        yield
    finally:
        with _checking:
            _unchecked[0] -= 1
            if not _unchecked[0]:
                Distribution.set_default_validate_args(bool(_unchecked[1]))
