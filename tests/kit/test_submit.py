"""Handing in: what goes into the zip, what is refused, what is only warned about, and that the zip is what it says."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import REFERENCE, REPOSITORY, user_environment

from autograder.scaffold import build_scaffold
from code_analyze.blocks import fill_blocks, find_blocks
from coursekit import public_checks, submission
from coursekit.__main__ import main

NUMBER = "2021012345"
PDF = b"%PDF-1.7\nthe report\n"
DOCX = b"PK\x03\x04the report"
VAE = [f"codes/VAE/{name}" for name in ("README.md", "dataset.py", "main.py", "model.py", "trainer.py")]
GAN = [name.replace("VAE", "GAN") for name in VAE]
GIVEN = {f"codes/{name}": content for name, content in build_scaffold(REFERENCE).items()}

# Stands in for tests/public, which takes longer.
CONFTEST = """\
import pytest

def pytest_addoption(parser):
    parser.addoption("--codes_dir")

@pytest.fixture
def model(pytestconfig):
    with open(pytestconfig.getoption("codes_dir") + "/VAE/model.py") as file:
        return file.read()
"""
PASSING = """\
def test_the_model_has_a_decoder(model, record_property):
    record_property("remark", "one channel only")
    assert "nn.ConvTranspose2d" in model
"""
FAILING = """
import pytest

def test_kl_is_averaged(model):
    pytest.fail("your KL is summed over the batch:\\nmore about it")

def test_kl_is_half(model):
    assert False, "the half is missing"

def test_gan(model):
    pytest.skip("no GAN")
"""


def filled(name: str) -> bytes:
    """A file of the scaffold with the reference's lines in its blocks."""
    path = REFERENCE / name.removeprefix("codes/")
    bodies = [block.body for block in find_blocks(path.read_bytes().decode(), name)]
    return fill_blocks(GIVEN[name].decode(), bodies, name).encode() if bodies else GIVEN[name]


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("handout") / "course"
    shutil.copytree(
        REPOSITORY / "code_analyze", folder / "code_analyze", ignore=shutil.ignore_patterns("*.txt", "__*__")
    )
    write(folder / "code_analyze", {name.replace("codes/", "_codes/", 1): data for name, data in GIVEN.items()})
    write(folder, GIVEN | {name: filled(name) for name in VAE} | {"Report.pdf": PDF})
    return folder


@pytest.fixture
def course(template, tmp_path) -> Path:
    """A student's folder: VAE filled in, GAN as it was given, a report; no public checks."""
    return Path(shutil.copytree(template, tmp_path / "course"))


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def refusals(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("python -m coursekit: ")]

    @property
    def warnings(self) -> str:
        return "\n".join(line for line in self.err.splitlines() if line.startswith("warning: "))


@pytest.fixture
def hand_in(course, monkeypatch, capsys):
    """Run the command as a student does, in the course's folder or in `cwd`."""

    def run(*flags: object, number: str = NUMBER, cwd: Path = course) -> Done:
        monkeypatch.chdir(cwd)
        try:
            main(["submit", number, *map(str, flags)])
            status = 0
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Done(status, said.out, said.err)

    return run


def command(*arguments: object, cwd: Path, **options):
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "coursekit", "submit", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": user_environment(cwd, PYTHONPATH=str(REPOSITORY)), **options},
    )


