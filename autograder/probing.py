"""Running probes on a student's code: in sandboxes, or without any where somebody wants it so."""

import contextlib
import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from autograder import course
from autograder.evidence import GAN_PROBES, VAE_PROBES, Ran, results_of
from autograder.inputs import draw_inputs
from autograder.sandbox import limits as sandbox
from autograder.sandbox.limits import Limits, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import SHARED, ForkServer
from autograder.sandbox.start import unsafe_user
from coursekit.errors import CourseError
from coursekit.files import open_file, open_folder
from coursekit.requirements import PROJECTS

# All of the kit that a probe sees. Nothing in it tells what is expected.
KIT = Path(__file__).resolve().parents[1]
KIT_SEEN = {f"kit/{name}": KIT / name for name in ("coursekit", "autograder/probe")}
KIT_INSIDE = f"{SHARED}/kit"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # threads don't live through a fork, and wait for each other on a busy machine

TIME_IS_UP = "the time for all of this submission's code together was used up"


class Prober(Protocol):
    """Runs probes; a probe that is stopped costs no other."""

    def run(self, codes: Mapping[str, bytes], probes: Iterable[str], inputs: Mapping[str, bytes]) -> dict[str, Ran]:
        """Run probes on one student's code.

        Args:
            codes: path below the folder that holds VAE and GAN -> content.
            probes: names, of `autograder.evidence.ALL_PROBES`.
            inputs: probe -> the .npz file that it is given.
        Returns:
            probe -> what it left.
        Raises:
            CourseError: no probe can be run here, whatever the student's code.
        """


class SandboxProber(AbstractContextManager):
    """Runs probes in sandboxes, forks of a process that has torch loaded; jobs may run at one time.

    Args:
        limits: what one probe may use, and all of them together.
    """

    def __init__(self, limits: course.Limits):
        self.limits = limits
        self._stack = ExitStack()

    def __enter__(self) -> "SandboxProber":
        self._server = self._stack.enter_context(fork_server())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, codes: Mapping[str, bytes], probes: Iterable[str], inputs: Mapping[str, bytes]) -> dict[str, Ran]:
        """Run probes on one student's code (see `Prober`)."""
        end = time.monotonic() + self.limits.submission_wall_s
        runs = {}
        for together in _by_project(probes):
            # One process for all of a project, as nearly always nothing stops it; else each probe in its own.
            outcome = self._run(codes, together, inputs, end)
            if outcome is not None and outcome.status == sandbox.OK and not outcome.problems:
                runs |= {probe: Ran("", _files_of(probe, outcome)) for probe in together}
                continue
            for probe in together:
                outcome = self._run(codes, [probe], inputs, end)
                if outcome is None:
                    runs[probe] = Ran(TIME_IS_UP, {})
                else:
                    runs[probe] = Ran(what_stopped(outcome, self.limits), _files_of(probe, outcome))
        return runs

    def _run(
        self, codes: Mapping[str, bytes], probes: Sequence[str], inputs: Mapping[str, bytes], end: float
    ) -> Outcome | None:
        """Run probes in one sandbox; None where the time is up."""
        left = end - time.monotonic()
        if left <= 0:
            return None
        outcome = self._server.run(
            f"{KIT_INSIDE}/autograder/probe/__main__.py",
            ["/in/codes", "/in/inputs", "/out", *probes],
            inputs={
                **{f"codes/{name}": content for name, content in codes.items()},
                **{f"inputs/{probe}.npz": inputs[probe] for probe in probes},
            },
            limits=sandbox_limits(self.limits, wall_s=min(self.limits.wall_s, left)),
            outputs=[name for probe in probes for name in results_of(probe)],
        )
        if outcome.status == sandbox.SANDBOX_FAILED:
            raise CourseError(f"the sandbox failed: {reason_given(outcome)}")
        return outcome


class UnsafeProber(AbstractContextManager):
    """Runs the probes without a sandbox, with the caller's own rights: they can read and write whatever it can.

    Where the caller is root, students' code runs as another user, whom nothing belongs to.

    Args:
        limits: what one probe may use, as far as that can be watched from outside.
        own_code: whether it is the caller's own code.
    """

    def __init__(self, limits: course.Limits, own_code: bool = False):
        self.limits = limits
        self.own_code = own_code

    def __enter__(self) -> "UnsafeProber":
        """Make sure that there is somebody to run them.

        Raises:
            CourseError: only root could.
        """
        if not self.own_code:
            unsafe_user(KIT_SEEN.values())
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to be ended."""

    def run(self, codes: Mapping[str, bytes], probes: Iterable[str], inputs: Mapping[str, bytes]) -> dict[str, Ran]:
        """Run probes on one student's code (see `Prober`)."""
        probes = list(probes)
        notes = [f"{probe}.stopped" for probe in probes]
        most = self.limits.submission_wall_s
        command = [PYTHON, "-m", "autograder.probe.forked", "/in/codes", "/in/inputs", "/out", str(self.limits.wall_s)]
        with TemporaryDirectory() as scratch:
            Path(scratch).chmod(0o711)  # the code may run as another user
            folders = {name: Path(scratch, name) for name in ("codes", "inputs")}
            put_down(codes, folders["codes"])
            put_down({f"{probe}.npz": inputs[probe] for probe in probes}, folders["inputs"])
            outcome = run_in_sandbox(
                [*command, *probes],
                inputs=folders,
                limits=sandbox_limits(self.limits, cpu_s=most, wall_s=most),
                outputs=[*notes, *(name for probe in probes for name in results_of(probe))],
                environment={"PYTHONPATH": str(KIT), **ONE_THREAD},
                unsafe=True,
                own_code=self.own_code,
            )
        runs = {}
        for probe, note in zip(probes, notes, strict=True):
            said = outcome.evidence.get(note, what_stopped(outcome, self.limits).encode() or b"it was ended by another")
            runs[probe] = Ran(said.decode("utf-8", "replace"), _files_of(probe, outcome))
        return runs


