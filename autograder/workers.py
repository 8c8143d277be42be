"""Where students' code is run: in threads of this process that wait for sandboxes, or by the workers of a Dask cluster.

Both are executors as `concurrent.futures` has them, and both are given the same functions. What goes to a worker and
what comes back are bytes and numbers, so that a worker needs the kit and none of this machine's files.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from autograder import course, limited
from autograder.evidence import Ran
from autograder.probing import Prober, open_prober
from coursekit.errors import CourseError

RETRIES = 3  # of what was running on a worker that was lost
CONNECT_S = 30


@dataclass(frozen=True)
class Work:
    """The probes of one submission.

    Attributes:
        codes: path below the folder that holds VAE and GAN -> content.
        probes: names, of `autograder.evidence.ALL_PROBES`.
        inputs: probe -> the .npz file that it is given.
        limits: the sandbox's.
        unsafe: whether to do without one.
    """

    codes: Mapping[str, bytes]
    probes: Sequence[str]
    inputs: Mapping[str, bytes]
    limits: course.Limits
    unsafe: bool


def probe(work: Work) -> dict[str, Ran]:
    """Run the probes of one submission, on whichever machine this is.

    Returns:
        probe -> what it left.
    Raises:
        CourseError: no probe can be run here.
    """
    prober = _PROBERS.get(work.limits, work.unsafe)
    try:
        return prober.run(work.codes, work.probes, work.inputs)
    except CourseError:
        # Once more: the process that the jobs are forked from may have been killed, where memory ran out.
        _PROBERS.drop(prober)
        return _PROBERS.get(work.limits, work.unsafe).run(work.codes, work.probes, work.inputs)


@contextlib.contextmanager
def workers(jobs: int, scheduler: str | None, limits: course.Limits, unsafe: bool) -> Iterator[Executor]:
    """Give an executor for functions of this module and of `autograder.training`.

    Args:
        jobs: how many at one time, where there is no scheduler.
        scheduler: the address of a Dask cluster's, such as "tcp://10.0.0.1:8786".
        limits, unsafe: as the work will say.
    Raises:
        CourseError: there is no sandbox here, or no such cluster.
    """
    if scheduler is not None:
        with _cluster(scheduler) as executor:
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


@contextlib.contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise CourseError("--scheduler needs Dask: pip install --editable '.[cluster]'") from error
    try:
        client = Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise CourseError(
            f"--scheduler {scheduler}: no Dask scheduler answers there; start one with 'dask scheduler'"
        ) from error
    with client:
        executor = client.get_executor(pure=False, retries=RETRIES)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


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
