"""Taking in a folder of hand-ins: every way in which one may be hostile, odd or incomplete, and that others go on."""

import errno
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile
import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import REFERENCE, REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder import intake, summaries
from autograder.archives import ArchiveError, safe_parts, unpack
from autograder.course import COURSE_FILE, read_course
from autograder.grading import _remarks, _row
from autograder.intake import take_in, take_in_one
from autograder.names import folder_name, read_name
from autograder.overlay import is_reserved
from autograder.probing import read_codes
from autograder.scaffold import build_scaffold
from autograder.sources import not_taken
from autograder.summaries import make_summary
from coursekit.archive import pack
from coursekit.errors import CourseError

SCAFFOLD = build_scaffold(REFERENCE)
LIMITS = read_course(REPOSITORY / COURSE_FILE).intake
NUMBER = "2021012345"
PDF = b"%PDF-1.7\nthe report\n"
CODE = {f"codes/{name}": data for name, data in SCAFFOLD.items() if name.startswith("VAE/")}


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> dict[str, bytes]:
    """The files of a hand-in that there is nothing to say about, but that it has no GAN."""
    folder = tmp_path_factory.mktemp("good")
    write(folder, CODE)
    write(folder / "scaffold", SCAFFOLD)
    summary = make_summary(folder / "codes", folder / "scaffold", folder).summary
    return {**CODE, "Report.pdf": PDF, "summary.txt": summary}


@pytest.fixture
def fast(monkeypatch):
    """Without analyze.py, which takes a process for every hand-in."""

    def none(*_):
        raise summaries.SummaryError("not asked for")

    monkeypatch.setattr(intake, "make_summary", none)


class Class:
    """A folder of hand-ins."""

    def __init__(self, folder: Path):
        self.folder, self.runs = folder / "hand-ins", folder / "runs"
        self.folder.mkdir()

    def put(self, name: str, content: bytes, when: int = 1_780_000_000) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (when, when))
        return path

    def take_in(self, limits=LIMITS, scaffold=SCAFFOLD) -> list[intake.Submission]:
        scratch = self.runs / str(time.monotonic_ns())
        rows = take_in(self.folder, scaffold, limits, scratch)
        for row in rows:
            assert row.folder.parent == scratch
            assert "\n" not in row.reason + "".join(row.remarks)
            assert (row.status == "refused") == bool(row.reason) == (row.codes is None) == (not row.folder.exists())
        assert {path.name for path in scratch.iterdir()} == {row.folder.name for row in rows if row.status == "ok"}
        return rows

    def unpacked(self) -> Path:
        """What the one zip unpacks to."""
        (path,) = self.folder.iterdir()
        unpack(path, target := self.runs / f"{time.monotonic_ns()}-unpacked", LIMITS)
        return target

    def only(self, *arguments) -> intake.Submission:
        (row,) = self.take_in(*arguments)
        return row


