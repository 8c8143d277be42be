"""What a submission must have, and every way in which one hasn't: one sentence each. Standard library only."""

import re

from coursekit.analysis import Analysis
from coursekit.staging import CODES, README_NAMES, REPORT_SIGNATURES, Report, Staged

REQUIRED_PROJECT = "VAE"
OPTIONAL_PROJECTS = ("GAN",)
PROJECTS = (REQUIRED_PROJECT, *OPTIONAL_PROJECTS)
REQUIRED_FILES = ("main.py", "model.py", "trainer.py", "dataset.py")
MAX_BYTES = 50 * 10**6  # in whichever megabytes a hand-in page counts, this much passes
STUDENT_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def number_problems(number: str) -> list[str]:
    """Say what is wrong with a student number, after which a file is named."""
    if STUDENT_NUMBER.fullmatch(number):
        return []
    form = "64 letters, digits, - and _ at most, the first one a letter or a digit"
    return [f"'{number}' is not a student number: {form}"]


def report_problems(report: Report | None) -> list[str]:
    """Say that there is no report, or why nobody could read it."""
    if report is None:
        return [f"no {' or '.join(REPORT_SIGNATURES)} beside {CODES}/: put your report there"]
    problem = report.problem()
    return [problem] if problem else []


def code_problems(staged: Staged, analysis: Analysis) -> list[str]:
    """Name the files that are missing and the blocks that are empty, of an optional project only if it is handed in."""
    problems = list(staged.problems)
    for project in PROJECTS:
        if project == REQUIRED_PROJECT or staged.has(project):
            problems += [*_missing_files(staged, project), *_unfilled_blocks(analysis, project)]
    return problems


def size_problems(what: str, num_bytes: int) -> list[str]:
    """Say that something is too large to be handed in."""
    if num_bytes <= MAX_BYTES:
        return []
    limit = f"{MAX_BYTES:,} ({MAX_BYTES // 10**6} MB)"
    return [f"{what} has {num_bytes:,} bytes, more than {limit}: make the report's pictures smaller"]


def _missing_files(staged: Staged, project: str) -> list[str]:
    names = [f"{CODES}/{project}/{name}" for name in REQUIRED_FILES]
    problems = [
        f"{name} is a link: put the file itself there" if name in staged.links else f"{name} is missing"
        for name in names
        if name not in staged.files
    ]
    readmes = {f"{CODES}/{project}/{name}".lower() for name in README_NAMES}
    if readmes.isdisjoint(name.lower() for name in staged.files):
        problems.append(f"{CODES}/{project}: no {' or '.join(README_NAMES)} in it")
    return problems


def _unfilled_blocks(analysis: Analysis, project: str) -> list[str]:
    """Name the blocks without code, or without their TODO lines; of an optional project only where others have code."""
    blocks = analysis.blocks(project)
    if project != REQUIRED_PROJECT and not any(block["is_filled"] for block in blocks):
        return []
    return [
        f"{CODES}/{block['file']}:{block['line']}: block {block['number']} is not filled in"
        if block["line"] is not None
        else f"{CODES}/{block['file']}: block {block['number']} has lost its TODO lines: put them back around your code"
        for block in blocks
        if not block["is_filled"]
    ]
