"""Calls in processes with limits: each comes to a result, an exception or one clause, and costs no other."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

from autograder.limited import Helpers, LimitError, Limits


class TwoArguments(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def whose() -> int:
    return os.getpid()


def fail(error: type[Exception], *arguments: str) -> None:
    raise error(*arguments)


def burn() -> None:
    while True:
        pass


def take_memory(megabytes: int) -> int:
    return len(np.ones(megabytes << 20, np.uint8))


def write(path: Path, megabytes: int) -> None:
    path.write_bytes(bytes(megabytes << 20))


def meet(folder: Path, own: str, other: str) -> int:
    """Wait for another call that waits for this one."""
    (folder / own).touch()
    while not (folder / other).exists():
        time.sleep(0.01)
    return os.getpid()


@pytest.fixture
def helpers():
    made = Helpers()
    yield made
    made.end()


def test_a_process_is_kept_for_the_next_call_and_is_not_this_one(helpers):
    first = helpers.call(whose)
    assert first != os.getpid()
    assert helpers.call(whose) == first


def test_arrays_come_back(helpers):
    np.testing.assert_array_equal(helpers.call(np.arange, 10), np.arange(10))


def test_the_functions_own_exceptions_come_back(helpers):
    first = helpers.call(whose)
    with pytest.raises(FileNotFoundError, match="no such thing"):
        helpers.call(fail, FileNotFoundError, "no such thing")
    with pytest.raises(LimitError, match="TwoArguments: a and b"):
        helpers.call(fail, TwoArguments, "a", "b")
    assert helpers.call(whose) == first


@pytest.mark.parametrize(
    ("function", "arguments", "limits", "reason"),
    [
        (burn, (), Limits(cpu_s=1), "it took more than 1 s of computing time"),
        (time.sleep, (100,), Limits(wall_s=0.5), "it was not over after 0.5 s"),
        (take_memory, (300,), Limits(memory_mb=200), "it took more than 200 MB of memory"),
        (os._exit, (3,), Limits(), "it ended with exit status 3"),
        (os.abort, (), Limits(), f"it was ended by signal {signal.SIGABRT.value}"),
    ],
)
def test_a_call_that_takes_too_much_is_one_clause_and_costs_no_other(helpers, function, arguments, limits, reason):
    with pytest.raises(LimitError) as caught:
        helpers.call(function, *arguments, limits=limits)
    assert str(caught.value) == reason
    assert helpers.call(take_memory, 100, limits=Limits(memory_mb=200)) == 100 << 20


def test_each_call_has_the_whole_limit(helpers):
    for _ in range(3):
        assert helpers.call(take_memory, 150, limits=Limits(memory_mb=200)) == 150 << 20


def test_files_have_a_limit(helpers, tmp_path):
    with pytest.raises(OSError, match="too large"):
        helpers.call(write, tmp_path / "file", 2, limits=Limits(file_mb=1))


def test_two_calls_at_one_time_have_two_processes(helpers, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(helpers.call, meet, tmp_path, *names) for names in (("one", "two"), ("two", "one"))]
        assert len({call.result() for call in calls}) == 2


def test_a_process_that_was_killed_while_it_was_idle_costs_nobody(helpers):
    first = helpers.call(whose)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert helpers.call(whose) not in (first, os.getpid())


def test_end_stops_what_is_running(helpers):
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(helpers.call, time.sleep, 100)
        while not helpers._busy:
            time.sleep(0.01)
        helpers.end()
        with pytest.raises(LimitError, match="signal 9"):
            started.result()


INTERRUPTED = """
import os, signal, threading, time
from autograder import limited

threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    limited.call(time.sleep, 100)
except KeyboardInterrupt:
    print("interrupted", limited.call(os.getppid) == os.getpid())
"""


def test_ctrl_c_is_served_while_a_call_is_running():
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], env=environment, capture_output=True, timeout=60)
    assert done.stdout.decode().strip() == "interrupted True", done.stderr


def test_nothing_is_left_of_a_process_that_has_ended():
    code = "import os; from autograder import limited; print(limited.call(os.getpid), flush=True); os._exit(0)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, text=True)
    for _ in range(100):
        if not is_running(int(done.stdout)):
            return
        time.sleep(0.1)
    pytest.fail(f"process {done.stdout} is still there")


def is_running(process: int) -> bool:
    """Whether a process is there; one that nobody has asked for its exit status is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
