"""Gradescope's zip: what is in it, and that what runs in its container grades one hand-in."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from changed_solutions import swap
from conftest import REPOSITORY, needs_bubblewrap
from hand_ins import hand_in, solution
from packaging.requirements import Requirement

from autograder import probing, workers
from autograder.course import COURSE_FILE, read_course
from autograder.gradescope import run as on_gradescope
from autograder.gradescope.bundle import bundle
from autograder.sandbox import start
from autograder.sandbox.limits import Limits
from autograder.sandbox.run import PYTHON, run_in_sandbox
from coursekit.errors import CourseError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

LIMITS = read_course(REPOSITORY / COURSE_FILE).limits


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """What Gradescope makes of the zip, but for setup.sh."""
    folder = tmp_path_factory.mktemp("autograder")
    with zipfile.ZipFile(bundle(REPOSITORY, folder / "autograder.zip")) as archive:
        archive.extractall(folder / "source")
    (folder / "results").mkdir()
    return folder


def grade(place: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "autograder.gradescope.run", str(place)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # The container's environment has the kit installed from source/; here it is the repository's.
    environment = {**kept, "PYTHONPATH": str(place / "source"), **environment}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=240)


def test_the_zip_has_the_two_scripts_at_its_top_and_nothing_beside_the_kit(tmp_path):
    with zipfile.ZipFile(bundle(REPOSITORY, tmp_path / "autograder.zip")) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    for script in ("setup.sh", "run_autograder"):
        assert entries[script].external_attr >> 16 & stat.S_IXUSR
    assert {name.split("/")[0] for name in entries if "/" in name} == {
        *("autograder", "code_analyze", "coursekit", "reference_solution", "tests")
    }
    assert {name.split("/")[1] for name in entries if name.startswith("tests/")} == {"hidden"}
    assert "course.toml" in entries and "coursekit/extractors/lenet.pt" in entries
    assert not any("__pycache__" in name or name.endswith((".npz", ".zip")) for name in entries)


def test_the_scripts_are_bash(tmp_path):
    for script in ("setup.sh", "run_autograder"):
        source = REPOSITORY / "autograder" / "gradescope" / script
        assert subprocess.run(["bash", "-n", str(source)], capture_output=True).returncode == 0


def test_half_a_repository_is_one_line(tmp_path):
    shutil.copytree(REPOSITORY / "autograder", tmp_path / "autograder")
    with pytest.raises(CourseError, match="run this in a whole copy of the repository"):
        bundle(tmp_path, tmp_path / "autograder.zip")


@needs_bubblewrap
@pytest.mark.slow
@pytest.mark.parametrize("unpacked", [True, False])
def test_one_hand_in_is_graded(place, unpacked):
    wrong = solution({"VAE/trainer.py": [swap("0.5 * (mu**2", "(mu**2")]})
    shutil.rmtree(place / "submission", ignore_errors=True)
    (place / "submission").mkdir()
    (place / "submission" / "2021000001.zip").write_bytes(hand_in(wrong))
    if unpacked:
        with zipfile.ZipFile(place / "submission" / "2021000001.zip") as archive:
            archive.extractall(place / "submission")
        (place / "submission" / "2021000001.zip").unlink()
    done = grade(place)
    assert done.returncode == 0, done.stderr
    results = json.loads((place / "results" / "results.json").read_text())
    failed = {test["number"]: test["output"] for test in results["tests"] if test["status"] == "failed"}
    assert "the ½ is missing" in failed["vae.kl_closed_form"] and "nothing is trained here" in failed["vae.fid"]
    assert "gan.fid" not in failed  # it is the reference's, and so needs no training
    assert 0 < results["score"] < sum(test["max_score"] for test in results["tests"])


only_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")


@only_root
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no Python that everybody can use")
def test_without_a_sandbox_root_s_files_are_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(start.sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(start.sys, "prefix", "/usr")
    monkeypatch.setattr(start.sys, "base_prefix", "/usr")
    secret = tmp_path / "secret"
    secret.write_text("the solution")
    secret.chmod(0o600)
    tries = f"import os; print(os.getuid() == 0, os.access({str(secret)!r}, os.R_OK)); open('/out/x', 'w').write('1')"
    tries = tries.replace("'/out/x'", "os.environ['TMPDIR'] + '/../out/x'")
    outcome = run_in_sandbox(["/usr/bin/python3", "-c", tries], inputs={}, limits=Limits(), outputs=["x"], unsafe=True)
    assert outcome.stdout.split() == [b"False", b"False"], outcome
    assert outcome.evidence == {"x": b"1"}


@only_root
@pytest.mark.parametrize("closed", ["environment", "input", "kit"])
def test_without_a_sandbox_nothing_runs_as_root(tmp_path, monkeypatch, closed):
    """What another user can't reach would leave root: it is one line, whatever it is."""
    monkeypatch.setattr(start.sys, "executable", "/usr/bin/env")
    for prefix in ("prefix", "base_prefix"):
        monkeypatch.setattr(start.sys, prefix, "/usr")
    shut = tmp_path / "closed"
    (shut / "inner").mkdir(parents=True)
    shut.chmod(0o700)
    inputs, environment = {}, {}
    if closed == "environment":
        monkeypatch.setattr(start.sys, "prefix", str(shut / "inner"))
    elif closed == "input":
        inputs["codes"] = shut / "inner"
    else:
        environment["PYTHONPATH"] = str(shut / "inner")
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    with pytest.raises(CourseError, match=r"would run as root.*install bubblewrap"):
        run_in_sandbox([PYTHON, "-c", code], inputs=inputs, limits=Limits(), environment=environment, unsafe=True)
    assert not (tmp_path / "ran").exists()


