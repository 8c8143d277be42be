"""The student's code: found in its folder, loaded, run, and whatever stops it put into one sentence.

VAE and GAN both have a model.py, a trainer.py and a dataset.py. Each project's modules are therefore in `sys.modules`,
and its folder on `sys.path`, only while code of that project runs.
"""

import ast
import importlib
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import Tensor

from coursekit.errors import UNFILLED, explain_cuda

_BLOCK = re.compile(r"block (\d+) of ")
_QUOTED_NAME = re.compile(r"'(\w+)'")
MESSAGE_LENGTH = 300  # characters of an exception's message; some of torch's go on for pages


class CodeStopped(Exception):
    """The student's code can't go on, and a check can't either.

    Args:
        sentence: what a student should read.
        causes: what this has in common with other checks that stop for the same reason; only the first is to fail.
    """

    def __init__(self, sentence: str, *causes: Hashable):
        super().__init__(sentence)
        self.sentence = sentence
        self.causes = (sentence, *causes)


def look_at(what: str, value: object, shape: Sequence[int], where: str) -> None:
    """Look at something that the student's code made.

    Raises:
        CodeStopped: it isn't a tensor of this shape.
    """
    if isinstance(value, Tensor) and value.shape == tuple(shape):
        return
    found = f"has shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is of type {type(value).__name__}"
    sentence = f"{what[0].upper()}{what[1:]} {found} where a tensor of shape {tuple(shape)} is expected (see {where})."
    raise CodeStopped(sentence, what, (tuple(shape), found))


@dataclass(frozen=True)
class File:
    """One file that has blocks to fill in, and what the rest of the assignment needs of it.

    Attributes:
        interface: class -> its methods that are called from elsewhere.
        blocks: block -> the names that the lines after it use.
    """

    name: str  # "model.py"
    interface: dict[str, tuple[str, ...]]
    blocks: dict[int, tuple[str, ...]]


PROJECT_FILES = {
    "VAE": (
        File(
            "model.py",
            {"VAE": ("reparameterize", "forward")},
            {1: (), 2: ("z",), 3: ("recon_x", "mu", "log_sigma"), 4: ("images",)},
        ),
        File("trainer.py", {"Trainer": ("loss_fn", "train")}, {1: ("recon_loss", "kl_loss")}),
    ),
    "GAN": (
        File("model.py", {"Generator": ("forward",), "Discriminator": ("forward",)}, {1: ()}),
        File(
            "trainer.py",
            {"Trainer": ("train_step", "train")},
            {1: ("loss_D_real", "D_x"), 2: ("loss_D_fake", "D_G_z1"), 3: ("loss_G", "D_G_z2")},
        ),
    ),
}
OPTIONAL_PROJECTS = {"GAN"}


