"""The VAE's two losses: the formula, the sum over an instance, the average over the batch, and each apart."""

import math

import numpy as np

from autograder.checks import check, close, fail, mistake, same

LARGEST_GUARD = 1e-5  # that may stand inside a logarithm
PIXELS = 32 * 32


def inputs_of(inputs, *names: str) -> list[np.ndarray]:
    return [inputs[f"vae_losses.{name}"].astype(float) for name in names]


def divergence(mu: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
    """KL(N(mu, sigma^2) || N(0, 1)) of each number."""
    return (mu**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1) / 2


def cross_entropy(target: np.ndarray, recon: np.ndarray) -> np.ndarray:
    """The reconstruction loss of each instance."""
    values = -(target * np.log(recon) + (1 - target) * np.log(1 - recon))
    return values.reshape(len(target), -1).sum(axis=1)


@check("loss_fn returns two scalars", points="vae.losses_are_scalars", probe="vae_losses")
def losses_are_scalars(submission):
    for name in ("recon", "kl"):
        if not np.isfinite(submission[f"batch.{name}"]).all():
            fail(f"{name}_loss is not finite for ordinary inputs")


@check("kl_loss of one number is ½ (μ² + σ² − 2 log σ − 1)", points="vae.kl_closed_form", probe="vae_losses")
def kl_closed_form(submission, inputs):
    got = submission["of_one.kl"]
    mu, log_sigma = inputs_of(inputs, "mu_of_one", "log_sigma_of_one")
    expected, sigma = divergence(mu, log_sigma), np.exp(log_sigma)
    mistake(got, 2 * expected, "your KL is exactly twice the expected one: the ½ is missing")
    mistake(got, -expected, "your KL has the wrong sign")
    mistake(got, -2 * expected, "your KL has the wrong sign, and the ½ is missing")
    mistake(got, expected / 2, "your KL is exactly half of the expected one")
    mistake(got, divergence(mu, log_sigma / 2), "log σ is taken for log σ²: σ² is exp(2 log σ)")
    mistake(got, expected - sigma**2 / 2 + sigma / 2, "σ stands where σ² should")
    mistake(got, expected - sigma**2 / 2 + log_sigma**2 / 2, "log σ stands where σ should")
    mistake(got, expected + log_sigma / 2, "log σ is counted once, and log σ² is 2 log σ")
    mistake(got, expected + log_sigma, "log σ is left out")
    mistake(got, expected + 2 * log_sigma, "log σ has the wrong sign")
    mistake(got, expected + 1 / 2, "the constant −1 is left out")
    mistake(got, expected + 1, "the constant has the wrong sign")
    mistake(got, expected - mu**2 / 2, "μ is left out")
    mistake(got, expected - mu**2 / 2 + mu / 2, "μ is not squared")
    mistake(got, expected - mu**2, "μ² has the wrong sign")
    reverse = log_sigma + (1 + mu**2) / (2 * sigma**2) - 1 / 2
    mistake(got, reverse, "it is the KL of the prior from the posterior, and should be the other way round")
    same(got, expected, "kl_loss of one latent number")


@check("kl_loss is summed over the latent dimensions", points="vae.kl_sum", probe="vae_losses")
def kl_sum(submission):
    # Against the student's own numbers, right or wrong: the formula is for another check to judge.
    got = submission["single.kl"]
    apart = submission["apart.kl"].reshape(len(got), -1)
    scale_apart("latent dimensions", got, apart.sum(axis=1), apart.shape[1])


@check("kl_loss is averaged over the instances of the batch", points="vae.kl_average", probe="vae_losses")
def kl_average(submission):
    averaged("KL", submission["batch.kl"], submission["single.kl"])


@check(
    "recon_loss is the cross entropy −Σ [x log x' + (1 − x) log(1 − x')]",
    points="vae.recon_closed_form",
    probe="vae_losses",
)
def recon_closed_form(submission, inputs):
    got = submission["single.recon"]
    target, recon = inputs_of(inputs, "target", "recon")
    expected = cross_entropy(target, recon)
    bright = -(target * np.log(recon)).reshape(len(target), -1).sum(axis=1)
    once_more = 1 / (1 + np.exp(-recon))
    wrong = {
        "it is the squared error, not the cross entropy": (target - recon) ** 2,
        "it is half of the squared error, not the cross entropy": (target - recon) ** 2 / 2,
        "it is the absolute error, not the cross entropy": np.abs(target - recon),
    }
    in_all = {name: values.reshape(len(target), -1).sum(axis=1) for name, values in wrong.items()}
    in_all["target and recon are in each other's place"] = cross_entropy(recon, target.clip(1e-12, 1 - 1e-12))
    in_all["recon goes through a Sigmoid once more: it is a probability already"] = cross_entropy(target, once_more)
    in_all["the term (1 − x) log(1 − x') is left out"] = bright
    in_all["the term x log x' is left out"] = expected - bright
    # Whether it is summed or averaged is for another check to say.
    for scale in (1, 1 / PIXELS):
        mistake(got / scale, -expected, "your reconstruction loss has the wrong sign")
        for sentence, values in in_all.items():
            mistake(got / scale, values, f"your reconstruction loss is wrong: {sentence}")
    ratio = (got / expected).mean()
    if not ratio > 0:
        same(got, expected, "recon_loss")
    same(got / ratio, expected, "recon_loss")


@check("recon_loss is summed over the pixels", points="vae.recon_sum", probe="vae_losses")
def recon_sum(submission, inputs):
    expected = cross_entropy(*inputs_of(inputs, "target", "recon"))
    scale_apart("pixels", submission["single.recon"], expected, PIXELS)


@check("recon_loss is averaged over the instances of the batch", points="vae.recon_average", probe="vae_losses")
def recon_average(submission):
    averaged("reconstruction loss", submission["batch.recon"], submission["single.recon"])


@check(
    "recon_loss is finite where a reconstruction is exactly 0 or 1, with no guard above 1e-5",
    points="vae.recon_finite",
    probe="vae_losses",
)
def recon_finite(submission):
    right, wrong = submission["ends.recon"]
    for value in (right, wrong):
        if not math.isfinite(value):
            fail(
                f"recon_loss is {value} where a reconstruction is exactly 0 or 1: keep the logarithms finite, in "
                f"float32 too, with a guard of up to {LARGEST_GUARD:g}"
            )
    least = -math.log(LARGEST_GUARD) - 0.01  # a pixel; 1 - 1e-5 is not exact in float32
    if wrong / PIXELS < least:
        fail(
            f"recon_loss is {wrong / PIXELS:.3g} a pixel where every pixel is wrong and sure of it: the guard inside "
            f"the logarithms is larger than {LARGEST_GUARD:g}"
        )


@check(
    "Gradients of recon_loss reach the reconstruction",
    points="vae.recon_gradients",
    probe="vae_losses",
)
def recon_gradients(submission, inputs):
    target, recon = inputs_of(inputs, "target", "recon")
    got = submission["gradient.recon"]
    mistake(
        got, np.zeros_like(got), "recon_loss carries no graph to the reconstruction: nothing can be learned from it"
    )
    same(got, (recon - target) / (recon * (1 - recon)) / len(target), "the gradient of recon_loss")


@check(
    "Gradients of kl_loss reach μ and log σ",
    points="vae.kl_gradients",
    probe="vae_losses",
)
def kl_gradients(submission, inputs):
    mu, log_sigma = inputs_of(inputs, "mu", "log_sigma")
    to_mu, to_log_sigma = submission["gradient.mu"], submission["gradient.log_sigma"]
    if not to_mu.any() and not to_log_sigma.any():
        fail("kl_loss carries no graph, so that nothing can be learned from it")
    expected = (np.exp(2 * log_sigma) - 1) / len(mu)
    mistake(to_mu, np.zeros_like(to_mu), "μ is detached in kl_loss")
    mistake(to_log_sigma, np.zeros_like(expected), "log σ is detached in kl_loss")
    mistake(to_log_sigma, np.full_like(expected, -1 / len(mu)), "σ is detached in kl_loss")
    same(to_mu, mu / len(mu), "the gradient of kl_loss with respect to μ")
    same(to_log_sigma, expected, "the gradient of kl_loss with respect to log σ")


def averaged(name: str, batch: np.ndarray, single: np.ndarray) -> None:
    """Fail unless the loss of a batch is the average of its instances' losses, right or wrong as those may be."""
    mistake(batch, [single.sum()], f"your {name} is summed over the batch: divide by the number of instances")
    mistake(batch, [single.mean() / len(single)], f"your {name} is divided by the number of instances twice")
    same(batch, [single.mean()], f"your {name} of a batch, against the average of its instances' own,")


def scale_apart(what: str, got: np.ndarray, expected: np.ndarray, number: int) -> None:
    """Fail unless a loss is summed over an instance's numbers."""
    mistake(got, expected / number, f"it is averaged over the {what}: sum over them")
    mistake(got, expected / number**2, f"it is divided by the number of {what} twice: sum over them")
    if not close(got, expected) and close(got / (got / expected).mean(), expected):
        fail(f"it is {(got / expected).mean():.4g} times the sum over the {what}")
    same(got, expected, f"the loss of one instance, against the sum over its {what},")
