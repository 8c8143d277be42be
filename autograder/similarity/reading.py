"""Hand-ins and the scaffold as they lie in folders → works: the blocks, what was edited outside them, traces.

Nothing of a student's is executed, no link is followed, and whatever a hand-in holds costs at most its own row.
"""

import functools
import pickle
import re
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath

from autograder.archives import ArchiveError, unpack
from autograder.course import IntakeLimits
from autograder.layout import names_in_short
from autograder.limited import LimitError
from autograder.names import ARCHIVE_SUFFIXES
from autograder.progress import Progress
from autograder.similarity.apart import each
from autograder.similarity.assigning import assign
from autograder.similarity.files import HandedIn, read_files
from autograder.similarity.model import (
    THIS_YEAR,
    BlockKey,
    BlockText,
    OutsideEdit,
    Scaffold,
    Work,
    WorkKey,
    stable_hash,
)
from autograder.similarity.traces import find_traces
from autograder.sources import HandIn, Source, find_hand_ins
from code_analyze.blocks import Block, MarkerError, find_blocks, find_markers
from code_analyze.markers import MatchedMarkers
from code_analyze.references import find_references
from code_analyze.summary import visible
from code_analyze.tree import TreeError, read_tree
from coursekit.errors import CourseError

LIMITS = IntakeLimits(max_zip_mb=50, max_unpacked_mb=500, max_files=2000, max_ratio=200)
MAX_LINES = 6_000  # of a file whose lines are paired with the scaffold's; of a longer one the markers must be intact

MAX_OWN = 90_000  # characters of a student's own files that are compared
# Folders of the handout besides the scaffold: what lies in them is nobody's own.
_KITS = frozenset(["coursekit", "code_analyze", "_codes", "tests"])

# "# TODO START (encoder)" and "# TODO START: the encoder" are markers, too, and name their block.
_NAMED_MARKER = re.compile(r"([ \t]*#[ \t]*todo[ \t]+(?:start|end))\b(.*)", re.IGNORECASE)
_AROUND_NAMES = " \t()[]{}<>:;,.-–—=*#/"
_MARKER = re.compile(r"[ \t\f]*#[ \t]*todo[ \t]+(start|end)[ \t]*", re.IGNORECASE | re.ASCII)
_PARTNER = re.compile(r"student\s+id\s*[:：]\s*([A-Za-z0-9_-]+)", re.IGNORECASE)


def read_scaffold(folder: Path) -> Scaffold:
    """Read the given code.

    Raises:
        CourseError: there is no such folder, no block in it, or markers that don't add up.
    """
    try:
        tree = read_tree(folder)
    except TreeError as error:
        raise CourseError(f"{error}; give the folder of the assignment's scaffold") from error
    files, blocks, others = {}, {}, {}
    for name in sorted(tree.files):
        file = tree.files[name]
        if not file.is_python or file.text is None:
            continue
        text, titles = plain_markers(_unix(file.text))
        try:
            found = find_blocks(text, f"{folder.name}/{name}")
        except MarkerError as error:
            raise CourseError(str(error)) from error
        (files if found else others)[name] = text
        for block in found:
            key = BlockKey(name, block.number)
            title = block.title or titles.get(block.start, "")
            blocks[key] = BlockText(key, title, "", block.start + 1, given=block.body)
    if not blocks:
        raise CourseError(
            f"{folder}: no '# TODO START' and '# TODO END' in its Python files; give the scaffold's folder"
        )
    digest = stable_hash("\0".join(f"{name}\0{files[name]}" for name in sorted(files)))
    return Scaffold(files, blocks, f"{digest:016x}", others)


