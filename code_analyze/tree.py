"""The files of a folder that are compared, chosen by one rule, and what they hold. Standard library only."""

import codecs
import contextlib
import hashlib
import io
import json
import os
import stat
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from code_analyze.blocks import MarkerError, empty_blocks
from code_analyze.source import split_lines

MAX_BYTES = 1 << 20  # a larger file is named and not read
PYTHON = ".py"

# An allow-list: what an editor or a run leaves beside the solution ("model.py.orig") would give the solution away.
SCAFFOLD_SUFFIXES = (PYTHON, ".md", ".txt")
RUN_FOLDERS = ("data", "results", "runs")
TOOL_FOLDERS = (
    "__pycache__",
    ".git",
    ".idea",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    ".vscode",
    "env",
    "venv",
)
# Whole copies of other people's or of older code: their Python files are counted, not listed.
SEALED_FOLDERS = (".git", ".ipynb_checkpoints", ".venv", "env", "venv")
LEFT_OUT_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
RULE = (
    f"Folders named {', '.join(RUN_FOLDERS)}, {', '.join(TOOL_FOLDERS)}, and files named {', '.join(LEFT_OUT_FILES)}.",
    f"Python files in such folders are listed all the same; those in {', '.join(SEALED_FOLDERS)} are counted below.",
)
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f")


class TreeError(Exception):
    """A folder that can't be compared. The message is one line."""


@dataclass(frozen=True)
class File:
    """One file below a folder.

    Attributes:
        name: its path below the folder, with forward slashes.
        data: its bytes; empty where it was not read.
        text: what it says, or None where it is not text or was not read.
        remark: what is unusual about it, as a phrase; "" for an ordinary file.
        is_problem: whether the remark keeps it from being compared, or from being run.
    """

    name: str
    data: bytes
    text: str | None
    remark: str = ""
    is_problem: bool = False

    @property
    def is_python(self) -> bool:
        """Whether Python would import it."""
        return self.name.endswith(PYTHON)

    @property
    def lines(self) -> list[str]:
        """The text's lines, without their line ends."""
        return [line.rstrip("\r\n") for line in split_lines(self.text or "")]


@dataclass(frozen=True)
class Tree:
    """The files of a folder that count, by name, and one phrase for every sealed folder that holds Python files."""

    files: dict[str, File]
    sealed: list[str] = field(default_factory=list)


def read_tree(folder: Path, skip: Path | None = None) -> Tree:
    """Read every file below a folder, except what the rule leaves out. Links are not followed.

    Args:
        folder: where to look.
        skip: a file that is not the folder's own, such as a summary that is written into it.
    Raises:
        TreeError: there is no such folder, or it can't be listed.
    """
    if not folder.is_dir():
        raise TreeError(f"no folder {folder}")
    try:
        os.listdir(folder)
    except OSError as error:
        raise TreeError(f"{folder}: {error.strerror or error}") from error
    inside = skip is not None and skip.resolve().is_relative_to(folder.resolve())
    skipped = skip.resolve().relative_to(folder.resolve()).as_posix() if inside else None
    files, sealed = {}, []
    for path, name in _walk(folder, sealed):
        if name != skipped:
            files[name] = _read(path, name)
    return Tree({name: files[name] for name in sorted(files, key=_by_folder)}, sorted(sealed))


def read_scaffold(folder: Path) -> Tree:
    """Derive the pristine scaffold from the solution: its project folders' Python files and texts, blocks emptied.

    Raises:
        TreeError: there is no such folder, or its TODO lines don't add up.
    """
    files = {}
    for name, file in read_tree(folder).files.items():
        if "/" not in name or not name.endswith(SCAFFOLD_SUFFIXES) or file.text is None:
            continue
        try:
            text = empty_blocks(file.text, f"{folder.name}/{name}") if file.is_python else file.text
        except MarkerError as error:
            raise TreeError(str(error)) from error
        files[name] = File(name, text.encode(), text)
    return Tree(files)


def _by_folder(name: str) -> list[str]:
    return name.split("/")


