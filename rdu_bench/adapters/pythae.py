"""Models of Pythae (Chadebec, Vincent & Allassonnière 2022, arXiv:2206.08309): its losses, our networks and rate.

Pythae has no names for q(z|x) and p(x|z).  So a model is handed an encoder and a decoder that know theirs, and is given
every example with the draw that was sent for it: what its loss then has beyond D and R is the regulariser.
"""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.func import functional_call

from ..api import Autoencoder, Batch, Code, Critic, Model, Row, Spec, gaussian

try:
    import pythae.models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f'this needs Pythae: pip install "rdu-bench[pythae]" ({error})', name=error.name
    ) from error

__all__ = ["FromPythae", "from_pythae", "named"]

ROWS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SUBTRACTED = ("closed form", "draw", "nothing")  # what of a loss of Pythae's is R
SET_HERE = {  # fields of its configurations that are no hyper-parameters here
    *("name", "input_dim", "latent_dim", "reconstruction_loss", "reconstruction_loss_scale", "deterministic_posterior"),
    *("uses_default_encoder", "uses_default_decoder", "uses_default_discriminator", "discriminator_input_dim"),
    "warmup_epoch",
}
END = 10**9  # an epoch after every warm-up of Pythae's; the suite has none
Make = Callable[[Spec, BaseEncoder, BaseDecoder], nn.Module]


class Drawn(NamedTuple):
    """What was drawn for some examples, and from where, (B, d) each; mean and scale only where z is Gaussian."""

    z: Tensor
    mean: Tensor | None = None
    scale: Tensor | None = None

    def mapped(self, call: Callable[[Tensor], Tensor]) -> Drawn:
        """Each part that there is through `call`."""
        return Drawn(call(self.z), *(None if part is None else call(part) for part in self[1:]))


class Examples:
    """x (B, *shape), for all that a model of Pythae's asks of it, with what was drawn for each row of it."""

    def __init__(self, x: Tensor, drawn: Drawn):
        self.x, self.drawn = x, drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["x"], name)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: Any) -> Examples:
        return Examples(self.x[at], self.drawn.mapped(lambda part: part[at]))

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*_bare(args), **{name: _bare(value) for name, value in (kwargs or {}).items()})


def _of_x(name: str) -> Callable[..., Any]:
    return lambda self, *others: getattr(self.x, name)(*map(_bare, others))


for _operator in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "neg"):
    setattr(Examples, f"__{_operator}__", _of_x(f"__{_operator}__"))


def _bare(value: Any) -> Any:
    """x in the place of `Examples`, also in lists and tuples."""
    if isinstance(value, list | tuple):
        return type(value)(map(_bare, value))
    return value.x if isinstance(value, Examples) else value


class Pass(NamedTuple):
    """One pass through a model of Pythae's."""

    sent: list[Drawn]  # of every call of its encoder, in order
    undrawn: list[Tensor]  # of calls whose draw it has not asked for
    critics: bool  # whether its critics are trained in it; they have frozen weights in any other


_pass: ContextVar[Pass] = ContextVar("_pass")


@contextmanager
def _passing(critics: bool) -> Iterator[Pass]:
    """Inside, and in this thread alone, a model's encoder and draws are those of the pass that is given."""
    made = Pass([], [], critics)
    token = _pass.set(made)
    try:
        yield made
    finally:
        _pass.reset(token)


class Encoder(BaseEncoder):  # type: ignore[misc]
    """Examples → what a model of Pythae's asks of an encoder."""

    def forward(self, x: Examples) -> ModelOutput:
        """`embedding` (B, d), and of a Gaussian `log_covariance` (B, d)."""
        if not isinstance(x, Examples):
            raise TypeError("this model gives its encoder something else than examples of x: it cannot come")
        now, drawn = _pass.get(), x.drawn
        now.sent.append(drawn)
        if drawn.mean is None or drawn.scale is None:
            return ModelOutput(embedding=drawn.z)
        now.undrawn.append(drawn.z)
        return ModelOutput(embedding=drawn.mean, log_covariance=2 * drawn.scale.log())


