"""A student's files against the pristine scaffold: what was filled in, and everything else that differs.

Only what stands between a pair of the scaffold's own TODO lines is a block. Every other difference is a modification,
so that no TODO line that was added, removed or moved can hide anything. Standard library only.
"""

import ast
import re
import textwrap
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from code_analyze.blocks import find_blocks, find_markers
from code_analyze.markers import MatchedMarkers
from code_analyze.references import FORM, find_references, names_source, valid_reference
from code_analyze.source import Comment, find_comments, split_lines
from code_analyze.tree import File, Tree
from code_analyze.units import Unit, line_units, read_code

RENAMED = 0.6  # a new file that holds this share of a missing one's lines is that file under another name
OWN_SHARE = (7, 10)  # at least so much of the code must be the student's own
_IMITATION = re.compile(r"#{24}\s*|# \.\./codes/.*:\d+\s*")  # a block's lines are shown as they are
REFORMATTED = "reformatted: only line ends, blanks or layout differ"


@dataclass(frozen=True)
class Problem:
    """Something that must be looked at before the rest can be trusted.

    Attributes:
        file: the file's name below the student's folder.
        line: the line in it, or None where the whole file is meant.
        what: one sentence without its full stop.
    """

    file: str
    line: int | None
    what: str


@dataclass(frozen=True)
class FilledBlock:
    """What a student has made of one of the scaffold's blocks.

    Attributes:
        file: the file's name below the student's folder.
        number: which block of the scaffold's file it is: 1, 2, ...
        line: where its first line stands; None for a block whose TODO lines are not intact, whose lines are listed
            among the modifications.
        lines: its lines as written, without line ends; none where they are still the scaffold's.
        references: what stands behind "# Reference:", in its order.
        is_touched: whether it is no longer the scaffold's.
        is_filled: whether there is code in it.
        counted, own: its lines of code, and how many of them are the student's own by the references.
    """

    file: str
    number: int
    line: int | None
    lines: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    is_touched: bool = True
    is_filled: bool = False
    counted: int = 0
    own: int = 0


@dataclass(frozen=True)
class Change:
    """One line that only one side has: sign "-" for the scaffold's, "+" for the student's."""

    sign: str
    line: int
    text: str


@dataclass(frozen=True)
class FileChange:
    """What differs outside the blocks of one file.

    Attributes:
        origin: the file's name in the scaffold; None for a new file.
        file: its name below the student's folder.
        note: a phrase about the whole file, or "".
        changes: the lines, in order.
    """

    origin: str | None
    file: str
    note: str
    changes: list[Change]


@dataclass
class Comparison:
    """All that there is to say about a student's work, everything in the order in which it is reported.

    Attributes:
        missing, additional: names of files that only the scaffold has, or only the student.
        renamed: the name in the scaffold -> the name in the student's folder; both are listed above, too.
        sealed: folders that were left out and hold Python files.
    """

    missing: list[str]
    additional: list[str]
    renamed: dict[str, str]
    sealed: list[str]
    blocks: list[FilledBlock] = field(default_factory=list)
    modifications: list[FileChange] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def references(self) -> list[str]:
        """The blocks' references in order of appearance, once each."""
        return list(dict.fromkeys(text for block in self.blocks for text in block.references))

    @property
    def counted(self) -> int:
        """Lines of code in all blocks."""
        return sum(block.counted for block in self.blocks)

    @property
    def own(self) -> int:
        """Those among them that are the student's own."""
        return sum(block.own for block in self.blocks)

    @property
    def is_own_enough(self) -> bool | None:
        """Whether the share of the student's own code is enough; None where there is no code yet."""
        return self.own * OWN_SHARE[1] >= self.counted * OWN_SHARE[0] if self.counted else None


def compare(origin: Tree, target: Tree) -> Comparison:
    """Compare a student's folder with the pristine scaffold.

    Raises:
        MarkerError: the scaffold's own TODO lines don't add up.
    """
    missing = [name for name in origin.files if name not in target.files]
    additional = [name for name in target.files if name not in origin.files]
    renamed = _find_renamed([origin.files[n] for n in missing], [target.files[n] for n in additional])
    result = Comparison(missing, additional, renamed, target.sealed)
    origin_of = {new: old for old, new in renamed.items()}
    for name, file in target.files.items():
        pristine = origin.files.get(origin_of.get(name, name))
        if file.is_problem:
            result.problems.append(Problem(name, None, file.remark))
        elif file.is_python and not (pristine and pristine.data == file.data) and not _is_valid(file.text):
            result.problems.append(Problem(name, None, "not valid Python: it can't run, and is compared line by line"))
        if pristine is None:
            _add_new_file(result, file)
        elif file.text is None or pristine.text is None:
            _add_unreadable_file(result, pristine, file)
        else:
            _add_file(result, pristine, file)
    return result


