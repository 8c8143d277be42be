"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from coursekit.errors import CourseError

TEMPORARY_SUFFIX = ".tmp"


def write_atomically(path: Path | str, content: bytes | str) -> Path:
    """Write a file so that no reader, crash or kill ever meets half of it.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the final name in one step.

    Args:
        path: where the file is to stand; its folder is made where needed.
        content: bytes, or text written as UTF-8.
    Raises:
        CourseError: the disk is full, or the folder can't be written. What stood at `path` is untouched.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX)
        with os.fdopen(descriptor, "wb") as file:
            os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CourseError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return path
