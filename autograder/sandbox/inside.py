"""The first program in the sandbox: hands out what the watcher needs, lowers its own limits, becomes the command.

It runs as `python -I -S -c`, before any code of a student's, and so imports nothing but the standard library.
"""

import json
import os
import resource
import signal
import socket
import sys

from confine import lower_limits, refuse_calls, refuse_huge_pages  # which `program_text` puts before this


def main() -> None:
    """Read the settings (JSON) from the command line, send four descriptors home, and exec the command."""
    settings = json.loads(sys.argv[1])
    if "socket" in settings:  # else nobody watches, or from outside
        with socket.socket(fileno=settings["socket"]) as home:
            folders = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in ("/proc", settings["output"], "/tmp")]
            socket.send_fds(home, [b"ready"], [os.pidfd_open(1), *folders])
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.umask(0o077)
    os.chdir(settings["folder"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Only here, in the user namespace, does RLIMIT_NPROC count this sandbox's processes and nobody else's.
    lower_limits(settings["limits"])
    if "filter" in settings:
        refuse_huge_pages()
        refuse_calls(bytes.fromhex(settings["filter"]))
    try:
        os.execve(settings["command"][0], settings["command"], settings["environment"])
    except OSError as error:
        print(f"{settings['command'][0]}: can't be run: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
