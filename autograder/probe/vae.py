"""What is seen of a student's VAE."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

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
from autograder.probe.noise import GivenNoise
from autograder.probe.project import Project
from autograder.probe.record import Record, number, several, tensor

ANSWERS = ("recon_x", "mu", "log_sigma")
NEVER = 10**6  # steps between two entries of the curves, or two checkpoints


def probe_layers(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note the layers that forward(x) and forward(z=z) run, for every pair of num_channels and latent_dim.

    Inputs: "settings", (runs, 2), and "seed" of the layers' weights. The first run's arrays are noted too, and those of
    the second's connected layers, which latent_dim changes.
    """
    seed = int(inputs["seed"])
    for run, (channels, latent_dim) in enumerate(inputs["settings"].tolist()):
        with record.part(f"{run}.make", project):
            model = project.get("model", "VAE")(channels, latent_dim)
            if run == 0:
                with record.part("kept", project):
                    record.fact("kept", what_is_kept(project, model))
            x, z = torch.rand(2, channels, 32, 32), torch.randn(2, latent_dim)
            kinds = (ALL_KINDS, (CONNECTED,), ())[min(run, 2)]
            _note_run(project, record, f"{run}.x", lambda model=model, x=x: _reconstruct(model, x), kinds, model, seed)
            _note_run(project, record, f"{run}.z", lambda model=model, z=z: _decode(model, z), kinds, model, seed)


