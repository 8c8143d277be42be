"""How the VAE draws z, and what its two branches of forward decode."""

from dataclasses import replace

import numpy as np

from autograder.checks import Waits, check, close, fail, holds, mistake, same
from autograder.evidence import NotSeen
from autograder.inputs import LOG_SIGMA_EDGES
from autograder.networks import made_of

from . import test_vae_layers as layers

WITHIN = 0.1  # of the measured mean and spread, in standard deviations: six times what chance makes of 4,000 draws
FEW_WITHIN = 0.15  # likewise of some hundred draws of some numbers each
LARGEST_CORRELATION = 0.2  # that chance makes of a thousand numbers; six times its standard deviation
MODES = ("train", "eval")
IN_WORDS = {"train": "training", "eval": "evaluation"}
NORMAL_KURTOSIS, UNIFORM_KURTOSIS = 3.0, 1.8
MOST_OF_UNIFORM = 1.8  # a uniform number is at most sqrt(3) standard deviations off; of 4,000 normal ones some are 3

# So far from 0 the numbers of an encoder come in training; what is beyond may be cut off.
REACHED = {"mu": (-6.0, 6.0), "log_sigma": LOG_SIGMA_EDGES}

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
    "z is the average of two samples, and should be one": lambda mu, sigma: (mu, sigma / np.sqrt(2)),
    "μ and σ are exchanged": lambda mu, sigma: (sigma, np.abs(mu)),
    "μ and log σ are exchanged": lambda mu, sigma: (np.log(sigma), np.exp(mu)),
    "log(1 + exp(log σ)), a softplus, is taken for σ: σ = exp(log σ)": lambda mu, sigma: (mu, np.log1p(sigma)),
}


@check("z is drawn from N(μ, σ²) with σ = exp(log σ)", points="vae.z_distribution", probe="vae_reparameterize")
def z_distribution(submission, inputs):
    z, mu = submission["samples"], inputs["vae_reparameterize.mu"].astype(float)
    log_sigma = inputs["vae_reparameterize.log_sigma"].astype(float)
    sigma = np.exp(log_sigma)
    if not np.isfinite(z).all():
        fail("z is not finite")
    mistake(z, np.broadcast_to(mu, z.shape), "z is μ itself: the noise is missing")
    noise = (z - z.mean(axis=0)) / (z.std(axis=0) + 1e-12)
    if close(z, np.broadcast_to(z[0], z.shape)):
        fail("all instances of a batch get the same noise: each needs its own")
    if close(noise, np.broadcast_to(noise[:, :1], noise.shape), 1e-2):
        fail("all dimensions of z get the same noise: each needs its own")
    kurtosis = (noise**4).mean()
    if abs(kurtosis - UNIFORM_KURTOSIS) < 0.1 and np.abs(noise).max() < MOST_OF_UNIFORM:
        fail("the noise is uniform, not normal: torch.randn_like draws normal noise")
    for sentence, law in LAWS.items():
        if follows(z, *law(mu, sigma)):
            fail(sentence)
    if not follows(z, mu, sigma):
        name_the_clamp(np.log(z.std(axis=0)), log_sigma)
        factor = (z.std(axis=0) / sigma).mean()
        if follows(z, mu, factor * sigma):
            fail(f"the noise counts {factor:.2g} times, and should count once")
        added = np.median(z.std(axis=0) - sigma)
        if follows(z, mu, sigma + added):
            fail(f"σ is {added:.2g} more than exp(log σ)")
        factor = (z.mean(axis=0) @ mu) / (mu @ mu)
        if follows(z, factor * mu, sigma):
            fail(f"μ counts {factor:.2g} times, and should count once")
        fail(
            f"with μ = {mu[0]:.3g} and σ = {sigma[0]:.3g}, z has mean {z[:, 0].mean():.3g} and standard deviation "
            f"{z[:, 0].std():.3g}"
        )
    # Of a normal distribution, 68.3 % lie within one standard deviation; of a uniform one 57.7 %.
    is_normal = abs((np.abs(z - mu) < sigma).mean() - 0.683) < 0.03 and abs(kurtosis - NORMAL_KURTOSIS) < 0.5
    if not is_normal:
        fail("the noise has the right mean and spread, and is not normal: torch.randn_like draws normal noise")
    for name, given in {"μ": "mu", "log σ": "log_sigma"}.items():
        before = np.broadcast_to(inputs[f"vae_reparameterize.{given}"].astype(float), (3, len(mu)))
        if not close(submission[f"in_place.{given}"], before):
            fail(
                f"reparameterize changes {name} in place (by +=, *=, or a function like add_), so that forward returns "
                f"another {name} than the encoder's"
            )
    if "one" in submission.failures:
        raise NotSeen("one", submission.failures["one"])  # a batch of one


