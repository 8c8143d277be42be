"""The VAE's two losses, against PyTorch's own distributions.

Passing these checks is not the grade: the graders check more than this.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from .mistakes import as_number, check_gradient, check_number, combine, complain, is_close
from .student_code import Project
from .trainers import FLAGS, make_trainer
from .vae_runs import compute_losses

pytestmark = pytest.mark.needs("VAE/trainer.py", 1)

BATCH, LATENT_DIM = 3, 5
IMAGE_SHAPE = (1, 32, 32)
PIXELS = math.prod(IMAGE_SHAPE)
BATCH_SIZE = FLAGS["VAE"]["batch_size"]
LARGEST_GUARD = 1e-5  # that may stand inside a logarithm

LOOK_KL = "block 1 of VAE/trainer.py, and Appendix B of arXiv:1312.6114"
LOOK_RECONSTRUCTION = "block 1 of VAE/trainer.py, and the docstring of loss_fn"


class StandIn(nn.Module):
    """In the place of the model, which no loss needs."""

    latent_dim = LATENT_DIM

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def test_losses_are_two_tensors_that_carry_their_graph(vae):
    """Trainer.loss_fn returns two numbers, as tensors from which gradients can be computed."""
    target, *rest = some_inputs()
    answer = losses(vae, target, *(tensor.requires_grad_() for tensor in rest))
    for name, loss in zip(("recon_loss", "kl_loss"), answer, strict=True):
        as_number(name, loss)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            complain(
                f"{name} carries no graph, so that nothing can be learned from it (see block 1 of VAE/trainer.py)."
            )


def test_kl_divergence_is_that_of_the_posterior_from_the_prior(vae):
    """The KL divergence of the posterior is summed over the latent dimensions and averaged over the batch."""
    target, recon, mu, log_sigma = some_inputs()
    found = as_number("kl_loss", losses(vae, target, recon, mu, log_sigma)[1])
    mistakes = combine(kl_mistakes(mu, log_sigma), scales("the latent dimensions", LATENT_DIM))
    check_number("kl_loss", found, expected_kl(mu, log_sigma).item(), mistakes, LOOK_KL)


def test_reconstruction_loss_is_that_of_every_pixel(vae):
    """The reconstruction loss is summed over the pixels and averaged over the batch."""
    target, recon, mu, log_sigma = some_inputs()
    found = as_number("recon_loss", losses(vae, target, recon, mu, log_sigma)[0])
    mistakes = combine(reconstruction_mistakes(target, recon), scales("the pixels", PIXELS))
    check_number("recon_loss", found, expected_reconstruction(target, recon).item(), mistakes, LOOK_RECONSTRUCTION)


def test_losses_have_the_right_gradients(vae):
    """The gradients that the losses send to mu, to log_sigma and to the reconstruction are right."""
    target, *rest = some_inputs()
    recon, mu, log_sigma = (tensor.requires_grad_() for tensor in rest)
    expected = expected_reconstruction(target, recon), expected_kl(mu, log_sigma)
    found = losses(vae, target, recon, mu, log_sigma)
    for name, loss, right in zip(("recon_loss", "kl_loss"), found, expected, strict=True):
        number = as_number(name, loss)
        if not isinstance(loss, Tensor) or not loss.requires_grad or not is_close(number, right.item()):
            pytest.skip(f"waits for the checks of {name}'s value and graph")
    for (name, tensor), loss, right in [
        (("mu", mu), found[1], expected[1]),
        (("log_sigma", log_sigma), found[1], expected[1]),
        (("recon", recon), found[0], expected[0]),
    ]:
        gradient = gradient_of(vae, loss, tensor)
        what = f"The gradient of the loss with respect to {name}"
        mistakes = {"there is none, so something is detached": torch.zeros_like(gradient)}
        check_gradient(what, gradient, gradient_of(vae, right, tensor), mistakes, "block 1 of VAE/trainer.py")


def test_reconstruction_loss_is_finite_at_0_and_1(vae):
    """The reconstruction loss is finite where a reconstruction is exactly 0 or 1, with no guard above 1e-5."""
    target, recon, mu, log_sigma = some_inputs()
    ends = target.round()
    ordinary, right, wrong = (
        as_number("recon_loss", losses(vae, *images, mu, log_sigma)[0], finite=False)
        for images in ((target, recon), (ends, ends), (ends, 1 - ends))
    )
    for loss in (right, wrong):
        if not math.isfinite(loss):
            complain(
                f"recon_loss is {loss} where a reconstruction is exactly 0 or 1: keep the logarithms finite, in "
                f"float32 too, with a guard of up to {LARGEST_GUARD:g} (see block 1 of VAE/trainer.py)."
            )
    if not is_close(ordinary, expected_reconstruction(target, recon).item()):
        pytest.skip("waits for the check of recon_loss's value")
    least = -math.log(LARGEST_GUARD) - 0.01  # a pixel; 1 - 1e-5 is not exact in float32
    if wrong / PIXELS < least:
        complain(
            f"recon_loss is {wrong / PIXELS:.3g} a pixel where every pixel is wrong and sure of it, and at least "
            f"{least:.3g} is expected: the guard inside the logarithms is larger than {LARGEST_GUARD:g} (see block 1 "
            "of VAE/trainer.py)."
        )


def test_losses_are_those_of_every_batch(vae):
    """The losses stay right from call to call, for batches of other sizes and of one instance too."""
    trainer = make_trainer(vae, StandIn(), 1e-3)
    for batch in (BATCH, BATCH + 2, 1):
        target, recon, mu, log_sigma = some_inputs(batch)
        found = losses(vae, target, recon, mu, log_sigma, trainer=trainer)
        expected = expected_reconstruction(target, recon).item(), expected_kl(mu, log_sigma).item()
        for name, loss, right in zip(("recon_loss", "kl_loss"), found, expected, strict=True):
            number = as_number(name, loss)
            if is_close(number, right):
                continue
            if batch == BATCH:
                pytest.skip(f"waits for the check of {name}'s value")
            why = f"it is divided by {BATCH}, as the first batch was" if is_close(number * BATCH, right * batch) else ""
            complain(
                f"{name} is right for a first batch of {BATCH}, and then, for one of {batch}, {number:.5g} where "
                f"{right:.5g} is expected{': ' * bool(why)}{why} (see block 1 of VAE/trainer.py)."
            )


def some_inputs(batch: int = BATCH) -> list[Tensor]:
    """Make target, recon, mu and log_sigma."""
    target, recon = torch.rand(2, batch, *IMAGE_SHAPE)
    mu, log_sigma = torch.randn(2, batch, LATENT_DIM)
    return [target, 0.1 + 0.8 * recon, mu + 0.5, log_sigma - 0.2]


def losses(vae: Project, *inputs: Tensor, trainer: object = None) -> tuple[Tensor, Tensor]:
    """Run loss_fn, of a new Trainer where none is given."""
    return compute_losses(vae, trainer or make_trainer(vae, StandIn(), 1e-3), *inputs)


def gradient_of(vae: Project, loss: Tensor, tensor: Tensor) -> Tensor:
    with vae.running("the backward pass of Trainer.loss_fn"):
        (gradient,) = torch.autograd.grad(loss, [tensor], retain_graph=True, allow_unused=True)
    return torch.zeros_like(tensor) if gradient is None else gradient


def average_sum(values: Tensor) -> Tensor:
    """Sum over an instance's numbers, and average over the instances."""
    return values.flatten(start_dim=1).sum(dim=1).mean()


