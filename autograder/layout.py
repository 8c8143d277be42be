"""What lies where in a hand-in, and what should not be in it."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.platforms import is_metadata
from code_analyze.summary import visible
from code_analyze.tree import MAX_BYTES, PYTHON, RUN_FOLDERS, TOOL_FOLDERS
from coursekit.analysis import SUMMARY
from coursekit.requirements import PROJECTS, REQUIRED_FILES, REQUIRED_PROJECT
from coursekit.staging import CODES, README_NAMES, REPORT_SIGNATURES, Report

ZIP = ".zip"
SHOWN = 5  # names in one remark
FORBIDDEN = {
    "weights": ".bin .ckpt .h5 .hdf5 .joblib .onnx .pkl .pickle .pt .pth .safetensors",
    "data": ".arrow .csv .gz .npy .npz .parquet -ubyte",
    "compiled objects": ".a .class .dll .dylib .exe .o .pyc .pyd .pyo .so .whl",
    "archives": ".7z .bz2 .rar .tar .tgz .xz .zip",
}
CODE_FILES = ("model.py", "trainer.py")  # what students write, of REQUIRED_FILES
_ARCHIVES = tuple(FORBIDDEN["archives"].split())
# What tells where a file of a hand-in without projects' folders should lie.
_PLACES = {
    f"{CODES}/VAE/model.py": re.compile(rb"(?m)^class[ \t]+VAE\b"),
    f"{CODES}/VAE/trainer.py": re.compile(rb"(?m)^[ \t]*def[ \t]+loss_fn\b"),
    f"{CODES}/GAN/model.py": re.compile(rb"(?m)^class[ \t]+Generator\b"),
    f"{CODES}/GAN/trainer.py": re.compile(rb"(?m)^[ \t]*def[ \t]+train_step\b"),
}
_REPORT_SUFFIXES = tuple(Path(name).suffix for name in REPORT_SIGNATURES)


@dataclass(frozen=True)
class Layout:
    """What was found in a hand-in.

    Attributes:
        codes: the folder that holds the project folders; None where there is no code of theirs.
        report: the report; None where there is none.
        summary: summary.txt; None where there is none.
        projects: the projects that there is code of, as the course calls them.
        remarks: what is missing, misplaced or not to be handed in, one sentence each.
    """

    codes: Path | None
    report: Path | None
    summary: Path | None
    projects: tuple[str, ...]
    remarks: list[str]


def read_layout(top: Path) -> Layout:
    """Look for code, report and summary in an unpacked hand-in; a folder around them all is forgiven."""
    remarks: list[str] = []
    codes = _find_codes(top, remarks)
    beside = codes.parent if codes and codes.name.lower() == CODES else codes or top
    above = [folder for folder in beside.parents if folder.is_relative_to(top)]
    around = list(dict.fromkeys([beside, *above, *_folders(beside), *_folders(top)]))
    report = _find_report(around, remarks)
    summary = _find_summary(codes, around, remarks)
    found = _projects_in(codes) if codes else {}
    for project in PROJECTS:
        if project in found:
            remarks += _project_remarks(found[project], project)
        elif project == REQUIRED_PROJECT:
            remarks.append(f"no code in {CODES}/{project}, which is required: the empty scaffold is graded")
        else:
            remarks.append(f"no {CODES}/{project}, which is optional")
    remarks += _forbidden(top)
    return Layout(codes, report, summary, tuple(found), remarks)


def why_no_code(top: Path) -> str:
    """Say of a hand-in without code what it holds instead, and what there should be."""
    files = sorted((path for path in top.rglob("*") if path.is_file()), key=lambda path: (len(path.parts), path))
    names = [path.relative_to(top).as_posix() for path in files if not is_metadata(path.name, False)]
    missing = f"no {CODES}/{REQUIRED_PROJECT} with {' or '.join(CODE_FILES)} in it"
    if not names:
        return f"{missing}: there is nothing in it"
    python = [path for path in files if path.suffix.lower() == PYTHON]
    places = [f"{path.relative_to(top).as_posix()} should be {place}" for path in python for place in _places(path)]
    archives = [name for name in names if name.lower().endswith(_ARCHIVES)]
    if places:
        what_to_do = names_in_short(places)
    elif archives:
        what_to_do = f"nor is there any that can be read in {names_in_short(archives)}: hand in one ordinary zip"
    else:
        what_to_do = "the code must be in .py files there"
    return f"{missing}: it holds {names_in_short(names)}; {what_to_do}"


def _places(path: Path) -> list[str]:
    """Where a file that lies elsewhere belongs, by what it defines."""
    with path.open("rb") as file:
        source = file.read(MAX_BYTES)
    return [place for place, telling in _PLACES.items() if telling.search(source)]


def names_in_short(names: Iterable[str]) -> str:
    """A few of many names."""
    names = list(names)
    return visible(", ".join(names[:SHOWN])) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def has_code(top: Path) -> bool:
    """Whether there is code of a project in an unpacked hand-in, wherever it lies."""
    return bool(_around_code(top))


def _around_code(top: Path) -> list[Path]:
    """The folders around projects' folders with code in them, the outermost first."""
    below = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: (len(path.parts), path))
    return [folder for folder in (top, *below) if _projects_in(folder)]


