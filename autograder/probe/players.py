"""The two players that a student's training step is tried with: ours, so that a wrong network costs nothing there.

They note what they are given, which is how it is known that a student's step uses other images than it was given.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from autograder.probe.plans import PLANS

LATENT_DIM = 6
HIDDEN_DIM = 4
MOST_NOTED = 12  # calls in one step
REPORTED = ("loss_D", "loss_G", "D_x", "D_G_z1", "D_G_z2")  # what train_step returns
WIDE = "wide"  # what a step's name begins with where it has as many images as main.py's


class Painter(nn.Module):
    """A generator: noise to images of 8x8 patches.

    Attributes:
        given: the noise of the calls since the list was last cleared.
    """

    def __init__(self):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.given: list[Tensor] = []
        self.paint = nn.ConvTranspose2d(LATENT_DIM, 1, kernel_size=8)

    def forward(self, z: Tensor) -> Tensor:
        """Take (batch, LATENT_DIM, 1, 1), and give images with pixels in [-1, 1], (batch, 1, 32, 32)."""
        _note(self.given, z)
        return nn.functional.interpolate(torch.tanh(self.paint(z)), scale_factor=4)


class Judge(nn.Module):
    """A discriminator with the batch normalisations of the assignment's, so that a mixed batch is told from two.

    Attributes:
        given: the images of the calls since the list was last cleared.
    """

    def __init__(self):
        super().__init__()
        self.given: list[Tensor] = []
        widths = (1, HIDDEN_DIM, 2 * HIDDEN_DIM, 4 * HIDDEN_DIM)
        self.look = nn.ModuleList(nn.Conv2d(before, after, 4, 2, 1, bias=False) for before, after in pairwise(widths))
        self.calm = nn.ModuleList([nn.Identity(), nn.BatchNorm2d(widths[2]), nn.BatchNorm2d(widths[3])])
        self.decide = nn.Conv2d(widths[3], 1, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take images, and give the probability that each is real, (batch,)."""
        _note(self.given, x)
        return torch.sigmoid(self.decide(self.features(x))).flatten()

    def features(self, x: Tensor) -> Tensor:
        """What the judgement is a weighted sum of, (batch, 4 * HIDDEN_DIM, 4, 4)."""
        for look, calm in zip(self.look, self.calm, strict=True):
            x = nn.functional.leaky_relu(calm(look(x)), 0.2)
        return x


def _note(given: list[Tensor], values: Tensor) -> None:
    if len(given) < MOST_NOTED and isinstance(values, Tensor):
        given.append(values.detach().clone())


def with_weights(player: nn.Module, weights: Tensor) -> nn.Module:
    """The player, with all of its parameters taken from one long row."""
    nn.utils.vector_to_parameters(weights, player.parameters())
    return player


def widened(values: Tensor) -> Tensor:
    """As many as main.py has in a batch, over and over the same."""
    num = PLANS["GAN"].batch_size
    return values.repeat(-(-num // len(values)), *[1] * (values.dim() - 1))[:num]


def num_weights(player: nn.Module) -> int:
    """How long that row is."""
    return sum(parameter.numel() for parameter in player.parameters())
