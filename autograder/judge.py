"""Judging evidence: the graders of `tests/hidden`, run by pytest in processes that import nothing of a student's."""

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

GRADERS = Path(__file__).resolve().parents[1] / "tests" / "hidden"

# What pytest would do besides; half of a judgement's time.
_LEFT_OUT = (
    *("anyio", "cacheprovider", "capture", "debugging", "doctest", "faulthandler", "hypothesispytest", "junitxml"),
    *("logging", "looponfail", "pastebin", "recwarn", "setuponly", "setupplan", "stepwise", "terminal"),
    *("threadexception", "unraisableexception", "warnings", "xdist"),
)


@dataclass(frozen=True)
class Verdict:
    """What one check said of one submission; its points are not the judge's.

    Attributes:
        id: of the check.
        title: the sentence that holds for right code.
        passed: None for a check that could not be made, or is not to be made.
        blocks_fid: whether its project gets no points for the FID because of it.
        message: what is wrong, why it was not made, or a remark.
    """

    id: str
    title: str
    passed: bool | None
    blocks_fid: bool
    message: str


class JudgeError(Exception):
    """The graders themselves failed. The message is one line."""


def judge(evidence: Path, name: str, projects: Sequence[str]) -> list[Verdict]:
    """Judge one submission's evidence against the reference's.

    Args:
        evidence: the folder with `inputs/`, `reference/` and, under its name, the submission's.
        name: of the submission's folder in it.
        projects: those that were handed in.
    Returns:
        what each of the checks said, in the graders' order.
    Raises:
        JudgeError: pytest came to no results.
    """
    import torch  # one check takes the gradients of players of ours

    torch.set_num_threads(1)
    off = [option for plugin in _LEFT_OUT for option in ("-p", f"no:{plugin}")]
    settings = ["-o", "addopts=", "-o", "filterwarnings=", "--rootdir", str(GRADERS)]
    said = io.StringIO()
    with TemporaryDirectory() as scratch:
        results = Path(scratch, "results.json")
        given = ["--evidence", str(evidence), "--evidence-of", name, "--projects", ",".join(projects)]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = pytest.main([str(GRADERS), *off, *settings, *given, "--results", str(results)])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not results.is_file():
            last = said.getvalue().strip().splitlines()[-1:] or ["no reason given"]
            raise JudgeError(f"pytest ended with {status!r}: {last[0]}")
        rows = json.loads(results.read_text(encoding="utf-8"))
    return [Verdict(row["id"], row["title"], row["passed"], row["blocks_fid"], row["message"]) for row in rows]
