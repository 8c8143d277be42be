"""The checks that a student may run before handing in, run for them. Standard library only."""

import os
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

CHECKS = Path("tests", "public")
TIME_LIMIT_S = 300  # they take seconds; a block with an endless loop must not keep a student from handing in
SENTENCE_LENGTH = 400  # an exception of a student's code may say anything
# pytest names the exception before its message, and the phase where that isn't the test itself.
_BEFORE_MESSAGE = re.compile(r"(?:failed on \w+ with \")?(?:AssertionError|Failed|NotImplementedError): ")


@dataclass
class Outcome:
    """What the public checks said.

    Attributes:
        passed, failed, skipped: how many checks did.
        failures: one sentence for every way to fail, with the names of the checks that failed in it.
        remarks: what is worth knowing and no fault.
        not_run: why there is no outcome, as one sentence, or "".
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    not_run: str = ""


def run_public_checks(top: Path, codes: Path, scratch: Path) -> Outcome:
    """Run `tests/public` of a course's folder on a copy of the student's code.

    Args:
        top: the course's folder.
        codes: the copy.
        scratch: a folder for what pytest writes.
    Raises:
        OSError: pytest can't be started, or its output can't be written.
    """
    if not any((top / CHECKS).glob("test_*.py")):
        return Outcome(not_run=f"there is no {CHECKS.as_posix()} here")
    if find_spec("pytest") is None:
        return Outcome(not_run="pytest is not installed (pip install pytest)")
    results, output = scratch / "checks.xml", scratch / "checks.txt"
    options = ["-q", "-p", "no:cacheprovider", f"--codes_dir={codes}"]
    options += [f"--junitxml={results}", "-o", "junit_family=xunit1"]  # pytest warns of remarks in its newer form
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", str(CHECKS), *options],
            cwd=top,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            status = process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            return Outcome(not_run=f"they were not over after {TIME_LIMIT_S} s; is there an endless loop in your code?")
        finally:  # after an interrupt, too
            process.kill()
            process.wait()
    try:
        outcome = _read(results)
    except (OSError, ElementTree.ParseError):  # pytest didn't get as far as writing it
        outcome = Outcome()
    if not outcome.passed + outcome.failed + outcome.skipped:
        lines = output.read_text("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        return Outcome(not_run=f"pytest ended with status {status} ({last})")
    return outcome


def _read(results: Path) -> Outcome:
    outcome = Outcome()
    failed_in = defaultdict(list)
    tree = ElementTree.parse(results)
    for case in tree.iter("testcase"):
        complaints = [case.find("failure"), case.find("error")]
        complaint = next((element for element in complaints if element is not None), None)
        if complaint is not None:
            outcome.failed += 1
            failed_in[_sentence(complaint.get("message", ""))].append(case.get("name", ""))
        elif case.find("skipped") is not None:
            outcome.skipped += 1
        else:
            outcome.passed += 1
    remarks = (p.get("value", "") for p in tree.iter("property") if p.get("name") == "remark")
    outcome.remarks = list(dict.fromkeys(remarks))
    outcome.failures = [f"{_names(names)}: {sentence}" for sentence, names in failed_in.items()]
    return outcome


def _sentence(message: str) -> str:
    lines = [line.strip() for line in message.split("\n") if line.strip()] or ["no message"]
    # A sentence, and where there is more to say a second one; pytest's own words about an assertion say nothing.
    said = " ".join([lines[0], *(line for line in lines[1:2] if not line.startswith("assert "))])
    return textwrap.shorten(_BEFORE_MESSAGE.sub("", said, count=1), SENTENCE_LENGTH, placeholder=" …")


def _names(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