@pytest.fixture
def room(tmp_path) -> Class:
    return Class(tmp_path)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def zipped(entries, compression=zipfile.ZIP_DEFLATED, when=(2026, 5, 1, 12, 0, 0)) -> bytes:
    """A zip of (name or ZipInfo, content) in this order, however odd."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name, when)
            archive.writestr(info, content, compression)
    return buffer.getvalue()


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


# --- an ordinary hand-in ---


def test_a_good_hand_in(room, good):
    room.put(f"{NUMBER}.zip", pack(good))
    row = room.only()
    assert (row.student, row.source, row.status, row.summary) == (NUMBER, f"{NUMBER}.zip", "ok", "same")
    assert row.remarks == ["no codes/GAN, which is optional"]
    assert (row.projects, row.report, row.folder.name) == (("VAE",), "Report.pdf", NUMBER)
    found = {p.relative_to(row.codes).as_posix(): p.read_bytes() for p in row.codes.rglob("*") if p.is_file()}
    assert found == SCAFFOLD
    assert row.analysis.summary == (row.folder / "summary.txt").read_bytes() == good["summary.txt"]


def test_a_folder_is_as_good_as_a_zip(room, good):
    write(room.folder / NUMBER, good)
    row = room.only()
    assert (row.student, row.status, row.summary) == (NUMBER, "ok", "same")


@pytest.mark.parametrize("wrapper", ["2021012345/", "./", "作业/", "./x//./"])
def test_a_wrapping_folder_and_what_a_system_leaves_are_forgiven(room, good, wrapper):
    rest = {"__MACOSX/._codes": b"x", f"{wrapper}.DS_Store": b"x", f"{wrapper}codes/VAE/.DS_Store": b"x"}
    room.put(f"{NUMBER}.zip", zipped({wrapper + name: data for name, data in good.items()} | rest))
    row = room.only()
    assert (row.status, row.summary, row.remarks) == ("ok", "same", ["no codes/GAN, which is optional"])
    assert not list(room.unpacked().rglob(".DS_Store"))


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp437"])
def test_names_in_any_encoding(room, good, encoding):
    name = "é.txt" if encoding == "cp437" else "报告乗.txt"  # the last has a backslash in its second byte
    raw = name.encode(encoding)
    packed = zipped(good | {"x" * len(raw): b"1"}).replace(b"x" * len(raw), raw)
    room.put(f"{NUMBER}.zip", packed)
    row = room.only()
    assert row.status == "ok", row.reason
    assert (room.unpacked() / name).read_bytes() == b"1"


@pytest.mark.usefixtures("fast")
def test_data_descriptors_and_zip64_survive(room, good):
    class Stream(BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError

        def tell(self):
            raise OSError

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in good.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
    room.put(f"{NUMBER}.zip", stream.getvalue())
    row = room.only()
    assert row.status == "ok", row.reason
    assert (room.unpacked() / "Report.pdf").read_bytes() == PDF


# --- what is refused ---

NAMES = {
    "../x.py": "leads out",
    "codes/../../x.py": "leads out",
    "..": "leads out",
    "/etc/x.py": "absolute",
    "//host/x": "absolute",
    "C:/x.py": "absolute",
    "c:x.py": "absolute",
    "..\\x.py": "leads out",
    "..\\..\\x.py": "leads out",
    "codes\\..\\..\\x.py": "leads out",
    "codes/..\\../x.py": "leads out",
    "C:\\x.py": "absolute",
    "C:..\\x.py": "absolute",
    "\\x.py": "absolute",
    "\\\\server\\share\\x.py": "absolute",
    "\\\\?\\C:\\x.py": "absolute",
    "a\\" * 30 + "x": "folders in each other",
    "x" * 256: "too long",
    "é" * 130: "too long",
    "a/" * 499 + "abc": "too long",
    "a/" * 30 + "x": "folders in each other",
    "__MACOSX/../../x": "leads out",
}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_hand_in_has(room, good, tmp_path, name):
    before = sorted(path for path in tmp_path.rglob("*"))
    room.put(f"{NUMBER}.zip", zipped(good | {name: b"x"}))
    assert NAMES[name] in room.only().reason
    room.put(f"{NUMBER}.zip", zipped([*good.items(), (name.rstrip("/\\") + "/", b"")]))
    assert NAMES[name] in room.only().reason
    shutil.rmtree(room.runs)
    assert sorted(path for path in tmp_path.rglob("*")) == sorted([*before, room.folder / f"{NUMBER}.zip"])


@pytest.mark.usefixtures("fast")
def test_backslashes_part_folders(room, good):
    """As some programs on Windows write them into zips."""
    files = [(name.replace("/", "\\"), data) for name, data in good.items()]
    room.put("1000001.zip", zipped([("codes\\", b""), ("codes\\VAE\\", b""), *files]))
    room.put("1000002.zip", zipped([(f"{NUMBER}/{name}", data) for name, data in files]))
    write(room.folder / "1000003", dict(files))  # what an unpacker makes of it that takes a backslash for a letter
    room.put("1000004.zip", zipped([*files, ("codes/VAE/model.py", b"x")]))
    *rows, twice = room.take_in()
    assert [(row.status, row.projects, row.report) for row in rows] == [("ok", ("VAE",), "Report.pdf")] * 3
    assert all((row.codes / "VAE" / "model.py").read_bytes() == SCAFFOLD["VAE/model.py"] for row in rows)
    assert twice.reason == "codes/VAE/model.py is there twice"


def test_a_null_byte_in_a_name(room, good):
    room.put(f"{NUMBER}.zip", zipped(good | {"codes/VAE/x.pyQ.txt": b"x"}).replace(b"x.pyQ.txt", b"x.py\0.txt"))
    assert "null byte" in room.only().reason


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK | 0o777, "a link"),
        (stat.S_IFIFO, "a pipe"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (stat.S_IFSOCK, "a socket"),
        (0o170000, "neither a file nor a folder"),
    ],
)
def test_what_is_not_a_file(room, good, mode, kind):
    room.put(f"{NUMBER}.zip", zipped([*good.items(), (entry("codes/VAE/x.py", mode), b"/etc/passwd")]))
    assert room.only().reason == f"codes/VAE/x.py is {kind}"


TWICE = [
    ("codes/VAE/model.py", "codes/VAE/model.py"),
    ("codes/VAE/model.py", "codes/VAE/Model.py"),
    ("codes/VAE/model.py", "codes/vae/other.py"),
    ("codes/VAE/model.py", "codes/VAE/./model.py"),
    ("codes/VAE/model.py", "codes/VAE/model.py. "),
    ("codes/VAE/model.py", "codes/VAE/model.py/x"),
    ("codes/VAE/x/y", "codes/VAE/x"),
    ("codes/VAE/model.py", "codes/VAE/ｍodel.py"),
    ("codes/VAE/straße.py", "codes/VAE/STRASSE.py"),
    (unicodedata.normalize("NFC", "codes/é.py"), unicodedata.normalize("NFD", "codes/é.py")),
    ("codes/ﬁ.py", "codes/fi.py"),
    ("codes/VAE/", "codes/vae/x.py"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("one", "other"), TWICE)
def test_two_names_for_one_file(room, one, other):
    for names in ((one, other), (other, one)):
        room.put(f"{NUMBER}.zip", zipped([(name, b"") for name in names]))
        assert "twice" in (reason := room.only().reason) or "one name" in reason


def test_an_encrypted_zip(room, good):
    packed = bytearray(zipped(good))
    for at in positions(packed, b"PK\x03\x04", 6) + positions(packed, b"PK\x01\x02", 8):
        packed[at] |= 1
    room.put(f"{NUMBER}.zip", bytes(packed))
    assert "encrypted" in room.only().reason


def positions(packed: bytes, signature: bytes, offset: int) -> list[int]:
    found, at = [], packed.find(signature)
    while at >= 0:
        found.append(at + offset)
        at = packed.find(signature, at + 1)
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_whose_memory_nobody_limits(room, good, method):
    room.put(f"{NUMBER}.zip", zipped(good, method))
    assert "make an ordinary zip" in room.only().reason


def test_a_wrong_checksum(room):
    packed = zipped({"codes/VAE/x.py": b"spam = 1\n"}, zipfile.ZIP_STORED)
    room.put(f"{NUMBER}.zip", packed.replace(b"spam = 1", b"spam = 2"))
    assert "Bad CRC-32" in room.only().reason


@pytest.mark.parametrize("cut", [1, 21, 22, 100, 1000])
def test_a_zip_that_was_cut_off(room, good, cut):
    room.put(f"{NUMBER}.zip", zipped(good)[:-cut])
    assert room.only().reason.startswith("damaged")


KINDS = {
    b"Rar!\x1a\x07\x01\x00": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b\x08": "a gzip archive",
    b"\0" * 257 + b"ustar": "a tar archive",
    PDF: "a PDF",
    b"\n<!DOCTYPE html><html>": "a web page",
    b"": "an empty file",
    b"hello": "damaged",
    zipped({}): "an empty zip",
}


@pytest.mark.parametrize("content", KINDS)
def test_what_is_no_zip_is_called_what_it_is(room, content):
    room.put(f"{NUMBER}.zip", content)
    assert KINDS[content] in room.only().reason


def test_a_link_or_a_pipe_in_place_of_a_zip(room, good, tmp_path):
    (tmp_path / "real.zip").write_bytes(pack(good))
    (room.folder / "1000001.zip").symlink_to(tmp_path / "real.zip")
    os.mkfifo(room.folder / "1000002.zip")
    assert [row.reason for row in room.take_in()] == ["it is a link, not a zip", "it is a pipe, not a zip"]


def linked_model(codes: Path, secret: Path) -> None:
    (codes / "VAE" / "model.py").unlink()
    (codes / "VAE" / "model.py").symlink_to(secret / "VAE" / "model.py")


def linked_helper(codes: Path, secret: Path) -> None:
    (codes / "VAE" / "helper.py").symlink_to(secret / "VAE" / "model.py")


def linked_chain(codes: Path, secret: Path) -> None:
    (codes / "a").symlink_to(secret)
    (codes / "VAE" / "helper.py").symlink_to("../a/VAE/model.py")


def linked_project(codes: Path, secret: Path) -> None:
    shutil.rmtree(codes / "VAE")
    (codes / "VAE").symlink_to(secret / "VAE")


def linked_codes(codes: Path, secret: Path) -> None:
    shutil.rmtree(codes)
    codes.symlink_to(secret)


def linked_nowhere(codes: Path, secret: Path) -> None:
    (codes / "VAE" / "helper.py").symlink_to("nowhere")


LINKS = {
    linked_model: "VAE/model.py",
    linked_helper: "VAE/helper.py",
    linked_chain: "",
    linked_project: "VAE",
    linked_codes: "",
    linked_nowhere: "VAE/helper.py",
}


@pytest.fixture
def secret(tmp_path) -> Path:
    """A folder with what no student's code may ever hold."""
    write(tmp_path / "secret", {name: b"SECRET = 1\n" for name in SCAFFOLD})
    return tmp_path / "secret"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("put_link", LINKS)
def test_a_link_in_a_folder_is_refused_wherever_it_lies(room, good, secret, put_link):
    """In a class's folder, and in a folder that is given by hand, itself or by a link of the TA's own."""
    folder = room.folder / NUMBER
    write(folder, good)
    put_link(folder / "codes", secret)
    assert room.only().reason.endswith(" is a link")
    (room.runs / "given").symlink_to(folder)
    for number, path in enumerate((folder, room.runs / "given")):
        taken = take_in_one(path, SCAFFOLD, LIMITS, room.runs / str(number))
        assert taken.reason.endswith(" is a link") and taken.codes is None
    assert not [path for path in room.runs.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]


