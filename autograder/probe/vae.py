"""What is seen of a student's VAE."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from autograder.probe.flow import note_flow
from autograder.probe.kept import what_is_kept
from autograder.probe.layers import (
    ALL_KINDS,
    CONNECTED,
    Layer,
    NotCarried,
    Watch,
    as_row,
    carry,
    memory,
    note_layers,
    watch,
)
from autograder.probe.plans import PLANS
from autograder.probe.project import Project
from autograder.probe.record import Record, WrongAnswer, number, several, tensor
from autograder.probe.repeatable import repeatable
from autograder.probe.standins import QuietRun, stand_ins
from autograder.probe.steps import Adam, products

ANSWERS = ("recon_x", "mu", "log_sigma")
LOSSES = ("recon", "kl")
NEVER = 10**6  # steps between two entries of the curves, or two checkpoints
FAR = 100.0  # how far out in the prior some z lie, so that pixels come close to 0 and to 1
MOST_CALLS = 3  # of reparameterize in one forward(x) that are noted
FEW = 6  # instances, where each of them is compared with what it should be
LEFTOVER = 0.3  # what every gradient holds before the first step, as if another step had left it there


def probe_layers(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note the layers that forward(x) and forward(z=z) run, for every pair of num_channels and latent_dim.

    Inputs: "settings", (runs, 2), and "seed" of the layers' weights. The first run's arrays are noted too, and those of
    the second's connected layers, which latent_dim changes. In the place of reparameterize stands what gives mu:
    block 2 is no matter of the layers.
    """
    seed = int(inputs["seed"])
    for run, (channels, latent_dim) in enumerate(inputs["settings"].tolist()):
        with record.part(f"{run}.make", project):
            model = project.get("model", "VAE")(channels, latent_dim)
            if run == 0:
                with record.part("kept", project):
                    record.fact("kept", what_is_kept(project, model))
            x, z = torch.rand(2, channels, 32, 32), torch.randn(2, latent_dim)
            z[1] *= FAR
            kinds = (ALL_KINDS, (CONNECTED,), ())[min(run, 2)]
            _note_run(project, record, f"{run}.x", lambda model=model, x=x: _reconstruct(model, x), kinds, model, seed)
            _note_run(project, record, f"{run}.z", lambda model=model, z=z: _decode(model, z), kinds, model, seed)
            if run == 0:
                record.array("0.x.x", x)


