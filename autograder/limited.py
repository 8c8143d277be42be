"""Calling functions that read a student's bytes in processes with limits: what such bytes cost, they cost one student.

The processes are kept, as most calls take less than to start one. Each has one call at a time, so that it is known
whose bytes have ended it.
"""

import atexit
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MB = 1 << 20
_PROGRAM = "import sys; from autograder.limited import serve; serve(int(sys.argv[1]))"


@dataclass(frozen=True)
class Limits:
    """What one call may use.

    Attributes:
        cpu_s: seconds of computing time.
        wall_s: seconds from its start to its end, for a machine that is busy with other work.
        memory_mb: MiB of memory, beyond what the process has when the call begins.
        file_mb: MiB of the largest file that it writes.
    """

    cpu_s: float = 20
    wall_s: float = 200
    memory_mb: int = 2000
    file_mb: int = 64


USUAL = Limits()


class LimitError(Exception):
    """A call came to no end within its limits. The message is a clause, such as "it took more than 20 s …"."""


class Helpers:
    """Processes that are started as they are needed, one for each call at a time, and kept.

    Any thread may call. They end with this process, or with `end`.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []
        self._busy: set[_Helper] = set()
        atexit.register(self.end)

    def call(self, function: Callable[..., Any], *arguments: Any, limits: Limits | None = None) -> Any:
        """Call a function in one of the processes.

        Args:
            function: one that can be imported by its name; it must not depend on what this process has done before.
            arguments: of any types that can be pickled; paths must be absolute.
            limits: what the call may use; USUAL where nothing is said.
        Returns:
            what the function returns.
        Raises:
            LimitError: it came to no end.
            Exception: whatever the function raises.
        """
        helper = self._take()
        is_over = False
        try:
            is_result, answer = helper.ask(function, arguments, limits or USUAL)
            is_over = True
        finally:  # an interrupt, too, leaves a process behind that is still busy
            self._give_back(helper, is_over)
        if is_result:
            return answer
        raise answer

    def end(self) -> None:
        """End the processes; calls that are in one of them come to a LimitError."""
        with self._lock:
            helpers = [*self._idle, *self._busy]
            self._idle.clear()
        for helper in helpers:
            helper.end()

    def _take(self) -> "_Helper":
        with self._lock:
            helper = None
            while self._idle and helper is None:
                helper = self._idle.pop()
                if not helper.is_alive():
                    helper = helper.end()
            helper = helper or _Helper()
            self._busy.add(helper)
        return helper

    def _give_back(self, helper: "_Helper", is_over: bool) -> None:
        with self._lock:
            self._busy.discard(helper)
            if is_over and helper.is_alive():
                self._idle.append(helper)
                return
        helper.end()


class _Helper:
    """One process that calls functions, and the connection to it."""

    def __init__(self):
        self._connection, theirs = Pipe()
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        with theirs:
            # Not by multiprocessing, which lets no worker of Dask's start a process.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                cwd="/",
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, function: Callable[..., Any], arguments: tuple, limits: Limits) -> tuple[bool, Any]:
        """Send a call and wait for the answer: whether it is a result, and that or the exception.

        Raises:
            LimitError: there is none.
        """
        try:
            self._connection.send((function, arguments, limits))
            if not self._connection.poll(limits.wall_s):
                raise LimitError(f"it was not over after {limits.wall_s:,g} s")
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise LimitError(_reason(self._process.wait(), limits)) from error

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def _reason(status: int, limits: Limits) -> str:
    if status == -signal.SIGXCPU:
        return f"it took more than {limits.cpu_s:,g} s of computing time"
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with exit status {status}"


_SHARED = Helpers()
call, end = _SHARED.call, _SHARED.end


def serve(descriptor: int) -> None:
    """Call functions, in one of the processes, until the other side has gone."""
    connection = Connection(descriptor)
    while True:
        try:
            function, arguments, limits = connection.recv()
        except EOFError:
            return
        _limit(limits)
        try:
            answer = True, function(*arguments)
        except MemoryError:
            answer = False, LimitError(f"it took more than {limits.memory_mb:,} MB of memory")
        except Exception as error:
            answer = False, _portable(error)
        connection.send(answer)


def _portable(error: Exception) -> Exception:
    """An exception that another process can read: this one, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return LimitError(f"{type(error).__name__}: {error}")
    return error


def _limit(limits: Limits) -> None:
    """Let the system end this process, or refuse it memory, where the call that comes now takes too much."""
    import resource  # Windows has none, and only has to import this file

    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = {
        resource.RLIMIT_CPU: math.ceil(usage.ru_utime + usage.ru_stime + limits.cpu_s),
        resource.RLIMIT_DATA: _data_bytes() + limits.memory_mb * MB,
        resource.RLIMIT_FSIZE: limits.file_mb * MB,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in soft.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _data_bytes() -> int:
    """How much memory of its own this process has asked for, as RLIMIT_DATA counts it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:  # no Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
