"""Running probes on a student's code: in sandboxes, or without any where somebody wants it so."""

import contextlib
import io
import math
import os
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from autograder import course, pace
from autograder.evidence import GAN_PROBES, VAE_PROBES, Ran, results_of
from autograder.inputs import draw_inputs
from autograder.pace import Pace, Took
from autograder.sandbox import limits as sandbox
from autograder.sandbox.limits import Limits, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.sandbox.server import SHARED, ForkServer
from autograder.sandbox.start import unsafe_user
from autograder.scratch import scratch_folder
from coursekit.errors import CourseError
from coursekit.files import open_file, open_folder
from coursekit.requirements import PROJECTS

# All of the kit that a probe sees. Nothing in it tells what is expected.
KIT = Path(__file__).resolve().parents[1]
KIT_SEEN = {f"kit/{name}": KIT / name for name in ("coursekit", "autograder/probe")}
KIT_INSIDE = f"{SHARED}/kit"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # threads don't live through a fork, and wait for each other on a busy machine

TIME_IS_UP = "the time for all of this submission's code together was used up"


# How a run ends that may be a hang, or code that is slow.
_TIMED_OUT = (sandbox.CPU_LIMIT, sandbox.IDLE_LIMIT, sandbox.WALL_LIMIT)


@dataclass
class Probed:
    """What came out when probes were run on one student's code.

    Attributes:
        runs: probe -> what it left, before too.
        late: the probes of a project that was stopped for its time; each of them is still to be run by itself.
        took: project -> what its probes took, where nothing stopped them.
        spent_s: how long all of it was.
    """

    runs: dict[str, Ran] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    took: dict[str, Took] = field(default_factory=dict)
    spent_s: float = 0.0


class Prober(AbstractContextManager):
    """Runs probes; a probe that is stopped costs no other."""

    def run(self, codes: Mapping[str, bytes], probes: Iterable[str], inputs: Mapping[str, bytes]) -> dict[str, Ran]:
        """Run probes on one student's code, within the course's limits.

        Args:
            codes: path below the folder that holds VAE and GAN -> content.
            probes: names, of `autograder.evidence.ALL_PROBES`.
            inputs: probe -> the .npz file that it is given.
        Returns:
            probe -> what it left.
        Raises:
            CourseError: no probe can be run here, whatever the student's code.
        """
        return self.run_paced(codes, probes, inputs, {}).runs

    @abstractmethod
    def run_paced(
        self,
        codes: Mapping[str, bytes],
        probes: Iterable[str],
        inputs: Mapping[str, bytes],
        took: Mapping[str, Took],
        before: Probed | None = None,
    ) -> Probed:
        """Run probes in a time that is measured by what they took of the reference.

        What is late is not run again at once, so that a class can go first. Where that is tried, it is no longer late.

        Args:
            codes, probes, inputs: as `run` has them.
            took: project -> what it took of the reference; of one that isn't there the limits are the course's.
            before: what came out before, where `probes` are those that were late.
        Raises:
            CourseError: no probe can be run here, whatever the student's code.
        """


class SandboxProber(Prober):
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

    def run_paced(
        self,
        codes: Mapping[str, bytes],
        probes: Iterable[str],
        inputs: Mapping[str, bytes],
        took: Mapping[str, Took],
        before: Probed | None = None,
    ) -> Probed:
        """Run probes at the reference's pace (see `Prober`)."""
        begin = time.monotonic() - (before.spent_s if before else 0)
        end, probed = begin + self.limits.submission_wall_s, Probed(dict(before.runs) if before else {})
        for project, together in _by_project(probes).items():
            if before is None:
                # One process for all of a project, as nearly always nothing stops it; else each probe in its own.
                allowed = self._allowed(took.get(project), is_later=False)
                outcome = self._run(codes, together, inputs, allowed, end)
                if outcome is not None and outcome.status == sandbox.OK and not outcome.problems:
                    probed.runs |= {probe: Ran("", _files_of(probe, outcome)) for probe in together}
                    probed.took[project] = Took(outcome.cpu_s, outcome.wall_s)
                    continue
                if outcome is not None and outcome.status in _TIMED_OUT and project in took:
                    probed.late += together
                    continue
            was_stopped = before is not None
            for probe in together:
                allowed = self._allowed(took.get(project), is_later=was_stopped)
                outcome = self._run(codes, [probe], inputs, allowed, end)
                if outcome is None:
                    probed.runs[probe] = Ran(TIME_IS_UP, {})
                    continue
                probed.runs[probe] = Ran(what_stopped(outcome, allowed), _files_of(probe, outcome))
                was_stopped |= outcome.status in _TIMED_OUT
        probed.spent_s = time.monotonic() - begin
        return probed

    def _allowed(self, took: Took | None, is_later: bool) -> Limits:
        return sandbox_limits(self.limits, **vars(_pace(self.limits, took, is_later)))

    def _run(
        self,
        codes: Mapping[str, bytes],
        probes: Sequence[str],
        inputs: Mapping[str, bytes],
        allowed: Limits,
        end: float,
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
            limits=replace(allowed, wall_s=min(allowed.wall_s, left)),
            outputs=[name for probe in probes for name in results_of(probe)],
        )
        if outcome.status == sandbox.SANDBOX_FAILED:
            raise CourseError(f"the sandbox failed: {reason_given(outcome)}")
        return outcome


