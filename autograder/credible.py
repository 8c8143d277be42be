"""What findings must have to be believed at all: facts of the right types, and layers that compute what they say.

A probe shares its process with a student's code, which may write down what it likes. Numbers that are compared with the
expected ones need no more than that. But a table of layers is known to everybody: so each layer's weights are drawn
from the inputs' seed, and what it gave has to be what such a layer makes of what it took.
"""

import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from autograder import evidence
from autograder.checks import close
from autograder.evidence import Evidence, Failure, Findings
from autograder.probe.players import LATENT_DIM, WIDE
from autograder.probe.weights import drawn_weights
from autograder.tables import CONNECTED, CONVOLUTION, NORM, SEEN, TRANSPOSED, USUAL

MOST_LAYERS = 200
LARGEST_NUMBER = 10**6  # that a fact may hold: a size, a count
LARGEST_KERNEL = 32  # on a side; so large are the assignment's images
MOST_WEIGHTS = 10**7  # of one layer
MOST_UNFOLDED = 3 * 10**7  # numbers that a convolution is computed from, 240 MB; of the assignment's largest it is 7e5
MOST_WORK = 2 * 10**9  # products, that it is worth to find out what all layers of a run give; the assignment's take 6e7
DRAWN, UNFOLDED = 20, 5  # what it takes to draw a weight, or to unfold a number, in products
TOLERANCE = 5e-3  # of what a layer gives, relative to the largest number; some students compute in half precision

OTHER_FORM = Failure("WrongAnswer", "what was seen of it has another form than it should have")
NOT_THE_SAME = Failure("WrongAnswer", "the losses of two instances that are alike are not the same")
ALWAYS_THE_SAME = Failure("WrongAnswer", "the loss is the same whatever its inputs are")
NOT_FINITE = Failure("WrongAnswer", "there are numbers in it that are not finite")

SWAPPED = "swapped"  # the fact that the two losses came in each other's place, and were put right

_RUN = re.compile(r"(\d+)\.[xz]")
_FULLY_NOTED = {"vae_layers": ("0",), "gan_generator": ("0", "1")}  # of other runs, the connected layers at most
_NOTED = {"vae_layers": ("0", "1"), "gan_generator": ("0", "1")}
_OF_BOTH_SIDES = ("kernel", "stride", "padding", "output padding", "dilation")
_OF_ANY_SHAPE = ("train.z_taken", "eval.z_taken", "train.decoded", "eval.decoded", "0.x.idle", "0.z.idle")
# What has other sizes, or is noted at all, only of some code.
_OF_OTHER_CODE = re.compile(r"(train|eval)\.((many|call\.\d)\.)?(mu|log_sigma|decoded|z)")
_OTHERS = re.compile(rf"(?:{WIDE})?\d\.(judged|painted)\.\d+")  # what the players of the GAN's step were given
_SHAPES_OF_OTHERS = (1, 32, 32), (LATENT_DIM, 1, 1)
MOST_IMAGES = 500  # in one of them


def load_both(folder: Path, name: str, probes: Sequence[str]) -> tuple[Evidence, Evidence]:
    """Read the evidence of a submission and of the reference, without what can't be believed.

    Args:
        folder: the folder with `inputs/`, `reference/` and, under its name, the submission's.
        name: of the submission's folder in it.
        probes: those to read.
    """
    reference, inputs = _load_reference(folder, tuple(probes))
    return _checked(evidence.load(folder / name, probes), reference, inputs), reference


@functools.lru_cache(maxsize=4)  # one process judges many submissions by the same reference
def _load_reference(folder: Path, probes: tuple[str, ...]) -> tuple[Evidence, dict[str, np.ndarray]]:
    inputs = evidence.load_inputs(folder)
    reference = evidence.load(folder / evidence.REFERENCE, probes)
    return _checked(reference, reference, inputs), inputs


def _checked(given: Evidence, reference: Evidence, inputs: Mapping[str, np.ndarray]) -> Evidence:
    findings = {name: believable(found, reference[name], inputs) for name, found in given.findings.items()}
    return Evidence(given.folder, findings)


