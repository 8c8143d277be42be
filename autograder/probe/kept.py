"""How many numbers a model and its files keep: those beyond a network's own weights could be images.

Samples are drawn in a process that has a model's state and the student's files, so they can come from nowhere else.
"""

import array
import functools
import sys
import types
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from autograder.probe.project import Project

NUMBER_BYTES = 4  # what counts as one number, where it can't be said how many there are
ENOUGH = 10**6  # where counting ends
_COLLECTIONS = (list, tuple, set, frozenset, deque)


def what_is_kept(project: Project, model: torch.nn.Module) -> dict[str, int]:
    """Count what a model keeps, in whatever attribute, and what the student's modules do.

    Args:
        project: the student's, whose modules have been imported.
        model: freshly made.
    Returns:
        "numbers", at most ENOUGH: of parameters, buffers, arrays and collections, and the letters of texts; and "code":
        the bytes of information in the project's Python files, as zlib packs them.
    """
    own = f"{project.folder}/"
    # Not by their attributes: there are thousands of modules, and some load others when they are asked.
    files_of = {name: getattr(one, "__dict__", {}).get("__file__") for name, one in list(sys.modules.items())}
    modules = [sys.modules[name] for name, file in files_of.items() if str(file).startswith(own)]
    files = sorted(project.folder.glob("*.py"))
    code = zlib.compress(b"".join(path.read_bytes() for path in files), 9)
    return {"numbers": _count([model, *modules], {one.__name__ for one in modules}), "code": min(len(code), ENOUGH)}


def _count(things: Iterable[object], own_modules: set[str]) -> int:
    """Count the numbers in things and in all that can be reached from them."""
    seen: dict[int, object] = {}  # the things, too, so that no other takes the place of one that has gone
    total, waiting = 0, list(things)
    while waiting and total < ENOUGH:
        one = waiting.pop()
        if isinstance(one, (int, float, complex)):
            total += _numbers_of(one)
            continue
        key = one.untyped_storage().data_ptr() if _has_storage(one) else id(one)
        if key not in seen:
            seen[key] = one
            total += _numbers_of(one)
            waiting += _parts(one, own_modules)
    return min(total, ENOUGH)


def _numbers_of(one: object) -> int:
    """How many numbers something is, its parts left aside."""
    if _has_storage(one):
        return max(one.numel(), one.untyped_storage().nbytes() // NUMBER_BYTES)
    if isinstance(one, np.ndarray):
        return max(one.size, one.nbytes // NUMBER_BYTES)
    if isinstance(one, int):
        return 1 + one.bit_length() // (8 * NUMBER_BYTES)
    if isinstance(one, (str, bytes, bytearray, array.array, memoryview)):
        return len(one)
    return isinstance(one, (float, complex))


def _has_storage(one: object) -> bool:
    """Whether something is a tensor with numbers; those of a lazy layer come when it runs."""
    return isinstance(one, torch.Tensor) and not is_lazy(one) and one.layout == torch.strided and one.numel() > 0


def _parts(one: object, own_modules: set[str]) -> Iterator[object]:
    """What something is made of, as far as it is the student's."""
    if isinstance(one, torch.Tensor):
        if one.layout == torch.sparse_coo:
            yield from (one._indices(), one._values())
        yield vars(one)
    elif isinstance(one, Mapping):
        yield from one
        yield from one.values()
    elif isinstance(one, _COLLECTIONS) or (isinstance(one, np.ndarray) and one.dtype == object):
        yield from (one if not isinstance(one, np.ndarray) else one.flat)
    elif isinstance(one, functools.partial):
        yield from (one.func, one.args, one.keywords)
    elif isinstance(one, types.MethodType):
        yield from (one.__self__, one.__func__)
    elif isinstance(one, types.CodeType):
        yield one.co_consts
    elif isinstance(one, types.CellType):
        yield from ([one.cell_contents] if one != types.CellType() else [])
    elif isinstance(one, types.FunctionType):
        if one.__module__ in own_modules:
            yield from (one.__code__, one.__defaults__, one.__kwdefaults__, one.__doc__, one.__closure__, vars(one))
    elif isinstance(one, (type, types.ModuleType)):
        if (one.__module__ if isinstance(one, type) else one.__name__) in own_modules:
            yield vars(one)
    else:
        yield from ([vars(one)] if hasattr(one, "__dict__") else [])
