"""What the weights of a VAE learn from one batch if its training step is right.

On the trusted side, a plain implementation of the tables and the losses: no student code is needed to know it.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autograder.tables import CONNECTED, CONVOLUTION, Row, vae_decoder, vae_encoder


def right_gradients(weights: Mapping[str, np.ndarray], x: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """The gradients of the sum of both losses, without biases.

    Args:
        weights: row of the table -> its weights, as PyTorch keeps them.
        x: (batch, channels, 32, 32), the images.
        z: (batch, latent_dim), what was decoded of them; the noise in it follows from mu and sigma.
    Returns:
        row -> the gradient of its weights.
    """
    leaves = {row: torch.from_numpy(np.asarray(values, np.float32)).requires_grad_() for row, values in weights.items()}
    images, decoded = (torch.from_numpy(np.asarray(values, np.float32)) for values in (x, z))
    latent_dim = decoded.shape[1]
    mu, log_sigma = _run(vae_encoder(images.shape[1], latent_dim), leaves, images).chunk(2, dim=1)
    noise = ((decoded - mu) / log_sigma.exp()).detach()
    recon = _run(vae_decoder(images.shape[1], latent_dim), leaves, mu + log_sigma.exp() * noise)
    cross_entropy = functional.binary_cross_entropy(recon, images, reduction="sum")
    divergence = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum()
    found = torch.autograd.grad((cross_entropy + divergence) / len(images), list(leaves.values()))
    return {row: gradient.double().numpy() for row, gradient in zip(leaves, found, strict=True)}


def _run(rows: list[Row], weights: Mapping[str, Tensor], values: Tensor) -> Tensor:
    for row in rows:
        weight = weights[row.name]
        if row.kind == CONNECTED:
            values = values.flatten(1) @ weight.t()
        elif row.kind == CONVOLUTION:
            values = functional.conv2d(values, weight, stride=row.geometry["stride"], padding=row.geometry["padding"])
        else:
            if values.dim() == 2:
                values = values.unflatten(1, (row.inputs, 8, 8))
            geometry = {name.replace(" ", "_"): size for name, size in row.geometry.items() if name != "kernel"}
            values = functional.conv_transpose2d(values, weight, **geometry)
        if row.after in ("ReLU", "Sigmoid"):
            values = getattr(torch, row.after.lower())(values)
    return values
