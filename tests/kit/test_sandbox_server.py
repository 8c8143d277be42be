"""The fork server's jobs are as shut in as what runs by itself, and know nothing of each other."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from conftest import needs_bubblewrap

from autograder.sandbox import server as server_module
from autograder.sandbox.bubblewrap import kept_folders
from autograder.sandbox.limits import Limits, Outcome
from autograder.sandbox.server import ForkServer
from coursekit.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[2]
SHORT = {"cpu_s": 5, "wall_s": 10, "memory_mb": 256, "processes": 16, "file_mb": 8, "output_kb": 16}

IN_TMP = [Path(folder).name for folder in kept_folders()]  # of this Python's environment, where it lies there

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o755)
    (shared / "kit.py").write_text("imported = 'the kit'\n")
    with ForkServer(["json", "kit"], inputs={"kit": shared}, path=["/shared/kit"]) as server:
        yield server


def run(server: ForkServer, code: str, *arguments: str, inputs=None, outputs=(), **limits) -> Outcome:
    outcome = server.run(
        "/in/main.py",
        arguments,
        inputs={"main.py": textwrap.dedent(code).encode(), **(inputs or {})},
        outputs=outputs,
        limits=Limits(**{**SHORT, **limits}),
    )
    assert outcome.status != "sandbox failed", outcome.stderr
    return outcome


def printed(server: ForkServer, code: str, **settings) -> str:
    outcome = run(server, code, **settings)
    assert outcome.status == "ok", outcome
    return outcome.stdout.decode()


def test_an_ordinary_job(server):
    code = """
    import os, sys, kit
    print(open("/in/a/two.txt").read(), sys.argv, kit.imported, sorted(os.environ), os.getcwd(), sys.stdin.read())
    print("to stderr", file=sys.stderr)
    open("/out/x", "w").write("y")
    """
    outcome = run(server, code, "one", inputs={"a/two.txt": b"2"}, outputs={"x", "z"})
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("ok", 0, None)
    variables = "['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'TMPDIR']"
    assert outcome.stdout.decode() == f"2 ['/in/main.py', 'one'] the kit {variables} /tmp \n"
    assert outcome.stderr == b"to stderr\n"
    assert outcome.evidence == {"x": b"y"}
    assert outcome.problems == ("z: missing",)


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "number"),
    [
        ("raise SystemExit", "ok", 0, None),
        ("raise SystemExit(7)", "exit", 7, None),
        ("raise SystemExit('words')", "exit", 1, None),
        ("1/0", "exit", 1, None),
        ("not python", "exit", 1, None),
        ("import os; os._exit(9)", "exit", 9, None),
        ("import os; os.kill(os.getpid(), 9)", "signal", None, signal.SIGKILL),
        ("import os; os.kill(os.getppid(), 9); os._exit(3)", "exit", 3, None),
        ("import os; os.kill(1, 2); os._exit(4)", "exit", 4, None),
        ("import os, signal\nif os.fork() == 0: signal.pause()\nos.kill(-1, 15); os._exit(5)", "exit", 5, None),
        ("import time; time.sleep(100)", "wall limit", None, None),
        ("import threading\ndef f():\n while True: pass\nthreading.Thread(target=f).start()", "cpu limit", None, None),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory limit", None, None),
        ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", "process limit", None, None),
        ("while True: print('x' * 10_000)", "output limit", None, None),
        ("f = open('/dev/shm/x', 'wb')\nwhile True: f.write(bytes(1 << 16))", "file size limit", 1, None),
        ("open('/tmp/x', 'wb').truncate(1 << 40)", "exit", 1, None),
        ("import os; os.memfd_create('x')", "exit", 1, None),
        ("import mmap; mmap.mmap(-1, 4096)", "exit", 1, None),
    ],
)
def test_how_it_ends(server, code, status, exit_code, number):
    outcome = run(server, code, cpu_s=0.5, wall_s=1.5 if "sleep" in code else 60, memory_mb=128)
    assert (outcome.status, outcome.exit_code, outcome.signal) == (status, exit_code, number), outcome


def test_an_error_shows_the_jobs_own_file(server):
    assert b'File "/in/main.py", line 1, in <module>' in run(server, "1/0").stderr


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/resolv.conf", "/sys", "/var/lib", REPOSITORY / "autograder"])
def test_the_host_is_not_there(server, path):
    assert printed(server, f"import os; print(os.path.lexists({str(path)!r}))") == "False\n"


def test_nothing_outside_can_be_written(server):
    code = """
    import os, sys
    library = os.path.dirname(os.__file__)
    for folder in ("/", "/etc", "/in", "/shared", "/shared/kit", "/dev", "/usr/lib", "/proc", library):
        new = f"{folder}/new"
        for act in (lambda: open(new, "w"), lambda: os.mkdir(new), lambda: os.chmod(folder, 0o777)):
            try:
                act()
                print(folder)
            except OSError:
                pass
    for folder, _, files in os.walk("/proc/sys"):
        for name in files:
            try:
                os.close(os.open(f"{folder}/{name}", os.O_WRONLY))
                print(folder, name)
            except OSError:
                pass
    for path in ("/in/main.py", "/shared/kit/kit.py", "/proc/1/mem", "/proc/self/mem", "/proc/1/oom_score_adj"):
        try:
            open(path, "r+b")
            print(path)
        except OSError:
            pass
    """
    assert printed(server, code) == ""


def test_no_privileges(server):
    code = """
    import ctypes, os
    for pid in (1, os.getpid()):
        status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
        names = ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")
        print([status[name].strip() for name in names])
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.unshare(0x10000000), libc.unshare(0x20000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
    print(libc.umount2(b"/tmp", 2), libc.umount2(b"/proc", 2), libc.ptrace(16, 1, 0, 0), libc.setuid(0))
    """
    none = "0000000000000000"
    state = str([none] * 5 + ["1", "2"])
    assert printed(server, code).splitlines() == [state, state, "-1 -1 -1", "-1 -1 -1 -1"]


def test_no_descriptors_processes_or_sessions_of_the_servers(server):
    code = """
    import os
    print([name for name in os.listdir("/proc") if name.isdigit()], os.getsid(0), os.getppid())
    for name in sorted(os.listdir("/proc/self/fd")):
        try:
            print(os.readlink(f"/proc/self/fd/{name}").partition(":")[0])
        except OSError:
            pass
    """
    first, *descriptors = printed(server, code).splitlines()
    assert first == "['1', '2'] 1 1"
    assert set(descriptors) <= {"/dev/null", "pipe", "/proc/2/fd", "/in/main.py"}


def test_nothing_of_process_1_can_be_read(server):
    """It is a copy of the server, whose memory is no student's business."""
    code = """
    import os
    for name in ("mem", "maps", "environ", "fd/0", "root", "cwd", "exe"):
        try:
            open(f"/proc/1/{name}", "rb") if name in ("mem", "maps", "environ") else os.readlink(f"/proc/1/{name}")
            print(name)
        except PermissionError:
            pass
    """
    assert printed(server, code) == ""


def test_no_network(server):
    assert printed(server, "print(open('/proc/net/dev').read().count(':'))") == "1\n"
    for family in ("socket.AF_UNIX", "socket.AF_INET", "socket.AF_VSOCK"):  # of any family: test_sandbox_calls
        assert b"PermissionError: [Errno 1]" in run(server, f"import socket; socket.socket({family})").stderr


def test_jobs_know_nothing_of_each_other(server):
    code = """
    import kit, gc, os
    print(os.listdir("/tmp"), os.listdir("/out"), os.listdir("/dev/shm"), sorted(os.listdir("/in")), kit.imported)
    print(any("secret-" + "word" in o for o in gc.get_objects() if isinstance(o, dict)))
    kit.imported = "changed"
    for folder in ("/tmp", "/out"):
        open(f"{folder}/left", "w").write("secret-" + "word")
    """
    before = printed(server, code, inputs={"only-here": b"secret-" + b"word"})
    assert before.splitlines()[0] == f"{IN_TMP} [] {IN_TMP} ['main.py', 'only-here'] the kit"
    assert printed(server, code) == f"{IN_TMP} [] {IN_TMP} ['main.py'] the kit\nFalse\n"


def test_earlier_jobs_are_in_nobodys_memory(server):
    word = f"word{time.monotonic_ns()}"
    run(server, f"x = '{word}'", inputs={"a": word.encode() * 100})
    code = f"""
    word = "{word[:8]}".encode() + b"{word[8:]}"
    found = 0
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps"):
            bounds, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(bound, 16) for bound in bounds.split("-"))
                try:
                    memory.seek(start)
                    found += memory.read(end - start).count(b"w" + word[1:] + word)
                except (OSError, ValueError):
                    pass
    print(found)
    """
    assert printed(server, code) == "0\n"


@pytest.mark.parametrize("end", ["os._exit(0)", "time.sleep(100)"])
def test_nothing_is_left_running(server, end):
    name = f"left-{os.getpid()}"  # of this test alone: others may run beside it
    code = f"""
    import ctypes, os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
            time.sleep(100)
        os._exit(0)
    time.sleep(0.2)
    {end}
    """
    assert run(server, code, wall_s=0.6).wall_s < 3
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            assert path.read_text() != f"{name}\n"


def test_many_at_one_time(server):
    code = "import os, time; time.sleep(0.1); print(sorted(os.listdir('/in')), os.listdir('/tmp'))"
    results = {}

    def one(number: int) -> None:
        results[number] = printed(server, code, inputs={f"n{number}": b"x" * 100_000})

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"['main.py', 'n{number}'] {IN_TMP}\n" for number in range(8)}


