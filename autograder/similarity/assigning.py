"""Which of a student's files is which of the scaffold's: by the end of its path, its project's folder and its lines."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from coursekit.staging import CODES

ALIKE = 0.5  # of a given file's lines outside the blocks, for a file of another name to be taken for it
A_LITTLE_ALIKE = 0.2  # likewise, where the file's name and its folder speak for it
_MAX_LINES = 6_000  # of a file that are looked at
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # "VAE_final (1)" is VAE and final, "vaeModel2" vae and Model


class _Match(NamedTuple):
    """How well a file fits a given one; the better, the greater."""

    end: int  # parts that the two paths have in common at their ends
    project: int  # 2 where its folder is called as the project is, 1 where it or the file's name has that as a word
    is_graded: bool  # whether it lies where the grader looks first
    depth: int  # of the file, negative
    lines: float  # share of the given file's lines that it has
    order: int  # of the two files' names, so that nothing depends on how they were read


def assign(python: Mapping[str, str], given: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """Find for each of the scaffold's files the student's.

    All pairs are looked at, the best is taken first. Never is a file taken whose folder is another known project's, nor
    one whose project no folder tells and that has more of another given file's lines.

    Args:
        python: the student's files, path -> text.
        given: path below the scaffold -> the file's lines outside the blocks.
    Returns:
        path below the scaffold -> the student's path; None where there is none.
    """
    projects = {_folder(name) for name in given} - {""}
    lines = {name: {line.strip() for line in text if len(line.strip()) > 3} for name, text in given.items()}
    matches = []
    for at, other in enumerate(sorted(python)):
        theirs = {line.strip() for line in python[other].split("\n")[:_MAX_LINES]}
        shares = {name: len(wanted & theirs) / max(len(wanted), 1) for name, wanted in lines.items()}
        named = _project(other, projects)
        for order, name in enumerate(given):
            project = _fits(other, _folder(name), named)
            end = _common_end(name, other)
            if project < 0 or not _is_likely(name, other, end, project, shares):
                continue
            parts = other.lower().split("/")
            is_graded = CODES in parts[:-2][-1:]
            match = _Match(end, project, is_graded, -len(parts), round(shares[name], 3), -at * len(given) - order)
            matches.append((match, name, other))
    chosen: dict[str, str | None] = dict.fromkeys(given)
    taken: set[str] = set()
    for _, name, other in sorted(matches, reverse=True):
        if chosen[name] is None and other not in taken:
            chosen[name] = other
            taken.add(other)
    return chosen


def _folder(name: str) -> str:
    return PurePosixPath(name).parent.name.lower()


def _project(path: str, projects: set[str]) -> str:
    """The project that a path names, by the file's own name or else the innermost folder; "" for none or several."""
    *folders, file = path.split("/")
    for part in (PurePosixPath(file).stem, *reversed(folders)):
        found = {part.lower()} & projects or {word.lower() for word in _PART.findall(part)} & projects
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""


def _fits(path: str, project: str, named: str) -> int:
    """How a path names a project, as `_Match` counts it; -1 where it names another."""
    if not project or not named:
        return 0
    if named != project:
        return -1
    return 2 if _folder(path) == project else 1


def _common_end(name: str, other: str) -> int:
    end = 0
    for mine, theirs in zip(reversed(name.lower().split("/")), reversed(other.lower().split("/")), strict=False):
        if mine != theirs:
            break
        end += 1
    return end


def _is_likely(name: str, other: str, end: int, project: int, shares: Mapping[str, float]) -> bool:
    share = shares[name]
    if not end:
        words = {word.lower() for word in _PART.findall(PurePosixPath(other).stem)}
        is_named = project > 0 and PurePosixPath(name).stem.lower() in words
        return share >= (A_LITTLE_ALIKE if is_named else ALIKE)
    namesakes = [share for other, share in shares.items() if _common_end(other, name)]
    return project > 0 or share == max(namesakes)
