"""Import this once before many forks run probes: all that PyTorch loads only when it is first needed."""

import torch
import torchvision  # noqa: F401  # students import it
from torch import nn

import coursekit.data
import coursekit.run  # noqa: F401
from autograder.probe import run  # noqa: F401
from autograder.probe.layers import watch
from autograder.probe.noise import GivenNoise
from autograder.probe.standins import stand_ins
from coursekit.speed import keep_freed_memory


def _once() -> None:
    """Run one small step of everything; a process that has threads of its own can't be forked, so in one thread."""
    torch.set_num_threads(1)
    keep_freed_memory()
    stand_ins("GAN")
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 1, 3), nn.Flatten(), nn.Linear(64, 1)
    )
    with GivenNoise(torch.zeros(1)):
        loss, _ = watch(net, lambda: net(torch.zeros(2, 1, 8, 8)).sum())
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    loss.backward()
    optimizer.step()


_once()
