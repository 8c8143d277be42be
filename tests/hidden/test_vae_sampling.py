"""How the VAE draws z, and what its two branches of forward decode."""

import numpy as np

from autograder.checks import check, close, fail, mistake, same
from autograder.evidence import NotSeen

from . import test_vae_layers as layers

WITHIN = 0.1  # of the measured mean and spread, in standard deviations: six times what chance makes of 4,000 draws
FEW_WITHIN = 0.15  # likewise of some hundred draws of some numbers each
MODES = ("train", "eval")

# How z may come out of mu, sigma and the noise: the mean and the standard deviation of z.
LAWS = {
    "log σ itself is taken for σ: σ = exp(log σ)": lambda mu, sigma: (mu, np.abs(np.log(sigma))),
    "log σ is taken for log σ²: σ = exp(log σ)": lambda mu, sigma: (mu, np.sqrt(sigma)),
    "the noise is multiplied by σ², not by σ": lambda mu, sigma: (mu, sigma**2),
    "the noise is divided by σ": lambda mu, sigma: (mu, 1 / sigma),
    "σ is left out": lambda mu, sigma: (mu, 1 + 0 * sigma),
    "μ is left out": lambda mu, sigma: (0 * mu, sigma),
    "μ and σ are left out": lambda mu, sigma: (0 * mu, 1 + 0 * sigma),
    "μ is subtracted": lambda mu, sigma: (-mu, sigma),
    "the noise is uniform, not normal": lambda mu, sigma: (mu + sigma / 2, sigma / np.sqrt(12)),
    "μ and σ are exchanged": lambda mu, sigma: (sigma, np.abs(mu)),
    "μ and log σ are exchanged": lambda mu, sigma: (np.log(sigma), np.exp(mu)),
}


@check("z is drawn from N(μ, σ²) with σ = exp(log σ)", points="vae.z_distribution", probe="vae_reparameterize")
def z_distribution(submission, inputs):
    z, mu = submission["samples"], inputs["vae_reparameterize.mu"].astype(float)
    sigma = np.exp(inputs["vae_reparameterize.log_sigma"].astype(float))
    if not np.isfinite(z).all():
        fail("z is not finite")
    mistake(z, np.broadcast_to(mu, z.shape), "z is μ itself: the noise is missing")
    noise = (z - z.mean(axis=0)) / (z.std(axis=0) + 1e-12)
    if close(z, np.broadcast_to(z[0], z.shape)):
        fail("all instances of a batch get the same noise: each needs its own")
    if close(noise, np.broadcast_to(noise[:, :1], noise.shape), 1e-2):
        fail("all dimensions of z get the same noise: each needs its own")
    for sentence, law in LAWS.items():
        if follows(z, *law(mu, sigma)):
            fail(sentence)
    if not follows(z, mu, sigma):
        fail(
            f"with μ = {mu[0]:.3g} and σ = {sigma[0]:.3g}, z has mean {z[:, 0].mean():.3g} and standard deviation "
            f"{z[:, 0].std():.3g}"
        )
    # Of a normal distribution, 68.3 % lie within one standard deviation; of a uniform one 57.7 %.
    if abs((np.abs(z - mu) < sigma).mean() - 0.683) > 0.03:
        fail("the noise has the right mean and spread, and is not normal")


@check(
    "Every call of reparameterize draws fresh noise, in training and in evaluation mode",
    points="vae.z_fresh_noise",
    probe="vae_reparameterize",
)
def z_fresh_noise(submission, inputs):
    mu = inputs["vae_reparameterize.mu"].astype(float)
    for mode, words in zip(MODES, ("training", "evaluation"), strict=True):
        first, second = submission[f"{mode}.calls"]
        if close(first, np.broadcast_to(mu, first.shape)):
            if mode == "train":
                raise layers.Waits("vae.z_distribution")
            fail(f"in {words} mode z is μ itself: the noise is missing")
        mistake(first, second, f"in {words} mode two calls give the same z: draw fresh noise on each")


