"""A small model, for the tests of the code checking."""

import torch
from torch import nn


class Model(nn.Module):
    """Has two blocks."""

    def __init__(self, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim

        # Block 1: the layers
        # TODO START
        raise NotImplementedError("TODO: block 1 of VAE/model.py is not filled in yet: the layers")
        # TODO END

    def forward(self, x):
        """Encode x."""
        # Block 2: encode x to z
        # TODO START
        raise NotImplementedError("TODO: block 2 of VAE/model.py is not filled in yet: encode x to z")
        # TODO END
        return z
