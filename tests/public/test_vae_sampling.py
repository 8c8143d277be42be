"""How the VAE draws z, what it decodes, and where the gradients go.

Passing these checks is not the grade: the graders check more than this.
"""

import inspect
import math
from collections.abc import Hashable, Sequence

import pytest
import torch
from torch import Tensor, nn

from .layer_recorder import Layer, memory
from .layer_tables import vae_decoder, vae_encoder
from .mistakes import all_equal, complain
from .student_code import CodeStopped, Project
from .vae_runs import (
    LATENT_DIM,
    decode,
    decode_recorded,
    encode_recorded,
    make_vae,
    reconstruct,
    sample,
    some_codes,
    some_images,
)

MODEL = "VAE/model.py"
pytestmark = pytest.mark.needs(MODEL, 1)

DRAWS = 4000  # of LATENT_DIM numbers each: measured in sigma, their mean errs by 0.006 and their spread by 0.004
MEASURED_WITHIN = 0.05

# How z may come out of mu, sigma and the noise: the mean and the standard deviation of z.
RIGHT_LAW = "right"
LAWS = {
    RIGHT_LAW: lambda mu, sigma: (mu, sigma),
    "log_sigma itself is taken for sigma": lambda mu, sigma: (mu, abs(math.log(sigma))),
    "log_sigma is taken for the log of sigma squared": lambda mu, sigma: (mu, sigma**0.5),
    "the noise is scaled with sigma squared": lambda mu, sigma: (mu, sigma**2),
    "the noise is divided by sigma": lambda mu, sigma: (mu, 1 / sigma),
    "sigma is left out": lambda mu, sigma: (mu, 1),
    "mu is left out": lambda mu, sigma: (0, sigma),
    "mu and sigma are left out": lambda mu, sigma: (0, 1),
    "mu is subtracted": lambda mu, sigma: (-mu, sigma),
    "the noise is uniform, not normal": lambda mu, sigma: (mu + sigma / 2, sigma / math.sqrt(12)),
}
LEFT_OUT = {
    "sigma is left out": ("log_sigma",),
    "mu is left out": ("mu",),
    "mu and sigma are left out": ("mu", "log_sigma"),
}


@pytest.mark.needs(MODEL, 2)
def test_z_is_drawn_from_the_posterior(vae):
    """VAE.reparameterize draws every number of z from a normal distribution with mean mu and deviation sigma."""
    model = make_vae(vae)
    posteriors = [(1.0, 3.0), (-3.0, 0.2)]
    measured = [measure(vae, model, mu, sigma) for mu, sigma in posteriors]
    fitting = [
        name
        for name, law in LAWS.items()
        if all(is_measured(found, law(*posterior)) for found, posterior in zip(measured, posteriors, strict=True))
    ]
    if RIGHT_LAW not in fitting:
        (mu, sigma), (mean, deviation) = posteriors[0], measured[0]
        why = f": {fitting[0]}" if fitting else ""
        raise CodeStopped(
            f"With mu = {mu:g} and sigma = {sigma:g}, z has mean {mean:.2f} and standard deviation {deviation:.2f}"
            f"{why} (see block 2 of VAE/model.py, and Section 2.4 of arXiv:1312.6114).",
            *(no_gradient(*LEFT_OUT[name]) for name in fitting if name in LEFT_OUT),
        )


@pytest.mark.needs(MODEL, 2)
@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_every_call_draws_fresh_noise(vae, mode):
    """Two calls of VAE.reparameterize give two different z, in training and in evaluation mode."""
    model = make_vae(vae).train(mode == "training")
    mu, log_sigma = some_codes(), some_codes()
    first, second = sample(vae, model, mu, log_sigma), sample(vae, model, mu, log_sigma)
    if torch.equal(first, mu):
        raise no_noise(f"In {mode} mode")
    if torch.equal(first, second):
        sentence = (
            f"In {mode} mode two calls of VAE.reparameterize give the same z: draw fresh noise on each (see block 2)."
        )
        raise CodeStopped(sentence, "the same noise")


