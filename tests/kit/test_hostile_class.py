"""A class with hostile submissions in it, graded by the real command: they earn nothing, and nobody else notices."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from changed_solutions import REPOSITORY
from conftest import needs_bubblewrap
from hand_ins import write_class
from hostile_submissions import BASES, ESCAPE, FORMULA, HOSTILE, MARKUP

pytestmark = needs_bubblewrap

KIT = ("autograder", "coursekit", "code_analyze", "reference_solution", "tests/hidden")
LIMITS = {
    "cpu_s": 4,
    "wall_s": 8,
    "memory_mb": 1500,
    "processes": 64,
    "file_mb": 64,
    "output_kb": 64,
    "submission_wall_s": 12,
}
SEED = 5
HONEST = ("scaffold with GAN", "right with GAN", "KL twice", "saturating")
# Odd names of hand-ins; the platforms' own can't hold these, a folder of files can.
ODD_NAMES = (
    FORMULA.replace("/", ""),
    MARKUP.replace("/", ""),
    ESCAPE,
    "-1+1",
    "@x",
    "x" * 200,
    "a;=1+1;b",
    "a\t=1+1",
    " =1+1",
    "＝1+1",
    ".hidden",
)
# What is not disturbed by its own attack: it would lose points if it found what it looks for.
UNHARMED = (
    "right only where it is graded",
    "modules in the place of others",
    "modules in the place of others, in folders",
    "leaves things for the next one",
    "looks for what the one before has left",
    "changes what is shared",
    "has a secret",
)
HOSTILE_TAGS = {"img", "b", "iframe", "object"}


@dataclass(frozen=True)
class Graded:
    """A class that was graded.

    Attributes:
        folder: the gradebook.
        rows: student -> the row of grades.json.
        printed: by the command.
    """

    folder: Path
    rows: dict[str, dict]
    printed: str


def grade(folder: Path, students: Mapping[str, Mapping[str, bytes] | bytes]) -> Graded:
    """Grade a class with a copy of the kit, and see that nothing is left of it but what it is to write."""
    kit, home, out = folder / "kit", folder / "home", folder / "grades"
    for name in KIT:
        shutil.copytree(REPOSITORY / name, kit / name, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "tmp").mkdir(parents=True)
    (kit / "course.toml").write_text(with_small_limits((REPOSITORY / "course.toml").read_text("utf-8")), "utf-8")
    write_class(folder / "class", students)
    before = listing(kit, home)
    command = [sys.executable, "-B", "-m", "autograder", "grade", str(folder / "class"), "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment |= {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PYTHONPATH": str(kit)}
    done = subprocess.run(
        [*command, "--jobs", "2", "--seed", str(SEED)], cwd=kit, env=environment, capture_output=True, timeout=1200
    )
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, said
    assert listing(kit, home) == before, set(listing(kit, home)) ^ set(before)
    assert still_running(kit) == []
    assert [path for place in ("/tmp", "/dev/shm", "/var/tmp") for path in Path(place).glob("*FOUND*")] == []
    rows = json.loads((out / "grades.json").read_text("utf-8"))["submissions"]
    return Graded(out, {row["student"]: row for row in rows}, said)


def with_small_limits(course: str) -> str:
    """The course's settings, with limits in which a class of hostile submissions ends soon, and no training."""
    limits = "".join(f"{name} = {value}\n" for name, value in LIMITS.items())
    course = re.sub(r"(?m)^when = .*$", 'when = "never"', course)
    return re.sub(r"(?ms)^\[limits\]\n.*?(?=^\[|\Z)", f"[limits]\n{limits}\n", course)


def listing(*folders: Path) -> list[str]:
    """Everything below some folders, but compiled modules of the kit's own."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return sorted(str(path) for path in paths if "__pycache__" not in path.parts or "FOUND" in path.name)


def still_running(kit: Path) -> list[str]:
    """Processes in sandboxes that show this copy of the kit."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            if f"{kit}/" in path.read_text():
                found.append(f"{path.parent.name}: {(path.parent / 'cmdline').read_bytes()[:80]}")
    return found


