"""The student's project: its classes, and where in its files an exception came from."""

import importlib
import json
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

MESSAGE_LENGTH = 300  # characters
_START, _END = (re.compile(rf"\s*#\s*TODO\s+{word}\s*$", re.IGNORECASE) for word in ("START", "END"))


class Project:
    """One project folder of a student's, in a process that runs no other.

    Args:
        codes: the folder that holds the project folders.
        name: "VAE" or "GAN".
    """

    def __init__(self, codes: Path, name: str):
        self.name = name
        self.folder = (codes / name).resolve()
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.folder))

    def get(self, module: str, name: str) -> type:
        """A class of the student's.

        Raises:
            Exception: whatever the import of the module raises, or AttributeError.
        """
        return getattr(importlib.import_module(module), name)

    def describe(self, error: BaseException) -> dict[str, object]:
        """What an exception is, and where in the student's files it came from, as far as that is known."""
        said = {"type": type(error).__name__, "message": _one_line(str(error)), "where": "", "block": 0}
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError) and error.filename:
            said["message"] = _one_line(error.msg)
            frames.append((error.filename, error.lineno or 1))
        elif isinstance(error, (SyntaxError, ValueError)) and "null bytes" in said["message"]:  # it doesn't say where
            for file, encoding in self._wide_files():
                said["message"] = f"the file is in {encoding}, which Python can't read: save it as UTF-8"
                frames.append((str(file), 1))
        own = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(self.folder)]
        if own:
            file, line = own[-1]
            said["where"] = f"{self.name}/{file.relative_to(self.folder).as_posix()}:{line}"
            said["block"] = _block(file, line)
        return said

    def _wide_files(self) -> Iterator[tuple[Path, str]]:
        """Source files in an encoding of two or four bytes a character, as some editors save them, and its name."""
        for file in sorted(self.folder.glob("*.py")):
            encoding = json.detect_encoding(file.read_bytes()[:4])
            if encoding.startswith(("utf-16", "utf-32")):
                yield file, encoding[: len("utf-16")].upper()


def _block(file: Path, line: int) -> int:
    """Number of the TODO block that a line lies in, 0 where it lies in none."""
    number, inside = 0, False
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    for text in lines[:line]:
        if _START.match(text):
            number, inside = number + 1, True
        elif _END.match(text):
            inside = False
    return number if inside else 0


def _one_line(message: str) -> str:
    message = " ".join("".join(letter if letter.isprintable() else " " for letter in message).split())
    return message if len(message) <= MESSAGE_LENGTH else message[:MESSAGE_LENGTH] + "…"