class Project:
    """One project folder of the student's.

    Args:
        codes: the folder that holds the project folders.
        name: "VAE" or "GAN".
    """

    def __init__(self, codes: Path, name: str):
        self.name = name
        self.folder = codes / name
        self.files = {file.name: file for file in PROJECT_FILES[name]}
        self._shown_folder = f"{codes.name}/{name}"
        self._modules: dict[str, ModuleType] = {}  # the student's, while they are not in sys.modules
        # A file is read and imported once, however many checks ask about it.
        self.problem = cache(self._find_problem)
        self.unfilled = cache(self._find_unfilled)

    @property
    def left_out(self) -> str | None:
        """Why nothing of this project is checked, where it is optional and nobody has begun it."""
        if self.name not in OPTIONAL_PROJECTS:
            return None
        if not any((self.folder / name).exists() for name in self.files):
            return f"optional: there is nothing to check in {self._shown_folder}"
        if all(not (self.folder / name).exists() or self._nothing_filled(name) for name in self.files):
            return f"optional: no block of the {self.name} is filled in yet"
        return None

    def get(self, file_name: str, class_name: str) -> type:
        """A class of the student's, from a file that can be imported."""
        problem = self.problem(file_name)
        if problem is not None:
            raise CodeStopped(problem)
        return getattr(self._modules[Path(file_name).stem], class_name)

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Run student code in the block, and nothing else that could fail.

        Args:
            what: what is run, such as "VAE(1, 7)".
        Raises:
            CodeStopped: in place of any exception.
        """
        try:
            with self._at_home():
                yield
        except (Exception, SystemExit) as error:
            raise self._stopped(error, what) from None

    def _find_problem(self, file_name: str) -> str | None:
        """Import a file; what keeps it from being of use, as one sentence, or None."""
        shown = f"{self._shown_folder}/{file_name}"
        if not (self.folder / file_name).is_file():
            return f"{shown} is missing."
        try:
            with self._at_home():
                module = importlib.import_module(Path(file_name).stem)
        except SyntaxError as error:
            where = self._shown(error.filename) if error.filename else shown
            return (
                f"{where}:{error.lineno or 1} can't be read by Python, {type(error).__name__}: {_one_line(error.msg)}."
            )
        except (Exception, SystemExit) as error:
            gpu = explain_cuda(error)
            return f"{self._where(error) or shown} can't be imported, {f'since {gpu}' if gpu else _named(error)}."
        for class_name, methods in self.files[file_name].interface.items():
            found = getattr(module, class_name, None)
            if not inspect.isclass(found):
                own = [
                    name for name, item in vars(module).items() if getattr(item, "__module__", "") == module.__name__
                ]
                classes = [name for name in own if inspect.isclass(getattr(module, name))]
                instead = f" (it has {', '.join(classes)})" if classes else ""
                return f"{shown} has no class {class_name}, which main.py needs{instead}."
            for method in methods:
                if not callable(getattr(found, method, None)):
                    return f"{shown} has a class {class_name} without the method {method}."
        return None

    def _find_unfilled(self, file_name: str) -> dict[int, str]:
        """The blocks of a file that nobody has filled in: their numbers, and what is to be said of each.

        Read, not run: a block may stand behind another one that is not filled in either.
        """
        path = self.folder / file_name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a student's "\d"
                tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            return {}
        unfilled = {}
        for message, line in _placeholders(tree):
            number = _BLOCK.search(message)
            if number:
                unfilled[int(number[1])] = f"{self._shown_folder}/{file_name}:{line}: {message.removeprefix(UNFILLED)}."
        return unfilled

    def _nothing_filled(self, file_name: str) -> bool:
        return self.files[file_name].blocks.keys() <= self.unfilled(file_name).keys()

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """The process as main.py of this project would have it, and afterwards as it was."""
        own = {path.stem for path in self.folder.glob("*.py")} | {
            path.parent.name for path in self.folder.glob("*/*.py")
        }
        others = _take_modules(own)
        path, write_no_bytecode = sys.path.copy(), sys.dont_write_bytecode
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.folder))
        sys.dont_write_bytecode = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a deprecated call is the student's own business
                yield
        finally:
            sys.path[:] = path
            sys.dont_write_bytecode = write_no_bytecode
            self._modules.update(_take_modules(own))
            sys.modules.update(others)

    def _stopped(self, error: BaseException, what: str) -> CodeStopped:
        where = self._where(error)
        at = f"{where}: " if where else ""
        if isinstance(error, NotImplementedError) and str(error).startswith(UNFILLED):
            return CodeStopped(f"{at}{str(error).removeprefix(UNFILLED)}.")
        forgotten = self._forgotten(error)
        if forgotten:
            return CodeStopped(f"{at}{forgotten}.")
        gpu = explain_cuda(error)
        if gpu:
            return CodeStopped(f"{at}{gpu}.", gpu)
        sentence = f"{at}{what} stops with {_named(error)}."
        # Other checks may come across the same mistake in other lines, or in this line with other numbers.
        return CodeStopped(sentence, (type(error), str(error)), (type(error), where))

    def _forgotten(self, error: BaseException) -> str | None:
        """Which block leaves a name without a value that the given lines after it use."""
        quoted = _QUOTED_NAME.search(str(error)) if isinstance(error, NameError) else None
        frames = self._frames(error)
        if not quoted or not frames:
            return None
        file = self.files.get(Path(frames[-1].filename).name)
        if file and re.match(r"return\b", frames[-1].line or ""):
            for block, names in file.blocks.items():
                if quoted[1] in names:
                    return f"block {block} of {self.name}/{file.name} leaves '{quoted[1]}' without a value"
        return None

    def _where(self, error: BaseException) -> str | None:
        """The line of the student's that an exception came from."""
        frames = self._frames(error)
        return f"{self._shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else None

    def _frames(self, error: BaseException) -> list[traceback.FrameSummary]:
        frames = traceback.extract_tb(error.__traceback__)
        return [frame for frame in frames if Path(frame.filename).is_relative_to(self.folder)]

    def _shown(self, path: str) -> str:
        if not Path(path).is_relative_to(self.folder):
            return path
        return f"{self._shown_folder}/{Path(path).relative_to(self.folder).as_posix()}"


def _take_modules(names: set[str]) -> dict[str, ModuleType]:
    """Take modules, and what lies below them, out of sys.modules."""
    if names.isdisjoint(sys.modules):
        return {}
    below = tuple(f"{name}." for name in names)
    taken = [name for name in sys.modules if name in names or name.startswith(below)]
    return {name: sys.modules.pop(name) for name in taken}


def _placeholders(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The message and the line of every `raise` of an unfilled block that can be reached."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            for statement in statements if isinstance(statements, list) else ():
                if isinstance(statement, ast.Return):
                    break
                match statement:
                    case ast.Raise(exc=ast.Call(args=[ast.Constant(value=str(message))])):
                        if message.startswith(UNFILLED):
                            yield message, statement.lineno


def _named(error: BaseException) -> str:
    message = _one_line(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _one_line(message: str) -> str:
    message = " ".join(message.split()).rstrip(".")
    return message if len(message) <= MESSAGE_LENGTH else message[:MESSAGE_LENGTH] + "…"
