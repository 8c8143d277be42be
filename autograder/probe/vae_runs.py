"""A student's VAE at work: made, run, what it answers looked at, and weights carried into it."""

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn

from autograder.probe.layers import Layer, NotCarried, Watch, carry, watch
from autograder.probe.plans import PLANS
from autograder.probe.project import Project
from autograder.probe.record import WrongAnswer, several, tensor

ANSWERS = ("recon_x", "mu", "log_sigma")
FAR = 100.0  # how far out in the prior some z lie, so that pixels come close to 0 and to 1


def make_one_that_runs(project: Project, x: Tensor, latent_dim: int) -> tuple[nn.Module, int]:
    """Make a VAE with this latent_dim, or with the default one where it runs with no other: that is told elsewhere.

    Returns:
        the model, and its latent_dim.
    """
    make = project.get("model", "VAE")
    for size in (latent_dim, PLANS["VAE"].latent_dim):
        with suppress(Exception):
            model = make(x.shape[1], size)
            with GivenSample(model, None):
                reconstruct(model, x[:2])
            decode(model, torch.zeros(2, size))
            return make(x.shape[1], size), size
    return make(x.shape[1], latent_dim), latent_dim


def reconstruct(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run forward(x): recon_x, mu and log_sigma.

    Raises:
        WrongAnswer: they are something else, or have other shapes.
    """
    answer = several("VAE.forward(x)", model(x.clone()), ANSWERS)
    codes = (len(x), model.latent_dim)
    for name, value, shape in zip(ANSWERS, answer, (tuple(x.shape), codes, codes), strict=True):
        tensor(f"{name} of VAE.forward(x)", value, shape)
    return answer


def decode(model: nn.Module, z: Tensor) -> Tensor:
    """Run forward(z=z): images, of any number of channels.

    Raises:
        WrongAnswer: they are something else.
    """
    images = model(z=z.clone())
    if isinstance(images, Tensor) and images.dim() == 4:
        return tensor("what VAE.forward(z=z) returns", images, (len(z), images.shape[1], 32, 32))
    return tensor("what VAE.forward(z=z) returns", images, (len(z), 1, 32, 32))


class GivenSample:
    """Inside `with GivenSample(model, noise) as sampled`, model.reparameterize gives a z of ours.

    Args:
        noise: (instances, latent_dim), standard normal numbers; None for a z that is mu, of the last instance far out.

    Attributes:
        calls: what it was given, mu and log sigma, and the z that it gave.
        first_asked: what `when_asked` gave at the first call; None before.
    """

    def __init__(self, model: nn.Module, noise: Tensor | None):
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []
        self._model = model
        self._noise = noise
        self.when_asked: Callable[[], int] = lambda: 0
        self.first_asked: int | None = None

    def __enter__(self) -> "GivenSample":
        """Take reparameterize's place."""
        self._model.reparameterize = self._draw
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        del self._model.reparameterize

    def _draw(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        if self.first_asked is None:
            self.first_asked = self.when_asked()
        for name, values in (("μ", mu), ("log σ", log_sigma)):
            if not isinstance(values, Tensor) or values.dim() != 2 or values.shape[1] != self._model.latent_dim:
                shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise WrongAnswer(f"forward(x) gives reparameterize a {name} of shape {shape}, not (batch, latent_dim)")
        if self._noise is None:
            z = torch.cat([mu[:-1], FAR * mu[-1:]])
        else:
            z = mu + log_sigma.exp() * self._noise.roll(len(self.calls), 0)[: len(mu)]  # other noise at every call
        self.calls.append((mu, log_sigma, z))
        return z


def carry_decoder(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, list[Layer]]:
    """Carry the given weights into the decoder; returns the one layer of every row."""
    rows = _rows(inputs, "Dec-")
    with GivenSample(model, None):
        _, ran = watch(model, lambda: decode(model, torch.randn(2, len(rows["Dec-1"]))))
    if len(ran) != len(rows):
        raise NotCarried(f"{len(ran)} layers ran in the decoder, where there are weights for {len(rows)}")
    carry(model, ran, [{"weight": weight} for weight in rows.values()])
    return {row: [layer] for row, layer in zip(rows, ran, strict=True)}


def carry_encoder(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, list[Layer]]:
    """Carry the given weights into the encoder; returns the layers of every row, two where Enc-6 has two heads."""
    rows = _rows(inputs, "Enc-")
    with GivenSample(model, None) as sampled, Watch(model) as seen:
        sampled.when_asked = lambda: len(seen.layers)
        _, mu, _ = reconstruct(model, torch.rand(2, rows["Enc-1"].shape[1], 32, 32))
    ran = seen.layers
    try:
        keys = {layer.key for layer in watch(model, lambda: decode(model, torch.randn(2, mu.shape[1])))[1]}
    except Exception:  # whatever is wrong with block 4, it is no matter of the encoder
        if sampled.first_asked is None:
            raise
        keys = {layer.key for layer in ran[sampled.first_asked :]}
    *first, last = rows
    before = ran if sampled.first_asked is None else ran[: sampled.first_asked]
    encoder = [layer for layer in before if layer.key not in keys]
    heads = encoder[len(first) :]
    if len(heads) not in (1, 2):
        raise NotCarried(f"{len(encoder)} layers ran in the encoder, where there are weights for {len(rows)}")
    if len(heads) == 2 and torch.equal(heads[1].given, mu):
        heads.reverse()
    layers = {row: [layer] for row, layer in zip(first, encoder, strict=False)} | {last: heads}
    for row, parts in layers.items():
        carry(model, parts, [{"weight": half} for half in rows[row].chunk(len(parts))])
    return layers


def _rows(inputs: dict[str, Tensor], half: str) -> dict[str, Tensor]:
    """The given weights by their rows."""
    names = {key: key.removeprefix("weight.") for key in inputs}
    return {name: inputs[key] for key, name in names.items() if key != name and name.startswith(half)}


def gradients_of(output: object, leaves: list[Tensor]) -> list[Tensor]:
    """The gradients of an output, zeros where none reaches."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(output.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True))
