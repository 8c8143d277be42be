"""Training steps of the student's GAN trainer, with two small players of our own, and all that can be seen of them."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .left_alone import gradients_off, modes, other_mode, other_settings, other_weights, settings, weights
from .mistakes import as_number
from .student_code import CodeStopped, Project
from .trainers import make_trainer

LATENT_DIM = 6
IMAGE_SHAPE = (1, 32, 32)
PIXELS = 32 * 32
LEARNING_RATE, BETA1 = 0.02, 0.5  # a large step, so that D's judgements before it and after it are told apart
LEFTOVER = 0.3  # what every gradient holds before the first step, as if another step had left it there
REPORTED = ("loss_D", "loss_G", "D_x", "D_G_z1", "D_G_z2")

UNDECIDED, SURE, FOOLED = 1.0, 8.0, -8.0  # what D makes of brightness: real images are bright, and fakes are dark
# Consecutive steps: the images in a batch, one alone among them, and what D thinks before.
STEPS = ((5, UNDECIDED), (3, SURE), (1, FOOLED), (4, UNDECIDED), (2, FOOLED), (5, SURE))

USED_TWICE = "backward through the graph a second time"
CHANGED_MEANWHILE = "modified by an inplace operation"
NOTHING_TO_LEARN = ("not require grad", "requires_grad=False")
OTHER_SIZES = ("Using a target size", "must match the size of tensor")
DETACH = "The backward pass of block 2 has used up G's graph: there the fakes are to be detached from G."
JUDGE_AGAIN = "Block 3 uses a judgement from before D's update: there D is to judge the fakes again."


class SmallGenerator(nn.Module):
    """Noise to images, in one layer; they are dark."""

    def __init__(self):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.layer = nn.Linear(LATENT_DIM, PIXELS)
        nn.init.constant_(self.layer.bias, -0.5)
        self.num_calls = 0

    def forward(self, z: Tensor) -> Tensor:
        """Take (batch, LATENT_DIM, 1, 1), and give images with pixels in [-1, 1]."""
        self.num_calls += 1
        return self.layer(z.flatten(start_dim=1)).tanh().unflatten(1, IMAGE_SHAPE)


class SmallDiscriminator(nn.Module):
    """Images to probabilities, with a batch normalisation, as the real one has them, and a view on brightness."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(1, 4, kernel_size=8, stride=8)
        self.norm = nn.BatchNorm2d(4)
        self.judge = nn.Linear(4 * 4 * 4, 1)
        self.brightness = nn.Parameter(torch.tensor(UNDECIDED))
        self.num_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Take images, and give (batch,)."""
        self.num_calls += 1
        hidden = nn.functional.leaky_relu(self.norm(self.look(x)), 0.2)
        score = self.judge(hidden.flatten(start_dim=1)).flatten()
        return (score + self.brightness * x.mean(dim=(1, 2, 3))).sigmoid()


@dataclass
class Step:
    """What was seen of one `Trainer.train_step`.

    Attributes:
        number: from 1.
        real, z: the real batch, and the noise of the fakes.
        netG, netD, updated_netD: the players before the step, and D after its own update.
        num_steps: how often each player was updated.
        gradient_D, gradient_G: what each player was updated with, as one long row.
        reaches_G: whether D's halves left gradients in G.
        judged_again: whether D was asked for a judgement after its update.
        not_as_found: the ends of sentences that say what the step changed besides.
        frozen: the players some of whose weights did not require a gradient any more when the step began.
        frozen_in_update: those of which that was so in their own update.
        generated: whether the step had G generate fakes besides those that it was given.
        reported: the five numbers that the step returned, by their names; none where it stopped before.
        stopped: what stopped it.
        G_is_frozen: whether some of G's weights did not require a gradient then.
    """

    number: int
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
    not_as_found: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    frozen_in_update: set[str] = field(default_factory=set)
    generated: bool = False
    reported: dict[str, float] = field(default_factory=dict)
    stopped: CodeStopped | None = None
    G_is_frozen: bool = False

    @property
    def shown(self) -> str:
        """Which step it is, in words, where it isn't the first."""
        images = "1 image" if len(self.real) == 1 else f"{len(self.real)} images"
        return "" if self.number == 1 else f", in step {self.number}, with a batch of {images},"


