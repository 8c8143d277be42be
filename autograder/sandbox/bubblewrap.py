"""The command line that puts a program into a sandbox: what it sees is an allow-list."""

import json
import os
import shutil
import site
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from autograder.sandbox.limits import MB, Limits
from autograder.sandbox.seccomp import job_filter
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
_TEMPORARY = "/tmp"
_SHARED_MEMORY = "/dev/shm"  # a link to _TEMPORARY, so that one size limits both
_HERE = Path(__file__).resolve().parent
_REPOSITORY = _HERE.parents[1]
# What an environment holds where the kit is installed in it, and no student is to see; the probes come from elsewhere.
_OWN_PACKAGES = ("autograder", "benchmarks", "code_analyze", "codes", "coursekit", "reference_solution", "tests")
_OWN_RECORDS = "coursekit-*.dist-info"
_POINTERS = ("*.pth", "*.egg-link", "__editable__*")  # name the repository, where it is installed as it lies
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
    group: Path | None = None,
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
        seccomp: the descriptor of a file with `seccomp.setup_filter`; a student's code gets the other one in addition.
        group: the file that makes a process that is written to it one of a control group's.
    Returns:
        a command for an ordinary user where the caller is one; where it is root, one that becomes one.
    Raises:
        CourseError: no bubblewrap, or something that an ordinary user can't be shown.
    """
    bubblewrap = find_bubblewrap()
    sources = {**dict(_python_folders()), **dict(_hidden(scratch)), **inputs}
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
        settings |= {"socket": home, "filter": job_filter().hex()}
    program = [
        *(bubblewrap, *_NAMESPACES, "--unshare-cgroup-try", "--new-session", "--die-with-parent"),
        *(["--disable-userns"] if home is not None else []),
        *("--uid", _USER_INSIDE, "--gid", _USER_INSIDE, "--hostname", "sandbox", "--cap-drop", "ALL", "--clearenv"),
        *("--seccomp", str(seccomp)),
        *_view(sources, tmpfs_bytes),
        *(["--remount-ro", "/proc"] if home is not None else []),
        *("--remount-ro", "/", "--chdir", _TEMPORARY),
        *("--", _interpreter(), "-I", "-S", "-c", program_text("inside"), json.dumps(settings)),
    ]
    if user is None and group is None:
        return program
    before = {"user": user, "binds": binds, "group": None if group is None else str(group), "command": program}
    return [sys.executable, "-I", "-S", "-c", program_text("outside"), json.dumps(before)]


def program_text(name: str) -> str:
    """Give the text of a program of this folder for `python -c`, with `confine` before it for it to import."""
    shared, program = ((_HERE / f"{part}.py").read_text("utf-8") for part in ("confine", name))
    return (
        f"import sys, types\nsys.modules['confine'] = types.ModuleType('confine')\n"
        f"exec({shared!r}, vars(sys.modules['confine']))\n{program}"
    )


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
        "RLIMIT_SIGPENDING": 256,
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
    yield from ("--symlink", _TEMPORARY, _SHARED_MEMORY, "--proc", "/proc")
    for folder in (_TEMPORARY, OUTPUT):
        yield from ("--perms", "0700", "--size", str(tmpfs_bytes), "--tmpfs", folder)
    kept = kept_folders(sources)
    for folder in kept:
        yield from ("--perms", "0755", "--tmpfs", folder)
    yield from ("--dir", INPUTS)
    for place in sorted(sources):  # a folder comes before what lies in it
        yield from ("--ro-bind", str(sources[place]), _inside(place))
    if sys.executable != _interpreter():
        yield from ("--symlink", _interpreter(), _inside(sys.executable))
    for folder in kept:
        yield from ("--remount-ro", folder)


def kept_folders(places: Iterable[str] | None = None) -> list[str]:
    """Name the folders of /tmp that an environment which lies there needs: they are seen in the private /tmp, too.

    Args:
        places: all that is to be seen; by default what Python needs.
    """
    places = [*(dict(_python_folders()) if places is None else places), sys.executable]
    below = [
        Path(place).relative_to(_TEMPORARY) for place in map(_inside, places) if place.startswith(f"{_TEMPORARY}/")
    ]
    return sorted({f"{_TEMPORARY}/{path.parts[0]}" for path in below})


def _inside(place: str) -> str:
    """Where something is mounted that is to be seen at a place: nothing can be mounted below a link."""
    return _TEMPORARY + place.removeprefix(_SHARED_MEMORY) if place.startswith(f"{_SHARED_MEMORY}/") else place


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


def _hidden(scratch: Path) -> Iterator[tuple[str, Path]]:
    """Give what stands in the place of our own in an environment that has the kit: nothing at all."""
    folder, file = scratch / "no-folder", scratch / "no-file"
    folder.mkdir()
    folder.chmod(0o755)
    file.touch()
    file.chmod(0o644)
    for packages in map(Path, site.getsitepackages([sys.prefix, sys.base_prefix])):
        for own in (*(packages / name for name in _OWN_PACKAGES), *packages.glob(_OWN_RECORDS)):
            if own.is_dir():
                yield str(own), folder
        for pointer in (path for pattern in _POINTERS for path in packages.glob(pattern)):
            if pointer.is_file() and ("coursekit" in pointer.name or os.fsencode(_REPOSITORY) in pointer.read_bytes()):
                yield str(pointer), file


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
    return scratch_folder("sandbox-", Path(_TEMPORARY))
