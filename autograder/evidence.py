"""What probes saw of a submission: gathered by running them, kept in a folder, and read back with suspicion.

The folder that a probe writes to is written to by the student's process too. Nothing in it is believed but regular
files of the expected names and sizes, with arrays of numbers in them.
"""

import contextlib
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

VAE_PROBES = ("vae_layers", "vae_forward", "vae_reparameterize", "vae_losses", "vae_step")
GAN_PROBES = ("gan_generator", "gan_step")
ALL_PROBES = VAE_PROBES + GAN_PROBES
TIME_LIMIT_S = 120
MAX_BYTES = 64 * 2**20  # of one file, and of its arrays once unpacked
MAX_ARRAYS = 500
TEXT_LENGTH = 400  # characters of any text that a probe gives
HINTED_LENGTH = 200  # likewise, where a hint says more
ENDED = "ended.json"  # beside the folder that the student's process can write to
OUT = "out"

Runner = Callable[[str, Path, Path, Path], str]
"""Runs one probe: its name, the student's codes, the inputs, and the folder for the output; gives what stopped it, or
"" where it came to its end."""


@dataclass(frozen=True)
class Failure:
    """What stopped the student's code in one part of a probe.

    Attributes:
        where: "VAE/model.py:82", or "".
        block: number of the TODO block that it lies in, 0 where that is not known.
        hint: what that means, where a check knows.
    """

    type: str
    message: str
    where: str = ""
    block: int = 0
    hint: str = ""

    @property
    def cause(self) -> tuple[str, str]:
        """What two failures have in common that come from the same line, or say the same of other numbers."""
        return self.type, self.where or re.sub(r"\d+", "", self.message)

    def sentence(self) -> str:
        """One sentence that a student can act upon."""
        if self.type == "NotImplementedError" and self.message.startswith("TODO: "):
            return self.message.removeprefix("TODO: ")
        at = f"{self.where}{f' (block {self.block})' if self.block else ''}: " if self.where else ""
        if self.type == "WrongAnswer":
            return at + self.message
        if self.type == "NotCarried":
            return f"weights can't be put into your network, so that a TA has to look: {self.message}"
        if self.type == "Ended":
            return f"{at}your code was stopped: {self.message}"
        said = f"{at}your code stops with {self.type}{f': {self.message}' if self.message else ''}"
        return f"{said[:HINTED_LENGTH]}. {self.hint}" if self.hint else said


class NotSeen(Exception):
    """A check asks for something that no probe saw; `failure` is what kept it from being seen, if that is known."""

    def __init__(self, name: str, failure: Failure | None):
        super().__init__(name)
        self.failure = failure


@dataclass
class Findings:
    """What one probe saw: arrays by name, facts, and what stopped it where.

    Attributes:
        failures: part of the probe -> what stopped the student's code there; "probe" and "ended" are for all of it.
    """

    probe: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """An array, in float64.

        Raises:
            NotSeen: it isn't there.
        """
        if name not in self.arrays:
            raise NotSeen(name, self.failure(name))
        return self.arrays[name].astype(np.float64)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def fact(self, name: str) -> object:
        """A fact.

        Raises:
            NotSeen: it isn't there.
        """
        if name not in self.facts:
            raise NotSeen(name, self.failure(name))
        return self.facts[name]

    def failure(self, name: str) -> Failure | None:
        """What kept an array or a fact from being seen: of the parts whose name it begins with, the longest."""
        parts = [part for part in self.failures if name == part or name.startswith(f"{part}.")]
        if parts:
            return self.failures[max(parts, key=len)]
        rest = [self.failures[part] for part in ("carry", "step", "probe", "ended") if part in self.failures]
        return rest[0] if rest else next(iter(self.failures.values()), None)


@dataclass
class Evidence:
    """All that the probes saw of one submission, kept in a folder."""

    folder: Path
    findings: dict[str, Findings]

    def __getitem__(self, probe: str) -> Findings:
        """What one probe saw; nothing, where it was not run."""
        return self.findings.get(probe) or Findings(probe)


