"""A student's files laid over a pristine scaffold: what is run is what was read, and nothing that came along."""

import functools
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath

from autograder.archives import MB, ArchiveError
from code_analyze.tree import MAX_BYTES, PYTHON
from coursekit.staging import README_NAMES

MOST_CODE = 5 * MB  # all of a class's lies in memory; a student's has some 30 kB

# A module of such a name would take the place of what the student's code, or a grader beside it, imports.
_HOOKS = {"__main__", "conftest", "sitecustomize", "usercustomize"}
_OURS = {"autograder", "code_analyze", "coursekit", "tests"}
_OTHERS = {"PIL", "matplotlib", "numpy", "pandas", "pytest", "scipy", "sklearn", "tensorflow", "torch", "torchvision"}


def overlay(codes: Path | None, scaffold: Mapping[str, bytes], target: Path) -> list[str]:
    """Write the scaffold with a student's files in place of its own.

    Taken are the Python files that lie directly in a project's folder, unless their name is taken, and its README.

    Args:
        codes: the student's folder with the project folders in it; None where there is none.
        scaffold: the pristine scaffold, "VAE/model.py" -> content.
        target: the folder to write, which must not exist yet.
    Returns:
        the student's files that were left out. First come those whose kind doesn't say why, with the reason:
        "VAE/random.py (the name of another module)".
    Raises:
        ArchiveError: there is more of it than anybody writes.
    """
    given = {name.split("/")[0] for name in scaffold}
    theirs, left_out = {}, {}
    for path in sorted(codes.rglob("*")) if codes else ():
        if path.is_dir():
            continue
        name = path.relative_to(codes).as_posix()
        project, _, rest = name.partition("/")
        spelled = next((known for known in given if known.lower() == project.lower()), project)
        place = f"{spelled}/{rest}"
        reason = _why_left_out(rest, path.stat().st_size, place in scaffold) if spelled in given else ""
        if reason is None:
            theirs[place] = path.read_bytes()
            if sum(map(len, theirs.values())) > MOST_CODE:
                raise ArchiveError(f"more than {MOST_CODE // MB} MB of code")
        else:
            left_out[name] = reason
    with_readme = {name.split("/")[0] for name in theirs if _is_readme(name)}
    kept = {n: data for n, data in scaffold.items() if not (_is_readme(n) and n.split("/")[0] in with_readme)}
    for name, content in (kept | theirs).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    explained_first = sorted(left_out, key=lambda name: not left_out[name])
    return [f"{name} ({left_out[name]})" if left_out[name] else name for name in explained_first]


def is_reserved(module: str) -> bool:
    """Whether a module of this name would shadow the standard library, an installed package or a tool's own file."""
    return any(module in names for names in (_HOOKS, _OURS, _OTHERS, sys.stdlib_module_names, _installed()))


def _why_left_out(name: str, num_bytes: int, is_given: bool) -> str | None:
    """Why a file of a project is left out, "" where its kind says it, or None for one that is taken."""
    path = PurePosixPath(name)
    if "/" in name:
        return "in a folder of its own" if path.suffix == PYTHON else ""
    if num_bytes > MAX_BYTES:
        return "too large to be read"  # by analyze.py
    if path.suffix != PYTHON:
        return None if _is_readme(name) else ""
    if not path.stem.isidentifier():
        return "no module's name"
    return "the name of another module" if is_reserved(path.stem) and not is_given else None


def _is_readme(name: str) -> bool:
    return PurePosixPath(name).name.lower() in {readme.lower() for readme in README_NAMES}


@functools.cache
def _installed() -> frozenset[str]:
    return frozenset(name.split("/")[0] for name in packages_distributions())
