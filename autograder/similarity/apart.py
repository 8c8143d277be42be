"""Looking at students' files in processes with limits, several works at a time; what ends one costs one work."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from autograder import limited

LIMITS = limited.Limits(cpu_s=30, wall_s=120, memory_mb=2_000, file_mb=512)
PARCEL, MOST_JOBS = 25, 8
MANY = 1_000  # of which each core takes some: fewer are done before a second process has begun

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[..., list[Result]],
    items: Sequence[Item],
    context: bytes,
    instead: Callable[[Item, limited.LimitError], Result],
) -> Iterator[Result]:
    """Give what a function makes of each item, in their order.

    Args:
        function: of some items and the context, which gives a list as long; it can be imported by its name.
        items: what can be pickled.
        context: what all calls are given besides.
        instead: what to give for an item that came to no end within the limits, asked for alone.
    """
    parcels = [items[at : at + PARCEL] for at in range(0, len(items), PARCEL)]
    jobs = min(_cores(), MOST_JOBS) if len(items) >= MANY else 1
    with ThreadPoolExecutor(jobs) as pool:
        try:
            pending = [pool.submit(_parcel, function, parcel, context, instead) for parcel in parcels]
            for done in pending:
                yield from done.result()
        except BaseException:  # an interrupt, above all: what still runs is waited for by nobody
            pool.shutdown(wait=False, cancel_futures=True)
            limited.end()
            raise


def _parcel(
    function: Callable[..., list[Result]],
    items: Sequence[Item],
    context: bytes,
    instead: Callable[[Item, limited.LimitError], Result],
) -> list[Result]:
    try:
        return limited.call(function, items, context, limits=LIMITS)
    except limited.LimitError as error:
        if len(items) == 1:
            return [instead(items[0], error)]
        return [result for item in items for result in _parcel(function, [item], context, instead)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
