"""The zip that a student hands in: collected, looked at, packed, and unpacked again before it counts.

Standard library only: nobody needs torch to hand in.
"""

import io
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from code_analyze.summary import visible
from coursekit.analysis import SUMMARY, Analysis, analyze
from coursekit.archive import pack
from coursekit.errors import CourseError, Refused
from coursekit.files import write_atomically
from coursekit.public_checks import run_public_checks
from coursekit.requirements import (
    OPTIONAL_PROJECTS,
    PROJECTS,
    code_problems,
    number_problems,
    report_problems,
    size_problems,
)
from coursekit.staging import CODES, Staged, find_report, find_top, stage_codes

NUM_STEPS = 5
SHOWN_FILES = 30


def submit(student_number: str, start: Path, out: Path | None = None, anyway: bool = False) -> Path:
    """Pack what a student hands in as `STUDENT_NUMBER.zip`, and say on the way what is in it and what is doubtful.

    Args:
        student_number: letters, digits, - and _.
        start: the course's folder, or a folder in it.
        out: the folder for the zip; None for the course's folder.
        anyway: pack what is incomplete, too.
    Returns:
        The zip's path.
    Raises:
        Refused: something that is asked for is missing or wrong. An earlier zip is untouched.
        CourseError: not in a course's folder, analyze.py can't make a summary, the zip doesn't hold what was put into
            it, or the disk is full. An earlier zip is untouched.
    """
    try:
        top = find_top(start)
        with tempfile.TemporaryDirectory(prefix="submit-", ignore_cleanup_errors=True) as scratch:
            archive, files, analysis = _prepare(student_number, top, anyway, Path(scratch))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CourseError(f"{error.filename or 'a file'}: {error.strerror or error}; no zip was written") from error
    except MemoryError as error:
        raise CourseError("the files are too large for this machine's memory; no zip was written") from error
    path = write_atomically((out or top).absolute() / f"{student_number}.zip", archive)
    _show(path, archive, files, analysis)
    return path


def verify(archive: bytes, files: Mapping[str, bytes], top: Path, scratch: Path) -> None:
    """Unpack a zip as a TA will, and see that it is what is handed in and gives the same summary.

    The names and bytes on the disk are the same: so no file is missing, and each one compiles as it did.

    Args:
        archive: the zip's bytes.
        files: what must be in it, by name.
        top: the course's folder, for its analyze.py.
        scratch: a folder to unpack in.
    Raises:
        CourseError: anything differs.
    """
    unpacked = scratch / "unpacked"
    (unpacked / CODES).mkdir(parents=True)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            opened.extractall(unpacked)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CourseError(f"the zip can't be unpacked again: {error}; no zip was written") from error
    paths = (path for path in unpacked.rglob("*") if not path.is_dir())
    found = {path.relative_to(unpacked).as_posix(): path.read_bytes() for path in paths}
    different = sorted(name for name in found.keys() | files.keys() if found.get(name) != files.get(name))
    if not different and analyze(top, unpacked / CODES, scratch).summary != files[SUMMARY]:
        different = [SUMMARY]
    if different:
        shown = ", ".join(different[:3]) + (", …" if len(different) > 3 else "")
        raise CourseError(f"the zip, unpacked again, differs in {visible(shown)}: no zip was written; try once more")


def _prepare(student_number: str, top: Path, anyway: bool, scratch: Path) -> tuple[bytes, dict[str, bytes], Analysis]:
    """Make a zip that has been seen to hold what is handed in: its bytes, its files, what analyze.py says."""
    _step(1, f"collecting what is handed in from {visible(str(top))}")
    staged, report = stage_codes(top), find_report(top)
    if left_out := staged.left_out():
        _say(f"left out: {left_out}")
    for remark in report.remarks if report else ():
        _warn(remark)

    _step(2, f"comparing your code with the scaffold ({SUMMARY})")
    codes = scratch / "staged" / CODES
    analysis = _analyze_staged(top, staged, codes, scratch)
    write_atomically(top / "code_analyze" / SUMMARY, analysis.summary)
    for problem in analysis.problems():
        _warn(problem)

    _step(3, "running the public checks, which takes some seconds")
    _run_checks(top, codes, scratch)

    _step(4, "packing")
    files = staged.files | {SUMMARY: analysis.summary}
    num_bytes = sum(map(len, files.values())) + (report.num_bytes if report else 0)
    problems = [
        *report_problems(report),
        *code_problems(staged, analysis),
        *size_problems("what is handed in", num_bytes),
    ]
    _refuse_or_warn(number_problems(student_number), problems, anyway)
    if report:
        files[report.name] = report.path.read_bytes()
    archive = pack(files)
    _refuse_or_warn([], size_problems("the zip", len(archive)), anyway)

    _step(5, "unpacking it again, to see that all is there")
    verify(archive, files, top, scratch)
    return archive, files, analysis


