"""What analyze.py says about a student's code. Standard library only."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coursekit.errors import CourseError

SUMMARY = "summary.txt"


@dataclass(frozen=True)
class Analysis:
    """A comparison of a student's code with the scaffold.

    Attributes:
        summary: the bytes of summary.txt.
        content: the same for machines, as `analyze.py --json` gives it.
    """

    summary: bytes
    content: Mapping[str, Any]

    def blocks(self, project: str) -> list[dict[str, Any]]:
        """The TODO blocks of a project."""
        return [block for block in self.content["blocks"] if block["file"].startswith(f"{project}/")]

    def is_touched(self, project: str) -> bool:
        """Whether a project holds anything that is not as in the scaffold."""
        names = [*self.content["additional"]]
        names += [block["file"] for block in self.content["blocks"] if block["is_touched"]]
        names += [item["file"] for kind in ("modifications", "problems") for item in self.content[kind]]
        return any(name.startswith(f"{project}/") for name in names)

    def changed_outside_blocks(self, project: str) -> list[str]:
        """The Python files of a project whose given lines are no longer the scaffold's; reformatted ones are not."""
        names = [item["file"] for item in self.content["modifications"] if item["origin"] and item["changes"]]
        names += [item["file"] for item in self.content["problems"]]
        return sorted({name for name in names if name.startswith(f"{project}/") and name.endswith(".py")})

    def problems(self) -> list[str]:
        """Each problem in a line: where, and what."""
        return [f"{_place(problem)}: {problem['what']}" for problem in self.content["problems"]]


def analyze(top: Path, codes: Path, scratch: Path) -> Analysis:
    """Run a course's analyze.py on a folder of code, as a TA does.

    Args:
        top: the course's folder.
        codes: the code, which need not be the course's own.
        scratch: a folder for what analyze.py writes.
    Raises:
        CourseError: it could not make a summary; the message is its own.
    """
    program = top / "code_analyze" / "analyze.py"
    summary, content = scratch / SUMMARY, scratch / "summary.json"
    for path in (summary, content):
        path.unlink(missing_ok=True)  # an earlier one must not be taken for this run's
    done = subprocess.run(
        [sys.executable, str(program), "--target_dir", codes, "--output_file", summary, "--json", content],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    if done.returncode not in (0, 1):
        said = next((line for line in reversed(lines) if line.strip()), f"{program}: no output")
        raise CourseError(f"{said}; no zip was written")
    try:
        return Analysis(summary.read_bytes(), json.loads(content.read_bytes()))
    except (OSError, ValueError) as error:
        raise CourseError(f"{program} made no summary: unpack the handout again, or report this") from error


def _place(problem: Mapping[str, Any]) -> str:
    name = f"codes/{problem['file']}"
    return f"{name}:{problem['line']}" if problem["line"] else name
