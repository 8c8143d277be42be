"""The command line that puts a program into a sandbox: what it sees is an allow-list."""

import json
import os
import shutil
import site
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from autograder.sandbox import inside, outside
from autograder.sandbox.limits import MB, Limits
from autograder.scratch import scratch_folder
from coursekit.errors import CourseError

INPUTS = "/in"
OUTPUT = "/out"

_LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32")
_LINKED_LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32")  # links to the former, or folders of their own
_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")  # no /dev/zero: it is a way to share memory without a file
_FILES = {
    "/etc/passwd": "student:x:1000:1000::/tmp:/bin/false\n",
    "/etc/group": "student:x:1000:\n",
}
_USER_INSIDE = "1000"
_FIRST_SPARE_USER = 2_000_000_000  # no distribution hands out ids from there on
_NOBODY = 65534
_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net")


def find_bubblewrap() -> str:
    """Find the program.

    Raises:
        CourseError: it isn't installed.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise CourseError(
            "bubblewrap is not installed, and without it a submission could read and change whatever you can; "
            "install it: apt-get install bubblewrap (dnf, pacman and zypper have it under the same name)"
        )
    return found


def sandbox_command(
    command: list[str],
    inputs: Mapping[str, Path],
    rlimits: Mapping[str, int],
    tmpfs_bytes: int,
    environment: Mapping[str, str],
    scratch: Path,
    home: int | None,
    seccomp: int,
) -> list[str]:
    """Make the command line that runs a command in a sandbox.

    Args:
        command: what to run inside.
        inputs: full path inside -> the file or folder that is seen there.
        rlimits: what `process_limits` gives.
        tmpfs_bytes: the size of /tmp, and of OUTPUT.
        environment: its environment variables, all of them.
        scratch: an empty folder for what the sandbox needs outside.
        home: the descriptor of the socket that `inside` reports to; None for the fork server, which runs no student's
            code: nobody watches it, and it may make namespaces of its own.
        seccomp: the descriptor of a file with the filter.
    Returns:
        a command for an ordinary user where the caller is one; where it is root, one that becomes one.
    Raises:
        CourseError: no bubblewrap, or something that an ordinary user can't be shown.
    """
    bubblewrap = find_bubblewrap()
    sources = {**dict(_python_folders()), **inputs}
    for place, text in _FILES.items():
        sources[place] = scratch / place.rpartition("/")[2]
        sources[place].write_text(text)
        sources[place].chmod(0o644)
    user, binds = None, []
    if os.geteuid() == 0:
        user = spare_user()
        sources, binds = _reachable(sources, scratch)
    settings = {
        "output": OUTPUT,
        "folder": "/tmp",
        "limits": dict(rlimits),
        "command": command,
        "environment": dict(environment),
    }
    if home is not None:
        settings["socket"] = home
    program = [
        *(bubblewrap, *_NAMESPACES, "--unshare-cgroup-try", "--new-session", "--die-with-parent"),
        *(["--disable-userns"] if home is not None else []),
        *("--uid", _USER_INSIDE, "--gid", _USER_INSIDE, "--hostname", "sandbox", "--cap-drop", "ALL", "--clearenv"),
        *("--seccomp", str(seccomp)),
        *_view(sources, tmpfs_bytes),
        *(["--remount-ro", "/proc"] if home is not None else []),
        *("--remount-ro", "/", "--chdir", "/tmp"),
        *("--", _interpreter(), "-I", "-S", "-c", Path(inside.__file__).read_text("utf-8"), json.dumps(settings)),
    ]
    if user is None:
        return program
    become = json.dumps({"user": user, "binds": binds, "command": program})
    return [sys.executable, "-I", "-S", "-c", Path(outside.__file__).read_text("utf-8"), become]


def process_limits(limits: Limits) -> dict[str, int]:
    """What the kernel enforces for each process by itself: names of `resource` -> values."""
    return {
        "RLIMIT_CPU": int(limits.cpu_s) + 2,  # the watcher comes first, and knows all processes
        "RLIMIT_FSIZE": limits.file_mb * MB,
        "RLIMIT_DATA": 2 * limits.memory_mb * MB,
        "RLIMIT_NPROC": limits.processes + 2,  # bubblewrap's process 1, and one more for the watcher to see
        "RLIMIT_NOFILE": 256,
        "RLIMIT_STACK": 8 * MB,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 8 * MB,
        "RLIMIT_MSGQUEUE": 0,
    }


def _view(sources: Mapping[str, Path], tmpfs_bytes: int) -> Iterator[str]:
    for folder in _LIBRARIES:
        yield from ("--ro-bind-try", folder, folder)
    for folder in _LINKED_LIBRARIES:
        if os.path.islink(folder):
            yield from ("--symlink", os.readlink(folder), folder)
        else:
            yield from ("--ro-bind-try", folder, folder)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    for device in _DEVICES:
        yield from ("--dev-bind", device, device)
    # /dev/shm leads to /tmp, so that one size limits both.
    yield from ("--symlink", "/tmp", "/dev/shm", "--proc", "/proc")
    for folder in ("/tmp", OUTPUT):
        yield from ("--perms", "0700", "--size", str(tmpfs_bytes), "--tmpfs", folder)
    # After /tmp, where an environment may lie; and a folder comes before what lies in it.
    yield from ("--dir", INPUTS)
    for place in sorted(sources):
        yield from ("--ro-bind", str(sources[place]), place)
    if sys.executable != _interpreter():
        yield from ("--symlink", _interpreter(), sys.executable)


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _python_folders() -> Iterator[tuple[str, Path]]:
    """Give what Python needs: the interpreter, its libraries, and the environment's packages, where they are."""
    yield _interpreter(), Path(_interpreter())
    shown = [Path(folder) for folder in _LIBRARIES]
    for prefix in dict.fromkeys([sys.base_prefix, sys.prefix]):
        for name in ("lib", "lib64"):
            folder = Path(prefix, name)
            if folder.is_dir() and not folder.is_symlink() and folder not in shown:
                yield str(folder), folder
    settings = Path(sys.prefix, "pyvenv.cfg")
    if settings.is_file():
        yield str(settings), settings
    for folder in map(Path, site.getsitepackages()):
        if folder.is_dir() and not any(folder.is_relative_to(above) for above in (*shown, sys.prefix, sys.base_prefix)):
            yield str(folder), folder