@pytest.mark.parametrize("put_link", LINKS)
def test_code_is_read_through_no_link(room, good, secret, put_link):
    write(room.folder, good)
    put_link(room.folder / "codes", secret)
    if put_link is linked_codes:  # this one, whoever calls it by its name has seen
        assert set(read_codes(room.folder / "codes").values()) == {b"SECRET = 1\n"}
        return
    with pytest.raises(CourseError, match=f"{LINKS[put_link]}: a link, or not what it should be"):
        read_codes(room.folder / "codes")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_code_is_read_from_files_only(tmp_path, make):
    write(tmp_path, SCAFFOLD)
    make(tmp_path / "VAE" / "x.py")
    with pytest.raises(CourseError, match=r"x\.py: not a file"):
        read_codes(tmp_path)
    with pytest.raises(CourseError, match="nowhere: No such file"):
        read_codes(tmp_path / "nowhere")


def test_code_is_read_by_project_in_order(tmp_path):
    write(tmp_path, SCAFFOLD | {"VAE/notes.txt": b"", "other/x.py": b""})
    given = {name: data for name, data in SCAFFOLD.items() if name.endswith(".py")}
    assert read_codes(tmp_path) == given and next(iter(read_codes(tmp_path))) == "VAE/dataset.py"


@pytest.mark.usefixtures("fast")
def test_what_a_ta_names_may_be_a_link_and_a_platform_s_folder(room, good, tmp_path):
    write(tmp_path / "real", good)
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "Ada L_12_assignsubmission_file_", {"hw.zip": zipped(good)})
    write(tmp_path / "two", {"a.zip": zipped(good), "b.zip": zipped(good)})
    write(tmp_path, {"hand-in": zipped(good)})
    for number, name in enumerate(("link", "Ada L_12_assignsubmission_file_", "hand-in")):
        taken = take_in_one(tmp_path / name, SCAFFOLD, LIMITS, room.runs / str(number))
        assert (taken.status, taken.projects) == ("ok", ("VAE",)), taken.reason
    with pytest.raises(CourseError, match=r"more than one zip in it \(a\.zip, b\.zip\)"):
        take_in_one(tmp_path / "two", SCAFFOLD, LIMITS, room.runs / "two")
    with pytest.raises(CourseError, match="no such file or folder"):
        take_in_one(tmp_path / "nothing", SCAFFOLD, LIMITS, room.runs / "nothing")


@pytest.mark.usefixtures("fast")
def test_a_pipe_in_a_folder_is_not_waited_for_and_a_second_name_is_a_file(room, good):
    write(room.folder / "1000001", good)
    os.mkfifo(room.folder / "1000001" / "codes" / "VAE" / "x.py")
    write(room.folder / "1000002", good)
    os.link(room.folder / "1000002" / "Report.pdf", room.folder / "1000002" / "again.pdf")
    pipe, second = room.take_in()
    assert (pipe.reason, second.status) == ("codes/VAE/x.py is a pipe", "ok")


def judged_by_hand(submission: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "tests/hidden", "--collect-only", "-q", "--submission", str(submission)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=REPOSITORY, env=kept, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("put_link", [linked_project])
def test_a_link_in_a_folder_that_is_judged_by_hand_is_refused(tmp_path, good, secret, put_link):
    write(tmp_path / NUMBER, good)
    put_link(tmp_path / NUMBER / "codes", secret)
    done = judged_by_hand(tmp_path / NUMBER)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.count("\n") < 4 and done.stderr.strip().endswith(" is a link"), done.stderr


def test_a_folder_that_a_ta_names_by_a_link_is_judged(tmp_path, good):
    write(tmp_path / NUMBER, good)
    (tmp_path / "link").symlink_to(NUMBER)
    done = judged_by_hand(tmp_path / "link")
    assert done.returncode == 0, done.stderr


# --- room on the disk ---


@pytest.mark.usefixtures("fast")
def test_of_what_was_unpacked_only_what_is_graded_stays(room, good):
    room.put("1000001.zip", zipped(good | {"codes/VAE/large.bin": os.urandom(10**6), "a.zip": b"x"}))
    row = room.only()
    assert {path.name for path in row.folder.iterdir()} == {"codes"}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_the_run_s_end_and_no_student_s_fault(room, good, monkeypatch, number):
    room.put("1000001.zip", pack(good))

    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(intake, "read_layout", full)
    with pytest.raises(CourseError, match="no space left to unpack hand-ins in: free some, or set TMPDIR"):
        room.take_in()


def test_a_summary_that_finds_no_room_is_not_put_down_to_the_code(room, good, fast, monkeypatch):
    room.put("1000001.zip", pack(good))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(CourseError, match="no space left"):
        room.take_in()


# --- zip bombs ---

SMALL = replace(LIMITS, max_unpacked_mb=2, max_files=20)


def test_a_file_that_is_declared_too_dense(room):
    room.put(f"{NUMBER}.zip", zipped({"x": bytes(3 * 10**6)}))
    assert room.only().reason == "a zip bomb: x unpacks to more than 200 times its size"


def test_many_files_that_together_are_too_dense(room):
    room.put(f"{NUMBER}.zip", zipped({f"f{i}": bytes(10**6) for i in range(3)}))
    assert room.only().reason == "a zip bomb: the zip unpacks to more than 200 times its size"


def test_too_much(room):
    room.put(f"{NUMBER}.zip", zipped({"x": os.urandom(1_500_000), "y": os.urandom(600_000)}, zipfile.ZIP_STORED))
    assert room.only(SMALL).reason.startswith("too large: more than 2 MB")


def test_too_many_files(room):
    room.put(f"{NUMBER}.zip", zipped({f"f{i}": b"" for i in range(21)}))
    assert room.only(SMALL).reason == "too many files: more than 20"
    room.put(f"{NUMBER}.zip", zipped({f"f{i}": b"" for i in range(1000)}))
    assert room.only(SMALL).reason == "too many files: more than 20"
    shutil.rmtree(room.folder)
    write(room.folder / NUMBER, {f"f{i}": b"" for i in range(21)})
    assert room.only(SMALL).reason == "too many files: more than 20"


@pytest.mark.parametrize("declared", [10, 10**5])
def test_a_size_that_is_a_lie(room, declared):
    """Less is declared than there is, with the checksum of what is declared: no more than that is written."""
    content = bytes(50_000)
    packed = bytearray(zipped({"x": content}))
    at = packed.find(b"PK\x01\x02")
    packed[at + 24 : at + 28] = struct.pack("<I", declared)
    packed[at + 16 : at + 20] = struct.pack("<I", zlib.crc32(content[:declared]))
    room.put(f"{NUMBER}.zip", bytes(packed))
    try:
        assert (room.unpacked() / "x").stat().st_size == declared
    except ArchiveError as error:
        assert str(error).startswith("damaged")


def test_files_that_overlap(room):
    """Two names for the same packed bytes."""
    packed = zipped({"aaaa": b"1" * 100})
    at = packed.find(b"PK\x01\x02")
    end = packed.find(b"PK\x05\x06")
    record = packed[at:end]
    directory = record * 2
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), at, 0)
    room.put(f"{NUMBER}.zip", packed[:at] + directory + tail)
    assert room.only().reason == "a zip bomb: files in it overlap"


