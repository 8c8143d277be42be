"""What is done before bubblewrap starts: join a control group and, as root, show files to an ordinary user, and be one.

As root, kernel settings under /proc/sys could still be opened for writing and RLIMIT_NPROC would not count. But the
user may not be able to reach what it must read, such as a Python below /root: so those folders are bound to places
that it can reach, in a mount namespace that ends with it. It runs as `python -I -S -c` (threads of the grader's would
make a preexec_fn unsafe), and so imports nothing but the standard library.
"""

import ctypes
import json
import os
import sys

from confine import libc  # which `program_text` puts before this

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18


def main() -> None:
    """Read the settings (JSON) from the command line, join the group, become the user, and exec bubblewrap."""
    settings = json.loads(sys.argv[1])
    if settings["group"] is not None:
        with open(settings["group"], "w") as group:
            group.write("0")
    if settings["user"] is not None:
        _become(settings["user"], settings["binds"])
    os.execve(settings["command"][0], settings["command"], {})


def _become(user: int, binds: list[tuple[str, str]]) -> None:
    _check(libc.unshare(CLONE_NEWNS), "making a mount namespace")
    _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "making mounts private")
    for source, place in binds:
        done = libc.mount(os.fsencode(source), os.fsencode(place), None, MS_BIND | MS_REC, None)
        _check(done, f"binding {source}")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _check(result: int, what: str) -> None:
    if result != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(f"{what}: {reason}; run the grader as an ordinary user, or as root with CAP_SYS_ADMIN")


if __name__ == "__main__":
    main()