def name_the_clamp(got: np.ndarray, log_sigma: np.ndarray) -> None:
    """Fail where σ is right but for what lies at the edges of what training reaches."""
    right = np.abs(got - log_sigma) < WITHIN
    low, high = (int(np.argmin(np.abs(log_sigma - edge))) for edge in LOG_SIGMA_EDGES)
    beyond = {"below": got[low] > log_sigma[low] + WITHIN, "above": got[high] < log_sigma[high] - WITHIN}
    if not any(beyond.values()):
        return
    limits = {"below": got[low], "above": got[high]}
    expected = log_sigma.clip(
        limits["below"] if beyond["below"] else None, limits["above"] if beyond["above"] else None
    )
    if right.any() and np.abs(got - expected).max() < WITHIN:
        said = " and ".join(
            f"{where} {np.exp(limits[where]):.2g} (log σ {where} {limits[where]:.2g})"
            for where, is_so in beyond.items()
            if is_so
        )
        fail(f"σ is clamped: values {said} are cut off, and training reaches them")


@check(
    "Every call of reparameterize draws fresh noise, in training and in evaluation mode",
    points="vae.z_fresh_noise",
    probe="vae_reparameterize",
)
def z_fresh_noise(submission, inputs):
    mu = inputs["vae_reparameterize.mu"].astype(float)
    for mode, words in IN_WORDS.items():
        first, second = submission[f"{mode}.calls"]
        if close(first, np.broadcast_to(mu, first.shape)):
            if mode == "train":
                raise Waits("vae.z_distribution")
            fail(f"in {words} mode z is μ itself: the noise is missing")
        mistake(first, second, f"in {words} mode two calls give the same z: draw fresh noise on each")


@check("Gradients flow from z to μ and to log σ", points="vae.z_gradients", probe="vae_reparameterize")
def z_gradients(submission, inputs):
    z, mu = submission["z"], inputs["vae_reparameterize.mu"].astype(float)
    right = {"mu": np.ones_like(z), "log_sigma": z - mu}  # the latter is σ times the noise
    words = {"mu": "μ", "log_sigma": "log σ"}
    # What z is of μ and log σ, right or wrong, is for another check to judge.
    wrong = [
        name
        for name, expected in right.items()
        if not close(submission[f"gradient.{name}"], expected)
        and not close(submission[f"gradient.{name}"], submission[f"numeric.{name}"], 1e-2)
    ]
    flows = [name for name in right if submission[f"gradient.{name}"].any()]
    if len(wrong) == 2 and not flows:
        fail("no gradient flows from z to μ and log σ, which is what the reparameterization trick is for")
    for name in wrong:
        if name not in flows:
            fail(f"no gradient flows from z to {words[name]}")
        same(submission[f"gradient.{name}"], submission[f"numeric.{name}"], f"the gradient of z in {words[name]}")


@check(
    "forward(x) decodes a z that is drawn with the μ and the log σ of x",
    points="vae.reconstruction",
    probe="vae_forward",
)
@layers.waits_for_rows
def reconstruction(submission, graded):
    for mode in MODES:
        if f"{mode}.decoded" not in submission:
            failures = [submission.failures.get(f"{mode}.{branch}") for branch in "xz"]
            raise NotSeen("decoded", next(filter(None, failures), submission.failure("decoded")))
        layers.must_be_there(graded, layers.ENCODER)
        at = "" if mode == "train" else "in evaluation mode "
        mu, z = submission[f"{mode}.mu"], submission[f"{mode}.decoded"]
        mistake(z, mu, f"{at}forward(x) decodes μ itself: decode a z drawn by reparameterize")
        if f"{mode}.call.0.z" in submission:
            judge_call(submission, mode, at)
        else:
            judge_own_noise(submission, mode, at)