def probe_forward(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note what both branches of forward give with the weights that are given.

    Inputs: "x", "z", "noise", and "weight.Enc-1" to "weight.Dec-6". In the place of reparameterize stands ours; where
    forward(x) does not ask for it, the noise is seen in what is decoded, of many images.
    """
    x = inputs["x"]
    model, latent_dim = _make_one_that_runs(project, x, len(inputs["weight.Dec-1"]))
    z, noise = (inputs[name][:, :latent_dim] for name in ("z", "noise"))
    # Each for itself: a wrong encoder costs the decoder nothing.
    for half, carry_half in (("decoder", _carry_decoder), ("encoder", _carry_encoder)):
        with record.part(f"carry.{half}", project):
            carry_half(model.eval(), inputs)
            record.fact(f"carry.{half}", True)
    keys = set()
    for mode in ("train", "eval"):
        model.train(mode == "train")
        with record.part(f"{mode}.z", project):
            images, layers = watch(model, lambda: _decode(model, z))
            record.array(f"{mode}.images", images)
            if layers:
                record.array(f"{mode}.z_taken", layers[0].taken)
            keys = {layer.key for layer in layers}
        with record.part(f"{mode}.one", project):
            _decode(model, z[:1])
        with record.part(f"{mode}.x", project), GivenSample(model, noise) as sampled:
            (recon, mu, log_sigma), layers = watch(model, lambda: _reconstruct(model, x[:FEW]))
            for name, values in zip(ANSWERS, (recon, mu, log_sigma), strict=True):
                record.array(f"{mode}.{name}", values)
            for number_of_call, call in enumerate(sampled.calls[:MOST_CALLS]):
                for name, values in zip(("mu", "log_sigma", "z"), call, strict=True):
                    record.array(f"{mode}.call.{number_of_call}.{name}", values)
            decoded = _decoded(layers, keys, mu)
            if decoded is not None:
                record.array(f"{mode}.decoded", decoded)
                with record.part(f"{mode}.again", project):
                    record.array(f"{mode}.again", _decode(model, decoded))
            if not sampled.calls:
                (_, mu, log_sigma), layers = watch(model, lambda: _reconstruct(model, x))
                decoded = _decoded(layers, keys, mu)
                if decoded is not None:
                    for name, values in {"mu": mu, "log_sigma": log_sigma, "decoded": decoded}.items():
                        record.array(f"{mode}.many.{name}", values)


def _make_one_that_runs(project: Project, x: Tensor, latent_dim: int) -> tuple[nn.Module, int]:
    """Make a VAE with this latent_dim, or with the default one where it runs with no other: that is told elsewhere.

    Returns:
        the model, and its latent_dim.
    """
    make = project.get("model", "VAE")
    for size in (latent_dim, PLANS["VAE"].latent_dim):
        with suppress(Exception):
            model = make(x.shape[1], size)
            with GivenSample(model, None):
                _reconstruct(model, x[:2])
            _decode(model, torch.zeros(2, size))
            return make(x.shape[1], size), size
    return make(x.shape[1], latent_dim), latent_dim


def _decoded(layers: Sequence[Layer], keys: set[int], mu: Tensor) -> Tensor | None:
    """What the decoder was given; where forward(z=z) does not run, its first layer is known by what it takes."""
    decoders = [layer for layer in layers if layer.key in keys] or layers
    return next((layer.taken for layer in decoders if layer.taken.shape == mu.shape), None)


def probe_reparameterize(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note many samples of few posteriors, samples of two calls in a row, and the gradients of z.

    Inputs: "mu" and "log_sigma", (latent_dim,), and "draws", the number of samples.
    """
    mu, log_sigma = inputs["mu"], inputs["log_sigma"]
    model = project.get("model", "VAE")(1, len(mu))

    def sample(mu: Tensor, log_sigma: Tensor) -> Tensor:
        z = model.reparameterize(mu, log_sigma)
        return tensor("what VAE.reparameterize returns", z, tuple(mu.shape))

    with record.part("samples", project):
        draws = int(inputs["draws"])
        record.array("samples", sample(mu.repeat(draws, 1), log_sigma.repeat(draws, 1)))
    few = mu.repeat(3, 1), log_sigma.repeat(3, 1)
    with record.part("one", project):
        sample(*(values[:1].clone() for values in few))
    with record.part("in_place", project):
        given = [values.clone() for values in few]
        sample(*given)
        record.array("in_place.mu", given[0])
        record.array("in_place.log_sigma", given[1])
    for mode in ("train", "eval"):
        model.train(mode == "train")
        with record.part(f"{mode}.calls", project):
            calls = [sample(*(values.clone() for values in few)) for _ in range(2)]
            record.array(f"{mode}.calls", torch.stack(calls))
    model.train()
    with record.part("gradients", project):
        leaves = [values.clone().requires_grad_() for values in few]
        with repeatable():
            z = sample(*(leaf.clone() for leaf in leaves))  # it may change them in place
        record.array("z", z)
        for name, gradient in zip(("mu", "log_sigma"), _gradients(z.sum(), leaves), strict=True):
            record.array(f"gradient.{name}", gradient)
        for index, name in enumerate(("mu", "log_sigma")):
            moved = []
            for sign in (1, -1):
                values = [one.clone() for one in few]
                values[index] += sign * STEP
                with repeatable():
                    moved.append(sample(*values).double())
            record.array(f"numeric.{name}", (moved[0] - moved[1]) / (2 * STEP))


STEP = 1e-2  # of the numeric derivatives in single precision


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
            for of, gradient in zip(("recon", "mu", "log_sigma"), _gradients(loss, leaves), strict=True):
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
    """Note how the losses change along the directions of the inputs themselves, in double precision."""
    target, *rest = (values.double() for values in batch)
    for index, of in enumerate(("recon", "mu", "log_sigma")):
        moved = []
        for sign in (1, -1):
            values = list(rest)
            values[index] = rest[index] * (1 + sign * TINY)
            with repeatable():
                moved.append([float(loss) for loss in losses(target, *values)])
        for name, plus, minus in zip(LOSSES, *moved, strict=True):
            record.array(f"numeric.{name}.{of}", torch.tensor([(plus - minus) / (2 * TINY)], dtype=torch.float64))


TINY = 1e-6


def probe_step(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note how forward's answers depend on the weights, and some steps of Trainer.train with batches of several sizes.

    Of each step: what the optimizer is given, against the gradients of the two losses that the step computed and what
    an earlier step left; and what it changes, against what Adam would. As sums of products, of the encoder's weights
    and of the decoder's.

    Inputs: "x", "noise", "batches", the sizes, "learning_rate", "seed", and "weight.Enc-1" to "weight.Dec-6", which are
    carried into the model where it is the table's; else weights of its own shapes are drawn.
    """
    x = inputs["x"]
    model, latent_dim = _make_one_that_runs(project, x, len(inputs["weight.Dec-1"]))
    noise = inputs["noise"][:, :latent_dim]
    layers: dict[str, list[Layer]] = {}
    with record.part("carry", project):
        layers = _carry_encoder(model.eval(), inputs) | _carry_decoder(model, inputs)
        record.fact("carried", True)
    model.train()
    if not layers:
        with record.part("draw", project), GivenSample(model, None), Watch(model, int(inputs["seed"])):
            _reconstruct(model, x)
    in_decoder: set[int] = set()
    with record.part("decoder", project):
        _, ran = watch(model, lambda: _decode(model, noise[:2]))
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
    return _reconstruct(model, x)


class GivenSample:
    """Inside `with GivenSample(model, noise) as sampled`, model.reparameterize gives a z of ours.

    Args:
        noise: (instances, latent_dim), standard normal numbers; None for a z that is mu, of the last instance far out.

    Attributes:
        calls: what it was given, mu and log sigma, and the z that it gave.
        first_asked: what `when_asked` gave at the first call; None before.
    """

    def __init__(self, model: nn.Module, noise: Tensor | None):
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []
        self._model = model
        self._noise = noise
        self.when_asked: Callable[[], int] = lambda: 0
        self.first_asked: int | None = None

    def __enter__(self) -> "GivenSample":
        """Take reparameterize's place."""
        self._model.reparameterize = self._draw
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        del self._model.reparameterize

    def _draw(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        if self.first_asked is None:
            self.first_asked = self.when_asked()
        for name, values in (("μ", mu), ("log σ", log_sigma)):
            if not isinstance(values, Tensor) or values.dim() != 2 or values.shape[1] != self._model.latent_dim:
                shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise WrongAnswer(f"forward(x) gives reparameterize a {name} of shape {shape}, not (batch, latent_dim)")
        if self._noise is None:
            z = torch.cat([mu[:-1], FAR * mu[-1:]])
        else:
            z = mu + log_sigma.exp() * self._noise.roll(len(self.calls), 0)[: len(mu)]  # other noise at every call
        self.calls.append((mu, log_sigma, z))
        return z


class _StandIn(nn.Module):
    """In the place of the model, which no loss needs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.latent_dim = 1


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
            self._of_losses = [_gradients(loss, self._parameters) for loss in means]
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


def _note_run(
    project: Project, record: Record, name: str, run, kinds: Sequence[str], model: nn.Module, seed: int
) -> None:
    """Run one branch of forward, and note its layers whether or not it comes to its end."""
    seen = Watch(model, seed)
    with GivenSample(model, None) as sampled, record.part(name, project), seen:
        sampled.when_asked = lambda: len(seen.layers)
        answer = run()
        if kinds == ALL_KINDS:
            names = ANSWERS if name.endswith(".x") else ("images",)
            for what, values in zip(names, answer if isinstance(answer, tuple) else (answer,), strict=True):
                record.array(f"{name}.{what}", values)
    note_layers(record, name, seen.layers, kinds)
    record.fact(f"{name}.sampled_at", sampled.first_asked)
    if kinds == ALL_KINDS:
        record.array(f"{name}.idle", _idle(model, seen.layers))


def _idle(model: nn.Module, layers: Sequence[Layer]) -> Tensor:
    """The shapes of weights that did not run, (number, 4); those of vectors and of what has more sizes are left out."""
    ran = {layer.key for layer in layers}
    shapes = [tuple(one.shape) for one in model.parameters() if memory(one) not in ran and one.dim() in (2, 4)]
    return torch.tensor([[*shape, 1, 1][:4] for shape in shapes], dtype=torch.float64).reshape(-1, 4)


def _reconstruct(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    answer = several("VAE.forward(x)", model(x.clone()), ANSWERS)
    codes = (len(x), model.latent_dim)
    for name, value, shape in zip(ANSWERS, answer, (tuple(x.shape), codes, codes), strict=True):
        tensor(f"{name} of VAE.forward(x)", value, shape)
    return answer


def _decode(model: nn.Module, z: Tensor) -> Tensor:
    images = model(z=z.clone())
    if isinstance(images, Tensor) and images.dim() == 4:
        return tensor("what VAE.forward(z=z) returns", images, (len(z), images.shape[1], 32, 32))
    return tensor("what VAE.forward(z=z) returns", images, (len(z), 1, 32, 32))


def _carry_decoder(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, list[Layer]]:
    """Carry the given weights into the decoder; returns the one layer of every row."""
    rows = _rows(inputs, "Dec-")
    with GivenSample(model, None):
        _, ran = watch(model, lambda: _decode(model, torch.randn(2, len(rows["Dec-1"]))))
    if len(ran) != len(rows):
        raise NotCarried(f"{len(ran)} layers ran in the decoder, where there are weights for {len(rows)}")
    carry(model, ran, [{"weight": weight} for weight in rows.values()])
    return {row: [layer] for row, layer in zip(rows, ran, strict=True)}


def _carry_encoder(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, list[Layer]]:
    """Carry the given weights into the encoder; returns the layers of every row, two where Enc-6 has two heads."""
    rows = _rows(inputs, "Enc-")
    with GivenSample(model, None):
        (_, mu, _), ran = watch(model, lambda: _reconstruct(model, torch.rand(2, rows["Enc-1"].shape[1], 32, 32)))
    _, decoder = watch(model, lambda: _decode(model, torch.randn(2, mu.shape[1])))
    keys = {layer.key for layer in decoder}
    *first, last = rows
    encoder = [layer for layer in ran if layer.key not in keys]
    heads = encoder[len(first) :]
    if len(heads) not in (1, 2):
        raise NotCarried(f"{len(encoder)} layers ran in the encoder, where there are weights for {len(rows)}")
    if len(heads) == 2 and torch.equal(heads[1].given, mu):
        heads.reverse()
    layers = {row: [layer] for row, layer in zip(first, encoder, strict=False)} | {last: heads}
    for row, parts in layers.items():
        carry(model, parts, [{"weight": half} for half in rows[row].chunk(len(parts))])
    return layers


def _rows(inputs: dict[str, Tensor], half: str) -> dict[str, Tensor]:
    """The given weights by their rows."""
    names = {key: key.removeprefix("weight.") for key in inputs}
    return {name: inputs[key] for key, name in names.items() if key != name and name.startswith(half)}


def _gradients(output: object, leaves: list[Tensor]) -> list[Tensor]:
    """The gradients of an output, zeros where none reaches."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(output.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True))
