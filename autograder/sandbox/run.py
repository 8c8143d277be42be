"""Running a command in a sandbox, and watching it until nothing of it is left."""

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from autograder.sandbox.bubblewrap import make_scratch
from autograder.sandbox.cgroup import Group, control_group
from autograder.sandbox.limits import (
    CPU_LIMIT,
    EXIT,
    FILE_SIZE_LIMIT,
    IDLE_LIMIT,
    KB,
    MB,
    MEMORY_LIMIT,
    OK,
    OUTPUT_LIMIT,
    PROCESS_LIMIT,
    SANDBOX_FAILED,
    SIGNAL,
    WALL_LIMIT,
    Limits,
    Outcome,
)
from autograder.sandbox.output import take_files
from autograder.sandbox.start import Started, StartedJob, StartedUnsafe, StartError, start_sandboxed, start_unsafe

PYTHON = sys.executable  # seen inside under the same name

_POLL_S = 0.025
_IDLE_SHARE = 0.01  # of a CPU: a loop of short naps takes less; whatever waits for a busy machine takes more
_FLOOD = 64  # times what is kept: so much output is no longer somebody's debugging
_FULL = 0.98  # of a tmpfs: what was written last may not have fitted
_LIMIT_SIGNALS = {signal.SIGXCPU: CPU_LIMIT, signal.SIGXFSZ: FILE_SIZE_LIMIT}


def run_in_sandbox(
    command: list[str],
    *,
    inputs: Mapping[str, bytes | Path],
    limits: Limits,
    outputs: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    unsafe: bool = False,
    own_code: bool = False,
) -> Outcome:
    """Run a command that may do anything, and take what it writes to /out.

    It sees this Python with its packages, the system's libraries, its inputs below /in, /tmp, /out and its own
    processes, and nothing else: no network, no variables, no descriptors but stdin (empty), stdout and stderr. Where
    the caller is root it runs as a user whom nothing belongs to.

    Args:
        command: the program's full path, such as PYTHON, and its arguments; it starts in /tmp.
        inputs: path below /in -> a file's content, or a file or a folder to be seen there, read-only.
        limits: what it may use.
        outputs: names of the files in /out to take.
        environment: variables for it, besides PATH, HOME, TMPDIR, LANG and PYTHONDONTWRITEBYTECODE.
        unsafe: run it with the caller's own rights where there is no bubblewrap: limits are kept as well as they can
            be from outside, everything else is in its hands. Arguments that start with /in/NAME or /out name the
            place where it is instead.
        own_code: whether it is the caller's own: only then does root run it with its own rights.
    Returns:
        how it ended, whatever it did.
    Raises:
        CourseError: there is no bubblewrap here, or something that an ordinary user can't read.
    """
    with make_scratch() as scratch, contextlib.ExitStack() as stack:
        what = (command, _put_down(inputs, Path(scratch)), limits, environment or {}, Path(scratch))
        group = None if unsafe else stack.enter_context(control_group(limits))
        try:
            started = start_unsafe(*what, own_code) if unsafe else start_sandboxed(*what, group)
        except StartError as error:
            return Outcome(SANDBOX_FAILED, stderr=str(error).encode())
        stack.callback(started.close)
        return watch(started, limits, outputs, group, sandboxed=not unsafe)


def watch(
    started: Started | StartedUnsafe | StartedJob,
    limits: Limits,
    outputs: Collection[str],
    group: Group | None,
    *,
    sandboxed: bool,
) -> Outcome:
    """Watch what was started until nothing of it is left, and take its output; see `run_in_sandbox`."""
    try:
        watched = _Watch(started, limits, group)
        watched.until_the_end()
    finally:
        started.kill()
        exit_status = started.wait()
    watched.drain()
    status, number = watched.judge(exit_status)
    evidence, problems = take_files(started.output, outputs, limits.file_mb * MB)
    return Outcome(
        status,
        exit_code=None if watched.reason or number is not None else exit_status,
        signal=number,
        cpu_s=watched.cpu_s,
        wall_s=watched.wall_s,
        peak_memory_mb=watched.peak_memory / MB,
        stdout=bytes(watched.kept[started.streams[0]]),
        stderr=bytes(watched.kept[started.streams[1]]),
        evidence=evidence,
        problems=tuple(problems),
        sandboxed=sandboxed,
    )