class Players:
    """A trainer of the student's with its two players, and hooks on both optimizers that note what an update does.

    Raises:
        CodeStopped: the trainer can't be made, or has no optimizers.
    """

    def __init__(self, gan: Project):
        self._gan = gan
        self._nets = {"G": SmallGenerator(), "D": SmallDiscriminator()}
        self._trainer = make_trainer(gan, *self._nets.values(), LEARNING_RATE, BETA1)
        with gan.running("Trainer(netG, netD, learning_rate, beta1, data, run)"):
            self._optimizers = {"G": self._trainer._optimG, "D": self._trainer._optimD}
            for player, optimizer in self._optimizers.items():
                optimizer.register_step_pre_hook(lambda *_, player=player: self._before_update(player))
                optimizer.register_step_post_hook(lambda *_, player=player: self._after_update(player))
        for net in self._nets.values():
            for parameter in net.parameters():
                parameter.grad = torch.full_like(parameter, LEFTOVER)

    def take_steps(self) -> Iterator[Step]:
        """Take one step after the other; the last one is that which stops."""
        for number, (batch, opinion) in enumerate(STEPS, start=1):
            netG, netD = self._nets.values()
            with torch.no_grad():
                netD.brightness.fill_(opinion)
            real, z = torch.rand(batch, *IMAGE_SHAPE) * 1.2 - 0.2, torch.randn(batch, LATENT_DIM, 1, 1)
            step = self._step = Step(number, real, z, _copy(netG), _copy(netD))
            self._take(step)
            yield step
            if step.stopped:
                return

    def _take(self, step: Step) -> None:
        netG, netD = self._nets.values()
        step.frozen = [player for player, net in self._nets.items() if _is_frozen(net)]
        self._weights = {player: weights(net) for player, net in self._nets.items()}
        self._settings = {player: settings(optimizer) for player, optimizer in self._optimizers.items()}
        modes_found = {player: modes(net) for player, net in self._nets.items()}
        try:
            with self._gan.running(f"Trainer.train_step{step.shown}"):
                answer = self._trainer.train_step(step.real.clone(), netG(step.z), nn.BCELoss())
            step.reported = _numbers(answer)
        except CodeStopped as stopped:
            step.stopped, step.G_is_frozen = stopped, _is_frozen(netG)
        self._look()
        if not step.stopped:  # or it may only not have come to setting it back
            for player, net in self._nets.items():
                self._note(other_mode(player, modes_found[player], modes(net)))
            self._note(gradients_off(True, torch.is_grad_enabled()))
        step.generated = netG.num_calls > step.netG.num_calls + 1
        step.judged_again = step.updated_netD is not None and netD.num_calls > step.updated_netD.num_calls

    def _before_update(self, player: str) -> None:
        self._look()
        if _is_frozen(self._nets[player]):
            self._step.frozen_in_update.add(player)
        gradient = _gradient(self._nets[player])
        if player == "G":
            self._step.gradient_G = gradient
        else:
            self._step.gradient_D = gradient
            in_G = _gradient(self._nets["G"])
            self._step.reaches_G = bool(((in_G != LEFTOVER) & (in_G != 0)).any())

    def _after_update(self, player: str) -> None:
        self._step.num_steps[player] += 1
        self._weights[player] = weights(self._nets[player])
        self._look()
        if player == "D":
            self._step.updated_netD = _copy(self._nets["D"])

    def _look(self) -> None:
        """Note what has changed since the last look, and should not have."""
        for player, optimizer in self._optimizers.items():
            if getattr(self._trainer, f"_optim{player}", None) is not optimizer:
                self._note(f"puts another optimizer in the place of {player}'s")
        for player, net in self._nets.items():
            now = weights(net)
            self._note(other_weights(player, self._weights[player], now))
            self._weights[player] = now
            self._note(other_settings(player, self._settings[player], settings(self._optimizers[player])))

    def _note(self, change: str | None) -> None:
        if change and change not in self._step.not_as_found:
            self._step.not_as_found.append(change)


