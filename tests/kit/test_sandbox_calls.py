"""The system calls: what no student's code may make is refused, in both kinds of sandbox, and PyTorch works."""

import json
import platform
import textwrap
from pathlib import Path

import pytest
from conftest import needs_bubblewrap

from autograder.sandbox import seccomp
from autograder.sandbox.limits import Limits, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import ForkServer
from coursekit.errors import CourseError

# Name, number on x86-64 and on AArch64.
REFUSED = """
semget 64 190, semctl 66 191, semop 65 193, shmget 29 194, shmat 30 196, msgget 68 186, msgctl 71 187,
mq_open 240 180, vmsplice 278 75, tee 276 77, splice 275 76, sendfile 40 71, copy_file_range 326 285,
socket 41 198, socketpair 53 199, bind 49 200, connect 42 203, listen 50 201, accept4 288 242, flock 73 32,
inotify_init1 294 26, inotify_add_watch 254 27, fanotify_init 300 262, fanotify_mark 301 263, io_setup 206 0,
io_submit 209 2, io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, modify_ldt 154 -,
personality 135 92, landlock_create_ruleset 444 444, landlock_restrict_self 446 446, userfaultfd 323 282,
bpf 321 280, perf_event_open 298 241, add_key 248 217, request_key 249 218, keyctl 250 219, memfd_create 319 279,
memfd_secret 447 447, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, pidfd_getfd 438 438,
kcmp 312 272, process_madvise 440 440, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51,
fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, open_tree 428 428, move_mount 429 429,
mount_setattr 442 442, statmount 457 457, listmount 458 458, setns 308 268, unshare 272 97, quotactl 179 60,
quotactl_fd 443 443, swapon 167 224, swapoff 168 225, acct 163 89, syslog 103 116, name_to_handle_at 303 264,
open_by_handle_at 304 265, epoll_create1 291 20, signalfd4 289 74, timer_create 222 107,
timerfd_create 283 85, mknodat 259 33, setxattr 188 5, fsetxattr 190 7, mlock 149 228, mlockall 151 230,
seccomp 317 277, sync 162 81, syncfs 306 267, preadv2 327 286, cachestat 451 451, readahead 187 213,
mincore 27 232, set_mempolicy 238 237, move_pages 279 239, remap_file_pages 216 234, kexec_load 246 104,
init_module 175 105, delete_module 176 106, reboot 169 142, sethostname 170 161, iopl 172 -, adjtimex 159 171,
clock_settime 227 112, setuid 105 146, setgroups 116 159, capset 126 91, lookup_dcookie 212 18, vhangup 153 58,
sched_setscheduler 144 119, ioprio_set 251 30
"""
MACHINES = ("x86_64", "aarch64")
LIMITS = Limits(cpu_s=60, wall_s=120, memory_mb=2048, processes=64, file_mb=64)
ROOM = "buffer = ctypes.create_string_buffer(4096)"


@pytest.fixture(scope="module", params=["by itself", "a job"])
def run(request):
    """Run a program in a sandbox of its own, or in one that the fork server makes."""
    if request.param == "by itself":
        yield lambda code, *flags: run_in_sandbox(
            [PYTHON, "-I", *flags, "-c", textwrap.dedent(code)], inputs={}, limits=LIMITS
        )
        return
    with ForkServer(["ctypes"]) as server:
        yield lambda code, *_: server.run(
            "/in/main.py", inputs={"main.py": textwrap.dedent(code).encode()}, limits=LIMITS
        )


def printed(outcome: Outcome) -> str:
    assert outcome.status == "ok", outcome
    return outcome.stdout.decode()


def errors_of(run, calls: dict[str, list]) -> dict[str, str]:
    """Make system calls: what it is called -> its number and its arguments ("room" is a pointer to some memory)."""
    code = f"""
    import ctypes, errno, json
    libc = ctypes.CDLL(None, use_errno=True)
    {ROOM}
    for name, (number, *arguments) in json.loads({json.dumps(json.dumps(calls))}).items():
        given = [buffer if one == "room" else ctypes.c_long(one) for one in arguments]
        done = libc.syscall(ctypes.c_long(number), *given)
        print(name, errno.errorcode[ctypes.get_errno()] if done == -1 else "allowed", sep=":", flush=True)
    """
    return dict(line.split(":") for line in printed(run(code, "-S")).splitlines())


def number(x86_64: int, aarch64: int) -> int:
    return (x86_64, aarch64)[MACHINES.index(platform.machine())]


pytestmark = pytest.mark.skipif(platform.machine() not in MACHINES, reason="a machine that the sandbox doesn't know")


@needs_bubblewrap
def test_what_nobody_needs_is_refused(run):
    calls = {}
    for name, *numbers in (entry.split() for entry in REFUSED.split(",")):
        if (own := numbers[MACHINES.index(platform.machine())]) != "-":
            calls[name] = [int(own), 0, 0, 0, 0, 0, 0]
    assert len(calls) > 90
    assert set(errors_of(run, calls).items()) == {(name, "EPERM") for name in calls}


@needs_bubblewrap
def test_sockets_of_every_family_are_refused(run):
    stream, datagram, raw = 1, 2, 3
    calls = {
        f"{family} {kind}": [number(41, 198), family, kind, 0]
        for family in range(50)
        for kind in (stream, datagram, raw)
    }
    calls |= {f"pair {family}": [number(53, 199), family, stream, 0, "room"] for family in range(50)}
    assert set(errors_of(run, calls).values()) == {"EPERM"}


