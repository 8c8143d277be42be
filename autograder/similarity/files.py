"""What lies in an unpacked hand-in: its Python files, its texts, and the rest by hash. Links are not followed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from code_analyze.summary import visible
from code_analyze.tree import MAX_BYTES, SEALED_FOLDERS, decode_python

MAX_FILE = 8_000_000  # bytes of any other
MAX_TOTAL = 120_000_000
MAX_FILES = 4_000
MAX_DEPTH = 20


@dataclass
class HandedIn:
    """The files of one hand-in.

    Attributes:
        python: path -> text.
        other: path -> bytes, of what may hold traces.
        remarks: what was not read, and why.
    """

    python: dict[str, str] = field(default_factory=dict)
    other: dict[str, bytes] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_files(folder: Path) -> HandedIn:
    """Read a hand-in's files, within limits. Any bytes become some text."""
    result, total, count = HandedIn(), 0, 0
    for path, name in _walk(folder):
        count += 1
        if count > MAX_FILES:
            result.remarks.append(f"more than {MAX_FILES:,} files; the rest was not looked at")
            break
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                continue
            is_python = name.endswith(".py")
            limit = MAX_BYTES if is_python else MAX_FILE
            if status.st_size > limit or total + status.st_size > MAX_TOTAL:
                if is_python:
                    result.remarks.append(f"{visible(name)}: {status.st_size:,} bytes, too large to be compared")
                continue
            data = file.read(limit)
        total += len(data)
        if is_python:
            result.python[name] = decode_python(data)[0].removeprefix("\ufeff").replace("\0", "\\0")
        else:
            result.other[name] = data
    return result


def _walk(top: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder, in order of name, without what tools leave there."""
    folders = [(os.fspath(top), "", 0)]
    while folders:
        folder, prefix, depth = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        inner = []
        for entry in entries:
            name = prefix + os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            if entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in (*SEALED_FOLDERS, "__pycache__", "__MACOSX") and depth < MAX_DEPTH:
                    inner.append((entry.path, name + "/", depth + 1))
            elif not entry.name.startswith("._"):
                yield entry.path, name
        folders += reversed(inner)
