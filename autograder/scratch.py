"""Folders for what is thrown away at the end; a killed run's are removed by the next one.

A folder is locked for as long as its process lives, whatever ends that. So what is locked by nobody is nobody's.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_YOUNG_S = 60  # one that was made just now may not be locked yet


@contextlib.contextmanager
def scratch_folder(prefix: str = "grading-", place: Path | None = None) -> Iterator[Path]:
    """Make a folder that only its owner can look into, and remove it at the end.

    What killed runs of the same user have left there is removed first.

    Args:
        prefix: what its name begins with, and that of nobody else's.
        place: in which folder; $TMPDIR where none is given.
    Raises:
        OSError: it can't be made.
    """
    place = place or Path(tempfile.gettempdir())
    _remove_leftovers(place, prefix)
    made = tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True)
    with made as name, _lock(Path(name)):
        yield Path(name)


def _remove_leftovers(place: Path, prefix: str) -> None:
    for folder in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # BlockingIOError: it is in use
            status = folder.lstat()
            is_ours = status.st_uid == os.geteuid() and not folder.is_symlink() and folder.is_dir()
            if is_ours and time.time() - status.st_ctime > _YOUNG_S:
                with _lock(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; raises BlockingIOError where another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
