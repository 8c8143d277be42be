"""Earlier years: fingerprints of their works in one SQLite file, to compare new works with.

The table `years` holds one row a year, its works packed as `volume` says, and why. `sources` holds what students wrote,
of those works only that were added with it. A row of `years` is read, changed and written in one transaction that keeps
other writers out: whatever happens, the old or the new state is there. What is removed is overwritten with zeros
(secure_delete), and the file made anew without it (VACUUM).

Persons may stand under pseudonyms, HMAC-SHA256 of what they are known by with a secret that is not in the file. What of
their works could name them is keyed with it, too, as `keyed` says. Whoever has the secret can tell that a person is the
same; whoever lacks it can't, even by trying all student numbers and names. A new file is for its owner alone.
"""

import contextlib
import hashlib
import hmac
import os
import re
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np

from autograder.similarity.keyed import KEYED_VIEWS, keyed, keyed_hashes
from autograder.similarity.model import EXTRACTOR_VERSION, VIEWS, BlockKey, Fingerprint, WorkKey, stable_hash
from autograder.similarity.volume import Entry, Volume, ranges
from coursekit.errors import CourseError

SECRET_VARIABLE = "COURSEKIT_ARCHIVE_SECRET"
WAIT_S = 30  # for another writer to end

_APPLICATION = 0x434B5341  # "CKSA": what says that a SQLite file is ours
_FORMAT = 1  # of the tables and of the volumes
_YEAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_SHORTEST_SECRET = 16  # bytes; student numbers are few, so it is the secret that must not be guessed
_TABLES = (
    "CREATE TABLE years (year TEXT PRIMARY KEY, extractor INTEGER, secret TEXT NOT NULL, volume BLOB NOT NULL)",
    "CREATE TABLE sources (year TEXT, person BLOB, source BLOB NOT NULL, PRIMARY KEY (year, person))",
)
# What SQLite says, and what that means for whoever reads it.
_TROUBLES = (
    ("locked", "another program has been writing to it for {wait} seconds: try again when that has ended"),
    ("readonly", "can't be written; nothing was changed"),
    ("unable to open", "can't be opened: look at its folder's and its own permissions"),
    ("full", "the disk is full; nothing was changed: free some space and try again"),
    ("not a database", "not an archive: give the file that 'archive add' wrote"),
    ("malformed", "damaged: put back a copy of it, or delete it and add the years again"),
    ("no such", "damaged: put back a copy of it, or delete it and add the years again"),
)


@dataclass(frozen=True)
class Added:
    """What `add` did: how many works were new, took the place of others, or were there already."""

    new: int
    replaced: int
    unchanged: int


@dataclass(frozen=True)
class YearSummary:
    """What an archive says of one year.

    Attributes:
        year: its name.
        works: how many.
        scaffolds: the hashes of the scaffolds that they began from.
        version: EXTRACTOR_VERSION of the program that read them.
        has_pseudonyms: whether persons stand under pseudonyms.
        thinned: how often half of the hashes were left out, because they would have taken too much.
        sources: of how many works the source is kept.
        num_bytes: what all that takes.
    """

    year: str
    works: int
    scaffolds: tuple[str, ...]
    version: int
    has_pseudonyms: bool
    thinned: int
    sources: int
    num_bytes: int


@dataclass(frozen=True, eq=False)
class Holders:
    """Which archived works have what was asked for.

    Attributes:
        counts: (Q,) for each hash asked for, how many works have it.
        starts: (Q + 1,) where each one's works begin in `works`.
        works: indices into the archive. Hashes that more works have than were wanted have none here.
    """

    counts: np.ndarray
    starts: np.ndarray
    works: np.ndarray


