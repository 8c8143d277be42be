"""The two players of a DCGAN (arXiv:1511.06434), for 32x32 images."""

import torch
import torch.nn.functional as F
from torch import nn


def weights_init(module):
    """Initialise one layer as the DCGAN paper does (section 3): `model.apply(weights_init)`."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Turns noise into images.

    Args:
        num_channels: channels of an image, 1 for MNIST.
        latent_dim: channels of the noise.
        hidden_dim: channels of the widest image, 16x16, inside the network; each halving of the size doubles them.
    """

    def __init__(self, num_channels, latent_dim, hidden_dim):
        super().__init__()
        self.latent_dim = latent_dim

        # Block 1: self.decoder, the four layers of the generator
        # TODO START
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(latent_dim, 4 * hidden_dim, kernel_size=4, stride=1, padding=0, bias=False),
            nn.BatchNorm2d(4 * hidden_dim),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * hidden_dim),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * hidden_dim, hidden_dim, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(hidden_dim),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden_dim, num_channels, kernel_size=4, stride=2, padding=1, bias=False),
            nn.Tanh(),
        )
        # TODO END
        self.apply(weights_init)

    def forward(self, z):
        """Generate images.

        Args:
            z: (batch, latent_dim, 1, 1), standard normal noise.
        Returns:
            (batch, num_channels, 32, 32), pixels in [-1, 1].
        """
        return self.decoder(z)


class Discriminator(nn.Module):
    """Tells real images from generated ones.

    Args:
        num_channels: channels of an image, 1 for MNIST.
        hidden_dim: channels after the first layer; each halving of the size doubles them.
    """

    def __init__(self, num_channels, hidden_dim):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(num_channels, hidden_dim, kernel_size=4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden_dim, 2 * hidden_dim, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * hidden_dim, 4 * hidden_dim, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * hidden_dim, 1, kernel_size=4, stride=1, padding=0, bias=False),
            nn.Sigmoid(),
            nn.Flatten(start_dim=0),
        )
        self.apply(weights_init)

    def forward(self, x):
        """Judge images.

        Args:
            x: (batch, num_channels, 32, 32), pixels in [-1, 1].
        Returns:
            (batch,), the probability that each image is real.
        """
        return self.layers(x)