@pytest.mark.usefixtures("fast")
def test_a_zip_beside_the_code_is_not_opened(room, good):
    inner = zipped({"../x": bytes(10**6)})
    room.put(f"{NUMBER}.zip", zipped(good | {"codes/VAE/data.zip": inner}))
    row = room.only()
    assert row.status == "ok"
    assert (room.unpacked() / "codes/VAE/data.zip").read_bytes() == inner
    assert "archives, not to be handed in: codes/VAE/data.zip" in row.remarks


# --- what a hand-in should have, and should not ---


@pytest.mark.usefixtures("fast")
def test_what_is_missing_or_misplaced_is_remarked_upon(room, good):
    files = dict(good)
    for name in ("Report.pdf", "summary.txt", "codes/VAE/dataset.py", "codes/VAE/README.md"):
        del files[name]
    files |= {"my report.docx": b"PK\x03\x04", "codes/GAN/model.py": b"x = 1\n"}
    room.put(f"{NUMBER}.zip", zipped(files))
    row = room.only()
    assert (row.status, row.summary, row.report, row.projects) == ("ok", "missing", "my report.docx", ("VAE", "GAN"))
    assert "no Report.pdf or Report.docx; my report.docx is taken for it" in row.remarks
    assert "no summary.txt" in row.remarks
    assert "codes/VAE/dataset.py is missing: the given one is used" in row.remarks
    assert "codes/VAE: no README.md or README.txt in it" in row.remarks
    assert "codes/GAN/trainer.py is missing: the given one is used" in row.remarks
    assert (row.codes / "VAE" / "dataset.py").read_bytes() == SCAFFOLD["VAE/dataset.py"]
    assert (row.codes / "GAN" / "model.py").read_bytes() == b"x = 1\n"


@pytest.mark.usefixtures("fast")
def test_what_does_not_belong_in_a_hand_in_is_remarked_upon(room, good):
    more = ["VAE/results/a.pt", "VAE/b.npy", "VAE/train-images-idx3-ubyte", "VAE/__pycache__/c.pyc", "VAE/d.7z"]
    room.put(f"{NUMBER}.zip", zipped(good | {f"codes/{name}": b"x" for name in more}))
    remarks = room.only().remarks
    assert "weights, not to be handed in: codes/VAE/results/a.pt" in remarks
    assert "data, not to be handed in: codes/VAE/b.npy, codes/VAE/train-images-idx3-ubyte" in remarks
    assert "compiled objects, not to be handed in: codes/VAE/__pycache__/c.pyc" in remarks
    assert "archives, not to be handed in: codes/VAE/d.7z" in remarks
    assert "folders of runs and tools, not to be handed in: codes/VAE/__pycache__/, codes/VAE/results/" in remarks


@pytest.mark.usefixtures("fast")
def test_a_zip_over_the_limit_that_students_know_is_taken_with_a_remark(room, good):
    room.put(f"{NUMBER}.zip", zipped(good | {"x": os.urandom(1_100_000)}))
    row = room.only(replace(LIMITS, max_zip_mb=1))
    assert row.status == "ok"
    assert "the zip has 1.1 MB, more than 1" in row.remarks


@pytest.mark.usefixtures("fast")
def test_without_codes_around_the_projects(room):
    room.put(f"{NUMBER}.zip", zipped({"VAE/model.py": b"x = 1\n", "Report.pdf": b"no pdf"}))
    row = room.only()
    assert (row.codes / "VAE" / "model.py").read_bytes() == b"x = 1\n"
    assert "no codes/ around the projects' folders" in row.remarks
    assert "Report.pdf is not a PDF file, whatever its name says" in row.remarks
    assert row.report == "Report.pdf"


@pytest.mark.usefixtures("fast")
def test_code_that_lies_deep_or_twice_is_found(room, good):
    room.put(
        f"{NUMBER}.zip",
        zipped(
            {"a/codes/codes/VAE/model.py": b"x = 1\n", "b/c/old/codes/VAE/model.py": b"", "a/codes/summary.txt": b""}
        ),
    )
    row = room.only()
    assert (row.codes / "VAE" / "model.py").read_bytes() == b"x = 1\n"
    assert (row.projects, row.summary) == (("VAE",), "unknown")
    assert "codes/ lies in a/codes/" in row.remarks
    assert "more than one folder of code; not looked at: b/c/old/codes/" in row.remarks


def test_an_optional_project_that_nobody_worked_on_is_not_handed_in(room, good):
    given = {f"codes/{name}": data for name, data in SCAFFOLD.items()}
    room.put("1000001.zip", zipped(good | given))
    room.put("1000002.zip", zipped(good | given | {"codes/GAN/model.py": b"x = 1\n"}))
    untouched, touched = room.take_in()
    assert (untouched.projects, touched.projects) == (("VAE",), ("VAE", "GAN"))
    assert "codes/GAN is as it was given, and optional: not counted as handed in" in untouched.remarks


NO_CODE = {
    "only a report": ({"Report.pdf": PDF}, "it holds Report.pdf; the code must be in .py files there"),
    "only a notebook": (
        {"homework.ipynb": b"{}", "Report.pdf": PDF},
        "it holds Report.pdf, homework.ipynb; the code must be in .py files there",
    ),
    "a notebook in its folder": (
        {"codes/VAE/VAE.ipynb": b"{}", "codes/VAE/README.md": b"x"},
        "it holds codes/VAE/VAE.ipynb; the code must be in .py files there",
    ),
    "only a README": ({"notes.md": b"x"}, "it holds notes.md; the code must be in .py files there"),
    "only folders": ({"codes/VAE/": b""}, "there is nothing in it"),
    "only what a platform adds": ({"timestamp.txt": b"", "comments.txt": b""}, "there is nothing in it"),
    "given files that nobody writes in": (
        {"codes/VAE/main.py": b"x = 1\n"},
        "it holds codes/VAE/main.py; the code must be in .py files there",
    ),
    "an archive of another kind": (
        {"hw.rar": b"Rar!", "Report.pdf": PDF},
        "it holds Report.pdf, hw.rar; nor is there any that can be read in hw.rar: hand in one ordinary zip",
    ),
    "no folders": (
        {"model.py": SCAFFOLD["VAE/model.py"], "trainer.py": SCAFFOLD["VAE/trainer.py"]},
        "it holds model.py, trainer.py; "
        "model.py should be codes/VAE/model.py, trainer.py should be codes/VAE/trainer.py",
    ),
    "no folders, other names": (
        {"codes/gan.py": SCAFFOLD["GAN/model.py"], "codes/gan_train.py": SCAFFOLD["GAN/trainer.py"]},
        "it holds codes/gan.py, codes/gan_train.py; "
        "codes/gan.py should be codes/GAN/model.py, codes/gan_train.py should be codes/GAN/trainer.py",
    ),
    "folders of other names": (
        {"hw/vae_final/model.py": b"import torch\nclass  VAE(torch.nn.Module):\n    pass\n"},
        "it holds hw/vae_final/model.py; hw/vae_final/model.py should be codes/VAE/model.py",
    ),
    "a word about a class": (
        {"notes.py": b"# class VAE\nx = 'class VAE'\n"},
        "it holds notes.py; the code must be in .py files there",
    ),
}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", NO_CODE)
def test_a_hand_in_without_code_is_refused_with_what_it_holds_instead(room, name):
    files, reason = NO_CODE[name]
    room.put(f"{NUMBER}.zip", zipped(files))
    assert room.only().reason == f"no codes/VAE with model.py or trainer.py in it: {reason}"


