"""What probes saw of a submission: kept in a folder, and read back with suspicion.

What a probe writes is written by the student's process, which may write something else. Nothing is believed but files
of the expected names and sizes, with arrays of numbers in them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autograder.sandbox.evidence import ArraySpec, EvidenceError, read_any_arrays, read_json
from coursekit.files import PRIVATE_FOLDER, create, make_folder, write_atomically
from coursekit.text import shortened

VAE_PROBES = ("vae_layers", "vae_forward", "vae_reparameterize", "vae_losses", "vae_step")
GAN_PROBES = ("gan_generator", "gan_step")
ALL_PROBES = VAE_PROBES + GAN_PROBES
NUMBERS = ArraySpec(None, ("float32", "float64"), finite=False)
TEXT_LENGTH = 400  # characters of any text that a probe gives
MOST_BLOCKS = 99  # in a file
MOST_FAILURES = 100  # of one probe; of the reference's parts there are a dozen
HINTED_LENGTH = 200  # likewise, where a hint says more
ENDED = "ended.json"
REFERENCE = "reference"  # the folder of what was seen of the reference solution
INPUTS = "inputs"


@dataclass(frozen=True)
class Ran:
    """What one run of a probe left.

    Attributes:
        stopped: what stopped it, a clause; "" where it came to its end.
        files: name -> content, written by the student's process.
    """

    stopped: str
    files: Mapping[str, bytes]


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
        if self.type in ("WrongAnswer", "CourseError", "Diverged"):
            return at + self.message
        if self.type == "NotCarried":
            return f"weights can't be put into your network, so that a TA has to look: {self.message}"
        if self.type == "Ended":
            return f"{at}your code was stopped: {self.message}"
        said = f"{at}your code stops with {self.type}{f': {self.message}' if self.message else ''}"
        if not self.hint:
            return said
        said = shortened(said, HINTED_LENGTH)
        return f"{said}{'' if said.endswith('…') else '.'} {self.hint}"


class NotSeen(Exception):
    """A check asks for something that no probe saw; `failure` is what kept it from being seen, if that is known."""

    def __init__(self, name: str, failure: Failure | None):
        super().__init__(name)
        self.failure = failure


@dataclass(eq=False)  # one is only itself: what is worked out from it can be kept
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
        rest = [self.failures[part] for part in ("step", "probe", "ended") if part in self.failures]
        return rest[0] if rest else next(iter(self.failures.values()), None)


@dataclass
class Evidence:
    """All that the probes saw of one submission, kept in a folder."""

    folder: Path
    findings: dict[str, Findings]

    def __getitem__(self, probe: str) -> Findings:
        """What one probe saw; nothing, where it was not run."""
        return self.findings.get(probe) or Findings(probe)


def results_of(probe: str) -> tuple[str, str]:
    """The files that a probe writes: its arrays, and its facts and failures."""
    return f"{probe}.npz", f"{probe}.json"


def keep(folder: Path, runs: Mapping[str, Ran], most: int | None = None) -> None:
    """Write down what runs of probes left: a folder for each.

    Args:
        folder: of one submission's evidence.
        runs: probe -> what it left.
        most: bytes of all of it; where there are more, the largest results are left out. None for no limit.
    Raises:
        FileExistsError: there is evidence of one of the probes already.
    """
    for probe, ran in (runs if most is None else _without_the_largest(runs, most)).items():
        make_folder(folder, private=True)
        (folder / probe).mkdir(PRIVATE_FOLDER)
        files = {name: ran.files[name] for name in results_of(probe) if name in ran.files}
        for name, content in {**files, ENDED: json.dumps(ran.stopped).encode()}.items():
            with create(folder / probe / name, private=True) as file:
                file.write(content)


def size_of(folder: Path) -> int:
    """How many bytes there are in a submission's evidence."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _without_the_largest(runs: Mapping[str, Ran], most: int) -> dict[str, Ran]:
    """Leave out the results of those probes that have most of them, until the rest fits."""
    left = dict(runs)
    sizes = {probe: sum(map(len, ran.files.values())) for probe, ran in runs.items()}
    while sum(sizes.values()) > most:
        probe = max(sizes, key=sizes.__getitem__)
        said = f"what it wrote down was too large to be kept, {sizes.pop(probe):,} bytes"
        left[probe] = Ran(runs[probe].stopped or said, {})
    return left


def keep_inputs(folder: Path, inputs: Mapping[str, bytes]) -> None:
    """Write down what the probes were given, probe -> .npz file, beside the evidence of all submissions."""
    for probe, content in inputs.items():
        write_atomically(folder / INPUTS / f"{probe}.npz", content, private=True)


def load_inputs(folder: Path) -> dict[str, np.ndarray]:
    """Read what the probes were given: "probe.name" -> array."""
    arrays: dict[str, np.ndarray] = {}
    for path in sorted((folder / INPUTS).glob("*.npz")):
        with np.load(path) as found:
            arrays |= found
    return arrays


def load(folder: Path, probes: Iterable[str] = ALL_PROBES) -> Evidence:
    """Read evidence that was kept; what is not there, or can't be believed, is a failure of its probe."""
    return Evidence(folder, {probe: _read(folder / probe, probe) for probe in probes if (folder / probe).is_dir()})


def _read(folder: Path, probe: str) -> Findings:
    ended = folder / ENDED
    stopped = json.loads(ended.read_text(encoding="utf-8")) if ended.is_file() else "nothing is known of how it ended"
    failures = {"ended": Failure("Ended", stopped)} if stopped else {}
    arrays_file, facts_file = (folder / name for name in results_of(probe))
    try:
        said = read_json(facts_file.read_bytes())
        arrays = read_any_arrays(arrays_file.read_bytes(), NUMBERS)
        if len(said["failures"]) > MOST_FAILURES:
            raise EvidenceError("there are more failures than parts of a probe")
        failures |= {str(part): read_failure(one) for part, one in said["failures"].items()}
        facts = {str(name): value for name, value in said["facts"].items()}
    except FileNotFoundError:
        why = "it left no results"
    except EvidenceError as error:
        why = f"its results can't be read: {error}"
    except (KeyError, TypeError, AttributeError):  # JSON of another form
        why = "its results can't be read"
    else:
        return Findings(probe, arrays, facts, failures)
    return Findings(probe, failures=failures or {"ended": Failure("Ended", why)})


def read_failure(said: Mapping[str, object]) -> Failure:
    """Read what a probe's JSON says of one failure.

    Raises:
        TypeError, AttributeError: it is something else.
    """
    texts = [_plain(said.get(name, "")) for name in ("type", "message", "where")]
    block = said.get("block", 0)
    return Failure(*texts, block if type(block) is int and 0 <= block <= MOST_BLOCKS else 0)


def _plain(text: object) -> str:
    """A text that can be shown on a terminal."""
    # Cut twice: the first time it may be megabytes.
    text = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 2 * TEXT_LENGTH])
    return shortened(text, TEXT_LENGTH)
