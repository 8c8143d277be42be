"""One training step of the student's GAN trainer, with two small players of our own, and all that can be seen of it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .mistakes import as_number
from .student_code import CodeStopped, Project

BATCH, LATENT_DIM = 5, 6
IMAGE_SHAPE = (1, 32, 32)
PIXELS = 32 * 32
LEARNING_RATE, BETA1 = 0.02, 0.5  # a large step, so that D's judgements before it and after it are told apart
LEFTOVER = 0.3  # what every gradient holds before the step, as if another step had left it there
REPORTED = ("loss_D", "loss_G", "D_x", "D_G_z1", "D_G_z2")

USED_TWICE = "backward through the graph a second time"
CHANGED_MEANWHILE = "modified by an inplace operation"
DETACH = "The backward pass of block 2 has used up G's graph: there the fakes are to be detached from G."
JUDGE_AGAIN = "Block 3 uses a judgement from before D's update: there D is to judge the fakes again."


class SmallGenerator(nn.Module):
    """Noise to images, in one layer."""

    def __init__(self):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.layer = nn.Linear(LATENT_DIM, PIXELS)

    def forward(self, z: Tensor) -> Tensor:
        """Take (batch, LATENT_DIM, 1, 1), and give images with pixels in [-1, 1]."""
        return self.layer(z.flatten(start_dim=1)).tanh().unflatten(1, IMAGE_SHAPE)


class SmallDiscriminator(nn.Module):
    """Images to probabilities, with a batch normalisation, as the real one has them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(PIXELS, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 1)
        self.num_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Take images, and give (batch,)."""
        self.num_calls += 1
        hidden = nn.functional.leaky_relu(self.norm(self.first(x.flatten(start_dim=1))), 0.2)
        return self.last(hidden).sigmoid().flatten()


@dataclass
class Step:
    """What was seen of one `Trainer.train_step`.

    Attributes:
        real, z: the real batch, and the noise of the fakes.
        netG, netD, updated_netD: the players before the step, and D after its own update.
        num_steps: how often each player was updated.
        gradient_D, gradient_G: what each player was updated with, as one long row.
        reaches_G: whether D's halves left gradients in G.
        judged_again: whether D was asked for a judgement after its update.
        reported: the five numbers that the step returned, by their names; none where it stopped before.
        stopped: what stopped it.
    """

    real: Tensor
    z: Tensor
    netG: SmallGenerator
    netD: SmallDiscriminator
    updated_netD: SmallDiscriminator | None = None  # run_step returns no step without it
    num_steps: dict[str, int] = field(default_factory=lambda: {"D": 0, "G": 0})
    gradient_D: Tensor | None = None
    gradient_G: Tensor | None = None
    reaches_G: bool = False
    judged_again: bool = False
    reported: dict[str, float] = field(default_factory=dict)
    stopped: CodeStopped | None = None


def run_step(gan: Project) -> Step:
    """Let the student's trainer take one step, and watch.

    Raises:
        CodeStopped: there is no trainer, it stops before D's update, or it updates D more than once.
    """
    netG, netD = SmallGenerator(), SmallDiscriminator()
    real = torch.rand(BATCH, *IMAGE_SHAPE) * 2 - 1
    z = torch.randn(BATCH, LATENT_DIM, 1, 1)
    step = Step(real, z, copy.deepcopy(netG), copy.deepcopy(netD))
    trainer_class = gan.get("trainer.py", "Trainer")
    with gan.running("Trainer(netG, netD, learning_rate, beta1)"):
        trainer = trainer_class(netG, netD, LEARNING_RATE, BETA1)
        _watch(trainer._optimD, trainer._optimG, netD, netG, step)
    for parameter in (*netG.parameters(), *netD.parameters()):
        parameter.grad = torch.full_like(parameter, LEFTOVER)
    try:
        with gan.running("Trainer.train_step"):
            answer = trainer.train_step(real, netG(z), nn.BCELoss())
        step.reported = _numbers(answer)
    except CodeStopped as stopped:
        step.stopped = stopped
    if step.num_steps["D"] != 1:
        raise step.stopped or _wrong_number("D", step.num_steps["D"])
    step.judged_again = netD.num_calls > step.updated_netD.num_calls
    return step


def run_whole_step(gan: Project) -> Step:
    """Let the student's trainer take one step, and watch.

    Raises:
        CodeStopped: there is no trainer, or it stops before the end of the step.
    """
    step = run_step(gan)
    if step.stopped:
        raise _explained(step)
    if not step.judged_again:
        raise CodeStopped(f"{JUDGE_AGAIN[:-1]} (see block 3 of GAN/trainer.py).")
    if step.num_steps["G"] != 1:
        raise _wrong_number("G", step.num_steps["G"])
    return step


def flat(tensors: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """Gradients as one long row; a missing one is all zeros."""
    pairs = zip(tensors, parameters, strict=True)
    return torch.cat([(p * 0 if t is None else t).detach().flatten().clone() for t, p in pairs])


def _watch(optimD, optimG, netD: SmallDiscriminator, netG: SmallGenerator, step: Step) -> None:
    def gradients(player: nn.Module) -> Tensor:
        parameters = list(player.parameters())
        return flat([parameter.grad for parameter in parameters], parameters)

    def before_D(*_) -> None:
        step.gradient_D = gradients(netD)
        in_G = gradients(netG)
        step.reaches_G = bool(((in_G != LEFTOVER) & (in_G != 0)).any())

    def after_D(*_) -> None:
        step.num_steps["D"] += 1
        step.updated_netD = copy.deepcopy(netD)

    def before_G(*_) -> None:
        step.num_steps["G"] += 1
        step.gradient_G = gradients(netG)

    optimD.register_step_pre_hook(before_D)
    optimD.register_step_post_hook(after_D)
    optimG.register_step_pre_hook(before_G)


def _numbers(answer: object) -> dict[str, float]:
    if not isinstance(answer, (tuple, list)) or len(answer) != len(REPORTED):
        raise CodeStopped(f"Trainer.train_step should return five things: {', '.join(REPORTED)}.")
    return {name: as_number(name, value) for name, value in zip(REPORTED, answer, strict=True)}


def _wrong_number(player: str, times: int) -> CodeStopped:
    return CodeStopped(f"In a training step {player} is updated {times} times, and should be once (see train_step).")


def _explained(step: Step) -> CodeStopped:
    """Add, to what PyTorch says of a graph, what it means in this step."""
    hint = ""
    if USED_TWICE in step.stopped.sentence:
        hint = DETACH if step.judged_again else JUDGE_AGAIN
    elif CHANGED_MEANWHILE in step.stopped.sentence:
        hint = JUDGE_AGAIN
    return CodeStopped("\n".join(filter(None, [step.stopped.sentence, hint])), *step.stopped.causes)