def test_no_descriptors_are_left(server):
    run(server, "pass")
    before = len(os.listdir("/proc/self/fd"))
    run(server, "import time; time.sleep(5)", wall_s=0.1)
    run(server, "open('/out/x', 'w')", outputs={"x"})
    assert len(os.listdir("/proc/self/fd")) == before


def test_inputs_that_can_not_be_put_down_say_so(server):
    outcome = server.run("/in/a", inputs={"a": b"", "a/b": b""}, limits=Limits(**SHORT))
    assert outcome.status == "sandbox failed"
    assert b"FileExistsError" in outcome.stderr or b"NotADirectoryError" in outcome.stderr
    assert printed(server, "print('the next')") == "the next\n"
    with pytest.raises(ValueError, match="no path below /in"):
        server.run("/in/a", inputs={"../a": b""}, limits=Limits(**SHORT))


def test_a_fork_that_fails_costs_one_job_and_no_server(monkeypatch):
    """As where the machine has as many processes as it may have."""
    command = server_module.sandbox_command

    def with_few_processes(program, inputs, rlimits, *others):
        return command(program, inputs, {**rlimits, "RLIMIT_NPROC": 1}, *others)

    monkeypatch.setattr(server_module, "sandbox_command", with_few_processes)
    with ForkServer([]) as server:
        for _ in range(2):
            outcome = server.run("/in/x", inputs={"x": b""}, limits=Limits(**SHORT))
            assert outcome.status == "sandbox failed"
            assert b"Resource temporarily unavailable" in outcome.stderr