def judge_call(submission, mode: str, at: str) -> None:
    """Fail unless what is decoded is what reparameterize gave, for the μ and the log σ that are returned."""
    returned = {"μ": submission[f"{mode}.mu"], "log σ": submission[f"{mode}.log_sigma"]}
    given = {"μ": submission[f"{mode}.call.0.mu"], "log σ": submission[f"{mode}.call.0.log_sigma"]}
    if close(given["μ"], returned["log σ"]) and close(given["log σ"], returned["μ"]):
        fail(f"{at}forward(x) gives reparameterize μ and log σ in the wrong order")
    log_sigma = returned["log σ"]
    with np.errstate(all="ignore"):  # of large numbers: no mistake that is looked for
        mistake(given["log σ"], np.exp(log_sigma), f"{at}forward(x) gives reparameterize σ in place of log σ")
        mistake(given["log σ"], np.exp(2 * log_sigma), f"{at}forward(x) gives reparameterize σ² in place of log σ")
    mistake(given["log σ"], 2 * log_sigma, f"{at}forward(x) gives reparameterize 2 log σ, which is log σ²")
    mistake(given["log σ"], log_sigma / 2, f"{at}forward(x) gives reparameterize half of log σ")
    for name, values in given.items():
        same(
            values, returned[name], f"{at}the {name} that forward(x) gives reparameterize, against the one it returns,"
        )
    decoded, drawn = submission[f"{mode}.decoded"], submission[f"{mode}.call.0.z"]
    if close(decoded, drawn):
        return
    others = [submission[name] for n in (1, 2) if (name := f"{mode}.call.{n}.z") in submission]
    if any(close(decoded, other) for other in others):
        return  # asked several times, and one of the answers decoded
    mistake(decoded, np.mean([drawn, *others], axis=0), f"{at}forward(x) decodes the average of several samples")
    if is_standard(decoded):
        fail(f"{at}forward(x) decodes noise that has nothing to do with μ and log σ")
    if words := made_of(drawn, decoded):
        fail(f"{at}forward(x) decodes z after {words}, and should decode z as it is")
    same(decoded, drawn, f"{at}what forward(x) decodes, against the z that reparameterize gives,")


def judge_own_noise(submission, mode: str, at: str) -> None:
    """Fail unless what is decoded, without reparameterize, is noise around μ with the standard deviation σ."""
    z, mu, log_sigma = (submission[f"{mode}.many.{name}"] for name in ("decoded", "mu", "log_sigma"))
    with np.errstate(all="ignore"):
        drawn = (z - mu) / np.exp(log_sigma)
    if is_standard(drawn) and not follows_from(drawn, mu) and not follows_from(drawn**2, log_sigma):
        return
    with np.errstate(all="ignore"):  # of large numbers: no law that is looked for
        laws = {
            "forward(x) takes μ and log σ in the wrong order": (z - log_sigma) / np.exp(mu),
            "forward(x) takes σ for log σ": (z - mu) / np.exp(np.exp(log_sigma)),
            "forward(x) takes log σ for log σ²": (z - mu) / np.exp(log_sigma / 2),
            "forward(x) takes log σ for σ": (z - mu) / log_sigma,
            "forward(x) decodes the average of two samples": (z - mu) / np.exp(log_sigma) * np.sqrt(2),
            "forward(x) decodes noise that has nothing to do with μ and log σ": z,
        }
    for sentence, noise in laws.items():
        if is_standard(noise):
            fail(f"{at}{sentence}")
    fail(f"{at}forward(x) decodes a z that is not drawn with the μ and the log σ that it returns")