def _walk(top: Path, sealed: list[str]) -> Iterator[tuple[Path, str]]:
    """Find the files that count, in any order; add what the sealed folders hold to `sealed`."""
    folders = [(top, "", False)]  # no recursion: a hostile tree is deeper than Python's stack
    while folders:
        folder, prefix, only_python = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            yield folder, prefix.rstrip("/")
            continue
        for entry in entries:
            name = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                if entry.name.endswith(PYTHON) or (not only_python and entry.name not in LEFT_OUT_FILES):
                    yield Path(entry.path), name
            elif entry.name in SEALED_FOLDERS:
                sealed += _seal(Path(entry.path), name)
            else:
                left_out = only_python or entry.name in RUN_FOLDERS or entry.name in TOOL_FOLDERS
                folders.append((Path(entry.path), name + "/", left_out))


def _seal(folder: Path, name: str) -> list[str]:
    """Count the Python files of a folder and take one digest of them all, so that any change in them is seen."""
    digest, count = hashlib.sha256(), 0
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(file for file in files if file.endswith(PYTHON)):
            path = Path(parent, file)
            try:
                content = path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b""
            except OSError:  # counted all the same
                content = b""
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode(errors="surrogateescape"))
            digest.update(content)
            count += 1
    return [f"{name}/: {count:,} Python file{'s' * (count != 1)}, SHA-256 {digest.hexdigest()[:16]}"] if count else []


def _read(path: Path, name: str) -> File:
    try:
        mode, size = path.lstat().st_mode, path.lstat().st_size
        if stat.S_ISLNK(mode):
            remark = f"a link to {os.readlink(path)}, not followed".replace("\\", "/")
            return File(name, b"", None, remark, path.name not in RUN_FOLDERS)  # data may well live elsewhere
        if not stat.S_ISREG(mode):
            what = "a folder that can't be listed" if stat.S_ISDIR(mode) else "neither a file nor a folder, not read"
            return File(name, b"", None, what, True)
        if size > MAX_BYTES:
            remark = f"{size:,} bytes, too large to be shown: SHA-256 {_digest(path)}"
            return File(name, b"", None, remark, name.endswith(PYTHON))
        data = path.read_bytes()
    except OSError as error:
        return File(name, b"", None, f"can't be read: {error.strerror or error}", True)
    return _decode_python(name, data) if name.endswith(PYTHON) else _decode(name, data)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def decode_python(data: bytes) -> tuple[str, bool]:
    """Read source as Python does; what isn't in the encoding that it declares is shown with escapes.

    Returns:
        the text, and whether Python would read it, too.
    """
    if encoding := wide_encoding(data):
        return data.decode(encoding), False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
            return data.decode(encoding), True
    except (SyntaxError, UnicodeError, LookupError, ValueError):
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "backslashreplace"), False


def wide_encoding(data: bytes) -> str:
    """Name the encoding of two or four bytes a character that a source file is in, as some editors save it; or ""."""
    encoding = json.detect_encoding(data)  # by the byte-order mark, or by where the null bytes are
    if encoding.startswith(("utf-16", "utf-32")):
        with contextlib.suppress(UnicodeError):
            return encoding if "\0" not in data.decode(encoding) else ""
    return ""


def _decode_python(name: str, data: bytes) -> File:
    """Read a source file; what Python would refuse is called a problem."""
    text, is_readable = decode_python(data)
    if encoding := wide_encoding(data):
        shown = encoding[: len("utf-16")].upper()
        return File(name, data, text, f"in {shown}, which Python can't read: save it as UTF-8", True)
    if not is_readable:
        return File(name, data, text, "not in the encoding that it declares, or in UTF-8 where it declares none", True)
    if "\0" in text:
        return File(name, data, text, "holds null bytes, which Python refuses", True)
    return File(name, data, text)


def _decode(name: str, data: bytes) -> File:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with contextlib.suppress(UnicodeError):
            return File(name, data, data.decode("utf-16"), "UTF-16")
    # In no other encoding of text does a file hold more than a few control characters.
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if b"\0" in data or controls > len(data) / 10:
        return File(name, data, None, f"binary, {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:16]}")
    try:
        return File(name, data, data.decode("utf-8-sig"))
    except UnicodeError:
        text = data.decode("utf-8", "backslashreplace")
        return File(name, data, text, "not UTF-8: other bytes are shown as escapes")
