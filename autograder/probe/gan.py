"""What is seen of a student's GAN."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from traceback import walk_tb

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from autograder.probe.kept import what_is_kept
from autograder.probe.layers import ALL_KINDS, Watch, carry, is_in_mode, note_layers, sizes_of, watch
from autograder.probe.players import REPORTED, WIDE, Judge, Painter, widened
from autograder.probe.project import Project
from autograder.probe.record import Record, number, several, tensor
from autograder.probe.standins import stand_ins

NUM_PIXELS = 200  # of an image, where so many tell it from another
MOST_UPDATES = 4  # of one player in one step that are noted


def probe_generator(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note the generator's layers for some sizes, and its images with its own weights and with those that are given.

    Inputs: "settings", (runs, 3): num_channels, latent_dim, hidden_dim; "seed" of the layers' weights; "z_train",
    "z_eval", "size"; "weight.0" and so on, and for a batch normalisation "bias.0" too, in the order in which the layers
    run. The first two runs' arrays are noted.
    """
    settings = inputs["settings"].tolist()
    for run, sizes in enumerate(settings):
        with record.part(f"{run}.make", project):
            model = _make(project, record, sizes)
            if run == 0:
                with record.part("kept", project):
                    record.fact("kept", what_is_kept(project, model))
            seen = Watch(model, int(inputs["seed"]))
            with record.part(f"{run}.z", project), seen:
                images = _generate(model, torch.randn(4, sizes[1], 1, 1), sizes[0])
                if run == 0:
                    record.array(f"{run}.z.images", images)
            note_layers(record, f"{run}.z", seen.layers, ALL_KINDS if run < 2 else ())
    for sizes in settings[1::-1]:  # the first two: the smaller one, or where that can't be had main.py's
        if _note_own(project, record, sizes):
            break
    with record.part("carry", project):
        z_train, z_eval = inputs["z_train"], inputs["z_eval"]
        channels, latent_dim, hidden_dim = inputs["size"].tolist()
        model = _make(project, record, (channels, latent_dim, hidden_dim)).eval()
        _, layers = watch(model, lambda: _generate(model, z_train, channels))
        rows = []
        while f"weight.{len(rows)}" in inputs:
            parts = {part: inputs.get(f"{part}.{len(rows)}") for part in ("weight", "bias")}
            rows.append({part: values for part, values in parts.items() if values is not None})
        carry(model, layers, rows)
        record.fact("carried", True)
        record.array("train", _generate(model.train(), z_train, channels))
        record.array("eval", _generate(model.eval(), z_eval, channels))


def _make(project: Project, record: Record, sizes: Sequence[int]) -> nn.Module:
    """A generator of the student's; one whose layers the given weights_init can't set keeps PyTorch's weights."""
    make = project.get("model", "Generator")
    with record.part("make", project):
        return make(*sizes)
    sys.modules["model"].weights_init = nn.Identity()
    return make(*sizes)


def _note_own(project: Project, record: Record, sizes: Sequence[int]) -> bool:
    """Note what a generator makes of three z, with its own weights, and of the first two of them, in both modes.

    Returns:
        whether it runs.
    """
    has_run = False
    with record.part("own", project):
        model, z = _make(project, record, sizes), torch.randn(3, sizes[1], 1, 1)
        _, layers = watch(model, lambda: model(z.clone()))
        found, modes = {}, {}
        for mode, images in (("train", z), ("again", z), ("train_part", z[:2]), ("eval", z), ("eval_part", z[:2])):
            model.train(not mode.startswith("eval"))
            found[mode] = model(images.clone()).flatten(1)[:2, :NUM_PIXELS]
            modes[mode] = is_in_mode(model, not mode.startswith("eval"))
        for mode, images in found.items():
            record.array(f"own.{mode}", images)
        sizes = sizes_of(model)
        has_own = [sizes.get(layer.key) == layer.weight.numel() for layer in layers if layer.weight is not None]
        record.fact("own.weights", all(has_own))
        record.fact("own.modes", {mode: modes[mode] for mode in ("train", "eval")})
        record.array("own.z", z[:, :5, 0, 0])
        record.array("own.taken", layers[0].taken.flatten(1)[:, :5])
        has_run = True
    return has_run