def _reachable(sources: Mapping[str, Path], scratch: Path) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Make a place in `scratch` for each source, which lies where an ordinary user can get to it."""
    places, binds = {}, []
    scratch.chmod(0o711)
    for number, (place, source) in enumerate(sources.items()):
        is_folder = source.is_dir()
        needed = 0o005 if is_folder else 0o004
        if source.stat().st_mode & needed != needed:
            raise CourseError(f"{source}: an ordinary user can't read it; chmod -R o+rX {source}")
        places[place] = scratch / f"bind{number}"
        places[place].mkdir() if is_folder else places[place].touch()
        binds.append((str(source.resolve()), str(places[place])))
    return places, binds


def spare_user() -> int:
    """Choose an ordinary user, and group, whom nothing belongs to: in a container there may be only few ids."""
    with open("/proc/self/uid_map") as users, open("/proc/self/gid_map") as groups:
        maps = [[tuple(map(int, line.split())) for line in file] for file in (users, groups)]
    wanted = _FIRST_SPARE_USER + os.getpid()
    has_wanted = all(any(first <= wanted < first + count for first, _, count in lines) for lines in maps)
    return wanted if has_wanted else _NOBODY


def make_scratch() -> AbstractContextManager[Path]:
    """Make a folder outside that an ordinary user can pass through: /tmp, whatever TMPDIR says."""
    return scratch_folder("sandbox-", Path("/tmp"))
