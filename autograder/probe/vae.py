"""What is seen of a student's VAE: its layers, its two branches, and how it draws z."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor, nn

from autograder.probe.kept import what_is_kept
from autograder.probe.layers import ALL_KINDS, CONNECTED, Layer, Watch, is_in_mode, memory, note_layers, watch
from autograder.probe.project import Project
from autograder.probe.record import Record, tensor
from autograder.probe.repeatable import SEED, repeatable
from autograder.probe.vae_runs import (
    ANSWERS,
    FAR,
    GivenSample,
    carry_decoder,
    carry_encoder,
    decode,
    gradients_of,
    make_one_that_runs,
    reconstruct,
)

MOST_CALLS = 3  # of reparameterize in one forward(x) that are noted
FEW = 6  # instances, where each of them is compared with what it should be
STEP = 1e-2  # of the numeric derivatives in single precision


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
            _note_run(project, record, f"{run}.x", lambda model=model, x=x: reconstruct(model, x), kinds, model, seed)
            _note_run(project, record, f"{run}.z", lambda model=model, z=z: decode(model, z), kinds, model, seed)
            if run == 0:
                record.array("0.x.x", x)


def probe_forward(project: Project, inputs: dict[str, Tensor], record: Record) -> None:
    """Note what both branches of forward give with the weights that are given.

    Inputs: "x", "z", "noise", "lowest", a log sigma, and "weight.Enc-1" to "weight.Dec-6". In the place of
    reparameterize stands ours; where forward(x) does not ask for it, the noise is seen in what is decoded, of many
    images.
    """
    x = inputs["x"]
    model, latent_dim = make_one_that_runs(project, x, len(inputs["weight.Dec-1"]))
    z, noise = (inputs[name][:, :latent_dim] for name in ("z", "noise"))
    # Each for itself: a wrong encoder costs the decoder nothing.
    with record.part("carry.encoder", project):
        try:
            carry_encoder(model.eval(), inputs)
        except Exception:
            # With the weights that PyTorch gives all posteriors are nearly N(0, 1), and noise of any kind fits them.
            with suppress(Exception), GivenSample(model, None), Watch(model, SEED):
                reconstruct(model, x[:FEW])
            raise
        record.fact("carry.encoder", True)
    with record.part("carry.decoder", project):
        carry_decoder(model, inputs)
        record.fact("carry.decoder", True)
    keys: set[int] = set()
    leaves_mode = {"x": True, "z": True}
    for mode in ("train", "eval"):
        model.train(mode == "train")
        with record.part(f"{mode}.z", project):
            images, layers = watch(model, lambda: decode(model, z))
            record.array(f"{mode}.images", images)
            if layers:
                record.array(f"{mode}.z_taken", layers[0].taken)
            keys = {layer.key for layer in layers}
            leaves_mode["z"] &= is_in_mode(model, mode == "train")
        with record.part(f"{mode}.one", project):
            decode(model, z[:1])
        model.train(mode == "train")  # whatever block 4 has left
        with record.part(f"{mode}.x", project), GivenSample(model, noise) as sampled:
            with Watch(model) as seen:
                sampled.when_asked = partial(len, seen.layers)
                recon, mu, log_sigma = reconstruct(model, x[:FEW])
            leaves_mode["x"] &= is_in_mode(model, mode == "train")
            for name, values in zip(ANSWERS, (recon, mu, log_sigma), strict=True):
                record.array(f"{mode}.{name}", values)
            for number_of_call, call in enumerate(sampled.calls[:MOST_CALLS]):
                for name, values in zip(("mu", "log_sigma", "z"), call, strict=True):
                    record.array(f"{mode}.call.{number_of_call}.{name}", values)
            decoded = _decoded(seen.layers, keys, mu, sampled.first_asked)
            if decoded is not None:
                record.array(f"{mode}.decoded", decoded)
                with record.part(f"{mode}.again", project):
                    record.array(f"{mode}.again", decode(model, decoded))
            if not sampled.calls:
                (_, mu, log_sigma), layers = watch(model, lambda: reconstruct(model, x))
                decoded = _decoded(layers, keys, mu)
                if decoded is not None:
                    for name, values in {"mu": mu, "log_sigma": log_sigma, "decoded": decoded}.items():
                        record.array(f"{mode}.many.{name}", values)
    record.fact("leaves the mode", leaves_mode)
    with record.part("wide", project):
        _note_far_out(record, model, x[:FEW], noise, float(inputs["lowest"]))


def _note_far_out(record: Record, model: nn.Module, x: Tensor, noise: Tensor, lowest: float) -> None:
    """Note what is returned, and what Enc-6 gives for it, where its weights make log sigma as low as it may be."""
    heads, (_, mu, log_sigma) = _heads(model, x, noise)
    if not heads:
        return
    with torch.no_grad():
        for head in heads:
            for one in (head.weight, head.bias):
                if one is not None:
                    one.mul_(lowest / log_sigma.min())
    heads, (_, mu, log_sigma) = _heads(model, x, noise)
    record.array("wide.mu", mu)
    record.array("wide.log_sigma", log_sigma)
    record.array("wide.given", torch.cat([head.given for head in heads], dim=1))


def _heads(model: nn.Module, x: Tensor, noise: Tensor) -> tuple[list[Layer], tuple[Tensor, Tensor, Tensor]]:
    """The one or two layers that give mu and log sigma, the last ones before the sample; none where it isn't known."""
    with GivenSample(model, noise) as sampled, Watch(model) as seen:
        sampled.when_asked = partial(len, seen.layers)
        answer = reconstruct(model, x)
    before, width = seen.layers[: sampled.first_asked or 0], answer[1].shape[1]
    for number, outputs in ((1, 2 * width), (2, width)):
        if len(before) >= number and all(one.facts["outputs"] == outputs for one in before[-number:]):
            return before[-number:], answer
    return [], answer


def _decoded(layers: Sequence[Layer], keys: set[int], mu: Tensor, sampled_at: int | None = None) -> Tensor | None:
    """What the decoder was given, whose first layer runs behind the sample.

    Where none is asked for it is the first that forward(z=z) runs, or if that runs none is known by what it takes.
    """
    decoders = [layer for layer in layers if layer.key in keys] or layers
    if sampled_at is not None:
        decoders = layers[sampled_at:] or decoders
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
        for name, gradient in zip(("mu", "log_sigma"), gradients_of(z.sum(), leaves), strict=True):
            record.array(f"gradient.{name}", gradient)
        for index, name in enumerate(("mu", "log_sigma")):
            moved = []
            for sign in (1, -1):
                values = [one.clone() for one in few]
                values[index] += sign * STEP
                with repeatable():
                    moved.append(sample(*values).double())
            record.array(f"numeric.{name}", (moved[0] - moved[1]) / (2 * STEP))


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
