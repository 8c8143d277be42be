"""What a training and a drawing left, read with suspicion. To be called in a process with limits."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.evidence import read_failure
from autograder.kept_numbers import count_numbers
from autograder.sandbox.evidence import ArraySpec, EvidenceError, read_any_arrays, read_arrays, read_json
from coursekit.errors import DIVERGED

# The files that the two programs of autograder/probe write.
TRAINED = ("weights.json", "weights.npz")
DRAWN = ("sampling.json", "images.npz")
_WEIGHTS = ArraySpec(None, ("float32", "float64"), finite=False)


class Stopped(Exception):
    """The student's code came to no result.

    Args:
        reason: a clause that says why.
        diverged: whether training left the finite numbers, by what the kit saw; the reason may be a student's words.
    """

    def __init__(self, reason: str, diverged: bool = False):
        super().__init__(reason, diverged)
        self.reason, self.diverged = reason, diverged


@dataclass(frozen=True)
class Weights:
    """A trained model's state.

    Attributes:
        names: of its arrays.
        arrays: an .npz file of them, called 0, 1, 2, ... as any name could be one of np.savez's own.
        count: of the numbers that they come to (see `autograder.kept_numbers.count_numbers`).
    """

    names: Sequence[str]
    arrays: bytes
    count: int


def read_weights(files: Mapping[str, bytes], max_bytes: int) -> Weights:
    """Read what a training left.

    Args:
        files: name -> content, written by the student's process.
        max_bytes: how large the state may be.
    Raises:
        Stopped: it came to no end, or its weights are of no use.
    """
    facts_file, arrays_file = TRAINED
    facts, failure = _read_facts(files, facts_file)
    if failure:
        raise Stopped(failure, facts.get("diverged") is True)
    try:
        arrays = read_any_arrays(files[arrays_file], _WEIGHTS, max_bytes=max_bytes)
        names = facts["names"]
        numbers = [str(number) for number in range(len(arrays))]
        if not isinstance(names, list) or set(map(type, names)) != {str} or len(set(names)) != len(names):
            raise EvidenceError("they have no names")
        if len(names) != len(arrays) or set(arrays) != set(numbers):
            raise EvidenceError("they have other names")
    except (EvidenceError, KeyError) as error:
        raise Stopped(f"its trained weights can't be read: {_said(error)}") from error
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise Stopped(f"its trained weights have NaN or infinity in them: {DIVERGED}", diverged=True)
    stream = io.BytesIO()
    np.savez(stream, **{number: arrays[number] for number in numbers})
    count = count_numbers({name: arrays[number] for name, number in zip(names, numbers, strict=True)})
    return Weights(names, stream.getvalue(), count)


def read_images(files: Mapping[str, bytes], shape: tuple[int, ...], max_bytes: int) -> np.ndarray:
    """Read the images that were drawn.

    Args:
        files: name -> content, written by the student's process.
        shape: (N, channels, height, width), what they must have.
        max_bytes: how large they may be.
    Returns:
        the images, uint8.
    Raises:
        Stopped: there are none.
    """
    facts_file, images_file = DRAWN
    _, failure = _read_facts(files, facts_file)
    if failure:
        raise Stopped(failure)
    try:
        return read_arrays(files[images_file], {"images": ArraySpec(shape, "uint8")}, max_bytes=max_bytes)["images"]
    except (EvidenceError, KeyError) as error:
        raise Stopped(f"the images that it drew can't be read: {_said(error)}") from error


def _read_facts(files: Mapping[str, bytes], name: str) -> tuple[Mapping[str, object], str]:
    """What a program wrote down besides arrays, and what stopped the student's code, a clause or ""."""
    try:
        said = read_json(files[name])
        failures = [read_failure(one) for one in said["failures"].values()]
        return dict(said["facts"]), failures[0].sentence() if failures else ""
    except (EvidenceError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Stopped("it left no results") from error


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EvidenceError) else "there are none"
