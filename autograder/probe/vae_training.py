"""What is seen of a student's training of the VAE: its two losses, and some steps."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from autograder.probe.flow import note_flow
from autograder.probe.layers import Layer, Watch, as_row, memory, watch
from autograder.probe.project import Project
from autograder.probe.record import Record, WrongAnswer, number, several
from autograder.probe.repeatable import repeatable
from autograder.probe.standins import QuietRun, stand_ins
from autograder.probe.steps import Adam, products
from autograder.probe.vae_runs import (
    GivenSample,
    carry_decoder,
    carry_encoder,
    decode,
    gradients_of,
    make_one_that_runs,
    reconstruct,
)

LOSSES = ("recon", "kl")
NEVER = 10**6  # steps between two entries of the curves, or two checkpoints
LEFTOVER = 0.3  # what every gradient holds before the first step, as if another step had left it there
TINY = 1e-3  # of the numeric derivatives of the losses, in parts of what they are of


def probe_losses(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note both losses of a batch, of each of its instances, and of each latent number; gradients; the extremes.

    Inputs: "target", "recon", "mu", "log_sigma", and "mu_of_one", "log_sigma_of_one", some more latent numbers. A loss
    that is one number for each instance is averaged here, so that it can be judged in all else.
    """
    standin = _StandIn()
    trainer = project.get("trainer", "Trainer")(standin, 1e-3, *stand_ins("VAE"))
    batch = [inputs[name] for name in ("target", "recon", "mu", "log_sigma")]

    def losses(target: Tensor, recon: Tensor, mu: Tensor, log_sigma: Tensor) -> list:
        standin.latent_dim = mu.shape[1]
        answer = trainer.loss_fn(target.clone(), recon.clone(), mu.clone(), log_sigma.clone())
        return [averaged(value, len(mu)) for value in several("Trainer.loss_fn", answer, ("recon_loss", "kl_loss"))]

    def note(name: str, pairs: list[list]) -> None:
        for what, values in zip(LOSSES, zip(*pairs, strict=True), strict=True):
            with record.part(f"{name}.{what}", project):
                record.array(f"{name}.{what}", torch.tensor([number(f"{what}_loss", value) for value in values]))

    with record.part("scalars", project):
        answer = several("Trainer.loss_fn", trainer.loss_fn(*(one.clone() for one in batch)), ("recon_loss", "kl_loss"))
        for name, value in zip(LOSSES, answer, strict=True):
            number(f"{name}_loss", value)
    with record.part("batch", project):
        note("batch", [losses(*batch), losses(*batch)])
    with record.part("single", project):
        note("single", [losses(*(values[i : i + 1] for values in batch)) for i in range(len(batch[0]))])
    for name, ending in (("apart", ""), ("of_one", "_of_one")):
        with record.part(name, project):
            ones = zip(inputs[f"mu{ending}"].flatten(), inputs[f"log_sigma{ending}"].flatten(), strict=True)
            note(name, [losses(batch[0][:1], batch[1][:1], mu.view(1, 1), log.view(1, 1)) for mu, log in ones])
    with record.part("gradients", project):
        leaves = [values.clone().requires_grad_() for values in batch[1:]]
        pair = losses(batch[0], *leaves)
        for name, loss in zip(LOSSES, pair, strict=True):
            for of, gradient in zip(("recon", "mu", "log_sigma"), gradients_of(loss, leaves), strict=True):
                record.array(f"gradient.{name}.{of}", gradient)
    with record.part("numeric", project):
        note_derivatives(record, losses, batch)
    with record.part("ends", project):
        ends = inputs["target"].round()
        note("ends", [losses(ends, ends, *batch[2:]), losses(ends, 1 - ends, *batch[2:])])


def averaged(value: object, batch: int) -> object:
    """A loss; where it is one number for each of several instances, their average."""
    is_vector = isinstance(value, Tensor) and value.numel() == batch > 1
    return value.mean() if is_vector else value


def note_derivatives(record: Record, losses: Callable[..., list], batch: list[Tensor]) -> None:
    """Note how the losses change along the directions of the inputs themselves.

    In double precision, unless the student's code can't run in it.
    """
    with suppress(Exception):
        _note_derivatives(record, losses, [values.double() for values in batch])
        return
    _note_derivatives(record, losses, batch)