def run_step(gan: Project) -> Step:
    """Let the student's trainer take its first step, and watch.

    Raises:
        CodeStopped: there is no trainer, it stops before D's update, updates D more than once, or changes what it
            should not.
    """
    return _up_to_D(next(Players(gan).take_steps()))


def run_whole_step(gan: Project) -> Step:
    """Let the student's trainer take its first step, and watch.

    Raises:
        CodeStopped: there is no trainer, or it doesn't come to the step's end as it should.
    """
    return _whole(run_step(gan))


def run_steps(gan: Project) -> list[Step]:
    """Let one trainer of the student's take all of STEPS.

    Raises:
        CodeStopped: there is no trainer, or it doesn't come to the end of one of them as it should.
    """
    return [_whole(_up_to_D(step)) for step in Players(gan).take_steps()]


def flat(tensors: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """Gradients as one long row; a missing one is all zeros."""
    pairs = zip(tensors, parameters, strict=True)
    return torch.cat([(p * 0 if t is None else t).detach().flatten().clone() for t, p in pairs])


def _up_to_D(step: Step) -> Step:
    if step.not_as_found:
        raise CodeStopped(
            f"Trainer.train_step{step.shown} {step.not_as_found[0]}. In a training step only the two optimizers change "
            "anything, and only weights (see the blocks of GAN/trainer.py)."
        )
    if step.num_steps["D"] != 1:
        raise _explained(step) if step.stopped else _wrong_number("D", step)
    return step


def _whole(step: Step) -> Step:
    if step.stopped:
        raise _explained(step)
    if step.num_steps["G"] != 1:
        raise _wrong_number("G", step)
    if not step.judged_again:
        raise CodeStopped(f"{JUDGE_AGAIN[:-1]} (see block 3 of GAN/trainer.py).")
    return step


def _copy(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_()  # whatever is frozen in the student's hands


def _gradient(net: nn.Module) -> Tensor:
    parameters = list(net.parameters())
    return flat([parameter.grad for parameter in parameters], parameters)


def _is_frozen(net: nn.Module) -> bool:
    return not all(parameter.requires_grad for parameter in net.parameters())


def _numbers(answer: object) -> dict[str, float]:
    if not isinstance(answer, (tuple, list)) or len(answer) != len(REPORTED):
        raise CodeStopped(f"Trainer.train_step should return five things: {', '.join(REPORTED)}.")
    return {name: as_number(name, value) for name, value in zip(REPORTED, answer, strict=True)}


def _wrong_number(player: str, step: Step) -> CodeStopped:
    times = step.num_steps[player]
    return CodeStopped(
        f"Trainer.train_step{step.shown} updates {player} {times} times; it should do so once, in every step alike."
    )


def _explained(step: Step) -> CodeStopped:
    """Add, to what PyTorch says, what it means in this step."""
    sentence, hint = step.stopped.sentence, ""
    if USED_TWICE in sentence:
        hint = DETACH if step.judged_again else JUDGE_AGAIN
    elif CHANGED_MEANWHILE in sentence:
        hint = JUDGE_AGAIN
    elif any(words in sentence for words in NOTHING_TO_LEARN) and step.G_is_frozen:
        hint = "G is frozen (requires_grad is False) where it is to learn."
    elif any(words in sentence for words in NOTHING_TO_LEARN) and step.frozen:
        who = " and ".join(step.frozen)
        hint = (
            f"{who} was frozen in the step before (requires_grad is False) and never freed: free it again in block 3."
        )
    elif len(step.real) == 1:
        hint = "Does a squeeze() without a dimension take the batch of a single image away too?"
    elif any(words in sentence for words in OTHER_SIZES):
        hint = f"There are to be as many labels as images in the batch, here {len(step.real)}, whatever came before."
    return CodeStopped("\n".join(filter(None, [sentence, hint])), *step.stopped.causes)
