"""The variational autoencoder of "Auto-Encoding Variational Bayes" (arXiv:1312.6114), with convolutions."""

import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    """A VAE for 32x32 images with pixels in [0, 1].

    The encoder gives the mean mu and the log standard deviation log_sigma of q(z|x) = N(mu, diag(sigma^2)). The decoder
    gives, for each pixel, the probability of being 1.

    Args:
        num_channels: channels of an image, 1 for MNIST.
        latent_dim: the length of z.
    """

    def __init__(self, num_channels, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim

        # Block 1: the layers of the encoder (Enc-1 to Enc-6) and of the decoder (Dec-1 to Dec-6)
        # TODO START
        self.encoder = nn.Sequential(
            nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, kernel_size=3, stride=1, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 16, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 8 * 8, 2 * latent_dim),
            nn.ReLU(),
            nn.Linear(2 * latent_dim, 2 * latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, latent_dim),
            nn.ReLU(),
            nn.Linear(latent_dim, 16 * 8 * 8),
            nn.Unflatten(1, (16, 8, 8)),
            nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, kernel_size=3, stride=1, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, kernel_size=3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, num_channels, kernel_size=3, stride=1, padding=1),
            nn.Sigmoid(),
        )
        # TODO END

    def reparameterize(self, mu, log_sigma):
        """Draw z ~ N(mu, diag(sigma^2)) so that gradients reach mu and log_sigma.

        Args:
            mu, log_sigma: (batch, latent_dim), the posterior's mean and log standard deviation.
        Returns:
            z: (batch, latent_dim), a fresh sample on every call.
        """
        # Block 2: draw z by the reparameterization trick
        # TODO START
        epsilon = torch.randn_like(mu)
        z = mu + log_sigma.exp() * epsilon
        # TODO END
        return z

    def forward(self, x=None, z=None):
        """Reconstruct images, or generate new ones.

        Args:
            x: (batch, num_channels, 32, 32), images to reconstruct; or
            z: (batch, latent_dim), latent codes to decode.
        Returns:
            With x: recon_x like x, and mu and log_sigma of q(z|x), (batch, latent_dim) each.
            With z: images, (batch, num_channels, 32, 32).
        """
        if x is not None:
            # Block 3: encode x, draw z, decode it to recon_x
            # TODO START
            mu, log_sigma = self.encoder(x).chunk(2, dim=1)
            recon_x = self.decoder(self.reparameterize(mu, log_sigma))
            # TODO END
            return recon_x, mu, log_sigma

        # Block 4: decode z to images
        # TODO START
        images = self.decoder(z)
        # TODO END
        return images
