"""Import this once before many forks run probes: all that PyTorch loads or prepares only when it is first needed."""

from functools import partial

import torch
import torchvision  # noqa: F401  # students import it
from torch import nn

import coursekit.data
import coursekit.run  # noqa: F401
from autograder.probe import run  # noqa: F401
from autograder.probe.layers import watch
from autograder.probe.players import LATENT_DIM, Judge, Painter
from autograder.probe.standins import stand_ins
from coursekit.speed import keep_freed_memory

# The VAE's convolutions, from its images to its fully connected layers: inputs, outputs, stride. For each size of a
# layer and of a batch PyTorch prepares itself once, which takes longer than to compute it.
CONVOLUTIONS = ((1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2))
VAE_BATCHES, GAN_BATCHES = (2, 1, 4, 6), (5, 3, 1)  # those of the probes


def _once() -> None:
    """Run one small step of everything; a process that has threads of its own can't be forked, so in one thread."""
    torch.set_num_threads(1)
    keep_freed_memory()
    stand_ins("GAN")
    encoder = [nn.Conv2d(inputs, outputs, 3, stride, 1) for inputs, outputs, stride in CONVOLUTIONS]
    decoder = [
        nn.ConvTranspose2d(outputs, inputs, 3, stride, 1, stride - 1) for inputs, outputs, stride in CONVOLUTIONS[::-1]
    ]
    net = nn.Sequential(*encoder, *decoder, nn.Flatten(), nn.Linear(1024, 1))
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    for batch in VAE_BATCHES:
        answer, _ = watch(net, partial(net, torch.zeros(batch, 1, 32, 32)))
        answer.sum().backward()
    optimizer.step()
    for batch in GAN_BATCHES:
        Judge()(Painter()(torch.zeros(batch, LATENT_DIM, 1, 1))).sum().backward()


_once()
