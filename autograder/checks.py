"""What a check of `tests/hidden` is written with: its declaration, the mistakes that it can name, its comparison."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autograder.evidence import NotSeen

TOLERANCE = 1e-3  # relative to the largest number; a guard of 1e-5 inside a logarithm stays below it


class Wrong(Exception):
    """The student's numbers are not the expected ones; the message says so in one sentence."""


class Missing(Wrong):
    """A part is missing without which a model is not the one that was asked for."""


class Waits(Exception):
    """A check can't be made because of what another one has found; the message is that one's points id."""


class NotLookedAt(Exception):
    """A check could not compare anything, so that it is neither passed nor failed; the message says why."""


@dataclass(frozen=True)
class Check:
    """What a check declares beside its code.

    Attributes:
        title: a sentence that holds for right code; it may hold names of the check's parameters in braces.
        points: the id of its points, likewise.
        probe: whose findings it is given as `submission` and `reference`.
        needed_for_fid: whether a project that does not pass it gets no points for its FID.
    """

    title: str
    points: str
    probe: str
    needed_for_fid: bool = False


def check(title: str, points: str, probe: str, needed_for_fid: bool = False) -> Callable[[Callable], Callable]:
    """Make a pytest function a check; the arguments are those of `Check`.

    Each check is judged by itself: what another one finds wrong is taken as it is, so that no mistake is paid for
    twice, and none hides another.
    """

    def declare(function: Callable) -> Callable:
        function.check = Check(title, points, probe, needed_for_fid)
        function.__test__ = True  # pytest collects it, though its name is a noun
        return function

    return declare


def fail(sentence: str, missing: bool = False) -> None:
    """Fail the check.

    Args:
        sentence: what is wrong, in words that a student can act upon.
        missing: whether a part is missing without which a model is not the one that was asked for.
    Raises:
        Wrong, Missing: always.
    """
    raise (Missing if missing else Wrong)(sentence)


def holds(check: Callable, *arguments: object) -> bool:
    """Whether a check passes, for another one that takes what this one finds wrong as it is."""
    try:
        check(*arguments)
    except (Wrong, Waits, NotLookedAt, NotSeen):
        return False
    return True


def mistake(got: np.ndarray | float, wrong: np.ndarray | float, sentence: str) -> None:
    """Fail the check if the student's numbers are those that a known mistake gives.

    Args:
        got, wrong: the student's numbers, and the mistake's.
        sentence: the mistake, in words that a student can act upon.
    Raises:
        Wrong: they are equal.
    """
    if close(got, wrong):
        raise Wrong(sentence)


def same(got: np.ndarray | float, expected: np.ndarray | float, what: str, tolerance: float = TOLERANCE) -> None:
    """Fail the check unless the student's numbers are the expected ones.

    Args:
        got, expected: numbers of the same shape.
        what: their name.
        tolerance: relative to the largest expected number.
    Raises:
        Wrong: they differ.
    """
    if close(got, expected, tolerance):
        return
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Wrong(f"{what} has shape {got.shape} where {expected.shape} is expected")
    if not np.isfinite(got).all():
        raise Wrong(f"{what} is not finite")
    if got.size == 1:
        raise Wrong(f"{what} is {got.item():.5g} where {expected.item():.5g} is expected")
    worst = np.unravel_index(np.argmax(np.abs(got - expected)), got.shape)
    raise Wrong(f"{what} is not as expected: for example {got[worst]:.5g} where {expected[worst]:.5g} is expected")


def close(got: np.ndarray | float, expected: np.ndarray | float, tolerance: float = TOLERANCE) -> bool:
    """Whether numbers are equal up to a part of the largest expected one."""
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if got.shape != expected.shape or not np.isfinite(got).all():
        return False
    return bool(np.abs(got - expected).max(initial=0) <= tolerance * np.abs(expected).max(initial=0) + 1e-6)