def believable(findings: Findings, reference: Findings, inputs: Mapping[str, np.ndarray]) -> Findings:
    """Leave out what is not of the reference's form, and note whether layers were seen to compute what they say."""
    facts, arrays, failures = dict(findings.facts), dict(findings.arrays), dict(findings.failures)
    for name, value in findings.facts.items():
        known = _in_the_reference(findings.probe, name)
        if known not in reference.facts or not _is_alike(name, value, reference.facts[known]):
            del facts[name]
            failures.setdefault(name, OTHER_FORM)
    for name, values in findings.arrays.items():
        if not _has_form(name, values, reference.arrays.get(_in_the_reference(findings.probe, name))):
            del arrays[name]
            failures.setdefault(name, OTHER_FORM)
    if findings.probe == "vae_losses":
        arrays, is_swapped = _with_losses_in_order(arrays)
        facts |= {SWAPPED: True} if is_swapped else {}
    judge = _OTHER_JUDGES.get(findings.probe, lambda *_: {})
    for name, failure in judge(arrays, facts, inputs).items():
        arrays.pop(name, None)
        failures.setdefault(name, failure)
    seed = inputs.get(f"{findings.probe}.seed")
    if seed is not None:
        for name in filter(_RUN.fullmatch, facts):
            facts[name] = list(_judged(findings.probe, name, facts[name], arrays, int(seed)))
    return replace(findings, facts=facts, arrays=arrays, failures=failures)


def _in_the_reference(probe: str, name: str) -> str:
    """What has the same form in the reference's findings: there each player is updated once, in steps of few images."""
    if probe != "gan_step":
        return name
    return re.sub(r"\b([DG])\.[1-9]\.", r"\1.0.", name.removeprefix(WIDE))


def _is_alike(name: str, value: object, reference: object) -> bool:
    if _RUN.fullmatch(name):
        return isinstance(value, list) and len(value) <= MOST_LAYERS and all(map(_is_layer, value))
    if isinstance(reference, dict):
        return isinstance(value, dict) and value.keys() == reference.keys() and all(map(_is_small, value.values()))
    return _is_small(value) and (value is None or isinstance(value, bool) == isinstance(reference, bool))


def _is_small(value: object) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value <= LARGEST_NUMBER)


def _is_layer(layer: object) -> bool:
    """Whether this has a layer's form, whether or not there can be such a layer."""
    if not isinstance(layer, dict) or not isinstance(layer.get("key"), str) or not isinstance(layer.get("ran"), bool):
        return False
    numbers = [layer.get(what) for what in ("inputs", "outputs")]
    if layer.get("kind") in (CONVOLUTION, TRANSPOSED):
        geometry = [layer.get(what) for what in ("kernel", *USUAL)]
        if not all(isinstance(one, list) and 1 <= len(one) <= 3 for one in geometry):
            return False
        numbers += [number for one in geometry for number in one]
    elif layer.get("kind") == NORM:
        if not all(isinstance(layer.get(what), bool) for what in ("learns", "keeps statistics")):
            return False
        if not all(isinstance(layer.get(what), float) for what in ("eps", "momentum")):
            return False
    elif layer.get("kind") != CONNECTED:
        return False
    return all(type(number) is int and _is_small(number) for number in numbers)


def _has_form(name: str, values: np.ndarray, reference: np.ndarray | None) -> bool:
    """Whether an array has the shape that the inputs give it; of what a network's layers take and give, any."""
    if _OF_OTHER_CODE.fullmatch(name):
        return values.ndim == 2
    if reference is None and _OTHERS.fullmatch(name):
        return values.ndim == 4 and values.shape[1:] in _SHAPES_OF_OTHERS and 1 <= len(values) <= MOST_IMAGES
    if reference is None:
        return bool(re.fullmatch(r"\d+\.[xz]\.\d+\.(taken|given)", name)) and values.ndim >= 2
    if name in _OF_ANY_SHAPE:
        return True
    if re.match(r"\d+\.[xz]\.", name):
        return values.ndim >= 2 and len(values) == len(reference)
    return values.shape == reference.shape


_Arrays = Mapping[str, np.ndarray]


def _judge_samples(arrays: _Arrays, facts: Mapping[str, object], inputs: _Arrays) -> dict[str, Failure]:
    return {name: NOT_FINITE for name, values in arrays.items() if not np.isfinite(values).all()}