def expected_kl(mu: Tensor, log_sigma: Tensor) -> Tensor:
    return average_sum(kl_divergence(Normal(mu, log_sigma.exp()), Normal(0, 1)))


def expected_reconstruction(target: Tensor, recon: Tensor) -> Tensor:
    return -average_sum(Bernoulli(recon, validate_args=False).log_prob(target))


def kl_mistakes(mu: Tensor, log_sigma: Tensor) -> dict[str, float]:
    """Wrong formulas, as what each of them adds to the right one."""
    right, sigma = expected_kl(mu, log_sigma), log_sigma.exp()
    mu_term, sigma_term, log_term = (average_sum(values) / 2 for values in (mu.square(), sigma.square(), 2 * log_sigma))
    wrong = {
        "": right,
        "the ½ is missing": 2 * right,
        "its sign is wrong": -right,
        "its sign is wrong and the ½ is missing": -2 * right,
        "log_sigma is taken for the log of sigma squared": expected_kl(mu, log_sigma / 2),
        "sigma stands where sigma squared should": right - sigma_term + average_sum(sigma) / 2,
        "log_sigma stands where sigma should": right - sigma_term + average_sum(log_sigma.square()) / 2,
        "log sigma is counted once, not twice": right + log_term / 2,
        "log sigma is left out": right + log_term,
        "log sigma has the wrong sign": right + 2 * log_term,
        "the constant is left out": right + LATENT_DIM / 2,
        "the constant has the wrong sign": right + LATENT_DIM,
        "mu is left out": right - mu_term,
        "mu is not squared": right - mu_term + average_sum(mu) / 2,
        "mu has the wrong sign": right - 2 * mu_term,
        "it is that of the prior from the posterior": average_sum(kl_divergence(Normal(0, 1), Normal(mu, sigma))),
    }
    return {mistake: value.item() for mistake, value in wrong.items()}


def reconstruction_mistakes(target: Tensor, recon: Tensor) -> dict[str, float]:
    right, bright = expected_reconstruction(target, recon), -average_sum(target * recon.log())
    wrong = {
        "": right,
        "its sign is wrong": -right,
        "it is the squared error, not the cross entropy": average_sum((target - recon).square()),
        "it is the absolute error, not the cross entropy": average_sum((target - recon).abs()),
        "target and recon are in each other's place": expected_reconstruction(recon, target),
        "recon goes through a Sigmoid once more": expected_reconstruction(target, recon.sigmoid()),
        "the term of the dark pixels is left out": bright,
        "the term of the bright pixels is left out": right - bright,
    }
    for guard in (0.1, 0.01, 0.001):
        guarded = (recon + guard).log() * target + (1 - recon + guard).log() * (1 - target)
        wrong[f"a guard of {guard:g} inside the logarithms is too large"] = -average_sum(guarded)
    return {mistake: value.item() for mistake, value in wrong.items()}


def scales(what: str, numbers: int) -> dict[str, float]:
    """Wrong sums and averages, as factors.

    Args:
        what: what is to be summed over, in words.
        numbers: how many of them an instance has.
    """
    return {
        "": 1,
        "it is summed over the batch, not averaged over its instances": BATCH,
        f"it is averaged over {what}, not summed": 1 / numbers,
        f"it is averaged over {what} and summed over the batch, which should be the other way round": BATCH / numbers,
        "it is divided by the batch size twice": 1 / BATCH,
        f"it is divided by {BATCH_SIZE}, not by how many instances the batch has": BATCH / BATCH_SIZE,
        f"it is divided by the number of {what} twice": 1 / numbers**2,
    }
