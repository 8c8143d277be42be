"""What another tool says of the same class, shown beside: JPlag's results.csv or Dolos' pairs.csv.

JPlag writes it with `--csv-export`, a row for each pair of submissions; Dolos into every report, a row for each pair of
files, of which a pair of students has its most alike.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from autograder.names import ARCHIVE_SUFFIXES, read_name
from autograder.similarity.model import OtherTool, Work, WorkKey
from code_analyze.summary import visible
from coursekit.errors import CourseError

# The tool, and its columns of the two names and the similarity, from 0 to 1.
_TOOLS = {
    "JPlag": ("submissionName1", "submissionName2", "averageSimilarity"),
    "Dolos": ("leftFilePath", "rightFilePath", "similarity"),
}


def read_other_tool(path: Path, works: Mapping[WorkKey, Work]) -> OtherTool:
    """Read a tool's pairs.

    Args:
        path: the CSV file.
        works: of the class; what the file says of others is counted and left out.
    Raises:
        CourseError: it can't be read, is no such file, or knows none of the works.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            heads = rows.fieldnames or []
            tool = next((name for name, columns in _TOOLS.items() if set(columns) <= set(heads)), None)
            if tool is None:
                raise CourseError(f"{path}: neither JPlag's results.csv (--csv-export) nor Dolos' pairs.csv")
            return _read(path, rows, tool, works)
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror or error}") from error
    except (UnicodeError, csv.Error) as error:
        raise CourseError(f"{path}: no CSV file in UTF-8: {error}") from error


def _read(path: Path, rows: csv.DictReader, tool: str, works: Mapping[WorkKey, Work]) -> OtherTool:
    left, right, value = _TOOLS[tool]
    known = {name.casefold(): key for key, work in works.items() for name in (key.person, work.label)}
    found: dict[tuple[WorkKey, WorkKey], float] = {}
    unknown: set[str] = set()
    for row in rows:
        names = [row[left] or "", row[right] or ""]
        keys = [_work(name, known) for name in names]
        unknown.update(name for name, key in zip(names, keys, strict=True) if key is None)
        try:
            similarity = float(row[value])
        except (TypeError, ValueError):
            similarity = -1.0
        if not 0 <= similarity <= 1:
            raise CourseError(f"{path}: line {rows.line_num}: {value} is not a number from 0 to 1")
        if None not in keys and keys[0] != keys[1]:
            pair = min(keys), max(keys)
            found[pair] = max(similarity, found.get(pair, 0.0))
    if not found:
        raise CourseError(f"{path}: no two of the names in it are hand-ins of this class")
    return OtherTool(tool, found, tuple(sorted(visible(name) for name in unknown)))


def _work(name: str, known: Mapping[str, WorkKey]) -> WorkKey | None:
    """The work that a tool's name is of: a hand-in's own, or that of a folder on a file's path."""
    for part in (name, *reversed(re.split(r"[\\/]", name))):
        stem = next((part[: -len(end)] for end in ARCHIVE_SUFFIXES if part.lower().endswith(end)), part)
        for spelling in (part, stem, read_name(part).student or part):
            if spelling.casefold() in known:
                return known[spelling.casefold()]
    return None