def _note_derivatives(record: Record, losses: Callable[..., list], batch: list[Tensor]) -> None:
    target, *rest = batch
    for index, of in enumerate(("recon", "mu", "log_sigma")):
        moved = []
        for sign in (1, -1):
            values = list(rest)
            values[index] = rest[index] * (1 + sign * TINY)
            with repeatable():
                moved.append([float(loss) for loss in losses(target, *values)])
        for name, plus, minus in zip(LOSSES, *moved, strict=True):
            record.array(f"numeric.{name}.{of}", torch.tensor([(plus - minus) / (2 * TINY)], dtype=torch.float64))


class _StandIn(nn.Module):
    """In the place of the model, which no loss needs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.latent_dim = 1


def probe_step(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note how forward's answers depend on the weights, and some steps of Trainer.train with batches of several sizes.

    Of each step: what the optimizer is given, against the gradients of the two losses that the step computed and what
    an earlier step left; and what it changes, against what Adam would. As sums of products, of the encoder's weights
    and of the decoder's.

    Inputs: "x", "noise", "batches", the sizes, "learning_rate", "seed", and "weight.Enc-1" to "weight.Dec-6", which are
    carried into the model where it is the table's; else weights of its own shapes are drawn.
    """
    x = inputs["x"]
    model, latent_dim = make_one_that_runs(project, x, len(inputs["weight.Dec-1"]))
    noise = inputs["noise"][:, :latent_dim]
    layers: dict[str, list[Layer]] = {}
    with record.part("carry", project):
        layers = carry_encoder(model.eval(), inputs) | carry_decoder(model, inputs)
        record.fact("carried", True)
    model.train()
    if not layers:
        with record.part("draw", project), GivenSample(model, None), Watch(model, int(inputs["seed"])):
            reconstruct(model, x)
    in_decoder: set[int] = set()
    with record.part("decoder", project):
        _, ran = watch(model, lambda: decode(model, noise[:2]))
        in_decoder = {memory(one) for layer in ran for one in (layer.weight, layer.bias) if one is not None}
    with record.part("flow", project):
        _note_flow(record, model, x[:2], noise, [memory(one) in in_decoder for one in model.parameters()])
    run = _FewSteps(x, inputs["batches"].tolist())
    trainer = project.get("trainer", "Trainer")(model, float(inputs["learning_rate"]), stand_ins("VAE")[0], run)
    seen = SeenSteps(record, run, model, in_decoder, float(inputs["learning_rate"]), layers)
    try:
        with seen.watching(trainer):
            trainer.train(len(run.sizes) + 1, NEVER, NEVER)
    except (Exception, SystemExit) as error:
        record.failed(f"step.{run.number}", project, error)
    record.array("updates", torch.tensor(run.updates))
    record.array("modes", torch.tensor(run.modes))


def _note_flow(record: Record, model: nn.Module, x: Tensor, noise: Tensor, in_decoder: Sequence[bool]) -> None:
    """Note whether gradients flow as numbers do: in double precision, unless the student's code can't run in it."""
    for is_double in (True, False):
        with suppress(Exception) if is_double else nullcontext():
            precise = copy.deepcopy(model).double() if is_double else model
            images = x.double() if is_double else x
            with GivenSample(precise, noise) as sampled:
                note_flow(record, precise, partial(_run_again, precise, images, sampled), in_decoder)
            return


def _run_again(model: nn.Module, x: Tensor, sampled: "GivenSample") -> tuple[Tensor, Tensor, Tensor]:
    sampled.calls.clear()
    return reconstruct(model, x)