@check(
    "forward(z=z) decodes just the z that it is given",
    points="vae.generation",
    probe="vae_forward",
    needed_for_fid=True,
)
@layers.waits_for_rows
def generation(submission, inputs, graded):
    for mode in MODES:
        taken = submission[f"{mode}.z_taken"]
        layers.must_be_there(graded, layers.DECODER)
        z = inputs["vae_forward.z"].astype(float)[:, : taken.shape[-1]]
        if taken.shape == z.shape:
            mistake(taken, z * 0, "forward(z=z) decodes zeros, whatever z it is given")
            mistake(taken, np.broadcast_to(taken[:1], z.shape), "forward(z=z) decodes the same, whatever z it is given")
            factor = (taken * z).sum() / (z * z).sum()
            if not close(taken, z) and close(taken, factor * z):
                fail(f"forward(z=z) decodes {factor:.3g} z, and should decode z")
            if words := made_of(z, taken):
                fail(f"forward(z=z) decodes z after {words}, and should decode z as it is")
            if is_standard(taken) and not close(taken, z):
                fail("forward(z=z) decodes noise of its own, whatever z it is given")
        same(taken, z, "what forward(z=z) decodes, against the z that it is given,")
        if f"{mode}.one" in submission.failures:
            failure = replace(
                submission.failures[f"{mode}.one"], hint="With a batch of one it stops, and runs with more"
            )
            raise NotSeen("a batch of one", failure)
    left = submission.fact("leaves the mode")
    if left["x"] and not left["z"]:  # of forward(x) the check of a training step tells it
        fail("forward(z=z) does not leave the model in the mode it was in: nothing in it may call train() or eval()")
    # What stands behind a layer, such as dropout or a random choice, is for that row's check to judge.
    if layers.decoder_is_as_asked(graded):
        same(submission["eval.images"], submission["train.images"], "what forward(z=z) gives for the same z again")


@check("Both branches of forward turn the same z into the same images", points="vae.same_decoder", probe="vae_forward")
@layers.waits_for_rows
def same_decoder(submission, inputs, graded):
    if not holds(generation, submission, inputs, graded):
        raise Waits("vae.generation")
    left_out = layers.left_out(graded)
    if "z" in left_out:
        raise Waits(f"vae.dec_{left_out['z']}")
    if "x" in left_out:
        fail(f"forward(x) does not run the layer of Row Dec-{left_out['x']}, which forward(z=z) runs")
    for mode in MODES:
        recon, again = submission[f"{mode}.recon_x"], submission[f"{mode}.again"]
        if close(recon, again):
            continue
        if close(1 / (1 + np.exp(-recon.clip(-80, 80))), again):
            fail("forward(x) returns what Dec-6 gives without its Sigmoid, which forward(z=z) has")
        if close(recon, 1 / (1 + np.exp(-again.clip(-80, 80)))):
            fail("forward(z=z) returns what Dec-6 gives without its Sigmoid, which forward(x) has")
        mistake(recon, again[::-1], "forward(x) gives the reconstructions in another order than the images")
        mistake(recon, np.round(again), "forward(x) rounds the pixels of recon_x to 0 or 1")
        mistake(again, np.round(recon), "forward(z=z) rounds the pixels of its images to 0 or 1")
        if np.isin(again, (0, 1)).all() and not np.isin(recon, (0, 1)).all():
            fail("forward(z=z) draws 0 or 1 for each pixel, and should return the decoder's probabilities")
        if layers.decoder_is_random(graded):
            continue  # one of its rows is told to do this
        for branch, cut, whole in (("forward(x) clamps recon_x", recon, again), ("forward(z=z) clamps", again, recon)):
            low, high = cut.min(), cut.max()
            if low < high and close(whole.clip(low, high), cut):
                fail(f"{branch} to [{low:.3g}, {high:.3g}], and should return the decoder's probabilities")
        same(recon, again, "recon_x, against forward(z=z) with its z,")


