"""The works of one earlier year, packed: a third of a kilobyte for each, 2 kB at most.

What is kept of a work are its hashes, by block and view; not its lines, and not its tokens. One class writes much the
same, so the hashes are turned around: for each hash, who has it. Measured on 400 works that `similarity/classgen.py`
makes, of 760 hashes each:

- 304,000 pairs of hash and work are of only 9,800 different hashes. Kept work by work, delta-coded under lzma, they
  take 58 kB beside the hashes; for each hash its list of works, under zlib, 51 kB.
- Most lists are the same as others (all that stands on one odd line has the same owners): 3,900 different ones. Each is
  kept once, with the hashes that it holds for: 45 kB. lzma makes 40 kB of it and takes ten times as long to read.
- The hashes themselves, 8 bytes each, are two thirds of it all, and nothing compresses them. They stay whole: a chance
  hit in 10,000 works is to stay as improbable as between two.

A class that shares less would take more, so a year that outgrows what 10,000 works may take together is thinned: half
of its hashes go, those that begin with a 1 bit, and if need be half of the rest. It is the same half for every work, so
that what is left of two works is still comparable, and rare is still rare. What few write by chance goes last.

Lists are coded as differences, numbers as planes of bytes under zlib, which numpy reads without a loop.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from autograder.similarity.model import SLIPS, VIEWS, BlockKey, Fingerprint, WorkKey

# 20 MB for 10,000 works, and some of it for SQLite. A few works share little, so the first few hundred may take what
# they like; otherwise a year that is added one by one would be thinned before it is known what they share.
WORK_BYTES = 1_900
FEW_WORKS = 320
TRACES_OF_A_KIND = 16  # the lowest hashes: a report's sentences come by the hundred, and nobody else has them

_MAGIC = b"CKV1"
_HEADER = struct.Struct("<4sI")
_COLUMNS = 5
_SPARED = 3  # bits: how much later slips are thinned
_LEVEL = 9
_MIXED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, as in splitmix64


class Spot(NamedTuple):
    """Where a hash was found: a block's view; or a trace's kind, with "" for the file."""

    file: str
    number: int
    view: str


class Entry(NamedTuple):
    """One archived work, without its hashes."""

    person: str
    digest: str  # of what it was made from: while that is the same, so is the fingerprint
    scaffold: str
    blocks: tuple[BlockKey, ...]
    partners: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Volume:
    """All works of one year.

    The D hashes are sorted by (group, spot, hash); those of one group are held by the same works.

    Attributes:
        works: by person.
        spots: sorted.
        thinned: of the hashes, only those are kept that begin with so many 0 bits.
        hashes: (D,) uint64.
        spot: (D,) uint16, index into `spots`.
        group: (D,) uint32, not decreasing.
        starts: (G + 1,) int64, where each group's holders begin in `holders`.
        holders: (P,) uint32, index into `works`, increasing within a group.
    """

    works: tuple[Entry, ...]
    spots: tuple[Spot, ...]
    thinned: int
    hashes: np.ndarray
    spot: np.ndarray
    group: np.ndarray
    starts: np.ndarray
    holders: np.ndarray

    @classmethod
    def empty(cls) -> "Volume":
        """A year without works."""
        no = np.empty(0, np.uint32)
        return cls((), (), 0, no.astype(np.uint64), no.astype(np.uint16), no, np.zeros(1, np.int64), no)

    def with_works(self, entries: Sequence[Entry], fingerprints: Sequence[Fingerprint]) -> "Volume":
        """Add works, in the place of those of the same persons, and thin what has grown too large.

        Args:
            entries: no person twice.
            fingerprints: theirs, in the same order.
        """
        new = {entry.person for entry in entries}
        kept = [index for index, entry in enumerate(self.works) if entry.person not in new]
        everyone = [self.works[index] for index in kept] + list(entries)
        order = sorted(range(len(everyone)), key=lambda index: everyone[index].person)
        rank = np.empty(len(everyone), np.uint32)
        rank[order] = np.arange(len(everyone), dtype=np.uint32)
        spots = sorted({*self.spots, *(spot for one in fingerprints for spot, _ in _features(one))})
        number = {spot: index for index, spot in enumerate(spots)}

        hashes, spot, work = self._pairs()
        stays = np.full(len(self.works), -1, np.int64)
        stays[kept] = rank[: len(kept)]
        work = stays[work]
        is_kept = work >= 0
        old_spots = np.array([number[one] for one in self.spots], np.uint16)
        columns = [(hashes[is_kept], old_spots[spot[is_kept]], work[is_kept].astype(np.uint32))]
        for fingerprint, index in zip(fingerprints, rank[len(kept) :], strict=True):
            for where, found in _features(fingerprint):
                found = found[_stays(found, where, self.thinned)]
                columns.append(
                    (found, np.full(len(found), number[where], np.uint16), np.full(len(found), index, np.uint32))
                )
        works = tuple(everyone[index] for index in order)
        hashes, spot, work = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        return _grouped(works, tuple(spots), self.thinned, hashes, spot, work)._fitted()

    def fingerprint(self, index: int, year: str, version: int) -> Fingerprint:
        """One work's, as far as it is kept: no lines, no tokens."""
        entry = self.works[index]
        starts, features = self._by_work
        mine = features[starts[index] : starts[index + 1]]
        spot, hashes = self.spot[mine], self.hashes[mine]
        column_of, is_sorted, kinds = self._columns(entry.blocks)
        column = column_of[spot]
        is_code = column >= 0
        column, code = column[is_code], hashes[is_code]
        if not is_sorted:  # a scaffold whose files aren't in the order of their names
            sort = np.argsort(column, kind="stable")
            column, code = column[sort], code[sort]
        block, view = np.divmod(column, len(VIEWS))
        traces = {}
        if not is_code.all():
            traces = {kind: tuple(map(int, hashes[spot == number])) for number, kind in kinds}
        no_lines = np.broadcast_to(np.uint16(0), code.shape)
        return Fingerprint(
            WorkKey(year, entry.person),
            entry.scaffold,
            entry.blocks,
            (0,) * len(entry.blocks),
            code,
            block.astype(np.uint16),
            view.astype(np.uint8),
            no_lines,
            no_lines,
            partners=entry.partners,
            traces={kind: found for kind, found in traces.items() if found},
            version=version,
        )

    def to_bytes(self) -> bytes:
        """Pack it: the same bytes for the same works, in whatever order they were added."""
        scaffolds = sorted({entry.scaffold for entry in self.works})
        block_lists = sorted({entry.blocks for entry in self.works})
        head = {
            "works": [
                [entry.person, entry.digest, scaffolds.index(entry.scaffold), block_lists.index(entry.blocks)]
                + [entry.partners] * bool(entry.partners)
                for entry in self.works
            ],
            "scaffolds": scaffolds,
            "blocks": block_lists,
            "spots": self.spots,
            "thinned": self.thinned,
        }
        lengths = np.diff(self.starts)
        steps = self.holders.astype(np.int64)
        steps[1:] -= self.holders[:-1]
        steps[self.starts[:-1]] = self.holders[self.starts[:-1]]
        parts = [
            zlib.compress(json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode(), _LEVEL),
            np.ascontiguousarray(self.hashes, "<u8").tobytes(),
            pack_numbers(self.spot),
            pack_numbers(np.bincount(self.group, minlength=len(lengths))),
            pack_numbers(lengths),
            pack_numbers(steps),
        ]
        return _HEADER.pack(_MAGIC, zlib.crc32(b"".join(parts))) + b"".join(
            struct.pack("<I", len(part)) + part for part in parts
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Volume":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: it is not such bytes, or damaged.
        """
        try:
            magic, check = _HEADER.unpack_from(data)
            parts, at = [], _HEADER.size
            while at < len(data):
                (size,) = struct.unpack_from("<I", data, at)
                parts.append(data[at + 4 : at + 4 + size])
                at += 4 + size
            if magic != _MAGIC or zlib.crc32(b"".join(parts)) != check or len(parts) != _COLUMNS + 1:
                raise ValueError("damaged")
            head = json.loads(zlib.decompress(parts[0]))
            block_lists = [tuple(BlockKey(*block) for block in blocks) for blocks in head["blocks"]]
            works = tuple(
                Entry(person, digest, head["scaffolds"][scaffold], block_lists[blocks], tuple(*partners))
                for person, digest, scaffold, blocks, *partners in head["works"]
            )
            hashes = np.frombuffer(parts[1], "<u8")
            spot, sizes, lengths, steps = (unpack_numbers(part) for part in parts[2:])
            starts = np.zeros(len(lengths) + 1, np.int64)
            np.cumsum(lengths, out=starts[1:])
            # Each list's first number stands whole: one sum over all, less what was reached where the list begins.
            reached = np.cumsum(steps, dtype=np.int64)
            before = np.zeros(len(lengths), np.int64)
            before[1:] = reached[starts[1:-1] - 1]
            holders = (reached - np.repeat(before, lengths)).astype(np.uint32)
            return cls(
                works,
                tuple(Spot(*spot) for spot in head["spots"]),
                head["thinned"],
                hashes,
                spot.astype(np.uint16),
                np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes),
                starts,
                holders,
            )
        except (struct.error, zlib.error, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"damaged: {error}") from error

    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Who has which hash, one by one: hashes, spots and works of equal length."""
        features, work = _expanded(np.arange(len(self.hashes)), self.group, self.starts, self.holders)
        return self.hashes[features], self.spot[features], work

    @cached_property
    def _by_work(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each work's hashes begin, and which they are, by spot and hash."""
        order = np.lexsort((self.hashes, self.spot))
        features, work = _expanded(order, self.group[order], self.starts, self.holders)
        sort = np.argsort(work, kind="stable")
        starts = np.zeros(len(self.works) + 1, np.int64)
        np.cumsum(np.bincount(work, minlength=len(self.works)), out=starts[1:])
        return starts, features[sort].astype(np.uint32)

    def _columns(self, blocks: tuple[BlockKey, ...]) -> tuple[np.ndarray, bool, list[tuple[int, str]]]:
        """Tell of works with these blocks each spot's rank, -1 for a trace's; whether ranks increase; traces' spots."""
        if blocks not in self._known_columns:
            number = {key: index for index, key in enumerate(blocks)}
            column_of = np.full(len(self.spots), -1, np.int64)
            for index, (file, block, view) in enumerate(self.spots):
                if file and (file, block) in number:
                    column_of[index] = number[BlockKey(file, block)] * len(VIEWS) + VIEWS.index(view)
            code = column_of[column_of >= 0]
            kinds = [(index, one.view) for index, one in enumerate(self.spots) if not one.file]
            self._known_columns[blocks] = column_of, bool(np.all(code[1:] > code[:-1])), kinds
        return self._known_columns[blocks]

    @cached_property
    def _known_columns(self) -> dict[tuple[BlockKey, ...], tuple[np.ndarray, bool, list[tuple[int, str]]]]:
        return {}

    def _fitted(self) -> "Volume":
        limit, volume = WORK_BYTES * max(len(self.works), FEW_WORKS), self
        # The hashes alone are most of it, so most years need not be packed to know that they fit.
        while 8 * len(volume.hashes) > limit or len(volume.to_bytes()) > limit:
            if volume.thinned >= 64:
                break  # names and partners alone are too much: nothing that thinning could mend
            volume = volume._thinner()
        used, spot = np.unique(volume.spot, return_inverse=True)
        return replace(volume, spots=tuple(volume.spots[number] for number in used), spot=spot.astype(np.uint16))

    def _thinner(self) -> "Volume":
        thinned = self.thinned + 1
        stays = np.zeros(len(self.hashes), bool)
        for number, spot in enumerate(self.spots):
            here = self.spot == number
            stays[here] = _stays(self.hashes[here], spot, thinned)
        groups, group = np.unique(self.group[stays], return_inverse=True)
        lengths = np.diff(self.starts)[groups]
        starts = np.zeros(len(groups) + 1, np.int64)
        np.cumsum(lengths, out=starts[1:])
        holders = self.holders[ranges(self.starts[groups], lengths)]
        return replace(
            self,
            thinned=thinned,
            hashes=self.hashes[stays],
            spot=self.spot[stays],
            group=group.astype(np.uint32),
            starts=starts,
            holders=holders,
        )


def thin(fingerprint: Fingerprint, bits: int) -> Fingerprint:
    """What is left of a fingerprint in a volume that is thinned by so many bits: the lowest hashes.

    Slips are thinned later than the rest. What two works share, thinned, is what the two, thinned, share.
    """
    keep = np.zeros(len(fingerprint.hashes), bool)
    for view, name in enumerate(VIEWS):
        here = fingerprint.view == view
        keep[here] = _stays(fingerprint.hashes[here], Spot("-", 0, name), bits)
    traces = {}
    for kind, hashes in fingerprint.traces.items():
        found = np.array(sorted(hashes)[:TRACES_OF_A_KIND], np.uint64)
        traces[kind] = tuple(map(int, found[_stays(found, Spot("", 0, kind), bits)]))
    columns = {name: getattr(fingerprint, name)[keep] for name in ("hashes", "block", "view", "first", "last")}
    return replace(fingerprint, traces={kind: hashes for kind, hashes in traces.items() if hashes}, **columns)


def pack_numbers(numbers: Iterable[int] | np.ndarray) -> bytes:
    """Pack numbers from 0 to 2^32 - 1, most of them small: plane by plane of their bytes, so that zlib sees runs."""
    planes = np.ascontiguousarray(numbers, "<u4").view(np.uint8).reshape(-1, 4).T
    return zlib.compress(planes.tobytes(), _LEVEL)


def unpack_numbers(data: bytes) -> np.ndarray:
    """Read what `pack_numbers` wrote, as uint32.

    Raises:
        ValueError, zlib.error: it is not such bytes.
    """
    planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<u4").reshape(-1)


def _features(fingerprint: Fingerprint) -> Iterable[tuple[Spot, np.ndarray]]:
    """A fingerprint's hashes, by spot; spots without any are not there."""
    where = fingerprint.block.astype(np.int64) * len(VIEWS) + fingerprint.view
    numbers, starts = np.unique(where, return_index=True)  # the columns are sorted
    for number, start, end in zip(numbers, starts, np.append(starts, len(where))[1:], strict=True):
        block = fingerprint.blocks[number // len(VIEWS)]
        yield Spot(block.file, block.number, VIEWS[number % len(VIEWS)]), fingerprint.hashes[start:end]
    for kind, hashes in fingerprint.traces.items():
        if not hashes:
            continue
        yield Spot("", 0, kind), np.array(sorted(hashes)[:TRACES_OF_A_KIND], np.uint64)


def _stays(hashes: np.ndarray, spot: Spot, thinned: int) -> np.ndarray:
    is_spared = spot.view == SLIPS or not spot.file
    bits = max(0, thinned - _SPARED) if is_spared else thinned
    return hashes < 2 ** (64 - bits) if bits else np.ones(len(hashes), bool)


def _grouped(
    works: tuple[Entry, ...],
    spots: tuple[Spot, ...],
    thinned: int,
    hashes: np.ndarray,
    spot: np.ndarray,
    work: np.ndarray,
) -> Volume:
    """Make a volume of pairs of hash and work, of which none stands there twice."""
    if not len(hashes):
        return replace(Volume.empty(), works=works, thinned=thinned)
    order = np.lexsort((work, hashes, spot))
    hashes, spot, work = hashes[order], spot[order], work[order]
    del order
    is_new = np.ones(len(hashes), bool)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (spot[1:] != spot[:-1])
    begins = np.flatnonzero(is_new)
    lengths = np.diff(np.append(begins, len(hashes)))
    # Two lists are the same where two sums over them are, of numbers as good as random: 128 bits, no loop.
    one = _mix(np.arange(len(works), dtype=np.uint64))
    sums = [np.add.reduceat(random[work], begins) for random in (one, _mix(one))]
    # Lists of one length together, and those that begin alike: what follows on its like compresses well.
    keys = np.lexsort((hashes[begins], spot[begins], *sums, work[begins], lengths))
    is_group = np.ones(len(keys), bool)
    is_group[1:] = np.any([column[keys][1:] != column[keys][:-1] for column in (*sums, lengths)], axis=0)
    first = keys[is_group]  # one hash of each group
    starts = np.zeros(len(first) + 1, np.int64)
    np.cumsum(lengths[first], out=starts[1:])
    return Volume(
        works,
        spots,
        thinned,
        hashes[begins][keys],
        spot[begins][keys],
        (np.cumsum(is_group) - 1).astype(np.uint32),
        starts,
        work[ranges(begins[first], lengths[first])],
    )


def _mix(numbers: np.ndarray) -> np.ndarray:
    """Scatter numbers over 64 bits, the same way on every machine (splitmix64)."""
    mixed = (numbers + np.uint64(1)) * _MIXED
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _expanded(
    features: np.ndarray, group: np.ndarray, starts: np.ndarray, holders: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each feature as often as it has holders, and its holders."""
    lengths = np.diff(starts)[group]
    return np.repeat(features, lengths), holders[ranges(starts[group], lengths)]


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers of all ranges, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