def probe_step(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note some steps that one Trainer makes: gradients, weights before and after, and what it returns.

    Where the very first step stops, steps of as many images as main.py has in a batch are tried.

    Inputs: for each step "real.N" and "z.N", and its row of "D" and "G" (the players' weights); "learning_rate",
    "beta1", and "leftover", what every gradient holds beforehand, as if another step had left it there.
    """
    if not _play(project, inputs, record, ""):
        _play(project, inputs, record, WIDE)


def _play(project: Project, inputs: dict[str, Tensor], record: Record, form: str) -> bool:
    """Make all the steps, from weights that are given; returns whether the first one came to its end.

    One that stops is tried once more with the players put right, and then with a Trainer of its own. Where putting
    them right has helped once it is done beforehand, so that what changes from call to call is still seen.
    """
    game, leaves_players_wrong = _Game(project, inputs, form), False
    for step in range(len(inputs["D"])):
        name = f"{form}{step}"
        if leaves_players_wrong:
            game.put_right()
        if game.play(record, step, f"stopped.{name}"):
            continue
        if step == 0:
            _Game(project, inputs, form).note_what_is_set(record, step)
            return False
        game.put_right()
        if game.play(record, step, f"stopped again.{name}"):
            leaves_players_wrong = True
            continue
        game = _Game(project, inputs, form)
        if not game.play(record, step, f"stopped anew.{name}"):
            game = _Game(project, inputs, form)
    return True


class _Game:
    """A Trainer of the student's with our two players; its module is imported anew, so that nothing is left in it."""

    def __init__(self, project: Project, inputs: dict[str, Tensor], form: str):
        self._project, self._inputs, self._form = project, inputs, form
        self._players = {"D": Judge(), "G": Painter()}
        # Kept, as a student's code may put others in their place.
        self._parameters = {name: list(net.parameters()) for name, net in self._players.items()}
        project.forget()
        rates = float(inputs["learning_rate"]), float(inputs["beta1"])
        make = project.get("trainer", "Trainer")
        self._trainer = make(self._players["G"], self._players["D"], *rates, *stand_ins("GAN"))
        self._criterion = nn.BCELoss()

    def put_right(self) -> None:
        """Undo what a step may have left of the players' states."""
        for net in self._players.values():
            net.train().requires_grad_(True)

    def play(self, record: Record, step: int, part: str) -> bool:
        """Make the step of this number, and note it as "N.", or where it has many images as "wideN.".

        Returns:
            whether it came to its end; what stopped it is noted as `part`.
        """
        answer, name = None, f"{self._form}{step}"
        watched = _Watched(record, name, self._players, self._parameters)
        with record.part(part, self._project), watched:
            real, fake = self._images(step)
            watched.start(real, fake)
            answer = self._trainer.train_step(real.clone(), fake, self._criterion)
            watched.note_end()
        if not watched.has_ended:
            return False
        for one in REPORTED:
            with record.part(f"{name}.{one}", self._project):
                value = several("Trainer.train_step", answer, REPORTED)[REPORTED.index(one)]
                record.array(f"{name}.{one}", number(one, value))
        return True

    def note_what_is_set(self, record: Record, step: int) -> None:
        """Note what a step that stops would return, as far as it comes without the backward passes that fail."""
        real, fake = self._images(step)
        try:
            with _failing_backward_left_out():
                answer = self._trainer.train_step(real.clone(), fake, self._criterion)
            found = dict(zip(REPORTED, several("Trainer.train_step", answer, REPORTED), strict=True))
        except (Exception, SystemExit) as error:
            found = _set_until(error)
        for one, value in found.items():
            with record.part(f"{self._form}{step}.{one}", self._project):
                record.array(f"{self._form}{step}.{one}", number(one, value))

    def _images(self, step: int) -> tuple[Tensor, Tensor]:
        """What a step is given; the players have their weights for it."""
        real, z = (self._inputs[f"{one}.{step}"] for one in ("real", "z"))
        if self._form == WIDE:
            real, z = widened(real), widened(z)
        for player, parameters in self._parameters.items():
            _fill(parameters, self._inputs[player][step], float(self._inputs["leftover"]))
        return real, self._players["G"](z)


@contextmanager
def _failing_backward_left_out() -> Iterator[None]:
    backward = Tensor.backward

    def tried(*args: object, **kwargs: object) -> None:
        with suppress(RuntimeError):
            backward(*args, **kwargs)

    Tensor.backward = tried
    try:
        yield
    finally:
        Tensor.backward = backward


def _set_until(error: BaseException) -> dict[str, object]:
    """What train_step would have returned of what it has set when it stopped."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code.co_name == "train_step"]
    names = dict(frames[0].f_locals) if frames else {}
    with suppress(Exception):
        names["loss_D"] = names["loss_D_real"] + names["loss_D_fake"]
    return {name: names[name] for name in REPORTED if name in names}


class _Watched:
    """Inside `with`, what optimizers do to the players is noted, of the first MOST_UPDATES of each."""

    def __init__(self, record: Record, name: str, players: dict[str, nn.Module], parameters: dict[str, list[Tensor]]):
        self.has_ended = False
        self._record, self._name = record, name
        self._players, self._parameters = players, parameters
        self._updates, self._order = {"D": 0, "G": 0}, []
        self._buffers = list(players["D"].buffers())
        self._unused: Tensor | None = None  # D's gradient when G is updated, should D never be

    def __enter__(self) -> "_Watched":
        self._hooks = [
            register_optimizer_step_pre_hook(self._before),
            register_optimizer_step_post_hook(self._after),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._record.fact(f"{self._name}.updates", self._updates)

    def start(self, real: Tensor, fake: Tensor) -> None:
        """Begin to note what the players are given."""
        real, fake = real.detach().clone(), fake.detach().clone()
        self._own = [real, fake, torch.cat([real, fake]), torch.cat([fake, real])]
        for net in self._players.values():
            net.given.clear()

    def note_end(self) -> None:
        """Note how the step leaves the players, and what they were given in it beside the images of the step."""
        record, name = self._record, self._name
        for player, parameters in self._parameters.items():
            if not self._updates[player]:
                unused = self._unused if player == "D" and self._unused is not None else _gradient(parameters)
                record.array(f"{name}.{player}.0.gradient", unused)
            record.array(f"{name}.{player}.left", _row(parameters))
        after_D = self._order[self._order.index("D") :] if "D" in self._order else ["G"]
        record.fact(f"{name}.D first", "G" in after_D or "G" not in self._order)
        record.fact(f"{name}.training", {player: bool(net.training) for player, net in self._players.items()})
        learns = {player: all(one.requires_grad for one in given) for player, given in self._parameters.items()}
        record.fact(f"{name}.learns", learns)
        others = [one for one in self._players["D"].given if not any(_are_same(one, own) for own in self._own)]
        for index, images in enumerate(others):
            record.array(f"{name}.judged.{index}", images)
        for index, noise in enumerate(self._players["G"].given):
            record.array(f"{name}.painted.{index}", noise)
        self.has_ended = True

    def _before(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        stepping = self._stepping(optimizer)
        if "G" in stepping and not self._updates["D"]:
            self._unused = _gradient(self._parameters["D"])
        for player in stepping:
            at = f"{self._name}.{player}"
            self._order.append(player)
            self._record.array(f"{at}.statistics", _row(self._buffers))
            if player == "G":
                self._record.array(f"{at}.D", _row(self._parameters["D"]))
            if self._updates[player] < MOST_UPDATES:
                at = f"{at}.{self._updates[player]}"
                self._record.array(f"{at}.gradient", _gradient(self._parameters[player]))
                self._record.array(f"{at}.found", _row(self._parameters[player]))
                self._record.array(f"{at}.settings", _settings(optimizer))
            if player == "D":
                leftover = _gradient(self._parameters["G"])
                self._record.fact(f"{self._name}.reaches G", bool((leftover != leftover[0]).any()))
            for one in self._parameters[player]:
                if one.grad is not None:
                    one.grad.nan_to_num_(0, 0, 0)  # noted, and not to ruin all that follows

    def _after(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        for player in self._stepping(optimizer):
            if self._updates[player] < MOST_UPDATES:
                at = f"{self._name}.{player}.{self._updates[player]}"
                self._record.array(f"{at}.after", _row(self._parameters[player]))
            self._updates[player] += 1

    def _stepping(self, optimizer: torch.optim.Optimizer) -> list[str]:
        updated = {id(one) for group in optimizer.param_groups for one in group["params"]}
        return [name for name, given in self._parameters.items() if any(id(one) in updated for one in given)]


@torch.no_grad()
def _fill(parameters: list[Tensor], weights: Tensor, leftover: float) -> None:
    for parameter, values in zip(parameters, weights.split([one.numel() for one in parameters]), strict=True):
        parameter.copy_(values.view_as(parameter))
        parameter.grad = torch.full_like(parameter, leftover)


def _row(tensors: list[Tensor]) -> Tensor:
    return torch.cat([one.detach().float().flatten() for one in tensors])


_KEPT = (torch.inf, torch.inf, -torch.inf)


def _gradient(parameters: list[Tensor]) -> Tensor:
    """Gradients as one long row: NaN where there is none, infinite where it is NaN."""
    return torch.cat(
        [
            torch.full_like(one, torch.nan).flatten() if one.grad is None else one.grad.flatten().nan_to_num(*_KEPT)
            for one in parameters
        ]
    )


def _settings(optimizer: torch.optim.Optimizer) -> Tensor:
    """Learning rate and decays of the moments; NaN where it has none."""
    group = optimizer.param_groups[0]
    betas = group.get("betas", (torch.nan, torch.nan))
    return torch.tensor([float(group["lr"]), *map(float, betas)], dtype=torch.float64)


def _are_same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.float(), other)


def _generate(model: Callable[[Tensor], Tensor], z: Tensor, channels: int) -> Tensor:
    images = model(z.clone())
    shape = tuple(images.shape) if isinstance(images, Tensor) else ()
    given = shape[1] if len(shape) == 4 else channels  # how many image channels there are is judged apart
    return tensor("what Generator.forward(z) returns", images, (len(z), given, 32, 32))
