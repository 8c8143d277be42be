"""Folders that are thrown away, whatever ends the run that has made them, and the signals that end one."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time

import pytest
from conftest import REPOSITORY

from autograder import scratch
from autograder.scratch import scratch_folder

HOLDING = """
import sys, time
from autograder.scratch import scratch_folder
from autograder.stopping import signals_stop
from coursekit.errors import one_line_errors
with one_line_errors("holding"), signals_stop(), scratch_folder() as folder:
    (folder / "work").write_text("of a student's")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "_YOUNG_S", 0)
    yield tmp_path
    tempfile.tempdir = None


def holding() -> subprocess.Popen:
    command = [sys.executable, "-c", HOLDING]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    return process


def test_only_its_owner_can_look_into_it_and_it_is_gone_at_the_end(place):
    with scratch_folder() as folder:
        assert folder.parent == place and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []


def test_what_a_killed_run_has_left_goes_with_the_next_one_and_a_living_one_keeps_its_own(place):
    killed, living = holding(), holding()
    killed.kill()
    killed.communicate()
    assert len(list(place.iterdir())) == 2
    with scratch_folder() as own:
        assert len(list(place.iterdir())) == 2 and own.exists()
    living.terminate()
    living.communicate()
    assert list(place.iterdir()) == []


def test_a_folder_that_was_made_just_now_is_left_alone(place, monkeypatch):
    monkeypatch.setattr(scratch, "_YOUNG_S", 60)
    (place / "grading-new").mkdir()
    with scratch_folder():
        pass
    assert (place / "grading-new").exists()


def test_links_and_files_are_left_alone(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "mine").write_text("x")
    os.symlink(other, place / "grading-link")
    (place / "grading-file").write_text("x")
    time.sleep(0.01)
    with scratch_folder():
        pass
    assert (other / "mine").exists() and {path.name for path in place.iterdir()} == {"grading-link", "grading-file"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_as_ctrl_c_does(place, number):
    process = holding()
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number
    assert said == "holding: stopped\n"
    assert list(place.iterdir()) == []


def test_what_nohup_ignores_stays_ignored(place):
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", HOLDING],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
