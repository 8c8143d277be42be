"""What a probe writes down: arrays, facts, and what stopped the student's code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from autograder.probe.project import Project


class WrongAnswer(Exception):
    """The student's code gave something of another type or shape than its docstring says."""


class Record:
    """Arrays and facts by name; a part that the student's code can't finish costs nothing that was noted before."""

    def __init__(self):
        self._arrays: dict[str, np.ndarray] = {}
        self._facts: dict[str, object] = {}
        self._failures: dict[str, dict[str, object]] = {}

    def array(self, name: str, values: Tensor | float) -> None:
        """Note numbers, as float64 where they aren't float32."""
        values = torch.as_tensor(values).detach()
        values = values if values.dtype == torch.float32 else values.to(torch.float64)
        self._arrays[name] = values.cpu().numpy().copy()

    def fact(self, name: str, value: object) -> None:
        """Note anything that JSON can hold."""
        self._facts[name] = value

    @contextmanager
    def part(self, name: str, project: "Project") -> Iterator[None]:
        """Run student code in the block; where it raises, note that and go on behind the block."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.failed(name, project, error)

    def failed(self, name: str, project: "Project", error: BaseException) -> None:
        """Note what has stopped the student's code in a part."""
        self._failures[name] = project.describe(error)

    def write(self, folder: Path, name: str) -> None:
        """Write <name>.npz and <name>.json."""
        np.savez(folder / f"{name}.npz", **self._arrays)
        text = json.dumps({"facts": self._facts, "failures": self._failures})
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def several(what: str, answer: object, names: tuple[str, ...]) -> tuple:
    """An answer that is a tuple or a list of so many things.

    Raises:
        WrongAnswer: it is something else.
    """
    if answer is None:
        raise WrongAnswer(f"{what} returns nothing, where it should return {', '.join(names)}: a `return` is missing")
    if not isinstance(answer, (tuple, list)) or len(answer) != len(names):
        raise WrongAnswer(f"{what} should return {len(names)} things: {', '.join(names)}")
    return tuple(answer)


def tensor(what: str, value: object, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape.

    Raises:
        WrongAnswer: it is something else.
    """
    if value is None:
        raise WrongAnswer(f"{what} is None: a `return` is missing, or what it returns was never computed")
    if not isinstance(value, Tensor):
        raise WrongAnswer(f"{what} should be a tensor and is of type {type(value).__name__}")
    if tuple(value.shape) != tuple(shape):
        raise WrongAnswer(f"{what} should have shape {tuple(shape)} and has {tuple(value.shape)}")
    return value


def number(what: str, value: object) -> float:
    """A number, given as such or as a tensor of one number.

    Raises:
        WrongAnswer: it is something else.
    """
    if isinstance(value, Tensor) and value.numel() != 1:
        raise WrongAnswer(f"{what} should be one number and is a tensor of shape {tuple(value.shape)}")
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError):
        raise WrongAnswer(f"{what} should be one number and is of type {type(value).__name__}") from None
