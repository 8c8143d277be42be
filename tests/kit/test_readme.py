"""Every command that the README shows is run here, on small data, with as few steps as show that it works."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from conftest import (
    REFERENCE,
    REPOSITORY,
    needs_bubblewrap,
    user_environment,
    write_mnist_like,
)
from hand_ins import hand_in, scaffold, solution, write_class

from code_analyze.blocks import find_blocks

COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
SHORT = "--num_train_steps 4 --saving_steps 2 --logging_steps 1"
SMALL_BENCHMARK = "--steps 20 --repeats 1"
# How each command is run: the words that are added to it, so that it is over in seconds.
IN_THE_REPOSITORY = {
    "python -m autograder scaffold": "",
    "python -m autograder scaffold --check": "",
    "python -m autograder release": "",
    "python -m coursekit.extractors.train_lenet --data_dir data --out lenet.pt": "",
    "python benchmarks/training.py --data_dir data --levers --layers": SMALL_BENCHMARK,
    "python benchmarks/fid_distance.py": "--repeats 1 --features 16",
    "python benchmarks/footprint.py --data_dir data": "--repeats 1",
    "python benchmarks/quality.py --data_dir data --out quality": "--steps 3 --seeds 1",
    "python benchmarks/code_checking.py": "--repeats 1",
    "python -m autograder gradescope": "",
}
IN_A_SANDBOX = {
    "python -m pytest tests/hidden --submission FOLDER_OR_ZIP": "-q",
    "python -m autograder grade SUBMISSIONS --out GRADES": "",
    "python benchmarks/grading.py": "--students 10 --peer_students 1",
}
IN_A_PROJECT = {
    "python main.py --do_train": SHORT,
    "python main.py": SHORT,
    "python main.py --do_train --dataset digits --num_train_steps 2000": SHORT,
}
HANDING_IN = [
    "python -m pytest tests/public",
    "python code_analyze/analyze.py",
    "python -m coursekit submit STUDENT_NUMBER",
]
COPIED_WORK = [
    "python -m autograder similarity SUBMISSIONS --scaffold codes --out REPORT",
    "python -m autograder archive add 2025 EARLIER --scaffold codes --archive archive.db",
    "python -m autograder similarity SUBMISSIONS --scaffold codes --archive archive.db --out REPORT",
]
ELSEWHERE = {"make demo", "make test", "tensorboard --logdir ./runs"}


def test_every_command_is_run_here():
    assert set(COMMANDS) == {*IN_THE_REPOSITORY, *IN_A_SANDBOX, *IN_A_PROJECT, *HANDING_IN, *COPIED_WORK, *ELSEWHERE}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of what git has of the repository, with a little MNIST in data/."""
    copy = tmp_path_factory.mktemp("clone") / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy / name)
    # enough for a batch of each benchmark for a whole run of it, and for an epoch of the extractor's training
    write_mnist_like(copy / "data", images=2200)
    write_class(copy / "SUBMISSIONS", {"2021000001": solution(), "2021000002": scaffold()})
    write_class(copy / "EARLIER", {"2020000001": solution()})
    (copy / "FOLDER_OR_ZIP").write_bytes(hand_in(solution()))
    return copy


def environment(repository):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return user_environment(repository.parent, PYTHONPATH=str(repository), PATH=path)


def run(command, cwd, repository):
    done = subprocess.run(
        shlex.split(command), cwd=cwd, env=environment(repository), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Warning" not in done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("command", list(IN_THE_REPOSITORY))
def test_a_command_in_the_repository(command, repository):
    run(f"{command} {IN_THE_REPOSITORY[command]}", repository, repository)


@pytest.mark.slow
@needs_bubblewrap
@pytest.mark.parametrize("command", list(IN_A_SANDBOX))
def test_a_command_that_runs_code_of_others(command, repository):
    run(f"{command} {IN_A_SANDBOX[command]}", repository, repository)


@pytest.mark.slow
@pytest.mark.parametrize("command", list(IN_A_PROJECT))
@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_a_command_of_a_student_who_has_filled_every_block(command, project, repository, tmp_path):
    for path in (repository / "codes" / project).glob("*.py"):
        solved = REFERENCE / project / path.name
        if find_blocks(solved.read_text(), path.name):
            shutil.copy(solved, tmp_path)
        else:
            shutil.copy(path, tmp_path)
    shutil.copytree(repository / "data", tmp_path / "data")
    flags = f"{IN_A_PROJECT[command]} --fid_extractor lenet"
    assert "generated against" in run(f"{command} {flags}", tmp_path, repository).stdout


@pytest.mark.slow
def test_a_student_who_has_filled_vae_hands_in(repository, tmp_path):
    course = shutil.copytree(repository, tmp_path / "course", ignore=shutil.ignore_patterns("data"))
    shutil.copytree(REFERENCE / "VAE", course / "codes" / "VAE", dirs_exist_ok=True)
    (course / "Report.pdf").write_bytes(b"%PDF-1.7\n")
    for command in HANDING_IN:
        run(command.replace("STUDENT_NUMBER", "2021012345"), course, course)
    with zipfile.ZipFile(course / "2021012345.zip") as archive:
        assert archive.read("summary.txt") == (course / "code_analyze" / "summary.txt").read_bytes()
        assert archive.read("codes/VAE/model.py") == (REFERENCE / "VAE" / "model.py").read_bytes()


@pytest.mark.slow
def test_the_commands_for_copied_work(repository):
    for command in COPIED_WORK:
        run(command, repository, repository)
    page = (repository / "REPORT" / "index.html").read_text()
    assert "2020000001" in page and "2021000001" in page


@pytest.mark.slow
def test_make_demo(repository):
    """The whole demo as it is, in the environment that these tests run in."""
    done = run(f"make -o .venv/.ready demo BIN={Path(sys.executable).parent}", repository, repository)
    assert done.stdout.count("generated against") == 2
    assert "demo/results" in done.stdout and "tensorboard --logdir demo/runs" in done.stdout
    assert list(repository.glob("demo/results/VAE-*/samples_*.png"))
    assert list(repository.glob("demo/runs/GAN-*/events*"))


def test_make_test_runs_linter_and_tests(repository):
    """Without running them: the one who runs this test is `make test`."""
    shown = subprocess.run(["make", "-n", "test"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "ruff check" in shown and "-m pytest" in shown


@pytest.mark.slow
def test_tensorboard_serves_the_curves(repository, tmp_path):
    process = subprocess.Popen(
        [*shlex.split("tensorboard --logdir ./runs"), "--port", "0"],
        cwd=tmp_path,
        env=environment(repository),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        said = ""
        while "http://localhost" not in said and time.monotonic() < deadline and process.poll() is None:
            said += process.stderr.readline()
        assert "http://localhost" in said
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
