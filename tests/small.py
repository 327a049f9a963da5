"""Small models, batches and codes that tests share, and how two of them are compared."""

import torch

from rdu_bench import registry
from rdu_bench.api import Batch, Block, UnitGaussian, gaussian, transmit

SHAPE = (1, 4, 4)


def randomise(module, scale=0.5):
    """Every weight N(0, scale²): none at its initial zero, so that a dependence that may exist does."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, scale)
    return module


def shaken(module, spread=0.3):
    """The same module with N(0, spread²) added to every weight."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(spread * torch.randn_like(weight))
    return module


def maker(spec, spread=0.0):
    """A function that builds a model by name for `spec`, from seed 0, its weights shaken by `spread`."""

    def new(name, spec=spec, spread=spread, **params):
        torch.manual_seed(0)
        model = registry.model(name, spec, **params)
        return shaken(model, spread) if spread else model

    return new


def images(n=64, shape=SHAPE):
    """(n, *shape) random binary images, the same at every call."""
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1)).round()


def seen(n=64, shape=SHAPE):
    """A batch of `images` of which nothing else is known."""
    return Batch.unlabelled(images(n, shape))


def frames_that_matter(of, shape):
    """Of which frames of x (8, *shape) something with a gradient is a function."""
    x = images(8, shape).requires_grad_()
    [slope] = torch.autograd.grad(of(x).sum(), x)
    return [t for t in range(shape[0]) if bool(slope[:, t].any())]


def labelled(n=64, *, y=(-1,), s=(-1,), progress=1.0, shape=SHAPE):
    """A batch of `images` whose labels follow a pattern, over and over; unknown by default."""
    labels = [torch.tensor(list(pattern)).repeat(n)[:n] for pattern in (y, s)]
    return Batch(images(n, shape), *labels, torch.tensor(progress))


def gaussian_block(mean, scale=1.0):
    """A draw from N(mean, scale²) sent against N(0, I)."""
    return transmit(gaussian(mean, torch.as_tensor(scale).expand_as(mean)), UnitGaussian(mean.shape[1])())


def sent(z):
    """A block whose sample is `z` (B, d), at no rate."""
    q = gaussian(z, torch.ones_like(z))
    return Block(z, z.new_zeros(len(z)), q, q, z)


def gaussian_kl(q):
    """(B,) KL(q ‖ N(0, I)), written out."""
    return 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1)


def same_noise(call, *given):
    """What `call` gives from one state of the generator, the same every time."""
    torch.manual_seed(7)
    return call(*given)


def gradient(term, weights):
    """The gradient of `term` in each of `weights`, zeros where there is none."""
    weights = list(weights)
    found = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]


def reaches(term, module):
    """Whether `term` has a gradient in any weight of a module."""
    return any(bool(g.any()) for g in gradient(term, module.parameters()))


def close(a, b, **tolerance):
    """Equal up to rounding, number by number and in shape."""
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), **({"atol": 1e-5, "rtol": 1e-4} | tolerance))


def equal_on_average(a, b):
    """The mean of a − b is zero within four of its standard errors."""
    difference = (a - b).double()
    assert abs(difference.mean()) < 4 * difference.std() / len(difference) ** 0.5


def twin(new, model, name, **params):
    """Another model with the weights of this one, as far as it has them."""
    other = new(name, **params)
    other.load_state_dict({k: v for k, v in model.state_dict().items() if k in other.state_dict()})
    return other


def penalty(model, mean, scale=1.0, s=None):
    """The regularizer of codes with these posteriors; at a scale of 1e-6 it is that of the sample `mean`."""
    unknown = torch.full((len(mean),), -1)
    batch = Batch(mean, unknown, unknown if s is None else s, torch.ones(()))
    return model.regularizer(batch, {"z": gaussian_block(mean, scale)})


@torch.no_grad()
def lost(model, data):
    """Mean distortion on the test set, nats."""
    batch = data.view("test", model.row).batch()
    return model.distortion(batch, model.encode(batch)).mean().item()
