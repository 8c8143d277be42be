"""What the two players of the `gan_step` probe learn in a step, for every way in which a student's step may judge.

On the trusted side, with the players that are ours: no student code is needed to know what each mistake gives.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from autograder.probe.players import Judge, Painter, with_statistics, with_weights

FAKE, REAL = 0.0, 1.0


@dataclass(frozen=True)
class Way:
    """How D judges some images.

    Attributes:
        name: of what is not as it should be, "" where nothing is.
        weights: D's.
        kept: the statistics of its batch normalisations, where it is in evaluation mode.
    """

    name: str
    weights: np.ndarray
    kept: np.ndarray | None = None


@dataclass
class Judgement:
    """What D says of some images, and what that changes with.

    Attributes:
        way: how it judged.
        said: (n,), with its graph.
        netD, netG: whose weights are in that graph; without netG the images are taken as they are.
    """

    way: Way
    said: Tensor
    netD: nn.Module
    netG: nn.Module | None = None

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n,)."""
        return self.said.detach().numpy()

    @cached_property
    def to_D(self) -> np.ndarray:
        """(D's weights, n): the derivative of each probability."""
        return np.stack([_gradient(one, self.netD) for one in self.said], axis=1)

    @cached_property
    def to_G(self) -> np.ndarray:
        """(G's weights, n), likewise."""
        return np.stack([_gradient(one, self.netG) for one in self.said], axis=1)

    def updated_meanwhile(self, weights: np.ndarray) -> "Judgement":
        """What is left of it when D is updated before the derivatives are taken: they go through the new weights."""
        parameters = list(self.netD.parameters())
        rows = torch.from_numpy(np.asarray(weights, dtype=np.float64)).split([one.numel() for one in parameters])
        for parameter, row in zip(parameters, rows, strict=True):
            parameter.data.copy_(row.view_as(parameter))  # unseen by autograd, as Adam's fused step is
        return self

    def loss(self, label: float) -> Tensor:
        """The binary cross entropy with this label, averaged."""
        return nn.functional.binary_cross_entropy(self.said, torch.full_like(self.said, label))


def images_of(G: np.ndarray, z: np.ndarray) -> tuple[Tensor, nn.Module]:
    """What a G with these weights makes of noise, (n, 1, 32, 32) with its graph, and that G."""
    netG = with_weights(Painter(), torch.tensor(G, dtype=torch.float64))
    return netG(torch.tensor(z, dtype=torch.float64)), netG


def judge(way: Way, images: Tensor, netG: nn.Module | None = None) -> Judgement:
    """Let D judge images."""
    netD = _judge(way)
    return Judgement(way, netD(images), netD, netG)


def judge_mixed(way: Way, real: Tensor, fake: Tensor) -> tuple[Judgement, Judgement]:
    """Let D judge both halves as one batch."""
    netD = _judge(way)
    said = netD(torch.cat([real, fake]))
    return Judgement(way, said[: len(real)], netD), Judgement(way, said[len(real) :], netD)


def right_gradient_of_D(real: Judgement, fake: Judgement) -> np.ndarray:
    """What D learns from in a right step, (D's weights,)."""
    return _gradient(real.loss(REAL), real.netD) + _gradient(fake.loss(FAKE), fake.netD)


def right_gradient_of_G(fake: Judgement) -> np.ndarray:
    """What G learns from in a right step, (G's weights,), from what the updated D says."""
    return _gradient(fake.loss(REAL), fake.netG)


def _judge(way: Way) -> nn.Module:
    netD = with_weights(Judge(), torch.tensor(way.weights, dtype=torch.float64)).double()
    return netD if way.kept is None else with_statistics(netD, torch.from_numpy(way.kept))


def _gradient(value: Tensor, player: nn.Module) -> np.ndarray:
    parts = torch.autograd.grad(value, list(player.parameters()), retain_graph=True)
    return torch.cat([one.flatten() for one in parts]).numpy()