def _judge_losses(arrays: _Arrays, facts: Mapping[str, object], inputs: _Arrays) -> dict[str, Failure]:
    """Losses that were not computed from the inputs, one of whose instances is there twice."""
    wrong = {}
    mu = inputs["vae_losses.mu"]
    for name in ("single.recon", "apart.kl", "single.kl"):
        if name not in arrays or _is_unsteady(arrays, name.rpartition(".")[2]):
            continue
        losses = arrays[name].reshape(len(mu), -1)
        last, once = losses[-1], losses[int((mu[:-1] == mu[-1]).all(axis=1).argmax())]
        failure = None
        if not close(last, once):
            failure = NOT_THE_SAME
        elif close(losses, np.full_like(losses, losses[0, 0])):
            failure = ALWAYS_THE_SAME
        if failure and np.isfinite(losses).all():
            wrong |= {name: failure, f"batch.{name.rpartition('.')[2]}": failure}
    return wrong


def _is_unsteady(arrays: _Arrays, loss: str) -> bool:
    """Whether a loss was another one for the same inputs, which a check names."""
    twice = arrays.get(f"batch.{loss}")
    return twice is not None and not close(twice[0], twice[1])


def _with_losses_in_order(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], bool]:
    """Put two losses right that came in each other's place: the KL is told by its following mu and log sigma.

    Returns:
        the arrays, and whether they were swapped.
    """
    first, second = (arrays.get(f"apart.{loss}") for loss in ("recon", "kl"))
    if first is None or second is None or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return arrays, False
    if close(first, np.full_like(first, first.flat[0])) or not close(second, np.full_like(second, second.flat[0])):
        return arrays, False
    other = {"recon": "kl", "kl": "recon"}
    swapped = {}
    for name, values in arrays.items():
        what, _, rest = name.partition(".")
        loss, dot, of = rest.partition(".")
        swapped[f"{what}.{other[loss]}{dot}{of}" if loss in other else name] = values
    return swapped, True


_OTHER_JUDGES = {"vae_reparameterize": _judge_samples, "vae_losses": _judge_losses}


def _judged(probe: str, name: str, layers: list[dict], arrays: Mapping[str, np.ndarray], seed: int) -> Iterator[dict]:
    """Give a run's layers, and for each, as SEEN, whether it was seen to compute what it says."""
    run, believed, left = name.partition(".")[0], 0, MOST_WORK
    for index, layer in enumerate(layers):
        taken, given = (arrays.get(f"{name}.{index}.{what}") for what in ("taken", "given"))
        is_noted = run in _FULLY_NOTED[probe] or (run in _NOTED[probe] and layer["kind"] == CONNECTED)
        if not is_noted:
            seen = True
        elif layer["ran"]:
            work = math.inf if taken is None or given is None else _work(layer, taken.shape, given.shape)
            seen = work <= left and _computes(layer, taken, given, seed, index)
            left -= work if work <= left else 0
        else:  # it could not take what a layer before it gave
            seen = believed > 0
        believed += seen and layer["ran"]
        yield {**layer, SEEN: seen}


