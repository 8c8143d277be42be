"""The handout: the folder and the zip that students get, built from this repository and checked before it is written.

The same repository gives the same bytes, whoever builds it, wherever and whenever.
"""

import ctypes
import glob
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.leaks import GUARDED, REFERENCE, TEMPLATES, find_leaks
from autograder.scaffold import LEFT_OUT_FOLDERS, build_scaffold
from coursekit.archive import pack
from coursekit.errors import CourseError, Refused
from coursekit.files import TEMPORARY_SUFFIX, write_atomically

# An allow-list: what an editor, a run or an instructor leaves beside these files stays here.
CONTENTS = (
    "Report_template.md",
    "code_analyze/*.py",
    "coursekit/**/*.py",
    "coursekit/extractors/*.json",
    "coursekit/extractors/*.pt",
    "tests/public/**/*.py",
)
REQUIRED = (*CONTENTS[:-1], "tests/public/test_*.py")  # helpers alone test nothing
SCAFFOLDS = ("codes", "code_analyze/_codes")  # the student's, and the untouched one that analyze.py compares with
# In autograder/handout/ -> in the handout. Under its own name .gitignore would be one of this repository's.
TEMPLATE_FILES = {"README.md": "README.md", "pyproject.toml": "pyproject.toml", "gitignore": ".gitignore"}

CHECKSUMS = "SHA256SUMS"  # by which a later release, or `sha256sum -c`, tells that nobody has worked in a handout
CACHES = {"__pycache__", ".pytest_cache"}  # nobody's work

FILE_MODE, FOLDER_MODE = 0o644, 0o755


@dataclass(frozen=True)
class Release:
    """What was written."""

    folder: Path
    archive: Path  # the zip
    num_files: int
    num_bytes: int  # of the files together
    archive_bytes: int
    archive_sha256: str


def release(root: Path | str, out: Path | str) -> Release:
    """Build the handout, check it, and write it as a folder and as a zip beside it.

    An earlier handout is replaced, each of the two in one step. Any other folder or zip in their place is left alone.

    Args:
        root: the repository.
        out: the folder to write; the zip gets its name and ".zip".
    Raises:
        Refused: something is missing, would give the solution away, or stands in the way. Nothing was written.
        CourseError: the solution's TODO lines don't add up, or the disk is full.
    """
    root, out = Path(root).resolve(), Path(out).resolve()
    archive = out.parent / f"{out.name}.zip"
    files = build_handout(root)
    problems = [*_missing(root), *_links(root), *find_leaks(root, files), *_in_the_way(root, out, archive)]
    if problems:
        raise Refused(problems, "nothing was written")
    # Stored: compressed bytes differ from one zlib to the next, and weights don't get smaller anyway.
    packed = pack({f"{out.name}/{name}": content for name, content in files.items()}, zipfile.ZIP_STORED)
    _write(files, packed, out, archive)
    num_bytes = sum(map(len, files.values()))
    return Release(out, archive, len(files), num_bytes, len(packed), hashlib.sha256(packed).hexdigest())


def build_handout(root: Path | str) -> dict[str, bytes]:
    """Build the handout's files; the scaffold comes from the solution, never from the working `codes/`.

    Returns:
        path in the handout, with forward slashes -> content, in the order of the paths.
    Raises:
        CourseError: a file can't be read, or the solution's TODO lines don't add up.
    """
    root = Path(root)
    files = {name: _read(root / name) for name in _collected(root)}
    files |= {name: _read(root / TEMPLATES / template) for template, name in TEMPLATE_FILES.items()}
    scaffold = build_scaffold(root / REFERENCE)
    files |= {f"{folder}/{name}": content for folder in SCAFFOLDS for name, content in scaffold.items()}
    sums = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    files[CHECKSUMS] = "".join(sums).encode()
    return dict(sorted(files.items()))


def _collected(root: Path) -> list[str]:
    names = set()
    for pattern in CONTENTS:
        for path in root.glob(pattern):
            below = path.relative_to(root)
            if path.is_file() and not any(p.startswith(".") or p in LEFT_OUT_FOLDERS for p in below.parts):
                names.add(below.as_posix())
    return sorted(names)


