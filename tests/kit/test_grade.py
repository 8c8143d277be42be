"""Grading a class, as a TA does it: every row, every file, stops and restarts, other points, other machines."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from changed_solutions import swap
from conftest import REPOSITORY, needs_bubblewrap, needs_unsafe
from hand_ins import scaffold, solution, write_class

from autograder.course import COURSE_FILE, read_course

MISSING_HALF = solution({"VAE/trainer.py": [swap("0.5 * (mu**2", "(mu**2")]})
STUDENTS = {
    "2021000001": solution(),
    "2021000002": solution(projects=["VAE"]),
    "2021000003": scaffold(),
    "2021000004": MISSING_HALF,
    "2021000005": b"no zip",
}
SMALL = {"steps = 25000": "steps = 20", '"mnist"': '"digits"', "cpu_s = 120": "cpu_s = 20"}
sandboxed = [needs_bubblewrap, pytest.mark.slow]


def write_course(folder: Path, **changes: str) -> Path:
    """course.toml with less to train, and with other changes."""
    text = (REPOSITORY / COURSE_FILE).read_text("utf-8")
    for old, new in {**SMALL, **changes}.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / COURSE_FILE
    path.write_text(text, encoding="utf-8")
    return path


def command(folder: Path, out: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "autograder", "grade", str(folder), "--out", str(out), *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "PYTHONWARNINGS": "default", **more}


def grade(folder: Path, out: Path, *options: object, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(folder, out, *options),
        cwd=REPOSITORY,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=500,
    )


def grades_of(out: Path) -> dict[str, dict]:
    rows = json.loads((out / "grades.json").read_text("utf-8"))["submissions"]
    return {row["student"]: row for row in rows}


def gathered(out: Path) -> dict[str, int]:
    """When the evidence of each student was kept."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (out / "evidence" / "students").glob("*/key.json")}


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    return write_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def graded(tmp_path_factory, course) -> tuple[Path, Path, subprocess.CompletedProcess]:
    folder = write_class(tmp_path_factory.mktemp("class") / "hand-ins", STUDENTS)
    out = folder.parent / "grades"
    return folder, out, grade(folder, out, "--course", course, "--seed", 5)


class TestAClass:
    pytestmark = sandboxed

    def test_every_student_ends_as_a_row_with_the_grade_that_is_due(self, graded):
        _, out, done = graded
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"4 of 5 graded: {out / 'index.html'}"
        assert "Warning" not in done.stderr and "Traceback" not in done.stderr
        grades = grades_of(out)
        assert list(grades) == list(STUDENTS)
        assert {row["max_score"] for row in grades.values()} == {10}
        assert grades["2021000001"]["score"] == 12  # with the bonus
        assert grades["2021000002"]["score"] == 10
        assert grades["2021000003"]["score"] == 0
        assert grades["2021000005"]["status"].startswith("refused: damaged") and grades["2021000005"]["score"] == 0

    def test_one_mistake_is_paid_for_once(self, graded):
        checks = {check["id"]: check for check in grades_of(graded[1])["2021000004"]["checks"]}
        assert [name for name, check in checks.items() if check["passed"] is False] in (
            ["vae.kl_closed_form", "vae.fid"],
            ["vae.kl_closed_form"],
        )
        assert "the ½ is missing" in checks["vae.kl_closed_form"]["message"]
        assert {check["passed"] for check in checks.values()} == {
            True,
            False,
        }  # the step follows the wrong loss rightly

    def test_only_what_differs_is_trained(self, graded):
        trained = {path.relative_to(graded[1] / "evidence" / "fid").parts[0] for path in graded[1].rglob("VAE-0.json")}
        assert trained == {"2021000004"}
        checks = {check["id"]: check for check in grades_of(graded[1])["2021000004"]["checks"]}
        assert re.search(
            r"FID \d+\.\d\d .*lenet, 597 generated against 597 real images of digits", checks["vae.fid"]["message"]
        )
        assert "not trained, since it computes" in checks["gan.fid"]["message"]

    def test_every_reader_gets_a_file(self, graded):
        _, out, _ = graded
        results = json.loads((out / "students" / "2021000004" / "results.json").read_text("utf-8"))
        assert results["score"] == grades_of(out)["2021000004"]["score"]
        assert "the ½ is missing" in (out / "students" / "2021000004" / "feedback.md").read_text("utf-8")
        assert "the ½ is missing" in (out / "students" / "2021000004" / "feedback.html").read_text("utf-8")
        assert "# Filled Code" in (out / "students" / "2021000001" / "summary.txt").read_text("utf-8")
        page = (out / "index.html").read_text("utf-8")
        assert all(f"students/{student}/feedback.html" in page for student in STUDENTS)
        for name in ("grades.csv", "canvas.csv", "moodle.csv"):
            table = list(csv.reader(io.StringIO((out / name).read_text("utf-8-sig"))))
            assert {"2021000001", "2021000005"} <= {cell for row in table for cell in row}

    def test_again_runs_no_student_code_and_gives_the_same(self, graded, course):
        folder, out, _ = graded
        before, kept = (out / "grades.json").read_bytes(), gathered(out)
        done = grade(folder, out, "--course", course)
        assert done.returncode == 0, done.stderr
        assert (out / "grades.json").read_bytes() == before
        assert gathered(out) == kept

    def test_into_another_folder_with_the_same_seed_gives_the_same(self, graded, course, tmp_path):
        done = grade(graded[0], tmp_path / "grades", "--course", course, "--seed", 5, "--jobs", 1)
        assert done.returncode == 0, done.stderr
        assert grades_of(tmp_path / "grades") == grades_of(graded[1])

    def test_other_points_run_no_student_code(self, graded, tmp_path):
        folder, out, _ = graded
        kept = gathered(out)
        dear = write_course(tmp_path, **{"kl_closed_form = 0.5": "kl_closed_form = 5"})
        assert grade(folder, out, "--course", dear).returncode == 0
        grades = grades_of(out)
        assert grades["2021000001"]["score"] == 16.5 and grades["2021000001"]["max_score"] == 14.5
        assert gathered(out) == kept

    def test_what_was_handed_in_anew_is_run_anew(self, graded, course):
        folder, out, _ = graded
        kept = gathered(out)
        write_class(folder, {"2021000003": solution(projects=["VAE"])})
        try:
            assert grade(folder, out, "--course", course).returncode == 0
        finally:
            write_class(folder, {"2021000003": scaffold()})
        assert grades_of(out)["2021000003"]["score"] == 10
        now = gathered(out)
        assert {name for name in now if now[name] != kept[name]} == {"2021000003"}


