"""Files that are there whole or not at all, and those that are nobody else's business."""

import contextlib
import errno
import functools
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from coursekit.errors import CourseError

TEMPORARY_SUFFIX = ".tmp"
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_FILE, _FOLDER = 0o666, 0o777  # less what the umask takes away, as everywhere


def write_atomically(path: Path | str, content: bytes | str, private: bool = False) -> Path:
    """Write a file so that no reader, crash or kill ever meets half of it.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the final name in one step.
    A file that is there already keeps its mode.

    Args:
        path: where the file is to stand; its folder is made where needed.
        content: bytes, or text written as UTF-8.
        private: whether a new file, and the folders that are made for it, are for their owner alone.
    Raises:
        CourseError: the disk is full, or the folder can't be written. What stood at `path` is untouched.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        make_folder(path.parent, private)
        temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
        mode = _mode_of(path)
        try:
            with create(temporary, private) as file:
                if mode is not None:
                    os.chmod(temporary, mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CourseError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    return path


def make_folder(folder: Path, private: bool = False) -> Path:
    """Make a folder and those above it where there are none; one that is there is left as it is.

    Args:
        private: whether what is made is for its owner alone.
    Raises:
        OSError: it can't be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent, private)
        folder.mkdir(PRIVATE_FOLDER if private else _FOLDER, exist_ok=True)
    return folder


def create(path: Path, private: bool = False) -> BinaryIO:
    """Open a file that must not be there yet, for writing.

    Args:
        private: whether it is for its owner alone.
    Raises:
        OSError: it is there, or can't be made.
    """
    return open(path, "xb", opener=functools.partial(os.open, mode=PRIVATE_FILE if private else _FILE))


def open_file(name: Path | str, folder: int | None = None) -> BinaryIO:
    """Open a file of somebody else's for reading: no link is followed, and no pipe or device is waited for.

    Args:
        name: the file; links on the way to it are followed, unless it is but a name in `folder`.
        folder: a descriptor of the folder that it lies in.
    Raises:
        OSError: it is something else than a file, or can't be read.
    """
    descriptor = _open(name, folder, os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file", str(name))
    return os.fdopen(descriptor, "rb")


@contextlib.contextmanager
def open_folder(name: Path | str, folder: int | None = None) -> Iterator[int]:
    """Give a descriptor of a folder, by which `open_file` and `os.listdir` find what lies in it and in no other.

    Args:
        name, folder: as those of `open_file`.
    Raises:
        OSError: it is something else than a folder, or can't be read.
    """
    descriptor = _open(name, folder, os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: Path | str, folder: int | None, flags: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, "a link, or not what it should be", str(name)) from error
        raise


def claim_private(path: Path) -> Path:
    """See that there is a file, a new one its owner's alone: for others to open and fill, such as a data base.

    One that is there already keeps its mode and its content.

    Raises:
        OSError: it can't be made.
    """
    make_folder(path.parent, private=True)
    with contextlib.suppress(FileExistsError):
        create(path, private=True).close()
    return path


def _mode_of(path: Path) -> int | None:
    """The permissions of a file that is there; None where there is none, or something else."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    return stat.S_IMODE(mode) & _FOLDER if stat.S_ISREG(mode) else None