def _find_codes(top: Path, remarks: list[str]) -> Path | None:
    """Find the folder around the projects', the outermost of several; one around everything else is forgiven."""
    around = _around_code(top)
    named = [folder for folder in around if folder != top and folder.name.lower() == CODES]
    found = named or around
    if not found:
        return None
    if not named:
        remarks.append(f"no {CODES}/ around the projects' folders")
    above = found[0].relative_to(top).parts[:-1]
    if len(above) > 1 and not any(part.lower().endswith(ZIP) for part in above):  # whoever opened a zip there says so
        remarks.append(f"{CODES}/ lies in {visible('/'.join(above))}/")
    if len(found) > 1:
        others = names_in_short(folder.relative_to(top).as_posix() + "/" for folder in found[1:])
        remarks.append(f"more than one folder of code; not looked at: {others}")
    return found[0]


def _find_report(around: list[Path], remarks: list[str]) -> Path | None:
    files = [path for folder in around for path in _files(folder)]
    for name in REPORT_SIGNATURES:
        for path in files:
            if path.name.lower() == name.lower():
                if problem := Report(path, name, path.stat().st_size, []).problem():
                    remarks.append(problem.split(":")[0])
                return path
    other = next((path for path in files if path.suffix.lower() in _REPORT_SUFFIXES), None)
    instead = f"; {visible(other.name)} is taken for it" if other else ""
    remarks.append(f"no {' or '.join(REPORT_SIGNATURES)}{instead}")
    return other


def _find_summary(codes: Path | None, around: list[Path], remarks: list[str]) -> Path | None:
    for folder in around:
        for path in _files(folder):
            if path.name.lower() == SUMMARY:
                if folder == codes:
                    remarks.append(f"{SUMMARY} lies in {CODES}/, and so is compared as a file of the code's, too")
                return path
    remarks.append(f"no {SUMMARY}")
    return None


def _projects_in(folder: Path) -> dict[str, Path]:
    """The projects' folders with code in them in a folder, in whichever case they are written."""
    by_name = {path.name.lower(): path for path in _folders(folder)}
    found = {project: by_name[project.lower()] for project in PROJECTS if project.lower() in by_name}
    return {project: path for project, path in found.items() if any((path / name).is_file() for name in CODE_FILES)}


def _project_remarks(folder: Path, project: str) -> list[str]:
    names = {path.name for path in _files(folder)}
    remarks = [f"{CODES}/{project} is written {visible(folder.name)}"] if folder.name != project else []
    remarks += [
        f"{CODES}/{project}/{name} is missing: the given one is used" for name in REQUIRED_FILES if name not in names
    ]
    if {name.lower() for name in README_NAMES}.isdisjoint(name.lower() for name in names):
        remarks.append(f"{CODES}/{project}: no {' or '.join(README_NAMES)} in it")
    return remarks


def _forbidden(top: Path) -> list[str]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        if path.is_dir():
            if path.name in (*RUN_FOLDERS, *TOOL_FOLDERS):
                found["folders of runs and tools"].append(f"{name}/")
            continue
        for kind, suffixes in FORBIDDEN.items():
            if PurePosixPath(name).name.lower().endswith(tuple(suffixes.split())):
                found[kind].append(name)
                break
    return [f"{kind}, not to be handed in: {names_in_short(names)}" for kind, names in found.items()]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
