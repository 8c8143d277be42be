"""What a command in the sandbox may use, and how it ended."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

OK = "ok"
EXIT = "exit"
SIGNAL = "signal"
CPU_LIMIT = "cpu limit"
WALL_LIMIT = "wall limit"
IDLE_LIMIT = "idle limit"
MEMORY_LIMIT = "memory limit"
PROCESS_LIMIT = "process limit"
FILE_SIZE_LIMIT = "file size limit"
OUTPUT_LIMIT = "output limit"
SANDBOX_FAILED = "sandbox failed"

MB = 1 << 20
KB = 1 << 10


@dataclass(frozen=True)
class Limits:
    """Limits of a command and of everything that it starts, taken together.

    Args:
        cpu_s: seconds of CPU time.
        wall_s: seconds from its start to its end.
        memory_mb: memory of all processes, and of all that lies in /tmp and in the output folder, in MiB.
        processes: processes and threads at one time.
        file_mb: the largest file, and all files in /tmp, and all files in the output folder, in MiB.
        output_kb: how much of stdout, and of stderr, is kept, in KiB.
        idle_s: seconds without a break in which it takes less than a hundredth of a CPU.
    """

    cpu_s: float = 60
    wall_s: float = 120
    memory_mb: int = 2048
    processes: int = 64
    file_mb: int = 64
    output_kb: int = 64
    idle_s: float = math.inf


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it left.

    Args:
        status: one of "ok" (exit status 0), "exit", "signal", "cpu limit", "wall limit", "idle limit",
            "memory limit", "process limit", "file size limit", "output limit" and "sandbox failed".
        exit_code: its exit status; None where it was killed.
        signal: the signal that ended it, where one did. An exit status of 128 + N counts as signal N, as in shells.
        cpu_s: CPU time of all its processes.
        wall_s: how long it ran.
        peak_memory_mb: the most memory seen, in MiB.
        stdout: the beginning of what it wrote there.
        stderr: likewise; where the sandbox failed, why.
        evidence: name -> content of the files in the output folder that were asked for.
        problems: one line for each file there that is missing or was not taken.
        sandboxed: False where it ran without a sandbox.
    """

    status: str
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_mb: float = 0.0
    stdout: bytes = b""
    stderr: bytes = b""
    evidence: Mapping[str, bytes] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    sandboxed: bool = True