class Archive(Sequence[Fingerprint]):
    """All archived works. Each fingerprint is made when it is asked for; `holders` needs none of them.

    Attributes:
        keys: of all works, in order.
        is_keyed: whether text, slips and traces are keyed with the secret, so that new works' must be as well.
    """

    def __init__(self, volumes: Mapping[str, Volume], plain: Mapping[str, str] | None = None, is_keyed: bool = False):
        """Put years together.

        Args:
            volumes: by year.
            plain: pseudonym -> person, of those that are known.
            is_keyed: whether all of them are keyed.
        """
        plain = plain or {}
        self.is_keyed = is_keyed
        self._years = tuple(sorted(volumes))
        self._volumes = tuple(volumes[year] for year in self._years)
        self._firsts = np.cumsum([0, *(len(volume.works) for volume in self._volumes)])
        self._plain = plain
        self.keys = tuple(
            WorkKey(year, plain.get(entry.person, entry.person))
            for year, volume in zip(self._years, self._volumes, strict=True)
            for entry in volume.works
        )

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Fingerprint: ...

    @overload
    def __getitem__(self, index: slice) -> list[Fingerprint]: ...

    def __getitem__(self, index: int | slice) -> Fingerprint | list[Fingerprint]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        at = int(np.searchsorted(self._firsts, index, "right")) - 1
        found = self._volumes[at].fingerprint(index - int(self._firsts[at]), self._years[at], EXTRACTOR_VERSION)
        partners = tuple(self._plain.get(partner, partner) for partner in found.partners)
        return replace(found, key=self.keys[index], partners=partners)

    def holders(
        self,
        blocks: Sequence[BlockKey],
        hashes: np.ndarray,
        block: np.ndarray,
        view: np.ndarray,
        most: int | None = None,
    ) -> Holders:
        """Find who has these hashes in these blocks and views: columns as a `Fingerprint` has them.

        Args:
            blocks: what `block` counts.
            hashes, block, view: (Q,).
            most: hashes that more works have are only counted.
        """
        salts = np.array([[_salt(key.file, key.number, name) for name in VIEWS] for key in blocks], np.uint64)
        wanted = np.asarray(hashes, np.uint64) ^ salts.reshape(-1, len(VIEWS))[block, view]
        keys, starts, lengths, holders = self._index
        low, high = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        reached = np.concatenate([[0], np.cumsum(lengths)])
        counts = reached[high] - reached[low]
        taken = np.ones(len(wanted), bool) if most is None else counts <= most
        rows = ranges(low[taken], (high - low)[taken])  # one for each year that has the hash
        ends = np.zeros(len(wanted) + 1, np.int64)
        np.cumsum(np.where(taken, counts, 0), out=ends[1:])
        return Holders(counts, ends, holders[ranges(starts[rows], lengths[rows])])

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Hashes of all years, salted with their spots and sorted; where their holders begin; how many; who."""
        keys, starts, lengths, holders = [], [], [], []
        num_holders = 0
        for volume, first in zip(self._volumes, self._firsts[:-1], strict=True):
            salts = np.array([_salt(*spot) for spot in volume.spots], np.uint64)
            keys.append(volume.hashes ^ salts[volume.spot] if len(volume.hashes) else volume.hashes)
            starts.append(volume.starts[volume.group] + num_holders)
            lengths.append(np.diff(volume.starts)[volume.group])
            holders.append(volume.holders + np.uint32(first))
            num_holders += len(volume.holders)
        if not keys:
            none = np.empty(0, np.int64)
            return none.astype(np.uint64), none, none, none
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")  # stable: years stay in order
        return joined[order], np.concatenate(starts)[order], np.concatenate(lengths)[order], np.concatenate(holders)


def load(path: Path, secret: bytes | None = None, persons: Collection[str] = ()) -> Archive:
    """Read all works of an archive.

    Args:
        path: the archive.
        secret: of its pseudonyms; without it nobody in it is recognised, and text, slips and traces aren't compared.
        persons: those to recognise: they bear their own names where the archive has their pseudonyms.
    Raises:
        CourseError: there is none, it can't be read, is damaged, newer than this program, of another extractor version,
            or has pseudonyms of another secret.
    """
    with _opened(path) as archive:
        rows = archive.execute("SELECT year, extractor, secret, volume FROM years ORDER BY year").fetchall()
    is_keyed = secret is not None and any(check for _, _, check, _ in rows)
    volumes = {}
    for year, version, check, data in rows:
        if version != EXTRACTOR_VERSION:
            raise _other_extractor(path, year, version)
        if secret is not None and check and check != _check(secret):
            raise CourseError(f"{path}: {year} has pseudonyms made with another secret: give that one")
        volume = _volume(path, year, data)
        volumes[year] = _keyed_volume(volume, secret) if is_keyed and not check else volume
    return Archive(volumes, {pseudonym(person, secret): person for person in persons} if secret else None, is_keyed)


def add(
    path: Path,
    year: str,
    works: Sequence[Fingerprint],
    sources: Mapping[WorkKey, bytes] | None = None,
    *,
    secret: bytes | None = None,
    digests: Mapping[WorkKey, str] | None = None,
    known: Collection[WorkKey] = (),
    wait_s: float = WAIT_S,
) -> Added:
    """Put a year's works into an archive, all or none; those of persons who are there already take their place.

    Args:
        path: the archive; made where there is none.
        year: what the year is called; that of the works' own keys doesn't count.
        works: no person twice.
        sources: what to keep of what they wrote, by the keys of `works` and `known`.
        secret: to put pseudonyms in the place of persons.
        digests: of what each work was made from, by key; made of the fingerprints where there are none.
        known: other works, of which `unchanged` has said that they are there.
        wait_s: how long to wait for another writer.
    Raises:
        CourseError: the year's name won't do, two works are of one person, the year is of another extractor version or
            has names where these have pseudonyms, or the archive can't be written. Nothing was changed.
    """
    year = year_name(year)
    check = _check(secret) if secret else ""
    fingerprints = {}
    for work in works:
        if work.version != EXTRACTOR_VERSION:
            raise CourseError(f"{work.key.label}: of extractor {work.version}, not {EXTRACTOR_VERSION}; read it again")
        if work.key.person in fingerprints:
            raise CourseError(f"{year}: two works of {work.key.person}; keep one of them and add the year again")
        fingerprints[work.key.person] = work
    entries = {
        person: _entry(work, secret, digests[work.key] if digests else None) for person, work in fingerprints.items()
    }
    with _opened(path, wait_s, is_written=True) as archive, _transaction(archive):
        _check_secret(archive, path, year, check)
        row = archive.execute("SELECT extractor, volume FROM years WHERE year = ?", (year,)).fetchone()
        if row and row[0] != EXTRACTOR_VERSION:
            raise _other_extractor(path, year, row[0])
        volume = _volume(path, year, row[1]) if row else Volume.empty()
        old = {entry.person: entry.digest for entry in volume.works}
        if any(old.get(_name(key.person, secret)) != _keyed(digests[key], secret) for key in known):
            raise CourseError(f"{path}: another program has changed {year} meanwhile: run this again")
        changed = {p: entry for p, entry in entries.items() if old.get(entry.person) != entry.digest}
        if changed:
            kept = [fingerprints[person] for person in changed]
            kept = [keyed(fingerprint, secret) for fingerprint in kept] if secret else kept
            volume = volume.with_works(list(changed.values()), kept)
            archive.execute(
                "INSERT OR REPLACE INTO years VALUES (?, ?, ?, ?)",
                (year, EXTRACTOR_VERSION, check, volume.to_bytes()),
            )
            gone = [(year, _column(entry.person)) for entry in changed.values()]
            archive.executemany("DELETE FROM sources WHERE year = ? AND person = ?", gone)
        kept = [
            (year, _column(_name(key.person, secret)), zlib.compress(text, 9)) for key, text in (sources or {}).items()
        ]
        archive.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", kept)
    replaced = sum(entry.person in old for entry in changed.values())
    return Added(len(changed) - replaced, replaced, len(entries) - len(changed) + len(known))


def unchanged(path: Path, year: str, digests: Mapping[WorkKey, str], secret: bytes | None = None) -> frozenset[WorkKey]:
    """Tell which works an archive has already, made from just this by just this program. They need not be read again.

    Args:
        path: the archive, which need not be there.
        year: the year.
        digests: by key, as `add` is given them.
        secret: as `add` is given it.
    Raises:
        CourseError: the archive can't be read or is damaged.
    """
    if not path.exists():
        return frozenset()
    with _opened(path) as archive:
        row = archive.execute("SELECT extractor, volume FROM years WHERE year = ?", (year,)).fetchone()
    if not row or row[0] != EXTRACTOR_VERSION:
        return frozenset()
    there = {(entry.person, entry.digest) for entry in _volume(path, year, row[1]).works}
    return frozenset(
        key for key, digest in digests.items() if (_name(key.person, secret), _keyed(digest, secret)) in there
    )


def forget(path: Path, year: str, *, wait_s: float = WAIT_S) -> int:
    """Remove a year: of what it held, nothing is left in the file.

    Returns:
        how many works that were; -1 where the year was too damaged to say.
    Raises:
        CourseError: there is no such year, or the archive can't be written. Nothing was changed.
    """
    with _opened(path, wait_s, is_written=True, is_new=False) as archive:
        with _transaction(archive):
            row = archive.execute("SELECT volume FROM years WHERE year = ?", (year,)).fetchone()
            if not row:
                years = [name for (name,) in archive.execute("SELECT year FROM years ORDER BY year")]
                raise CourseError(f"{path}: no year {year!r} in it; it has {', '.join(years) or 'none'}")
            archive.execute("DELETE FROM years WHERE year = ?", (year,))
            archive.execute("DELETE FROM sources WHERE year = ?", (year,))
        # By now there are zeros where it was; that the file gets smaller may have to wait for space on the disk.
        with contextlib.suppress(sqlite3.OperationalError):
            archive.execute("VACUUM")
    try:
        return len(Volume.from_bytes(row[0]).works)
    except ValueError:
        return -1


def describe(path: Path) -> list[YearSummary]:
    """Say what is in an archive, year by year.

    Raises:
        CourseError: there is none, it can't be read, is damaged or newer than this program.
    """
    with _opened(path) as archive:
        rows = archive.execute(
            "SELECT year, extractor, secret, volume, (SELECT COUNT(*) FROM sources WHERE sources.year = years.year), "
            "(SELECT COALESCE(SUM(LENGTH(source)), 0) FROM sources WHERE sources.year = years.year) "
            "FROM years ORDER BY year"
        ).fetchall()
    summaries = []
    for year, version, check, data, num_sources, source_bytes in rows:
        volume = _volume(path, year, data)
        scaffolds = tuple(sorted({entry.scaffold for entry in volume.works}))
        summaries.append(
            YearSummary(
                year,
                len(volume.works),
                scaffolds,
                version,
                bool(check),
                volume.thinned,
                num_sources,
                len(data) + source_bytes,
            )
        )
    return summaries


def source(path: Path, key: WorkKey, secret: bytes | None = None) -> bytes | None:
    """Give what was kept of what a student wrote, or None.

    Args:
        path: the archive.
        key: the work's, with the person as `load` gave it.
        secret: as `load` was given it.
    Raises:
        CourseError: the archive can't be read or is damaged.
    """
    names = {key.person, _name(key.person, secret)}
    with _opened(path) as archive:
        for name in sorted(names):
            row = archive.execute(
                "SELECT source FROM sources WHERE year = ? AND person = ?", (key.year, _column(name))
            ).fetchone()
            if row:
                try:
                    return zlib.decompress(row[0])
                except zlib.error as error:
                    raise CourseError(f"{path}: the source of {key.label} is damaged: forget {key.year}") from error
    return None


def year_name(year: str) -> str:
    """Check what a year is called.

    Raises:
        CourseError: it is no plain name.
    """
    if not _YEAR.fullmatch(year):
        raise CourseError(
            f"{year!r} is no year's name: give up to 32 letters, digits, '.', '-', '_', as in 2025-spring"
        )
    return year


def pseudonym(person: str, secret: bytes) -> str:
    """What a person is called in an archive with pseudonyms."""
    return "p" + hmac.new(secret, b"person\0" + person.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:20]


def read_secret(path: Path | None) -> bytes | None:
    """Read the secret of pseudonyms from a file, else from the environment; None where neither has one.

    Raises:
        CourseError: it can't be read, or is too short to be one.
    """
    if path is None:
        where, content = f"${SECRET_VARIABLE}", os.fsencode(os.environ.get(SECRET_VARIABLE, "")).strip()
        if not content:
            return None
    else:
        where = str(path)
        try:
            content = path.read_bytes().strip()
        except OSError as error:
            raise CourseError(f"{path}: {error.strerror or error}; give the file that holds the secret") from error
    if len(content) < _SHORTEST_SECRET:
        raise CourseError(
            f"{where}: {len(content)} bytes are too short for a secret, which needs {_SHORTEST_SECRET}: make one with "
            "'openssl rand -hex 32'"
        )
    return content


def _salt(file: str, number: int, view: str) -> int:
    return stable_hash(f"{file}\0{number}\0{view}")


def _check(secret: bytes) -> str:
    """What tells one secret from another, and nothing else of it."""
    return hmac.new(secret, b"check", "sha256").hexdigest()[:16]


def _name(person: str, secret: bytes | None) -> str:
    return pseudonym(person, secret) if secret else person


def _keyed(digest: str, secret: bytes | None) -> str:
    """A digest that nobody can find the person by who tries all of them."""
    return hmac.new(secret or b"-", digest.encode(), "sha256").hexdigest()[:16]


def _keyed_volume(volume: Volume, secret: bytes) -> Volume:
    """A year without pseudonyms beside one with them."""
    is_keyed = np.array([not spot.file or spot.view in KEYED_VIEWS for spot in volume.spots], bool)[volume.spot]
    hashes = volume.hashes.copy()
    hashes[is_keyed] = keyed_hashes(hashes[is_keyed], secret)
    return replace(volume, hashes=hashes)


def _column(person: str) -> bytes:
    """A person as SQLite takes any: a hand-in's name may hold what is no text."""
    return person.encode("utf-8", "surrogatepass")