def read_works(
    folder: Path,
    scaffold: Scaffold,
    year: str = THIS_YEAR,
    limits: IntakeLimits = LIMITS,
    progress: Progress = iter,
) -> list[Work]:
    """Read every hand-in of a folder; of several of one person the newest counts.

    Args:
        folder: zips or folders, of any layout that has the scaffold's files.
        scaffold: what the students were given.
        year: what the works are to bear; this year's bear none.
        limits: what a hand-in may be.
        progress: gives the hand-ins as it is given them, and shows how far that is.
    Returns:
        one work for every person, sorted; one that could not be read has no blocks and a remark.
    Raises:
        CourseError: there is no such folder, no hand-in in it, or two of them have one id.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder}: no such folder; give the one that holds the students' zips or folders")
    hand_ins = _whole_folders(find_hand_ins(folder, limits), folder, scaffold)
    if not hand_ins:
        raise CourseError(f"{folder}: no hand-in in it; give the folder that holds the students' zips or folders")
    people: dict[str, tuple[HandIn, WorkKey]] = {}
    for hand_in in hand_ins:
        person = visible(hand_in.student)
        if person.casefold() in people:
            raise CourseError(f"{folder}: two hand-ins are known as {person}; rename one or take it away")
        source = replace(hand_in.source, path=hand_in.source.path.absolute())
        people[person.casefold()] = replace(hand_in, source=source), WorkKey(year, person)
    asked = list(people.values())
    with tempfile.TemporaryDirectory() as scratch:  # here: a process that is ended cleans nothing up
        found = each(_read_some, asked, pickle.dumps((scaffold, limits, scratch)), _not_read)
        works = [next(found) for _ in progress(asked)]
    return sorted(works, key=lambda work: work.key)


def _read_some(hand_ins: Sequence[tuple[HandIn, WorkKey]], context: bytes) -> list[Work]:
    """Read hand-ins, in a process of its own."""
    reader = _reader(context)
    return [reader.read(hand_in, key) for hand_in, key in hand_ins]


@functools.lru_cache(maxsize=1)
def _reader(context: bytes) -> "_Reader":
    return _Reader(*pickle.loads(context))


def _not_read(item: tuple[HandIn, WorkKey], error: LimitError) -> Work:
    hand_in, key = item
    return Work(key, hand_in.source.label, remarks=(f"not compared: when it was read, {visible(str(error))}",))


def plain_markers(text: str) -> tuple[str, dict[int, str]]:
    """Take what names a block out of its marker lines; return the text and line -> name. Lines stay where they are."""
    titles: dict[int, str] = {}
    if "todo" not in text.lower():
        return text, titles
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        match = _NAMED_MARKER.fullmatch(line)
        if match:
            lines[number - 1] = match[1]
            if name := match[2].strip(_AROUND_NAMES):
                titles[number] = name
    return "\n".join(lines), titles


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _whole_folders(hand_ins: Sequence[HandIn], top: Path, scaffold: Scaffold) -> list[HandIn]:
    """A folder that holds the scaffold's files is a hand-in as a whole, whatever zips lie in it, too."""
    names = {name.rsplit("/", 1)[-1] for name in scaffold.files}
    result: dict[Path, HandIn] = {}
    for hand_in in hand_ins:
        path = hand_in.source.path
        if path.parent != top and any((path.parent / name).is_file() for name in names):
            name = visible(path.parent.name)
            hand_in = HandIn(name, Source(path.parent, name, hand_in.source.name), [], list(hand_in.remarks))
        elif not hand_in.student or hand_in.student == hand_in.source.label:
            stem = hand_in.source.label
            suffix = next((s for s in ARCHIVE_SUFFIXES if stem.lower().endswith(s)), "")
            hand_in = HandIn(stem[: len(stem) - len(suffix)], hand_in.source, hand_in.superseded, [])
        result.setdefault(hand_in.source.path, hand_in)
    return list(result.values())