def _work(layer: dict, taken: tuple[int, ...], given: tuple[int, ...]) -> float:
    """How many products it takes to find out what a layer gives; infinitely many where there can't be such a layer.

    Args:
        taken, given: the shapes of what went in and what came out.
    """
    if taken[0] != given[0] or taken[0] < 2 or min(*taken, *given) < 1:
        return math.inf
    if layer["kind"] == NORM:
        return math.prod(taken) if taken == given else math.inf
    if not _is_possible(layer) or given != _given_shape(layer, taken):
        return math.inf
    num_weights = math.prod(_weight_shape(layer))
    # A product for each weight at each place, on the larger of the two sides.
    places = max(math.prod(given) // layer["outputs"], math.prod(taken) // layer["inputs"])
    unfolded = 0
    if layer["kind"] != CONNECTED:
        unfolded = places * math.prod(layer["kernel"]) * max(layer["inputs"], layer["outputs"])
    if num_weights > MOST_WEIGHTS or unfolded > MOST_UNFOLDED:
        return math.inf
    return places * num_weights + DRAWN * num_weights + UNFOLDED * unfolded


def _is_possible(layer: dict) -> bool:
    """Whether there can be such a layer, one that isn't a normalisation."""
    if min(layer["inputs"], layer["outputs"]) < 1:
        return False
    if layer["kind"] == CONNECTED:
        return True
    (groups,) = layer["groups"] if len(layer["groups"]) == 1 else (0,)
    return (
        all(len(layer[what]) == 2 for what in _OF_BOTH_SIDES)
        and min(*layer["kernel"], *layer["stride"], *layer["dilation"], groups) >= 1
        and max(layer["kernel"]) <= LARGEST_KERNEL
        and layer["inputs"] % groups == layer["outputs"] % groups == 0
    )


@np.errstate(all="ignore")  # numbers may be as large as any
def _computes(layer: dict, taken: np.ndarray, given: np.ndarray, seed: int, index: int) -> bool:
    """Whether a layer with the drawn weights gives this; seen from what tells two instances apart, without a bias.

    Where all instances are alike, it is seen from what tells two places of an image apart.

    Args:
        layer: one that is possible.
        taken, given: what went in and what came out, of shapes that go together.
    """
    import torch

    if not (np.isfinite(taken).all() and np.isfinite(given).all()):
        return False
    if layer["kind"] == NORM:
        return _is_normed(taken, given)
    weight = torch.from_numpy(drawn_weights(seed, index, _weight_shape(layer), layer["outputs"])).double()
    apart, got = (np.diff(values.astype(np.float64), axis=0) for values in (taken, given))
    are_alike = not apart.any()
    if are_alike and got.any():
        return False
    try:
        with torch.no_grad():
            told = taken[:1].astype(np.float64) if are_alike else apart
            expected = _run(layer, torch.from_numpy(told), weight).numpy()
    except RuntimeError:  # such a layer can't take it
        return False
    if are_alike:
        if layer["kind"] == CONNECTED or np.ptp(expected) < TOLERANCE * np.abs(expected).max():
            return False
        expected, got = (one - one.mean(axis=(2, 3), keepdims=True) for one in (expected, given[:1].astype(np.float64)))
    return bool(expected.any() and np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max())


def _weight_shape(layer: dict) -> tuple[int, ...]:
    if layer["kind"] == CONNECTED:
        return layer["inputs"], layer["outputs"]
    one, other = (layer["inputs"], layer["outputs"])[:: 1 if layer["kind"] == TRANSPOSED else -1]
    return one, other // layer["groups"][0], *layer["kernel"]


def _given_shape(layer: dict, taken: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of what a possible layer gives, None where it can't take what it is given."""
    if layer["kind"] == CONNECTED:
        return (*taken[:-1], layer["outputs"]) if taken[-1] == layer["inputs"] else None
    if len(taken) != 4 or taken[1] != layer["inputs"]:
        return None
    sizes = []
    for side, size in enumerate(taken[2:]):
        kernel, stride, padding, output_padding, dilation = (layer[what][side] for what in _OF_BOTH_SIDES)
        reach = dilation * (kernel - 1) + 1
        if layer["kind"] == CONVOLUTION:
            sizes.append((size + 2 * padding - reach) // stride + 1)
        else:
            sizes.append((size - 1) * stride - 2 * padding + reach + output_padding)
    return taken[0], layer["outputs"], *sizes


def _run(layer: dict, taken, weight):
    """What the layer gives, without its bias."""
    from torch.nn import functional

    if layer["kind"] == CONNECTED:
        return taken @ weight
    geometry = {what: tuple(layer[what]) for what in ("stride", "padding", "dilation")}
    groups = layer["groups"][0]
    if layer["kind"] == CONVOLUTION:
        return functional.conv2d(taken, weight, groups=groups, **geometry)
    output_padding = tuple(layer["output padding"])
    return functional.conv_transpose2d(taken, weight, output_padding=output_padding, groups=groups, **geometry)


def _is_normed(taken: np.ndarray, given: np.ndarray) -> bool:
    """Whether each channel of one array is a multiple of the other's, shifted."""
    one, other = (
        np.moveaxis(values.astype(np.float64), 1, 0).reshape(values.shape[1], -1) for values in (taken, given)
    )
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    along = (one * other).sum(axis=1, keepdims=True) / np.maximum((one**2).sum(axis=1, keepdims=True), 1e-300)
    return bool(one.any() and np.abs(other - along * one).max() <= TOLERANCE * max(np.abs(other).max(), 1e-6))
