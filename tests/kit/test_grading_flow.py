"""The order in which a class is graded: what is refused first, who waits for whom, what is run again."""

import contextlib
import errno
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import REFERENCE, REPOSITORY
from hand_ins import write_class, write_codes

from autograder import environment, grading, workers
from autograder.course import COURSE_FILE, Course, read_course
from autograder.evidence import REFERENCE as OF_REFERENCE
from autograder.evidence import VAE_PROBES, Ran
from autograder.grading import Options, grade_class
from autograder.intake import Submission
from autograder.judge import Verdict
from autograder.pace import Took
from autograder.probing import Probed
from autograder.workers import Work
from coursekit.errors import CourseError, Interrupted

STUDENTS = [f"20210000{n:02d}" for n in range(4)]
HANGS = b"# hangs\n"


class FakeClass:
    """A class in which nothing is run or judged, and all that would be is noted, in its order."""

    def __init__(self, folder: Path, course: Course):
        self.folder, self.out, self.course = folder, folder.parent / "grades", course
        self.noted: list[str] = []
        self.works: list[Work] = []
        self.points = list(course.points)
        self.judged = threading.Event()
        self.error: BaseException | None = None

    def probe(self, work: Work) -> Probed:
        who = work.codes.get("VAE/main.py", b"").split(b"\n")[0].decode().removeprefix("# ")
        self.works.append(work)
        self.noted.append(f"{who} again" if work.before else who)
        if self.error is not None and who == STUDENTS[1]:
            raise self.error
        probed = Probed({probe: Ran("", {}) for probe in work.probes}, took={"VAE": Took(1, 1), "GAN": Took(1, 1)})
        if HANGS in work.codes["VAE/model.py"] and not work.before:
            return Probed(late=list(work.probes))
        if work.before:
            assert self.judged.wait(30), "the others are not judged before what hangs is over"
        return probed

    def judge(self, store: object, rows: Iterable, judges: object) -> None:
        names = [row.submission.student for row in rows if not row.fault]
        self.noted += [f"judged {name}" for name in names]
        self.judged.set()

    def grade(self, **options: object) -> list:
        del self.noted[:], self.works[:]
        return grade_class(self.folder, self.out, REFERENCE, self.course, Options(**{"jobs": 2, **options}))


@pytest.fixture
def made(tmp_path, monkeypatch) -> FakeClass:
    submissions = []
    for name in STUDENTS:
        codes = tmp_path / "codes" / name
        write_codes(codes, {"VAE/main.py": f"# {name}\n".encode(), "VAE/model.py": HANGS * (name == STUDENTS[0])})
        submissions.append(Submission(name, f"{name}.zip", "ok", Path(name), projects=("VAE",), codes=codes))
    course = read_course(REPOSITORY / COURSE_FILE)
    course = replace(course, fid=replace(course.fid, when="never"), path=Path("ct.toml"))
    fake = FakeClass(write_class(tmp_path / "hand-ins", dict.fromkeys(STUDENTS, b"")), course)

    @contextlib.contextmanager
    def in_threads(jobs, scheduler, limits, unsafe):
        fake.noted.append("a sandbox")
        with ThreadPoolExecutor(jobs) as executor:
            yield executor

    def take_in(*_):
        fake.noted.append("taken in")
        return submissions

    monkeypatch.setattr(workers, "workers", in_threads)
    monkeypatch.setattr(workers, "probe", fake.probe)
    monkeypatch.setattr(grading, "take_in", take_in)
    monkeypatch.setattr(grading, "_judge_reference", lambda *_: fake.noted.append("judged the reference"))
    monkeypatch.setattr(grading, "_judge", fake.judge)
    monkeypatch.setattr(environment, "seen", lambda: {"Python": "3"})
    return fake


def test_sandbox_and_reference_come_first_and_what_hangs_holds_nobody_up(made):
    rows = made.grade()
    assert made.noted[1:4] == [made.noted[1], "judged the reference", "taken in"] and made.noted[0] == "a sandbox"
    assert [row.student for row in rows] == STUDENTS
    hangs, others = STUDENTS[0], STUDENTS[1:]
    at = made.noted.index
    assert all(made.noted.count(name) == 1 for name in STUDENTS)  # once, or in two attempts
    assert made.noted.count(f"{hangs} again") == 1
    assert all(at(f"judged {name}") < at(f"judged {hangs}") for name in others)
    again = next(work for work in made.works if work.before)
    assert list(again.probes) == list(VAE_PROBES)
    assert all(work.took == {"VAE": Took(1, 1), "GAN": Took(1, 1)} for work in made.works[1:])
    assert made.works[0].took == {}