@check("Gradients flow from z to μ and to log σ", points="vae.z_gradients", probe="vae_reparameterize")
def z_gradients(submission, inputs):
    z, mu = submission["z"], inputs["vae_reparameterize.mu"].astype(float)
    to_mu, to_log_sigma = submission["gradient.mu"], submission["gradient.log_sigma"]
    if not to_mu.any() and not to_log_sigma.any():
        fail("no gradient flows from z to μ and log σ, which is what the reparameterization trick is for")
    mistake(to_mu, np.zeros_like(to_mu), "no gradient flows from z to μ")
    mistake(to_log_sigma, np.zeros_like(to_log_sigma), "no gradient flows from z to log σ")
    same(to_mu, np.ones_like(to_mu), "the gradient of z with respect to μ")
    same(to_log_sigma, z - mu, "the gradient of z with respect to log σ, which is σ times the noise,")


@check(
    "forward(x) decodes a z that is drawn with the μ and the log σ of x",
    points="vae.reconstruction",
    probe="vae_forward",
)
def reconstruction(submission):
    for mode in MODES:
        mu, log_sigma = submission[f"{mode}.mu"], submission[f"{mode}.log_sigma"]
        if f"{mode}.decoded" not in submission:
            failure = submission.failures.get(f"{mode}.x") or submission.failures.get(f"{mode}.z")
            raise NotSeen("what forward(x) decodes", failure)
        z, sigma = submission[f"{mode}.decoded"], np.exp(log_sigma)
        mistake(z, mu, "forward(x) decodes μ itself: decode a z drawn by reparameterize")
        if not is_standard((z - mu) / sigma):
            with np.errstate(all="ignore"):  # of large numbers: no law that is looked for
                laws = {
                    "forward(x) gives reparameterize μ and log σ in the wrong order": (z - log_sigma) / np.exp(mu),
                    "forward(x) gives reparameterize σ in place of log σ": (z - mu) / np.exp(sigma),
                    "forward(x) decodes noise that has nothing to do with μ and log σ": z,
                }
            for sentence, noise in laws.items():
                if is_standard(noise):
                    fail(sentence)
            fail("forward(x) decodes a z that is not drawn with the μ and the log σ that it returns")


@check(
    "forward(z=z) decodes just the z that it is given",
    points="vae.generation",
    probe="vae_forward",
    needed_for_fid=True,
)
def generation(submission, inputs):
    z = inputs["vae_forward.z"].astype(float)
    for mode in MODES:
        same(submission[f"{mode}.z_taken"], z, "what forward(z=z) decodes, against the z that it is given,")
    same(submission["eval.images"], submission["train.images"], "what forward(z=z) gives for the same z again")


@check(
    "Both branches of forward turn the same z into the same images",
    points="vae.same_decoder",
    probe="vae_forward",
)
def same_decoder(submission):
    for mode in MODES:
        same(submission[f"{mode}.recon"], submission[f"{mode}.again"], "recon_x, against forward(z=z) with its z,")


@check(
    "With the same weights, μ and log σ are the reference's",
    points="vae.encoder_numbers",
    probe="vae_forward",
)
def encoder_numbers(submission, reference):
    submission.fact("carry.encoder")
    for mode in MODES:
        for name in ("mu", "log_sigma"):
            same(submission[f"{mode}.{name}"], reference[f"{mode}.{name}"], f"{name} in {mode} mode")


@check(
    "With the same weights, the images for a given z are the reference's",
    points="vae.decoder_numbers",
    probe="vae_forward",
)
def decoder_numbers(submission, reference):
    submission.fact("carry.decoder")
    for mode in MODES:
        same(submission[f"{mode}.images"], reference[f"{mode}.images"], f"the images in {mode} mode")


def follows(z: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> bool:
    """Whether samples, (draws, dimensions), have such a mean and such a standard deviation."""
    off = np.abs(z.mean(axis=0) - mean), np.abs(z.std(axis=0) - deviation)
    return bool(max((one / deviation).max() for one in off) <= WITHIN)


def is_standard(noise: np.ndarray) -> bool:
    """Whether numbers look like standard normal noise."""
    noise = noise[np.isfinite(noise)]
    with np.errstate(all="ignore"):
        return bool(noise.size and abs(noise.mean()) <= FEW_WITHIN and abs(noise.std() - 1) <= FEW_WITHIN)
