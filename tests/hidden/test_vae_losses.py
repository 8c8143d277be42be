"""The VAE's two losses: the formula, the sum over an instance, the average over the batch, and each apart."""

import math
from itertools import combinations

import numpy as np

from autograder.checks import Waits, check, close, fail, holds, mistake, same
from autograder.credible import SWAPPED
from autograder.evidence import NotSeen

LARGEST_GUARD = 1e-5  # that may stand inside a logarithm
PIXELS = 32 * 32
FIXED_BATCHES = range(8, 513)  # sizes of a batch that somebody may have written into the code
KL_TERMS = ("μ²", "σ²", "log σ", "the constant")
RECON_TERMS = ("x log x'", "(1 − x) log(1 − x')")
FEW_NATS, NEARLY_NONE = 0.2, 5e-3  # so small a KL may be so far off
EXACT = 1e-3  # how exactly coefficients of terms are known


def inputs_of(inputs, *names: str) -> list[np.ndarray]:
    return [inputs[f"vae_losses.{name}"].astype(float) for name in names]


def divergence(mu: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
    """KL(N(mu, sigma^2) || N(0, 1)) of each number."""
    return (mu**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1) / 2


def cross_entropy(target: np.ndarray, recon: np.ndarray) -> np.ndarray:
    """The reconstruction loss of each instance."""
    values = -(target * np.log(recon) + (1 - target) * np.log(1 - recon))
    return values.reshape(len(target), -1).sum(axis=1)


def divergence_terms(mu: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
    """The four terms of the divergence of each number, KL_TERMS, (numbers, 4)."""
    return np.stack([mu**2 / 2, np.exp(2 * log_sigma) / 2, -log_sigma, np.full_like(mu, -0.5)], axis=-1)


def cross_entropy_terms(target: np.ndarray, recon: np.ndarray) -> np.ndarray:
    """The two terms of each instance's reconstruction loss, RECON_TERMS, (instances, 2)."""
    terms = np.stack([-target * np.log(recon), -(1 - target) * np.log(1 - recon)], axis=-1)
    return terms.reshape(len(target), -1, 2).sum(axis=1)


@check("loss_fn returns two scalars", points="vae.losses_are_scalars", probe="vae_losses")
def losses_are_scalars(submission):
    if SWAPPED in submission.facts:
        fail("loss_fn returns kl_loss first and recon_loss second: the reconstruction loss comes first")
    if "scalars" in submission.failures:
        raise NotSeen("two scalars", submission.failures["scalars"])
    for name in ("recon", "kl"):
        seen = submission[f"batch.{name}"], submission[f"single.{name}"]  # believed only together
        if not all(np.isfinite(values).all() for values in seen):
            fail(f"{name}_loss is not finite for ordinary inputs")


@check("kl_loss of one number is ½ (μ² + σ² − 2 log σ − 1)", points="vae.kl_closed_form", probe="vae_losses")
def kl_closed_form(submission, inputs):
    is_steady(submission, "kl")
    mu, log_sigma = inputs_of(inputs, "mu_of_one", "log_sigma_of_one")
    got = submission["of_one.kl"] * fixed_divisor(submission, inputs, "kl")
    expected, sigma = divergence(mu, log_sigma), np.exp(log_sigma)
    low = expected < FEW_NATS
    if close(got[~low], expected[~low]):
        least = int(np.argmin(expected))
        if np.abs(got[low] - expected[low]).max() > NEARLY_NONE:
            fail(
                f"your KL is {got[least]:.3g} for μ = {mu[least]:.2g} and σ = {sigma[least]:.2g}, where "
                f"{expected[least]:.2g} is expected: something keeps it from going to 0"
            )
        return
    mistake(got, 2 * expected, "your KL is exactly twice the expected one: the ½ is missing")
    mistake(got, -expected, "your KL has the wrong sign")
    mistake(got, -2 * expected, "your KL has the wrong sign, and the ½ is missing")
    mistake(got, expected / 2, "your KL is exactly half of the expected one")
    mistake(got, expected / PIXELS, "your KL is divided by the number of pixels, and should not be")
    mistake(got, divergence(mu, log_sigma / 2), "log σ is taken for log σ²: σ² is exp(2 log σ)")
    mistake(got, expected - sigma**2 / 2 + sigma / 2, "σ stands where σ² should")
    mistake(got, expected - sigma**2 / 2 + log_sigma**2 / 2, "log σ stands where σ should")
    mistake(got, expected + log_sigma / 2, "log σ is counted once, and log σ² is 2 log σ")
    mistake(got, expected - mu**2 / 2 + mu / 2, "μ is not squared")
    mistake(got, expected - mu**2 / 2 + np.abs(mu) / 2, "|μ| stands where μ² should")
    reverse = log_sigma + (1 + mu**2) / (2 * sigma**2) - 1 / 2
    mistake(got, reverse, "it is the KL of the prior from the posterior, and should be the other way round")
    name_the_terms("your KL", got, divergence_terms(mu, log_sigma), KL_TERMS)
    name_the_clamp(got, expected, {"log σ": log_sigma, "μ": mu})
    same(got, expected, "kl_loss of one latent number")


@check("kl_loss is summed over the latent dimensions", points="vae.kl_sum", probe="vae_losses")
def kl_sum(submission):
    # Against the student's own numbers, right or wrong: the formula is for another check to judge.
    wait_for_a_steady_loss(submission, "kl")
    got = submission["single.kl"]
    apart = submission["apart.kl"].reshape(len(got), -1)
    scale_apart("latent dimensions", got, apart.sum(axis=1), apart.shape[1])


@check("kl_loss is averaged over the instances of the batch", points="vae.kl_average", probe="vae_losses")
def kl_average(submission, inputs):
    wait_for_a_steady_loss(submission, "kl")
    terms = divergence_terms(*inputs_of(inputs, "mu", "log_sigma")).sum(axis=1)
    averaged("KL", submission, inputs, "kl", terms, KL_TERMS)


@check(
    "recon_loss is the cross entropy −Σ [x log x' + (1 − x) log(1 − x')]",
    points="vae.recon_closed_form",
    probe="vae_losses",
)
def recon_closed_form(submission, inputs):
    is_steady(submission, "recon")
    got = submission["single.recon"]
    target, recon = inputs_of(inputs, "target", "recon")
    expected = cross_entropy(target, recon)
    terms = cross_entropy_terms(target, recon)
    once_more = 1 / (1 + np.exp(-recon))
    ratio = (got / expected).mean()
    # Whether it is summed or averaged, and how large a guard is, is for other checks to say.
    if ratio > 0 and any(close(got / (got / one).mean(), one) for one in guarded(submission, target, recon)):
        return
    wrong = {
        "it is the squared error, not the cross entropy": (target - recon) ** 2,
        "it is half of the squared error, not the cross entropy": (target - recon) ** 2 / 2,
        "it is the absolute error, not the cross entropy": np.abs(target - recon),
    }
    in_all = {name: values.reshape(len(target), -1).sum(axis=1) for name, values in wrong.items()}
    in_all["target and recon are in each other's place"] = cross_entropy(recon, target.clip(1e-12, 1 - 1e-12))
    in_all["recon goes through a Sigmoid once more: it is a probability already"] = cross_entropy(target, once_more)
    in_all["the target is rounded to 0 or 1, and its pixels lie between"] = cross_entropy(np.round(target), recon)
    in_all["the target is made 1 wherever it is not 0"] = cross_entropy(np.ceil(target), recon)
    in_all["the term (1 − x) log(1 − x') is left out"] = terms[:, 0]
    in_all["the term x log x' is left out"] = terms[:, 1]
    far = np.abs(target - np.round(recon)).reshape(len(target), -1).sum(axis=1)
    mistake(got / (got / far).mean(), far, "your reconstruction loss is wrong: recon is rounded to 0 or 1")
    divisor = fixed_divisor(submission, inputs, "recon")
    for scale in (1, 1 / PIXELS, 1 / divisor):
        mistake(got / scale, -expected, "your reconstruction loss has the wrong sign")
        for sentence, values in in_all.items():
            mistake(got / scale, values, f"your reconstruction loss is wrong: {sentence}")
    scale = PIXELS if 0 < ratio < PIXELS**-0.5 else divisor
    name_the_terms("your reconstruction loss", got * scale, terms, RECON_TERMS)
    same(got / ratio if ratio > 0 else got, expected, "recon_loss")


@check("recon_loss is summed over the pixels", points="vae.recon_sum", probe="vae_losses")
def recon_sum(submission, inputs):
    wait_for_a_steady_loss(submission, "recon")
    got = submission["single.recon"] * fixed_divisor(submission, inputs, "recon")
    if not holds(recon_closed_form, submission, inputs):
        # Of another formula it is known how it grows with the number of pixels only if it was averaged over them.
        target, recon = inputs_of(inputs, "target", "recon")
        if (np.abs(got) < np.abs(cross_entropy(target, recon)) / PIXELS**0.75).all():
            fail("it is averaged over the pixels: sum over them")
        return
    for expected in guarded(submission, *inputs_of(inputs, "target", "recon")):
        if close(got, expected):
            return
    scale_apart("pixels", got, cross_entropy(*inputs_of(inputs, "target", "recon")), PIXELS)


@check("recon_loss is averaged over the instances of the batch", points="vae.recon_average", probe="vae_losses")
def recon_average(submission, inputs):
    wait_for_a_steady_loss(submission, "recon")
    terms = cross_entropy_terms(*inputs_of(inputs, "target", "recon"))
    averaged("reconstruction loss", submission, inputs, "recon", terms, RECON_TERMS)


@check(
    "recon_loss is finite where a reconstruction is exactly 0 or 1, with no guard above 1e-5",
    points="vae.recon_finite",
    probe="vae_losses",
)
def recon_finite(submission, inputs):
    right, wrong = submission["ends.recon"]
    for value in (right, wrong):
        if not math.isfinite(value):
            fail(
                f"recon_loss is {value} where a reconstruction is exactly 0 or 1: keep the logarithms finite, in "
                f"float32 too, with a guard of up to {LARGEST_GUARD:g}"
            )
    if not holds(recon_closed_form, submission, inputs):
        if not holds(recon_average, submission, inputs) or not is_derivative(submission, inputs, "recon", "recon"):
            raise Waits("vae.recon_closed_form")
        return  # without logarithms there is no guard
    least = -math.log(LARGEST_GUARD) - 0.01  # a pixel; 1 - 1e-5 is not exact in float32
    if of_one_pixel(submission, inputs) < least:
        fail(
            f"recon_loss is {of_one_pixel(submission, inputs):.3g} a pixel where every pixel is wrong and sure of it: "
            f"the guard inside the logarithms is larger than {LARGEST_GUARD:g}"
        )


@check("Gradients of recon_loss reach the reconstruction", points="vae.recon_gradients", probe="vae_losses")
def recon_gradients(submission, inputs):
    wait_for_a_steady_loss(submission, "recon")
    target, recon = inputs_of(inputs, "target", "recon")
    got = submission["gradient.recon.recon"]
    expected = (recon - target) / (recon * (1 - recon)) / len(target)
    if close(got, expected) or is_derivative(submission, inputs, "recon", "recon"):
        return
    mistake(
        got, np.zeros_like(got), "recon_loss carries no graph to the reconstruction: nothing can be learned from it"
    )
    same(got, expected, "the gradient of recon_loss")


@check("Gradients of kl_loss reach μ and log σ", points="vae.kl_gradients", probe="vae_losses")
def kl_gradients(submission, inputs):
    wait_for_a_steady_loss(submission, "kl")
    mu, log_sigma = inputs_of(inputs, "mu", "log_sigma")
    to_mu, to_log_sigma = submission["gradient.kl.mu"], submission["gradient.kl.log_sigma"]
    right_mu, right_log_sigma = mu / len(mu), (np.exp(2 * log_sigma) - 1) / len(mu)
    mu_is_right = close(to_mu, right_mu) or is_derivative(submission, inputs, "kl", "mu")
    log_sigma_is_right = close(to_log_sigma, right_log_sigma) or is_derivative(submission, inputs, "kl", "log_sigma")
    if mu_is_right and log_sigma_is_right:
        return
    if not to_mu.any() and not to_log_sigma.any():
        fail("kl_loss carries no graph, so that nothing can be learned from it")
    if not mu_is_right:
        mistake(to_mu, np.zeros_like(to_mu), "μ is detached in kl_loss")
        same(to_mu, right_mu, "the gradient of kl_loss with respect to μ")
    mistake(to_log_sigma, np.zeros_like(to_log_sigma), "log σ is detached in kl_loss")
    mistake(to_log_sigma, np.full_like(to_log_sigma, -1 / len(mu)), "σ is detached in kl_loss")
    same(to_log_sigma, right_log_sigma, "the gradient of kl_loss with respect to log σ")


def is_steady(submission, loss: str) -> None:
    """Fail where a loss is another one for the same inputs."""
    once, again = submission[f"batch.{loss}"]
    if not close(once, again):
        fail(
            f"{loss}_loss is {once:.5g} and then {again:.5g} for the same inputs: it is to follow from them alone, "
            "without random numbers and without a weight that changes from call to call"
        )


def wait_for_a_steady_loss(submission, loss: str) -> None:
    once, again = submission[f"batch.{loss}"]
    if not close(once, again):
        raise Waits(f"vae.{loss}_closed_form")


def is_derivative(submission, inputs, loss: str, of: str) -> bool:
    """Whether a gradient is that of the student's own loss, seen along the direction of the input itself."""
    if f"numeric.{loss}.{of}" not in submission:
        return False
    along = (submission[f"gradient.{loss}.{of}"] * inputs_of(inputs, of)[0]).sum()
    numeric = submission[f"numeric.{loss}.{of}"].item()
    return abs(along - numeric) <= 0.01 * abs(numeric) + 1e-4


def fixed_divisor(submission, inputs, loss: str) -> int:
    """The size of a batch that is written into the code as what a loss is divided by; 1 where none is."""
    batch, single = submission[f"batch.{loss}"][0], submission[f"single.{loss}"]
    if not close(batch, single.sum()) or not single.all():
        return 1
    if loss == "kl":
        expected = divergence(*inputs_of(inputs, "mu", "log_sigma")).sum(axis=1)
    else:
        expected = cross_entropy(*inputs_of(inputs, "target", "recon"))
    divisor = (expected / single).mean()
    is_one = round(divisor) in FIXED_BATCHES and close(single * round(divisor), expected)
    return round(divisor) if is_one else 1


def averaged(name: str, submission, inputs, loss: str, terms: np.ndarray, words: tuple[str, ...]) -> None:
    """Fail unless the loss of a batch is the average of its instances' losses, right or wrong as those may be."""
    batch, single = submission[f"batch.{loss}"][0], submission[f"single.{loss}"]
    divisor = fixed_divisor(submission, inputs, loss)
    if divisor > 1:
        fail(f"your {name} is divided by {divisor}, whatever the size of the batch: divide by the number of instances")
    if close(batch, single.mean()):
        return
    mistake(batch, single.sum(), f"your {name} is summed over the batch: divide by the number of instances")
    mistake(batch, single.mean() / len(single), f"your {name} is divided by the number of instances twice")
    if close(single, terms.sum(axis=1)):
        for number in range(1, len(words)):
            for summed in combinations(range(len(words)), number):
                weights = [len(terms) if term in summed else 1 for term in range(len(words))]
                which = ", ".join(words[term] for term in summed)
                mistake(batch, terms.mean(axis=0) @ weights, f"of your {name} {which} is summed over the batch")
    same(batch, single.mean(), f"your {name} of a batch, against the average of its instances' own,")


def scale_apart(what: str, got: np.ndarray, expected: np.ndarray, number: int) -> None:
    """Fail unless a loss is summed over an instance's numbers."""
    mistake(got, expected / number, f"it is averaged over the {what}: sum over them")
    mistake(got, expected / number**2, f"it is divided by the number of {what} twice: sum over them")
    if not close(got, expected) and close(got / (got / expected).mean(), expected):
        fail(f"it is {(got / expected).mean():.4g} times the sum over the {what}")
    same(got, expected, f"the loss of one instance, against the sum over its {what},")


def name_the_terms(name: str, got: np.ndarray, terms: np.ndarray, words: tuple[str, ...]) -> None:
    """Fail where a loss is made of the right terms, each counted some other number of times."""
    counts, *_ = np.linalg.lstsq(terms, got, rcond=None)
    if not np.isfinite(got).all() or not close(terms @ counts, got, EXACT / 10):
        return
    if np.ptp(counts) < EXACT * np.abs(counts).max():
        if abs(counts[0] - 1) > EXACT:
            fail(f"{name} is {counts[0]:.4g} times the expected one")
        return
    said = [
        f"{word} is left out"
        if abs(count) < EXACT
        else f"{word} has the wrong sign"
        if abs(count + 1) < EXACT
        else f"{word} counts {count:.3g} times"
        for word, count in zip(words, counts, strict=True)
        if abs(count - 1) > EXACT
    ]
    fail(f"in {name} {', '.join(said)}")


def name_the_clamp(got: np.ndarray, expected: np.ndarray, given: dict[str, np.ndarray]) -> None:
    """Fail where the divergence is right but for the smallest or the largest of its inputs."""
    wrong = np.abs(got - expected) > 1e-3 * np.maximum(np.abs(expected), 1)
    if not wrong.any():
        return
    for name, values in given.items():
        edges = [edge for edge in (values.min(), values.max()) if wrong[values == edge].all()]
        if edges and not wrong[~np.isin(values, edges)].any():
            said = " and ".join(f"{edge:.2g}" for edge in edges)
            fail(f"your KL is right but for {name} = {said}, which training reaches: something is clamped in it")


def of_one_pixel(submission, inputs) -> float:
    """The reconstruction loss of a pixel that is wrong and sure of it, whether the loss is summed or averaged."""
    expected = cross_entropy(*inputs_of(inputs, "target", "recon"))
    return submission["ends.recon"][1] / PIXELS / (submission["single.recon"] / expected).mean()


def guarded(submission, target: np.ndarray, recon: np.ndarray) -> list[np.ndarray]:
    """The reconstruction loss of each instance, with the guards that the student's may have in its logarithms."""
    plain = cross_entropy(target, recon)
    if "ends.recon" not in submission or not math.isfinite(submission["ends.recon"][1]):
        return [plain]
    guard = math.exp(-submission["ends.recon"][1] / PIXELS)
    if not LARGEST_GUARD < guard < 0.3:
        return [plain]
    added = -(target * np.log(recon + guard) + (1 - target) * np.log(1 - recon + guard))
    return [plain, cross_entropy(target, recon.clip(guard, 1 - guard)), added.reshape(len(target), -1).sum(axis=1)]
