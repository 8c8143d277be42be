"""`python -m autograder.probe.forked CODES INPUTS OUT WALL_S PROBE ...`: run probes, each in a fork of this process.

INPUTS is a folder with PROBE.npz for each of them. Importing torch takes longer than all the probes do. What stopped a
probe is written to OUT/PROBE.stopped, one line; it is empty for a probe that came to its end.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from autograder.probe import warm  # noqa: F401
from autograder.probe.run import run_probe

_POLL_S = 0.01


def main() -> None:
    """Read the arguments and run one probe after the other."""
    codes, inputs, out = map(Path, sys.argv[1:4])
    wall_s, probes = float(sys.argv[4]), sys.argv[5:]
    for probe in probes:
        stopped = run_in_fork(probe, codes, inputs / f"{probe}.npz", out, wall_s)
        (out / f"{probe}.stopped").write_text(stopped, encoding="utf-8")


def run_in_fork(probe: str, codes: Path, inputs: Path, out: Path, wall_s: float) -> str:
    """Run one probe in a fork of this process, which has torch loaded; see `autograder.probe.run.run_probe`.

    Args:
        wall_s: how long it may take.
    Returns:
        what stopped it, a clause; "" where it came to its end.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            run_probe(probe, codes, inputs, out)
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + wall_s
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            _kill(child)
            os.waitpid(child, 0)
            return f"it ran for more than {wall_s:g} s"
        time.sleep(_POLL_S)
    _kill(child)  # what it left running, as long as the number of its group can't be another's
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return f"it was ended by signal {-status}"
    return f"it ended with exit status {status}" if status else ""


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
