"""What the players of the `gan_step` probe learn and report if a training step is right, and if it isn't.

On the trusted side, with the players that are ours: no student code is needed to know what each mistake gives.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from autograder.probe.players import Judge, Painter, as_row, with_weights

FAKE, REAL = 0.0, 1.0


@dataclass
class Halves:
    """D's step: the gradients and the losses of each half with each label, and D's mean judgements."""

    gradients: dict[tuple[str, float], np.ndarray]
    losses: dict[tuple[str, float], float]
    mixed: np.ndarray  # both halves judged as one batch
    smoothed: np.ndarray  # the real half with a label of 0.9
    in_evaluation: np.ndarray  # both halves judged in evaluation mode
    D_x: float
    D_G_z1: float
    to_G: np.ndarray  # what the fake half sends to G, where it isn't detached


@dataclass
class Answers:
    """G's step: gradients and losses by what G is told, and D's mean judgement of the fakes."""

    gradients: dict[str, np.ndarray]
    loss: float
    D_x: float
    D_G_z2: float


def step_of_D(inputs: dict[str, np.ndarray]) -> Halves:
    """What D's step may give, for the inputs of `gan_step`."""
    netD, netG, real, z = _players(inputs, inputs["gan_step.D"])
    fake = netG(z)
    judged = {"real": netD(real), "fake": netD(fake.detach())}
    losses = {(half, label): _loss(values, label) for half, values in judged.items() for label in (FAKE, REAL)}
    both = netD(torch.cat([real, fake.detach()]))
    mixed = _loss(both[: len(real)], REAL) + _loss(both[len(real) :], FAKE)
    smoothed = _loss(judged["real"], 0.9) + losses["fake", FAKE]
    calm, *_ = _players(inputs, inputs["gan_step.D"])
    calm.eval()
    in_evaluation = _loss(calm(real), REAL) + _loss(calm(fake.detach()), FAKE)
    return Halves(
        {key: _gradient(loss, netD) for key, loss in losses.items()},
        {key: loss.item() for key, loss in losses.items()},
        _gradient(mixed, netD),
        _gradient(smoothed, netD),
        _gradient(in_evaluation, calm),
        judged["real"].mean().item(),
        judged["fake"].mean().item(),
        _gradient(_loss(netD(fake), FAKE), netG),
    )


def step_of_G(inputs: dict[str, np.ndarray], updated_D: np.ndarray) -> Answers:
    """What G's step may give, with the D that the student's step has made, right or wrong as that may be."""
    netD, netG, real, z = _players(inputs, updated_D)
    before, *_ = _players(inputs, inputs["gan_step.D"])
    fake = netG(z)
    judged = netD(fake)
    losses = {
        "right": _loss(judged, REAL),
        "saturating": -_loss(judged, FAKE),
        "found out": _loss(judged, FAKE),
        "wrong sign": -_loss(judged, REAL),
        "before": _loss(before(fake), REAL),
        "in evaluation": _loss(_in_evaluation(inputs, updated_D)(fake), REAL),
    }
    gradients = {name: _gradient(loss, netG) for name, loss in losses.items()}
    return Answers(gradients, losses["right"].item(), netD(real).mean().item(), judged.mean().item())


def _players(inputs: dict[str, np.ndarray], weights_of_D: np.ndarray) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    netD = with_weights(Judge(), torch.from_numpy(np.asarray(weights_of_D, dtype=np.float32)))
    netG = with_weights(Painter(), torch.from_numpy(inputs["gan_step.G"]))
    return netD, netG, torch.from_numpy(inputs["gan_step.real"]), torch.from_numpy(inputs["gan_step.z"])


def _in_evaluation(inputs: dict[str, np.ndarray], weights_of_D: np.ndarray) -> nn.Module:
    """A D in evaluation mode, with the statistics that are left when it has judged the two halves of its step."""
    netD, netG, real, z = _players(inputs, inputs["gan_step.D"])
    with torch.no_grad():
        netD(real), netD(netG(z))
    return with_weights(netD, torch.from_numpy(np.asarray(weights_of_D, dtype=np.float32))).eval()


def _loss(judged: Tensor, label: float) -> Tensor:
    return nn.functional.binary_cross_entropy(judged, torch.full_like(judged, label))


def _gradient(loss: Tensor, player: nn.Module) -> np.ndarray:
    parameters = list(player.parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return as_row(list(found), player).double().numpy()


def right_gradient_of_G(inputs: dict[str, np.ndarray], updated_D: np.ndarray) -> np.ndarray:
    """G's gradient in a right step, (G's weights,), with the D that the student's step has made."""
    netD, netG, _, z = _players(inputs, updated_D)
    return _gradient(_loss(netD(netG(z)), REAL), netG)


def ways_to_G(inputs: dict[str, np.ndarray], updated_D: np.ndarray) -> np.ndarray:
    """Gradients that every loss of D's judgements of the fakes sends to G is a sum of, and what an earlier step left.

    Returns:
        (G's weights, ways): a column for each image, with D before and after its update, in both of its modes.
    """
    ways = []
    for weights_of_D in (inputs["gan_step.D"], updated_D):
        netD, netG, _, z = _players(inputs, weights_of_D)
        untouched, *_ = _players(inputs, weights_of_D)
        fake = netG(z)
        for judge in (netD, untouched.eval(), _in_evaluation(inputs, weights_of_D)):
            ways += [_gradient(one, netG) for one in judge(fake)]
    return np.stack([*ways, np.ones_like(ways[0])], axis=1)
