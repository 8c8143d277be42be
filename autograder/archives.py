"""Hand-ins unpacked as what they are: somebody else's bytes. Nothing that a zip declares is believed.

What a zip must not do is refused as a whole, because half a hand-in would be graded as a whole one.
"""

import errno
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autograder.course import IntakeLimits
from code_analyze.summary import visible
from code_analyze.tree import LEFT_OUT_FILES
from coursekit.files import open_file
from coursekit.text import shortened

MB = 10**6
CHUNK = 1 << 16
LONGEST_NAME = 255  # bytes, of a file or folder: what file systems hold
LONGEST_PATH = 1000  # bytes, of all of it
DEEPEST = 20  # folders
RATIO_FROM = MB  # bytes; a small file may well be nothing but blanks
LEFT_OUT_FOLDERS = ("__MACOSX",)

_DIRECTORY_RECORD = b"PK\x01\x02"
_RECORDS_PER_FILE = 20  # beyond the allowed number of files: a Word report is a zip, too, and has records of its own
_LOCAL_HEADER = struct.Struct("<26xHH")
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # the flags of a file, of strong encryption, of an encrypted directory
_IS_UTF8 = 0x800
_DRIVE = re.compile(r"[A-Za-z]:")
_EARLIEST_YEAR = 1981  # of files whose time was kept: the kit's own zips hold 1980 throughout
_KINDS = (
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF", "a PDF"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document"),
)
_HTML = re.compile(rb"(?:\s*\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|\?xml)", re.IGNORECASE)


class ArchiveError(Exception):
    """A hand-in that is not taken. The message is the reason, one line."""


@dataclass
class Spent:
    """What a hand-in has unpacked to so far, with the zips in it."""

    num_bytes: int = 0
    files: int = 0


def unpack(archive: Path, target: Path, limits: IntakeLimits, spent: Spent | None = None) -> None:
    """Unpack a zip into a new folder.

    Only regular files are written, under names that were checked one by one; sizes are counted while they are written.

    Args:
        archive: the zip.
        target: the folder, which must not exist yet.
        limits: how much may be in it.
        spent: how much of that is there already, and is added to; None for a zip that is all of the hand-in.
    Raises:
        ArchiveError: it is no zip, is damaged, or holds what no hand-in does. What was written so far lies in `target`.
        OSError: the disk is full, or the like.
    """
    with _opened(archive, limits) as zipped:
        entries = zipped.infolist()
        _check_entries(entries, archive.stat().st_size, limits)
        _check_overlap(zipped)
        writer = _Writer(target, limits, spent or Spent())
        for info in entries:
            name = _entry_name(info)
            if name.endswith(("/", "\\")):
                if info.file_size:
                    raise ArchiveError(f"{_shown(name)}: a folder that has a content")
                writer.add_folder(name)
            else:
                with zipped.open(info) as source:
                    size = writer.add_file(name, source.read, info.compress_size)
                if size is not None and size != info.file_size:
                    raise ArchiveError(f"damaged: {_shown(name)} has {size:,} bytes and declares {info.file_size:,}")
        writer.check_ratio(archive.stat().st_size)


def copy_folder(folder: Path, target: Path, limits: IntakeLimits, spent: Spent | None = None) -> None:
    """Copy a hand-in that is a folder into a new one, by the rules that a zip must keep. No link is followed.

    A second name of a file (a hard link) is copied as a file: whoever made it could read what it names.

    Raises:
        ArchiveError: it holds a link, or what else no hand-in does.
        OSError: a file can't be read, or the disk is full.
    """
    writer = _Writer(target, limits, spent or Spent())
    for name, mode, where in _walk(folder):
        if stat.S_ISDIR(mode):
            writer.add_folder(name)
        elif not stat.S_ISREG(mode):
            raise ArchiveError(f"{_shown(name)} is {_special(mode)}")
        else:
            with open_file(*where) as source:
                writer.add_file(name, source.read, None)


def newest_time(archive: Path, limits: IntakeLimits) -> datetime | None:
    """The time of the newest file in a zip; None where it can't be read or keeps no times."""
    try:
        with _opened(archive, limits) as zipped:
            times = [info.date_time for info in zipped.infolist() if not info.is_dir()]
    except (ArchiveError, OSError):
        return None
    newest = max((time for time in times if time[0] >= _EARLIEST_YEAR), default=None)
    try:
        return datetime(*newest) if newest else None
    except ValueError:  # a 31st of February
        return None


