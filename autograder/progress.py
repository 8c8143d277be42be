"""A bar with rate and time left for what may take minutes; on a terminal only, and gone when it is over."""

import functools
from collections.abc import Callable, Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Progress = Callable[[Iterable[T]], Iterable[T]]  # gives the same things, and shows how far that is


def bar(what: str, unit: str) -> Progress:
    """A bar for things of one kind; that of an iterator without a length shows only how many."""
    return functools.partial(tqdm, desc=what, unit=unit, disable=None, leave=False)
