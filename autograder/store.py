"""The folder that a grading run writes to: what is there already is not done again.

GRADES/index.html                the class's page; grades.json, grades.csv and the platforms' CSV beside it
GRADES/students/NAME/            results.json, feedback.md, feedback.html, summary.txt
GRADES/evidence/run.json         the seed of the inputs, and what was installed
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
from datetime import date
from pathlib import Path
from typing import Any

import filelock

from autograder import evidence
from autograder.environment import changes
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
        self._environment = ""  # a digest, which is part of every key

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

        It stays for all that is graded into one folder, later hand-ins too. Another one for each would have the
        reference run and judged again for each. And there is nothing to be gained by knowing the inputs: code sees its
        own as it runs, what it is compared with is never told, and of 128 bits none can be found by trying.

        Raises:
            CourseError: the file that holds it is damaged.
        """
        if wanted is None and "seed" in (said := self._said()):
            try:
                return int(said["seed"])
            except (ValueError, TypeError) as error:
                raise CourseError(f"{self._run}: damaged; delete it, or give --seed") from error
        seed = secrets.randbits(128) if wanted is None else wanted
        self._say(seed=seed)
        return seed

    def enter(self, environment: Mapping[str, str]) -> str:
        """Take only what was seen in just this environment for what is there already.

        Args:
            environment: as `autograder.environment.seen` gives it.
        Returns:
            what has changed since the run before, a clause; "" where nothing has.
        """
        said = self._said().get("environment")
        self._say(environment=dict(environment))
        self._environment = digest(environment)
        return changes(said, environment) if isinstance(said, dict) else ""

    def has(self, name: str, key: str) -> bool:
        """Whether the evidence of a submission is there, gathered from just this code in just this way."""
        return self._key(name).get("key") == self._full(key)

    def facts(self, name: str) -> Mapping[str, Any]:
        """What was kept beside the evidence of a submission."""
        facts = self._key(name).get("facts")
        return facts if isinstance(facts, dict) else {}

    def keep(self, name: str, key: str, runs: Mapping[str, Ran], **facts: object) -> None:
        """Put evidence in the place of whatever is there, whole or not at all.

        What a submission may leave is measured by what the reference solution left, which is kept first.

        Args:
            name: of its folder.
            key: what it depends on.
            runs: probe -> what it left.
            facts: what else is to be known of it, for JSON.
        Raises:
            CourseError: it can't be written.
        """
        folder, unfinished = self.evidence / name, self.evidence / _UNFINISHED / name
        old = unfinished.with_name(f"{unfinished.name}.old")
        try:
            for leftover in (unfinished, old):
                if leftover.exists():
                    shutil.rmtree(leftover)
            left = evidence.size_of(self.evidence / REFERENCE)
            most = _TIMES_THE_REFERENCE * left if left and name != REFERENCE else None
            evidence.keep(unfinished, runs, most)
            said = {"key": self._full(key), "date": date.today().isoformat(), "facts": facts}
            with create(unfinished / _KEY, private=True) as file:
                file.write(json.dumps(said).encode())
            make_folder(folder.parent, private=True)
            if folder.exists():  # of other code, or from another environment
                folder.rename(old)
            unfinished.rename(folder)
            if old.exists():
                shutil.rmtree(old)
        except OSError as error:
            raise CourseError(f"could not write under {self.folder}: {error.strerror or error}") from error

    def score(self, name: str, what: str, key: str) -> dict[str, Any] | None:
        """A result of training that is kept, or None."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._score(name, what).read_text("utf-8"))
            return kept["score"] if kept["key"] == self._full(key) else None
        return None

    def keep_score(self, name: str, what: str, key: str, score: Mapping[str, Any]) -> None:
        """Keep a result of training."""
        kept = {"key": self._full(key), "date": date.today().isoformat(), "score": score}
        write_atomically(self._score(name, what), json.dumps(kept, indent=1) + "\n", private=True)

    def forget(self, name: str) -> None:
        """Have a submission run again, and trained; what is there stays until there is something in its place."""
        for path in (self.evidence / STUDENTS / name / _KEY, *(self.evidence / "fid" / name).glob("*.json")):
            if path.is_file():
                write_atomically(path, json.dumps({**_read(path), "key": ""}) + "\n", private=True)

    def last_date(self) -> str:
        """The day on which the last of all that is kept was seen, "2026-06-14"; "" where nothing is."""
        kept = [*self.evidence.glob(f"{STUDENTS}/*/{_KEY}"), *self.evidence.glob("fid/*/*.json")]
        return max((str(_read(path).get("date", "")) for path in kept), default="")

    @property
    def _run(self) -> Path:
        return self.evidence / "run.json"

    def _said(self) -> dict[str, Any]:
        if not self._run.exists():
            return {}
        if not (said := _read(self._run)):
            raise CourseError(f"{self._run}: damaged; delete it, or give --seed")
        return said

    def _say(self, **more: object) -> None:
        said = {**(_read(self._run)), **more}
        write_atomically(self._run, json.dumps(said, indent=1) + "\n", private=True)

    def _key(self, name: str) -> dict[str, Any]:
        return _read(self.evidence / name / _KEY)

    def _full(self, key: str) -> str:
        return digest(key, self._environment)

    def _score(self, name: str, what: str) -> Path:
        return self.evidence / "fid" / name / f"{what}.json"


def _read(path: Path) -> dict[str, Any]:
    """An object in a JSON file; empty where there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


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
