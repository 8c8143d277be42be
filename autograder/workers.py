"""Where students' code is run: in threads of this process that wait for sandboxes, or by the workers of a Dask cluster.

Both are executors as `concurrent.futures` has them, and both are given the same functions. What goes to a worker and
what comes back are bytes and numbers, so that a worker needs the kit and none of this machine's files.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from autograder import course, limited
from autograder.cluster import Scheduler, cluster
from autograder.pace import Took
from autograder.probing import Probed, Prober, open_prober
from coursekit.errors import CourseError


@dataclass(frozen=True)
class Work:
    """The probes of one submission.

    Attributes:
        codes: path below the folder that holds VAE and GAN -> content.
        probes: names, of `autograder.evidence.ALL_PROBES`.
        inputs: probe -> the .npz file that it is given.
        limits: the sandbox's.
        unsafe: whether to do without one.
        took: project -> what it took of the reference; nothing for the reference itself.
        before: what came out before, where these are the probes that were late then.
    """

    codes: Mapping[str, bytes]
    probes: Sequence[str]
    inputs: Mapping[str, bytes]
    limits: course.Limits
    unsafe: bool
    took: Mapping[str, Took] = field(default_factory=dict)
    before: Probed | None = None


def probe(work: Work) -> Probed:
    """Run the probes of one submission, on whichever machine this is.

    Raises:
        CourseError: no probe can be run here.
    """
    given = (work.codes, work.probes, work.inputs, work.took, work.before)
    prober = _PROBERS.get(work.limits, work.unsafe)
    try:
        return prober.run_paced(*given)
    except CourseError:
        # Once more: the process that the jobs are forked from may have been killed, where memory ran out.
        _PROBERS.drop(prober)
        return _PROBERS.get(work.limits, work.unsafe).run_paced(*given)


@contextlib.contextmanager
def workers(jobs: int, scheduler: Scheduler | None, limits: course.Limits, unsafe: bool) -> Iterator[Executor]:
    """Give an executor for functions of this module and of `autograder.training`.

    Args:
        jobs: how many at one time, where there is no scheduler.
        scheduler: a Dask cluster's, or None.
        limits, unsafe: as the work will say.
    Raises:
        CourseError: there is no sandbox here, or no such cluster, or none that can be trusted.
    """
    if scheduler is not None:
        with cluster(scheduler) as executor:
            yield executor
        return
    open_prober_here(limits, unsafe)
    executor = ThreadPoolExecutor(jobs)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        # And with them what still runs, so that the threads have nothing to wait for.
        _PROBERS.end()
        limited.end()
        executor.shutdown()


def open_prober_here(limits: course.Limits, unsafe: bool) -> None:
    """Open the prober that `workers` will use, unless it is open.

    From the thread that stays: bubblewrap ends its sandbox with the thread that has started it.

    Raises:
        CourseError: there is no sandbox here.
    """
    _PROBERS.begin()
    _PROBERS.get(limits, unsafe)


class _Probers:
    """The one prober of this process, made when it is first needed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._open: dict[tuple[course.Limits, bool], Prober] = {}
        self._is_over = False

    def get(self, limits: course.Limits, unsafe: bool) -> Prober:
        with self._lock:
            if self._is_over:
                raise CourseError("grading has been stopped")
            if (limits, unsafe) not in self._open:
                self._open[limits, unsafe] = self._stack.enter_context(open_prober(limits, unsafe))
            return self._open[limits, unsafe]

    def drop(self, prober: Prober) -> None:
        """Close a prober that has failed, unless another thread has done so already."""
        with self._lock:
            if prober in self._open.values():
                self._close()

    def end(self) -> None:
        """Close it, and let no thread that is still at work open another."""
        with self._lock:
            self._is_over = True
            self._close()

    def begin(self) -> None:
        """Let probers be opened again."""
        self._is_over = False

    def _close(self) -> None:
        self._open.clear()
        self._stack.close()


_PROBERS = _Probers()
