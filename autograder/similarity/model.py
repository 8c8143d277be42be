"""What travels between the rooms of the similarity report: works, fingerprints, pairs and the comparison of them all.

Everything here is plain data. Lines are counted from 1; hashes are stable, the same on every machine and in every year
(`stable_hash`, never Python's own).
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from code_analyze.summary import visible

EXTRACTOR_VERSION = 3  # one more whenever a view gives another hash for the same code: fingerprints then don't compare
THIS_YEAR = ""  # the year of what is compared now; archived works bear another

# What a block is looked at as, from the most literal to the most abstract.
TEXT = "text"  # statements and comments as they were typed, white space aside
TOKENS = "tokens"  # runs of tokens, names replaced by what they stand for
STATEMENTS = "statements"  # whole statements, in any order
FLOW = "flow"  # what is computed from what
SLIPS = "slips"  # what few write by chance: typos, odd constants, odd names, comments of one's own
VIEWS = (TEXT, TOKENS, STATEMENTS, FLOW, SLIPS)

# Kinds of slips. A slip's hash tells its kind, so that an archive, which has no words, knows it too.
SLIP_NAME, SLIP_WORD, SLIP_STRING, SLIP_NUMBER, SLIP_COMMENT, SLIP_TYPO = SLIP_KINDS = (
    "name",  # of one's own
    "word",  # in a comment
    "string",
    "number",
    "comment",  # a whole one
    "misspelt",  # in a comment or a name
)
TEXT_CODE, TEXT_COMMENT = TEXT_KINDS = ("code", "comment")
KIND_BITS = 3  # the lowest of a hash are the index of its kind: of a slip in SLIP_KINDS, of a text in TEXT_KINDS

# Traces beyond code; each is a column of its own and counts for nothing else.
REPORT_TEXT = "report text"
IMAGES = "images"
SUMMARY_TXT = "summary.txt"
ZIP_METADATA = "zip metadata"
LOG_DIGITS = "log digits"
OUTSIDE = "outside the blocks"
TRACES = (REPORT_TEXT, IMAGES, SUMMARY_TXT, ZIP_METADATA, LOG_DIGITS, OUTSIDE)

# Marks of a pair.
SAME_PERSON = "same person"  # one student in two years
DECLARED = "one names the other"
DECLARED_BOTH = "declare each other"  # listed apart

_MAGIC = b"CKFP"
_HEADER = struct.Struct("<4sII")


def stable_hash(text: str | bytes) -> int:
    """A 64-bit hash that is the same in every process, on every machine and in every year."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def slip_hash(kind: str, what: str) -> int:
    """The hash of a slip."""
    return of_kind(stable_hash(f"{kind} {what}"), SLIP_KINDS.index(kind))


def text_hash(kind: str, what: str) -> int:
    """The hash of a statement or a comment as it was typed."""
    return of_kind(stable_hash(f"{kind} {what}"), TEXT_KINDS.index(kind))


def of_kind(hash_: int, kind: int) -> int:
    """A hash that tells its kind; see KIND_BITS."""
    return hash_ >> KIND_BITS << KIND_BITS | kind


def kind_number(hash_: int) -> int:
    """What `of_kind` was given."""
    return hash_ & ((1 << KIND_BITS) - 1)


def slip_kind(hash_: int) -> str:
    """Which of SLIP_KINDS a slip is."""
    number = kind_number(hash_)
    return SLIP_KINDS[number] if number < len(SLIP_KINDS) else SLIP_NAME


class BlockKey(NamedTuple):
    """Which TODO block it is."""

    file: str  # its path below the scaffold, with forward slashes
    number: int  # 1, 2, ... in the file


class WorkKey(NamedTuple):
    """Whose work it is, and of which year."""

    year: str  # THIS_YEAR for what is compared now
    person: str  # the student number, or what else the hand-in is known by, or a pseudonym

    @property
    def label(self) -> str:
        """How a person reads it: "2021012345", or "2024/2021012345" for an earlier year's."""
        return f"{self.year}/{self.person}" if self.year else self.person


# What a student wrote in files of one's own and outside the blocks of given ones, as one block more.
ELSEWHERE = BlockKey("own code", 1)


@dataclass(frozen=True)
class BlockText:
    """What a student wrote in one block.

    Attributes:
        key: which block.
        title: the scaffold's title of it; "" where it has none.
        text: the lines between START and END as written, line ends included; scaffold lines are still in it.
        first_line: where the text's first line stands in the student's file.
        given: the scaffold's own text of the block, which never counts.
    """

    key: BlockKey
    title: str
    text: str
    first_line: int
    given: str = ""


@dataclass(frozen=True)
class OutsideEdit:
    """Lines of a scaffold's file that a student changed outside the blocks, or that no block's markers enclose."""

    file: str
    line: int  # in the student's file, where the added lines begin
    removed: tuple[str, ...]  # the scaffold's lines
    added: tuple[str, ...]  # the student's