def open_prober(limits: course.Limits, unsafe: bool, own_code: bool = False) -> AbstractContextManager[Prober]:
    """Make the prober that is wanted; use it in a `with` statement. The caller's own code needs no sandbox."""
    return UnsafeProber(limits, own_code) if unsafe or own_code else SandboxProber(limits)


def fork_server() -> ForkServer:
    """A server whose jobs find torch, coursekit and the probes loaded, and the code of the two on their disk."""
    return ForkServer(
        ["autograder.probe.warm"],
        inputs=KIT_SEEN,
        path=[KIT_INSIDE],
        environment=ONE_THREAD,
    )


@cache
def inputs_by_probe(seed: int) -> Mapping[str, bytes]:
    """Draw the inputs of all probes: probe -> an .npz file with nothing in it for another probe."""
    return {probe: _npz(arrays) for probe, arrays in _grouped(draw_inputs(seed))}


def read_codes(folder: Path) -> dict[str, bytes]:
    """Read a folder that holds VAE and GAN: the Python files in them. No link below it is followed.

    Raises:
        CourseError: a link, a pipe or the like is called as a file or a project, or one of them can't be read.
    """
    codes, where = {}, folder
    try:
        with open_folder(folder.resolve()) as top:
            for project in PROJECTS:
                where = folder / project
                with contextlib.suppress(FileNotFoundError), open_folder(project, top) as inside:
                    for name in sorted(name for name in os.listdir(inside) if name.endswith(".py")):
                        where = folder / project / name
                        with open_file(name, inside) as file:
                            codes[f"{project}/{name}"] = file.read()
    except OSError as error:
        raise CourseError(f"{where}: {error.strerror or error}") from error
    return codes


def sandbox_limits(limits: course.Limits, *, cpu_s: float | None = None, wall_s: float | None = None) -> Limits:
    """The course's limits as the sandbox takes them, with other times where they are given."""
    return Limits(
        cpu_s=limits.cpu_s if cpu_s is None else cpu_s,
        wall_s=limits.wall_s if wall_s is None else wall_s,
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        file_mb=limits.file_mb,
        output_kb=limits.output_kb,
    )


def put_down(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files, by their paths below a new folder, that any user can read."""
    folder.mkdir(0o755)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        below.chmod(0o755)


def what_stopped(outcome: Outcome, limits: course.Limits) -> str:
    """Say what stopped a run, as a clause; "" where it came to its end."""
    return {
        sandbox.OK: "",
        sandbox.EXIT: f"it ended with exit status {outcome.exit_code}",
        sandbox.SIGNAL: f"it was ended by signal {outcome.signal}",
        sandbox.CPU_LIMIT: f"it took more than {limits.cpu_s:,} s of computing time",
        sandbox.WALL_LIMIT: f"it ran for more than {limits.wall_s:,} s",
        sandbox.MEMORY_LIMIT: f"it took more than {limits.memory_mb:,} MB of memory",
        sandbox.PROCESS_LIMIT: f"it started more than {limits.processes:,} processes and threads",
        sandbox.FILE_SIZE_LIMIT: f"it wrote more than {limits.file_mb:,} MB into files",
        sandbox.OUTPUT_LIMIT: "it printed without end",
    }[outcome.status]


def reason_given(outcome: Outcome) -> str:
    """The last line that a run wrote about its failure."""
    lines = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"


def _by_project(probes: Iterable[str]) -> list[list[str]]:
    probes = list(probes)
    return [part for known in (VAE_PROBES, GAN_PROBES) if (part := [probe for probe in probes if probe in known])]


def _files_of(probe: str, outcome: Outcome) -> dict[str, bytes]:
    return {name: outcome.evidence[name] for name in results_of(probe) if name in outcome.evidence}


def _grouped(inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for probe in dict.fromkeys(name.partition(".")[0] for name in inputs):
        yield probe, {name: values for name, values in inputs.items() if name.startswith(f"{probe}.")}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()