class _Reader:
    """Reads hand-ins against one scaffold, whose blocks are found once."""

    def __init__(self, scaffold: Scaffold, limits: IntakeLimits, scratch: str):
        self.scaffold, self.limits, self.scratch = scaffold, limits, scratch
        self.blocks = {name: find_blocks(text, name) for name, text in scaffold.files.items()}
        self.lines = {name: text.split("\n") for name, text in scaffold.files.items()}
        self.outside = {name: _outside(self.lines[name], self.blocks[name]) for name in scaffold.files}
        texts = [*scaffold.files.values(), *scaffold.others.values()]
        self.given = frozenset(line.strip() for text in texts for line in text.split("\n"))

    def read(self, hand_in: HandIn, key: WorkKey) -> Work:
        """Read one hand-in; what goes wrong is its remark."""
        remarks = [visible(remark) for remark in hand_in.remarks]
        if hand_in.superseded:
            remarks.append(f"older hand-ins, not looked at: {', '.join(map(visible, hand_in.superseded))}")
        label = hand_in.source.label
        try:
            if hand_in.source.path.is_dir() and not hand_in.source.path.is_symlink():
                files = read_files(hand_in.source.path)
            else:
                with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
                    unpack(hand_in.source.path, Path(scratch, "work"), self.limits)
                    files = read_files(Path(scratch, "work"))
            return self._work(files, hand_in.source.path, key, label, remarks)
        except ArchiveError as error:
            remarks.append(f"not read: {visible(' '.join(str(error).split()))}")
        except MemoryError:
            raise
        except OSError as error:
            remarks.append(f"not read: {visible(error.strerror or str(error))}")
        except Exception as error:  # one student's row and not the end of the class
            remarks.append(f"not read, a fault of this program: {type(error).__name__}: {visible(str(error))[:200]}")
        return Work(key, label, remarks=tuple(remarks))

    def _work(self, files: HandedIn, path: Path, key: WorkKey, label: str, remarks: list[str]) -> Work:
        found: dict[BlockKey, BlockText] = {}
        edits: list[OutsideEdit] = []
        references: list[tuple[BlockKey, str]] = []
        remarks += files.remarks
        assigned = assign(files.python, self.outside)
        missing = [name for name, other in assigned.items() if other is None]
        if missing:
            remarks.append(f"missing: {names_in_short(missing)}")
        for name, other in assigned.items():
            if other is None:
                continue
            if other.rsplit("/", 1)[-1] != name.rsplit("/", 1)[-1]:
                remarks.append(f"{visible(other)} is taken for {name}")
            text, _ = plain_markers(_unix(files.python[other]))
            here, outside, lost = self._align(name, text)
            found.update(here)
            edits += outside
            remarks += lost
            for block in here.values():
                for comment in find_references(block.text):
                    references.append((block.key, visible(comment.text.strip())[:300]))
        if not found:
            remarks.append("none of the scaffold's blocks in it")
        own, unread = self._own(files.python, set(assigned.values()))
        remarks += unread
        partners = sorted({match for _, text in references for match in _PARTNER.findall(text)})
        traces = find_traces(files, path, self.scaffold, edits)
        ordered = {block: found[block] for block in self.scaffold.blocks if block in found}
        remarks = list(dict.fromkeys(remarks))
        return Work(
            key,
            label,
            blocks=ordered,
            outside=tuple(edits),
            own=own,
            references=tuple(references),
            partners=tuple(partners),
            traces=traces,
            remarks=tuple(remarks),
        )

    def _own(self, python: Mapping[str, str], assigned: Set[str | None]) -> tuple[dict[str, str], list[str]]:
        """Files that are none of the scaffold's, without its lines; first those beside its files: they are graded."""
        graded = {PurePosixPath(name).parent for name in assigned if name}
        own: dict[str, str] = {}
        left, remarks = MAX_OWN, []
        for name in sorted(set(python) - assigned, key=lambda name: (PurePosixPath(name).parent not in graded, name)):
            if PurePosixPath(name).parent not in graded and _KITS.intersection(name.split("/")[:-1]):
                continue
            lines = _unix(python[name]).split("\n")
            text = "\n".join("" if line.strip() in self.given else line for line in lines)
            if not text.strip():
                continue
            if len(text) > left:
                remarks.append(f"{visible(name)}: listed, but not compared: more code of one's own than is looked at")
            own[name] = text if len(text) <= left else ""
            left -= len(own[name])
        return own, remarks

    def _align(self, name: str, text: str) -> tuple[dict[BlockKey, BlockText], list[OutsideEdit], list[str]]:
        """Find the scaffold's blocks in a student's file, and what differs outside them."""
        lines = text.split("\n")
        given = self.blocks[name]
        remarks = []
        spans: list[tuple[int, int] | None]
        # Most files are as given outside the blocks, and then nothing else can have moved a marker.
        looks = [(n, match[1].upper()) for n, line in enumerate(lines, 1) if (match := _MARKER.fullmatch(line))]
        if [kind for _, kind in looks] == ["START", "END"] * len(given):
            spans = [(a, b) for (a, _), (b, _) in zip(looks[::2], looks[1::2], strict=True)]
            plain = [Block(n, "", a, b, "", "") for n, (a, b) in enumerate(spans, 1)]
            if _outside(lines, plain) == self.outside[name]:
                return self._texts(name, lines, spans), [], []
        markers = find_markers(text)
        kinds = [marker.kind for marker in markers]
        if len(lines) > MAX_LINES:
            remarks.append(f"{name}: {len(lines):,} lines; what differs outside the blocks is not looked at")
            is_whole = kinds == ["START", "END"] * len(given)
            spans = [(a.line, b.line) for a, b in zip(markers[::2], markers[1::2], strict=True)] if is_whole else []
            spans = spans or [None] * len(given)
            return self._texts(name, lines, spans), [], remarks
        matched = MatchedMarkers(self.lines[name], given, lines, markers)
        spans = [new for _, new in matched.blocks()]
        lost = [block for block, span in zip(given, spans, strict=True) if span is None]
        recovered = self._recover(name, lines, lost) if lost else {}
        for block in lost:
            where = "its lines were found by what stands around them" if block.number in recovered else "not found"
            remarks.append(f"{name}: the TODO lines of block {block.number} are not as given: {where}")
        spans = [span or recovered.get(block.number) for block, span in zip(given, spans, strict=True)]
        return self._texts(name, lines, spans), self._edits(name, lines, spans), remarks

    def _texts(
        self, name: str, lines: Sequence[str], spans: Sequence[tuple[int, int] | None]
    ) -> dict[BlockKey, BlockText]:
        found = {}
        for block, span in zip(self.blocks[name], spans, strict=True):
            if span is not None:
                key = BlockKey(name, block.number)
                given = self.scaffold.blocks[key]
                body = lines[span[0] : span[1] - 1]
                body = ["" if _MARKER.fullmatch(line) else line for line in body]
                text = "".join(line + "\n" for line in body)
                found[key] = BlockText(key, given.title, text, span[0] + 1, given.given)
        return found

    def _recover(self, name: str, lines: Sequence[str], lost: Sequence[Block]) -> dict[int, tuple[int, int]]:
        """Where a block's markers are gone: what lies between the given lines before and after it."""
        old = self.lines[name]
        inside = {n for block in self.blocks[name] for n in range(block.start, block.end + 1)}
        kept = [n for n, line in enumerate(old, 1) if n not in inside and line.strip()]
        new = [n for n, line in enumerate(lines, 1) if line.strip()]
        matcher = SequenceMatcher(None, [old[n - 1].strip() for n in kept], [lines[n - 1].strip() for n in new], False)
        pairs = {kept[i + k]: new[j + k] for i, j, size in matcher.get_matching_blocks() for k in range(size)}
        found = {}
        for block in lost:
            before = max((here for there, here in pairs.items() if there < block.start), default=0)
            after = min((here for there, here in pairs.items() if there > block.end), default=len(lines) + 1)
            if before + 1 < after:
                found[block.number] = (before, after)
        return found

    def _edits(self, name: str, lines: Sequence[str], spans: Sequence[tuple[int, int] | None]) -> list[OutsideEdit]:
        """Lines that differ outside the blocks, in runs; blank lines and markers aside."""
        inside = {n for block in self.blocks[name] for n in range(block.start, block.end + 1)}
        theirs = {n for span in spans if span for n in range(span[0], span[1] + 1)}
        old = [line.rstrip() for n, line in enumerate(self.lines[name], 1) if n not in inside and line.strip()]
        numbers = [n for n, line in enumerate(lines, 1) if n not in theirs and line.strip()]
        new = [lines[n - 1].rstrip() for n in numbers]
        edits = []
        for tag, a, b, c, d in SequenceMatcher(None, old, new, False).get_opcodes():
            if tag != "equal":
                line = numbers[c] if c < len(numbers) else len(lines)
                edits.append(OutsideEdit(name, line, tuple(old[a:b]), tuple(new[c:d])))
        return edits


def _outside(lines: Sequence[str], blocks: Sequence[Block]) -> list[str]:
    """The lines outside the blocks, markers left aside."""
    kept, at = [], 0
    for block in blocks:
        kept += lines[at : block.start - 1]
        at = block.end
    kept += lines[at:]
    return [line.rstrip() for line in kept]