def _entry(work: Fingerprint, secret: bytes | None, digest: str | None) -> Entry:
    if digest is None:  # the year may have another name in the key, and still be the same
        digest = hashlib.sha256(replace(work, key=WorkKey("", work.key.person)).to_bytes()).hexdigest()
    partners = tuple(_name(partner, secret) for partner in work.partners)
    return Entry(_name(work.key.person, secret), _keyed(digest, secret), work.scaffold, work.blocks, partners)


def _check_secret(archive: sqlite3.Connection, path: Path, year: str, check: str) -> None:
    for other, old in archive.execute("SELECT year, secret FROM years ORDER BY year"):
        if old and check and old != check:
            raise CourseError(f"{path}: {other} has pseudonyms made with another secret: give that one")
        if other == year and bool(old) != bool(check):
            has, wants = ("pseudonyms", "give their secret") if old else ("no pseudonyms", "give no secret")
            raise CourseError(f"{path}: {year} has {has}: {wants}, or 'archive forget {year}' first")


def _other_extractor(path: Path, year: str, version: int) -> CourseError:
    return CourseError(
        f"{path}: {year} was read by extractor {version}, and this program has {EXTRACTOR_VERSION}, whose hashes are "
        f"others: 'archive forget {year}', then add all of it again"
    )