@pytest.mark.usefixtures("fast")
def test_a_scaffold_that_nobody_has_touched_is_a_hand_in(room):
    room.put(f"{NUMBER}.zip", zipped({f"codes/{name}": data for name, data in SCAFFOLD.items()}))
    assert room.only().status == "ok"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("more", [{}, {"codes/VAE/README.md": b"x"}])
def test_a_gan_alone_is_graded_and_it_is_said_that_the_vae_is_missing(room, more):
    files = {f"codes/{name}": data for name, data in SCAFFOLD.items() if name.startswith("GAN/")}
    room.put(f"{NUMBER}.zip", zipped(files | more))
    row = room.only()
    assert (row.status, row.projects) == ("ok", ("GAN",))
    assert "no code in codes/VAE, which is required: the empty scaffold is graded" in row.remarks


@pytest.mark.usefixtures("fast")
def test_a_folder_called_like_a_project_without_code_does_not_hide_the_code(room, good):
    files = {f"final/{name}": data for name, data in good.items()} | {"codes/VAE/plots.png": b"x", "VAE/x.txt": b"x"}
    room.put(f"{NUMBER}.zip", zipped(files))
    row = room.only()
    assert (row.status, row.projects) == ("ok", ("VAE",)) and "codes/VAE/model.py is missing" not in str(row.remarks)


def test_more_code_than_anybody_writes_is_refused(room, good):
    many = {f"codes/VAE/part{n}.py": b"#" + os.urandom(500_000).hex().encode() for n in range(6)}
    room.put(f"{NUMBER}.zip", zipped(good | many))
    assert room.only().reason == "more than 5 MB of code"


# --- a zip in the zip ---


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "path", ["hw4.zip", "Submission attachment(s)/hw4.ZIP", "a/b/2021012345/hw4.zip", "__MACOSX.zip", ".hw4.zip"]
)
def test_a_zip_in_the_zip_is_opened_where_the_code_lies_in_it(room, good, path):
    report = good.pop("Report.pdf")
    room.put(f"{NUMBER}.zip", zipped({path: zipped(good), f"{path.rpartition('/')[0]}/Report.pdf".lstrip("/"): report}))
    row = room.only()
    good["Report.pdf"] = report
    assert (row.status, row.projects, row.report) == ("ok", ("VAE",), "Report.pdf")
    assert f"the code lies in a zip in the zip, which was opened: {path}" in row.remarks
    assert sum("hw4" in remark.lower() or ".zip" in remark for remark in row.remarks) == 1


@pytest.mark.usefixtures("fast")
def test_zips_in_each_other_are_opened_twice_and_no_deeper(room, good):
    once = zipped({"inner/hw.zip": zipped({f"{NUMBER}/{name}": data for name, data in good.items()})})
    room.put("1000001.zip", zipped({"outer.zip": once}))
    room.put("1000002.zip", zipped({"more.zip": zipped({"outer.zip": once})}))
    twice, deeper = room.take_in()
    assert twice.status == "ok"
    assert "the code lies in a zip in the zip, which was opened: outer.zip, inner/hw.zip" in twice.remarks
    assert deeper.reason == (
        "no codes/VAE with model.py or trainer.py in it: it holds more.zip; "
        "nor is there any that can be read in more.zip: hand in one ordinary zip"
    )


@pytest.mark.usefixtures("fast")
def test_of_several_zips_the_one_with_code_is_opened(room, good):
    others = {"data.zip": zipped({"x.csv": b"1"}), "report.zip": zipped({"Report.docx": b"PK"}), "odd.zip": b"PK no"}
    room.put("1000001.zip", zipped({"work.zip": zipped(good), **others}))
    room.put("1000002.zip", zipped({"vae.zip": zipped(good), "vae_new.zip": zipped(good), **others}))
    room.put("1000003.zip", zipped(others))
    one, several, none = room.take_in()
    assert one.status == "ok" and "the code lies in a zip in the zip, which was opened: work.zip" in one.remarks
    assert several.reason == "more than one zip with code in it: vae.zip, vae_new.zip; hand in one"
    assert none.reason.startswith("odd.zip, in which the code may be: damaged")


@pytest.mark.usefixtures("fast")
def test_a_zip_in_the_zip_keeps_the_limits_of_the_whole(room, good):
    noise = {f"{n}": os.urandom(700_000) for n in range(2)}
    room.put("1000001.zip", zipped({"a.zip": zipped(good | noise, zipfile.ZIP_STORED)}, zipfile.ZIP_STORED))
    room.put("1000002.zip", zipped({"a.zip": zipped(good | {f"f{i}": b"" for i in range(14)})}))
    room.put("1000003.zip", zipped({"a.zip": zipped(good | {"../x": b""})}))
    room.put(
        "1000004.zip", zipped({"a.zip": zipped([(entry("codes/VAE/x.py", stat.S_IFLNK | 0o777), b"/etc/passwd")])})
    )
    room.put("1000005.zip", zipped({"a.zip": zipped(good | {"x": bytes(3 * 10**6)})}))
    reasons = [row.reason.partition(", in which the code may be: ")[2] for row in room.take_in(SMALL)]
    assert reasons == [
        "too large: more than 2 MB when unpacked",
        "too many files: more than 20",
        "../x: a name that leads out of the hand-in",
        "codes/VAE/x.py is a link",
        "a zip bomb: x unpacks to more than 200 times its size",
    ]


@pytest.mark.usefixtures("fast")
def test_a_zip_in_a_folder_is_opened_too(room, good):
    """Sakai's export."""
    student = room.folder / "Lovelace, Ada(ada1)"
    write(student, {"timestamp.txt": b"2026", "comments.txt": b"", "Submission attachment(s)/hw4.zip": zipped(good)})
    write(room.folder / "Absent, Bob(bob1)", {"timestamp.txt": b"", "comments.txt": b""})
    room.put("grades.csv", b"x")
    bob, ada = room.take_in()
    assert (ada.student, ada.status, ada.projects) == ("Lovelace, Ada(ada1)", "ok", ("VAE",))
    assert (bob.status, bob.reason.rpartition(": ")[2]) == ("refused", "there is nothing in it")


# --- laid over the scaffold ---


