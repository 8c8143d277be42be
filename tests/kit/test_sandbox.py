"""The sandbox against code that tries to get out, to stay, to take all there is, or to leave something behind."""

import contextlib
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest
from conftest import needs_bubblewrap

from autograder.sandbox import bubblewrap
from autograder.sandbox import run as sandbox_run
from autograder.sandbox.limits import Limits, Outcome
from autograder.sandbox.output import take_files
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import ForkServer
from coursekit.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[2]
SHORT = {"cpu_s": 5, "wall_s": 10, "memory_mb": 256, "processes": 16, "file_mb": 8, "output_kb": 16}


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is Linux's")


def run(code: str, *, inputs=None, outputs=(), unsafe=False, environment=None, **limits) -> Outcome:
    outcome = run_in_sandbox(
        [PYTHON, "-I", "-S", "-c", textwrap.dedent(code)],
        inputs=inputs or {},
        outputs=outputs,
        environment=environment,
        limits=Limits(**{**SHORT, **limits}),
        unsafe=unsafe,
        own_code=True,  # where it is unsafe; who else runs it is said below
    )
    assert outcome.status != "sandbox failed", outcome.stderr
    return outcome


def printed(code: str, **settings) -> str:
    """What a program prints that must end well."""
    outcome = run(code, **settings)
    assert outcome.status == "ok", outcome
    return outcome.stdout.decode()


def errors(code: str, **settings) -> str:
    """Name the exception that a program ends with."""
    outcome = run(code, **settings)
    assert outcome.status == "exit", outcome
    return outcome.stderr.decode().splitlines()[-1]


# What it gives back.


@needs_bubblewrap
def test_an_ordinary_program():
    code = """
    import os, sys
    print(open("/in/one.txt").read(), open("/in/folder/two.txt").read(), os.getcwd(), sys.stdin.read())
    print("to stderr", file=sys.stderr)
    open("/out/result.json", "w").write("{}")
    """
    outcome = run(code, inputs={"one.txt": b"1", "folder/two.txt": b"2"}, outputs={"result.json"})
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("ok", 0, None)
    assert outcome.stdout == b"1 2 /tmp \n"
    assert outcome.stderr == b"to stderr\n"
    assert outcome.evidence == {"result.json": b"{}"}
    assert outcome.problems == ()
    assert outcome.sandboxed
    assert 0 < outcome.wall_s < 10
    assert outcome.peak_memory_mb > 0


@needs_bubblewrap
@pytest.mark.parametrize(
    ("code", "status", "exit_code", "number"),
    [
        ("import os; os._exit(0)", "ok", 0, None),
        ("raise SystemExit(7)", "exit", 7, None),
        ("1/0", "exit", 1, None),
        ("import os; os.kill(os.getpid(), 9)", "signal", None, signal.SIGKILL),
        ("import os; os.abort()", "signal", None, signal.SIGABRT),
        ("import os; os.kill(os.getppid(), 9); os._exit(3)", "exit", 3, None),
        ("import os, signal; os.kill(1, signal.SIGTERM); os._exit(4)", "exit", 4, None),
    ],
)
def test_how_it_ends(code, status, exit_code, number):
    outcome = run(code)
    assert (outcome.status, outcome.exit_code, outcome.signal) == (status, exit_code, number)


@needs_bubblewrap
def test_a_program_that_is_not_there():
    outcome = run_in_sandbox(["/bin/not-here"], inputs={}, limits=Limits(**SHORT))
    assert (outcome.status, outcome.exit_code) == ("exit", 127)
    assert outcome.stderr == b"/bin/not-here: can't be run: No such file or directory\n"


@needs_bubblewrap
def test_the_environments_packages_can_be_imported():
    outcome = run_in_sandbox(
        [PYTHON, "-I", "-c", "import numpy; print(numpy.ones(3).sum())"],
        inputs={},
        environment={"OPENBLAS_NUM_THREADS": "1"},
        limits=Limits(),
    )
    assert (outcome.status, outcome.stdout) == ("ok", b"3.0\n"), outcome


