"""Gradescope's zip: what is in it, and that what runs in its container grades one hand-in."""

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from changed_solutions import swap
from conftest import REPOSITORY, needs_bubblewrap, needs_python_elsewhere
from hand_ins import hand_in, solution

from autograder.gradescope.bundle import bundle
from autograder.sandbox import start
from autograder.sandbox.limits import Limits
from autograder.sandbox.run import run_in_sandbox
from coursekit.errors import CourseError


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
@needs_python_elsewhere
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


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
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


def test_no_sandbox_for_an_ordinary_user_is_one_line(monkeypatch):
    from autograder.gradescope import run as on_gradescope

    class None_:
        def __init__(self, limits): ...

        def __enter__(self):
            raise CourseError("bubblewrap is not installed")

        def __exit__(self, *_): ...

    monkeypatch.setattr(on_gradescope, "SandboxProber", None_)
    monkeypatch.setattr(on_gradescope.os, "geteuid", lambda: 1000)
    with pytest.raises(CourseError, match="not installed"):
        on_gradescope._has_sandbox(None)
    monkeypatch.setattr(on_gradescope.os, "geteuid", lambda: 0)
    assert on_gradescope._has_sandbox(None) is False
