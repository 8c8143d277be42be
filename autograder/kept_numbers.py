"""How many numbers a model may keep: more than the assignment's network has, beside it, could be stored images.

This is the coarse sieve: fifty images and their shifts have an FID that gives all the points. `copies` is the fine one.
"""

import math
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from autograder.inputs import GAN_DEFAULTS, VAE_DEFAULTS
from autograder.tables import CONNECTED, NORM, SEEN, Row, generator, vae_decoder, vae_encoder

# Of the table's numbers: a network of twice the width, or one with a moving average of its weights, has some 2.2.
MOST_OF_ALL = 3
SLACK = 20_000  # docstrings, constants, counters, the names of things
MOST_CODE = 24_000  # bytes, packed; the reference solution has 3,300, and a talkative one three times that
NUMBER_BYTES = 4


def table_numbers(project: str) -> int:
    """Count the weights, biases and running statistics of a project's table, at the default settings."""
    vae = [*vae_encoder(*VAE_DEFAULTS), *vae_decoder(*VAE_DEFAULTS)]
    return sum(map(_numbers_of, vae if project == "VAE" else generator(*GAN_DEFAULTS)))


def _numbers_of(row: Row) -> int:
    taps = 1 if row.kind == CONNECTED else row.geometry["kernel"] ** 2
    return (row.inputs * taps + 1) * row.outputs + (4 * row.outputs + 1 if "BN" in row.after else 0)


def layer_numbers(layers: Iterable[Mapping]) -> int:
    """Count the weights and biases of layers that ran, as a probe describes them, where they were seen to compute."""
    by_place = {layer["key"]: layer for layer in layers if layer["ran"] and layer.get(SEEN, True)}
    return sum(
        4 * layer["outputs"] + 1
        if layer["kind"] == NORM
        else layer["outputs"] * (1 + layer["inputs"] * math.prod(layer.get("kernel", ())))
        for layer in by_place.values()
    )


def what_is_too_much(kept: Mapping[str, int], layers: Iterable[Mapping], project: str) -> str:
    """Say that a model and its files could hold images, a sentence; "" where they can't.

    Args:
        kept: what `autograder.probe.kept` counted.
        layers: those that ran, as a probe describes them. However wide they are, that much isn't kept beside them.
        project: "VAE" or "GAN".
    """
    table, own = table_numbers(project), layer_numbers(layers)
    beside = kept["numbers"] - own
    if beside > table + SLACK:
        return (
            f"beside the layers that run, your model and its files keep {beside:,} numbers or more, in parameters, "
            f"buffers, attributes, constants or texts; the table's whole network has {table:,}"
        )
    if kept["numbers"] > MOST_OF_ALL * table + SLACK:
        return f"your layers have {own:,} weights, where the table's network has {table:,}"
    if kept["code"] > MOST_CODE:
        return f"your files hold {kept['code']:,} bytes when packed, which is far more than such code needs"
    return ""


def count_numbers(state: Mapping[str, np.ndarray]) -> int:
    """Count the numbers of four bytes that a model's state, name -> array, comes to, the letters of its names too."""
    return sum(values.nbytes // NUMBER_BYTES + len(name) for name, values in state.items())


def what_is_too_much_in(count: int, project: str) -> str:
    """Say that a trained model's state could hold images, a clause; "" where it can't.

    Args:
        count: of its numbers, as `count_numbers` gives it.
        project: "VAE" or "GAN".
    """
    most = MOST_OF_ALL * table_numbers(project) + SLACK
    if count <= most:
        return ""
    return f"what its trained model keeps comes to {count:,} numbers, where the table's network has {most:,} at most"


def what_is_too_much_code(codes: Mapping[str, bytes]) -> str:
    """Say that a project's files could hold images, a clause; "" where they can't."""
    packed = len(zlib.compress(b"".join(codes[name] for name in sorted(codes)), 1))
    return f"its files hold {packed:,} bytes when packed, which is far more than code" if packed > MOST_CODE else ""