@needs_bubblewrap
@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_an_environment_in_tmp(place):
    """It is seen where it lies, read-only, beside nothing else of the machine's /tmp; the rest is the sandbox's own."""
    code = """
import json, os, sys
print(sys.prefix, os.listdir("/tmp"), os.path.realpath(sys.executable) == sys.argv[-1])
for folder in (sys.prefix, f"{sys.prefix}/lib", os.path.dirname(sys.prefix)):
    try:
        open(f"{folder}/new", "w")
    except OSError:
        print("read-only")
for new in ("/tmp/new", "/dev/shm/newer"):
    open(new, "w")
print(sorted(name for name in os.listdir("/dev/shm") if name.startswith("new")))
import this_module_is_in_the_environment
"""
    script = """
import os, sys
from autograder.sandbox.limits import Limits
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import ForkServer
code, interpreter = sys.argv[1], os.path.realpath(sys.executable)
outcomes = [run_in_sandbox([PYTHON, "-I", "-c", code, interpreter], inputs={}, limits=Limits())]
with ForkServer([]) as server:
    for _ in range(2):
        outcomes.append(server.run("/in/x", [interpreter], inputs={"x": code.encode()}, limits=Limits()))
for outcome in outcomes:
    print(outcome.stdout.decode(), outcome.stderr.decode())
"""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        os.chmod(folder, 0o755)
        Path(folder, "secret").write_text("not to be seen")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", f"{folder}/inner/env"], check=True)
        packages = next(Path(folder, "inner", "env", "lib").glob("python*/site-packages"))
        (packages / "this_module_is_in_the_environment.py").write_text("print('imported')")
        done = subprocess.run(
            [f"{folder}/inner/env/bin/python", "-c", script, code],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
        )
    name = Path(folder).name
    shown = f"{folder}/inner/env ['{name}'] True read-only read-only read-only ['new', 'newer'] imported"
    assert done.stdout.split() == shown.split() * 3, done.stderr


@needs_bubblewrap
@pytest.mark.parametrize("way", ["by itself", "a job"])
def test_the_kit_is_not_seen_where_it_is_installed(tmp_path, monkeypatch, way):
    """Neither graders nor solution in the environment's packages, nor where the repository is; others' packages are."""
    os.chmod(tmp_path, 0o755)
    packages = tmp_path / "site-packages"
    files = {
        **{f"{name}/__init__.py": "secret" for name in ("autograder", "code_analyze", "reference_solution", "tests")},
        "coursekit-0.1.0.dist-info/direct_url.json": "secret",
        "__editable__.coursekit-0.1.0.pth": "secret",
        "__editable___coursekit_0_1_0_finder.py": "secret",
        "by_hand.pth": f"{REPOSITORY}\n",
        "another.pth": "# another's",
        "torch/__init__.py": "another's",
    }
    for name, text in files.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    given = site.getsitepackages()
    monkeypatch.setattr(bubblewrap.site, "getsitepackages", lambda *_: [*given, str(packages)])
    code = f"""
    import os
    for folder, _, files in os.walk({str(packages)!r}):
        for name in files:
            text = open(os.path.join(folder, name)).read()
            if text: print(os.path.relpath(os.path.join(folder, name), {str(packages)!r}), text)
    """
    if way == "by itself":
        shown = printed(code)
    else:
        with ForkServer([]) as server:
            code = textwrap.dedent(code).encode()
            shown = server.run("/in/x", inputs={"x": code}, limits=Limits(**SHORT)).stdout.decode()
    assert sorted(shown.splitlines()) == ["another.pth # another's", "torch/__init__.py another's"]


@needs_bubblewrap
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ""])
def test_inputs_lie_below_in(name):
    with pytest.raises(ValueError, match="no path below /in"):
        run("pass", inputs={name: b""})


# What it sees.


@needs_bubblewrap
@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/hostname", "/etc/resolv.conf", "/sys", "/var/lib", "/run"])
def test_the_host_is_not_there(path):
    assert "FileNotFoundError" in errors(f"import os; os.stat({path!r})")


