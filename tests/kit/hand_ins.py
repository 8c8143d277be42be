"""Hand-ins as students make them, for the tests and the benchmark of grading a class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from changed_solutions import REFERENCE, Change

from autograder.scaffold import build_scaffold
from coursekit.archive import pack
from coursekit.requirements import PROJECTS

PDF = b"%PDF-1.7\nthe report\n"


def solution(
    changes: Mapping[str, Sequence[Change]] | None = None, projects: Sequence[str] = PROJECTS
) -> dict[str, bytes]:
    """The reference's code, "VAE/model.py" -> content, with changes to some of its files.

    Raises:
        AssertionError: a change changes nothing.
    """
    files = {}
    for path in sorted(path for project in projects for path in (REFERENCE / project).glob("*.*")):
        source = path.read_text("utf-8")
        name = path.relative_to(REFERENCE).as_posix()
        for change in (changes or {}).get(name, ()):
            changed = change(source)
            assert changed != source, f"{name}: a change that changes nothing"
            source = changed
        files[name] = source.encode()
    return files


def scaffold(projects: Sequence[str] = PROJECTS) -> dict[str, bytes]:
    """What students are given."""
    files = build_scaffold(REFERENCE)
    return {name: content for name, content in files.items() if name.split("/")[0] in projects}


def write_codes(folder: Path, codes: Mapping[str, bytes]) -> None:
    """Write code into a folder that holds VAE and GAN, or is to hold them."""
    for name, content in codes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def hand_in(codes: Mapping[str, bytes]) -> bytes:
    """A zip with a student's code and a report."""
    return pack({"Report.pdf": PDF, **{f"codes/{name}": content for name, content in codes.items()}})


def write_class(folder: Path, students: Mapping[str, Mapping[str, bytes] | bytes]) -> Path:
    """Write a folder of hand-ins.

    Args:
        students: student number -> the code, or the zip where it is to be an odd one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for student, given in students.items():
        content = given if isinstance(given, bytes) else hand_in(given)
        (folder / f"{student}.zip").write_bytes(content)
    return folder