def _sent(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """What was sent, and its noise, (B, d) each: what a model of Pythae's draws from N(mean, diag scale²)."""
    undrawn = _pass.get().undrawn
    if not undrawn:
        raise ValueError("this model draws more than once from one q(z|x), and a code is one draw: it cannot come")
    z = undrawn.pop()
    return z, (z - mean) / scale


class Decoder(BaseDecoder):  # type: ignore[misc]
    """z (B, d) → the mean of p(x|z)."""

    def __init__(self, p: nn.Module):
        super().__init__()
        self.p = p.__call__  # whose weights are the model's own, and not counted twice

    def forward(self, z: Tensor) -> ModelOutput:
        """`reconstruction` (B, *shape)."""
        return ModelOutput(reconstruction=self.p(z).mean)


class Discriminator(Critic):
    """A discriminator of Pythae: trained where a pass is for critics, and with frozen weights in any other."""

    def __init__(self, net: nn.Module):
        nn.Module.__init__(self)
        self.net = net

    def forward(self, z: Tensor) -> Any:
        """What its network makes of z (B, d)."""
        return self.net(z) if _pass.get().critics else self.frozen(z)

    def frozen(self, *z: Tensor) -> Any:
        weights = {name: weight.detach() for name, weight in self.net.named_parameters()}
        return functional_call(self.net, weights, z)


class FromPythae(Autoencoder):
    """A model of Pythae's with the suite's networks.

        L = D + R + (L_Pythae − D_Pythae − R_Pythae)

    Their loss and its reconstruction are computed on the draw that was sent, so that the last term is what their
    objective adds to a VAE's, whatever distortion it was written for; R_Pythae is what their loss has for R, in closed
    form or on the draw.  Of a point z = f(x) they have no R, and the rate is that of the noise channel `noise`.
    """

    def __init__(self, data: Spec, make: Make, *, latent: int | None = None, subtracts: str = "", noise: str = ""):
        """`make(data, encoder, decoder)` returns a model of Pythae's for x of `data.shape` and codes of `data.latent`.

        `subtracts` is one of `SUBTRACTED`; "" is that of the class of Pythae's that it is made from.  Raises
        `ValueError` where that is not known, or a model with noise has an R of its own.
        """
        super().__init__(data, latent=latent, noise=noise)
        self.examples = data.examples
        theirs: Any = make(data._replace(latent=self.latent), Encoder(), Decoder(self.decoder))
        self.subtracts = subtracts or _subtracts(type(theirs))
        if self.subtracts not in SUBTRACTED or (noise and self.subtracts != "nothing"):
            allowed = "'nothing', since z = f(x)" if noise else ", ".join(map(repr, SUBTRACTED))
            raise ValueError(f"subtracts = {self.subtracts!r}: give {allowed}")
        if not noise:
            theirs._sample_gauss = _sent
        if discriminator := getattr(theirs, "discriminator", None):
            theirs.discriminator = Discriminator(discriminator)
        self.theirs = theirs

    def regularizer(self, batch: Batch, code: Code) -> Tensor:
        out, drawn = self._out(batch, code, critics=False)
        loss = out["autoencoder_loss"] if "autoencoder_loss" in out else out["loss"]
        more = loss - out.get("recon_loss", loss)
        return more if self.subtracts == "nothing" else more - self._rate(drawn).mean()

    def critic_loss(self, batch: Batch, code: Code) -> Tensor:
        if not hasattr(self.theirs, "discriminator"):
            return super().critic_loss(batch, code)
        return self._out(batch, code, critics=True)[0]["discriminator_loss"]

    def _out(self, batch: Batch, code: Code, critics: bool) -> tuple[ModelOutput, Drawn]:
        """Their output, and the draws that their loss is of: those of the first call of their encoder."""
        block = code["z"]
        drawn = Drawn(block.drawn) if self.channel != "native" else Drawn(block.drawn, block.q.mean, block.q.stddev)
        if critics:
            drawn = drawn.mapped(Tensor.detach)
        with _passing(critics) as now:
            out = self.theirs({"data": Examples(batch.x, drawn)}, dataset_size=self.examples, epoch=END)
        return out, now.sent[0]

    def _rate(self, drawn: Drawn) -> Tensor:
        """(B,) nats, R as their loss has it."""
        assert drawn.mean is not None and drawn.scale is not None  # of a point nothing is subtracted
        q = gaussian(drawn.mean, drawn.scale)
        p = gaussian(torch.zeros_like(drawn.z), torch.ones_like(drawn.z))
        return kl_divergence(q, p) if self.subtracts == "closed form" else q.log_prob(drawn.z) - p.log_prob(drawn.z)


def _subtracts(kind: type) -> str:
    """What of the loss of a class is R, by the first class of Pythae's that it is made from and that is known."""
    known = (ROWS[c.__name__] for c in kind.__mro__ if c.__module__.startswith("pythae.") and c.__name__ in ROWS)
    found: str = next((row["subtracts"] for row in known), "")
    if not found:
        raise ValueError(
            f"{kind.__name__} is made from no model of Pythae's whose R is known: say `subtracts`, "
            f"one of {', '.join(map(repr, SUBTRACTED))}"
        )
    return found


def from_pythae(make: Make, *, subtracts: str = "", noise: str = "", row: Row | None = None) -> type[Model]:
    """A model class from `make(data, encoder, decoder)`, which returns a model of Pythae's; see `FromPythae`."""

    class Made(FromPythae):
        __doc__ = FromPythae.__doc__

        def __init__(self, data: Spec, *, latent: int | None = None):
            super().__init__(data, make, latent=latent, subtracts=subtracts, noise=noise)

    Made.row = row or Row(paper="", title="model of Pythae's", objective="D + R + …")
    return Made


@cache
def named(name: str) -> type[Model]:
    """The class of `pythae:NAME`, whose parameters are those of Pythae's configuration of it.

    Raises `ImportError` where the Pythae that is installed has no such class.
    """
    row = {cell: value for cell, value in ROWS[name].items() if cell != "doc"}
    point, subtracts = row.pop("posterior") == "point", row.pop("subtracts")
    kind = getattr(pythae.models, name, None)
    if kind is None:
        raise ImportError(f"the Pythae that is installed has no {name}; update it")
    config: Any = inspect.signature(kind.__init__).parameters["model_config"].annotation
    unused = {*SET_HERE, *row.pop("unused", ())}
    fields = {f.name: f for f in dataclasses.fields(config) if f.name not in unused}

    def init(self: Any, data: Spec, *, latent: int | None = None, **params: Any) -> None:
        noise = params.pop("noise", "trained") if point else ""

        def make(data: Spec, encoder: BaseEncoder, decoder: BaseDecoder) -> nn.Module:
            try:
                made = config(input_dim=data.shape, latent_dim=data.latent, **params)
            except ValueError as error:
                raise ValueError(f"pythae:{name}: {_first(error)}") from error
            return kind(made, encoder, decoder)  # type: ignore[no-any-return]

        FromPythae.__init__(self, data, make, latent=latent, subtracts=subtracts, noise=noise)

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter("noise", keyword, default="trained", annotation=str)] if point else []
    init.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            inspect.Parameter("latent", keyword, default=None),
            *(inspect.Parameter(f.name, keyword, default=_default(f), annotation=f.type) for f in fields.values()),
            *own,
        ]
    )
    return type(name, (FromPythae,), {"__init__": init, "__doc__": FromPythae.__doc__, "row": Row(**row)})


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is dataclasses.MISSING else field.default


def _first(error: ValueError) -> str:
    """The first thing that pydantic has against a configuration, on one line."""
    told: list[Any] = getattr(error, "errors", list)()
    return f"{'.'.join(map(str, told[0]['loc']))} = {told[0]['input']!r:.60}: {told[0]['msg']}" if told else str(error)