def _volume(path: Path, year: str, data: bytes) -> Volume:
    try:
        return Volume.from_bytes(data)
    except (ValueError, AttributeError) as error:
        raise CourseError(
            f"{path}: {year} is damaged: put back a copy of the file, or 'archive forget {year}' and add it again"
        ) from error


@contextlib.contextmanager
def _opened(
    path: Path, wait_s: float = WAIT_S, is_written: bool = False, is_new: bool = True
) -> Iterator[sqlite3.Connection]:
    """Open an archive and look whether it is one; what SQLite complains of becomes one line.

    Args:
        path: where.
        wait_s: for other writers.
        is_written: whether it is to be changed.
        is_new: whether it may be made where it is changed.
    """
    is_made = is_written and is_new
    is_there = path.exists()  # asked once: another writer may make it at this moment
    if is_there and not path.is_file():
        raise CourseError(f"{path}: not a file; give the archive's file")
    if not is_there and not is_made:
        raise CourseError(f"{path}: no such archive; give the archive's file")
    archive = None
    try:
        if is_made:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not is_there:  # as is what SQLite puts beside it
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        # Even a reader opens it for writing: it may have to undo what a writer that was killed has left.
        name = f"{path.absolute().as_uri()}?mode={'rwc' if is_made else 'rw'}"
        archive = sqlite3.connect(name, uri=True, timeout=wait_s, isolation_level=None)
        archive.execute("PRAGMA secure_delete = ON")
        archive.execute("PRAGMA temp_store = MEMORY")  # nothing of it in a temporary file
        if is_made and _is_empty(archive):
            _make(archive)
        _check_format(archive, path)
        if _is_empty(archive):  # whoever was to make it was stopped
            archive = _in_memory(archive)
        yield archive
    except sqlite3.Error as error:
        says = str(error)
        meaning = next((meaning for word, meaning in _TROUBLES if word in says), says)
        raise CourseError(f"{path}: {meaning.format(wait=f'{wait_s:g}')}") from error
    except OSError as error:
        raise CourseError(f"{error.filename or path}: {error.strerror or error}") from error
    finally:
        if archive is not None:
            archive.close()


