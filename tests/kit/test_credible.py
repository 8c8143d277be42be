"""What findings must have to be believed: a forged layer costs the student that layer, and is nobody else's fault."""

import contextlib
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from autograder.credible import LARGEST_KERNEL, MOST_UNFOLDED, believable
from autograder.evidence import Findings, NotSeen
from autograder.inputs import VAE_DEFAULTS
from autograder.networks import vae_networks
from autograder.probe.weights import drawn_weights
from autograder.tables import CONNECTED, CONVOLUTION, NORM, SEEN, TRANSPOSED

SEED = 7
INPUTS = {"vae_layers.seed": np.array(SEED)}
RUN = "0.x"
CONV = {
    "key": "1",
    "ran": True,
    "kind": CONVOLUTION,
    "inputs": 2,
    "outputs": 4,
    "kernel": [3, 3],
    "stride": [1, 1],
    "padding": [1, 1],
    "output padding": [0, 0],
    "dilation": [1, 1],
    "groups": [1],
}
LINEAR = {"key": "2", "ran": True, "kind": CONNECTED, "inputs": 3, "outputs": 2}
NORMED = {"key": "3", "ran": True, "kind": NORM, "inputs": 4, "outputs": 4, "eps": 1e-5, "momentum": 0.1}
NORMED |= {"learns": True, "keeps statistics": True}


def findings(layers: list, arrays: dict[str, np.ndarray]) -> Findings:
    return Findings("vae_layers", arrays, {RUN: layers, "0.x.sampled_at": 1})


def judged(layers: list, arrays: dict[str, np.ndarray]) -> Findings:
    return believable(findings(layers, arrays), findings([CONV], {}), INPUTS)


def noted(index: int, taken: np.ndarray, given: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{RUN}.{index}.taken": taken.astype(np.float32), f"{RUN}.{index}.given": given.astype(np.float32)}


def of_a_linear(index: int) -> dict[str, np.ndarray]:
    """What the layer LINEAR takes and gives as the layer of this number."""
    taken = np.arange(6.0).reshape(2, 3) ** 2
    return noted(index, taken, taken @ drawn_weights(SEED, index, (3, 2), 2))


def seen(found: Findings) -> list[bool]:
    return [layer[SEEN] for layer in found.facts[RUN]]


def test_a_layer_that_computes_what_it_says_is_seen():
    assert seen(judged([LINEAR], of_a_linear(0))) == [True]
    assert seen(judged([LINEAR], noted(0, np.ones((2, 3)), np.ones((2, 2))))) == [False]


FORGED = {
    "no outputs": {"outputs": 0},
    "no inputs": {"inputs": 0},
    "a kernel of none": {"kernel": [0, 0]},
    "a stride of none": {"stride": [0, 1]},
    "no groups": {"groups": [0]},
    "groups that don't divide": {"groups": [3]},
    "two numbers of groups": {"groups": [1, 1]},
    "a kernel for one side": {"kernel": [3]},
    "a padding for three sides": {"padding": [1, 1, 1]},
    "a dilation of none": {"dilation": [0, 0]},
    "a huge kernel": {"kernel": [1000, 1000], "padding": [501, 501]},
    "a huge padding": {"padding": [10**6, 10**6], "stride": [10**6, 10**6]},
    "an output padding": {"output padding": [9, 9]},
    "a million outputs": {"outputs": 10**6},
}


@pytest.mark.parametrize("kind", [CONVOLUTION, TRANSPOSED])
@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_layer_costs_that_layer_and_no_other(kind, forged):
    arrays = noted(0, np.arange(72.0).reshape(2, 2, 3, 6), np.ones((2, 4, 3, 6))) | of_a_linear(1)
    found = judged([{**CONV, "kind": kind, **FORGED[forged]}, LINEAR], arrays)
    assert seen(found) == [False, True]
    assert found.failures == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": True},
        {"outputs": -1},
        {"outputs": 10**15},
        {"inputs": 2.0},
        {"kernel": []},
        {"kernel": [True, 1]},
        {"kernel": 3},
        {"groups": [-1]},
        {"kind": "a magic layer"},
        {"key": 1},
        {"ran": 1},
    ],
)
def test_what_has_no_layer_s_form_is_no_run(changed):
    found = judged([{**CONV, **changed}], {})
    assert RUN not in found.facts
    assert "another form" in found.failures[RUN].message


