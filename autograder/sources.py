"""The hand-ins in a folder, as a platform exports them, and the newest one of each student."""

import hashlib
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from autograder import limited
from autograder.archives import newest_time
from autograder.course import IntakeLimits
from autograder.limited import LimitError
from autograder.names import ARCHIVE_SUFFIXES, Name, read_name
from autograder.platforms import is_leftover, is_metadata, read_submitters
from code_analyze.summary import visible
from coursekit.errors import CourseError
from coursekit.requirements import PROJECTS
from coursekit.staging import CODES


@dataclass(frozen=True)
class Source:
    """One hand-in as it lies there.

    Attributes:
        path: the zip, or the folder.
        label: its path below the folder of hand-ins.
        name: what its name says.
        beside: the files that a platform delivered with it, by name.
    """

    path: Path
    label: str
    name: Name
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class HandIn:
    """What counts for one student.

    Attributes:
        student: the student number, or where that is not clear the platform's name for the student, or the file's.
        source: the hand-in that counts.
        superseded: labels of the older ones.
        remarks: what is unusual about its name, one sentence each.
    """

    student: str
    source: Source
    superseded: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_hand_ins(folder: Path, limits: IntakeLimits) -> list[HandIn]:
    """Find the hand-in that counts of every student; of two that can't be told apart, both.

    A platform's own name for a student goes before a number in a file's name, which any student can write: nobody
    replaces another's hand-in.

    Raises:
        CourseError: there is no such folder, or it can't be listed.
    """
    groups: defaultdict[tuple[str, str], list[Source]] = defaultdict(list)
    for source in _find_sources(folder):
        name = source.name
        # Case aside: S2021-ab is s2021-AB.
        key = ("owner", name.owner) if name.owner else ("student", (name.student or "").casefold())
        groups[key if name.owner or name.student else ("file", str(source.path))].append(source)
    chosen = [hand_in for sources in groups.values() for hand_in in _choose(sources, limits)]
    return sorted(_named(chosen), key=lambda hand_in: (hand_in.student, hand_in.source.label))


def lone_hand_in(path: Path) -> HandIn:
    """What somebody names as one hand-in: a zip, a folder, or a platform's folder with one zip in it.

    Raises:
        CourseError: there are several zips in the folder.
    """
    found = list(_sources_in(path, read_name(path.name))) if _is_folder(path) else [_file(path)]
    if len(found) > 1:
        raise CourseError(f"{path}: more than one zip in it ({', '.join(one.path.name for one in found)}); give one")
    return HandIn(found[0].name.student or found[0].label, found[0])


def not_taken(folder: Path) -> list[str]:
    """What lies among the hand-ins and is the platform's own: the names, as they are shown."""
    return [visible(path.name) for path in _listed(folder) if is_metadata(path.name, _is_folder(path))]


def _find_sources(folder: Path) -> Iterator[Source]:
    submitters = read_submitters(folder)
    for path in _listed(folder):
        is_folder = _is_folder(path)
        if is_metadata(path.name, is_folder):
            continue
        if is_folder:
            yield from _sources_in(path, submitters.get(path.name) or read_name(path.name))
        else:
            yield _file(path)


def _file(path: Path) -> Source:
    return Source(path, visible(path.name), read_name(path.name))


def _sources_in(folder: Path, outer: Name) -> Iterator[Source]:
    """A folder is a platform's, with the student's zips in it, or is itself what a student hands in."""
    try:
        inside = _listed(folder)
    except CourseError:
        inside = []  # it is refused when it is unpacked, and stops nobody else
    packed = [path for path in inside if path.name.lower().endswith(ARCHIVE_SUFFIXES) and not _is_folder(path)]
    if not packed or _holds_code(inside):
        yield Source(folder, visible(folder.name), outer)
        return
    beside = tuple(visible(path.name) for path in inside if path not in packed)
    for path in packed:
        inner = read_name(path.name, outer.owner)
        name = Name(outer.student or inner.student, outer.owner, outer.attempt, inner.version, outer.is_late)
        yield Source(path, visible(f"{folder.name}/{path.name}"), name, beside)