@needs_bubblewrap
def test_locks_leases_and_larger_pipes_are_refused(run):
    fcntl = number(72, 25)
    getlk, setlk, setlkw, setown, setsig, open_locks = 5, 6, 7, 8, 10, (36, 37, 38)
    setlease, getlease, notify, setpipe_sz, add_seals, hints = 1024, 1025, 1026, 1031, 1033, (1036, 1038)
    refused = (
        getlk,
        setlk,
        setlkw,
        setown,
        setsig,
        *open_locks,
        setlease,
        getlease,
        notify,
        setpipe_sz,
        add_seals,
        *hints,
    )
    errors = errors_of(run, {str(command): [fcntl, 0, command, "room"] for command in refused})
    assert set(errors.values()) == {"EPERM"}, errors


@needs_bubblewrap
def test_some_uses_of_a_call_are_refused(run):
    clone, clone3, mmap = number(56, 220), 435, number(9, 222)
    prctl, ioctl, sigaction, madvise = number(157, 167), number(16, 29), number(13, 134), number(28, 233)
    sigchld, namespaces = 17, {"mnt": 17, "uts": 26, "ipc": 27, "user": 28, "pid": 29, "net": 30, "cgroup": 25}
    refused = {f"clone {name}": [clone, 1 << bit | sigchld, 0, 0, 0, 0] for name, bit in namespaces.items()}
    refused |= {f"mmap {flags}": [mmap, 0, 4096, 3, flags, -1, 0] for flags in (0x21, 0x23, 0x8021, 0x1_0000_0021)}
    refused |= {f"prctl {option}": [prctl, option, 0, 0, 0, 0] for option in (4, 22, 24, 36, 41, 47, 55, 65)}
    refused |= {f"ioctl {command:x}": [ioctl, 0, command, "room"] for command in (0x5412, 0x541C, 0x4B3A, 0x6602)}
    refused |= {"ignoring SIGCHLD": [sigaction, sigchld, "room", 0, 8]}
    errors = errors_of(run, {**refused, "clone3": [clone3, "room", 88], "x32": [0x4000_0000 | 39], "new": [468]})
    assert {name: errors.pop(name) for name in ("clone3", "x32", "new")} == dict.fromkeys(
        ("clone3", "x32", "new"), "ENOSYS"
    )
    assert set(errors.values()) == {"EPERM"}, errors
    allowed = {
        "asking what SIGCHLD does": [sigaction, sigchld, 0, "room", 8],
        "ignoring SIGUSR1": [sigaction, 10, "room", 0, 8],
        "private memory": [mmap, 0, 4096, 3, 0x22, -1, 0],
        "its name": [prctl, 16, "room", 0, 0, 0],
        "no advice": [madvise, 0, 0, 0],
    }
    assert set(errors_of(run, allowed).values()) == {"allowed"}


@needs_bubblewrap
def test_huge_pages_are_off(run):
    """Of a huge page, what is unmapped again stays, and is in nobody's account."""
    read = """
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(status.get("THP_enabled", "0").strip())
    """
    assert printed(run(read, "-S")) == "0\n"


@needs_bubblewrap
def test_python_numpy_and_pytorch_work(run):
    code = """
    import multiprocessing, os, random, signal, subprocess, sys, tempfile, threading, time
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    import numpy as np
    import torch, torchvision
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    torch.set_num_threads(2)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    optimizer = torch.optim.Adam(net.parameters())
    images = TensorDataset(torch.randn(64, 1, 28, 28), torch.arange(64) % 10)
    for x, y in DataLoader(images, 16, shuffle=True, num_workers=0):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(net.state_dict(), Path(folder, "net.pt"))
        net.load_state_dict(torch.load(Path(folder, "net.pt")))
        np.savez(Path(folder, "x.npz"), x=np.ones(100_000))
        Path(folder, "x.npz").rename(Path(folder, "y.npz"))
        assert np.load(Path(folder, "y.npz"))["x"].sum() == 100_000
        Path(folder, "link").symlink_to("y.npz")
        __import__("shutil").copytree(folder, folder + "-copy")
    np.linalg.svd(np.random.randn(200, 200)), torch.linalg.svd(torch.randn(100, 100))
    random.random(), os.urandom(8), time.sleep(0.01), time.process_time(), os.sched_getaffinity(0)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(abs, [-1, -2])) == [1, 2]
    assert subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True).stdout == b"7\\n"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
    signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    print(loss.isfinite().item())
    """
    assert printed(run(code)) == "alarm\nTrue\n"


# The filter by itself.


@pytest.mark.parametrize("machine", MACHINES)
def test_the_table_has_a_number_once(monkeypatch, machine):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: machine)
    for allowed in (seccomp._ALLOWED, f"{seccomp._ALLOWED}, {seccomp._OF_SETUP}"):
        numbers = seccomp._numbers(allowed, MACHINES.index(machine))
        assert len(numbers) == len(set(numbers)) > 100
    refused = seccomp._numbers(REFUSED, MACHINES.index(machine))
    assert not set(refused) & set(seccomp._numbers(seccomp._ALLOWED, MACHINES.index(machine)))
    assert 8 * 64 < len(seccomp.job_filter()) < 8 * 4096  # what the kernel takes


def test_the_numbers_are_this_machines():
    """As the C library's own header has them, where there is one."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != "x86_64" or not header.is_file():
        pytest.skip("no header of system calls here")
    lines = header.read_text().splitlines()
    numbers = {line.split()[1]: line.split()[2] for line in lines if line.startswith("#define __NR_")}
    for table in (seccomp._ALLOWED, seccomp._OF_SETUP, REFUSED):
        for name, here, _ in (entry.split() for entry in table.split(",")):
            assert here == "-" or numbers.get(f"__NR_{name}", here) == here, name  # a header may be older than a call


def test_an_unknown_machine_is_one_line(monkeypatch):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    with pytest.raises(CourseError, match="not riscv64"):
        seccomp.job_filter()
