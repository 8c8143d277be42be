"""Control groups: where they can be had, what they say is what an outcome says; nothing of them stays."""

import fcntl
import os
import shutil

import pytest
from conftest import needs_bubblewrap

from autograder.sandbox import cgroup
from autograder.sandbox.limits import MB, Limits
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import ForkServer

LIMITS = Limits(memory_mb=64, processes=16)
SCOPE = "user.slice/session.scope"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Folders and files as version 2 has them; this process is in a scope of its own, which may have no groups."""
    for folder, controllers in {".": "cpu memory pids", "user.slice": "memory pids", SCOPE: ""}.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.subtree_control").write_text(f"{controllers}\n")
        (tmp_path / folder / "cgroup.procs").write_text("")
    own = tmp_path / "own"
    own.write_text(f"4:memory:/elsewhere\n0::/{SCOPE}\n")
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(cgroup, "_OWN_GROUP", own)
    monkeypatch.setattr(cgroup.Path, "rmdir", lambda path: shutil.rmtree(path))  # the kernel's files don't count
    cgroup._parent.cache_clear()
    yield tmp_path
    cgroup._parent.cache_clear()


def test_a_group_is_made_where_such_groups_are_and_has_the_limits(tree):
    with cgroup.control_group(LIMITS) as group:
        assert group.path.parent == tree / "user.slice"
        settings = {path.name: path.read_text() for path in group.path.iterdir()}
        assert settings == {
            "memory.max": str(64 * MB),
            "memory.oom.group": "1",
            "memory.swap.max": "0",
            "pids.max": "24",
        }
        assert group.processes == group.path / "cgroup.procs"
    assert not group.path.exists()


def test_what_it_has_used(tree):
    with cgroup.control_group(LIMITS) as group:
        (group.path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1400000\nsystem_usec 100000\n")
        (group.path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\noom_group_kill 0\n")
        assert (group.cpu_s(), group.is_out_of_memory()) == (1.5, False)
        (group.path / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n")
        assert group.is_out_of_memory()


def test_groups_of_killed_graders_are_removed_and_no_others(tree):
    left, used, other = (tree / "user.slice" / name for name in (f"{cgroup._PREFIX}1", f"{cgroup._PREFIX}2", "other"))
    for path in (left, used, other):
        path.mkdir()
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with cgroup.control_group(LIMITS):
        assert [path.exists() for path in (left, used, other)] == [False, True, True]
    os.close(lock)


def test_a_group_with_something_in_it_is_left_after_a_while(tree, monkeypatch):
    def busy(path):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(cgroup, "_END_LIMIT_S", 0.05)
    with cgroup.control_group(LIMITS) as group:
        monkeypatch.setattr(cgroup.Path, "rmdir", busy)
    assert group.path.exists()


@pytest.mark.parametrize("missing", ["version 2", "controllers", "rights", "space"])
def test_where_there_can_be_none_there_is_none(tree, monkeypatch, missing):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    if missing == "version 2":
        cgroup._OWN_GROUP.write_text("4:memory:/elsewhere\n")
    elif missing == "controllers":
        for path in (tree, tree / "user.slice"):
            (path / "cgroup.subtree_control").write_text("cpu\n")
    elif missing == "space":
        monkeypatch.setattr(cgroup, "Group", no_space)
    else:
        monkeypatch.setattr(cgroup.os, "access", lambda path, mode: False)
    with cgroup.control_group(LIMITS) as group:
        assert group is None


# For real.


def why_none() -> str:
    if cgroup._parent() is not None:
        return ""
    if not (cgroup._ROOT / "cgroup.controllers").is_file():
        return f"no control groups of version 2 in {cgroup._ROOT}"
    return "no control group here that this user may make others in, with limits of memory and processes"


needs_groups = pytest.mark.skipif(bool(why_none()), reason=why_none() or "there are some")
FAST = "kept = [bytearray(40 << 20) for _ in range(100)]"  # faster than anybody looks


@needs_bubblewrap
@needs_groups
@pytest.mark.parametrize("way", ["by itself", "a job"])
def test_the_kernel_ends_what_takes_too_much(way):
    before = set(cgroup._parent().iterdir())
    if way == "by itself":
        outcome = run_in_sandbox([PYTHON, "-I", "-S", "-c", FAST], inputs={}, limits=LIMITS)
        right = run_in_sandbox([PYTHON, "-I", "-S", "-c", "print(1)"], inputs={}, limits=LIMITS)
    else:
        with ForkServer([]) as server:
            outcome = server.run("/in/x", inputs={"x": FAST.encode()}, limits=LIMITS)
            right = server.run("/in/x", inputs={"x": b"print(1)"}, limits=LIMITS)
    assert outcome.status == "memory limit", outcome
    assert 64 <= outcome.peak_memory_mb < 80
    assert (right.status, right.stdout) == ("ok", b"1\n"), right
    assert set(cgroup._parent().iterdir()) <= before


@needs_bubblewrap
@needs_groups
def test_all_cpu_time_is_the_groups():
    code = "import time\nwhile time.process_time() < 0.5: pass"
    outcome = run_in_sandbox([PYTHON, "-I", "-S", "-c", code], inputs={}, limits=LIMITS)
    assert outcome.cpu_s == pytest.approx(0.5, abs=0.2)
