"""The fork server's program: imports what takes long, then forks a child into namespaces of its own for each job.

It runs inside a sandbox, as `python -I -c`. A job comes as three descriptors over the socket that is its stdin; what
the job is, only the child reads, so that nothing of one job is in the memory that the next one is forked from. The
child that knows the server's socket makes the namespaces; a grandchild is their process 1; the student's code runs in
that one's child, without capabilities, and can reach neither.
"""

import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import struct
import sys
import threading
import traceback

from confine import check, libc, lower_limits, refuse_calls, refuse_huge_pages  # which `program_text` puts before this

NAMESPACES = 0x10000000 | 0x20000 | 0x20000000 | 0x08000000 | 0x04000000 | 0x40000000  # user mnt pid ipc uts net
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
OPEN_TREE, OPEN_TREE_CLONE, AT_RECURSIVE = 428, 1, 0x8000
MOVE_MOUNT, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 429, 4, -100
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 4, 24, 47, 4
CAPABILITY_VERSION = 0x20080522


def main() -> None:
    """Read the settings (JSON) from the command line, import, and fork for each job until the socket closes."""
    settings = json.loads(sys.argv[1])
    sys.path[:0] = settings["path"]
    for name in settings["imports"]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the collector of every child touches, and so copies, all of it
    with socket.socket(fileno=os.dup(0)) as jobs:
        jobs.sendall(b"ready")
        while True:
            message, descriptors, _, _ = socket.recv_fds(jobs, 1, 3)
            if not message:
                return
            try:
                if os.fork() == 0:
                    _in_child(_start_job, *descriptors, message == b"g")
            except OSError as error:  # as many processes as there may be: the next job may have more luck
                os.write(descriptors[2], str(error).encode())
            for descriptor in descriptors:
                os.close(descriptor)
            _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _in_child(function, *arguments) -> None:
    """Call a function that never returns to the server's loop, whatever happens."""
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _start_job(home: int, stdout: int, stderr: int, is_grouped: bool) -> None:
    nothing = os.open("/dev/null", os.O_RDONLY)
    for number, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, number)
    home = os.dup2(home, 200)
    os.closerange(3, 200)
    os.closerange(201, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if is_grouped:
        _be_grouped(home)
    user, group = os.getuid(), os.getgid()
    check(libc.unshare(NAMESPACES), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        _write(f"/proc/self/{name}", text.encode())
    first = os.fork()
    if first == 0:
        _in_child(_be_first, home)
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    os.write(home, struct.pack("=i", status if status >= 0 else 128 - status))
    os._exit(0)


def _be_grouped(home: int) -> None:
    """Have the grader put this process into the job's control group, and wait until the job itself comes."""
    with socket.socket(fileno=os.dup(home)) as channel:
        socket.send_fds(channel, [b"p"], [os.pidfd_open(os.getpid())])
        channel.recv(1, socket.MSG_PEEK)


def _be_first(home: int) -> None:
    """Be process 1: set up what is seen, start the student's code, and reap until that has ended."""
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # which process 1 is spared
    with socket.socket(fileno=home) as channel, channel.makefile("rb") as stream:
        job = json.loads(stream.readline())
        _write("/proc/sys/user/max_user_namespaces", b"0")
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
        kept = [(place, _take_hold(place)) for place in job["kept"]]
        for folder, size in job["tmpfs_bytes"].items():
            _mount("tmpfs", folder, MS_NOSUID | MS_NODEV, f"mode=0700,size={size}")
        for place, tree in kept:
            os.mkdir(place)
            _put_back(tree, place)
        for name, size in job["inputs"]:
            os.makedirs(os.path.dirname(f"/in/{name}"), exist_ok=True)
            _write(f"/in/{name}", stream.read(size), os.O_CREAT | os.O_EXCL)
        check(libc.mount(None, b"/in", None, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, None), "remount /in")
        _mount("proc", "/proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "")
        folders = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/proc", "/out", "/tmp")]
        socket.send_fds(channel, [b"ready"], [os.pidfd_open(1), *folders])
    os.closerange(3, 300)
    _drop_capabilities()
    os.setsid()
    refuse_huge_pages()
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # so that its memory is no file that the job can open
    job_pid = os.fork()
    if job_pid == 0:
        _be_the_job(job)
    while True:
        pid, status = os.wait()
        if pid == job_pid:
            status = os.waitstatus_to_exitcode(status)
            os._exit(status if status >= 0 else 128 - status)


def _be_the_job(job: dict) -> None:
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.umask(0o077)
        os.chdir("/tmp")
        os.environ.clear()
        os.environ.update(job["environment"])
        lower_limits(job["limits"])
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # the watcher may be no root, and reads its memory's size
        refuse_calls(bytes.fromhex(job["filter"]))
        sys.argv = [job["script"], *job["arguments"]]
        runpy.run_path(job["script"], run_name="__main__")
        status = 0
        for thread in threading.enumerate():  # as Python does at its end
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = (end.code or 0) & 0xFF
        else:
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _drop_capabilities() -> None:
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails beyond the kernel's last one
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    check(libc.capset(header, bytes(24)), "capset")


def _take_hold(place: str) -> int:
    """Give a descriptor of a copy of what is mounted at a place, and below it."""
    tree = libc.syscall(OPEN_TREE, AT_FDCWD, place.encode(), OPEN_TREE_CLONE | AT_RECURSIVE)
    check(tree, f"taking hold of {place}")
    return tree


def _put_back(tree: int, place: str) -> None:
    """Mount what `_take_hold` gave."""
    check(libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, place.encode(), MOVE_MOUNT_F_EMPTY_PATH), f"mounting {place}")


def _mount(kind: str, place: str, flags: int, options: str) -> None:
    done = libc.mount(kind.encode(), place.encode(), kind.encode(), flags, options.encode())
    check(done, f"a mount on {place}")


def _write(path: str, content: bytes, flags: int = 0) -> None:
    file = os.open(path, os.O_WRONLY | flags, 0o444)
    try:
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


if __name__ == "__main__":
    main()