def _find_renamed(missing: Sequence[File], additional: Sequence[File]) -> dict[str, str]:
    """Pair the scaffold's missing files with the new ones that hold most of their lines."""
    holders = defaultdict(set)
    sizes = {}
    for file in missing:
        keys = _distinct_lines(file)
        sizes[file.name] = len(keys)
        for key in keys:
            holders[key].add(file.name)
    candidates = []
    for file in additional if holders else ():
        shared = Counter(name for key in _distinct_lines(file) for name in holders.get(key, ()))
        candidates += [(-count / sizes[name], name, file.name) for name, count in shared.items()]
    renamed = {}
    for score, old, new in sorted(candidates):
        if -score >= RENAMED and old not in renamed and new not in renamed.values():
            renamed[old] = new
    return renamed


def _distinct_lines(file: File) -> set[tuple]:
    return {unit.key for unit in line_units(file.text or "", indentation_counts=False)}


def _is_valid(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _add_new_file(result: Comparison, file: File) -> None:
    note = file.remark or ("" if file.data else "empty")
    lines = [Change("+", number, line) for number, line in enumerate(file.lines, 1)]
    result.modifications.append(FileChange(None, file.name, note, lines))
    if file.is_python and file.text:
        _add_misplaced_references(result, file, find_references(file.text))
        for marker in find_markers(file.text):
            what = f"a '# TODO {marker.kind}' in a file that the scaffold doesn't have"
            result.problems.append(Problem(file.name, marker.line, what))


def _add_unreadable_file(result: Comparison, pristine: File, file: File) -> None:
    if file.text is None and not file.is_problem and pristine.text is not None:
        result.problems.append(Problem(file.name, None, file.remark))
    if pristine.data != file.data or file.is_problem:
        result.modifications.append(FileChange(pristine.name, file.name, file.remark or "was binary", []))


def _add_misplaced_references(result: Comparison, file: File, comments: Sequence[Comment]) -> None:
    for comment in comments:
        what = f"a reference outside the blocks, '{comment.text}': it belongs straight after '# TODO START'"
        result.problems.append(Problem(file.name, comment.line, what))


def _add_file(result: Comparison, pristine: File, file: File) -> None:
    old, new = split_lines(pristine.text), split_lines(file.text)
    old_spans, new_spans = [], []  # the lines of START and END of the blocks that are intact
    old_touched, new_touched = [], []  # those among them that are no longer the scaffold's
    if pristine.is_python:
        matched = MatchedMarkers(old, find_blocks(pristine.text, pristine.name), new, find_markers(file.text))
        comments = find_comments(file.text) if pristine.data != file.data else []
        for number, (old_span, new_span) in enumerate(matched.blocks(), 1):
            if new_span is None:
                result.blocks.append(FilledBlock(file.name, number, None))
                continue
            old_spans.append(old_span)
            new_spans.append(new_span)
            pristine_body = old[old_span[0] : old_span[1] - 1]
            block = _read_block(result, file, number, new, new_span, pristine_body, comments)
            result.blocks.append(block)
            if block.is_touched:
                old_touched.append(old_span)
                new_touched.append(new_span)
        result.problems += [Problem(file.name, problem.line, problem.what) for problem in matched.problems()]
        given = {line.strip() for line in old}
        outside = [
            comment
            for comment in find_references(file.text)
            if comment.text not in given and not any(start < comment.line < end for start, end in new_spans)
        ]
        _add_misplaced_references(result, file, outside)

    # The first three bytes may be a byte-order mark, which the text no longer shows.
    if pristine.data[:3] == file.data[:3] and _without(old, old_touched) == _without(new, new_touched):
        return
    old_units, new_units = _units(_skeleton(old, old_spans), _skeleton(new, new_spans), pristine.is_python)
    changes = list(_changes(old, old_units, new, new_units))
    note = file.remark or ("" if changes else REFORMATTED)
    result.modifications.append(FileChange(pristine.name, file.name, note, changes))


def _read_block(
    result: Comparison,
    file: File,
    number: int,
    lines: list[str],
    span: tuple[int, int],
    pristine_body: list[str],
    comments: Sequence[Comment],
) -> FilledBlock:
    first = span[0] + 1
    body = [line.rstrip("\r\n") for line in lines[span[0] : span[1] - 1]]
    notes = {comment.line: comment for comment in comments if span[0] < comment.line < span[1]}
    code = [line for n, line in enumerate(body, first) if line.strip() and not (n in notes and notes[n].stands_alone)]
    if _squeeze(body) == _squeeze(pristine_body):
        return FilledBlock(file.name, number, first, is_touched=False)
    is_filled = _has_statement(body)
    references, is_all_own, is_head = [], True, True
    for n, line in enumerate(body, first):
        reference = valid_reference(notes[n]) if n in notes else None
        is_head = is_head and (reference is not None or not line.strip() or (n in notes and names_source(notes[n])))
        if reference is not None and is_head:
            references.append(reference)
            is_all_own = False
        elif n in notes and names_source(notes[n]):
            result.problems.append(Problem(file.name, n, f"malformed reference '{notes[n].text}': write {FORM}"))
            is_all_own = False
        if _IMITATION.fullmatch(line):
            result.problems.append(Problem(file.name, n, "a line that looks like a heading of this summary"))
    counted = len(code) if is_filled else 0
    return FilledBlock(
        file=file.name,
        number=number,
        line=first,
        lines=body,
        references=references,
        is_filled=is_filled,
        counted=counted,
        own=counted if is_all_own else 0,
    )


def _squeeze(lines: Sequence[str]) -> str:
    return "".join("".join(lines).split())


def _has_statement(body: Sequence[str]) -> bool:
    """Whether a block does anything: more than comments, `pass`, `...`, text and `raise NotImplementedError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statements = ast.parse(textwrap.dedent("\n".join(body))).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return any(line.strip() and not line.lstrip().startswith("#") for line in body)
    return not all(_is_nothing(statement) for statement in statements)


def _is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return "NotImplementedError" in ast.dump(statement)
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _skeleton(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> str:
    """A file with a `pass` in place of each intact block, and every other line where it was."""
    skeleton = list(lines)
    for start, end in spans:
        at = lines[start - 1].index("#")
        skeleton[start - 1] = f"{lines[start - 1][:at]}pass  {lines[start - 1][at:]}"
        skeleton[start : end - 1] = ["\n"] * (end - 1 - start)
    return "".join(skeleton)


def _without(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> list[str]:
    inside = {n for start, end in spans for n in range(start + 1, end)}
    return [line for n, line in enumerate(lines, 1) if n not in inside]


def _units(old: str, new: str, is_python: bool) -> tuple[list[Unit], list[Unit]]:
    """What two texts are compared by; empty lists where nothing but the layout differs."""
    if is_python:
        old_code, new_code = read_code(old), read_code(new)
        if old_code and new_code:
            return ([], []) if old_code.is_same_as(new_code) else (old_code.units, new_code.units)
    return line_units(old, indentation_counts=is_python), line_units(new, indentation_counts=is_python)


def _changes(old: list[str], old_units: list[Unit], new: list[str], new_units: list[Unit]) -> Iterator[Change]:
    """List the lines of the statements, comments or lines that differ."""
    matcher = SequenceMatcher(None, [u.key for u in old_units], [u.key for u in new_units], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        # A statement may stand on many lines of which one has changed.
        removed, added = _lines_of(old_units[i:i_end], old), _lines_of(new_units[j:j_end], new)
        inner = SequenceMatcher(None, [text for _, text in removed], [text for _, text in added], autojunk=False)
        for inner_tag, k, k_end, m, m_end in inner.get_opcodes():
            if inner_tag != "equal":
                yield from (Change("-", *line) for line in removed[k:k_end])
                yield from (Change("+", *line) for line in added[m:m_end])


def _lines_of(units: Sequence[Unit], lines: Sequence[str]) -> list[tuple[int, str]]:
    numbers = sorted({n for unit in units for n in range(unit.first, unit.last + 1)})
    return [(n, lines[n - 1].rstrip("\r\n")) for n in numbers if lines[n - 1].strip()]