def _holds_code(inside: list[Path]) -> bool:
    """Whether a folder is a hand-in of its own, perhaps with one more folder around it."""
    names = {CODES, *map(str.lower, PROJECTS)}
    return any(path.name.lower() in names or names & _names_in(path) for path in inside if _is_folder(path))


def _choose(sources: list[Source], limits: IntakeLimits) -> list[HandIn]:
    """Choose the newest of one student's hand-ins; those that nothing tells apart are chosen all."""
    sources = _with_files_beside(sources)
    if len(sources) == 1:
        return [HandIn(sources[0].name.student or "", sources[0])]
    ages = _ages(sources, limits)
    newest = sorted((s for s in sources if ages[s.path] == max(ages.values())), key=lambda source: source.label)
    older = sorted(source.label for source in sources if source not in newest)
    if len(newest) > 1 and len({_digest(source) for source in newest}) == 1:
        older = sorted([*older, *(source.label for source in newest[1:])])
        del newest[1:]
    if len(newest) == 1:
        return [HandIn(newest[0].name.student or "", newest[0], older)]
    others = "hand-ins of one student of which none is the newest: choose one and take the others away"
    return [HandIn("", source, older, [f"one of {len(newest)} {others}"]) for source in newest]


def _with_files_beside(sources: list[Source]) -> list[Source]:
    """Where a student has handed in a zip, a lone file, such as a report that was uploaded with it, is no hand-in."""
    whole = [s for s in sources if s.path.name.lower().endswith(ARCHIVE_SUFFIXES) or _is_folder(s.path)]
    if not whole:
        return sources
    lone = tuple(source.label for source in sources if source not in whole)
    return [replace(source, beside=(*source.beside, *lone)) for source in whole]


def _newest_time(archive: Path, limits: IntakeLimits) -> datetime | None:
    try:
        return limited.call(newest_time, archive.absolute(), limits)
    except LimitError:
        return None


def _ages(sources: list[Source], limits: IntakeLimits) -> dict[Path, tuple]:
    """What each hand-in's age is told by: what one of them lacks says nothing about any."""
    attempts = [source.name.attempt for source in sources]
    times = [None if _is_folder(source.path) else _newest_time(source.path, limits) for source in sources]
    if None in attempts:
        attempts = [0] * len(sources)
    if None in times:
        times = [datetime.min] * len(sources)
    return {
        source.path: (attempt, time, _mtime(source.path), source.name.version)
        for source, attempt, time in zip(sources, attempts, times, strict=True)
    }


def _digest(source: Source) -> str:
    """What a file holds; a folder, or what can't be read, is like nothing else."""
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(source.path.lstat().st_mode):
            return str(source.path)
        with source.path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError:
        return str(source.path)
    return digest.hexdigest()


def _named(hand_ins: list[HandIn]) -> Iterator[HandIn]:
    """Give every hand-in a student of its own: two with one student number are known by another name."""
    holders: defaultdict[str, list[HandIn]] = defaultdict(list)
    for hand_in in hand_ins:
        holders[hand_in.student.casefold()].append(hand_in)
    for student, same in holders.items():
        for hand_in in same:
            if student and len(same) == 1:
                yield hand_in
                continue
            owner, label = hand_in.source.name.owner, hand_in.source.label
            remarks = list(hand_in.remarks)
            if student:
                remarks.append(f"{len(same)} hand-ins of different people bear the student number {hand_in.student}")
            elif not remarks:
                remarks.append("no student number in its name")
            yield HandIn(label if hand_in.remarks or not owner else owner, hand_in.source, hand_in.superseded, remarks)


def _listed(folder: Path) -> list[Path]:
    """What lies in a folder, without what a system leaves there."""
    try:
        return sorted(path for path in folder.iterdir() if not is_leftover(path))
    except OSError as error:
        raise CourseError(f"{folder}: can't be listed: {error.strerror or error}") from error


def _names_in(folder: Path) -> set[str]:
    try:
        return {path.name.lower() for path in _listed(folder)}
    except CourseError:
        return set()


def _is_folder(path: Path) -> bool:
    """Whether it is a folder and no link to one; what can't be looked at is refused later, in its own row."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _mtime(path: Path) -> int:
    try:
        return int(path.lstat().st_mtime)
    except OSError:
        return 0
