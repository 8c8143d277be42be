"""Taking files from a folder that hostile code has written to."""

import os
import stat
from collections.abc import Collection

_MOST_LISTED = 1000


def take_files(folder: int, names: Collection[str], max_bytes: int) -> tuple[dict[str, bytes], list[str]]:
    """Read the files of a folder that are asked for: regular ones, of that very name, not too large.

    Nothing is followed (links), waited for (FIFOs) or opened with a side effect (devices).

    Args:
        folder: a descriptor of the folder; nothing may write to it any more.
        names: names without a slash.
        max_bytes: how large a file may be, and all of them together.
    Returns:
        name -> content, and one line for each file that is missing or was not taken.
    """
    files, problems = {}, []
    for name in sorted(names):
        content, problem = _take(folder, name, max_bytes - sum(map(len, files.values())))
        if content is None:
            problems.append(f"{name}: {problem}")
        else:
            files[name] = content
    others = _others(folder, names)
    if others:
        first = ", ".join(ascii(name)[:80] for name in others[:3])
        many = f"more than {_MOST_LISTED}" if len(others) > _MOST_LISTED else len(others)
        problems.append(f"not asked for: {many} other {'file' if len(others) == 1 else 'files'} ({first})")
    return files, problems


def _take(folder: int, name: str, max_bytes: int) -> tuple[bytes | None, str]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return None, "not a regular file"
        file = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None, "missing"
    except OSError as error:
        return None, f"can't be read: {error.strerror}"
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            return None, "not a regular file"
        if found.st_nlink != 1:
            return None, "has more than one name"
        if found.st_size > max_bytes:
            return None, f"too large: {found.st_size:,} bytes where {max_bytes:,} are left"
        content = b""
        while len(content) <= found.st_size and (piece := os.read(file, found.st_size + 1 - len(content))):
            content += piece
        return (content, "") if len(content) == found.st_size else (None, "changed while it was read")
    except OSError as error:
        return None, f"can't be read: {error.strerror}"
    finally:
        os.close(file)


def _others(folder: int, names: Collection[str]) -> list[str]:
    others = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in names:
                others.append(entry.name)
            if len(others) > _MOST_LISTED:
                break
    return others
