"""How far something is that may take minutes: a bar on a terminal, a line every half a minute anywhere else."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
Progress = Callable[[Iterable[T]], Iterable[T]]  # gives the same things, and shows how far that is

LINE_S = 30  # between two lines in a log
LOOK_S = 1  # between two looks at what is running
LONG_S = 10  # what has run for longer is named
_MOST_NAMED = 4


class Tracker(AbstractContextManager):
    """Shows how far something is, on stderr. Use it in a `with` statement.

    A terminal gets a bar with rate and time left, gone when it is over. A log, a pipe or a notebook's file gets plain
    lines, LINE_S seconds apart at least, and none of what is over sooner.

    Args:
        what: is done, such as "judging".
        unit: what is counted, in the singular.
        total: how many there are, None where nobody knows.
        done: how many are done already.
    """

    def __init__(self, what: str, unit: str, total: int | None = None, done: int = 0):
        self.what, self.unit, self.total, self.done = what, unit, total, done
        self.note = ""
        self._bar = tqdm(total=total, initial=done, desc=what, unit=unit, file=sys.stderr, disable=None, leave=False)
        self._begin = self._last_line = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, more: int = 1) -> None:
        """Count what has been done."""
        self.done += more
        self._bar.update(more)
        self._line()

    def grow(self, total: int) -> None:
        """Say that there is more to do than was known."""
        self.total = self._bar.total = total

    def say(self, note: str) -> None:
        """Show a few words beside the numbers, such as what is running; "" for none."""
        if not self._bar.disable and note != self.note:
            self._bar.set_postfix_str(note)
        self.note = note
        self._line()

    def _line(self) -> None:
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= LINE_S:
            self._last_line = now
            of = "" if self.total is None else f" of {self.total:,}"
            took = tqdm.format_interval(now - self._begin)
            note = f"; {self.note}" if self.note else ""
            print(f"{self.what}: {self.done:,}{of} {self.unit}s after {took}{note}", file=sys.stderr, flush=True)


def bar(what: str, unit: str) -> Progress:
    """Show how far an iteration is; of an iterator without a length only how many."""

    def shown(things: Iterable[T]) -> Iterator[T]:
        with Tracker(what, unit, len(things) if hasattr(things, "__len__") else None) as tracker:
            for thing in things:
                yield thing
                tracker.update()

    return shown


def as_completed(pending: Mapping[Future, T], tracker: Tracker, named: Callable[[T], str]) -> Iterator[Future]:
    """Give futures as they are done, also those that are added meanwhile; the caller takes each one out.

    Args:
        pending: future -> what it is of.
        tracker: counts them, and names what has been running for long.
        named: gives the name of what a future is of.
    """
    since: dict[Future, float] = {}
    while pending:
        tracker.grow(max(tracker.total or 0, tracker.done + len(pending)))
        done, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield future
            tracker.update()
        now = time.monotonic()
        # A cluster doesn't tell which of many it has begun with.
        at_work = [future for future in pending if future.running() or len(pending) <= _MOST_NAMED]
        since = {future: since.get(future, now) for future in at_work}
        tracker.say(still_running({named(pending[future]): now - begin for future, begin in since.items()}))


def still_running(seconds: Mapping[str, float]) -> str:
    """Name what has been running for long, the longest first, as a clause; "" where nothing has."""
    long = sorted((item for item in seconds.items() if item[1] >= LONG_S), key=lambda item: -item[1])
    named = [f"{name} ({passed:.0f} s)" for name, passed in long[:_MOST_NAMED]]
    more = [f"{len(long) - _MOST_NAMED} more"] if len(long) > _MOST_NAMED else []
    return f"running: {', '.join(named + more)}" if named else ""
