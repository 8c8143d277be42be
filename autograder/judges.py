"""Judging a class: many submissions at one time, each judgement in a process with limits that is kept for the next."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from autograder.judge import Verdict, judge
from autograder.limited import Helpers, Limits

# Judging takes less than a second, and the first time in a process some six; more is a submission's doing.
LIMITS = Limits(cpu_s=30, wall_s=300, memory_mb=2000)


class Judges(AbstractContextManager):
    """So many judges. One that a submission ends is replaced, and takes no other submission along.

    Args:
        jobs: how many at one time.
    """

    def __init__(self, jobs: int):
        self._helpers = Helpers()
        self._executor = ThreadPoolExecutor(jobs)

    def submit(self, evidence: Path, name: str, projects: Sequence[str]) -> "Future[list[Verdict]]":
        """Judge one submission (see `autograder.judge.judge`).

        Returns:
            what the checks will have said; or raises JudgeError, or LimitError where the judge was ended.
        """
        given = (evidence.absolute(), name, tuple(projects))
        return self._executor.submit(self._helpers.call, judge, *given, limits=LIMITS)

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, and end the processes."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._helpers.end()
        self._executor.shutdown()
