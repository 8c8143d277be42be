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
from autograder.gan_gradients import right_gradient_of_G, ways_to_G
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
NOT_THE_SAME = Failure("WrongAnswer", "the losses of the same inputs are not the same")
ALWAYS_THE_SAME = Failure("WrongAnswer", "the loss is the same whatever its inputs are")
NOT_FINITE = Failure("WrongAnswer", "there are numbers in it that are not finite")
NO_STEP = Failure("WrongAnswer", "no gradient of what D says was followed")
NOTICEABLE = 1e-3  # of the largest gradient
UNEXPLAINED = 0.05  # of a gradient; D in half precision would leave less

_RUN = re.compile(r"(\d+)\.[xz]")
_FULLY_NOTED = {"vae_layers": ("0",), "gan_generator": ("0", "1")}  # of other runs, the connected layers at most
_NOTED = {"vae_layers": ("0", "1"), "gan_generator": ("0", "1")}
_OF_BOTH_SIDES = ("kernel", "stride", "padding", "output padding", "dilation")
_OF_ANY_SHAPE = ("train.z_taken", "eval.z_taken")


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
        if name not in reference.facts or not _is_alike(name, value, reference.facts[name]):
            del facts[name]
            failures.setdefault(name, OTHER_FORM)
    for name, values in findings.arrays.items():
        if not _has_form(name, values, reference.arrays.get(name)):
            del arrays[name]
            failures.setdefault(name, OTHER_FORM)
    judge = _OTHER_JUDGES.get(findings.probe, lambda *_: {})
    for name, failure in judge(arrays, facts, inputs).items():
        arrays.pop(name, None)
        failures.setdefault(name, failure)
    seed = inputs.get(f"{findings.probe}.seed")
    if seed is not None:
        for name in filter(_RUN.fullmatch, facts):
            facts[name] = list(_judged(findings.probe, name, facts[name], arrays, int(seed)))
    return replace(findings, facts=facts, arrays=arrays, failures=failures)


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
    if reference is None:
        return bool(re.fullmatch(r"\d+\.[xz]\.\d+\.(taken|given)", name)) and values.ndim >= 2
    if name in _OF_ANY_SHAPE:
        return True
    if name[0].isdigit():
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
        if name not in arrays:
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


def _judge_step(arrays: _Arrays, facts: Mapping[str, object], inputs: _Arrays) -> dict[str, Failure]:
    """An update that does not go against its gradient, or a gradient of G's that came through no judgement of D's."""
    wrong = {}
    for player in ("D", "G"):
        gradient, after = (arrays.get(f"{what}.{player}") for what in ("gradient", "after"))
        if gradient is None or after is None:
            continue
        if not np.isfinite(after).all():
            wrong[f"after.{player}"] = wrong[f"gradient.{player}"] = NOT_FINITE
        elif facts.get("steps") == {"D": 1, "G": 1} and not _goes_against(
            after - inputs[f"gan_step.{player}"], gradient
        ):
            wrong[f"after.{player}"] = wrong[f"gradient.{player}"] = NO_STEP
    if "gradient.G" in arrays and "after.D" in arrays and not wrong:
        got = arrays["gradient.G"].astype(np.float64)
        try:
            if close(got, right_gradient_of_G(inputs, arrays["after.D"])):
                return wrong
            ways = ways_to_G(inputs, arrays["after.D"])
        except RuntimeError:  # what such a D says is no probability
            ways = np.full((1, 1), np.nan)
        if not np.isfinite(ways).all():
            return dict.fromkeys(("after.D", "gradient.D", "gradient.G"), NOT_FINITE)
        explained = ways @ np.linalg.lstsq(ways, got, rcond=None)[0] if np.isfinite(got).all() else 0
        if not np.linalg.norm(got - explained) <= UNEXPLAINED * np.linalg.norm(got):
            wrong["gradient.G"] = NO_STEP
    return wrong


def _goes_against(change: np.ndarray, gradient: np.ndarray) -> bool:
    """Whether a first step of Adam's may make this change; of too small a gradient it is not known."""
    told = np.abs(gradient) > NOTICEABLE * np.abs(gradient).max(initial=0)
    return bool((np.sign(change[told]) == -np.sign(gradient[told])).all() and not change[gradient == 0].any())


_OTHER_JUDGES = {"vae_reparameterize": _judge_samples, "vae_losses": _judge_losses, "gan_step": _judge_step}


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
    apart = torch.from_numpy(np.diff(taken.astype(np.float64), axis=0))
    try:
        with torch.no_grad():
            expected = _run(layer, apart, weight).numpy()
    except RuntimeError:  # such a layer can't take it
        return False
    got = np.diff(given.astype(np.float64), axis=0)
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