def test_an_import_that_fails():
    with (
        pytest.raises(CourseError, match="did not start: ModuleNotFoundError: No module named 'no_such_module'"),
        ForkServer(["no_such_module"]),
    ):
        pass


def test_without_bubblewrap_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(CourseError, match="apt-get install bubblewrap"), ForkServer([]):
        pass


def test_a_killed_grader_leaves_nothing_running():
    script = f"""
import sys, threading
sys.path.insert(0, {str(REPOSITORY)!r})
from autograder.sandbox.limits import Limits
from autograder.sandbox.server import ForkServer
with ForkServer([]) as server:
    code = b"import ctypes, time; ctypes.CDLL(None).prctl(15, b'graders-job', 0, 0, 0); time.sleep(100)"
    server.run("/in/x", inputs={{"x": code}}, limits=Limits())
"""
    grader = subprocess.Popen([sys.executable, "-c", script])

    def found() -> list[Path]:
        paths = []
        for path in Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                paths += [path] * (path.read_text() == "graders-job\n")
        return paths

    def within(seconds: float, condition) -> bool:
        end = time.monotonic() + seconds
        while not (holds := condition()) and time.monotonic() < end:
            time.sleep(0.05)
        return bool(holds)

    assert within(20, found)
    grader.kill()
    grader.wait()
    assert within(10, lambda: not found())