class _Writer:
    """Files on their way to a folder: what they are called, how many and how large they are."""

    def __init__(self, target: Path, limits: IntakeLimits, spent: Spent):
        self.target, self.limits, self.spent = target, limits, spent
        self.total = 0
        self.spelling: dict[str, str] = {}  # names as a file system might fold them -> as they are
        self.files: set[str] = set()
        target.mkdir(parents=True)

    def add_folder(self, name: str) -> None:
        self._count()
        if parts := self._place(name):
            path = "/".join(parts)
            self.spelling[_folded(path)] = path
            (self.target / path).mkdir(parents=True, exist_ok=True)

    def add_file(self, name: str, read: Callable[[int], bytes], packed: int | None) -> int | None:
        """Write a file in pieces; return its size, or None for one that is left out."""
        self._count()
        parts = self._place(name)
        if parts is None:
            return None
        path = "/".join(parts)
        if not parts or _folded(path) in self.spelling:
            raise ArchiveError(f"{_shown(name)} is there twice")
        self.spelling[_folded(path)] = path
        self.files.add(path)
        (self.target / path).parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with (self.target / path).open("xb") as file:
            while piece := read(CHUNK):
                size += len(piece)
                self.total += len(piece)
                self.spent.num_bytes += len(piece)
                if self.spent.num_bytes > self.limits.max_unpacked_mb * MB:
                    raise _too_large(self.limits)
                if packed is not None and size > RATIO_FROM and size > self.limits.max_ratio * packed:
                    raise _too_dense(f"{_shown(name)}", self.limits)
                file.write(piece)
        return size

    def check_ratio(self, packed: int) -> None:
        if self.total > RATIO_FROM and self.total > self.limits.max_ratio * packed:
            raise _too_dense("the zip", self.limits)

    def _count(self) -> None:
        self.spent.files += 1
        if self.spent.files > self.limits.max_files:
            raise _too_many(self.limits)

    def _place(self, name: str) -> list[str] | None:
        """Check a name and the folders on its way; None for what a system leaves behind, which is nobody's work."""
        parts = safe_parts(name)
        if any(part in LEFT_OUT_FOLDERS for part in parts) or (parts and parts[-1] in LEFT_OUT_FILES):
            return None
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            found = self.spelling.get(_folded(path))
            if path in self.files:
                raise ArchiveError(f"{_shown(path)} is there twice")
            if found is not None and found != path:
                raise ArchiveError(
                    f"{_shown(path)} and {_shown(found)} are one name where case or Unicode form is alike"
                )
            if depth < len(parts):
                self.spelling[_folded(path)] = path
        return parts


def safe_parts(name: str) -> list[str]:
    """Cut a name in a hand-in into folders and file; empty parts and "." are left out.

    A backslash parts folders, as a slash does: some programs on Windows write it so into zips.

    Raises:
        ArchiveError: it leads out of the hand-in, or no system could hold it.
    """
    if "\0" in name:
        raise ArchiveError(f"{_shown(name)}: a name with a null byte")
    path = name.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path):
        raise ArchiveError(f"{_shown(name)}: an absolute name")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(f"{_shown(name)}: a name that leads out of the hand-in")
    longest = max((len(part.encode("utf-8", "surrogatepass")) for part in parts), default=0)
    if longest > LONGEST_NAME or len(name.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        raise ArchiveError(f"{_shown(name)}: a name that is too long")
    if len(parts) > DEEPEST:
        raise ArchiveError(f"{_shown(name)}: more than {DEEPEST} folders in each other")
    return parts


@contextmanager
def _opened(archive: Path, limits: IntakeLimits) -> Iterator[zipfile.ZipFile]:
    """Open a zip; whatever Python makes of its bytes, here or while it is read, becomes an ArchiveError."""
    _check_file(archive, limits)
    try:
        with zipfile.ZipFile(archive) as zipped:
            yield zipped
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ArchiveError("damaged: it points to places outside itself") from error
    except NotImplementedError as error:
        raise ArchiveError(f"packed in a way that is not read here ({error}); make an ordinary zip") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, LookupError, RuntimeError) as error:
        raise ArchiveError(_shown(f"damaged: {error}")) from error


def _check_file(archive: Path, limits: IntakeLimits) -> None:
    """Look at a file before zipfile does, which would hold all of its directory in memory."""
    mode, size = archive.lstat().st_mode, archive.lstat().st_size
    if not stat.S_ISREG(mode):
        raise ArchiveError(f"it is {_special(mode)}, not a zip")
    if not size:
        raise ArchiveError("an empty file, not a zip")
    if size > limits.max_unpacked_mb * MB:
        raise _too_large(limits)
    records, tail = 0, b""
    with archive.open("rb") as file:
        head = file.read(CHUNK)
        if not head.startswith(b"PK"):
            for offset, signature, kind in _KINDS:
                if head[offset:].startswith(signature):
                    raise ArchiveError(f"it is {kind}, not a zip, whatever its name says")
            if _HTML.match(head):
                raise ArchiveError("it is a web page, not a zip: the download may have failed")
        piece = head
        while piece:
            piece = tail + piece
            records += piece.count(_DIRECTORY_RECORD)
            tail = piece[-len(_DIRECTORY_RECORD) + 1 :]
            piece = file.read(CHUNK)
    if records > _RECORDS_PER_FILE * limits.max_files:
        raise _too_many(limits)
    if not zipfile.is_zipfile(archive):
        raise ArchiveError("damaged: no end of a zip in it, so it was cut off, or is not a zip")