class Tags(HTMLParser):
    """The tags and the attributes of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}


def shown(graded: Graded) -> Iterator[tuple[str, str]]:
    """All that is shown to people: name of the file, text."""
    for path in sorted(graded.folder.rglob("*")):
        if path.is_file() and "evidence" not in path.relative_to(graded.folder).parts:
            yield path.name, path.read_text("utf-8", errors="surrogateescape")


def assert_nothing_gets_out(graded: Graded) -> None:
    """Fail where something of a student's is markup in a page, a formula in a spreadsheet, or moves a terminal."""
    assert all(letter.isprintable() or letter in "\r\n" for letter in graded.printed), ascii(graded.printed)
    for name, text in shown(graded):
        if name.endswith(".html"):
            page = Tags(text)
            assert HOSTILE_TAGS.isdisjoint(page.tags), name
            assert page.tags.count("script") <= 1, name
            assert not [one for one in page.attributes if one.startswith("on")], name
        if name.endswith(".csv"):
            for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")):
                parts = [part.strip() for cell in row for part in (cell, *re.split(r"[;|\t\r\n]", cell))]
                assert [part for part in parts if part.startswith(("=", "+", "-", "@", "＝", "＋"))] == [], (name, row)
        if name != "summary.txt":
            assert "\x1b" not in text and "\u202e" not in text, name


def assert_little_is_kept(graded: Graded) -> None:
    """Fail where a submission's evidence takes more of the disk than a few times what the reference's does."""
    kept = {
        folder.name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in ((graded.folder / "evidence" / "reference"), *(graded.folder / "evidence" / "students").iterdir())
    }
    assert max(kept.values()) < 5 * kept["reference"], kept


def assert_earns_nothing(graded: Graded, student: str, base: str) -> None:
    """Fail where an attack has gained something that its base has not."""
    row, honest = graded.rows[student], graded.rows[base]
    assert row["status"] == "graded" or row["status"].startswith("refused"), row["status"]
    passed, earned = ({one["id"] for one in of["checks"] if one["passed"]} for of in (row, honest))
    assert passed <= earned, sorted(passed - earned)
    assert row["score"] <= honest["score"]
    for check in row["checks"]:
        assert "FOUND" not in check["message"], check
        assert len(check["message"]) < 1000, check
        assert "Traceback" not in check["message"], check


def assert_as_without(graded: Graded, alone: Graded) -> None:
    """Fail where an honest student's row is not what it would be in another class."""
    for student, row in alone.rows.items():
        assert graded.rows[student] == row


def the_class(hostile: list[str]) -> tuple[dict, dict, dict[str, str]]:
    """The whole class, the honest students of it, and the names of the hostile ones."""
    honest = {f"base{number:02}": BASES[name] for number, name in enumerate(BASES)}
    honest |= {f"k{number:02}honest": BASES[name] for number, name in enumerate(HONEST)}
    names = {f"{'aghkz'[number % 5]}{number:03}": name for number, name in enumerate(hostile)}
    odd = dict.fromkeys(ODD_NAMES, BASES["scaffold"])
    return honest | odd | {student: HOSTILE[name].hand_in() for student, name in names.items()}, honest, names


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Graded:
    """The honest students, in a class of their own."""
    return grade(tmp_path_factory.mktemp("alone"), the_class([])[1])


def student_of(base: str) -> str:
    return f"base{list(BASES).index(base):02}"


WORST = (
    "writes results and leaves",
    "a fork bomb",
    "kills all processes",
    "an exception with a hostile name and text",
    "results of as many megabytes as there may be",
)


@pytest.mark.slow
def test_the_worst_among_honest_students(tmp_path):
    honest = ("scaffold with GAN", "scaffold", "right")
    students = {student_of(name): BASES[name] for name in honest}
    names = {f"h{number}": name for number, name in enumerate(WORST)}
    graded = grade(tmp_path, students | {student: HOSTILE[name].hand_in() for student, name in names.items()})
    assert [graded.rows[student_of(name)]["score"] for name in honest] == [0, 0, 8]
    assert_nothing_gets_out(graded)
    assert_little_is_kept(graded)
    for student, name in names.items():
        assert_earns_nothing(graded, student, student_of(HOSTILE[name].base))


@pytest.mark.slow
def test_a_class_of_hostile_submissions(tmp_path, alone):
    students, _, names = the_class(list(HOSTILE))
    assert len(names) >= 65
    graded = grade(tmp_path, students)
    assert len(graded.rows) == len(students)
    assert_as_without(graded, alone)
    assert_nothing_gets_out(graded)
    assert_little_is_kept(graded)
    gained = {}
    for student, name in names.items():
        try:
            assert_earns_nothing(graded, student, student_of(HOSTILE[name].base))
            if name in UNHARMED:
                assert graded.rows[student]["score"] == alone.rows[student_of(HOSTILE[name].base)]["score"]
        except AssertionError as error:
            gained[name] = str(error).splitlines()[0]
    assert gained == {}
