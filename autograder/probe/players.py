"""The two players that a student's training step is tried with: ours, so that a wrong network costs nothing there."""

from itertools import pairwise

import torch
from torch import Tensor, nn

LATENT_DIM = 6
HIDDEN_DIM = 4


class Painter(nn.Module):
    """A generator: noise to images."""

    def __init__(self):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.paint = nn.ConvTranspose2d(LATENT_DIM, 1, kernel_size=32)

    def forward(self, z: Tensor) -> Tensor:
        """Take (batch, LATENT_DIM, 1, 1), and give images with pixels in [-1, 1]."""
        return torch.tanh(self.paint(z))


class Judge(nn.Module):
    """A discriminator with the batch normalisations of the assignment's, so that a mixed batch is told from two."""

    def __init__(self):
        super().__init__()
        self.num_calls = 0
        widths = (1, HIDDEN_DIM, 2 * HIDDEN_DIM, 4 * HIDDEN_DIM)
        self.look = nn.ModuleList(nn.Conv2d(before, after, 4, 2, 1, bias=False) for before, after in pairwise(widths))
        self.calm = nn.ModuleList([nn.Identity(), nn.BatchNorm2d(widths[2]), nn.BatchNorm2d(widths[3])])
        self.decide = nn.Conv2d(widths[3], 1, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take images, and give the probability that each is real, (batch,)."""
        self.num_calls += 1
        for look, calm in zip(self.look, self.calm, strict=True):
            x = nn.functional.leaky_relu(calm(look(x)), 0.2)
        return torch.sigmoid(self.decide(x)).flatten()


def with_weights(player: nn.Module, weights: Tensor) -> nn.Module:
    """The player, with all of its parameters taken from one long row."""
    nn.utils.vector_to_parameters(weights, player.parameters())
    return player


def num_weights(player: nn.Module) -> int:
    """How long that row is."""
    return sum(parameter.numel() for parameter in player.parameters())


def as_row(tensors: list[Tensor | None], player: nn.Module) -> Tensor:
    """Gradients, or whatever else belongs to the parameters one by one, as one long row; a missing one is zeros."""
    pairs = zip(tensors, player.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if t is None else t).detach().flatten() for t, p in pairs])
