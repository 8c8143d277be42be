"""The student's project: its classes, and where in its files an exception came from."""

import importlib
import json
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from autograder.probe.record import WrongAnswer
from coursekit.errors import CourseError, explain_cuda
from coursekit.text import shortened

MESSAGE_LENGTH = 300  # characters
_START, _END = (re.compile(rf"\s*#\s*TODO\s+{word}\s*$", re.IGNORECASE) for word in ("START", "END"))
# What the lines behind a block use of it: file -> block -> names, as the scaffold says them to students.
SET_BY_BLOCKS = {
    "VAE/model.py": {2: ("z",), 3: ("recon_x", "mu", "log_sigma"), 4: ("images",)},
    "VAE/trainer.py": {1: ("recon_loss", "kl_loss")},
    "GAN/model.py": {1: ("decoder",)},
    "GAN/trainer.py": {1: ("loss_D_real", "D_x"), 2: ("loss_D_fake", "D_G_z1"), 3: ("loss_G", "D_G_z2")},
}
_UNSET = (
    re.compile(r"(?:name|local variable) '(\w+)'"),
    re.compile(r"object has no attribute '(\w+)'"),
)


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

        A file with a block that is no Python is imported without that block, which raises its SyntaxError when it is
        run: the others may be right.

        Raises:
            WrongAnswer: there is no such class.
            Exception: whatever the import of the module raises.
        """
        try:
            imported = importlib.import_module(module)
        except SyntaxError as error:
            imported = self._import_without_broken_blocks(module, error)
        found = getattr(imported, name, None)
        if isinstance(found, type):
            return found
        classes = [key for key, value in vars(imported).items() if getattr(value, "__module__", "") == module]
        instead = f" (it has {', '.join(classes)})" if classes else ""
        raise WrongAnswer(f"{self.name}/{module}.py has no class {name}{instead}")

    def _import_without_broken_blocks(self, name: str, error: SyntaxError) -> ModuleType:
        """Import a module of the student's, each of whose broken blocks raises what Python says of it.

        Raises:
            SyntaxError: the same, where it does not come from a block.
        """
        path = self.folder / f"{name}.py"
        if error.filename != str(path) or name in sys.modules:
            raise error
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise error from None
        blocks = _find_blocks(lines)
        broken = {block: reason for block in blocks if (reason := _what_breaks(lines, blocks, [block], path))}
        if not broken:
            raise error
        for (start, end), reason in broken.items():
            position = (str(path), min(max(reason.lineno or 1, start + 1), end), None, None)
            lines[start:end] = _one_statement(lines, start, end, f"raise SyntaxError({reason.msg!r}, {position!r})")
        code = compile("\n".join(lines) + "\n", str(path), "exec")
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module
        exec(code, module.__dict__)
        return module

    def forget(self) -> None:
        """Have the student's modules imported anew when they are next asked for."""
        for path in self.folder.glob("*.py"):
            if getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
                del sys.modules[path.stem]

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
        if gpu := explain_cuda(error):
            said |= {"type": CourseError.__name__, "message": gpu}
        own = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(self.folder)]
        if own:
            file, line = own[-1]
            shown = f"{self.name}/{file.relative_to(self.folder).as_posix()}"
            said["where"], said["block"] = f"{shown}:{line}", _block(file, line)
            if isinstance(error, (NameError, AttributeError)) and (sentence := _unset(shown, said)):
                return {"type": WrongAnswer.__name__, "message": sentence, "where": "", "block": 0}
        return said

    def _wide_files(self) -> Iterator[tuple[Path, str]]:
        """Source files in an encoding of two or four bytes a character, as some editors save them, and its name."""
        for file in sorted(self.folder.glob("*.py")):
            encoding = json.detect_encoding(file.read_bytes()[:4])
            if encoding.startswith(("utf-16", "utf-32")):
                yield file, encoding[: len("utf-16")].upper()


def _unset(file: str, said: dict[str, object]) -> str:
    """What block has not set a name that the lines behind it use, one sentence; "" where it is another mistake."""
    for pattern in _UNSET:
        match = pattern.search(str(said["message"]))
        for block, names in SET_BY_BLOCKS.get(file, {}).items() if match else ():
            if match[1] in names and said["block"] != block:
                name = f"self.{match[1]}" if match[1] == "decoder" else match[1]
                return f"block {block} of {file} does not set {name}, which the lines behind it use"
    return ""


def _find_blocks(lines: Sequence[str]) -> list[tuple[int, int]]:
    """The TODO blocks' bodies, as slices of lines."""
    blocks, start = [], None
    for index, text in enumerate(lines):
        if _START.match(text):
            start = index + 1
        elif _END.match(text) and start is not None:
            blocks.append((start, index))
            start = None
    return [(start, end) for start, end in blocks if end > start]


def _what_breaks(
    lines: Sequence[str], blocks: Sequence[tuple[int, int]], kept: Sequence[tuple[int, int]], path: Path
) -> SyntaxError | None:
    """What Python says of a file with only some of its blocks kept; None where it can be read."""
    lines = list(lines)
    for start, end in blocks:
        if (start, end) not in kept:
            lines[start:end] = _one_statement(lines, start, end, "pass")
    try:
        compile("\n".join(lines) + "\n", str(path), "exec")
    except SyntaxError as error:
        return error
    except ValueError:  # a null byte
        return None
    return None


def _one_statement(lines: Sequence[str], start: int, end: int, statement: str) -> list[str]:
    """A block's lines with one statement in them, so that all others keep their numbers."""
    marker = lines[start - 1]
    indent = marker[: len(marker) - len(marker.lstrip())]
    return [f"{indent}{statement}", *[""] * (end - start - 1)]


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
    return shortened(message, MESSAGE_LENGTH)