def _make(archive: sqlite3.Connection) -> None:
    with _transaction(archive):
        if _is_empty(archive):  # still: another writer may have been first
            for table in _TABLES:
                archive.execute(table)
            archive.execute(f"PRAGMA application_id = {_APPLICATION}")
            archive.execute(f"PRAGMA user_version = {_FORMAT}")


def _in_memory(archive: sqlite3.Connection) -> sqlite3.Connection:
    """An archive of nothing."""
    archive.close()
    empty = sqlite3.connect(":memory:", isolation_level=None)
    for table in _TABLES:
        empty.execute(table)
    return empty


def _is_empty(archive: sqlite3.Connection) -> bool:
    (application,) = archive.execute("PRAGMA application_id").fetchone()
    return application == 0 and not archive.execute("SELECT 1 FROM sqlite_master").fetchone()


def _check_format(archive: sqlite3.Connection, path: Path) -> None:
    (application,) = archive.execute("PRAGMA application_id").fetchone()
    (format_,) = archive.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION and not _is_empty(archive):
        raise CourseError(f"{path}: a database of something else: give the file that 'archive add' wrote")
    if format_ > _FORMAT:
        raise CourseError(f"{path}: of a newer version of this program (format {format_}; this one knows {_FORMAT})")


@contextlib.contextmanager
def _transaction(archive: sqlite3.Connection) -> Iterator[None]:
    """All of what is done inside, or nothing; no other writer meanwhile."""
    archive.execute("BEGIN IMMEDIATE")
    try:
        yield
        archive.execute("COMMIT")
    except BaseException:
        if archive.in_transaction:  # a full disk has undone it already
            archive.execute("ROLLBACK")
        raise
