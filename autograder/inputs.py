"""What the probes are given: drawn afresh from a seed on the trusted side, so that nothing can be hard-coded."""

import numpy as np

from autograder.tables import CONNECTED, TRANSPOSED, Row, generator, vae_decoder, vae_encoder

DRAWS = 4000  # samples of a posterior: their mean and their spread err by less than 0.02 standard deviations
LEFTOVER = 0.3
FAR = 100.0  # in standard deviations of the prior
LOG_SIGMA_EDGES = (-6.0, 2.5)  # what training on MNIST stays within; a clamp outside of them is no fault
PROBABILITY_EDGES = (0.02, 0.98)  # of reconstructions whose losses are compared; 0 and 1 are tried apart
# As main.py has them: there the rows are judged, and whether other sizes are honoured is a question of its own.
VAE_DEFAULTS, GAN_DEFAULTS = (1, 64), (1, 100, 16)


def draw_inputs(seed: int) -> dict[str, np.ndarray]:
    """Draw the inputs of all probes: "probe.name" -> array. The same seed gives the same."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, np.ndarray] = {}
    for probe, draw in (
        ("vae_layers", _vae_layers),
        ("vae_forward", _vae_forward),
        ("vae_reparameterize", _vae_reparameterize),
        ("vae_losses", _vae_losses),
        ("vae_step", _vae_step),
        ("gan_generator", _gan_generator),
        ("gan_step", _gan_step),
    ):
        for name, values in draw(rng).items():
            values = np.asarray(values)
            inputs[f"{probe}.{name}"] = values.astype(np.float32) if values.dtype.kind == "f" else values
    return inputs


def _vae_layers(rng: np.random.Generator) -> dict:
    latent_dim = _other_latent_dim(rng)
    return {"settings": [VAE_DEFAULTS, (1, latent_dim), (3, latent_dim)], "seed": _seed(rng)}


def _vae_forward(rng: np.random.Generator) -> dict:
    # Many numbers: noise that is drawn in forward is told from other noise by its mean and its spread. More dimensions
    # cost less than more images.
    latent_dim = int(rng.integers(32, 41))
    # As long as the default latent_dim, for models that ignore theirs. One of each lies so far out that pixels come
    # close to 0 and to 1: the verdict on a clamp does not hang on what is drawn.
    z, noise = (rng.standard_normal((number, VAE_DEFAULTS[1])) for number in (4, 40))
    z[-1] *= FAR
    noise[0] *= FAR
    return {
        "x": _images(rng, 40),
        "z": z,
        "noise": noise,
        "lowest": LOG_SIGMA_EDGES[0],
        **_vae_weights(rng, latent_dim),
    }


def _vae_reparameterize(rng: np.random.Generator) -> dict:
    # Far from 0 and 1, and sigma apart from its square, its root and its logarithm; and always the edges of what
    # training reaches, so that the verdict on a clamp does not hang on what is drawn.
    mu = [*(np.array([1.0, -3.0, 2.0, -1.5, 4.0]) + rng.uniform(-0.3, 0.3, 5)), 6.0, -6.0]
    log_sigma = [*(np.log([3.0, 0.2, 0.3, 2.5, 4.0]) + rng.uniform(-0.1, 0.1, 5)), *LOG_SIGMA_EDGES]
    return {"mu": np.array(mu), "log_sigma": np.array(log_sigma), "draws": DRAWS}


def _vae_losses(rng: np.random.Generator) -> dict:
    batch, latent_dim = 3, 5
    shape = (batch, 1, 32, 32)
    drawn = {
        "target": rng.uniform(0, 1, shape) ** np.array([0.5, 1, 2]).reshape(-1, 1, 1, 1),
        "recon": rng.uniform(*PROBABILITY_EDGES, shape),
        "mu": rng.normal(0.5, 1, (batch, latent_dim)),
        "log_sigma": rng.normal(-0.2, 0.7, (batch, latent_dim)),
    }
    drawn["recon"].reshape(batch, -1)[:, :200] = np.repeat(PROBABILITY_EDGES, 100)
    # One of the instances twice: its loss is twice the same, whatever the formula.
    once, twice = int(rng.integers(batch)), [*range(batch)]
    # More than the formula has terms, so that its coefficients can be told.
    mu_of_one = np.array([1.7, 0.4, -2.3, 0.9, -0.6, 1.1]) + rng.uniform(-0.1, 0.1, 6)
    log_sigma_of_one = np.array([-0.3, 0.9, 0.5, -1.6, -0.9, 1.3]) + rng.uniform(-0.1, 0.1, 6)
    return {
        **{name: values[[*twice, once]] for name, values in drawn.items()},
        # The edges of either, and two that are nearly the prior, as an unused latent dimension is.
        "mu_of_one": [*mu_of_one, 0.8, -0.7, 6.0, -6.0, 0.05, -0.03],
        "log_sigma_of_one": [*log_sigma_of_one, *LOG_SIGMA_EDGES, 0.2, -0.3, -0.02, 0.03],
    }


def _vae_step(rng: np.random.Generator) -> dict:
    latent_dim = _other_latent_dim(rng)
    return {
        "x": _images(rng, 6),
        "noise": rng.standard_normal((6, VAE_DEFAULTS[1])),
        "batches": [6, 1, 4],
        "learning_rate": rng.uniform(0.5e-3, 2e-3),
        "seed": _seed(rng),
        **_vae_weights(rng, latent_dim),
    }


def _gan_generator(rng: np.random.Generator) -> dict:
    latent_dim, hidden_dim = _other_latent_dim(rng), int(rng.integers(3, 7))
    inputs = {
        "settings": [GAN_DEFAULTS, (1, latent_dim, hidden_dim), (3, latent_dim, hidden_dim)],
        "size": [1, latent_dim, hidden_dim],
        "seed": _seed(rng),
        "z_train": rng.standard_normal((6, latent_dim, 1, 1)),
        "z_eval": rng.standard_normal((3, latent_dim, 1, 1)),
    }
    index = 0
    for row in generator(1, latent_dim, hidden_dim):
        inputs[f"weight.{index}"] = _weight(rng, row, 1.0)
        index += 1
        if row.after.startswith("BN"):
            inputs[f"weight.{index}"] = rng.uniform(0.5, 1.5, row.outputs)
            inputs[f"bias.{index}"] = rng.normal(0, 0.3, row.outputs)
            index += 1
    return inputs


# Of each step of the GAN's probe: images, and between what D's logits of the real ones lie, and those of the fakes. In
# the second step D is good at telling them, in the third one it is deceived: whatever a step does only then is seen. At
# 5.4 a guard of 1e-5 in a logarithm makes no difference to speak of, and a clamp at 0.01 does.
GAN_STEPS = (
    (5, (-1.0, 2.0), (-2.3, 0.6)),
    (5, (2.0, 5.4), (-5.4, -1.6)),
    (3, (-5.4, -1.5), (1.2, 5.4)),
    (1, (-1.0, 1.0), (-1.0, 1.0)),
)


def _gan_step(rng: np.random.Generator) -> dict:
    from autograder.probe import players  # torch: only whoever draws inputs has to wait for it

    inputs, weights = {}, {"D": [], "G": []}
    for step, (batch, *logits) in enumerate(GAN_STEPS):
        real = rng.uniform(-1, 1, (batch, 1, 32, 32))
        z = rng.standard_normal((batch, players.LATENT_DIM, 1, 1))
        D, G = (rng.normal(0, 0.25, players.num_weights(net())) for net in (players.Judge, players.Painter))
        wanted = [_spread(rng, *between, batch) for between in logits]
        weights["D"].append(_judging(D, G, real, z, np.concatenate(wanted)))
        weights["G"].append(G)
        inputs |= {f"real.{step}": real, f"z.{step}": z}
    return {
        **inputs,
        **{player: np.stack(rows) for player, rows in weights.items()},
        # Small, so that D stays what it is, and large enough to tell its judgements before and after.
        "learning_rate": rng.uniform(0.002, 0.004),
        "beta1": 0.5,
        "leftover": LEFTOVER,
    }


def _spread(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Numbers from low to high, both ends among them where there are two or more; the rest lies nearer to 0."""
    if count == 1:
        return rng.uniform(low, high, 1)
    near, far = sorted((low, high), key=abs)
    between = near + (far - near) * np.linspace(0, 0.6, count - 1) if count > 2 else np.array([near])
    return rng.permutation(np.append(between, far))