def collect(codes: Path, probes: Iterable[str], inputs: Path, folder: Path, runner: Runner | None = None) -> Evidence:
    """Run probes on a student's code, one process each, and keep what they saw.

    Args:
        codes: the folder that holds VAE and GAN.
        probes: names, of ALL_PROBES.
        inputs: the file that `autograder.inputs.write_inputs` wrote.
        folder: where the evidence is kept; each probe gets a new folder in it.
        runner: runs one probe; without one, a process with a time limit and no other walls.
    Raises:
        FileExistsError: there is evidence of one of the probes already.
    """
    runner = runner or run_in_subprocess
    probes = list(probes)
    for probe in probes:
        out = folder / probe / OUT
        out.mkdir(parents=True)
        stopped = runner(probe, codes, inputs, out)
        (folder / probe / ENDED).write_text(json.dumps(stopped), encoding="utf-8")
    return load(folder, probes)


def load(folder: Path, probes: Iterable[str] = ALL_PROBES) -> Evidence:
    """Read evidence that was kept; what is not there, or can't be believed, is a failure of its probe."""
    return Evidence(folder, {probe: _read(folder / probe, probe) for probe in probes if (folder / probe).is_dir()})


def run_in_subprocess(probe: str, codes: Path, inputs: Path, out: Path, time_limit_s: float = TIME_LIMIT_S) -> str:
    """Run one probe in a process of its own; returns what stopped it, "" where nothing did."""
    command = [sys.executable, "-m", "autograder.probe", probe, str(codes), str(inputs), str(out)]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        return f"it ran for more than {time_limit_s:g} s"
    finally:
        # What it started, too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status < 0:
        return f"it was ended by signal {-status}"
    return f"it ended with exit status {status}" if status else ""


def _read(folder: Path, probe: str) -> Findings:
    ended = folder / ENDED
    stopped = json.loads(ended.read_text(encoding="utf-8")) if ended.is_file() else "nothing is known of how it ended"
    failures = {"ended": Failure("Ended", stopped)} if stopped else {}
    try:
        said = json.loads(_read_file(folder / OUT / f"{probe}.json"))
        arrays = dict(_read_arrays(_read_file(folder / OUT / f"{probe}.npz")))
        failures |= {str(part): _failure(one) for part, one in said["failures"].items()}
        facts = {str(name): value for name, value in said["facts"].items()}
    # Whatever a hostile file makes a parser raise: it is no evidence.
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
        zipfile.BadZipFile,
    ) as error:
        why = "it left no results" if isinstance(error, FileNotFoundError) else "its results can't be read"
        return Findings(probe, failures=failures or {"ended": Failure("Ended", why)})
    return Findings(probe, arrays, facts, failures)


def _read_file(path: Path) -> bytes:
    """Read a file that may be a link, a pipe or endless.

    Raises:
        OSError, ValueError: it is no regular file of a usual size.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise ValueError(f"{path.name}: no regular file, or too large")
        return file.read(MAX_BYTES)


def _read_arrays(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Give the arrays of an .npz file.

    Raises:
        ValueError, zipfile.BadZipFile: too many, too large, or other things than numbers.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ARRAYS or sum(entry.file_size for entry in entries) > MAX_BYTES:
            raise ValueError("too many arrays, or too large ones")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("compressed arrays")  # their stated size need not be true
        for entry in entries:
            array = np.lib.format.read_array(io.BytesIO(archive.read(entry)), allow_pickle=False)
            if array.dtype not in (np.float32, np.float64):
                raise ValueError(f"an array of {array.dtype}")
            yield entry.filename.removesuffix(".npy"), array


def _failure(said: Mapping[str, object]) -> Failure:
    texts = [_plain(said.get(name, "")) for name in ("type", "message", "where")]
    block = said.get("block", 0)
    return Failure(*texts, block if isinstance(block, int) else 0)


def _plain(text: object) -> str:
    """A text that can be shown on a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:TEXT_LENGTH])
