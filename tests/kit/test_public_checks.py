"""tests/public: a right solution passes however it is written, and every usual mistake is named in one sentence.

Importing torch takes longer than the checks, so a process of their own, this file run as a script, checks the changed
copies of the solution one after the other.
"""

import ast
import contextlib
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from changed_solutions import REFERENCE, REPOSITORY, VAE_MODEL, VAE_TRAINER, Change
from filelock import FileLock
from hand_ins import solution, write_codes
from public_mistakes import MISTAKES, REMARKS, TWO_FAILURES, VARIANTS

PUBLIC = REPOSITORY / "tests" / "public"
OPTIONS = ("-p", "no:cacheprovider")
# pytest collects garbage at its end, which takes longer than the checks.
NO_GARBAGE = ("-p", "no:unraisableexception", "-p", "no:threadexception")

TRACEBACK = re.compile(r"Traceback|^E   |^>  ", re.MULTILINE)
CACHES = shutil.ignore_patterns("__pycache__")


def write_copy(folder: Path, file: str, changes: list[Change]) -> None:
    """Copy the solution of one project, with a change."""
    write_codes(folder, solution({file: changes}, projects=[file.split("/")[0]]))


def check_copies(jobs: list[tuple[str, str, str]]) -> dict[str, dict]:
    """Run the checks on one folder after the other, in this process.

    Args:
        jobs: a name, the folder, and the project in it, each.
    Returns:
        name -> exit status, what every failed and every skipped check said, and pytest's output.
    """
    results = {}
    for name, folder, project in jobs:
        said = {"failed": {}, "skipped": {}}

        class Reports:
            def pytest_runtest_logreport(self, report, said=said):
                if report.failed:
                    said["failed"][report.nodeid] = report.longreprtext
                elif report.skipped:
                    said["skipped"][report.nodeid] = report.longrepr[2]

        options = [*OPTIONS, *NO_GARBAGE, "--codes_dir", folder, "-k", project]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = pytest.main([str(PUBLIC), *options], plugins=[Reports()])
        results[name] = {**said, "status": int(status), "output": output.getvalue()}
    return results


@pytest.fixture(scope="session")
def checked(tmp_path_factory) -> dict[str, dict]:
    """What the checks say of every changed copy. The two workers of `make test` share it."""
    alone = os.environ.get("PYTEST_XDIST_WORKER") is None
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    results = [shared / f"public-checks-{half}.json" for half in range(2)]
    with FileLock(shared / "public-checks.lock"):
        if not all(path.exists() for path in results):
            run_halves(tmp_path_factory.mktemp("copies"), results)
    return {name: result for path in results for name, result in json.loads(path.read_text()).items()}


def run_halves(folder: Path, results: list[Path]) -> None:
    """Write the copies, and check as many of them at a time as there are files for the results."""
    jobs = []
    for name, (file, changes, *_) in {**MISTAKES, **VARIANTS}.items():
        codes = folder / str(len(jobs)) / "codes"
        write_copy(codes, file, changes)
        jobs.append((name, str(codes), file.split("/")[0]))
    running = []
    for half, path in enumerate(results):
        to_do = path.with_suffix(".jobs")
        to_do.write_text(json.dumps(jobs[half :: len(results)]))
        command = [sys.executable, __file__, str(to_do), str(path)]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, env=student_environment()))
    for process in running:
        assert process.wait(timeout=900) == 0


def run_checks(*options: object, cwd: Path = REPOSITORY, **environment: str) -> tuple[int, str]:
    """Run the checks as a student does: pytest's exit status, and its output."""
    command = [sys.executable, "-m", "pytest", "tests/public", *OPTIONS, *map(str, options)]
    env = student_environment() | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


def student_environment() -> dict[str, str]:
    """This process's environment, without what its own pytest has in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.slow  # all of them: two minutes
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_in_one_sentence(checked, name):
    result, (_, _, says) = checked[name], MISTAKES[name]
    said = list(result["failed"].values())
    assert result["status"] == 1
    assert any(re.search(says, sentence) for sentence in said), said
    # One mistake is one failure; what can't be checked because of it is skipped.
    assert len(said) == (2 if name in TWO_FAILURES else 1), said
    assert all(sentence.count("\n") <= 1 and len(sentence) < 500 for sentence in said), said
    assert not TRACEBACK.search(result["output"]), result["output"]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_right_solution_passes_however_it_is_written(checked, name):
    result = checked[name]
    assert (result["failed"], result["skipped"], result["status"]) == ({}, {}, 0)
    remarks = re.findall(r"^Remark: .*", result["output"], re.MULTILINE)
    assert len(remarks) == (name in REMARKS)
    assert re.search(REMARKS.get(name, ""), "".join(remarks))


def test_reference_passes_every_check_in_a_handout(tmp_path):
    """In a folder as students have it, without this repository's settings; nothing is written into it."""
    shutil.copytree(PUBLIC, tmp_path / "tests" / "public", ignore=CACHES)
    shutil.copytree(REFERENCE, tmp_path / "codes", ignore=CACHES)
    before = sorted((tmp_path / "codes").rglob("*"))
    status, output = run_checks(cwd=tmp_path, PYTHONDONTWRITEBYTECODE="")
    assert status == 0, output
    assert re.search(r"= \d+ passed in ", output) and "Remark" not in output
    assert output.count("Passing these checks is not the grade") == 2  # before the checks and after them
    assert sorted((tmp_path / "codes").rglob("*")) == before


