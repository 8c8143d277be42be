"""A control group for each sandbox, where this machine lets one be made: limits that the kernel itself keeps.

Polling may see too late what was taken, and some memory is in no account but a group's. Nothing that is there is
changed: a group is made only where groups with such limits are made already, at this process's own group or above it.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from autograder.sandbox.limits import MB, Limits

_ROOT = Path("/sys/fs/cgroup")  # where version 2 is mounted
_OWN_GROUP = Path("/proc/self/cgroup")
_PREFIX = "coursekit-sandbox-"
_SPARE = 8  # processes: the sandbox has some of its own
_END_LIMIT_S = 2


class Group:
    """One sandbox's group. A lock on its folder, which a killed grader lets go of, says that it is in use.

    Args:
        parent: the folder that it is made in.
        limits: what all that is in it may use together.
    Raises:
        OSError: there can be none.
    """

    def __init__(self, parent: Path, limits: Limits):
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self.processes = self.path / "cgroup.procs"  # takes a process's number; what that starts is in it, too
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        settings = {"memory.max": limits.memory_mb * MB, "memory.oom.group": 1, "pids.max": limits.processes + _SPARE}
        for name, value in settings.items():
            (self.path / name).write_text(str(value))
        with contextlib.suppress(OSError):  # a kernel may know no swap
            (self.path / "memory.swap.max").write_text("0")

    def cpu_s(self) -> float:
        """Give the CPU time that all its processes have taken, those that have ended among them."""
        return self._read("cpu.stat")["usage_usec"] / 1e6

    def is_out_of_memory(self) -> bool:
        """Tell whether the kernel has killed it for its memory."""
        return self._read("memory.events")["oom_kill"] > 0

    def close(self) -> None:
        """Remove it, as soon as its last process has ended."""
        end = time.monotonic() + _END_LIMIT_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.path.rmdir()
                break
            time.sleep(0.01)
        os.close(self._lock)

    def _read(self, file: str) -> dict[str, int]:
        return {name: int(value) for name, value in map(str.split, (self.path / file).read_text().splitlines())}


@contextlib.contextmanager
def control_group(limits: Limits) -> Iterator[Group | None]:
    """Make a group with these limits for a while; None where there can be none, and polling must do."""
    parent = _parent()
    group = None if parent is None else Group(parent, limits)
    try:
        yield group
    finally:
        if group is not None:
            group.close()


@cache
def _parent() -> Path | None:
    """Find the folder to make groups in, and remove those in it whose graders were killed."""
    lines = _OWN_GROUP.read_text().splitlines() if _OWN_GROUP.is_file() else []
    for own in (_ROOT / line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        for folder in (folder for folder in (own, *own.parents) if folder.is_relative_to(_ROOT)):
            with contextlib.suppress(OSError):
                controllers = (folder / "cgroup.subtree_control").read_text().split()
                if {"memory", "pids"} <= set(controllers) and os.access(folder / "cgroup.procs", os.W_OK):
                    Group(folder, Limits()).close()
                    _sweep(folder)
                    return folder
    return None


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rmdir()
        os.close(lock)