def unzip(course: Path, number: str = NUMBER) -> dict[str, bytes]:
    with zipfile.ZipFile(course / f"{number}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zips(course: Path) -> list[str]:
    """Zips and what could be left of one, wherever it may be."""
    names = (path.name for path in course.rglob("*") if ".zip" in path.name or path.name.endswith(".tmp"))
    return sorted(names)


# --- what goes into the zip ---


def test_the_zip_holds_the_report_the_summary_and_the_code(course, hand_in):
    done = hand_in()
    assert (done.status, done.refusals) == (0, [])
    files = unzip(course)
    assert list(files) == ["Report.pdf", *VAE, "summary.txt"]
    assert files["Report.pdf"] == PDF
    assert all(files[name] == (course / name).read_bytes() for name in VAE)


def test_a_ta_who_unpacks_it_gets_the_same_summary(course, hand_in, tmp_path):
    write(course, {name: filled(name) for name in GAN})
    write(course, {"codes/VAE/extra.py": b"print('mine')\n", "codes/VAE/runs/x.py": b"", "codes/VAE/.venv/y.py": b"1"})
    hand_in()
    with zipfile.ZipFile(course / f"{NUMBER}.zip") as archive:
        archive.extractall(tmp_path / "ta")
    subprocess.run(
        [
            *(sys.executable, REPOSITORY / "code_analyze" / "analyze.py"),
            *("--target_dir", tmp_path / "ta" / "codes", "--output_file", tmp_path / "fresh.txt"),
        ],
        check=True,
        capture_output=True,
    )
    fresh = (tmp_path / "fresh.txt").read_bytes()
    assert b"extra.py" in fresh
    assert fresh == unzip(course)["summary.txt"] == (course / "code_analyze" / "summary.txt").read_bytes()


def test_it_says_where_the_zip_is_what_is_in_it_and_how_much_is_own(course, hand_in):
    said = hand_in().out
    size = (course / f"{NUMBER}.zip").stat().st_size
    assert f"{course / NUMBER}.zip: {size / 1000:.1f} kB, 7 files" in said
    assert all(name in said for name in VAE)
    assert "blocks filled: 5 of 5 in VAE\n" in said
    assert "own code: 36 of 36 lines in blocks (100.0 %), 70 % are asked: enough" in said


def test_too_little_own_code_is_said(course, hand_in):
    write(
        course, {name: filled(name).replace(b"TODO START\n", b"TODO START\n# Reference: https://a.b\n") for name in VAE}
    )
    assert "0 of 36 lines in blocks (0.0 %), 70 % are asked: NOT enough" in hand_in().out


def test_the_same_files_give_the_same_zip(course, hand_in, tmp_path):
    hand_in()
    first = (course / f"{NUMBER}.zip").read_bytes()
    for path in course.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    other = Path(shutil.copytree(course, tmp_path / "somewhere else"))
    hand_in(cwd=other)
    assert (other / f"{NUMBER}.zip").read_bytes() == first


def test_it_runs_anywhere_in_the_course(course, hand_in):
    assert hand_in(cwd=course / "codes" / "VAE").status == 0
    assert zips(course) == [f"{NUMBER}.zip"]
    assert zips(course / "codes") == []


def test_the_zip_goes_where_out_says_and_replaces_an_older_one(course, hand_in, tmp_path):
    write(tmp_path, {f"out/{NUMBER}.zip": b"older"})
    assert hand_in("--out", "../out").status == 0
    assert list(unzip(tmp_path / "out")) == ["Report.pdf", *VAE, "summary.txt"]
    assert zips(course) == []
    assert hand_in("--out", "new/folder", cwd=tmp_path / "course" / "codes").status == 0
    assert unzip(course / "codes" / "new" / "folder")


def test_in_the_repository_the_scaffold_comes_from_the_solution(course, hand_in):
    hand_in()
    with_handout = (course / f"{NUMBER}.zip").read_bytes()
    shutil.rmtree(course / "code_analyze" / "_codes")
    shutil.copytree(REFERENCE, course / "reference_solution")
    assert hand_in().status == 0
    assert (course / f"{NUMBER}.zip").read_bytes() == with_handout


# --- the report ---


def test_of_two_reports_the_pdf_is_taken_and_the_student_told(course, hand_in):
    write(course, {"Report.docx": DOCX})
    os.utime(course / "Report.docx", (1, 1))
    done = hand_in()
    assert "Report.pdf is handed in, and Report.docx is not\n" in f"{done.warnings}\n"
    assert "Report.pdf" in unzip(course) and "Report.docx" not in unzip(course)
    os.utime(course / "Report.pdf", (0, 0))
    assert "Report.docx is not; it was changed after Report.pdf" in hand_in().warnings


@pytest.mark.parametrize(
    ("name", "packed", "data"), [("Report.docx",) * 2 + (DOCX,), ("report.PDF", "Report.pdf", PDF)]
)
def test_a_docx_or_another_capitalisation_does_as_well(course, hand_in, name, packed, data):
    (course / "Report.pdf").unlink()
    write(course, {name: data})
    assert hand_in().status == 0
    assert unzip(course)[packed] == data


# --- what is left out ---

LEFT_OUT = {
    "codes/VAE/results/run/step_00000010.pt": "results",
    "codes/VAE/runs/run/events.out.tfevents.1.host.2.0": "runs",
    "codes/VAE/data/MNIST/raw/labels.txt": "data",
    "codes/VAE/__pycache__/model.cpython-311.pyc": "__pycache__",
    "codes/VAE/__pycache__/model.py": "__pycache__",
    "codes/VAE/.vscode/settings.json": ".vscode",
    "codes/.git/config.txt": ".git",
    "codes/VAE/.cache/x.py": "3 hidden",
    "codes/VAE/venv/lib/x.py": "venv",
    "codes/VAE/.ipynb_checkpoints/model.py": ".ipynb_checkpoints",
    "codes/VAE/weights.pt": "1 *.pt",
    "codes/VAE/model.ipynb": "1 *.ipynb",
    "codes/VAE/fast.so": "1 *.so",
    "codes/images.PNG": "1 *.png",
    "codes/VAE/Makefile": "1 without a suffix",
    "codes/VAE/.hidden.py": "3 hidden",
    "codes/VAE/desktop.ini": "3 hidden",
    "codes/VAE/log.txt": "1 *.txt over 1 MB",
}


def test_what_is_no_code_is_left_out_and_its_kinds_are_named(course, hand_in):
    write(course, {name: b"x" * 1_100_000 if name.endswith("log.txt") else b"x" for name in LEFT_OUT})
    done = hand_in()
    assert list(unzip(course)) == ["Report.pdf", *VAE, "summary.txt"]
    [line] = [line for line in done.out.splitlines() if "left out: " in line]
    assert all(kind in line for kind in LEFT_OUT.values()), line


def test_many_kinds_stay_one_short_line(course, hand_in):
    write(course, {f"codes/VAE/x.{number}": b"" for number in range(1000)})
    [line] = [line for line in hand_in().out.splitlines() if "left out: " in line]
    assert "992 others" in line and len(line) < 200


def test_where_nothing_is_left_out_nothing_is_said_about_it(hand_in):
    assert "left out" not in hand_in().out


def test_links_are_left_out_and_named(course, hand_in, tmp_path):
    write(tmp_path, {"secret/key.py": b"secret"})
    (course / "codes" / "VAE" / "key.py").symlink_to(tmp_path / "secret" / "key.py")
    (course / "codes" / "VAE" / "more").symlink_to(tmp_path / "secret")
    (course / "codes" / "VAE" / "loop").symlink_to("..")
    assert "3 links (codes/VAE/key.py, codes/VAE/loop, codes/VAE/more)" in hand_in().out
    assert list(unzip(course)) == ["Report.pdf", *VAE, "summary.txt"]


def test_a_pipe_is_left_out_and_not_waited_for(course, hand_in):
    os.mkfifo(course / "codes" / "VAE" / "pipe.py")
    assert "1 neither a file nor a folder" in hand_in().out
    assert list(unzip(course)) == ["Report.pdf", *VAE, "summary.txt"]


def test_code_and_small_texts_go_along_wherever_they_are(course, hand_in):
    more = {
        "codes/VAE/layers/attention.py": b"x = 1\n",
        "codes/VAE/data/loader.py": b"import random\n",  # a program may need it
        "codes/CVAE/main.py": b"y = 2\n",
        "codes/VAE/settings.yaml": b"a: 1\n",
        "codes/VAE/requirements.txt": b"einops\n",
        "codes/notes.md": b"# Notes\n",
    }
    write(course, more)
    assert hand_in().status == 0
    files = unzip(course)
    assert {name: files[name] for name in more} == more
    assert set(files) == {"Report.pdf", *VAE, "summary.txt", *more}


def test_odd_names_and_bytes_survive(course, hand_in):
    more = {
        "codes/VAE/模型 (1).py": "# 变分自编码器\n".encode("gbk"),
        "codes/VAE/ä ö/ü.txt": b"\xff\xfe\x00 no text",
        "codes/VAE/a\nb\x1b[31m.md": b"",
        "codes/VAE/a\\b.txt": b"x",
        "codes/VAE/-rf.py": b"x = 1\r\n",
        "codes/VAE/empty.py": b"",
    }
    write(course, more)
    done = hand_in()
    assert done.status == 0
    assert "codes/VAE/模型 (1).py" in done.out and "\x1b" not in done.out + done.err
    with zipfile.ZipFile(course / f"{NUMBER}.zip") as archive:
        assert {name: archive.read(name) for name in more} == more
        assert archive.getinfo("codes/VAE/模型 (1).py").flag_bits & 0x800  # the name is UTF-8


def test_a_terminal_that_cannot_show_a_name_is_no_reason_to_fail(course):
    write(course, {"codes/VAE/模型.py": b""})
    environment = user_environment(course, PYTHONPATH=str(REPOSITORY), PYTHONIOENCODING="ascii")
    process = command(NUMBER, cwd=course, env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "\\u6a21\\u578b.py" in out


# --- GAN is optional ---


def test_a_gan_as_it_was_given_is_left_out_and_the_student_told(course, hand_in):
    write(course, {"codes/GAN/results/x.pt": b"", "codes/GAN/__pycache__/model.pyc": b""})
    done = hand_in()
    assert "codes/GAN is as you were given it: it is optional, and is not handed in" in done.out
    assert "GAN" not in "".join(unzip(course))
    assert b"# GAN/model.py" in unzip(course)["summary.txt"]


@pytest.mark.parametrize("kept", [(), ("codes/GAN/README.md",), ("codes/GAN/model.py", "codes/GAN/main.py")])
def test_a_gan_that_was_deleted_or_half_of_it_is_left_out(course, hand_in, kept):
    for name in set(GAN) - set(kept):
        (course / name).unlink()
    assert hand_in().status == 0
    assert "GAN" not in "".join(unzip(course))


def test_a_filled_gan_is_handed_in(course, hand_in):
    write(course, {name: filled(name) for name in GAN})
    assert "blocks filled: 5 of 5 in VAE, 4 of 4 in GAN" in hand_in().out
    assert list(unzip(course)) == ["Report.pdf", *GAN, *VAE, "summary.txt"]


def test_a_gan_with_no_more_than_a_note_is_handed_in_with_its_empty_blocks(course, hand_in):
    write(course, {"codes/GAN/README.md": b"I tried.\n"})
    done = hand_in()
    assert (done.status, done.refusals) == (0, [])
    assert "0 of 4 in GAN" in done.out
    assert unzip(course)["codes/GAN/README.md"] == b"I tried.\n"


def test_a_gan_that_is_half_filled_is_refused_and_every_empty_block_named(course, hand_in):
    write(course, {"codes/GAN/model.py": filled("codes/GAN/model.py")})
    done = hand_in()
    assert done.status == 1
    lines = (course / "codes" / "GAN" / "trainer.py").read_text().splitlines()
    starts = [number for number, line in enumerate(lines, 1) if "TODO START" in line]
    expected = [f"codes/GAN/trainer.py:{n + 1}: block {k} is not filled in" for k, n in enumerate(starts, 1)]
    assert [line.split(": ", 1)[1] for line in done.refusals[:-1]] == expected


def test_a_gan_that_was_worked_on_needs_its_files(course, hand_in):
    write(course, {name: filled(name) for name in GAN})
    (course / "codes" / "GAN" / "dataset.py").unlink()
    (course / "codes" / "GAN" / "README.md").unlink()
    missing = ["codes/GAN/dataset.py is missing", "codes/GAN: no README.md or README.txt in it"]
    assert [line.split(": ", 1)[1] for line in hand_in().refusals[:-1]] == missing


# --- refusals ---


def remove(*names):
    return lambda course: [(course / name).unlink() for name in names]


def put(name, content):
    return lambda course: write(course, {name: content})


def grow(name, size):
    return lambda course: os.truncate(course / name, size)


def link(name):
    def change(course):
        (course / name).rename(course / "elsewhere.py")
        (course / name).symlink_to(course / "elsewhere.py")

    return change


REFUSED = {
    "no report": (remove("Report.pdf"), "no Report.pdf or Report.docx beside codes/: put your report there"),
    "empty report": (put("Report.pdf", b""), "Report.pdf is empty: export your report again"),
    "no PDF": (put("Report.pdf", DOCX), "Report.pdf is not a PDF file, whatever its name says: export"),
    "main.py": (remove("codes/VAE/main.py"), "codes/VAE/main.py is missing"),
    "model.py": (remove("codes/VAE/model.py"), "codes/VAE/model.py is missing"),
    "trainer.py": (remove("codes/VAE/trainer.py"), "codes/VAE/trainer.py is missing"),
    "dataset.py": (remove("codes/VAE/dataset.py"), "codes/VAE/dataset.py is missing"),
    "a link": (link("codes/VAE/model.py"), "codes/VAE/model.py is a link: put the file itself there"),
    "README": (remove("codes/VAE/README.md"), "codes/VAE: no README.md or README.txt in it"),
    "an empty block": (
        put("codes/VAE/trainer.py", GIVEN["codes/VAE/trainer.py"]),
        "codes/VAE/trainer.py:42: block 1 is not filled in",
    ),
    "TODO lines gone": (
        put("codes/VAE/trainer.py", filled("codes/VAE/trainer.py").replace(b"# TODO END", b"# the end")),
        "codes/VAE/trainer.py: block 1 has lost its TODO lines: put them back around your code",
    ),
    "too large": (grow("Report.pdf", 50_000_001), "what is handed in has 50,0"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_missing_or_wrong_is_refused_in_one_line_unless_it_is_wanted(course, hand_in, case):
    change, line = REFUSED[case]
    change(course)
    write(course, {f"{NUMBER}.zip": b"older"})
    done = hand_in()
    assert done.status == 1
    assert len(done.refusals) == 2
    assert done.refusals[0].startswith(f"python -m coursekit: {line}")
    assert "no zip was written: 1 problem; mend it, or add --anyway" in done.refusals[1]
    assert zips(course) == [f"{NUMBER}.zip"]
    assert (course / f"{NUMBER}.zip").read_bytes() == b"older"

    done = hand_in("--anyway")
    assert (done.status, done.refusals) == (0, [])
    assert f"warning: handed in all the same: {line}" in done.warnings
    assert "summary.txt" in unzip(course)


def test_everything_is_refused_at_once(course, hand_in):
    write(course, {name: GIVEN[name] for name in VAE} | {"codes/GAN/model.py": filled("codes/GAN/model.py")})
    remove("Report.pdf", "codes/VAE/main.py", "codes/VAE/dataset.py", "codes/VAE/README.md")(course)
    done = hand_in(number="../2021")
    expected = ["'../2021'", "no Report.pdf", "main.py is", "dataset.py is", "no README.md", *[": block"] * 8]
    assert len(done.refusals) == len(expected) + 1
    assert all(part in line for part, line in zip(expected, done.refusals, strict=False))
    assert done.refusals[-1].endswith("no zip was written: 13 problems; mend them")
    assert zips(course.parent) == []


@pytest.mark.parametrize(
    "number",
    ["", "../x", "a/b", "a\\b", "20 21", "2021.zip", "学号", "２０２１", "_x", "1\n", "1\0", "x" * 65],
)
def test_a_student_number_that_cannot_name_a_zip_is_always_refused(course, hand_in, number):
    done = hand_in("--anyway", number=number)
    assert done.status == 1
    assert "is not a student number" in done.refusals[0]
    assert zips(course.parent) == []


@pytest.mark.parametrize("number", ["2021012345", "a-b_C-9", "x" * 64])
def test_student_numbers(course, hand_in, number):
    assert hand_in(number=number).status == 0
    assert zips(course) == [f"{number}.zip"]


def test_a_zip_that_is_too_large_only_when_packed_is_refused(course, hand_in):
    hand_in()
    rest = sum(len(content) for name, content in unzip(course).items() if name != "Report.pdf")
    (course / f"{NUMBER}.zip").unlink()
    write(course, {"Report.pdf": PDF + os.urandom(50_000_000 - rest - len(PDF))})  # random bytes can't be compressed
    done = hand_in()
    assert done.status == 1
    assert "the zip has 50,0" in done.refusals[0]
    assert zips(course) == []


def test_a_readme_may_be_a_text(course, hand_in):
    (course / "codes" / "VAE" / "README.md").rename(course / "codes" / "VAE" / "README.txt")
    assert hand_in().status == 0


def test_a_name_that_no_zip_can_hold_is_refused(course, hand_in):
    try:
        write(course, {os.fsdecode(b"codes/VAE/caf\xe9.py"): b"x = 1\n"})
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert "codes/VAE/caf\\udce9.py: a zip can't hold this name" in hand_in().refusals[0]
    assert hand_in("--anyway").status == 0
    assert list(unzip(course)) == ["Report.pdf", *VAE, "summary.txt"]


def test_a_file_that_cannot_be_read_is_refused(course, hand_in, monkeypatch):
    write(course, {"codes/VAE/mine.py": b""})
    read_bytes = Path.read_bytes

    def read(path):  # whoever runs the tests may be allowed to read everything
        if path.name == "mine.py":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert hand_in().refusals[0].endswith("codes/VAE/mine.py: can't be read: Permission denied")


# --- what analyze.py says ---


def test_a_problem_is_a_warning_and_the_zip_is_made(course, hand_in):
    write(course, {"codes/VAE/model.py": filled("codes/VAE/model.py") + b"# TODO START\n# TODO END\n"})
    write(course, {"codes/VAE/broken.py": b"def"})
    done = hand_in()
    assert (done.status, done.refusals) == (0, [])
    assert "warning: codes/VAE/model.py:" in done.warnings and "a '# TODO END' was added" in done.warnings
    assert "warning: codes/VAE/broken.py: not valid Python" in done.warnings
    assert b"# Problems" in unzip(course)["summary.txt"]


def test_where_analyze_can_make_no_summary_its_line_is_passed_on(course, hand_in):
    shutil.rmtree(course / "code_analyze" / "_codes")
    done = hand_in()
    assert done.status == 1
    assert len(done.refusals) == 1
    assert "analyze.py: no pristine scaffold in" in done.refusals[0]
    assert zips(course) == []


def test_an_analyze_that_breaks_is_one_line(course, hand_in):
    write(course, {"code_analyze/analyze.py": b"raise RuntimeError"})
    assert "made no summary" in hand_in().refusals[0]


# --- the public checks ---


def test_passing_checks_are_counted(course, hand_in):
    write(course, {"tests/public/conftest.py": CONFTEST.encode(), "tests/public/test_vae.py": PASSING.encode()})
    write(course, {"pytest.ini": b"[pytest]\nfilterwarnings = error\n"})
    done = hand_in(cwd=course / "codes")
    assert "1 passed, 0 failed, 0 skipped\n      remark: one channel only\n" in done.out
    assert done.warnings == ""


def test_failing_checks_are_warned_about_and_the_zip_is_made(course, hand_in):
    write(course, {"tests/public/conftest.py": CONFTEST.encode(), "tests/public/test_vae.py": FAILING.encode()})
    before = {path for path in course.rglob("*")}
    done = hand_in()
    assert done.status == 0
    assert "0 passed, 2 failed, 1 skipped" in done.out
    assert "warning: test_kl_is_averaged: your KL is summed over the batch: more about it\n" in done.err
    assert "warning: test_kl_is_half: the half is missing\n" in done.err
    assert "passing them all is not the grade" in done.out
    # They leave nothing behind.
    assert {path for path in course.rglob("*")} - before - set((course / "code_analyze").rglob("*")) == {
        course / f"{NUMBER}.zip"
    }


def test_checks_that_fail_alike_are_told_once(course, hand_in):
    broken = (
        "import pytest\n@pytest.mark.parametrize('x', range(5))\ndef test_x(x): raise NotImplementedError('TODO: y')"
    )
    write(course, {"tests/public/conftest.py": CONFTEST.encode(), "tests/public/test_vae.py": broken.encode()})
    assert hand_in().warnings == "warning: test_x[0], test_x[1] and 3 more: TODO: y"


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ("import os\ndef test_x(): os._exit(7)", "pytest ended with status 7"),
        ("import time\ndef test_x(): time.sleep(60)", "they were not over after 3 s"),
        ("x = 1", "pytest ended with status 5 (no tests ran"),
    ],
)
def test_checks_that_cannot_be_run_are_one_line(course, hand_in, monkeypatch, test, line):
    monkeypatch.setattr(public_checks, "TIME_LIMIT_S", 3)
    write(course, {"tests/public/conftest.py": CONFTEST.encode(), "tests/public/test_vae.py": test.encode()})
    done = hand_in()
    assert done.status == 0
    assert done.warnings.startswith(f"warning: the public checks were not run: {line}")


def test_without_checks_or_without_pytest_it_goes_on(course, hand_in, monkeypatch):
    done = hand_in()
    assert (done.status, done.warnings) == (0, "warning: the public checks were not run: there is no tests/public here")
    write(course, {"tests/public/test_vae.py": PASSING.encode()})
    monkeypatch.setattr(public_checks, "find_spec", lambda name: None)
    assert "not run: pytest is not installed" in hand_in().warnings


@pytest.mark.slow
def test_the_real_public_checks_pass_on_the_reference(course, hand_in):
    public = REPOSITORY / "tests" / "public"
    if not list(public.glob("test_*.py")):
        pytest.skip("no tests/public yet")
    shutil.copytree(public, course / "tests" / "public", ignore=shutil.ignore_patterns("__*__"))
    shutil.copytree(REPOSITORY / "coursekit", course / "coursekit", ignore=shutil.ignore_patterns("__pycache__"))
    for more in ({}, {name: filled(name) for name in GAN}):
        write(course, more)
        done = hand_in()
        assert done.warnings == ""
        assert " passed, 0 failed" in done.out


# --- the zip is unpacked again ---


def without_a_file(pack, files):
    return pack({name: content for name, content in files.items() if not name.endswith("model.py")})


def with_another_file(pack, files):
    return pack({**files, "codes/VAE/more.py": b""})


def with_another_line(pack, files):
    return pack({**files, "codes/VAE/model.py": files["codes/VAE/model.py"] + b"\n"})


def damaged(pack, files):
    packed = bytearray(pack(files))
    packed[60:70] = bytes(10)
    return bytes(packed)


@pytest.mark.parametrize("fault", [without_a_file, with_another_file, with_another_line, damaged, lambda *_: b"no zip"])
def test_a_zip_that_does_not_hold_what_was_put_into_it_is_not_left_behind(course, hand_in, monkeypatch, fault):
    write(course, {f"{NUMBER}.zip": b"older"})
    pack = submission.pack
    monkeypatch.setattr(submission, "pack", lambda files: fault(pack, files))
    done = hand_in()
    assert done.status == 1
    assert len(done.refusals) == 1 and "the zip" in done.refusals[0]
    assert zips(course) == [f"{NUMBER}.zip"]
    assert (course / f"{NUMBER}.zip").read_bytes() == b"older"


def test_a_summary_that_comes_out_otherwise_the_next_time_is_noticed(course, hand_in):
    analyze = (course / "code_analyze" / "analyze.py").read_text()
    random = "to_text = lambda result, text=to_text: f'{text(result)}# {os.urandom(8).hex()}\\n'\n"
    analyze = analyze.replace('\nPROGRAM = "', f'\n{random}\nPROGRAM = "', 1)
    write(course, {"code_analyze/analyze.py": analyze.encode()})
    assert "the zip, unpacked again, differs in summary.txt" in hand_in().refusals[0]
    assert zips(course) == []


# --- when it can't be done ---


def test_outside_a_course_it_is_one_line(hand_in, tmp_path):
    done = hand_in(cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    where = f"no codes/ and code_analyze/ in {tmp_path} or above it"
    assert done.err == f"python -m coursekit: {where}: run this inside the course's folder\n"


@pytest.mark.parametrize("out", ["Report.pdf", "Report.pdf/x"])
def test_a_folder_that_cannot_be_written_is_one_line(course, hand_in, out):
    done = hand_in("--out", out)
    assert done.status == 1
    assert len(done.refusals) == 1
    assert zips(course) == []


def test_no_room_for_the_copy_is_one_line(course, hand_in, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(course / "Report.pdf"))
    done = hand_in()
    assert done.status == 1
    assert len(done.refusals) == 1 and "no zip was written" in done.refusals[0]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_full_disk_is_one_line_and_an_older_zip_stays(course):
    import resource

    write(course, {f"{NUMBER}.zip": b"older", "Report.pdf": PDF + os.urandom(3000)})
    room = 6000  # for each file, but not for the zip
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # noqa: E731
    process = command(NUMBER, cwd=course, preexec_fn=limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith(
        f"python -m coursekit: could not write {course / NUMBER}.zip: File too large"
    )
    assert zips(course) == [f"{NUMBER}.zip"]
    assert (course / f"{NUMBER}.zip").read_bytes() == b"older"


def test_an_interrupt_is_one_line_and_leaves_nothing(course, tmp_path):
    waits = "import time\ndef test_x():\n    open('started', 'w').close()\n    time.sleep(60)"
    write(course, {"tests/public/conftest.py": CONFTEST.encode(), "tests/public/test_vae.py": waits.encode()})
    write(course, {f"{NUMBER}.zip": b"older"})
    (tmp_path / "temporary").mkdir()
    environment = user_environment(course, PYTHONPATH=str(REPOSITORY), TMPDIR=str(tmp_path / "temporary"))
    process = command(NUMBER, cwd=course, env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (course / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "python -m coursekit: interrupted\n"
    assert (course / f"{NUMBER}.zip").read_bytes() == b"older"
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["submit", "1"]])
def test_it_never_waits_for_torch(arguments, tmp_path):
    code = "import sys\nfrom coursekit.__main__ import main\ntry: main(sys.argv[1:])\nfinally: print(set(sys.modules))"
    environment = user_environment(tmp_path, PYTHONPATH=str(REPOSITORY))
    command = [sys.executable, "-c", code, *arguments]
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "'coursekit.errors'" in shown.stdout
    assert "'torch'" not in shown.stdout and "'numpy'" not in shown.stdout