class SeenSteps:
    """What the optimizer is given and what it changes in each step, against what it should be.

    Args:
        run: counts the steps.
        model: whose weights they are.
        in_decoder: where the numbers of the decoder's weights lie.
        learning_rate: Adam's.
        layers: of each row of the table, where weights were carried into them.
    """

    def __init__(
        self,
        record: Record,
        run: "_FewSteps",
        model: nn.Module,
        in_decoder: set[int],
        learning_rate: float,
        layers: dict[str, list[Layer]],
    ):
        self._record, self._run, self._model, self._layers = record, run, model, layers
        self._parameters = list(model.parameters())
        self._halves = [[(memory(one) in in_decoder) == half for one in self._parameters] for half in (False, True)]
        self._adam = Adam(learning_rate)
        self._of_losses: list[list[Tensor]] = []
        self._left = [torch.full_like(one, LEFTOVER) for one in self._parameters]
        self._before: list[Tensor] = []
        self._expected: list[Tensor] = []

    @contextmanager
    def watching(self, trainer: object) -> Iterator[None]:
        """Watch all steps that are made in the block."""
        for parameter, left in zip(self._parameters, self._left, strict=True):
            parameter.grad = left.clone()
        self._watch_losses(trainer)
        if self._layers:
            self._watch_first_forward()
        hooks = (
            register_optimizer_step_pre_hook(self._before_update),
            register_optimizer_step_post_hook(self._after_update),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _watch_losses(self, trainer: object) -> None:
        loss_fn = trainer.loss_fn

        def noted(*args: object, **kwargs: object) -> object:
            answer = loss_fn(*args, **kwargs)
            losses = several("Trainer.loss_fn", answer, ("recon_loss", "kl_loss"))
            batch = self._run.sizes[self._run.number - 1]
            means = [averaged(loss, batch) for loss in losses]
            self._of_losses = [gradients_of(loss, self._parameters) for loss in means]
            # A loss of the wrong shape is no matter of the step.
            return answer if all(one is mean for one, mean in zip(losses, means, strict=True)) else tuple(means)

        trainer.loss_fn = noted

    def _watch_first_forward(self) -> None:
        forward = self._model.forward
        first = self._layers["Dec-1"][0].key

        def noted(*args: object, **kwargs: object) -> object:
            del self._model.forward
            with Watch(self._model) as seen:
                answer = forward(*args, **kwargs)
            taken = next((layer.taken for layer in seen.layers if layer.key == first), None)
            if taken is not None:
                self._record.array("decoded", taken)
            return answer

        self._model.forward = noted

    def _before_update(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        self._run.updates[self._run.number - 1] += 1
        if self._run.updates[self._run.number - 1] > 1:
            return
        if not self._of_losses:
            raise WrongAnswer("Trainer.train makes a step without Trainer.loss_fn")
        given = [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in self._parameters]
        table = products([given, *self._of_losses, self._left], self._halves)
        self._record.array(f"loop.{self._run.number}", table)
        if self._layers and self._run.number == 1:
            self._note_rows(given)
        self._expected, self._left, self._of_losses = self._adam.change(given), given, []
        self._before = [one.detach().clone() for one in self._parameters]

    def _after_update(self, *_: object) -> None:
        if self._run.updates[self._run.number - 1] == 1:
            changes = [one.detach() - before for one, before in zip(self._parameters, self._before, strict=True)]
            self._record.array(f"update.{self._run.number}", products([changes, self._expected], self._halves))

    def _note_rows(self, gradients: list[Tensor]) -> None:
        by_key = {}
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            by_key[memory(parameter)] = torch.zeros_like(parameter).copy_(gradient)  # lying as the weights do
        for row, parts in self._layers.items():
            self._record.array(f"gradient.{row}", torch.cat([as_row(part, by_key[part.key]) for part in parts]))


class _FewSteps(QuietRun):
    """In the place of the run: a few batches of several sizes, and no files.

    Attributes:
        number: of the step that is being made, from 1.
        updates: how often the optimizer was used in each step so far.
        modes: whether the model was in training mode after each.
    """

    def __init__(self, images: Tensor, sizes: Sequence[int]):
        super().__init__("VAE")
        self.sizes = list(sizes)
        self.number = 0
        self.updates: list[int] = [0] * len(sizes)
        self.modes: list[float] = [0.0] * len(sizes)
        self._images = images
        self._model: nn.Module | None = None

    def track(self, **parts: object) -> None:
        """Nothing is saved, but the model is known."""
        self._model = parts.get("model")

    def steps(self, batches: object, num_steps: int, saving_steps: int) -> Iterator[tuple[int, Tensor]]:
        """The steps, on the first of the images."""
        for step, size in enumerate(self.sizes, 1):
            self.number = step
            yield step, self._images[:size].clone()
            self.modes[self.number - 1] = float(getattr(self._model, "training", True))

    def log_scalars(self, step: int, values: object) -> None:
        """No curves."""
