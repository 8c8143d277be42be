"""`summary.txt` made anew from what was handed in, in another process: a student's file may cost any time."""

import json
from pathlib import Path

from autograder import limited
from autograder.limited import MB, Limits
from code_analyze import analyze
from coursekit.analysis import SUMMARY, Analysis

LIMITS = Limits(cpu_s=60, file_mb=16)
FILE_BYTES = LIMITS.file_mb * MB  # of a summary; a good one has some 20 kB
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
    arguments = [str(part) for flag, path in flags.items() for part in (flag, path.absolute())]
    try:
        status = limited.call(analyze.main, arguments, limits=LIMITS)
    except limited.LimitError as error:
        raise SummaryError(f"analyze.py was stopped: {error}; a file may be too large or too deep for it") from error
    if status not in (0, 1):
        raise SummaryError(f"analyze.py ended with status {status}; the code may be too large for it")
    try:
        return Analysis(summary.read_bytes(), json.loads(content.read_bytes()))
    except (OSError, ValueError) as error:
        raise SummaryError("analyze.py made no summary; the code may be too large for it") from error


def is_same_summary(theirs: bytes, ours: bytes) -> bool:
    """Whether two summaries say the same; a mail program may have changed line ends or set a byte-order mark."""
    return _lines(theirs) == _lines(ours)


def _lines(summary: bytes) -> list[bytes]:
    return summary.removeprefix(b"\xef\xbb\xbf").rstrip().replace(b"\r\n", b"\n").split(b"\n")