@dataclass(frozen=True)
class Work:
    """One student's hand-in as it was read. Nothing of it was executed.

    Attributes:
        key: whose.
        label: the hand-in's path below the folder of hand-ins.
        blocks: what was found, by key, in the scaffold's order; a block that was lost is not there.
        outside: edits outside the blocks.
        own: files of the student's own, and given ones without blocks that were changed: path -> text, given lines left
            empty.
        references: `# Reference:` lines, by block, as they were written.
        partners: the persons that these name, as student numbers.
        traces: kind -> hash -> what to show for it, such as a file's name or the sentence.
        remarks: what a person should know, one line each: damaged files, lost markers, older hand-ins.
    """

    key: WorkKey
    label: str
    blocks: Mapping[BlockKey, BlockText] = field(default_factory=dict)
    outside: tuple[OutsideEdit, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)
    references: tuple[tuple[BlockKey, str], ...] = ()
    partners: tuple[str, ...] = ()
    traces: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def pieces(self) -> Mapping[BlockKey, BlockText]:
        """All that is compared: the blocks, and what stands elsewhere, each place under a line that names it."""
        parts = [(f"# in {visible(name)}", text) for name, text in self.own.items()]
        parts += [
            (f"# in {edit.file}, outside the blocks, from line {edit.line}", "\n".join(edit.added))
            for edit in self.outside
            if edit.added
        ]
        if not parts:
            return self.blocks
        text = "".join(f"{head}\n{body.rstrip()}\n" for head, body in parts)
        heads = "".join(f"{head}\n" for head, _ in parts)
        return {
            **self.blocks,
            ELSEWHERE: BlockText(ELSEWHERE, "own files, and code outside the blocks", text, 1, heads),
        }


@dataclass(frozen=True)
class Scaffold:
    """The given code: what every student starts from.

    Attributes:
        files: path below the scaffold -> text, of the files that have blocks.
        blocks: its blocks in order, with the given text.
        others: path -> text, of its Python files without blocks.
        hash: of files with blocks, as 16 hex digits; fingerprints of different scaffolds still compare, with a remark.
    """

    files: Mapping[str, str]
    blocks: Mapping[BlockKey, BlockText]
    hash: str
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is compared of one work, and all that an archive must keep of it.

    The N features are columns of equal length, sorted by (block, view, hash); a (block, view, hash) stands there once.

    Attributes:
        key: whose.
        scaffold: `Scaffold.hash`.
        blocks: the K blocks that the work has, ELSEWHERE among them where anything stands there.
        first_lines: (K,) int, where each block's first line stands in the student's file.
        hashes: (N,) uint64.
        block: (N,) uint16, index into `blocks`.
        view: (N,) uint8, index into VIEWS.
        first, last: (N,) uint16, lines within the block, 1 for its first.
        tokens: per block, the number of tokens on each of its lines: what the 70 % rule weighs lines by. Needed of new
            works only; an archive may leave it empty, and first_lines, first and last zero.
        partners: persons that the work names as partners.
        traces: kind -> sorted hashes.
        version: EXTRACTOR_VERSION of the program that made it.
    """

    key: WorkKey
    scaffold: str
    blocks: tuple[BlockKey, ...]
    first_lines: tuple[int, ...]
    hashes: np.ndarray
    block: np.ndarray
    view: np.ndarray
    first: np.ndarray
    last: np.ndarray
    tokens: tuple[tuple[int, ...], ...] = ()
    partners: tuple[str, ...] = ()
    traces: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    version: int = EXTRACTOR_VERSION

    def to_bytes(self) -> bytes:
        """Write it as bytes, the same for the same fingerprint."""
        header = {
            "key": self.key,
            "scaffold": self.scaffold,
            "blocks": self.blocks,
            "first_lines": self.first_lines,
            "tokens": self.tokens,
            "partners": self.partners,
            "traces": {kind: list(self.traces[kind]) for kind in sorted(self.traces)},
            "version": self.version,
        }
        head = json.dumps(header, ensure_ascii=True, separators=(",", ":"), default=int).encode()
        columns = b"".join(
            np.ascontiguousarray(column, kind).tobytes()
            for column, kind in zip(self.columns, _COLUMN_TYPES, strict=True)
        )
        return _HEADER.pack(_MAGIC, len(head), len(self.hashes)) + zlib.compress(head + columns, 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Fingerprint":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: it is not such bytes, or damaged.
        """
        try:
            magic, head_size, count = _HEADER.unpack_from(data)
            if magic != _MAGIC:
                raise ValueError("not a fingerprint")
            content = zlib.decompress(data[_HEADER.size :])
            head = json.loads(content[:head_size])
            columns, at = [], head_size
            for kind in _COLUMN_TYPES:
                columns.append(np.frombuffer(content, kind, count, at))
                at += count * np.dtype(kind).itemsize
            return cls(
                WorkKey(*head["key"]),
                head["scaffold"],
                tuple(BlockKey(file, number) for file, number in head["blocks"]),
                tuple(head["first_lines"]),
                *columns,
                tokens=tuple(map(tuple, head["tokens"])),
                partners=tuple(head["partners"]),
                traces={kind: tuple(hashes) for kind, hashes in head["traces"].items()},
                version=head["version"],
            )
        except (struct.error, zlib.error, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"a damaged fingerprint: {error}") from error

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """hashes, block, view, first, last."""
        return self.hashes, self.block, self.view, self.first, self.last


