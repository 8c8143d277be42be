"""Taking in a folder of hand-ins: every way in which one may be hostile, odd or incomplete, and that others go on."""

import os
import shutil
import stat
import struct
import time
import unicodedata
import zipfile
import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import pytest
from conftest import REFERENCE, REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder import intake, summaries
from autograder.archives import ArchiveError, safe_parts, unpack
from autograder.course import COURSE_FILE, read_course
from autograder.grading import _remarks, _row
from autograder.intake import take_in
from autograder.names import folder_name, read_name
from autograder.overlay import is_reserved
from autograder.scaffold import build_scaffold
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
    assert not list(row.handed_in.rglob(".DS_Store"))


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp437"])
def test_names_in_any_encoding(room, good, encoding):
    name = "é.txt" if encoding == "cp437" else "报告乗.txt"  # the last has a backslash in its second byte
    raw = name.encode(encoding)
    packed = zipped(good | {"x" * len(raw): b"1"}).replace(b"x" * len(raw), raw)
    room.put(f"{NUMBER}.zip", packed)
    row = room.only()
    assert row.status == "ok", row.reason
    assert (row.handed_in / name).read_bytes() == b"1"


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
    assert (row.handed_in / "Report.pdf").read_bytes() == PDF


# --- what is refused ---

NAMES = {
    "../x.py": "leads out",
    "codes/../../x.py": "leads out",
    "..": "leads out",
    "/etc/x.py": "absolute",
    "//host/x": "absolute",
    "C:/x.py": "absolute",
    "c:x.py": "absolute",
    "..\\x.py": "backslash",
    "codes\\VAE\\x.py": "backslash",
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
    room.put(f"{NUMBER}.zip", zipped([*good.items(), (name.rstrip("/") + "/", b"")]))
    assert NAMES[name] in room.only().reason
    shutil.rmtree(room.runs)
    assert sorted(path for path in tmp_path.rglob("*")) == sorted([*before, room.folder / f"{NUMBER}.zip"])


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


@pytest.mark.usefixtures("fast")
def test_a_link_in_a_folder(room, good):
    write(room.folder / NUMBER, good)
    (room.folder / NUMBER / "codes" / "VAE" / "x.py").symlink_to("/etc/passwd")
    assert room.only().reason == "codes/VAE/x.py is a link"


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
    row = room.only()
    if row.status == "ok":
        assert (row.handed_in / "x").stat().st_size == declared
    else:
        assert row.reason.startswith("damaged")


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
def test_a_zip_in_the_zip_is_not_opened(room, good):
    inner = zipped({"../x": bytes(10**6)})
    room.put(f"{NUMBER}.zip", zipped(good | {"codes/VAE/data.zip": inner}))
    row = room.only()
    assert row.status == "ok"
    assert (row.handed_in / "codes/VAE/data.zip").read_bytes() == inner
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


def test_with_no_code_at_all_the_scaffold_is_what_there_is(room):
    room.put(f"{NUMBER}.zip", zipped({"Report.pdf": PDF}))
    row = room.only()
    assert (row.status, row.projects, row.analysis) == ("ok", (), None)
    assert "no codes/: there is no code" in row.remarks and "no codes/VAE" in row.remarks
    assert (row.codes / "VAE" / "model.py").read_bytes() == SCAFFOLD["VAE/model.py"]


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
    room.put("grades.xlsx", b"x")
    (room.folder / ".hidden").write_bytes(b"x")
    monkeypatch.setattr(intake, "read_layout", lambda folder: 1 / 0)
    rows = room.take_in()
    assert [(row.student, row.status) for row in rows] == [
        ("1000001", "refused"),
        ("1000002", "refused"),
        ("1000003", "refused"),
        ("grades.xlsx", "refused"),
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
