"""A fork server: many jobs for the price of one `import torch`, each in a sandbox of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from autograder.sandbox.bubblewrap import (
    INPUTS,
    OUTPUT,
    kept_folders,
    make_scratch,
    process_limits,
    program_text,
    sandbox_command,
)
from autograder.sandbox.cgroup import Group, control_group
from autograder.sandbox.limits import MB, SANDBOX_FAILED, Limits, Outcome
from autograder.sandbox.run import check_input_name, watch
from autograder.sandbox.seccomp import job_filter, setup_filter
from autograder.sandbox.start import ENVIRONMENT, StartedJob, StartError
from autograder.sandbox.tree import Tree
from coursekit.errors import CourseError

SHARED = "/shared"
ALONE, GROUPED = b"a", b"g"  # what is said with a job: whether it is to be put into a control group

_IMPORT_LIMIT_S = 120
_START_LIMIT_S = 30


class ForkServer:
    """A sandboxed process that has imported what takes long. Use it in a `with` statement; jobs may run at one time.

    Args:
        imports: modules to import, such as "torch"; no student's code.
        inputs: name below /shared -> a folder that every job sees there, read-only.
        path: folders below /shared to import from.
        environment: variables for the imports and for every job.
    """

    def __init__(
        self,
        imports: Sequence[str],
        *,
        inputs: Mapping[str, Path] | None = None,
        path: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ):
        self.imports = list(imports)
        self.inputs = {f"{SHARED}/{name}": folder for name, folder in (inputs or {}).items()}
        self.path = list(path)
        self.environment = {**ENVIRONMENT, "HOME": "/tmp", "TMPDIR": "/tmp", **(environment or {})}

    def __enter__(self) -> "ForkServer":
        """Start it and wait for its imports.

        Raises:
            CourseError: there is no bubblewrap, it fails, or an import does.
        """
        with contextlib.ExitStack() as stack:  # undone where the start fails
            self._scratch = Path(stack.enter_context(make_scratch()))
            self._start_server(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and every job with it."""
        self._stack.close()

    def _start_server(self, stack: contextlib.ExitStack) -> None:
        (self._scratch / "filter").write_bytes(setup_filter())
        settings = json.dumps({"imports": self.imports, "path": self.path})
        program = [sys.executable, "-I", "-c", program_text("forks"), settings]
        self._jobs, child = socket.socketpair()
        stack.callback(self._jobs.close)
        with child, (self._scratch / "filter").open("rb") as seccomp:
            command = sandbox_command(
                program, self.inputs, {"RLIMIT_CORE": 0}, MB, self.environment, self._scratch, None, seccomp.fileno()
            )
            process = subprocess.Popen(
                command,
                stdin=child,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=(seccomp.fileno(),),
                start_new_session=True,
            )
        stack.enter_context(process)  # waits for it,
        stack.callback(process.kill)  # once it is killed
        self._jobs.settimeout(_IMPORT_LIMIT_S)
        try:
            started = self._jobs.recv(5)
        except OSError:
            started = b""
        if started != b"ready":
            process.kill()
            reason = process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
            raise CourseError(f"the sandbox's server did not start: {reason[-1] if reason else 'no reason given'}")
        self._jobs.settimeout(_START_LIMIT_S)
        self._same_for_all = {"kept": kept_folders(), "filter": job_filter().hex()}

    def run(
        self,
        script: str,
        arguments: Sequence[str] = (),
        *,
        inputs: Mapping[str, bytes],
        limits: Limits,
        outputs: Collection[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a Python file as `run_in_sandbox` would, in a fork of the server; `atexit` functions are not called.

        Args:
            script: its path inside, below /in or /shared.
            arguments: what `sys.argv` holds after it.
            inputs: path below /in -> a file's content.
            limits: what it may use, the imports aside.
            outputs: names of the files in /out to take.
            environment: more variables for it; those that a library reads at its import come too late.
        Returns:
            how it ended, whatever it did.
        """
        for name in inputs:
            check_input_name(name)
        rlimits = process_limits(limits)
        job = {
            "script": script,
            "arguments": list(arguments),
            "environment": {**self.environment, **(environment or {})},
            "limits": {**rlimits, "RLIMIT_NPROC": rlimits["RLIMIT_NPROC"] + 1},  # whoever made the namespaces
            "tmpfs_bytes": {
                "/tmp": limits.file_mb * MB,
                OUTPUT: limits.file_mb * MB,
                INPUTS: MB + 2 * sum(map(len, inputs.values())),
            },
            "inputs": [(name, len(content)) for name, content in inputs.items()],
            **self._same_for_all,
        }
        with control_group(limits) as group:
            try:
                started = self._start(json.dumps(job).encode() + b"\n" + b"".join(inputs.values()), group)
            except StartError as error:
                return Outcome(SANDBOX_FAILED, stderr=str(error).encode())
            with contextlib.closing(started):
                return watch(started, limits, outputs, group, sandboxed=True)

    def _start(self, job: bytes, group: Group | None) -> StartedJob:
        home, child = socket.socketpair()
        stdout, stdout_end = os.pipe()
        stderr, stderr_end = os.pipe()
        streams = (os.fdopen(stdout, "rb", 0), os.fdopen(stderr, "rb", 0))
        try:
            socket.send_fds(self._jobs, [ALONE if group is None else GROUPED], [child.fileno(), stdout_end, stderr_end])
            child.close()
            home.settimeout(_START_LIMIT_S)
            if group is not None:
                group.processes.write_text(str(_received_pid(home)))
            home.sendall(job)
            _, descriptors, _, _ = socket.recv_fds(home, 5, 4)
        except OSError:
            descriptors = []
        finally:
            child.close()
            os.close(stdout_end)
            os.close(stderr_end)
        if len(descriptors) != 4:
            home.close()
            os.set_blocking(stderr, False)
            with streams[0], streams[1]:
                reason = (streams[1].read(1 << 16) or b"").decode("utf-8", "replace").strip()
            raise StartError(reason or "the sandbox's server made no sandbox")
        first, proc, output, temporary = descriptors
        return StartedJob(home, streams, first, Tree(proc, (output, temporary)), output)


def _received_pid(home: socket.socket) -> int:
    """Give the number of the process that sends a descriptor of itself: in its own namespace it has another."""
    _, (process,), _, _ = socket.recv_fds(home, 1, 1)
    try:
        with open(f"/proc/self/fdinfo/{process}") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))
    finally:
        os.close(process)