@pytest.mark.needs(MODEL, 2)
def test_gradients_of_z_reach_mu_and_log_sigma(vae):
    """What VAE.reparameterize returns can be differentiated with respect to mu and to log_sigma."""
    mu, log_sigma = some_codes().requires_grad_(), some_codes().requires_grad_()
    z = sample(vae, make_vae(vae), mu, log_sigma)
    stop_without_gradient("The gradient of z", gradients(vae, z, [mu, log_sigma]))


@pytest.mark.needs(MODEL, 2, 3)
def test_forward_gives_reconstruction_mu_and_log_sigma(vae):
    """With x, forward returns recon_x in the shape of x, and mu and log_sigma in (batch, latent_dim)."""
    reconstruct(vae, make_vae(vae), some_images())


@pytest.mark.needs(MODEL, 2, 3)
def test_reconstruction_is_decoded_from_a_sample(vae):
    """What VAE.forward(x) decodes is a z that was drawn with the mu and the log_sigma of x."""
    model = make_vae(vae)
    calls = watch_reparameterize(model)
    run = encode_recorded(vae, model, some_images())
    posterior = run.mu, run.log_sigma
    if all_equal([run.z], [run.mu]):
        raise no_noise("In VAE.forward(x)")
    if not calls:  # drawn in forward itself
        z_is_drawn_in_forward(vae, model)
    elif not any(all_equal(arguments, posterior) and all_equal([z], [run.z]) for arguments, z in calls):
        arguments, _ = calls[-1]
        why = "something else than the z that it draws is decoded"
        if all_equal(arguments, posterior[::-1]):
            why = "it is given mu and log_sigma in the wrong order"
        elif not all_equal(arguments, posterior):
            why = "it is given something else than mu and log_sigma"
        complain(f"VAE.forward(x) calls reparameterize, but {why} (see block 3 of VAE/model.py).")


@pytest.mark.needs(MODEL, 2, 3)
def test_gradients_of_the_reconstruction_reach_every_layer(vae):
    """The reconstruction's gradient reaches every layer, and in Enc-6 the half of mu and that of log sigma."""
    model = make_vae(vae)
    run = encode_recorded(vae, model, some_images())
    parameters = list(model.parameters())
    weighted = run.recon * torch.rand_like(run.recon)  # with the same weight for all pixels, gradients might cancel
    reached = dict(zip(map(memory, parameters), gradients(vae, weighted, parameters), strict=True))

    def gradient(layer: Layer) -> Tensor | None:
        # A layer's weights may be a part of a parameter, or a view of it. Where they are computed, nothing is known.
        weights, found = layer.weights[0], reached.get(memory(layer.weights[0]))
        if found is not None:
            found = found.contiguous().as_strided(weights.shape, weights.stride(), weights.storage_offset())
        return found

    def fail_at_first_without(rows, layers):
        # From the output backwards: the first layer without a gradient is where it got lost.
        for row, layer in [*zip(rows, layers, strict=False)][::-1]:
            found = gradient(layer)
            if found is not None and not found.any():
                complain(f"{row} has a layer that the gradient of the reconstruction does not reach (see block 3).")

    fail_at_first_without(vae_decoder(LATENT_DIM), run.decoder)
    heads = [gradient(head) for head in run.heads]
    if all(head is not None for head in heads):
        halves = torch.cat(heads, dim=1).split(LATENT_DIM, dim=1)  # (inputs, outputs)
        stop_without_gradient("The gradient of the reconstruction", halves)
    fail_at_first_without(vae_encoder(LATENT_DIM)[:-1], run.layers[:-1])


@pytest.mark.needs(MODEL, 4)
def test_images_are_decoded_from_the_given_z(vae):
    """With z, forward decodes just that z, and the same z gives the same images."""
    model, codes = make_vae(vae), some_codes()
    _, images = decode_recorded(vae, model, codes)
    if not torch.allclose(images, decode(vae, model, codes)):
        complain("VAE.forward(z=z) gives other images when it is given the same z again (see block 4 of VAE/model.py).")


