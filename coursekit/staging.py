"""What of a course's folder is handed in: the code and the report, and nothing else. Standard library only."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from code_analyze.summary import visible
from code_analyze.tree import LEFT_OUT_FILES, MAX_BYTES, PYTHON, RUN_FOLDERS, SEALED_FOLDERS, TOOL_FOLDERS
from coursekit.errors import CourseError

CODES = "codes"
# An allow-list: weights, data and compiled objects come with more suffixes than anyone can name.
TEXT_SUFFIXES = (".md", ".txt", ".rst", ".json", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".sh")
README_NAMES = ("README.md", "README.txt")
# In the order of preference: a PDF looks the same everywhere.
REPORT_SIGNATURES = {"Report.pdf": b"%PDF-", "Report.docx": b"PK\x03\x04"}
SHOWN_KINDS = 8  # kinds of left-out files that are named


@dataclass
class Staged:
    """The code that is handed in.

    Attributes:
        files: name below the course's folder, such as "codes/VAE/model.py" -> content, in the order of the names.
        problems: what should be handed in and can't be, one sentence each.
        links: names of links, which are not followed.
        folders: names of folders of code_analyze's rule that were left out.
        kinds: how much else was left out, by kind.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)

    def has(self, project: str) -> bool:
        """Whether a project's folder has any file to hand in."""
        return any(name.startswith(f"{CODES}/{project}/") for name in self.files)

    def take_out(self, project: str) -> None:
        """Leave a project's folder out."""
        self.files = {name: data for name, data in self.files.items() if not name.startswith(f"{CODES}/{project}/")}

    def left_out(self) -> str:
        """What kinds of files were left out, in one line; "" where there were none."""
        phrases = [f"folders named {', '.join(sorted(self.folders))}"] if self.folders else []
        kinds = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        phrases += [f"{count:,} {kind}" for kind, count in kinds[:SHOWN_KINDS]]
        if others := sum(count for _, count in kinds[SHOWN_KINDS:]):
            phrases.append(f"{others:,} others")
        if self.links:
            shown = ", ".join(self.links[:3]) + (", …" if len(self.links) > 3 else "")
            phrases.append(f"{_count(len(self.links), 'link')} ({shown})")
        return visible("; ".join(phrases))


@dataclass(frozen=True)
class Report:
    """A student's report.

    Attributes:
        path: where it lies.
        name: how it is called in the zip.
        num_bytes: how large it is.
        remarks: what the student should know about the choice, one sentence each.
    """

    path: Path
    name: str
    num_bytes: int
    remarks: list[str]

    def problem(self) -> str | None:
        """Say in one sentence why nobody could read this report, or None."""
        signature = REPORT_SIGNATURES[self.name]
        try:
            with self.path.open("rb") as file:
                head = file.read(len(signature))
        except OSError as error:
            return f"{self.path.name}: can't be read: {error.strerror or error}"
        if not head:
            return f"{self.path.name} is empty: export your report again"
        if head != signature:
            kind = self.path.suffix[1:].upper()
            return f"{self.path.name} is not a {kind} file, whatever its name says: export your report as {kind}"
        return None


def find_top(start: Path) -> Path:
    """Find the course's folder, the one with `codes/` and `code_analyze/`, at `start` or above it.

    Raises:
        CourseError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / CODES).is_dir() and (folder / "code_analyze" / "analyze.py").is_file():
            return folder
    raise CourseError(f"no {CODES}/ and code_analyze/ in {start} or above it: run this inside the course's folder")


def stage_codes(top: Path) -> Staged:
    """Read the code that is handed in: what lies below `codes/`, Python files and small texts.

    Python files are taken from folders of data, results and runs too, because a program may need them and analyze.py
    lists them; other folders of code_analyze's rule, hidden files and links are left out.
    """
    staged = Staged()
    _stage_folder(staged, top / CODES, f"{CODES}/", only_python=False)
    staged.files = dict(sorted(staged.files.items()))
    return staged


def find_report(top: Path) -> Report | None:
    """Find Report.pdf or Report.docx in the course's folder, however its name is capitalised; the PDF of the two."""
    found = []
    for name in REPORT_SIGNATURES:
        same = (path for path in sorted(top.iterdir()) if path.name.lower() == name.lower() and path.is_file())
        found += [(path, name) for path in same]
    if not found:
        return None
    path, name = found[0]
    remarks = []
    for other, _ in found[1:]:
        newer = other.stat().st_mtime > path.stat().st_mtime
        doubt = f"; it was changed after {path.name}: is that one up to date?" if newer else ""
        remarks.append(f"{path.name} is handed in, and {other.name} is not{doubt}")
    return Report(path, name, path.stat().st_size, remarks)


def _stage_folder(staged: Staged, folder: Path, prefix: str, only_python: bool) -> None:
    for entry in _entries(staged, folder, prefix):
        name = prefix + entry.name
        path = Path(entry.path)
        if entry.is_symlink():
            staged.links.append(name)
        elif entry.is_dir(follow_symlinks=False):
            if entry.name in RUN_FOLDERS:
                staged.folders.add(entry.name)
                _stage_folder(staged, path, f"{name}/", only_python=True)
            elif entry.name in (*TOOL_FOLDERS, *SEALED_FOLDERS):
                staged.folders.add(entry.name)
            elif entry.name.startswith("."):
                staged.kinds["hidden"] += 1
            else:
                _stage_folder(staged, path, f"{name}/", only_python)
        elif not only_python or path.suffix.lower() == PYTHON:
            _stage_file(staged, entry, name)


def _entries(staged: Staged, folder: Path, prefix: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        staged.problems.append(f"{visible(prefix)}: can't be listed: {error.strerror or error}")
        return []


def _stage_file(staged: Staged, entry: os.DirEntry, name: str) -> None:
    suffix = Path(entry.name).suffix.lower()
    if not entry.is_file(follow_symlinks=False):
        staged.kinds["neither a file nor a folder"] += 1
    elif entry.name.startswith(".") or entry.name in LEFT_OUT_FILES:
        staged.kinds["hidden"] += 1
    elif suffix not in (PYTHON, *TEXT_SUFFIXES):
        staged.kinds[f"*{suffix}" if suffix else "without a suffix"] += 1
    elif suffix != PYTHON and entry.stat(follow_symlinks=False).st_size > MAX_BYTES:
        staged.kinds[f"*{suffix} over {MAX_BYTES / 1e6:.0f} MB"] += 1
    elif not _is_unicode(name):
        staged.problems.append(f"{visible(name)}: a zip can't hold this name, which is not UTF-8: rename the file")
    else:
        try:
            staged.files[name] = Path(entry.path).read_bytes()
        except OSError as error:
            staged.problems.append(f"{visible(name)}: can't be read: {error.strerror or error}")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
