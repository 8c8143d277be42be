"""Comparing numbers with the expected ones, and naming the mistake that a wrong number comes from."""

import math
from collections.abc import Iterable, Mapping

import pytest
import torch
from torch import Tensor

from .student_code import CodeStopped

TOLERANCE = 1e-3  # relative; a guard of 1e-5 inside a logarithm stays below it


def complain(sentence: str) -> None:
    """Fail the check with one sentence."""
    pytest.fail(sentence, pytrace=False)


def as_number(what: str, value: object, finite: bool = True) -> float:
    """A number that the student may give as a float, or as a tensor of one number.

    Raises:
        CodeStopped: it is something else.
    """
    if isinstance(value, Tensor) and value.numel() != 1:
        raise CodeStopped(
            f"{what} should be one number, and is a tensor of shape {tuple(value.shape)} (see its docstring)."
        )
    try:
        number = float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError):
        raise CodeStopped(
            f"{what} should be one number, and is a {type(value).__name__} (see its docstring)."
        ) from None
    if finite and not math.isfinite(number):
        raise CodeStopped(f"{what} is {number} for ordinary inputs.")
    return number


def check_number(what: str, found: float, expected: float, mistakes: Mapping[str, float], look: str) -> None:
    """Fail unless a number is the expected one.

    Args:
        what: the number's name.
        found, expected: the student's and the right one.
        mistakes: mistake, as the end of a sentence -> the number that it gives.
        look: where to read more.
    """
    if not is_close(found, expected):
        mistake = next((mistake for mistake, wrong in mistakes.items() if is_close(found, wrong)), None)
        why = f": {mistake}" if mistake else ""
        complain(f"{what} is {found:.5g} where {expected:.5g} is expected{why} (see {look}).")


def is_close(found: float, expected: float) -> bool:
    """Equal up to rounding and to the guards that are allowed."""
    return abs(found - expected) <= TOLERANCE * abs(expected) + 1e-6


def all_equal(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether tensors are those expected, one by one and up to rounding."""
    pairs = zip(found, expected, strict=True)
    return all(one.shape == other.shape and torch.allclose(one, other, atol=1e-6) for one, other in pairs)


def check_gradient(what: str, found: Tensor, expected: Tensor, mistakes: Mapping[str, Tensor], look: str) -> None:
    """Fail unless a gradient, as one long row of numbers, is the expected one; the arguments are check_number's."""
    if not is_near(found, expected):
        mistake = next((mistake for mistake, wrong in mistakes.items() if is_near(found, wrong)), None)
        if mistake is None:
            mistake = f"its length is {found.norm():.4g} where {expected.norm():.4g} is expected"
            if torch.allclose(found.norm(), expected.norm(), rtol=TOLERANCE):
                mistake = "it has the right length and a wrong direction"
        complain(f"{what} is not the expected one: {mistake} (see {look}).")


def is_near(found: Tensor, expected: Tensor) -> bool:
    """Whether two gradients are equal up to rounding."""
    return bool((found - expected).norm() <= TOLERANCE * expected.norm())


def combine(values: Mapping[str, float], scales: Mapping[str, float]) -> dict[str, float]:
    """Every mistake alone, then every two together: a wrong formula, and a wrong sum or average of it.

    Args:
        values: mistake -> what it gives; "" is the right formula.
        scales: mistake -> the factor that it brings in; "" is the right one.
    """
    pairs = {(mistake, scale): value * factor for mistake, value in values.items() for scale, factor in scales.items()}
    by_number = sorted(pairs.items(), key=lambda item: sum(map(bool, item[0])))
    return {"; besides, ".join(filter(None, names)): value for names, value in by_number if any(names)}