def _judging(D: np.ndarray, G: np.ndarray, real: np.ndarray, z: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """D's weights, changed in its last layer so that its judgements of the images and of G(z) have these logits."""
    import torch

    from autograder.probe.players import Judge, Painter, with_weights

    netD, netG = with_weights(Judge(), torch.from_numpy(D)), with_weights(Painter(), torch.from_numpy(G))
    with torch.no_grad():
        halves = torch.from_numpy(real), netG.double()(torch.from_numpy(z))
        features = np.concatenate([netD.double().features(images).flatten(1).numpy() for images in halves])
    last = netD.decide.weight.numel()
    D[-last:] += np.linalg.lstsq(features, logits - features @ D[-last:], rcond=None)[0]
    return D


def _other_latent_dim(rng: np.random.Generator) -> int:
    return int(rng.integers(5, 10))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _images(rng: np.random.Generator, batch: int) -> np.ndarray:
    return rng.uniform(0, 1, (batch, 1, 32, 32)) * rng.uniform(0.3, 1, (batch, 1, 1, 1))


def _vae_weights(rng: np.random.Generator, latent_dim: int) -> dict[str, np.ndarray]:
    """Weights by rows, of a size at which mu, log sigma and the pixels' probabilities are of the usual size."""
    weights = {}
    for row in [*vae_encoder(1, latent_dim), *vae_decoder(1, latent_dim)]:
        values = _weight(rng, row, 0.1 if row.name == "Dec-6" else 1.0)
        if row.name == "Enc-6":
            values[:latent_dim] *= 4.0
            values[latent_dim:] *= 1.2
        weights[f"weight.{row.name}"] = values
    return weights


def _weight(rng: np.random.Generator, row: Row, gain: float) -> np.ndarray:
    """Weights that keep the size of what goes through a layer and its ReLU (He et al., arXiv:1502.01852)."""
    if row.kind == CONNECTED:
        return rng.normal(0, gain * np.sqrt(2 / row.inputs), (row.outputs, row.inputs))
    kernel, stride = row.geometry["kernel"], row.geometry.get("stride", 1)
    seen = row.inputs * kernel**2
    shape = (row.outputs, row.inputs, kernel, kernel)
    if row.kind == TRANSPOSED:
        seen, shape = max(row.inputs, seen / stride**2), (row.inputs, row.outputs, kernel, kernel)
    return rng.normal(0, gain * np.sqrt(2 / seen), shape)
