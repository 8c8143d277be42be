"""Starting a command: in a sandbox, or, where there is none and somebody wants it so, without."""

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autograder.sandbox.bubblewrap import INPUTS, OUTPUT, process_limits, program_text, sandbox_command, spare_user
from autograder.sandbox.cgroup import Group
from autograder.sandbox.limits import MB, Limits
from autograder.sandbox.seccomp import setup_filter
from autograder.sandbox.tree import Tree
from coursekit.errors import CourseError

_START_LIMIT_S = 30
_END_LIMIT_S = 10
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


class StartError(Exception):
    """There is no sandbox; the message is what bubblewrap says about it."""


class _InNamespaces:
    """What runs in a sandbox, whoever started it: process 1 of its pid namespace, all processes, their folders."""

    first: int
    tree: Tree

    def kill(self) -> None:
        """Kill everything, at once: the kernel ends a pid namespace with its process 1."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.first, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the sandbox's folders."""
        for descriptor in (self.first, self.tree.proc, *self.tree.tmpfs):  # the output folder is one of them
            os.close(descriptor)


@dataclass
class Started(_InNamespaces):
    """A command that runs in a sandbox.

    Args:
        process: bubblewrap, which ends with the command's exit status.
        streams: its stdout and stderr.
        first: a pidfd of the sandbox's process 1; when it has ended, so have all others.
        tree: all of them.
        output: a descriptor of the output folder.
    """

    process: subprocess.Popen
    streams: tuple[BinaryIO, BinaryIO]
    first: int
    tree: Tree
    output: int

    def wait(self) -> int | None:
        """Wait until nothing is left; give the exit status (128 + N for signal N), None where there is none."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.first, selectors.EVENT_READ)
            selector.select(_END_LIMIT_S)
        try:
            status = self.process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:  # a process that waits for a device can't be killed
            return None
        return status if status >= 0 else None

    def has_ended(self) -> bool:
        """Tell whether the command has; what it left running is killed with bubblewrap's end."""
        return self.process.poll() is not None


