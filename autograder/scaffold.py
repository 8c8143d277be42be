"""The student's scaffold: `codes/`, built from `reference_solution/` by emptying its TODO blocks."""

import os
from pathlib import Path

from code_analyze.blocks import MarkerError, empty_blocks
from code_analyze.tree import RUN_FOLDERS, SCAFFOLD_SUFFIXES
from coursekit.errors import CourseError
from coursekit.files import write_atomically

LEFT_OUT_FOLDERS = {"__pycache__", *RUN_FOLDERS}


def build_scaffold(reference_dir: Path | str) -> dict[str, bytes]:
    """Build the student's files from the solution.

    Every Python file in a project folder (`VAE/`, `GAN/`, ...) has its TODO blocks emptied; one without blocks, and
    README.md and other texts, are copied byte for byte. Hidden files, caches, data, results and runs are left out.

    Args:
        reference_dir: the folder that holds the project folders.
    Returns:
        path below `codes/`, with forward slashes -> content, in the order of the paths.
    Raises:
        CourseError: no such folder, nothing in it, or a file with TODO lines that don't add up.
    """
    reference_dir = Path(reference_dir)
    names = [name for name in _built_files(reference_dir) if "/" in name]
    if not names:
        raise CourseError(f"{reference_dir}: no project folder with a file to build the scaffold from")
    return {name: _build_file(reference_dir, name) for name in names}


def write_scaffold(reference_dir: Path | str, codes_dir: Path | str) -> dict[str, bytes]:
    """Bring `codes_dir` in line with the solution: write what differs, remove what is no longer built.

    Data, results, caches and hidden files under `codes_dir` are nobody's business here and stay.

    Returns:
        what `build_scaffold` gave.
    """
    reference_dir, codes_dir = Path(reference_dir), Path(codes_dir)
    source, target = reference_dir.resolve(), codes_dir.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise CourseError(f"{codes_dir} and {reference_dir} overlap: the scaffold would overwrite the solution")
    built = build_scaffold(reference_dir)
    # Removing comes first: a stale folder may have the name that a file needs.
    for name in _built_files(codes_dir):
        if name not in built:
            _remove(codes_dir, name)
    for name, content in built.items():
        if _content(codes_dir / name) != content:
            write_atomically(codes_dir / name, content)
    return built


def stale_files(reference_dir: Path | str, codes_dir: Path | str) -> list[str]:
    """Compare `codes_dir` with what the solution gives.

    Returns:
        one line for each file that isn't as built: "VAE/model.py: differs", "...: missing" or "...: extra".
    """
    codes_dir = Path(codes_dir)
    built = build_scaffold(reference_dir)
    problems = {name: "extra" for name in _built_files(codes_dir) if name not in built}
    for name, content in built.items():
        found = _content(codes_dir / name)
        if found != content:
            problems[name] = "missing" if found is None else "differs"
    return [f"{name}: {problem}" for name, problem in sorted(problems.items())]


def _build_file(reference_dir: Path, name: str) -> bytes:
    content = _content(reference_dir / name)
    if content is None:
        raise CourseError(f"{reference_dir / name}: can't be read")
    if not name.endswith(".py"):
        return content
    shown = f"{reference_dir.name}/{name}"
    try:
        return empty_blocks(content.decode("utf-8"), shown).encode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CourseError(f"{shown}:{line}: not UTF-8; save the file as UTF-8") from error
    except MarkerError as error:
        raise CourseError(str(error)) from error


def _built_files(folder: Path) -> list[str]:
    """List the files below a folder that are the scaffold's to build or to remove, with forward slashes, sorted."""
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in LEFT_OUT_FOLDERS]
        below = Path(parent).relative_to(folder)
        names += [(below / n).as_posix() for n in files if not n.startswith(".") and n.endswith(SCAFFOLD_SUFFIXES)]
    return sorted(names)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _remove(codes_dir: Path, name: str) -> None:
    try:
        (codes_dir / name).unlink()
    except OSError as error:
        raise CourseError(f"could not remove {codes_dir / name}: {error.strerror or error}") from error
    for folder in (codes_dir / name).parents:
        if folder == codes_dir or any(folder.iterdir()):
            break
        folder.rmdir()
