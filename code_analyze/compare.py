"""A student's files against the pristine scaffold: what was filled in, and everything else that differs.

Only what stands between a pair of the scaffold's own TODO lines is a block. Every other difference is a modification,
so that no TODO line that was added, removed or moved can hide anything. Standard library only.
"""

import ast
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from code_analyze.blocks import find_blocks, find_markers
from code_analyze.filled import read_block
from code_analyze.markers import MatchedMarkers
from code_analyze.references import find_references
from code_analyze.report import Change, Comparison, FileChange, FilledBlock, Problem
from code_analyze.source import Comment, split_lines
from code_analyze.tree import File, Tree
from code_analyze.units import Unit, line_units, read_code

RENAMED = 0.6  # a new file that holds this share of a missing one's lines is that file under another name
REFORMATTED = "reformatted: only line ends, blanks or layout differ"


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
        for number, (old_span, new_span) in enumerate(matched.blocks(), 1):
            if new_span is None:
                result.blocks.append(FilledBlock(file.name, number, None))
                continue
            old_spans.append(old_span)
            new_spans.append(new_span)
            block, problems = read_block(file, number, new_span, old[old_span[0] : old_span[1] - 1])
            result.blocks.append(block)
            result.problems += problems
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
    if pristine.data[:3] == file.data[:3] and _outside_text(old, old_touched) == _outside_text(new, new_touched):
        return
    old_units, new_units = _units(_skeleton(old, old_spans), _skeleton(new, new_spans), pristine.is_python)
    changes = list(_changes(_outside(old, old_spans), old_units, _outside(new, new_spans), new_units))
    note = file.remark or ("" if changes else REFORMATTED)
    result.modifications.append(FileChange(pristine.name, file.name, note, changes))


def _skeleton(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> str:
    """A file with a `pass` in place of each intact block, and every other line where it was."""
    skeleton = list(lines)
    for start, end in spans:
        marker = lines[start - 1]
        indent = marker[: marker.index("#")]
        skeleton[start : end - 1] = ["\n"] * (end - 1 - start)
        if end - start > 1:
            skeleton[start] = f"{indent}pass\n"
        else:
            skeleton[start - 1] = f"{indent}pass  {marker[len(indent) :]}"
    return "".join(skeleton)


def _outside(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> dict[int, str]:
    """The lines outside the blocks, by number."""
    inside = {n for start, end in spans for n in range(start + 1, end)}
    return {n: line for n, line in enumerate(lines, 1) if n not in inside}


def _outside_text(lines: Sequence[str], spans: Sequence[tuple[int, int]]) -> str:
    return "".join(_outside(lines, spans).values())


def _units(old: str, new: str, is_python: bool) -> tuple[list[Unit], list[Unit]]:
    """What two texts are compared by; empty lists where nothing but the layout differs."""
    if is_python:
        old_code, new_code = read_code(old), read_code(new)
        if old_code and new_code:
            return ([], []) if old_code.is_same_as(new_code) else (old_code.units, new_code.units)
    return line_units(old, indentation_counts=is_python), line_units(new, indentation_counts=is_python)


def _changes(
    old: dict[int, str], old_units: list[Unit], new: dict[int, str], new_units: list[Unit]
) -> Iterator[Change]:
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


def _lines_of(units: Sequence[Unit], lines: dict[int, str]) -> list[tuple[int, str]]:
    numbers = sorted({n for unit in units for n in range(unit.first, unit.last + 1)})
    return [(n, lines[n].rstrip("\r\n")) for n in numbers if n in lines and lines[n].strip()]
