"""`summary.txt` made anew from what was handed in, in a process of its own: a student's file may cost any time."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from code_analyze import analyze
from coursekit.analysis import SUMMARY, Analysis

CPU_S = 60
WALL_S = 120
MEMORY_BYTES = 2 * 10**9
FILE_BYTES = 16 * 10**6  # of a summary; a good one has some 20 kB
CONTENT = "summary.json"


class SummaryError(Exception):
    """No summary could be made. The message is the reason, one line."""


def make_summary(codes: Path, scaffold: Path, out: Path) -> Analysis:
    """Run analyze.py on a student's code, and keep `summary.txt` and `summary.json`.

    Args:
        codes: the student's folder with the project folders in it.
        scaffold: the pristine one.
        out: the folder for the two files.
    Raises:
        SummaryError: analyze.py came to no end within its limits.
    """
    summary, content = (out / SUMMARY).absolute(), (out / CONTENT).absolute()
    flags = {"--target_dir": codes, "--origin_dir": scaffold, "--output_file": summary, "--json": content}
    command = [sys.executable, "-I", "-S", str(Path(analyze.__file__).absolute())]
    for flag, path in flags.items():
        command += [flag, str(Path(path).absolute())]
    process = subprocess.Popen(
        command,
        cwd="/",
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_limit,
    )
    try:
        status = process.wait(WALL_S)
    except subprocess.TimeoutExpired as error:
        raise SummaryError(f"analyze.py was not over after {WALL_S} s") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status not in (0, 1):
        what = f"analyze.py was stopped by signal {-status}" if status < 0 else f"analyze.py ended with status {status}"
        raise SummaryError(f"{what}; a file may be too large or too deep to be compared")
    try:
        return Analysis(summary.read_bytes(), json.loads(content.read_bytes()))
    except (OSError, ValueError) as error:
        raise SummaryError("analyze.py made no summary; the code may be too large for it") from error


def is_same_summary(theirs: bytes, ours: bytes) -> bool:
    """Whether two summaries say the same; a mail program may have changed line ends or set a byte-order mark."""
    return _lines(theirs) == _lines(ours)


def _lines(summary: bytes) -> list[bytes]:
    return summary.removeprefix(b"\xef\xbb\xbf").rstrip().replace(b"\r\n", b"\n").split(b"\n")


def _limit() -> None:
    import resource  # Windows has none, and only has to import this file

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
