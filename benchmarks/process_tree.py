"""What a command and all that it starts take: CPU time, wall time, memory."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.sandbox.tree import Tree

POLL_S = 0.02


@dataclass(frozen=True)
class Used:
    """Seconds, and bytes at the worst moment."""

    cpu_s: float
    wall_s: float
    memory: int


def run(command: Sequence[object], cwd: Path, environment: Mapping[str, str] | None = None, fair: bool = False) -> Used:
    """Run a command to its end.

    Args:
        fair: count memory that processes share once, which takes the machine some time.
    Raises:
        subprocess.CalledProcessError: it ended with another exit status than 0 or 1; its last words are in `stderr`.
    """
    begin = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    # Read as it comes, or a full pipe stops the command.
    os.set_blocking(process.stderr.fileno(), False)
    words = b""
    proc = os.open("/proc", os.O_RDONLY)
    tree, cpu_s, memory = Tree(proc, root=process.pid), 0.0, 0
    while True:
        # Not reaped yet: what it and its children took stays to be read until then.
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        used = tree.measure(0 if fair else 1 << 50)
        cpu_s, memory = max(cpu_s, used.cpu_s), max(memory, used.memory)
        words = (words + (process.stderr.read() or b""))[-10_000:]
        if ended is not None:
            break
        time.sleep(POLL_S)
    os.close(proc)
    process.stderr.close()
    if process.wait() not in (0, 1):
        raise subprocess.CalledProcessError(process.returncode, process.args, stderr=words)
    return Used(cpu_s, time.monotonic() - begin, memory)