@pytest.mark.slow
@needs_bubblewrap
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_and_started_again_it_goes_on(tmp_path, number):
    course = write_course(tmp_path, **{'when = "if_different"': 'when = "never"'})
    folder = write_class(tmp_path / "hand-ins", {f"20210000{n:02d}": solution(projects=["VAE"]) for n in range(6)})
    out = tmp_path / "grades"
    options = ("--course", course, "--jobs", 1)
    process = subprocess.Popen(
        command(folder, out, *options), cwd=REPOSITORY, env=environment(), stderr=subprocess.PIPE, text=True
    )
    while not gathered(out):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number and "the same command goes on from there" in said.splitlines()[-1]
    kept = gathered(out)
    assert 0 < len(kept) < 6 and not (out / "grades.json").exists()
    done = grade(folder, out, *options)
    assert done.returncode == 0, done.stderr
    now = gathered(out)
    assert len(now) == 6 and kept.items() <= now.items()
    assert {row["score"] for row in grades_of(out).values()} == {8}


@pytest.mark.slow
@needs_bubblewrap
def test_a_cluster_that_loses_a_worker_gives_the_same_grades(tmp_path):
    distributed = pytest.importorskip("distributed")
    course = write_course(tmp_path, **{'when = "if_different"': 'when = "never"'})
    slow = dict(MISSING_HALF)
    slow["VAE/trainer.py"] = b"import time\ntime.sleep(1)\n" + slow["VAE/trainer.py"]
    folder = write_class(tmp_path / "hand-ins", {f"20210000{n:02d}": slow for n in range(6)})
    here, there = tmp_path / "here", tmp_path / "there"
    assert grade(folder, here, "--course", course, "--seed", 3).returncode == 0
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=tmp_path / "dask"
    ) as cluster:
        process = subprocess.Popen(
            command(folder, there, "--course", course, "--seed", 3, "--scheduler", cluster.scheduler_address),
            cwd=REPOSITORY,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        while not gathered(there):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert grades_of(there) == grades_of(here)


@pytest.mark.slow
@needs_unsafe
def test_without_a_sandbox_where_somebody_wants_it_so(tmp_path):
    course = write_course(tmp_path, **{'when = "if_different"': 'when = "never"', "wall_s = 180": "wall_s = 15"})
    hang = {**solution(), "VAE/model.py": b"while True: pass\n"}
    folder = write_class(
        tmp_path / "hand-ins", {"2021000001": solution(), "2021000002": MISSING_HALF, "2021000003": hang}
    )
    done = grade(folder, tmp_path / "grades", "--course", course, "--unsafe-no-sandbox")
    assert done.returncode == 0, done.stderr
    grades = grades_of(tmp_path / "grades")
    assert grades["2021000001"]["score"] == 10 - 0.5 and grades["2021000002"]["score"] < 9.5
    said = " ".join(check["message"] for check in grades["2021000003"]["checks"])
    assert re.search(r"your code was stopped: it (took more than 10 s of computing time|ran for more than 15 s)", said)
    assert 0 < grades["2021000003"]["score"] < 5  # the GAN, and the VAE's losses


HANGS = {
    "computes": "while True: pass",
    "sleeps": "__import__('time').sleep(10**9)",
    "waits for a thread": "__import__('threading').Event().wait()",
    "waits for a signal": "__import__('signal').pause()",
}


@pytest.mark.slow
@needs_bubblewrap
def test_what_hangs_costs_its_own_points_and_a_short_time(tmp_path):
    course = write_course(tmp_path, **{'when = "if_different"': 'when = "never"', "cpu_s = 120": "cpu_s = 100000"})
    course.write_text(course.read_text("utf-8").replace("\nwall_s = 180", "\nwall_s = 1800"), "utf-8")
    students = {"2021000000": solution(projects=["VAE"])}
    for number, statement in enumerate(HANGS.values(), 1):
        changes = {"VAE/model.py": [hang_in_reparameterize(statement)]}
        students[f"202100000{number}"] = solution(changes)
    folder, out = write_class(tmp_path / "hand-ins", students), tmp_path / "grades"
    done = grade(folder, out, "--course", course, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    grades = grades_of(out)
    assert grades["2021000000"]["score"] == 8
    for student in list(students)[1:]:
        checks = {check["id"]: check for check in grades[student]["checks"]}
        assert checks["vae.kl_sum"]["passed"] and checks["gan.gen_1"]["passed"], student
        assert not checks["vae.z_distribution"]["passed"]
    said = [" ".join(check["message"] for check in row["checks"]) for row in grades.values()]
    assert "your code was stopped: it took more than 5 s of computing time" in said[1]
    assert all("for 5 s it did nothing, as if it waited for what never comes" in one for one in said[2:])


def hang_in_reparameterize(statement: str):
    """Put a statement before all others of the block."""

    def change(source: str) -> str:
        return re.sub(
            r"(def reparameterize.*?# TODO START\n)", rf"\g<1>        {statement}\n", source, count=1, flags=re.S
        )

    return change


@pytest.mark.slow
@needs_bubblewrap
def test_a_wrong_course_file_is_named_before_anything_is_taken_in(tmp_path):
    wrong = write_course(tmp_path, **{"kl_sum = 0.25": "kl_sumx = 0.25"}).rename(tmp_path / "ct.toml")
    folder = write_class(tmp_path / "hand-ins", {"2021000001": scaffold()})
    done = grade(folder, tmp_path / "grades", "--course", wrong)
    assert done.returncode == 1
    assert "ct.toml: [points]: vae.kl_sumx is no check (is vae.kl_sum meant?)" in done.stderr.splitlines()[-1]
    assert "vae.kl_sum is missing" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "grades" / "evidence" / "students").exists()


def test_no_bubblewrap_is_one_line(tmp_path):
    folder = write_class(tmp_path / "hand-ins", {"2021000001": scaffold()})
    done = grade(folder, tmp_path / "grades", PATH="/nowhere")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("python -m autograder: bubblewrap is not installed") and "apt-get install" in last
    assert "Traceback" not in done.stderr and not (tmp_path / "grades" / "grades.json").exists()


def test_two_runs_into_one_folder_are_kept_apart(tmp_path):
    from filelock import FileLock

    folder = write_class(tmp_path / "hand-ins", {"2021000001": scaffold()})
    (tmp_path / "grades").mkdir()
    with FileLock(tmp_path / "grades" / ".lock"):
        done = grade(folder, tmp_path / "grades", "--unsafe-no-sandbox")
    assert done.returncode == 1 and "another run grades into" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "options, said",
    [
        # Half a minute is how long Dask is given to answer.
        pytest.param(["--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers there", marks=pytest.mark.slow),
        (["--jobs", "0"], "0 is not a positive number"),
        (["--course", "no.toml"], "no.toml: can't be read"),
        (["--jobs", "1", "--scheduler", "x"], "not allowed with"),
    ],
)
def test_bad_options_are_one_line(tmp_path, options, said, monkeypatch):
    folder = write_class(tmp_path / "hand-ins", {"2021000001": scaffold()})
    done = grade(folder, tmp_path / "grades", *options)
    assert done.returncode != 0 and said in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr


def test_the_points_are_the_assignment_s():
    points = read_course(REPOSITORY / COURSE_FILE).points
    vae = sum(value for name, value in points.items() if name.startswith("vae."))
    gan = sum(value for name, value in points.items() if name.startswith("gan."))
    assert (round(vae, 9), round(gan, 9)) == (10, 2)  # two bonus points for a GAN
