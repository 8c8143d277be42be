"""What the two players of the `gan_step` probe learn in a step, for every way in which a student's step may judge.

On the trusted side, with the players that are ours: no student code is needed to know what each mistake gives.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from autograder.probe.players import Judge, Painter

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
        D, G: the weights in that graph; without G's the images are taken as they are.
    """

    way: Way
    said: Tensor
    D: list[Tensor]
    G: list[Tensor] | None = None

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n,)."""
        return self.said.detach().numpy()

    @cached_property
    def to_D(self) -> np.ndarray:
        """(D's weights, n): the derivative of each probability."""
        return np.stack([_gradient(one, self.D) for one in self.said], axis=1)

    @cached_property
    def to_G(self) -> np.ndarray:
        """(G's weights, n), likewise."""
        return np.stack([_gradient(one, self.G) for one in self.said], axis=1)

    def updated_meanwhile(self, weights: np.ndarray) -> "Judgement":
        """What is left of it when D is updated before the derivatives are taken: they go through the new weights."""
        for parameter, values in zip(self.D, _weights(_JUDGE, weights), strict=True):
            parameter.data.copy_(values.data)  # unseen by autograd, as Adam's fused step is
        return self

    def loss(self, label: float) -> Tensor:
        """The binary cross entropy with this label, averaged."""
        return nn.functional.binary_cross_entropy(self.said, torch.full_like(self.said, label))


def images_of(G: np.ndarray, z: np.ndarray) -> tuple[Tensor, list[Tensor]]:
    """What a G with these weights makes of noise, (n, 1, 32, 32) with its graph, and the weights in it."""
    weights = _weights(_PAINTER, G)
    return _run(_PAINTER, weights, torch.tensor(z, dtype=torch.float64)), weights


def judge(way: Way, images: Tensor, G: list[Tensor] | None = None) -> Judgement:
    """Let D judge images."""
    weights = _weights(_JUDGE, way.weights)
    return Judgement(way, _run(_JUDGE, weights, images, way.kept), weights, G)


def judge_mixed(way: Way, real: Tensor, fake: Tensor) -> tuple[Judgement, Judgement]:
    """Let D judge both halves as one batch."""
    weights = _weights(_JUDGE, way.weights)
    said = _run(_JUDGE, weights, torch.cat([real, fake]))
    return Judgement(way, said[: len(real)], weights), Judgement(way, said[len(real) :], weights)


def right_gradient_of_D(real: Judgement, fake: Judgement) -> np.ndarray:
    """What D learns from in a right step, (D's weights,)."""
    return _gradient(real.loss(REAL), real.D) + _gradient(fake.loss(FAKE), fake.D)


def right_gradient_of_G(fake: Judgement) -> np.ndarray:
    """What G learns from in a right step, (G's weights,), from what the updated D says."""
    return _gradient(fake.loss(REAL), fake.G)


# Made once: whose weights count is said at each call.
_JUDGE, _PAINTER = Judge().double(), Painter().double()


def _weights(player: nn.Module, row: np.ndarray) -> list[Tensor]:
    """A player's weights, from one long row."""
    own = list(player.parameters())
    parts = torch.tensor(row, dtype=torch.float64).split([one.numel() for one in own])
    return [part.view_as(one).clone().requires_grad_() for part, one in zip(parts, own, strict=True)]


def _run(player: nn.Module, weights: list[Tensor], taken: Tensor, kept: np.ndarray | None = None) -> Tensor:
    """What a player gives with other weights, and with statistics that are kept in evaluation mode."""
    state = dict(zip((name for name, _ in player.named_parameters()), weights, strict=True))
    buffers = dict(player.named_buffers())
    if kept is not None:
        parts = torch.tensor(kept).split([one.numel() for one in buffers.values()])
        values = zip(parts, buffers.values(), strict=True)
        state |= dict(zip(buffers, (part.view_as(one).to(one.dtype) for part, one in values), strict=True))
    player.train(kept is None).given.clear()
    return torch.func.functional_call(player, state, taken)


def _gradient(value: Tensor, weights: list[Tensor]) -> np.ndarray:
    parts = torch.autograd.grad(value, weights, retain_graph=True)
    return torch.cat([one.flatten() for one in parts]).numpy()