def test_the_reference_s_times_are_kept_with_its_evidence(made):
    made.grade()
    made.grade(rerun=[STUDENTS[1]])
    assert [work.took for work in made.works] == [{"VAE": Took(1, 1), "GAN": Took(1, 1)}]


def test_what_is_there_is_not_run_again_unless_somebody_says_so(made):
    made.grade()
    made.grade()
    assert made.works == []
    made.grade(rerun=[STUDENTS[2], STUDENTS[3]])
    assert sorted(set(made.noted) & set(STUDENTS)) == STUDENTS[2:]
    made.grade(rerun=[])
    assert sorted(set(made.noted) & set(STUDENTS)) == STUDENTS
    with pytest.raises(CourseError, match=r"--rerun 2021000009: no such student \(is 202100000\d meant\?\)"):
        made.grade(rerun=["2021000009"])
    assert made.works == []


def test_another_environment_is_one_line_and_runs_all_again(made, monkeypatch, capsys):
    made.grade()
    kept = made.out / "evidence" / "students" / STUDENTS[1]
    monkeypatch.setattr(environment, "seen", lambda: {"Python": "3", "matplotlib": "3.9"})
    made.error = KeyboardInterrupt()
    capsys.readouterr()
    with pytest.raises(Interrupted, match="the same command goes on from there"):
        made.grade()
    assert "(matplotlib 3.9 is new): code is run again\n" in capsys.readouterr().out
    assert kept.is_dir()  # nothing is gone before there is something in its place
    made.error = None
    made.grade()
    assert STUDENTS[1] in made.noted
    assert "installed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")]
)
def test_no_room_for_another_thread_is_one_line_and_goes_on(made, error):
    made.error = error
    made.judged.set()
    with pytest.raises(CourseError, match="no more processes or threads") as stopped:
        made.grade(jobs=1)
    assert "run the same command again: it goes on" in str(stopped.value) and "\n" not in str(stopped.value)
    made.error = None
    rows = made.grade()
    assert {row.status for row in rows} == {"graded"} and "reference" not in made.noted
    assert made.works[0].took != {}


def test_another_fault_is_one_student_s_row(made):
    made.error = RuntimeError("lost")
    rows = made.grade()
    assert [row.status for row in rows if row.status != "graded"] == ["not graded: RuntimeError: lost"]


def test_what_cannot_be_trained_is_refused_before_anything_is_run(made, monkeypatch):
    from autograder import training

    def no_images(course):
        raise CourseError("no MNIST here")

    monkeypatch.setattr(training, "real_images", no_images)
    made.course = replace(made.course, fid=replace(made.course.fid, when="always"))
    with pytest.raises(CourseError, match=r'no MNIST here; or measure no FIDs: fid\.when = "never" in ct\.toml'):
        made.grade()
    assert made.noted == ["a sandbox"]
    made.grade(train=False)


def test_a_folder_that_is_not_there_is_said_at_once(made):
    made.folder = made.folder / "nowhere"
    with pytest.raises(CourseError, match="nowhere: can't be listed"):
        made.grade()
    assert made.noted == []


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"vae.kl_sum": None, "vae.kl_sumx": 0.25},
            "ct.toml: [points]: vae.kl_sumx is no check (is vae.kl_sum meant?); "
            "vae.kl_sum is missing; give it points, 0 for none",
        ),
        ({"gan.gen_9": 1}, "ct.toml: [points]: gan.gen_9 is no check (is gan.gen_4 meant?)"),
        ({"qqq": 1, "vae.fidd": 2}, "ct.toml: [points]: qqq is no check; vae.fidd is no check (is vae.fid meant?)"),
        ({"vae.fid": None}, "ct.toml: [points]: vae.fid is missing; give it points, 0 for none"),
    ],
)
def test_points_are_looked_at_as_a_whole(change, said):
    course = replace(read_course(REPOSITORY / COURSE_FILE), path=Path("ct.toml"))
    verdicts = [Verdict(check, "", True, 1, "") for check in course.points if not check.endswith(".fid")]
    grading._check_points(verdicts, course)
    points = {check: value for check, value in {**course.points, **change}.items() if value is not None}
    with pytest.raises(CourseError) as refused:
        grading._check_points(verdicts, replace(course, points=points))
    assert str(refused.value) == said


def test_the_reference_s_folder_is_no_student_s(made):
    made.grade()
    assert (made.out / "evidence" / OF_REFERENCE / "key.json").is_file()