def no_sandbox(monkeypatch, user: int) -> None:
    """A container that allows no namespaces, and whose probers nobody has opened yet."""

    def fails(limits):
        raise CourseError("bubblewrap is not installed")

    monkeypatch.setattr(workers, "_PROBERS", workers._Probers())
    monkeypatch.setattr(probing, "SandboxProber", fails)
    monkeypatch.setattr(start.os, "geteuid", lambda: user)


def test_no_sandbox_for_an_ordinary_user_is_one_line(monkeypatch):
    no_sandbox(monkeypatch, user=1000)
    with pytest.raises(CourseError, match="not installed"):
        on_gradescope._has_sandbox(LIMITS)


def test_no_sandbox_for_root_whose_python_is_its_own_is_one_line(monkeypatch, tmp_path, capsys):
    no_sandbox(monkeypatch, user=0)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(start.sys, "prefix", str(tmp_path))
    with pytest.raises(CourseError, match="would run as root"):
        on_gradescope._has_sandbox(LIMITS)
    assert "ordinary user" not in capsys.readouterr().out


def test_no_sandbox_for_root_whose_python_is_everybodys(monkeypatch, capsys):
    no_sandbox(monkeypatch, user=0)
    monkeypatch.setattr(probing, "unsafe_user", lambda needed: 65534)
    assert on_gradescope._has_sandbox(LIMITS) is False
    assert "the code runs as an ordinary user" in capsys.readouterr().out


def test_one_server_is_started(monkeypatch):
    opened = []

    class Prober(contextlib.nullcontext):
        def __init__(self, limits):
            super().__init__(self)
            opened.append(limits)

    monkeypatch.setattr(workers, "_PROBERS", workers._Probers())
    monkeypatch.setattr(probing, "SandboxProber", Prober)
    assert on_gradescope._has_sandbox(LIMITS)
    with workers.workers(1, None, LIMITS, unsafe=False):
        pass
    assert len(opened) == 1


def test_a_link_to_a_zip_is_not_followed(place, tmp_path, monkeypatch):
    """A hand-in from a repository may hold links; another's zip is not graded as one's own."""
    taken = {}

    def grade_class(hand_ins, grades, *_):
        taken.update({path.relative_to(hand_ins).as_posix(): path.is_symlink() for path in hand_ins.rglob("*")})
        raise CourseError("far enough")

    (tmp_path / "another.zip").write_bytes(hand_in(solution()))
    shutil.rmtree(place / "submission", ignore_errors=True)
    (place / "submission").mkdir()
    (place / "submission" / "mine.zip").symlink_to(tmp_path / "another.zip")
    monkeypatch.setattr(on_gradescope, "grade_class", grade_class)
    monkeypatch.setattr(on_gradescope, "_has_sandbox", lambda limits: True)
    with pytest.raises(CourseError, match="far enough"):
        on_gradescope.run(place)
    assert taken == {"submission": False, "submission/mine.zip": True}  # which taking in refuses


def locked() -> list[tuple[Requirement, list[str]]]:
    """What the container installs: each package as it is pinned, and the hashes of its files."""
    text = (REPOSITORY / "autograder" / "gradescope" / "requirements.txt").read_text("utf-8")
    joined = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        found.append((Requirement(requirement), hashes))
    return found


def test_every_package_of_the_container_is_pinned_by_a_hash():
    for requirement, hashes in locked():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)) and requirement.url is None, requirement
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement
    script = (REPOSITORY / "autograder" / "gradescope" / "setup.sh").read_text("utf-8")
    installs = [line for line in script.splitlines() if line.startswith("$pip ")]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0] and "--no-deps --no-build-isolation" in installs[1]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_what_is_pinned_is_what_the_kit_asks_for(python):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    there = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
    there |= {"platform_machine": "x86_64", "platform_system": "Linux", "extra": ""}
    pinned = {}
    for requirement, _ in locked():
        if requirement.marker is None or requirement.marker.evaluate(there):
            assert requirement.name not in pinned, requirement  # of each package one
            pinned[requirement.name] = str(requirement.specifier).removeprefix("==")
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["grade"]]
    wanted += project["build-system"]["requires"]
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(there):
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
