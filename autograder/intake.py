"""A folder of hand-ins → one row for every student, each with a tree that can be graded, or the reason why not."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from autograder import limited
from autograder.archives import MB, ArchiveError, Spent, copy_folder, unpack
from autograder.course import IntakeLimits
from autograder.layout import Layout, names_in_short, read_layout, why_no_code
from autograder.limited import LimitError, Limits
from autograder.names import folder_name
from autograder.nested import open_zips_in
from autograder.overlay import overlay
from autograder.progress import Progress
from autograder.sources import HandIn, find_hand_ins, lone_hand_in
from autograder.summaries import FILE_BYTES, SummaryError, is_same_summary, make_summary
from code_analyze.summary import visible
from coursekit.analysis import SUMMARY, Analysis
from coursekit.errors import CourseError
from coursekit.requirements import OPTIONAL_PROJECTS
from coursekit.staging import CODES

_UNPACKED = "unpacked"
_UNPACKING_CPU_S = 60  # of the largest that is taken some five are needed
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_SCAFFOLD = ".scaffold"  # no student's folder begins with a dot


@dataclass(frozen=True)
class Submission:
    """One student's row.

    Attributes:
        student: the student number, or the name that the hand-in is known by where that isn't clear.
        source: the hand-in's path below the folder of hand-ins.
        status: "ok" or "refused".
        folder: this student's own folder in the scratch folder; it is not there where refused.
        reason: why it was refused, one line; "" where it wasn't.
        remarks: what the TA should know, one line each.
        superseded: older hand-ins of the student.
        projects: the projects that were handed in, such as ("VAE",); an optional one only if it was worked on.
        codes: what is graded: the scaffold with the student's files in place of its own; None where refused.
        report: the report's name; None where there is none.
        summary: whether summary.txt is the one that analyze.py makes: "same", "different", "missing"; "unknown" where
            analyze.py made none.
        analysis: what analyze.py says about the student's code; None where it made no summary.
    """

    student: str
    source: str
    status: Literal["ok", "refused"]
    folder: Path
    reason: str = ""
    remarks: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    projects: tuple[str, ...] = ()
    codes: Path | None = None
    report: str | None = None
    summary: Literal["same", "different", "missing", "unknown"] = "unknown"
    analysis: Analysis | None = None


def take_in(
    folder: Path,
    scaffold: Mapping[str, bytes],
    limits: IntakeLimits,
    scratch: Path,
    progress: Progress = iter,
) -> list[Submission]:
    """Unpack every hand-in of a folder and lay it over the scaffold. Nothing that one of them holds stops the others.

    Args:
        folder: zips and folders, as a learning platform exports them.
        scaffold: the pristine scaffold, as `autograder.scaffold.build_scaffold` gives it.
        limits: what a hand-in may be.
        scratch: an empty or new folder, in which every student gets a folder of its own: `codes/` is what is graded,
            `summary.txt` and `summary.json` what analyze.py says. There is room for one unpacked hand-in at a time.
        progress: gives the hand-ins as it is given them, and shows how far that is.
    Returns:
        one row for every student, in their order.
    Raises:
        CourseError: there is no such folder, no hand-in in it, `scratch` is in use or can't be written, or the disk is
            full.
    """
    hand_ins = find_hand_ins(folder, limits)
    if not hand_ins:
        raise CourseError(f"{folder}: no hand-in in it; give the folder that holds the students' zips")
    return _take_all(hand_ins, scaffold, limits, scratch, progress)


def take_in_one(path: Path, scaffold: Mapping[str, bytes], limits: IntakeLimits, scratch: Path) -> Submission:
    """Take in what somebody names as one hand-in, a zip or a folder, as `take_in` would.

    Raises:
        CourseError: there is no such thing, or what `take_in` says of `scratch`.
    """
    if not path.exists():
        raise CourseError(f"{path}: no such file or folder")
    return _take_all([lone_hand_in(path.resolve())], scaffold, limits, scratch, iter)[0]


def _take_all(
    hand_ins: Sequence[HandIn], scaffold: Mapping[str, bytes], limits: IntakeLimits, scratch: Path, progress: Progress
) -> list[Submission]:
    pristine = scratch / _SCAFFOLD
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        if any(scratch.iterdir()):
            raise CourseError(f"{scratch}: not empty; give a folder that nothing else lies in")
        overlay(None, scaffold, pristine)
        taken: set[str] = set()
        submissions = []
        for hand_in in progress(hand_ins):
            name = folder_name(hand_in.student, taken)
            taken.add(name.lower())
            submissions.append(_take_one(hand_in, scaffold, pristine, limits, scratch / name))
        shutil.rmtree(pristine)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise CourseError(
                f"{scratch}: no space left to unpack hand-ins in: free some, or set TMPDIR to a folder with more; "
                "nothing that was graded before is lost"
            ) from error
        raise CourseError(f"{error.filename or scratch}: {error.strerror or error}") from error
    return submissions


def _take_one(
    hand_in: HandIn, scaffold: Mapping[str, bytes], pristine: Path, limits: IntakeLimits, folder: Path
) -> Submission:
    remarks: list[str] = []
    try:
        remarks += _source_remarks(hand_in, limits)
        return _opened(hand_in, scaffold, pristine, limits, folder, remarks)
    except ArchiveError as error:
        reason = str(error)
    except OSError as error:
        if error.errno in _DISK_FULL:  # of which the next students would have the harm
            raise
        reason = f"not taken in, which need not be the student's fault: {error.strerror or error}"
    except Exception as error:  # whatever it is, it is one student's row and not the end of the class
        reason = f"not taken in, a fault of the intake: {type(error).__name__}: {error}"
    shutil.rmtree(folder, ignore_errors=True)
    return Submission(
        student=visible(hand_in.student),
        source=hand_in.source.label,
        status="refused",
        folder=folder,
        reason=" ".join(visible(reason).split()),
        remarks=remarks,
        superseded=hand_in.superseded,
    )


def _source_remarks(hand_in: HandIn, limits: IntakeLimits) -> list[str]:
    """What is to be said of a hand-in before it is opened."""
    source, remarks = hand_in.source, list(hand_in.remarks)
    status = source.path.lstat()
    if source.name.is_late:
        remarks.append("late: the platform says so")
    if limits.deadline and status.st_mtime > limits.deadline.timestamp():
        when = datetime.fromtimestamp(status.st_mtime, timezone.utc).astimezone(limits.deadline.tzinfo)
        remarks.append(f"late by its file's time, {when.isoformat(timespec='seconds')}")
    if source.path.is_file() and status.st_size > limits.max_zip_mb * MB:
        remarks.append(f"the zip has {status.st_size / MB:.1f} MB, more than {limits.max_zip_mb}")
    if source.beside:
        remarks.append(f"handed in beside the zip, and not looked at: {names_in_short(source.beside)}")
    return remarks


def _opened(
    hand_in: HandIn,
    scaffold: Mapping[str, bytes],
    pristine: Path,
    limits: IntakeLimits,
    folder: Path,
    remarks: list[str],
) -> Submission:
    """Unpack one hand-in, look at it, and make what is graded."""
    room, codes = folder / _UNPACKED, folder / CODES
    handed_in = room / "hand-in"
    within = Limits(cpu_s=_UNPACKING_CPU_S, file_mb=limits.max_unpacked_mb)
    try:
        opened = limited.call(
            _unpack, hand_in.source.path.absolute(), handed_in.absolute(), room.absolute(), limits, limits=within
        )
    except LimitError as error:
        raise ArchiveError(f"it could not be unpacked: {error}") from error
    if opened:
        remarks.append(f"the code lies in a zip in the zip, which was opened: {names_in_short(opened)}")
    layout = read_layout(handed_in)
    if layout.codes is None:
        raise ArchiveError(why_no_code(handed_in))
    remarks += layout.remarks
    left_out = overlay(layout.codes, scaffold, codes)
    if left_out:
        remarks.append(f"not part of what is run: {names_in_short(left_out)}")
    analysis = None
    try:
        analysis = make_summary(layout.codes, pristine, folder)
    except SummaryError as error:
        if shutil.disk_usage(folder).free < FILE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        remarks.append(str(error))
    given = [p for p in layout.projects if p in OPTIONAL_PROJECTS and analysis and not analysis.is_touched(p)]
    remarks += [f"{CODES}/{project} is as it was given, and optional: not counted as handed in" for project in given]
    state = _summary_state(layout, analysis)
    if state == "different":
        remarks.append(f"{SUMMARY} is not the one that analyze.py makes of this code")
    report = layout.report.name if layout.report else None
    shutil.rmtree(room)  # it may be half a gigabyte, of each student
    return Submission(
        student=visible(hand_in.student),
        source=hand_in.source.label,
        status="ok",
        folder=folder,
        remarks=remarks,
        superseded=hand_in.superseded,
        projects=tuple(project for project in layout.projects if project not in given),
        codes=codes,
        report=report,
        summary=state,
        analysis=analysis,
    )


def _unpack(source: Path, target: Path, room: Path, limits: IntakeLimits) -> list[str]:
    """Unpack a hand-in, and a zip in it where the code lies in that; returns the names of such zips."""
    spent = Spent()
    if source.is_dir() and not source.is_symlink():
        copy_folder(source, target, limits, spent)
    else:
        unpack(source, target, limits, spent)
    return open_zips_in(target, room, limits, spent)


def _summary_state(layout: Layout, analysis: Analysis | None) -> Literal["same", "different", "missing", "unknown"]:
    if layout.summary is None:
        return "missing"
    if analysis is None:
        return "unknown"
    if layout.summary.stat().st_size > FILE_BYTES:
        return "different"
    return "same" if is_same_summary(layout.summary.read_bytes(), analysis.summary) else "different"