_COLUMN_TYPES = ("<u8", "<u2", "|u1", "<u2", "<u2")


@dataclass(frozen=True)
class Match:
    """One thing that two works share in one block.

    Attributes:
        view: which of VIEWS sees it.
        block: where.
        lines_a, lines_b: first and last line in a's and in b's file; (0, 0) where an archive kept none.
        weight: how much it counts, in bits: how rare it is.
        why: a phrase, such as "in 2 of 400 works".
    """

    view: str
    block: BlockKey
    lines_a: tuple[int, int]
    lines_b: tuple[int, int]
    weight: float
    why: str


@dataclass(frozen=True)
class BlockScore:
    """How alike two works are in one block.

    Attributes:
        block: which.
        score: bits of evidence beyond what two works of this class share anyway; may be below zero.
        views: view -> share of its weight that the two have in common, in [0, 1].
    """

    block: BlockKey
    score: float
    views: Mapping[str, float]


@dataclass(frozen=True)
class TraceMatch:
    """One kind of trace beyond code that two works share.

    Attributes:
        kind: one of TRACES.
        count: how many things of this kind.
        shown: a few of them in words, from a's work; hashes in hex where only those are known.
        others: in how many other works the rarest of them stands.
    """

    kind: str
    count: int
    shown: tuple[str, ...]
    others: int


@dataclass(frozen=True)
class Pair:
    """Two works and what they share.

    Attributes:
        a, b: a is of this year; where both are, a.person < b.person.
        similarity: in [0, 1], for ranking and for people; not a probability and not a share of lines.
        score: nats: -log of how probable it is that two works are as alike by chance.
        expected: how many pairs of this class would be, if nobody had copied.
        is_listed: whether `expected` is within the cut-off, so that a person should look.
        blocks: every block that both have, best first.
        matches: what counted, best first.
        traces: evidence beyond code, which is in no score.
        marks: such as DECLARED_BOTH.
    """

    a: WorkKey
    b: WorkKey
    similarity: float
    score: float
    expected: float
    is_listed: bool
    blocks: tuple[BlockScore, ...] = ()
    matches: tuple[Match, ...] = ()
    traces: tuple[TraceMatch, ...] = ()
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnShare:
    """The 70 % rule for one student.

    Attributes:
        key: who.
        share: of the code in the blocks, by tokens, what no single other work explains; in [0, 1].
        source: the work that explains the most; None where none explains anything.
        blocks: block -> share of it that the source explains.
        is_below: whether the share is below the rule's.
    """

    key: WorkKey
    share: float
    source: WorkKey | None
    blocks: Mapping[BlockKey, float]
    is_below: bool


@dataclass(frozen=True)
class OtherTool:
    """What another tool says of the same class.

    Attributes:
        name: of the tool.
        similarity: pair of works, the lesser key first -> what the tool calls their similarity, in [0, 1].
        unknown: names in its file that are none of this class's.
    """

    name: str
    similarity: Mapping[tuple[WorkKey, WorkKey], float]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All that was found.

    Attributes:
        works: the keys of the new works, sorted.
        archived: the keys of the archived works, sorted.
        pairs: ranked, best first: those that are listed, then the next few, with all that is known of them.
        declared: pairs that declare each other, ranked likewise; not in `pairs`.
        table: a, b, similarity, expected of every pair above zero, those of `pairs` and `declared` too, ranked.
        cutoff: pairs with at most this many expected false alarms are listed.
        calibration: one sentence: from what the expected numbers were made.
        own: one for each new work, the smallest share first.
        scaffold: `Scaffold.hash`.
        remarks: what a person should know about the class, one line each: damaged hand-ins and the like.
        others: what other tools say, shown beside.
    """

    works: tuple[WorkKey, ...]
    archived: tuple[WorkKey, ...]
    pairs: tuple[Pair, ...]
    declared: tuple[Pair, ...]
    table: Sequence[tuple[WorkKey, WorkKey, float, float]]
    cutoff: float
    calibration: str
    own: tuple[OwnShare, ...]
    scaffold: str
    remarks: tuple[str, ...] = ()
    others: tuple[OtherTool, ...] = ()

    @property
    def listed(self) -> tuple[Pair, ...]:
        """The pairs that a person should look at."""
        return tuple(pair for pair in self.pairs if pair.is_listed)