def measure(vae: Project, model: nn.Module, mu: float, sigma: float) -> tuple[float, float]:
    """Mean and standard deviation of many z with the same posterior."""
    shape = (DRAWS, LATENT_DIM)
    z = sample(vae, model, torch.full(shape, mu), torch.full(shape, math.log(sigma)))
    if not z.isfinite().all():
        complain(f"With mu = {mu:g} and sigma = {sigma:g}, z is not finite (see block 2 of VAE/model.py).")
    if (z == mu).all():
        raise no_noise("In training mode")
    if (z == z[0]).all():
        complain("All instances of a batch get the same noise: each needs its own (see block 2 of VAE/model.py).")
    if (z == z[:, :1]).all():
        complain("All dimensions of z get the same noise: each needs its own (see block 2 of VAE/model.py).")
    return z.mean().item(), z.std().item()


def is_measured(found: tuple[float, float], law: tuple[float, float], within: float = MEASURED_WITHIN) -> bool:
    mean, deviation = law
    return abs(found[0] - mean) <= within * deviation and abs(found[1] - deviation) <= within * deviation


def no_noise(where: str) -> CodeStopped:
    """One mistake, whichever check comes across it first."""
    sentence = f"{where} z is mu itself: the noise is missing (see blocks 2 and 3 of VAE/model.py)."
    return CodeStopped(sentence, "no noise", no_gradient("log_sigma"))


def no_gradient(*names: str) -> Hashable:
    """What checks have in common that stop because no gradient reaches mu or log_sigma."""
    return "no gradient", *names


def gradients(vae: Project, output: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
    """The gradients of the sum of an output, all zeros where it doesn't reach."""
    if not output.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    with vae.running("the backward pass of the VAE"):
        return list(torch.autograd.grad(output.sum(), inputs, allow_unused=True, materialize_grads=True))


def stop_without_gradient(what: str, halves: Sequence[Tensor]) -> None:
    """Stop where a gradient doesn't reach mu or log sigma: one mistake, whichever check comes across it first."""
    lost = [name for name, half in zip(("mu", "log_sigma"), halves, strict=True) if not half.any()]
    if lost:
        sentence = (
            f"{what} does not reach {' and '.join(lost)}, which is what the reparameterization trick is for (see "
            "blocks 2 and 3 of VAE/model.py, and Section 2.4 of arXiv:1312.6114)."
        )
        raise CodeStopped(sentence, no_gradient(*lost))


def watch_reparameterize(model: nn.Module) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    """Note, from now on, every call of reparameterize: mu and log_sigma, and the z that it returned."""
    calls = []
    original = model.reparameterize

    def watched(*args, **kwargs):
        z = original(*args, **kwargs)
        calls.append((tuple(inspect.signature(original).bind(*args, **kwargs).arguments.values()), z))
        return z

    model.reparameterize = watched
    return calls


def z_is_drawn_in_forward(vae: Project, model: nn.Module) -> None:
    """Fail unless what forward(x) decodes has the posterior's mean and spread."""
    images = some_images(128)
    run = encode_recorded(vae, model, images)
    factor = 2 / run.layers[-1].given.abs().max()
    with torch.no_grad():
        for head in run.heads:  # a fresh network gives numbers about zero, which look like the prior's
            for weights in head.weights:
                weights.mul_(factor)
    run = encode_recorded(vae, model, images)
    noise = (run.z - run.mu) / run.log_sigma.exp()
    if not is_measured((noise.mean().item(), noise.std().item()), (0, 1), within=0.15):
        sentence = "VAE.forward(x) decodes a z that is not drawn with mu and sigma (see block 3 of VAE/model.py)."
        raise CodeStopped(sentence, no_gradient("mu", "log_sigma"))
