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
        raise NotImplementedError(
            "TODO: block 1 of VAE/model.py is not filled in yet: the layers of the encoder (Enc-1 to Enc-6) and of the "
            "decoder (Dec-1 to Dec-6)"
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
        raise NotImplementedError(
            "TODO: block 2 of VAE/model.py is not filled in yet: draw z by the reparameterization trick"
        )
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
            raise NotImplementedError(
                "TODO: block 3 of VAE/model.py is not filled in yet: encode x, draw z, decode it to recon_x"
            )
            # TODO END
            return recon_x, mu, log_sigma

        # Block 4: decode z to images
        # TODO START
        raise NotImplementedError("TODO: block 4 of VAE/model.py is not filled in yet: decode z to images")
        # TODO END
        return images