def _missing(root: Path) -> list[str]:
    missing = (pattern for pattern in REQUIRED if not any(root.glob(pattern)))
    return [f"{pattern}: no such file, and students need it" for pattern in missing]


def _links(root: Path) -> list[str]:
    """Name what lies elsewhere than it seems to: a link may lead out of the folders that are meant for students."""
    names = (name for name in _collected(root) if (root / name).resolve() != root.resolve() / name)
    return [f"{name}: a link, or in a linked folder; put the file itself there" for name in names]


def _in_the_way(root: Path, out: Path, archive: Path) -> list[str]:
    sources = {pattern.split("/")[0] for pattern in (*CONTENTS, *SCAFFOLDS, *GUARDED)}
    if out.is_relative_to(root) and out != root and out.relative_to(root).parts[0] in sources:
        return [f"{out}: lies where the handout is built from; choose another --out"]
    problems = []
    if out.is_dir() and any(out.iterdir()):
        problems += _not_as_released(out, _folder_content(out))
    elif out.exists() and not out.is_dir():
        problems.append(f"{out}: not a folder; choose another --out")
    if archive.exists():
        problems += _not_as_released(archive, _archive_content(archive))
    return problems


def _not_as_released(where: Path, content: dict[str, bytes | None] | None) -> list[str]:
    """Say why a folder or zip must not be replaced: it is no handout, or somebody has worked in it."""
    if content is None or content.get(CHECKSUMS) is None:
        return [f"{where}: there already, and not a handout; choose another --out"]
    lines = content[CHECKSUMS].decode("utf-8", "replace").splitlines()
    sums = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
    for name, data in content.items():
        if name != CHECKSUMS and (data is None or sums.get(name) != hashlib.sha256(data).hexdigest()):
            return [f"{where}: somebody's work is in there ({name}); move it away or choose another --out"]
    return []


def _folder_content(folder: Path) -> dict[str, bytes | None] | None:
    """Read a folder's files, None for what is no plain file; nothing at all where it is clear that it is no handout."""
    if not (folder / CHECKSUMS).is_file():
        return None
    content: dict[str, bytes | None] = {}
    for path in _walk(folder):
        plain = path.is_file() and not path.is_symlink()
        content[path.relative_to(folder).as_posix()] = _read(path) if plain else None
    return content


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name not in CACHES:
                yield from _walk(path)
        else:
            yield path


def _archive_content(archive: Path) -> dict[str, bytes | None] | None:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = {name.partition("/")[2]: name for name in opened.namelist()}
            return {below: opened.read(name) for below, name in names.items()} if CHECKSUMS in names else None
    except Exception:  # whatever a file that we did not write makes zipfile raise, it is no handout
        return None


def _write(files: Mapping[str, bytes], packed: bytes, out: Path, archive: Path) -> None:
    """Write everything beside `out` first, then put it there in one step each: nobody ever meets half a handout."""
    marker = f".{out.name}.release-"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f"{glob.escape(marker)}*{TEMPORARY_SUFFIX}"):  # by a run that was killed
            shutil.rmtree(left)
        scratch = Path(tempfile.mkdtemp(prefix=marker, suffix=TEMPORARY_SUFFIX, dir=out.parent))
        try:
            new = scratch / "new"
            for name, content in files.items():
                write_atomically(new / name, content).chmod(FILE_MODE)
            for folder in (new, *(path for path in new.rglob("*") if path.is_dir())):
                folder.chmod(FOLDER_MODE)
            new_archive = write_atomically(scratch / archive.name, packed)
            new_archive.chmod(FILE_MODE)
            os.replace(new_archive, archive)
            _put(new, out, scratch / "old")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise CourseError(f"could not write {out}: {error.strerror or error}") from error


def _put(new: Path, out: Path, aside: Path) -> None:
    if not out.exists():
        os.rename(new, out)
    elif not _exchange(new, out):
        os.rename(out, aside)
        try:
            os.rename(new, out)
        except BaseException:
            os.rename(aside, out)
            raise


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, where the system can: Linux's renameat2(2)."""
    if not sys.platform.startswith("linux"):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except AttributeError:  # a C library without it
        return False
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path}: can't be read: {error.strerror or error}") from error