def _analyze_staged(top: Path, staged: Staged, codes: Path, scratch: Path) -> Analysis:
    """Write the staged code to a folder and analyze it; an optional project that nobody has worked on is taken out."""
    codes.mkdir(parents=True)
    for name, content in staged.files.items():
        path = codes.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    analysis = analyze(top, codes, scratch)
    unused = [name for name in OPTIONAL_PROJECTS if staged.has(name) and not analysis.is_touched(name)]
    for project in unused:
        _say(f"{CODES}/{project} is as you were given it: it is optional, and is not handed in")
        staged.take_out(project)
        shutil.rmtree(codes / project)
    return analyze(top, codes, scratch) if unused else analysis


def _run_checks(top: Path, codes: Path, scratch: Path) -> None:
    outcome = run_public_checks(top, codes, scratch)
    if outcome.not_run:
        _warn(f"the public checks were not run: {outcome.not_run}")
        return
    _say(f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped")
    for failure in outcome.failures:
        _warn(failure)
    for remark in outcome.remarks:
        _say(f"remark: {remark}")
    if outcome.failed:
        _say("a failure is worth a look before you hand in; passing them all is not the grade")


def _refuse_or_warn(final: list[str], problems: list[str], anyway: bool) -> None:
    """Refuse for a final problem, and for any other where the student doesn't want the zip anyway."""
    if final or (problems and not anyway):
        reasons = [*final, *problems]
        mend = "mend it" if len(reasons) == 1 else "mend them"
        hint = mend if final else f"{mend}, or add --anyway to hand in all the same"
        raise Refused([visible(reason) for reason in reasons], "no zip was written", hint)
    for problem in problems:
        _warn(f"handed in all the same: {problem}")


def _show(path: Path, archive: bytes, files: Mapping[str, bytes], analysis: Analysis) -> None:
    print(f"{visible(str(path))}: {_size(len(archive))}, {len(files)} files")
    names = sorted(files)
    for name in names[:SHOWN_FILES]:
        print(f"  {visible(name)} ({_size(len(files[name]))})")
    if len(names) > SHOWN_FILES:
        print(f"  … and {len(names) - SHOWN_FILES} more")
    blocks_of = {project: analysis.blocks(project) for project in PROJECTS}
    filled = [f"{sum(b['is_filled'] for b in bs)} of {len(bs)} in {project}" for project, bs in blocks_of.items() if bs]
    print(f"blocks filled: {', '.join(filled) or 'none'}")
    own, counted = analysis.content["own_code"]["own"], analysis.content["own_code"]["counted"]
    asked, is_enough = analysis.content["own_code"]["asked"], analysis.content["own_code"]["is_enough"]
    verdict = {None: "nothing to judge yet", True: "enough", False: "NOT enough"}[is_enough]
    # Cut off, not rounded: 69.96 must not look like 70.
    share = f" ({1000 * own // counted / 10} %)" if counted else ""
    print(f"own code: {own} of {counted} lines in blocks{share}, {100 * asked:.0f} % are asked: {verdict}", flush=True)


def _size(num_bytes: int) -> str:
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"


def _step(number: int, what: str) -> None:
    print(f"[{number}/{NUM_STEPS}] {what}", flush=True)


def _say(what: str) -> None:
    print(f"      {visible(what)}", flush=True)


def _warn(what: str) -> None:
    print(f"warning: {visible(what)}", file=sys.stderr, flush=True)