class _Watch:
    """One command's run: what it has used and written so far, and why it was killed, if it was."""

    def __init__(self, started: Started | StartedUnsafe | StartedJob, limits: Limits, group: Group | None):
        self.started = started
        self.limits = limits
        self.group = group
        self.reason = ""
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.at_work = (0.0, 0.0)  # wall and CPU time when it was last seen to have computed something
        self.peak_memory = 0
        self.was_full = False
        self.written = 0
        self.kept = {stream: bytearray() for stream in started.streams}

    def until_the_end(self) -> None:
        """Read its output and measure it until it ends or passes a limit."""
        begin = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for stream in self.kept:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            next_look = begin
            while not self.reason and not self.started.has_ended():
                for key, _ in selector.select(max(0.0, next_look - time.monotonic())):
                    with contextlib.suppress(BlockingIOError):
                        if not self._read(key.fileobj):
                            selector.unregister(key.fileobj)
                now = time.monotonic()
                if now >= next_look:
                    self.reason = self._passed_limit(now - begin)
                    next_look = now + _POLL_S
                if self._is_flood():
                    self.reason = OUTPUT_LIMIT
        self.wall_s = time.monotonic() - begin

    def drain(self) -> None:
        """Read what is left in the pipes, and wait for nobody: without a sandbox there may be somebody left."""
        for stream in self.kept:
            with stream, contextlib.suppress(BlockingIOError):
                while self._read(stream) and not self._is_flood():
                    pass

    def judge(self, exit_status: int | None) -> tuple[str, int | None]:
        """Name how it ended: the status, and the signal that ended it by itself."""
        if self.group is not None:
            self.cpu_s = max(self.cpu_s, self.group.cpu_s())
            if self.group.is_out_of_memory():
                self.reason, self.peak_memory = MEMORY_LIMIT, max(self.peak_memory, self.limits.memory_mb * MB)
        if self.reason:
            return self.reason, None
        if exit_status is None:
            return SANDBOX_FAILED, None
        if exit_status == 0:
            return OK, None
        number = exit_status - 128
        if number in signal.valid_signals():
            return _LIMIT_SIGNALS.get(number, SIGNAL), number
        return (FILE_SIZE_LIMIT if self.was_full or self._is_full() else EXIT), None

    def _read(self, stream: object) -> bool:
        """Read once; tell whether there may be more."""
        piece = os.read(stream.fileno(), 1 << 16)
        self.written += len(piece)
        kept = self.kept[stream]
        kept += piece[: max(0, self.limits.output_kb * KB - len(kept))]
        return bool(piece)

    def _is_flood(self) -> bool:
        return self.written > _FLOOD * self.limits.output_kb * KB

    def _passed_limit(self, wall_s: float) -> str:
        usage = self.started.tree.measure(self.limits.memory_mb * MB)
        self.cpu_s = max(self.cpu_s, usage.cpu_s, 0.0 if self.group is None else self.group.cpu_s())
        self.peak_memory = max(self.peak_memory, usage.memory)
        self.was_full |= self._is_full()
        if usage.processes > self.limits.processes:
            return PROCESS_LIMIT
        if usage.memory > self.limits.memory_mb * MB:
            return MEMORY_LIMIT
        if self.cpu_s > self.limits.cpu_s:
            return CPU_LIMIT
        if self._is_idle(wall_s):
            return IDLE_LIMIT
        return WALL_LIMIT if wall_s > self.limits.wall_s else ""

    def _is_idle(self, wall_s: float) -> bool:
        since, cpu_s = self.at_work
        if self.cpu_s - cpu_s > _IDLE_SHARE * self.limits.idle_s:
            self.at_work = since, cpu_s = wall_s, self.cpu_s
        return wall_s - since > self.limits.idle_s

    def _is_full(self) -> bool:
        spaces = map(os.fstatvfs, self.started.tree.tmpfs)
        return any(space.f_bavail < (1 - _FULL) * space.f_blocks for space in spaces)


def check_input_name(name: str) -> None:
    """Raise ValueError where an input's name is no path below /in."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or name in ("", "."):
        raise ValueError(f"{name!r} is no path below /in")


def _put_down(inputs: Mapping[str, bytes | Path], scratch: Path) -> dict[str, Path]:
    """Write contents to files, so that all inputs are paths."""
    sources = {}
    for number, (name, source) in enumerate(inputs.items()):
        check_input_name(name)
        if isinstance(source, bytes):
            sources[name] = scratch / f"input{number}"
            sources[name].write_bytes(source)
            sources[name].chmod(0o644)
        else:
            sources[name] = source
    return sources