@pytest.mark.usefixtures("fast")
def test_only_a_project_s_own_modules_and_its_readme_are_run(room, good):
    taken = {"VAE/model.py": b"m = 1\n", "VAE/layers.py": b"y = 1\n", "VAE/README.txt": b"I changed ...\n"}
    shadows = [
        f"VAE/{name}.py" for name in ("random", "torch", "numpy", "coursekit", "pytest", "conftest", "sitecustomize")
    ]
    packages = ["VAE/__init__/x.py", "VAE/torch/__init__.py", "VAE/sub/deep.py", "VAE/__pycache__/model.pyc"]
    others = ["VAE/x.pth", "VAE/a-b.py", "VAE/model.pyc", "VAE/notes.txt", "VAE/large.py", "VAE/.hidden"]
    left_out = [*shadows, *packages, *others, "conftest.py", "Flow/model.py"]
    files = good | {f"codes/{name}": data for name, data in taken.items()} | {f"codes/{n}": b"" for n in left_out}
    files["codes/VAE/large.py"] = os.urandom(1 << 20) + b"x"
    del files["codes/VAE/README.md"]
    room.put(f"{NUMBER}.zip", zipped(files))
    row = room.only()
    found = {p.relative_to(row.codes).as_posix(): p.read_bytes() for p in row.codes.rglob("*") if p.is_file()}
    given = {name: data for name, data in SCAFFOLD.items() if name != "VAE/README.md"}
    assert found == given | taken
    remark = next(remark for remark in row.remarks if remark.startswith("not part of what is run: "))
    assert f"and {len(left_out) - 5} more" in remark
    assert "VAE/conftest.py (the name of another module)" in remark


def test_names_that_other_modules_have():
    assert all(map(is_reserved, ("random", "code", "torch", "numpy", "pytest", "_pytest", "autograder", "tqdm")))
    assert not any(
        map(is_reserved, ("model", "trainer", "dataset", "main", "layers", "utils", "data", "fid", "losses"))
    )


@pytest.mark.usefixtures("fast")
def test_a_project_s_folder_in_another_case(room):
    room.put(f"{NUMBER}.zip", zipped({"Codes/vae/model.py": b"x = 1\n"}))
    row = room.only()
    assert (row.codes / "VAE" / "model.py").read_bytes() == b"x = 1\n"
    assert sorted(path.name for path in row.codes.iterdir()) == ["GAN", "VAE"]
    assert "codes/VAE is written vae" in row.remarks


# --- summary.txt ---


def test_a_summary_is_compared_with_our_own(room, good):
    windows = b"\xef\xbb\xbf" + good["summary.txt"].replace(b"\n", b"\r\n")
    room.put("1000001.zip", zipped(good | {"summary.txt": windows}))
    room.put("1000002.zip", zipped(good | {"codes/VAE/model.py": good["codes/VAE/model.py"] + b"x = 1\n"}))
    same, different = room.take_in()
    assert (same.summary, different.summary) == ("same", "different")
    assert "summary.txt is not the one that analyze.py makes of this code" in different.remarks
    assert b"x = 1" in different.analysis.summary


def test_no_summary_is_one_remark(room, good):
    room.put("1000001.zip", zipped({name: data for name, data in good.items() if name != "summary.txt"}))
    (submission,) = room.take_in()
    assert submission.summary == "missing"
    assert [remark for remark in _remarks(_row(submission)) if "summary.txt" in remark] == ["no summary.txt"]


def test_code_that_costs_analyze_too_much_costs_nobody_else(room, good, monkeypatch):
    monkeypatch.setattr(summaries, "LIMITS", replace(summaries.LIMITS, cpu_s=1))
    lines = b"".join(b"x%d = %d\n" % (i % 300, i % 7) for i in range(60_000))
    room.put("1000001.zip", zipped(good | {"codes/VAE/model.py": lines}))
    room.put("1000002.zip", pack(good))
    slow, other = room.take_in()
    assert (slow.status, slow.summary, slow.analysis) == ("ok", "unknown", None)
    assert any("analyze.py was stopped: it took more than 1 s of" in remark for remark in slow.remarks)
    assert other.summary == "same"


# --- whose it is, and which one counts ---


@pytest.mark.parametrize(
    ("name", "student", "owner", "attempt"),
    [
        ("2021012345.zip", NUMBER, None, None),
        ("2021012345 (1).zip", NUMBER, None, None),
        ("2021012345(2).ZIP", NUMBER, None, None),
        ("2021012345_v2.zip", NUMBER, None, None),
        ("2021012345 - Copy.zip", NUMBER, None, None),
        ("2021012345.zip.zip", NUMBER, None, None),
        ("2021012345_VAE.zip", NUMBER, None, None),
        ("张三_2021012345_作业.zip", NUMBER, None, None),
        ("s2021012345.rar", "s2021012345", None, None),
        ("s2021-ab.zip", "s2021-ab", None, None),
        ("s2021-ab_v3 (2).zip", "s2021-ab", None, None),
        ("2021012345", NUMBER, None, None),
        ("张三.zip", None, None, None),
        ("my homework.zip", None, None, None),
        ("..zip", None, None, None),
        ("lovelaceada_12345_67890_2021012345.zip", NUMBER, "lovelaceada_12345", 0),
        ("lovelaceada_LATE_12345_67890_2021012345-1.zip", NUMBER, "lovelaceada_12345", 1),
        ("lovelaceada_12345_67891_2021012345-12.zip", NUMBER, "lovelaceada_12345", 12),
        ("lovelaceada_12345_67891_homework-2.zip", None, "lovelaceada_12345", 2),
        ("Ada Lovelace_12345_assignsubmission_file_", None, "Ada Lovelace_12345", None),
        ("Ada Lovelace_12345_assignsubmission_file_2021012345.zip", NUMBER, "Ada Lovelace_12345", None),
        ("HW4_ada_attempt_2026-06-14-12-00-00_2021012345 (1).zip", NUMBER, "HW4_ada", 20260614120000),
        ("Final_HW_2021012345_attempt_2026-06-14-12-00-00_x.zip", NUMBER, "Final_HW_2021012345", 20260614120000),
        ("2021012345_attempt_2.zip", NUMBER, None, None),
        ("Ada Lovelace_12345_assignsubmission_file", None, "Ada Lovelace_12345", None),
    ],
)
def test_names(name, student, owner, attempt):
    read = read_name(name)
    assert (read.student, read.owner, read.attempt) == (student, owner, attempt)
    assert read.is_late == ("LATE" in name)


def tagged(good, tag: str, when=(2026, 5, 1, 12, 0, 0)) -> bytes:
    return zipped(good | {"codes/VAE/model.py": f"tag = {tag!r}\n".encode()}, when=when)


def tag(row) -> str:
    return (row.codes / "VAE" / "model.py").read_text().split("'")[1]


@pytest.mark.usefixtures("fast")
def test_moodle_s_folders(room, good):
    room.put("Ada L_12_assignsubmission_file_/2021012345.zip", tagged(good, "ada"))
    room.put("Ada L_12_assignsubmission_file_/extra.txt", b"x")
    room.put("Ada L_12_assignsubmission_onlinetext_/onlinetext.html", b"x")
    room.put("Bob M_13_assignsubmission_file_/homework.zip", tagged(good, "bob"))
    write(room.folder / "Cleo N_14_assignsubmission_file_" / "work", good | {"old.zip": b"x"})
    (room.folder / "Cleo N_14_assignsubmission_file_" / "x.zip").write_bytes(b"x")
    ada, bob, cleo = room.take_in()
    assert (ada.student, tag(ada)) == (NUMBER, "ada")
    assert "handed in beside the zip, and not looked at: extra.txt" in ada.remarks
    assert (bob.student, tag(bob), bob.status) == ("Bob M_13", "bob", "ok")
    assert "no student number in its name" in bob.remarks
    assert (cleo.student, cleo.status) == ("Cleo N_14", "ok")


