"""The student's VAE at work: made, run, and its answers looked at before a check uses them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .layer_checks import compare_layers
from .layer_recorder import Layer, run_recorded
from .layer_tables import IMAGE_CHANNELS, vae_decoder, vae_encoder
from .student_code import CodeStopped, Project, look_at

LATENT_DIM = 7  # odd, so that nothing is half of it by accident
BATCH = 4
IMAGE_SHAPE = (IMAGE_CHANNELS, 32, 32)


@dataclass
class Encoding:
    """One forward(x), with the layers that it ran.

    Attributes:
        layers: Enc-1 to Enc-6, as in the table; two heads for mu and log sigma are one Enc-6.
        heads: the one layer or the two layers that are Enc-6.
        decoder: the layers that ran afterwards.
    """

    layers: list[Layer]
    heads: list[Layer]
    decoder: list[Layer]
    recon: Tensor
    mu: Tensor
    log_sigma: Tensor

    @property
    def z(self) -> Tensor:
        """What was decoded."""
        return self.decoder[0].taken


def make_vae(vae: Project) -> nn.Module:
    """VAE(1, LATENT_DIM)."""
    vae_class = vae.get("model.py", "VAE")
    with vae.running(f"VAE({IMAGE_CHANNELS}, {LATENT_DIM})"):
        return vae_class(IMAGE_CHANNELS, LATENT_DIM)


def some_images(batch: int = BATCH) -> Tensor:
    """Images as the VAE takes them."""
    return torch.rand(batch, *IMAGE_SHAPE)


def some_codes(batch: int = BATCH) -> Tensor:
    """Codes from the prior."""
    return torch.randn(batch, LATENT_DIM)


def reconstruct(vae: Project, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run forward(x): recon_x, mu and log_sigma, of the right shapes."""
    with vae.running("VAE.forward(x)"):
        answer = model(images)
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        raise CodeStopped("VAE.forward(x) should return three things: recon_x, mu and log_sigma.")
    codes = (len(images), LATENT_DIM)
    for name, value, shape in zip(("recon_x", "mu", "log_sigma"), answer, (images.shape, codes, codes), strict=True):
        look_at(f"{name} of VAE.forward(x)", value, shape, "block 3 of VAE/model.py")
    return tuple(answer)


def decode(vae: Project, model: nn.Module, codes: Tensor) -> Tensor:
    """Run forward(z=z): images, of the right shape."""
    with vae.running("VAE.forward(z=z)"):
        images = model(z=codes)
    look_at("what VAE.forward(z=z) returns", images, (len(codes), *IMAGE_SHAPE), "block 4 of VAE/model.py")
    return images


def sample(vae: Project, model: nn.Module, mu: Tensor, log_sigma: Tensor) -> Tensor:
    """Run reparameterize: z, of the right shape."""
    with vae.running("VAE.reparameterize(mu, log_sigma)"):
        z = model.reparameterize(mu.clone(), log_sigma.clone())  # it may change them in place
    look_at("what VAE.reparameterize returns", z, mu.shape, "block 2 of VAE/model.py")
    return z


def compute_losses(vae: Project, trainer: object, *inputs: Tensor) -> tuple[object, object]:
    """Run loss_fn, given target, recon, mu and log_sigma: whatever two things it returns."""
    with vae.running(f"Trainer.loss_fn, given a batch of {len(inputs[0])},"):
        answer = trainer.loss_fn(*(tensor.clone() for tensor in inputs))  # it may change them in place
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise CodeStopped("Trainer.loss_fn should return two things: recon_loss and kl_loss.")
    return tuple(answer)


def encode_recorded(vae: Project, model: nn.Module, images: Tensor) -> Encoding:
    """Run forward(x), and compare its first layers with the encoder's rows.

    Raises:
        CodeStopped: they are others, or the code stops before the end.
    """
    answer, ran, stopped = run_recorded(model, lambda: reconstruct(vae, model, images))
    compare_encoder(ran, stopped)
    if stopped:
        raise stopped
    layers, heads, decoder = divide(ran)
    recon, mu, log_sigma = answer
    if len(heads) == 2 and torch.equal(heads[1].given, mu):  # log sigma's head ran first, which is as good
        heads.reverse()
        layers[-1].given = layers[-1].given.roll(LATENT_DIM, dims=1)
    if not decoder:
        raise CodeStopped("VAE.forward(x) runs no layer after the encoder's: see block 3 of VAE/model.py.")
    return Encoding(layers, heads, decoder, recon, mu, log_sigma)


def decode_recorded(vae: Project, model: nn.Module, codes: Tensor) -> tuple[list[Layer], Tensor]:
    """Run forward(z=z): its layers, which are the decoder's rows, and the images.

    Raises:
        CodeStopped: they are others, or the code stops before the end.
    """
    images, ran, stopped = run_recorded(model, lambda: decode(vae, model, codes))
    compare_decoder(ran, stopped)
    if stopped:
        raise stopped
    if not torch.equal(ran[0].taken, codes):
        raise CodeStopped(
            "VAE.forward(z=z) decodes something else than the z that it is given (see block 4 of VAE/model.py)."
        )
    return ran, images


def compare_decoder(ran: list[Layer], stopped: CodeStopped | None) -> None:
    """Stop unless the layers that ran are the decoder's."""
    compare_layers(ran, stopped, vae_decoder, latent_dim=LATENT_DIM)


def compare_encoder(ran: list[Layer], stopped: CodeStopped | None) -> None:
    """Stop unless the layers that ran before the decoder's are the encoder's."""
    layers, _, rest = divide(ran)
    compare_layers(layers, stopped, vae_encoder, latent_dim=LATENT_DIM)
    decoder = vae_decoder(LATENT_DIM)
    if len(rest) > len(decoder) and rest[0].turns != decoder[0].turns:
        last = vae_encoder(LATENT_DIM)[-1]
        raise CodeStopped(f"{last} is the encoder's last layer, and {rest[0].kind} ran between it and the decoder.")


def divide(ran: list[Layer]) -> tuple[list[Layer], list[Layer], list[Layer]]:
    """Divide the layers of a forward(x) into the encoder's, the last ones of them, and the decoder's.

    Two heads for mu and log sigma are joined to the one layer of the table.
    """
    before = len(vae_encoder(LATENT_DIM)) - 1
    first, pair, rest = ran[:before], ran[before : before + 2], ran[before + 2 :]
    if len(pair) == 2 and all(layer.outputs == LATENT_DIM and layer.given is not None for layer in pair):
        one, other = pair
        if one.taken.shape == other.taken.shape and torch.equal(one.taken, other.taken):
            both = torch.cat([one.given, other.given], dim=1)
            return [*first, replace(one, outputs=2 * LATENT_DIM, given=both)], pair, rest
    return [*first, *pair[:1]], pair[:1], [*pair[1:], *rest]
