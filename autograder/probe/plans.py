"""How the assignment trains its two models, and how they draw images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autograder.probe.project import Project
from autograder.probe.record import tensor
from coursekit import speed

BETA1 = 0.5  # of the GAN's Adam
HIDDEN_DIM = 16  # of the GAN's generator and discriminator
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Plan:
    """A project's default settings.

    Attributes:
        value_range: the lowest and the highest pixel value that its model sees.
        noise_shape: of what an image is made from.
    """

    latent_dim: int
    batch_size: int
    learning_rate: float
    value_range: tuple[float, float]
    noise_shape: tuple[int, ...]


PLANS = {
    "VAE": Plan(64, 32, 1e-3, (0, 1), (64,)),
    "GAN": Plan(100, 64, 2e-4, (-1, 1), (100, 1, 1)),
}


def make_model(project: Project, num_channels: int) -> nn.Module:
    """The model that images are drawn from, freshly initialised: the VAE, or the GAN's generator."""
    latent_dim = PLANS[project.name].latent_dim
    if project.name == "VAE":
        model = project.get("model", "VAE")(num_channels, latent_dim)
    else:
        model = project.get("model", "Generator")(num_channels, latent_dim, HIDDEN_DIM)
    return speed.to_fast_layout(model, CPU)


def drawing(project: Project, model: nn.Module, num_channels: int, size: int) -> Callable[[Tensor], Tensor]:
    """A function from noise, (n, *noise_shape), to the model's images, (n, num_channels, size, size).

    It raises WrongAnswer where they are something else.
    """
    is_vae = project.name == "VAE"
    what = "what VAE.forward(z=z) returns" if is_vae else "what Generator.forward(z) returns"

    def draw(z: Tensor) -> Tensor:
        return tensor(what, model(z=z) if is_vae else model(z), (len(z), num_channels, size, size))

    return draw