def probe_forward(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note what both branches of forward give with the weights that are given.

    Inputs: "x", "z", and "weight.Enc-1" to "weight.Dec-6".
    """
    x, z = inputs["x"], inputs["z"]
    model = project.get("model", "VAE")(x.shape[1], z.shape[1])
    # Each for itself: a wrong encoder costs the decoder nothing.
    for half, carry_half in (("decoder", _carry_decoder), ("encoder", _carry_encoder)):
        with record.part(f"carry.{half}", project):
            carry_half(model.eval(), inputs)
            record.fact(f"carry.{half}", True)
    for mode in ("train", "eval"):
        model.train(mode == "train")
        with record.part(f"{mode}.x", project):
            (recon, mu, log_sigma), layers = watch(model, lambda: _reconstruct(model, x))
            record.array(f"{mode}.mu", mu)
            record.array(f"{mode}.log_sigma", log_sigma)
            record.array(f"{mode}.recon", recon)
            keys = set()
            with record.part(f"{mode}.z", project):
                keys = {layer.key for layer in watch(model, lambda: _decode(model, z))[1]}
            # Where forward(z=z) does not run, the decoder's first layer is known by what it takes.
            decoders = [layer for layer in layers if layer.key in keys] or layers
            decoded = next((layer.taken for layer in decoders if layer.taken.shape == mu.shape), None)
            if decoded is not None:
                record.array(f"{mode}.decoded", decoded)
                with record.part(f"{mode}.again", project):
                    record.array(f"{mode}.again", _decode(model, decoded))
        with record.part(f"{mode}.z", project):
            images, layers = watch(model, lambda: _decode(model, z))
            record.array(f"{mode}.images", images)
            if layers:
                record.array(f"{mode}.z_taken", layers[0].taken)


def probe_reparameterize(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note many samples of few posteriors, samples of two calls in a row, and the gradients of z.

    Inputs: "mu" and "log_sigma", (latent_dim,), and "draws", the number of samples.
    """
    mu, log_sigma = inputs["mu"], inputs["log_sigma"]
    model = project.get("model", "VAE")(1, len(mu))

    def sample(mu: Tensor, log_sigma: Tensor) -> Tensor:
        z = model.reparameterize(mu.clone(), log_sigma.clone())  # it may change them in place
        return tensor("what VAE.reparameterize returns", z, tuple(mu.shape))

    with record.part("samples", project):
        draws = int(inputs["draws"])
        record.array("samples", sample(mu.expand(draws, -1), log_sigma.expand(draws, -1)))
    few = mu.expand(3, -1), log_sigma.expand(3, -1)
    for mode in ("train", "eval"):
        model.train(mode == "train")
        with record.part(f"{mode}.calls", project):
            record.array(f"{mode}.calls", torch.stack([sample(*few), sample(*few)]))
    model.train()
    with record.part("gradients", project):
        leaves = [values.clone().requires_grad_() for values in few]
        z = sample(*leaves)
        record.array("z", z)
        for name, gradient in zip(("mu", "log_sigma"), _gradients(z.sum(), leaves), strict=True):
            record.array(f"gradient.{name}", gradient)


def probe_losses(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note both losses of a batch, of each of its instances, and of each latent number; gradients; the extremes.

    Inputs: "target", "recon", "mu", "log_sigma", and "mu_of_one", "log_sigma_of_one", some more latent numbers.
    """
    standin = _StandIn()
    trainer = project.get("trainer", "Trainer")(standin, 1e-3)
    batch = [inputs[name] for name in ("target", "recon", "mu", "log_sigma")]

    def losses(target: Tensor, recon: Tensor, mu: Tensor, log_sigma: Tensor) -> tuple:
        standin.latent_dim = mu.shape[1]
        answer = trainer.loss_fn(target.clone(), recon.clone(), mu.clone(), log_sigma.clone())
        return several("Trainer.loss_fn", answer, ("recon_loss", "kl_loss"))

    def note(name: str, pairs: list[tuple]) -> None:
        for what, values in zip(("recon", "kl"), zip(*pairs, strict=True), strict=True):
            with record.part(f"{name}.{what}", project):
                record.array(f"{name}.{what}", torch.tensor([number(f"{what}_loss", value) for value in values]))

    with record.part("batch", project):
        note("batch", [losses(*batch)])
    with record.part("single", project):
        note("single", [losses(*(values[i : i + 1] for values in batch)) for i in range(len(batch[0]))])
    for name, ending in (("apart", ""), ("of_one", "_of_one")):
        with record.part(name, project):
            ones = zip(inputs[f"mu{ending}"].flatten(), inputs[f"log_sigma{ending}"].flatten(), strict=True)
            note(name, [losses(batch[0][:1], batch[1][:1], mu.view(1, 1), log.view(1, 1)) for mu, log in ones])
    with record.part("gradients", project):
        target, *rest = batch
        leaves = [values.clone().requires_grad_() for values in rest]
        pair = losses(target, *leaves)
        for name, loss in zip(("recon", "kl"), pair, strict=True):
            record.fact(f"{name} carries its graph", isinstance(loss, Tensor) and loss.requires_grad)
        record.array("gradient.recon", _gradients(pair[0], leaves[:1])[0])
        for name, gradient in zip(("mu", "log_sigma"), _gradients(pair[1], leaves[1:]), strict=True):
            record.array(f"gradient.{name}", gradient)
    with record.part("ends", project):
        ends = inputs["target"].round()
        note("ends", [losses(ends, ends, *batch[2:]), losses(ends, 1 - ends, *batch[2:])])


def probe_step(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note the gradients that the optimizer's first step in Trainer.train sees, and the weights after it, by rows.

    Inputs: "x", "noise", "learning_rate", and "weight.Enc-1" to "weight.Dec-6".
    """
    x, noise = inputs["x"], inputs["noise"]
    model = project.get("model", "VAE")(x.shape[1], noise.shape[1])
    layers = _carry_encoder(model.eval(), inputs) | _carry_decoder(model, inputs)
    record.fact("carried", True)
    parameters = {memory(parameter): parameter for parameter in model.parameters()}
    run = _OneStep(x)
    trainer = project.get("trainer", "Trainer")(model, float(inputs["learning_rate"]), run, run)
    steps = []

    def by_rows(what: str, values: dict[int, Tensor]) -> None:
        for row, parts in layers.items():
            record.array(f"{what}.{row}", torch.cat([as_row(part, values[part.key]) for part in parts]))

    def before_step(*_) -> None:
        steps.append(None)
        if len(steps) == 1:
            found = {key: torch.zeros_like(one) for key, one in parameters.items()}  # lying as the weights do
            for key, one in parameters.items():
                if one.grad is not None:
                    found[key].copy_(one.grad)
            by_rows("gradient", found)

    hook = register_optimizer_step_pre_hook(before_step)
    try:
        with GivenNoise(noise) as given:
            trainer.train(2, NEVER, NEVER)
    finally:
        hook.remove()
        record.fact("noise asked for", given.times)
        record.fact("steps", len(steps))
    by_rows("after", {key: parameter.detach() for key, parameter in parameters.items()})


class _StandIn(nn.Module):
    """In the place of the model, which no loss needs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.latent_dim = 1


class _OneStep:
    """In the place of the data and the run: one batch, and no files."""

    device = torch.device("cpu")

    def __init__(self, images: Tensor):
        self.train = [images]
        self._images = images

    def track(self, **parts: object) -> None:
        """Nothing is saved."""

    def steps(self, batches: object, num_steps: int, saving_steps: int) -> Iterator[tuple[int, Tensor]]:
        """The one step."""
        yield 1, self._images.clone()

    def log_scalars(self, step: int, values: object) -> None:
        """No curves."""

    def log_images(self, step: int, name: str, images: Tensor, value_range: object) -> None:
        """No pictures."""

    def validation_batches(self, batch_size: int = 250) -> Iterator[Tensor]:
        """The one batch."""
        yield self._images.clone()


def _note_run(
    project: Project, record: Record, name: str, run, kinds: Sequence[str], model: nn.Module, seed: int
) -> None:
    """Run one branch of forward, and note its layers whether or not it comes to its end."""
    seen, sampled_at = Watch(model, seed), []
    original = model.reparameterize

    def noted(*args, **kwargs):
        sampled_at.append(len(seen.layers))
        return original(*args, **kwargs)

    model.reparameterize = noted
    with record.part(name, project), seen:
        answer = run()
        if kinds == ALL_KINDS:
            names = ANSWERS if name.endswith(".x") else ("images",)
            for what, values in zip(names, answer if isinstance(answer, tuple) else (answer,), strict=True):
                record.array(f"{name}.{what}", values)
    model.reparameterize = original
    note_layers(record, name, seen.layers, kinds)
    record.fact(f"{name}.sampled_at", sampled_at[0] if sampled_at else None)


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
    _, ran = watch(model, lambda: _decode(model, torch.randn(2, len(rows["Dec-1"]))))
    if len(ran) != len(rows):
        raise NotCarried(f"{len(ran)} layers ran in the decoder, where there are weights for {len(rows)}")
    carry(model, ran, [{"weight": weight} for weight in rows.values()])
    return {row: [layer] for row, layer in zip(rows, ran, strict=True)}


def _carry_encoder(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, list[Layer]]:
    """Carry the given weights into the encoder; returns the layers of every row, two where Enc-6 has two heads."""
    rows = _rows(inputs, "Enc-")
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