@pytest.mark.usefixtures("fast")
def test_blackboard_s_names(room, good):
    for user, when, content in (
        ("ada", "2026-06-14-12-00-00", "old"),
        ("ada", "2026-06-15-09-30-00", "new"),
        ("bob", "2026-06-14-12-00-01", "bob"),
    ):
        room.put(f"HW4_{user}_attempt_{when}_homework.zip", tagged(good, content), when=1_790_000_000 - len(content))
        room.put(f"HW4_{user}_attempt_{when}.txt", b"Name: x")
    room.put("HW4_ada_attempt_2026-06-15-09-30-00_Report.pdf", PDF)
    room.put("HW4_2021012345_attempt_2026-06-15-09-30-00_1999999999.zip", tagged(good, "number"))
    number, ada, bob = room.take_in()
    assert [(row.student, tag(row)) for row in (number, ada, bob)] == [
        (NUMBER, "number"),
        ("HW4_ada", "new"),
        ("HW4_bob", "bob"),
    ]
    assert "handed in beside the zip, and not looked at: HW4_ada_attempt_2026-06-15-09-30-00_Report.pdf" in ada.remarks
    assert ada.superseded == ["HW4_ada_attempt_2026-06-14-12-00-00_homework.zip"]
    assert len(not_taken(room.folder)) == 3


GRADESCOPE = """---
submission_298765432:
  :submitters:
  - :name: Ada Lovelace
    :sid: '2021012345'
    :email: ada@x.edu
  - :name: Bob Moran
    :sid: '2021012346'
    :email: bob@x.edu
  :created_at: 2026-06-14 21:36:16.284203000 Z
  :history:
  - :id: 298765431
    :submitters:
    - :name: Somebody Else
      :sid: '1'
submission_298765433:
  :submitters:
  - :name: Cleo N
    :sid:
    :email: cleo@x.edu
submission_298765434:
  :submitters:
  - :name: Eve O
    :sid: "2021012399"
"""


@pytest.mark.usefixtures("fast")
def test_gradescope_s_export(room, good):
    room.put("submission_metadata.yml", GRADESCOPE.encode())
    write(room.folder / "submission_298765432", good)
    room.put("submission_298765433/2021012345.zip", pack(good))  # another's number is no way to be another
    room.put("submission_298765434/codes.zip", pack(good))
    write(room.folder / "submission_298765435", good)
    rows = {row.source.partition("/")[0]: row for row in room.take_in()}
    assert [row.student for row in rows.values()].count(NUMBER) == 0
    ada, cleo, eve, unknown = (rows[f"submission_29876543{n}"] for n in (2, 3, 4, 5))
    assert (ada.student, cleo.student) == ("Ada Lovelace_298765432", "Cleo N_298765433")
    assert (eve.student, unknown.student) == ("2021012399", "298765435")
    assert all(row.status == "ok" for row in rows.values())
    shutil.rmtree(room.folder / "submission_298765433")
    assert NUMBER in [row.student for row in room.take_in()]


NOBODYS = (
    "submission_metadata.yml",
    "grades.csv",
    "grades.xls",
    "Grades-CS101-HW4-20260614.csv",
    "roster.xlsx",
    "timestamp.txt",
    "comments.txt",
    "Ada_submissionText.html",
    "lovelaceada_12345_text.html",
    "lovelaceada_LATE_12345_link.html",
    "Ada L_12_assignsubmission_onlinetext_onlinetext.html",
    "index.html",
    "README",
    "README.md",
    "export.log",
    "gradebook_HW4_ada_attempt_2026-06-14-12-00-00.txt",
)
LEFTOVERS = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._2021012345.zip",
    ".Trashes",
    ".Trash-1000",
    "~$Report.docx",
    ".git",
)
SOMEBODYS = (
    ".2021012345.zip",
    "..zip",
    ".hidden",
    "._real.zip",
    "Report.pdf",
    "homework.ipynb",
    "model.py",
    "work.rar",
    "ada.docx",
    "2021012349.csv",
    "ada_12345_100_data.csv",
    "notes.txt",
    "homework.html",
    "2021012347.tar.gz",
    ".zip",
)


@pytest.mark.usefixtures("fast")
def test_every_student_is_a_row_and_nothing_else(room, good):
    for name in NOBODYS:
        room.put(name, b"x")
    for name in LEFTOVERS:
        room.put(name, b"\x00\x05\x16\x07")
    for name in SOMEBODYS:
        room.put(name, pack(good) if name.endswith("zip") else b"x")
    write(room.folder / ".hidden folder", good)
    write(room.folder / "Ada L_12_assignsubmission_onlinetext_", {"onlinetext.html": b"x"})
    rows = room.take_in()
    assert sorted(row.source for row in rows) == sorted((*SOMEBODYS, ".hidden folder"))
    dotted = {row.source: row for row in rows if row.source.startswith(".") and row.source != ".hidden"}
    assert all(row.status == "ok" for row in dotted.values()) and len(dotted) == 5
    assert dotted[".2021012345.zip"].student == NUMBER or "bear the student number" in str(
        dotted[".2021012345.zip"].remarks
    )
    assert all(row.reason for row in rows if row.source not in dotted)
    assert not_taken(room.folder) == sorted((*NOBODYS, "Ada L_12_assignsubmission_onlinetext_"))


@pytest.mark.usefixtures("fast")
def test_canvas_counts_attempts(room, good):
    room.put("ada_12345_100_2021012345.zip", tagged(good, "0", (2026, 9, 9, 1, 1, 0)), when=1_790_000_000)
    room.put("ada_12345_102_2021012345-2.zip", tagged(good, "2", (2026, 1, 1, 1, 1, 0)), when=1_700_000_000)
    room.put("ada_LATE_12345_110_2021012345-10.zip", tagged(good, "10", (2025, 1, 1, 1, 1, 0)), when=1_600_000_000)
    row = room.only()
    assert (row.student, tag(row)) == (NUMBER, "10")
    assert row.superseded == ["ada_12345_100_2021012345.zip", "ada_12345_102_2021012345-2.zip"]
    assert "late: the platform says so" in row.remarks


@pytest.mark.usefixtures("fast")
def test_a_report_that_was_uploaded_with_the_zip_does_not_take_its_place(room, good):
    room.put("ada_12345_100_2021012345.zip", tagged(good, "ada"), when=1_700_000_000)
    room.put("ada_12345_101_Report.pdf", PDF, when=1_790_000_000)
    row = room.only()
    assert (row.student, row.status, row.superseded) == (NUMBER, "ok", [])
    assert "handed in beside the zip, and not looked at: ada_12345_101_Report.pdf" in row.remarks


