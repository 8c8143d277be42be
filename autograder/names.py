"""Whose a hand-in is, by the name that the student and a learning platform have given it."""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from code_analyze.summary import visible
from coursekit.requirements import STUDENT_NUMBER

ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")

# Moodle: "Ada Lovelace_12345_assignsubmission_file_", a folder, or with the student's file name behind it.
_MOODLE = re.compile(r"(.+_\d+)_assignsubmission_file_?(.*)", re.DOTALL)
# Canvas: "lovelaceada_LATE_12345_67890_2021012345-1", user, submission, the student's file name, and which attempt.
_CANVAS = re.compile(r"([^_]+)_(LATE_)?(\d{3,})_(\d{3,})_(.+)", re.DOTALL)
_CANVAS_ATTEMPT = re.compile(r"(.+)-(\d{1,3})", re.DOTALL)
# Blackboard: "HW4_lovelaceada_attempt_2026-06-14-12-00-00_2021012345.zip", assignment and user, when, the file's name.
_BLACKBOARD = re.compile(r"(.+?)_attempt_(\d{4}(?:-\d\d){5})(?:_(.*))?", re.DOTALL)
_COPY = re.compile(r"(.+)(?:\((\d{1,4})\)|[ _.-]v(\d{1,4})|[ _-]copy)", re.IGNORECASE | re.ASCII | re.DOTALL)
_BEFORE_COPY = " _.-"  # what may stand before such an ending, any number of times
_LONG_NUMBER = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{0,3}[0-9]{6,20}(?![A-Za-z0-9])")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 64


@dataclass(frozen=True)
class Name:
    """What a hand-in's name says.

    Attributes:
        student: the student number; None where none can be told.
        owner: whom the platform holds for the student, such as "lovelaceada_12345"; None without a platform.
        attempt: the platform's count of this student's hand-ins; None where it doesn't count.
        version: the student's own count ("_v2"), then the browser's ("(1)").
        is_late: whether the platform calls it late.
    """

    student: str | None
    owner: str | None = None
    attempt: int | None = None
    version: tuple[int, int] = (0, 0)
    is_late: bool = False


def read_name(name: str, owner: str | None = None) -> Name:
    """Read the name of a file or folder as a platform or a student has made it.

    Args:
        name: the name.
        owner: whom the platform holds for the student, where that is known; then the name is the student's own.
    """
    stem = _without_suffixes(unicodedata.normalize("NFC", visible(name)))
    student, attempt, is_late = None, None, False
    if owner is not None:
        pass
    elif match := _MOODLE.fullmatch(stem):
        owner, stem = match.groups()
    elif match := _CANVAS.fullmatch(stem):
        owner, is_late, stem, attempt = f"{match[1]}_{match[3]}", match[2] is not None, match[5], 0
        if counted := _CANVAS_ATTEMPT.fullmatch(stem):
            stem, attempt = counted[1], int(counted[2])
    elif match := _BLACKBOARD.fullmatch(stem):
        owner, attempt, stem = match[1], int(match[2].replace("-", "")), match[3] or ""
        student = _student(owner.rpartition("_")[2], True)  # many platforms' users are called by their numbers
    stem, version = _without_copies(_without_suffixes(stem))
    return Name(student or _student(stem, owner is not None), owner, attempt, version, is_late)


def folder_name(student: str, taken: Collection[str]) -> str:
    """Make a folder's name of a student: letters, digits, - and _, and, case aside, none of those already taken.

    Args:
        student: any text.
        taken: the names in use, in lower case.
    """
    safe = _UNSAFE.sub("_", unicodedata.normalize("NFKC", student)).strip("_-")[:_LONGEST].rstrip("_-")
    if safe != student or not safe:
        # The digest keeps two names apart that differ only in what was replaced.
        digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: _LONGEST - 9] or 'hand-in'}-{digest}"
    name, count = safe, 1
    while name.lower() in taken:
        count += 1
        name = f"{safe}-{count}"
    return name


def _without_suffixes(name: str) -> str:
    stem = name.strip()
    while suffix := next((s for s in ARCHIVE_SUFFIXES if stem.lower().endswith(s) and len(stem) > len(s)), None):
        stem = stem[: -len(suffix)].rstrip()
    return stem


def _without_copies(stem: str) -> tuple[str, tuple[int, int]]:
    version = copy = 0
    while match := _COPY.fullmatch(stem):
        stem = match[1].rstrip().rstrip("" if match[2] else _BEFORE_COPY).rstrip()
        copy = copy or int(match[2] or 0)
        version = version or int(match[3] or 0)
    return stem, (version, copy)


def _student(stem: str, has_owner: bool) -> str | None:
    """Find the student number: the one long number; else, where no platform names the student, the name as a whole."""
    numbers = set(_LONG_NUMBER.findall(stem.replace("_", " ")))
    if len(numbers) == 1:
        return numbers.pop()
    return stem if not has_owner and STUDENT_NUMBER.fullmatch(stem) else None