@check("With the same weights, μ and log σ are the reference's", points="vae.encoder_numbers", probe="vae_forward")
@layers.waits_for_rows
def encoder_numbers(submission, reference, graded, failed_before):
    if not layers.encoder_is_as_asked(graded):
        # Its rows say what is wrong. What is left: that both modes give the same.
        for name in ("mu", "log_sigma"):
            trained, evaluated = (submission[f"{mode}.{name}"] for mode in MODES)
            layers.must_be_there(graded, layers.ENCODER)
            takes_x = holds(layers.encoder_rows, graded[0]["vae_layers"], 1)  # x may be changed in training mode only
            if takes_x and not layers.depends_on_the_mode(graded[0]["vae_layers"]):
                same(evaluated, trained, f"{name} in evaluation mode, against the one in training mode,")
        judge_far_out(submission, graded)
        return
    must_be_carried(submission, "encoder", failed_before)
    for mode in MODES:
        for name in ("mu", "log_sigma"):
            same(submission[f"{mode}.{name}"], reference[f"{mode}.{name}"], f"{name} in {IN_WORDS[mode]} mode")
    judge_far_out(submission, graded)


def judge_far_out(submission, graded) -> None:
    """Fail if what Enc-6 gives is cut off on its way out of forward, where training reaches it."""
    if "wide.given" not in submission or not holds(layers.posterior_split, graded[0]["vae_layers"]):
        return  # another check tells
    mu, given = submission["wide.mu"], submission["wide.given"]
    halves = dict(zip(REACHED, np.split(given, 2, axis=1), strict=True))
    far_off = {name: np.abs(mu - half).mean() for name, half in halves.items()}
    if far_off["log_sigma"] < far_off["mu"]:  # two heads, the other way round
        halves = dict(zip(REACHED, reversed(halves.values()), strict=True))
    for name, (low, high) in REACHED.items():
        got, right = submission[f"wide.{name}"], halves[name]
        reached = (right > low - WITHIN) & (right < high + WITHIN)
        if not close(got[reached], right[reached]):
            what = f"what forward(x) returns for {name}"
            if words := made_of(right, got):
                fail(f"{what} has gone through {words}, and training reaches from {low:.2g} to {high:.2g}")
            same(got[reached], right[reached], f"{what}, where it is as far out as training reaches,")


@check(
    "With the same weights, the images for a given z are the reference's",
    points="vae.decoder_numbers",
    probe="vae_forward",
)
@layers.waits_for_rows
def decoder_numbers(submission, reference, graded, inputs, failed_before):
    if not holds(generation, submission, inputs, graded):
        raise Waits("vae.generation")
    if not layers.decoder_is_as_asked(graded):
        return  # its rows say what is wrong with the images
    must_be_carried(submission, "decoder", failed_before)
    for mode in MODES:
        same(submission[f"{mode}.images"], reference[f"{mode}.images"], f"the images in {IN_WORDS[mode]} mode")


def must_be_carried(submission, half: str, failed_before: list[str]) -> None:
    """Wait where no weights could be put in since latent_dim is not honoured."""
    if f"carry.{half}" not in submission.facts and "vae.latent_dim" in failed_before:
        raise Waits("vae.latent_dim")
    submission.fact(f"carry.{half}")


def follows(z: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> bool:
    """Whether samples, (draws, dimensions), have such a mean and such a standard deviation."""
    with np.errstate(all="ignore"):
        off = np.abs(z.mean(axis=0) - mean), np.abs(z.std(axis=0) - deviation)
        return bool(max((one / deviation).max() for one in off) <= WITHIN)


def follows_from(noise: np.ndarray, other: np.ndarray) -> bool:
    """Whether noise hangs on something that it should have nothing to do with."""
    if not (np.isfinite(noise).all() and np.isfinite(other).all() and noise.std() and other.std()):
        return False
    return bool(abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) > LARGEST_CORRELATION)


def is_standard(noise: np.ndarray) -> bool:
    """Whether numbers look like standard normal noise."""
    noise = noise[np.isfinite(noise)]
    with np.errstate(all="ignore"):
        return bool(noise.size and abs(noise.mean()) <= FEW_WITHIN and abs(noise.std() - 1) <= FEW_WITHIN)
