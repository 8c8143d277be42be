"""A zip in a zip, as a platform or a cautious student packs it: opened where all of the code lies in it."""

import tempfile
from pathlib import Path

from autograder.archives import ArchiveError, Spent, unpack
from autograder.course import IntakeLimits
from autograder.layout import ZIP, has_code, names_in_short
from code_analyze.summary import visible

DEEPEST = 2  # zips in each other below the one that was handed in


def open_zips_in(top: Path, room: Path, limits: IntakeLimits, spent: Spent, depth: int = DEEPEST) -> list[str]:
    """Where there is no code in an unpacked hand-in, put what the one zip with code holds in the place of that zip.

    Args:
        top: the hand-in.
        room: a folder for what is unpacked on the way.
        limits: of all of the hand-in.
        spent: what it has unpacked to so far.
        depth: how many zips in each other are opened.
    Returns:
        the names of the zips that were opened, the outermost first; none where there was no need, or nothing in them.
    Raises:
        ArchiveError: there are several zips with code, or none and one that can't be opened.
        OSError: the disk is full, or the like.
    """
    if not depth or has_code(top):
        return []
    found: list[tuple[Path, Path, list[str]]] = []
    problem = ""
    for path in sorted(path for path in top.rglob("*") if path.name.lower().endswith(ZIP) and path.is_file()):
        name = path.relative_to(top).as_posix()
        content = Path(tempfile.mkdtemp(dir=room), "content")
        try:
            unpack(path, content, limits, spent)
            deeper = open_zips_in(content, room, limits, spent, depth - 1)
        except ArchiveError as error:
            problem = problem or f"{visible(name)}, in which the code may be: {error}"
            continue
        if has_code(content):
            found.append((path, content, [name, *deeper]))
    if len(found) > 1:
        names = names_in_short(path.relative_to(top).as_posix() for path, _, _ in found)
        raise ArchiveError(f"more than one zip with code in it: {names}; hand in one")
    if not found:
        if problem:
            raise ArchiveError(problem)
        return []
    path, content, opened = found[0]
    path.unlink()
    content.rename(path)  # a folder of the zip's name, which nothing else has
    return opened