@needs_bubblewrap
def test_secrets_that_anybody_could_read_are_not_there(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("expected values")
    secret.chmod(0o644)
    hidden = [REPOSITORY / name for name in ("autograder", "tests", "reference_solution", ".git", "pyproject.toml")]
    at_home = [path for path in Path.home().iterdir() if path.is_file()]
    paths = [str(path) for path in (secret, *hidden, *at_home)]
    assert printed(f"import os; print([path for path in {paths} if os.path.lexists(path)])") == "[]\n"


@needs_bubblewrap
def test_no_network():
    assert printed("print(open('/proc/net/dev').read().count(':'))") == "1\n"
    code = "import socket; socket.socket({})"  # of any family: test_sandbox_calls
    for family in ("socket.AF_UNIX", "socket.AF_INET", "socket.AF_VSOCK"):
        assert "PermissionError: [Errno 1]" in errors(code.format(family))


@needs_bubblewrap
def test_nothing_outside_can_be_written():
    code = """
    import glob, os, sys
    def names(folder):
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    library = os.path.dirname(os.__file__)
    for place in ("/", "/etc", "/in", "/in/folder", "/dev", "/usr/lib", "/proc", sys.prefix, library):
        new = f"{place}/new"
        for act in (lambda: open(new, "w"), lambda: os.mkdir(new), lambda: os.chmod(place, 0o777)):
            try:
                act()
                print(place)
            except OSError:
                pass
    for path in ("/in/one.txt", "/etc/passwd", os.__file__, sys.executable):
        for act in (lambda: open(path, "a"), lambda: os.unlink(path), lambda: os.chmod(path, 0o777)):
            try:
                act()
                print(path)
            except OSError:
                pass
    """
    assert printed(code, inputs={"one.txt": b"1", "folder/two.txt": b"2"}) == ""


@needs_bubblewrap
def test_an_input_folder_can_not_be_written(tmp_path):
    tmp_path.chmod(0o777)  # pytest's folder is its user's alone
    (tmp_path / "file").write_text("as it was")
    (tmp_path / "file").chmod(0o666)
    assert "Read-only" in errors("open('/in/f/file', 'a')", inputs={"f": tmp_path})
    assert "Read-only" in errors("open('/in/f/new', 'w')", inputs={"f": tmp_path})
    assert printed("print(open('/in/f/file').read())", inputs={"f": tmp_path}) == "as it was\n"


@needs_bubblewrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root is shown to be somebody else")
def test_an_input_that_an_ordinary_user_can_not_read_says_so(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(CourseError, match=r"can't read it; chmod -R o\+rX"):
        run("pass", inputs={"folder": tmp_path})


@needs_bubblewrap
def test_kernel_settings_can_not_be_opened_for_writing():
    code = """
    import os
    for folder, _, files in os.walk("/proc/sys"):
        for name in files:
            try:
                os.close(os.open(f"{folder}/{name}", os.O_WRONLY))
                print(folder, name)
            except OSError:
                pass
    for path in ("/proc/sysrq-trigger", "/proc/1/oom_score_adj"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            os.write(os.open(path, os.O_WRONLY), b"-1000")
            print(path)
        except OSError:
            pass
    """
    assert printed(code) == ""


@needs_bubblewrap
def test_no_variables_of_the_graders(monkeypatch):
    monkeypatch.setenv("TOKEN", "secret")
    found = printed("import os; print(sorted(os.environ)); print('secret' in open('/proc/1/environ').read())")
    assert found == "['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'TMPDIR']\nFalse\n"
    assert "'MINE'" in printed("import os; print(sorted(os.environ))", environment={"MINE": "1"})


@needs_bubblewrap
def test_no_descriptors_of_the_graders(tmp_path):
    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        code = """
        import os
        for pid in (1, os.getpid()):
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    print(os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0])
                except OSError:
                    pass
        """
        assert set(printed(code).split()) <= {"/dev/null", "pipe", "anon_inode", "/proc/2/fd"}


@needs_bubblewrap
def test_no_privileges():
    code = """
    import ctypes, os
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print([status[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")])
    print(os.getresuid(), os.getresgid(), os.getgroups())
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.ptrace(0, 0, 0, 0))
    """
    none = "0000000000000000"
    first, second, third = printed(code).splitlines()
    assert first == str([none, none, none, none, "1", "2"])
    assert second in ("(1000, 1000, 1000) (1000, 1000, 1000) []", "(1000, 1000, 1000) (1000, 1000, 1000) [65534]")
    assert third == "-1 -1 -1"


@needs_bubblewrap
def test_no_process_but_its_own_is_seen():
    assert printed("import os; print([name for name in os.listdir('/proc') if name.isdigit()])") == "['1', '2']\n"
    assert "ProcessLookupError" in errors(f"import os; os.kill({os.getpid() + 1_000_000}, 0)")


@needs_bubblewrap
def test_no_terminal_of_the_graders():
    controller, terminal = os.openpty()
    script = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from autograder.sandbox.run import *
code = '''
import fcntl, os
for path in ("/dev/tty", "/dev/pts/0", "/dev/console", "/dev/ptmx"):
    print(os.path.exists(path))
print(os.getsid(0) == 1, [os.isatty(n) for n in range(3)])
'''
print(run_in_sandbox([PYTHON, "-I", "-S", "-c", code], inputs={{}}, limits=Limits()).stdout.decode())
"""
    # A grader with a controlling terminal, as a TA's shell gives it.
    become = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); exec(sys.argv[1])"
    command = [sys.executable, "-c", become, script]
    done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, timeout=60)
    os.close(terminal)
    os.close(controller)
    assert done.stdout.split() == ["False"] * 4 + ["True", "[False,", "False,", "False]"], done.stderr


# What it may use.


@needs_bubblewrap
def test_cpu_time_of_a_thread():
    code = """
    import threading, time
    def spin():
        while True: pass
    threading.Thread(target=spin).start()
    time.sleep(100)
    """
    outcome = run(code, cpu_s=0.4)
    assert outcome.status == "cpu limit"
    assert outcome.exit_code is None
    assert 0.4 < outcome.cpu_s < 2


SHORT_LIVED = """
import os, time
def spend(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
used = []
for _ in range(30):
    if os.fork() == 0:
        spend(0.05)
        os._exit(0)
    {then}
while True:
    try: os.wait()
    except ChildProcessError: break
time.sleep(0.2)  # for the watcher to look once more
print(time.process_time())
"""


@needs_bubblewrap
@pytest.mark.parametrize(
    "then",
    [
        "os.wait()",
        "pass",
        # Whose parent has ended, and which only the sandbox's first process can wait for.
        "os.wait(); parent = os.fork()\n    if parent == 0: os.fork() == 0 and spend(0.05); os._exit(0)",
    ],
    ids=["waited for", "all at once", "orphans"],
)
def test_cpu_time_of_children_that_live_shortly(then):
    outcome = run(SHORT_LIVED.format(then=then), cpu_s=30, wall_s=60, processes=100)
    assert outcome.status == "ok", outcome
    spent = (60 if "parent" in then else 30) * 0.05 + float(outcome.stdout)
    assert outcome.cpu_s == pytest.approx(spent, rel=0.15)


@needs_bubblewrap
def test_children_can_not_be_ignored():
    """Else nobody would ever learn of their CPU time."""
    assert "PermissionError" in errors("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")


@needs_bubblewrap
def test_wall_clock():
    outcome = run("import time; time.sleep(100)", wall_s=0.3)
    assert outcome.status == "wall limit"
    assert 0.3 <= outcome.wall_s < 2


@needs_bubblewrap
def test_stopping_itself_and_closing_its_output_is_no_way_to_stay():
    code = """
    import os, signal
    os.closerange(0, 3)
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    os.kill(os.getpid(), signal.SIGSTOP)
    """
    assert run(code, wall_s=0.3).status == "wall limit"


@needs_bubblewrap
@pytest.mark.parametrize(
    "code",
    [
        "x = bytearray(1)\nwhile True: x += bytes(1 << 20)",
        # Behind a first thread that has ended: then /proc/PID/status says nothing of memory.
        """
        import ctypes, threading, time
        def take():
            time.sleep(0.1)
            kept = []
            while True:
                kept.append(bytearray(1 << 20))
                time.sleep(0.001)
        threading.Thread(target=take).start()
        ctypes.CDLL(None).syscall(60 if __import__("os").uname().machine == "x86_64" else 93, 0)
        """,
        # In several processes, each below the limit.
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0: break
        x = bytearray(b"x" * (40 << 20))
        time.sleep(100)
        """,
    ],
    ids=["malloc", "headless", "forks"],
)
def test_memory(code):
    outcome = run(code, memory_mb=128)
    assert outcome.status == "memory limit", outcome
    assert 128 < outcome.peak_memory_mb < 1000


@needs_bubblewrap
def test_memory_shared_after_a_fork_counts_once():
    code = """
    import os, time
    x = bytearray(b"x" * (60 << 20))
    for _ in range(4):
        if os.fork() == 0: time.sleep(0.5); os._exit(0)
    time.sleep(0.6)
    """
    outcome = run(code, memory_mb=128)
    assert (outcome.status, outcome.peak_memory_mb > 60) == ("ok", True), outcome


@needs_bubblewrap
def test_full_pipes_are_memory():
    code = """
    import os, time
    for _ in range(6):
        if os.fork() == 0:
            for _ in range(100):
                end = os.pipe()[1]
                os.set_blocking(end, False)
                try:
                    while os.write(end, bytes(4096)): pass
                except BlockingIOError: pass
            break
    time.sleep(1.5)
    print([int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")][0], flush=True)
    time.sleep(0.3)
    """
    outcome = run(code, wall_s=60, memory_mb=256)
    assert outcome.status == "ok", outcome
    held = 600 * 64 / 1024 + sum(map(int, outcome.stdout.split())) / 1024
    assert outcome.peak_memory_mb == pytest.approx(held, rel=0.1)
    assert run(code, wall_s=60, memory_mb=32).status == "memory limit"


@needs_bubblewrap
def test_mappings_without_memory_are_memory():
    """Each takes 200 bytes of the kernel's, and a process may have 65,530."""
    code = """
    import ctypes, os, time
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for _ in range(5):
        if os.fork() == 0: break
    start = libc.mmap(None, 4096 * 60_000, 0, 0x22, -1, 0)
    for page in range(0, 60_000, 2): libc.mprotect(start + 4096 * page, 4096, 1)
    time.sleep(5)
    """
    assert run(code, cpu_s=30, wall_s=60, memory_mb=64).status == "memory limit"


@needs_bubblewrap
def test_one_huge_allocation_is_refused():
    assert "MemoryError" in errors("bytearray(1 << 40)")


@needs_bubblewrap
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/out"])
def test_files_are_memory_and_limited(folder):
    code = f"""
    with open("{folder}/large", "wb") as one, open("{folder}/larger", "wb") as two:
        while True:
            one.write(bytes(1 << 16))
            two.write(bytes(1 << 16))
    """
    outcome = run(code, file_mb=8)
    assert outcome.status == "file size limit", outcome
    assert "No space left" in outcome.stderr.decode()
    code = f"import time; open('{folder}/x', 'wb').write(bytes(40 << 20)); time.sleep(5)"
    assert run(code, file_mb=64, memory_mb=32).status == "memory limit"


@needs_bubblewrap
def test_one_file():
    assert "File too large" in errors("open('/tmp/x', 'wb').truncate(1 << 40)")


@needs_bubblewrap
def test_many_empty_files_are_memory():
    code = "for n in range(10 ** 6): open(f'/tmp/{n}', 'w').close()"
    assert run(code, memory_mb=32, cpu_s=20, wall_s=20).status == "memory limit"


@needs_bubblewrap
@pytest.mark.parametrize(
    "code",
    [
        "import os; os.memfd_create('x')",
        "import mmap; mmap.mmap(-1, 1 << 20)",
        "open('/dev/zero', 'r+b')",
        "import ctypes; libc = ctypes.CDLL(None); assert libc.shmget(0, 1 << 20, 0o1600) >= 0",
        "import ctypes; libc = ctypes.CDLL(None); assert libc.semget(0, 32000, 0o1600) >= 0",
        "import ctypes; libc = ctypes.CDLL(None); assert libc.msgget(0, 0o1600) >= 0",
        "import socket; socket.socketpair()",
        "import ctypes, os; assert ctypes.CDLL(None).vmsplice(os.pipe()[1], 0, 0, 0) >= 0",
        "import fcntl, os; fcntl.fcntl(os.pipe()[1], 1031, 1 << 20)",
        "import select; select.epoll()",
        "import os; os.mkfifo('/tmp/fifo')",
        "import os; open('/tmp/x', 'w'); os.setxattr('/tmp/x', 'user.x', bytes(1000))",
    ],
    ids=[
        *("memfd", "shared mapping", "/dev/zero", "shmget", "semget", "msgget", "socket buffers", "vmsplice"),
        *("larger pipes", "epoll", "named pipes", "attributes"),
    ],
)
def test_memory_that_is_in_no_processs_account_is_refused(code):
    assert run(code).status == "exit"


@needs_bubblewrap
def test_a_fork_bomb():
    outcome = run("import os\nwhile True:\n try: os.fork()\n except OSError: pass")
    assert outcome.status == "process limit"
    assert outcome.wall_s < 5


@needs_bubblewrap
def test_the_kernel_counts_processes_too():
    code = """
    import os, signal
    made = 0
    try:
        while made < 1000:
            if os.fork() == 0: signal.pause()
            made += 1
    except OSError:
        os.write(1, b"%d" % made)
    signal.pause()
    """
    outcome = run(code)
    assert outcome.status == "process limit"
    assert outcome.stdout in (b"", b"%d" % SHORT["processes"])  # besides itself: one too many, for the watcher to see


@needs_bubblewrap
def test_much_output_is_cut():
    outcome = run("import sys\nfor stream in (sys.stdout, sys.stderr): stream.write('x' * 200_000)")
    assert outcome.status == "ok"
    assert (outcome.stdout, outcome.stderr) == (b"x" * 16384, b"x" * 16384)


@needs_bubblewrap
def test_a_flood_of_output():
    outcome = run("while True: print('x' * 10_000)")
    assert outcome.status == "output limit"
    assert outcome.stdout == (b"x" * 10_000 + b"\n") + b"x" * 6383
    assert outcome.wall_s < 5


# What stays.


def processes_named(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


@needs_bubblewrap
@pytest.mark.parametrize("end", ["os._exit(0)", "time.sleep(100)"])
def test_nothing_is_left_running(end):
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    code = f"""
    import os, signal, time  # {marker}
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            time.sleep(100)
        os._exit(0)
    time.sleep(0.2)
    {end}
    """
    outcome = run(code, wall_s=0.6)
    assert outcome.status == ("ok" if "exit" in end else "wall limit")
    assert outcome.wall_s < 3
    assert processes_named(marker) == []


@needs_bubblewrap
@pytest.mark.parametrize("target", [0, -1, "os.getpgid(0)"])
def test_signals_to_groups_stay_inside(target):
    code = f"""
    import os, signal
    try:
        os.kill({target}, signal.SIGTERM) if {target!r} in (0, -1) else os.killpg({target}, signal.SIGTERM)
    except OSError: pass
    """
    caught = []
    before = signal.signal(signal.SIGTERM, lambda *_: caught.append(1))
    try:
        assert run(code).status in ("ok", "signal", "exit")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == []


@needs_bubblewrap
def test_a_killed_grader_leaves_nothing_running(tmp_path):
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    script = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from autograder.sandbox.run import *
code = "import time; print('{marker}'); time.sleep(100)"
run_in_sandbox([PYTHON, "-I", "-S", "-c", code], inputs={{}}, limits=Limits())
"""
    path = tmp_path / "grader.py"
    path.write_text(script)
    grader = subprocess.Popen([sys.executable, str(path)])
    assert _within(20, lambda: processes_named(marker))
    grader.kill()
    grader.wait()
    assert _within(10, lambda: not processes_named(marker))


def _within(seconds: float, condition) -> bool:
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(found)


@needs_bubblewrap
def test_sandboxes_beside_each_other_do_not_see_each_other():
    code = """
    import os, time
    open("/tmp/mine", "w").write("x")
    time.sleep(0.3)
    print(sorted(os.listdir("/tmp")), [name for name in os.listdir("/proc") if name.isdigit()])
    """
    results = []
    threads = [threading.Thread(target=lambda: results.append(printed(code))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = {Path(folder).name for folder in bubblewrap.kept_folders()}  # where this Python's environment is below /tmp
    assert results == [f"{sorted({'mine', *kept})} ['1', '2']\n"] * 4


@needs_bubblewrap
def test_no_descriptors_and_no_folders_are_left(monkeypatch):
    made = []

    @contextlib.contextmanager
    def make_scratch():
        with bubblewrap.make_scratch() as folder:
            made.append(folder)
            yield folder

    monkeypatch.setattr(sandbox_run, "make_scratch", make_scratch)
    run("pass")
    before = len(os.listdir("/proc/self/fd"))
    run("import time; time.sleep(5)", wall_s=0.1)
    run("open('/out/x', 'w')", outputs={"x"})
    assert len(os.listdir("/proc/self/fd")) == before
    assert [folder.exists() for folder in made] == [False] * 3


# The folder that it leaves.


@needs_bubblewrap
def test_the_output_folder_is_hostile():
    code = """
    import os
    os.chdir("/out")
    os.symlink("/etc/shadow", "link")
    os.symlink("good", "inner")
    os.mkdir("folder")
    open("sparse", "wb").truncate(8 << 20)
    open("good", "w").write("good")
    open("twice", "w").write("x")
    os.link("twice", "other")
    open("closed", "w").write("mine")
    os.chmod("closed", 0)
    open("../out/\\x1b[31m", "w").close()
    """
    names = {"link", "inner", "folder", "sparse", "good", "twice", "none", "closed"}
    outcome = run(code, outputs=names, file_mb=8)
    assert outcome.status == "ok", outcome
    problems = list(outcome.problems)
    assert problems.pop().startswith("not asked for: 2 other files (")
    assert "\x1b" not in "".join(outcome.problems)
    if os.geteuid() == 0:
        assert outcome.evidence == {"good": b"good", "closed": b"mine"}
    else:
        assert outcome.evidence == {"good": b"good"}
        assert problems.pop(0) == "closed: can't be read: Permission denied"
    assert problems == [
        "folder: not a regular file",
        "inner: not a regular file",
        "link: not a regular file",
        "none: missing",
        f"sparse: too large: 8,388,608 bytes where {(8 << 20) - len(b''.join(outcome.evidence.values())):,} are left",
        "twice: has more than one name",
    ]


def test_nothing_is_waited_for_in_the_output_folder(tmp_path):
    """What code without a sandbox could leave there."""
    os.mkfifo(tmp_path / "fifo")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(tmp_path / "socket"))
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, folder := os.open(tmp_path, os.O_RDONLY))
        files, problems = take_files(folder, {"fifo", "socket"}, 1000)
    assert (files, problems) == ({}, ["fifo: not a regular file", "socket: not a regular file"])


@needs_bubblewrap
def test_many_files_in_the_output_folder():
    outcome = run("for n in range(3000): open(f'/out/{n}', 'w').close()", outputs={"0"})
    assert outcome.evidence == {"0": b""}
    assert outcome.problems[0].startswith("not asked for: more than 1000 other files")


@needs_bubblewrap
def test_the_output_folder_without_rights():
    outcome = run("import os; open('/out/x', 'w').close(); os.chmod('/out', 0)", outputs={"x"})
    assert outcome.status == "ok"


# Who runs it.


@needs_bubblewrap
@pytest.mark.skipif(os.geteuid() != 0, reason="not root: the other tests say it")
def test_an_ordinary_user_can_run_it():
    python = shutil.which("python3", path="/usr/bin")
    script = """
import sys
from autograder.sandbox.run import *
for code in ("import os; print(os.getuid()); open('/out/x', 'w').write('y')", "while True: pass",
             "x = []\\nwhile True: x.append(bytearray(1 << 20))",
             "import os\\nwhile True:\\n try: os.fork()\\n except OSError: pass"):
    limits = Limits(cpu_s=0.3, wall_s=5, memory_mb=64, processes=8)
    outcome = run_in_sandbox([PYTHON, "-I", "-S", "-c", code], inputs={"a": b"b"}, outputs={"x"}, limits=limits)
    print(outcome.status, outcome.evidence, outcome.stdout, outcome.stderr[:200] * (outcome.status == "sandbox failed"))
"""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    user = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/", "env": environment}
    can_import = "import sys, autograder; sys.exit(sys.version_info < (3, 10))"
    if python is None or subprocess.run([python, "-c", can_import], capture_output=True, **user).returncode != 0:
        pytest.skip("no Python that an ordinary user can run here")
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, **user)
    assert done.stderr == ""
    first, *others = done.stdout.splitlines()
    assert first == "ok {'x': b'y'} b'1000\\n' b''"
    assert [line.partition(" {")[0] for line in others] == ["cpu limit", "memory limit", "process limit"]


def test_without_bubblewrap_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CourseError, match="apt-get install bubblewrap"):
        run("pass")


@needs_bubblewrap
def test_a_sandbox_that_can_not_be_made(monkeypatch):
    monkeypatch.setattr(bubblewrap, "_DEVICES", ("/dev/no-such-device",))
    outcome = run_in_sandbox([PYTHON, "-c", "pass"], inputs={}, limits=Limits())
    assert outcome.status == "sandbox failed"
    assert b"no-such-device" in outcome.stderr


# Without a sandbox.


def test_unsafe_runs_and_says_so():
    code = "import os, sys; open(sys.argv[2] + '/x', 'w').write(open(sys.argv[1]).read()); print(list(os.environ))"
    outcome = run_in_sandbox(
        [PYTHON, "-I", "-S", "-c", code, "/in/a/b.txt", "/out"],
        inputs={"a/b.txt": b"hello"},
        outputs={"x"},
        limits=Limits(**SHORT),
        unsafe=True,
        own_code=True,
    )
    assert (outcome.status, outcome.evidence, outcome.sandboxed) == ("ok", {"x": b"hello"}, False), outcome
    assert b"PYTEST" not in outcome.stdout


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", "exit"),
        ("import os; os.abort()", "signal"),
        ("import time; time.sleep(100)", "wall limit"),
        ("while True: pass", "cpu limit"),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory limit"),
        ("import os, time\nfor _ in range(30):\n if os.fork() == 0: time.sleep(100)\ntime.sleep(100)", "process limit"),
        ("while True: print('x' * 10_000)", "output limit"),
    ],
)
def test_unsafe_keeps_limits(code, status):
    assert run(code, unsafe=True, cpu_s=0.5, wall_s=1.5 if status == "wall limit" else 60).status == status


def test_unsafe_waits_for_nobody_who_got_away():
    code = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(3)
        os._exit(0)
    """
    begin = time.monotonic()
    assert run(code, unsafe=True).status == "ok"
    assert time.monotonic() - begin < 2


def test_unsafe_kills_what_is_known_to_be_left():
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    code = f"import os, time\nif os.fork() == 0: os.setsid(); time.sleep(100)\ntime.sleep(0.2)  # {marker}"
    assert run(code, unsafe=True).status == "ok"
    assert processes_named(marker) == []
