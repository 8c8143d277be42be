"""What is seen of a student's GAN."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from autograder.probe.kept import what_is_kept
from autograder.probe.layers import ALL_KINDS, Watch, carry, note_layers, watch
from autograder.probe.players import Judge, Painter, as_row, with_weights
from autograder.probe.project import Project
from autograder.probe.record import Record, number, several, tensor

REPORTED = ("loss_D", "loss_G", "D_x", "D_G_z1", "D_G_z2")


def probe_generator(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note the generator's layers for some sizes, and its images with the weights that are given.

    Inputs: "settings", (runs, 3): num_channels, latent_dim, hidden_dim; "seed" of the layers' weights; "z_train",
    "z_eval", "size"; "weight.0" and so on, and for a batch normalisation "bias.0" too, in the order in which the layers
    run. The first two runs' arrays are noted.
    """
    make = project.get("model", "Generator")
    for run, sizes in enumerate(inputs["settings"].tolist()):
        with record.part(f"{run}.make", project):
            model = make(*sizes)
            if run == 0:
                with record.part("kept", project):
                    record.fact("kept", what_is_kept(project, model))
            seen = Watch(model, int(inputs["seed"]))
            with record.part(f"{run}.z", project), seen:
                images = _generate(model, torch.randn(4, sizes[1], 1, 1), sizes[0])
                if run == 0:
                    record.array(f"{run}.z.images", images)
            note_layers(record, f"{run}.z", seen.layers, ALL_KINDS if run < 2 else ())
    with record.part("carry", project):
        z_train, z_eval = inputs["z_train"], inputs["z_eval"]
        channels, latent_dim, hidden_dim = inputs["size"].tolist()
        model = make(channels, latent_dim, hidden_dim).eval()
        _, layers = watch(model, lambda: _generate(model, z_train, channels))
        rows = []
        while f"weight.{len(rows)}" in inputs:
            parts = {part: inputs.get(f"{part}.{len(rows)}") for part in ("weight", "bias")}
            rows.append({part: values for part, values in parts.items() if values is not None})
        carry(model, layers, rows)
        record.fact("carried", True)
        record.array("train", _generate(model.train(), z_train, channels))
        record.array("eval", _generate(model.eval(), z_eval, channels))
        record.array("eval_as_train", _generate(model.train(), z_eval, channels))


def probe_step(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note one Trainer.train_step: gradients, weights before and after, and what it returns.

    Inputs: "real", "z", "D" and "G" (the players' weights), "learning_rate", "beta1", and "leftover", what every
    gradient holds beforehand, as if another step had left it there.
    """
    netD, netG = with_weights(Judge(), inputs["D"]), with_weights(Painter(), inputs["G"])
    trainer = project.get("trainer", "Trainer")(netG, netD, float(inputs["learning_rate"]), float(inputs["beta1"]))
    leftover = float(inputs["leftover"])
    for parameter in (*netG.parameters(), *netD.parameters()):
        parameter.grad = torch.full_like(parameter, leftover)
    steps, calls = {"D": 0, "G": 0}, []
    players = {"D": netD, "G": netG}

    def stepping(optimizer: torch.optim.Optimizer) -> list[str]:
        updated = {id(one) for group in optimizer.param_groups for one in group["params"]}
        return [name for name, net in players.items() if any(id(one) in updated for one in net.parameters())]

    def before(optimizer, *_) -> None:
        for name in stepping(optimizer):
            record.array(f"gradient.{name}", _gradient(players[name]))
            if name == "D":
                in_G = _gradient(netG)
                record.fact("reaches G", bool(((in_G != leftover) & (in_G != 0)).any()))

    def after(optimizer, *_) -> None:
        for name in stepping(optimizer):
            steps[name] += 1
            record.array(f"after.{name}", nn.utils.parameters_to_vector(players[name].parameters()))
            calls.append(netD.num_calls)

    hooks = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    try:
        with record.part("step", project):
            answer = trainer.train_step(inputs["real"].clone(), netG(inputs["z"]), nn.BCELoss())
            answer = several("Trainer.train_step", answer, REPORTED)
            _note_numbers(project, record, answer)
    finally:
        for hook in hooks:
            hook.remove()
    record.fact("steps", steps)
    record.fact("in training mode", {name: net.training for name, net in players.items()})
    record.fact("judged again", bool(calls) and netD.num_calls > calls[0])


def _note_numbers(project: Project, record: Record, answer: tuple) -> None:
    for name, value in zip(REPORTED, answer, strict=True):
        with record.part(name, project):
            record.array(name, number(name, value))


def _gradient(player: nn.Module) -> Tensor:
    return as_row([parameter.grad for parameter in player.parameters()], player).clone()


def _generate(model: Callable[[Tensor], Tensor], z: Tensor, channels: int) -> Tensor:
    images = model(z.clone())
    shape = tuple(images.shape) if isinstance(images, Tensor) else ()
    given = shape[1] if len(shape) == 4 else channels  # how many image channels there are is judged apart
    return tensor("what Generator.forward(z) returns", images, (len(z), given, 32, 32))
