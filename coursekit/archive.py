"""Zips whose bytes depend on nothing but the files in them. Standard library only."""

import io
import zipfile
from collections.abc import Collection, Mapping

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_UNIX = 3  # a zip entry's "create system"
_MODE, _EXECUTABLE = 0o100644, 0o100755


def pack(
    files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED, executable: Collection[str] = ()
) -> bytes:
    """Make a zip of files by name.

    Args:
        files: path in the zip, with forward slashes -> content.
        compression: ZIP_STORED gives the same bytes on every machine, ZIP_DEFLATED with every like version of zlib.
        executable: the paths of programs.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = _UNIX
            entry.external_attr = (_EXECUTABLE if name in executable else _MODE) << 16
            archive.writestr(entry, files[name], compression)
    return buffer.getvalue()