def test_empty_scaffold_is_told_every_block_once():
    status, output = run_checks()
    assert status == 1
    failures, summary = output.split(" FAILURES ")[1].split(" short test summary ")
    for number in (1, 2, 3, 4):
        assert re.search(
            rf"^codes/VAE/model\.py:\d+: block {number} of VAE/model\.py is not filled in yet: ", failures, re.M
        )
    assert re.search(r"^codes/VAE/trainer\.py:\d+: block 1 of VAE/trainer\.py is not filled in yet: ", failures, re.M)
    assert failures.count("is not filled in yet") == 5 == len(re.findall(r"^FAILED ", summary, re.M))
    assert "GAN" not in failures and "optional: no block of the GAN is filled in yet" in summary
    assert "waits for block 1 of VAE/model.py" in summary and "waits for block 1 of VAE/trainer.py" in summary
    assert not TRACEBACK.search(output)


def test_vae_alone_is_enough(tmp_path):
    shutil.copytree(REFERENCE / "VAE", tmp_path / "codes" / "VAE", ignore=CACHES)
    status, output = run_checks("--codes_dir", tmp_path / "codes", "-q")
    assert status == 0, output
    assert "Passing these checks is not the grade" in output
    assert "optional: there is nothing to check in codes/GAN" in output


def test_missing_file_is_one_failure_and_the_other_file_is_checked(tmp_path):
    write_copy(tmp_path / "codes", VAE_TRAINER, [MISTAKES["KL without the half"][1][0]])
    (tmp_path / "codes" / VAE_MODEL).unlink()
    status, output = run_checks("--codes_dir", tmp_path / "codes", "-k", "VAE")
    assert status == 1 and re.search(r"= 2 failed, ", output)
    assert "codes/VAE/model.py is missing." in output and "the ½ is missing" in output
    assert "waits for VAE/model.py, which can't be imported" in output
    assert not TRACEBACK.search(output)


def test_wrong_folder_is_one_line(tmp_path):
    status, output = run_checks("--codes_dir", tmp_path / "cods")
    assert status == 4
    assert (
        output.strip()
        == f"ERROR: {tmp_path / 'cods'}: no such folder; --codes_dir names the one that holds VAE and GAN"
    )


def test_plain_pytest_finds_coursekit_too(tmp_path):
    """Which is no more than a folder beside the checks, where the kit isn't installed."""
    shutil.copytree(PUBLIC, tmp_path / "tests" / "public", ignore=CACHES)
    shutil.copytree(REPOSITORY / "coursekit", tmp_path / "coursekit", ignore=CACHES)
    shutil.copytree(REFERENCE, tmp_path / "codes", ignore=CACHES)
    # -S: an installed kit is left out with all .pth files; -P: the folder isn't searched by itself.
    command = [sys.executable, "-S", "-P", "-m", "pytest", "tests/public", *OPTIONS, "-k", "block"]
    env = student_environment() | {"PYTHONPATH": sysconfig.get_paths()["purelib"]}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_a_trainer_gets_data_and_a_run_as_in_main(project, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(PUBLIC.parent)
    from public.trainers import make_run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["main.py", "--no_cuda"])
    expected = runpy.run_path(str(REFERENCE / project / "main.py"))["parse_args"]()
    data, run = make_run(project)
    assert run.args == expected
    assert run.settings["model"] == project and run.device.type == "cpu"
    assert len(data.train[1]) == expected.batch_size
    images = next(data.validation_batches())
    lowest, highest = data.train.value_range
    assert images.min() == lowest and images.max() == highest and images.shape[1:] == data.train[1].shape[1:]
    run.log_scalars(1, {"loss": 1.0})
    run.log_images(1, "samples", images, (lowest, highest))
    assert not list(tmp_path.iterdir())


def test_checks_import_nothing_that_students_do_not_have():
    allowed = {*sys.stdlib_module_names, "coursekit", "numpy", "pytest", "torch"}
    for path in PUBLIC.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] in allowed, path


def test_every_check_is_a_sentence_and_every_module_says_what_passing_means():
    for path in PUBLIC.glob("test_*.py"):
        tree = ast.parse(path.read_text())
        assert "Passing these checks is not the grade" in ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert re.fullmatch(r"[^\n]+\.", ast.get_docstring(node) or ""), node.name


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(check_copies(json.loads(Path(sys.argv[1]).read_text()))))
