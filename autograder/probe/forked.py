"""`python -m autograder.probe.forked CODES INPUTS OUT FIRST LATER PROBE ...`: run probes, each in a fork of its own.

INPUTS is a folder with PROBE.npz for each of them. FIRST and LATER are seconds of CPU and wall time, "20,60": what a
probe may take, and what one may take once another was stopped for its time. Importing torch takes longer than all the
probes do. What stopped a probe is written to OUT/PROBE.stopped, one line; it is empty for one that came to its end.
"""

import contextlib
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path

from autograder.probe import warm  # noqa: F401
from autograder.probe.run import run_probe

_POLL_S = 0.01
_TICK_S = 0.1  # how exactly a process's CPU time is known
_TOO_LONG = ("it ran for more than ", "it took more than ")


def main() -> None:
    """Read the arguments and run one probe after the other."""
    codes, inputs, out = map(Path, sys.argv[1:4])
    first, later = (dict(zip(("cpu_s", "wall_s"), map(int, times.split(",")), strict=True)) for times in sys.argv[4:6])
    allowed = first
    for probe in sys.argv[6:]:
        stopped = run_in_fork(probe, codes, inputs / f"{probe}.npz", out, **allowed)
        if stopped.startswith(_TOO_LONG):
            allowed = later
        (out / f"{probe}.stopped").write_text(stopped, encoding="utf-8")


def run_in_fork(probe: str, codes: Path, inputs: Path, out: Path, wall_s: float, cpu_s: float = math.inf) -> str:
    """Run one probe in a fork of this process, which has torch loaded; see `autograder.probe.run.run_probe`.

    Args:
        wall_s: how long it may take.
        cpu_s: how long it may compute.
    Returns:
        what stopped it, a clause; "" where it came to its end.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            if cpu_s < math.inf:
                resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))  # a fork begins at 0
            run_probe(probe, codes, inputs, out)
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + wall_s
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            _kill(child)
            os.waitpid(child, 0)
            return f"{_TOO_LONG[0]}{wall_s:g} s"
        time.sleep(_POLL_S)
    _kill(child)  # what it left running, as long as the number of its group can't be another's
    _, status, used = os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(status)
    if status in (-signal.SIGXCPU, -signal.SIGKILL) and used.ru_utime + used.ru_stime > cpu_s - _TICK_S:
        return f"{_TOO_LONG[1]}{cpu_s:,} s of computing time"
    if status < 0:
        return f"it was ended by signal {-status}"
    return f"it ended with exit status {status}" if status else ""


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
