"""The folder that a grading run writes to: what is there already is not done again.

GRADES/index.html                the class's page; grades.json, grades.csv and the platforms' CSV beside it
GRADES/students/NAME/            results.json, feedback.md, feedback.html, summary.txt
GRADES/evidence/run.json         the seed of the inputs
GRADES/evidence/inputs/          what the probes were given
GRADES/evidence/reference/       what they saw of the reference solution
GRADES/evidence/students/NAME/   what they saw of a student's code
GRADES/evidence/fid/NAME/        the FIDs of what was trained
"""

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from autograder import evidence
from autograder.evidence import REFERENCE, Ran
from coursekit.errors import CourseError
from coursekit.files import create, make_folder, write_atomically

STUDENTS = "students"
_KEY = "key.json"
_UNFINISHED = ".unfinished"
_TIMES_THE_REFERENCE = 4  # that a submission's evidence may have in bytes: other networks are wider


class Store:
    """What is kept of a class between two runs of `grade`.

    Args:
        folder: GRADES.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.evidence = folder / "evidence"
        self._early: dict[str, tuple[str, Mapping[str, Ran]]] = {}  # evidence that the reference's must go before

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out.

        Raises:
            CourseError: there is another run in this folder, or it can't be written.
        """
        lock = filelock.FileLock(self.folder / ".lock", timeout=0)
        try:
            make_folder(self.evidence, private=True)
            lock.acquire()
        except filelock.Timeout as error:
            raise CourseError(f"another run grades into {self.folder}: wait for it, or give another --out") from error
        except OSError as error:
            raise CourseError(
                f"could not write under {self.folder}: {error.strerror or error}; give another --out"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def seed(self, wanted: int | None) -> int:
        """The seed of the inputs: the one wanted, else that of the run before, else a new one.

        Raises:
            CourseError: the file that holds it is damaged.
        """
        path = self.evidence / "run.json"
        if wanted is None and path.is_file():
            try:
                return int(json.loads(path.read_text("utf-8"))["seed"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CourseError(f"{path}: damaged; delete it, or give --seed") from error
        seed = secrets.randbelow(2**32) if wanted is None else wanted
        write_atomically(path, json.dumps({"seed": seed}) + "\n", private=True)
        return seed

    def has(self, name: str, key: str) -> bool:
        """Whether the evidence of a submission is there, gathered from just this code in just this way."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.evidence / name / _KEY).read_text("utf-8")) == key
        return False

    def keep(self, name: str, key: str, runs: Mapping[str, Ran]) -> None:
        """Put evidence in the place of whatever is there, whole or not at all.

        What a submission may leave is measured by what the reference solution left, and so waits for that.
        """
        self._early[name] = key, runs
        if name == REFERENCE or (self.evidence / REFERENCE / _KEY).is_file():
            # The reference first, however many have come before it.
            for one in sorted(self._early, key=lambda one: one != REFERENCE):
                self._keep(one, *self._early.pop(one))

    def _keep(self, name: str, key: str, runs: Mapping[str, Ran]) -> None:
        folder, unfinished = self.evidence / name, self.evidence / _UNFINISHED / name
        for old in (unfinished, folder):  # what is there is of other code, or half of something
            if old.exists():
                shutil.rmtree(old)
        is_reference = name == REFERENCE
        most = None if is_reference else _TIMES_THE_REFERENCE * evidence.size_of(self.evidence / REFERENCE)
        evidence.keep(unfinished, runs, most)
        with create(unfinished / _KEY, private=True) as file:
            file.write(json.dumps(key).encode())
        make_folder(folder.parent, private=True)
        unfinished.rename(folder)

    def score(self, name: str, what: str, key: str) -> dict[str, Any] | None:
        """A result of training that is kept, or None."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads((self.evidence / "fid" / name / f"{what}.json").read_text("utf-8"))
            return kept["score"] if kept["key"] == key else None
        return None

    def keep_score(self, name: str, what: str, key: str, score: Mapping[str, Any]) -> None:
        """Keep a result of training."""
        path = self.evidence / "fid" / name / f"{what}.json"
        write_atomically(path, json.dumps({"key": key, "score": score}, indent=1) + "\n", private=True)


def digest(*parts: object) -> str:
    """A key of anything: bytes as they are, mappings by their names, all else as it is written."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(_digest(part))
    return whole.hexdigest()


def _digest(part: object) -> bytes:
    if isinstance(part, Mapping):
        return hashlib.sha256(b"".join(_digest(one) for item in sorted(part.items()) for one in item)).digest()
    return hashlib.sha256(part if isinstance(part, bytes) else repr(part).encode()).digest()