@pytest.mark.parametrize("changed", [{"eps": 1}, {"eps": "x"}, {"learns": 1}, {"keeps statistics": None}])
def test_what_has_no_normalisation_s_form_is_no_run(changed):
    assert RUN not in judged([{**NORMED, **changed}], {}).facts


@pytest.mark.parametrize("eps", [math.nan, math.inf, -1.0])
def test_a_normalisation_of_any_numbers_is_judged_by_what_it_computes(eps):
    taken = np.arange(48.0).reshape(2, 4, 2, 3) ** 2
    assert seen(judged([{**NORMED, "eps": eps}], noted(0, taken, 2 * taken + 1))) == [True]
    assert seen(judged([{**NORMED, "eps": eps}], noted(0, taken, taken**2))) == [False]
    assert seen(judged([{**NORMED, "eps": eps}], noted(0, np.ones((2, 0)), np.ones((2, 0))))) == [False]


def test_no_layer_is_computed_that_takes_much_memory():
    """Padded by half a kernel, a large one gives as much as it takes, and is unfolded into far more."""
    side = LARGEST_KERNEL - 1
    large = {**CONV, "inputs": 64, "outputs": 1, "kernel": [side, side], "padding": [side // 2, side // 2]}
    taken = np.random.default_rng(0).normal(size=(2, 64, 64, 64))
    assert 64 * side**2 * 64**2 * 2 > MOST_UNFOLDED
    assert seen(judged([large], noted(0, taken, taken[:, :1]))) == [False]


def test_many_layers_that_take_long_are_not_all_computed():
    large = {**CONV, "inputs": 64, "outputs": 64}
    taken = np.random.default_rng(0).normal(size=(2, 64, 32, 32)).astype(np.float32)
    arrays = {f"{RUN}.{index}.{what}": taken for index in range(150) for what in ("taken", "given")}
    begin = time.process_time()
    assert not any(seen(judged([large] * 150, arrays)))
    assert time.process_time() - begin < 10


# Anything at all.

NUMBERS = st.integers(-2, 40) | st.sampled_from([0, 1, True, 10**6, 10**7, 10**19, -(10**19)])
ANYTHING = NUMBERS | st.none() | st.booleans() | st.text(max_size=3) | st.lists(NUMBERS, max_size=4)
ANYTHING = ANYTHING | st.floats(allow_subnormal=False)  # torch may have switched them off in this process
NAMES = sorted({*CONV, *NORMED})
SIDES = st.lists(st.integers(0, 5), min_size=1, max_size=3)
FORGERIES = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3) | st.dictionaries(
    st.sampled_from(["kernel", "stride", "padding", "output padding", "dilation", "groups"]), SIDES, max_size=4
)
LAYERS = st.builds(lambda layer, forged: {**layer, **forged}, st.sampled_from([CONV, LINEAR, NORMED]), FORGERIES)
LAYERS = LAYERS | st.builds(lambda layer: {**layer, "kind": TRANSPOSED}, LAYERS)
SHAPES = st.sampled_from([(2, 2, 3, 3), (2, 4, 3, 3), (2, 3), (2, 2), (2, 4, 2, 3)]) | arrays_of.array_shapes(
    min_dims=1, max_dims=4, min_side=0, max_side=5
)
FLOATS = st.floats(width=32, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 3e38, -3e38])
ARRAYS = st.dictionaries(
    st.builds("{}.{}.{}".format, st.just(RUN), st.integers(0, 3), st.sampled_from(["taken", "given"])),
    arrays_of.arrays(np.float32, SHAPES, elements=FLOATS, fill=FLOATS),
    max_size=8,
)


@given(st.lists(LAYERS | ANYTHING, max_size=4) | st.lists(LAYERS, min_size=1, max_size=4), ARRAYS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # activations of numbers as large as any
def test_whatever_is_forged_is_judged(layers, arrays):
    found = judged(layers, arrays)
    if RUN in found.facts:
        assert [type(one) for one in seen(found)] == [bool] * len(layers)
    for network in vae_networks(replace(found, facts={RUN: [], **found.facts}), 0, *VAE_DEFAULTS):
        network.left_over()
        for index in range(len(network.rows)):
            network.is_right(index)
            for asked in (network.differences, network.stands_behind):
                with contextlib.suppress(NotSeen):
                    asked(index)