def _check_entries(entries: list[zipfile.ZipInfo], packed: int, limits: IntakeLimits) -> None:
    """Refuse by what is declared, before anything is written."""
    if not entries:
        raise ArchiveError("an empty zip")
    if len(entries) > limits.max_files:
        raise _too_many(limits)
    for info in entries:
        if not info.filename:
            raise ArchiveError("damaged: a file without a name")
        name, mode = _entry_name(info), info.external_attr >> 16
        if info.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"encrypted: {_shown(name)} needs a password")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"{_shown(name)} is {_special(mode)}")
        if info.compress_type not in _METHODS:
            raise ArchiveError(f"{_shown(name)} is packed in a way that is not read here; make an ordinary zip")
        if info.file_size > RATIO_FROM and info.file_size > limits.max_ratio * info.compress_size:
            raise _too_dense(_shown(name), limits)
    total = sum(info.file_size for info in entries)
    if total > limits.max_unpacked_mb * MB:
        raise _too_large(limits)
    if total > RATIO_FROM and total > limits.max_ratio * packed:
        raise _too_dense("the zip", limits)


def _check_overlap(zipped: zipfile.ZipFile) -> None:
    """Refuse files that share their packed bytes: so a few bytes become many files."""
    spans = []
    for info in zipped.infolist():
        if info.header_offset < 0:
            raise ArchiveError("damaged: a file that begins before the zip")
        zipped.fp.seek(info.header_offset)
        header = zipped.fp.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise ArchiveError("damaged: a file that begins where the zip ends")
        name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = info.header_offset
        spans.append((start, start + _LOCAL_HEADER.size + name_length + extra_length + info.compress_size))
    spans.sort()
    ends = [start for start, _ in spans[1:]] + [zipped.start_dir]
    if any(end > limit for (_, end), limit in zip(spans, ends, strict=True)):
        raise ArchiveError("a zip bomb: files in it overlap")


def _entry_name(info: zipfile.ZipInfo) -> str:
    """A file's name in full: zipfile cuts it at a null byte, and takes for cp437 what doesn't say that it is UTF-8."""
    if info.flag_bits & _IS_UTF8:
        return info.orig_filename
    try:
        return _decoded(info.orig_filename.encode("cp437"))
    except UnicodeEncodeError:
        return info.orig_filename


def _decoded(name: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("cp437")


def _walk(top: Path) -> Iterator[tuple[str, int, tuple[str, int]]]:
    """Give what lies in a folder: path below it, mode, and where to open it: its name, a descriptor of its folder."""

    def stop(error: OSError) -> None:
        raise error

    for folder, folders, files, descriptor in os.fwalk(top, onerror=stop, follow_symlinks=False):
        folders.sort()
        above = [_decoded(os.fsencode(part)) for part in Path(folder).relative_to(top).parts]
        for name in sorted(folders + files):
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            # A folder is never too deep to be gone into: whoever asks for the next name has checked this one.
            yield "/".join([*above, _decoded(os.fsencode(name))]), mode, (name, descriptor)


def _folded(path: str) -> str:
    """A path as the least careful file system would compare it."""
    parts = unicodedata.normalize("NFKC", path).casefold().split("/")
    return unicodedata.normalize("NFKC", "/".join(part.rstrip(" .") for part in parts))


def _special(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISDIR, "a folder"),
    )
    return next((kind for is_kind, kind in kinds if is_kind(mode)), "neither a file nor a folder")


def _shown(text: str) -> str:
    return shortened(visible(text), 200)


def _too_large(limits: IntakeLimits) -> ArchiveError:
    return ArchiveError(f"too large: more than {limits.max_unpacked_mb:,} MB when unpacked")


def _too_many(limits: IntakeLimits) -> ArchiveError:
    return ArchiveError(f"too many files: more than {limits.max_files:,}")


def _too_dense(what: str, limits: IntakeLimits) -> ArchiveError:
    return ArchiveError(f"a zip bomb: {what} unpacks to more than {limits.max_ratio:,} times its size")