@pytest.mark.usefixtures("fast")
def test_without_attempts_the_newest_file_in_the_zip_counts(room, good):
    room.put("2021012345.zip", tagged(good, "old", (2026, 5, 1, 0, 0, 0)), when=1_790_000_000)
    room.put("2021012345 (1).zip", tagged(good, "new", (2026, 5, 2, 0, 0, 0)), when=1_700_000_000)
    row = room.only()
    assert (tag(row), row.superseded) == ("new", ["2021012345.zip"])


@pytest.mark.usefixtures("fast")
def test_without_times_in_a_zip_the_file_s_own_counts(room, good):
    """The kit's zips keep no times."""
    room.put("2021012345_v2.zip", tagged(good, "old"), when=1_700_000_000)
    room.put("2021012345.zip", tagged(good, "new", (1980, 1, 1, 0, 0, 0)), when=1_790_000_000)
    assert tag(room.only()) == "new"


@pytest.mark.usefixtures("fast")
def test_at_the_same_time_the_student_s_own_count_counts(room, good):
    for version in ("", "_v2", "_v10"):
        room.put(f"2021012345{version}.zip", tagged(good, version))
    assert tag(room.only()) == "_v10"


@pytest.mark.usefixtures("fast")
def test_hand_ins_that_nothing_tells_apart_are_a_row_each(room, good):
    room.put("2021012345_VAE.zip", tagged(good, "a"))
    room.put("2021012345_GAN.zip", tagged(good, "b"))
    rows = room.take_in()
    assert [row.student for row in rows] == ["2021012345_GAN.zip", "2021012345_VAE.zip"]
    assert all("of which none is the newest" in row.remarks[0] for row in rows)
    room.put("2021012345_VAE.zip", tagged(good, "b"))
    row = room.only()
    assert (row.student, row.superseded) == (NUMBER, ["2021012345_VAE.zip"])


@pytest.mark.usefixtures("fast")
def test_nobody_replaces_the_hand_in_of_another(room, good):
    room.put("ada_12345_100_2021012345.zip", tagged(good, "ada"))
    room.put("eve_66666_101_2021012345-5.zip", tagged(good, "eve"))
    ada, eve = room.take_in()
    assert (ada.student, tag(ada), eve.student, tag(eve)) == ("ada_12345", "ada", "eve_66666", "eve")
    assert "2 hand-ins of different people bear the student number 2021012345" in eve.remarks


@pytest.mark.usefixtures("fast")
def test_a_deadline_is_remarked_upon(room, good):
    room.put("1000001.zip", pack(good), when=1_780_000_000)
    room.put("1000002.zip", pack(good), when=1_780_000_100)
    deadline = datetime.fromtimestamp(1_780_000_050, timezone(timedelta(hours=8)))
    early, late = room.take_in(replace(LIMITS, deadline=deadline))
    assert not any("late" in remark for remark in early.remarks)
    assert "late by its file's time, 2026-05-29T04:28:20+08:00" in late.remarks


@pytest.mark.parametrize(
    "student", ["../../x", "/etc/passwd", "", ".", "..", "a" * 300, "学号", "a/b", "CON\0", "-x", "x\n"]
)
def test_a_student_s_folder_has_a_safe_name(student):
    taken = set()
    for _ in range(3):
        name = folder_name(student, taken)
        assert name.lower() not in taken and len(name) < 80
        assert name.isascii() and name.replace("-", "").replace("_", "").isalnum() and name[0] not in "-_"
        taken.add(name.lower())
    assert folder_name("S2021-ab", {"s2021-ab"}) != "S2021-ab"


# --- nobody stops the others ---


def test_every_hand_in_is_a_row(room, good, monkeypatch):
    room.put("1000001.zip", b"Rar!\x1a\x07")
    room.put("1000002.zip", pack(good))
    room.put("1000003.zip", zipped({"../x": b""}))
    room.put("homework.ipynb", b"x")
    monkeypatch.setattr(intake, "read_layout", lambda folder: 1 / 0)
    rows = room.take_in()
    assert [(row.student, row.status) for row in rows] == [
        ("1000001", "refused"),
        ("1000002", "refused"),
        ("1000003", "refused"),
        ("homework.ipynb", "refused"),
    ]
    assert rows[1].reason == "not taken in, a fault of the intake: ZeroDivisionError: division by zero"


def test_a_name_that_is_not_utf8(room, good):
    (room.folder / os.fsdecode(b"\xff\xfe.zip")).write_bytes(pack(good))
    row = room.only()
    assert row.status == "ok"
    (row.student + row.source).encode()


def test_folders_that_cannot_be_used(room, good, tmp_path):
    with pytest.raises(CourseError, match="no hand-in in it"):
        take_in(room.folder, SCAFFOLD, LIMITS, tmp_path / "new")
    with pytest.raises(CourseError, match="can't be listed"):
        take_in(tmp_path / "nothing", SCAFFOLD, LIMITS, tmp_path / "new")
    room.put("1000002.zip", pack(good))
    with pytest.raises(CourseError, match="not empty"):
        take_in(room.folder, SCAFFOLD, LIMITS, tmp_path)
    with pytest.raises(CourseError):
        take_in(room.folder, SCAFFOLD, LIMITS, room.folder / "1000002.zip")


FUZZ = settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check_bytes(room: Class, content: bytes) -> None:
    room.put(f"{NUMBER}.zip", content)
    row = room.only(LIMITS, {"VAE/model.py": b""})  # a small scaffold is written faster
    shutil.rmtree(room.runs)
    assert "a fault of the intake" not in row.reason and "student's fault" not in row.reason


@FUZZ
@given(data=st.binary(max_size=200))
def test_fuzz_bytes(room, fast, data):
    check_bytes(room, data)
    check_bytes(room, b"PK\x03\x04" + data + b"PK\x05\x06" + data[:18].ljust(18, b"\0"))


@FUZZ
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
    at_the_end=st.booleans(),
)
def test_fuzz_a_good_zip(room, fast, edits, at_the_end):
    packed = bytearray(zipped({"codes/VAE/model.py": b"x = 1\n" * 9, "Report.pdf": PDF, "codes/VAE/é.py": b""}))
    start = packed.find(b"PK\x01\x02") if at_the_end else 0
    for offset, piece in edits:
        at = start + offset % (len(packed) - start)
        packed[at : at + len(piece)] = piece
    check_bytes(room, bytes(packed))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@FUZZ
@given(names=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=4, unique=True))
def test_fuzz_names_in_a_zip(room, fast, names):
    check_bytes(room, zipped({f"codes/VAE/{name}": b"" for name in names}))
    check_bytes(room, zipped({name or "x": b"" for name in names}))


@FUZZ
@given(name=st.text(alphabet=st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60))
def test_fuzz_names_of_hand_ins(name):
    folder_name(read_name(name).student or name, set())


@FUZZ
@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "\\", "C:", "\0", "b" * 300, "é"]), max_size=6))
def test_a_safe_name_stays_inside(parts):
    try:
        safe = safe_parts("/".join(parts))
    except ArchiveError:
        return
    assert ".." not in safe and not os.path.isabs("/".join(safe))


def test_unpack_never_writes_through_a_folder_that_is_there(tmp_path, good):
    (tmp_path / "x.zip").write_bytes(pack(good))
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError):
        unpack(tmp_path / "x.zip", tmp_path / "target", LIMITS)