class UnsafeProber(Prober):
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

    def run_paced(
        self,
        codes: Mapping[str, bytes],
        probes: Iterable[str],
        inputs: Mapping[str, bytes],
        took: Mapping[str, Took],
        before: Probed | None = None,
    ) -> Probed:
        """Run probes at the reference's pace (see `Prober`); nothing is late here, as each has a process of its own."""
        probes, most = list(probes), self.limits.submission_wall_s
        notes = [f"{probe}.stopped" for probe in probes]
        known = next(iter(took.values()), None)
        paces = [_pace(self.limits, known, is_later) for is_later in (False, True)]
        times = [f"{one.cpu_s},{one.wall_s}" for one in paces]
        command = [PYTHON, "-m", "autograder.probe.forked", "/in/codes", "/in/inputs", "/out", *times]
        allowed = sandbox_limits(self.limits, cpu_s=most, wall_s=most)
        with scratch_folder() as scratch:
            scratch.chmod(0o711)  # the code may run as another user
            folders = {name: scratch / name for name in ("codes", "inputs")}
            put_down(codes, folders["codes"])
            put_down({f"{probe}.npz": inputs[probe] for probe in probes}, folders["inputs"])
            outcome = run_in_sandbox(
                [*command, *probes],
                inputs=folders,
                limits=allowed,
                outputs=[*notes, *(name for probe in probes for name in results_of(probe))],
                environment={"PYTHONPATH": str(KIT), **ONE_THREAD},
                unsafe=True,
                own_code=self.own_code,
            )
        probed = Probed(spent_s=outcome.wall_s)
        for probe, note in zip(probes, notes, strict=True):
            said = outcome.evidence.get(note, what_stopped(outcome, allowed).encode() or b"it was ended by another")
            probed.runs[probe] = Ran(said.decode("utf-8", "replace"), _files_of(probe, outcome))
        # Importing torch is most of what this took. The probes take so little that the least limits are the right ones.
        probed.took = dict.fromkeys(_by_project(probes), Took(0, 0))
        return probed


def open_prober(limits: course.Limits, unsafe: bool, own_code: bool = False) -> Prober:
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


def sandbox_limits(
    limits: course.Limits, *, cpu_s: float | None = None, wall_s: float | None = None, idle_s: float = math.inf
) -> Limits:
    """The course's limits as the sandbox takes them, with other times where they are given."""
    return Limits(
        cpu_s=limits.cpu_s if cpu_s is None else cpu_s,
        wall_s=limits.wall_s if wall_s is None else wall_s,
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        file_mb=limits.file_mb,
        output_kb=limits.output_kb,
        idle_s=idle_s,
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


def what_stopped(outcome: Outcome, limits: Limits) -> str:
    """Say what stopped a run that had these limits, as a clause; "" where it came to its end."""
    return {
        sandbox.OK: "",
        sandbox.EXIT: f"it ended with exit status {outcome.exit_code}",
        sandbox.SIGNAL: f"it was ended by signal {outcome.signal}",
        sandbox.CPU_LIMIT: f"it took more than {limits.cpu_s:,} s of computing time",
        sandbox.WALL_LIMIT: f"it ran for more than {limits.wall_s:,} s",
        sandbox.IDLE_LIMIT: f"for {limits.idle_s:,} s it did nothing, as if it waited for what never comes",
        sandbox.MEMORY_LIMIT: f"it took more than {limits.memory_mb:,} MB of memory",
        sandbox.PROCESS_LIMIT: f"it started more than {limits.processes:,} processes and threads",
        sandbox.FILE_SIZE_LIMIT: f"it wrote more than {limits.file_mb:,} MB into files",
        sandbox.OUTPUT_LIMIT: "it printed without end",
    }[outcome.status]


def reason_given(outcome: Outcome) -> str:
    """The last line that a run wrote about its failure."""
    lines = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"


def _by_project(probes: Iterable[str]) -> dict[str, list[str]]:
    probes, known = list(probes), {"VAE": VAE_PROBES, "GAN": GAN_PROBES}
    return {name: part for name, own in known.items() if (part := [probe for probe in probes if probe in own])}


def _pace(limits: course.Limits, took: Took | None, is_later: bool) -> Pace:
    if took is None:
        return pace.unknown(limits)
    return pace.later(took, limits) if is_later else pace.first(took, limits)


def _files_of(probe: str, outcome: Outcome) -> dict[str, bytes]:
    return {name: outcome.evidence[name] for name in results_of(probe) if name in outcome.evidence}


def _grouped(inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for probe in dict.fromkeys(name.partition(".")[0] for name in inputs):
        yield probe, {name: values for name, values in inputs.items() if name.startswith(f"{probe}.")}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()