@dataclass
class StartedJob(_InNamespaces):
    """A job of the fork server; see `Started`. Its exit status comes over the socket `home`."""

    home: socket.socket
    streams: tuple[BinaryIO, BinaryIO]
    first: int
    tree: Tree
    output: int

    def wait(self) -> int | None:
        """Wait until nothing is left; give the exit status (128 + N for signal N), None where there is none."""
        self.home.settimeout(_END_LIMIT_S)
        try:
            status = self.home.recv(4, socket.MSG_WAITALL)
        except OSError:
            status = b""
        return struct.unpack("=i", status)[0] if len(status) == 4 else None

    def has_ended(self) -> bool:
        """Tell whether nothing is left of it: process 1 ends with the job."""
        poll = select.poll()
        poll.register(self.first, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let go of the job's folders and of the socket."""
        self.home.close()
        super().close()


@dataclass
class StartedUnsafe:
    """A command that runs with the user's own rights; see `Started`. It can get away from `kill`."""

    process: subprocess.Popen
    streams: tuple[BinaryIO, BinaryIO]
    tree: Tree
    output: int

    def kill(self) -> None:
        """Kill the process group, and what is known to come from it."""
        for _ in range(10):  # what forks while it is being killed
            left = [process.pid for process in self.tree.processes()]
            for kill, pid in [(os.killpg, self.process.pid), *((os.kill, pid) for pid in left)]:
                try:
                    kill(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue
            if not left:
                break

    def wait(self) -> int | None:
        """Kill what is left; give the exit status (128 + N for signal N)."""
        status = self.process.wait(_END_LIMIT_S)
        self.kill()
        return status if status >= 0 else 128 - status

    def has_ended(self) -> bool:
        """Tell whether the command has."""
        return self.process.poll() is not None

    def close(self) -> None:
        """Let go of /proc and the output folder."""
        os.close(self.tree.proc)
        os.close(self.output)


def start_sandboxed(
    command: list[str],
    inputs: Mapping[str, Path],
    limits: Limits,
    environment: Mapping[str, str],
    scratch: Path,
    group: Group | None,
) -> Started:
    """Start a command in a sandbox (see `run_in_sandbox`), as one of a control group where there is one.

    Raises:
        CourseError: no bubblewrap, an unknown machine, or an input that can't be shown.
        StartError: bubblewrap fails, as where a container allows no namespaces.
    """
    filter_path = scratch / "filter"
    filter_path.write_bytes(setup_filter())
    shown = {f"{INPUTS}/{name}": path for name, path in inputs.items()}
    environment = {**ENVIRONMENT, "HOME": "/tmp", "TMPDIR": "/tmp", **environment}
    home, child = socket.socketpair()
    with home, child, filter_path.open("rb") as seccomp:
        descriptors = (child.fileno(), seccomp.fileno())
        program = sandbox_command(
            command,
            shown,
            process_limits(limits),
            limits.file_mb * MB,
            environment,
            scratch,
            *descriptors,
            None if group is None else group.processes,
        )
        process = _popen(program, descriptors)
        child.close()
        home.settimeout(_START_LIMIT_S)
        try:
            descriptors = socket.recv_fds(home, 16, 8)[1]
        except OSError:
            descriptors = []
    if len(descriptors) != 4:
        process.kill()
        _, stderr = process.communicate()
        raise StartError(stderr.decode("utf-8", "replace").strip() or "bubblewrap did not start")
    first, proc, output, temporary = descriptors
    return Started(process, (process.stdout, process.stderr), first, Tree(proc, (output, temporary)), output)


def start_unsafe(
    command: list[str],
    inputs: Mapping[str, Path],
    limits: Limits,
    environment: Mapping[str, str],
    scratch: Path,
    own_code: bool,
) -> StartedUnsafe:
    """Start a command without a sandbox, with limits for each process and a watcher.

    Where the caller is root, it runs as a user whom nothing belongs to, unless it is the caller's own code. Arguments
    that are paths below INPUTS or OUTPUT name the place where the file is instead.

    Raises:
        CourseError: the caller is root, and an ordinary user could not run it.
    """
    output, temporary = scratch / "out", scratch / "tmp"
    output.mkdir()
    temporary.mkdir()
    scratch.chmod(0o711)
    imported = [Path(folder) for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    user = None if own_code else unsafe_user([*inputs.values(), *imported])
    if user is not None:
        for folder in (output, temporary):
            os.chown(folder, user, user)
    places = {f"{INPUTS}/{name}": str(path.resolve()) for name, path in inputs.items()} | {OUTPUT: str(output)}
    settings = {
        "limits": {name: value for name, value in process_limits(limits).items() if name != "RLIMIT_NPROC"},
        "command": [_moved(argument, places) for argument in command],
        "environment": {**ENVIRONMENT, "HOME": str(temporary), "TMPDIR": str(temporary), **environment},
        "folder": str(temporary),
    }
    program = [sys.executable, "-I", "-S", "-c", program_text("inside"), json.dumps(settings)]
    process = _popen(program, (), user)
    proc = os.open("/proc", os.O_RDONLY)
    streams = (process.stdout, process.stderr)
    return StartedUnsafe(process, streams, Tree(proc, root=process.pid), os.open(output, os.O_RDONLY))


def unsafe_user(needed: Iterable[Path] = ()) -> int | None:
    """Choose who runs code without a sandbox: nobody but the caller where that is an ordinary user, else a spare user.

    Args:
        needed: files and folders that it must be able to reach, besides Python.
    Returns:
        a user's id; None for the caller.
    Raises:
        CourseError: the caller is root, and an ordinary user can't reach something that is needed.
    """
    if os.geteuid() != 0:
        return None
    python = [Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix)]
    for place in (*python, *needed):
        for path in (place.resolve(), *place.absolute().parents, *place.resolve().parents):
            wanted = 0o005 if path.is_dir() and path == place.resolve() else 0o001 if path.is_dir() else 0o004
            if path.stat().st_mode & wanted != wanted:
                raise CourseError(
                    f"without a sandbox the code would run as root, since no other user can read {place}: "
                    f"install bubblewrap, or let everybody read {path} (chmod o+rX), or move the kit and its Python"
                )
    return spare_user()


def _popen(program: list[str], descriptors: tuple[int, ...], user: int | None = None) -> subprocess.Popen:
    become = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    return subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        pass_fds=descriptors,
        start_new_session=True,
        **become,
    )


def _moved(argument: str, places: Mapping[str, str]) -> str:
    for place, path in places.items():
        if argument == place or argument.startswith(f"{place}/"):
            return path + argument.removeprefix(place)
    return argument
