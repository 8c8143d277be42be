"""The text of `summary.txt`, and the same as JSON. Standard library only."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from code_analyze.report import OWN_SHARE, Comparison, FileChange, FilledBlock
from code_analyze.tree import RULE

# Names in the summary are the same wherever it is made, so that a TA's is byte for byte the student's.
ORIGIN = "_codes"
TARGET = "../codes"

_BORDER = "#" * 24
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # categories of characters that a terminal or an editor doesn't show as such
_SURE = re.compile(r"[\t -~]*")


def to_text(comparison: Comparison) -> str:
    """Write a comparison in the form of `summary.txt`: the five sections, own code, what was left out, problems."""
    old_names = {new: old for old, new in comparison.renamed.items()}
    sections = {
        "Missing Files": _file_lines(comparison.missing, "now", comparison.renamed),
        "Additional Files": _file_lines(comparison.additional, "was", old_names),
        "Filled Code": [line for block in comparison.blocks for line in _block_lines(block)],
        "References": map(_comment, comparison.references),
        "Other Modifications": [line for change in comparison.modifications for line in _change_lines(change)],
        "Own Code": _own_code_lines(comparison),
        "Left Out": map(_comment, [*RULE, *comparison.sealed]),
    }
    if comparison.problems:
        sections["Problems"] = map(_comment, problem_lines(comparison))
    return "\n".join(_section(title, lines) for title, lines in sections.items())


def to_json(comparison: Comparison) -> str:
    """Write a comparison for machines: its fields, and the own code in total."""
    content = asdict(comparison)
    content["references"] = comparison.references
    content["own_code"] = {
        "own": comparison.own,
        "counted": comparison.counted,
        "asked": OWN_SHARE[0] / OWN_SHARE[1],
        "is_enough": comparison.is_own_enough,
    }
    return json.dumps(content, indent=2) + "\n"


def problem_lines(comparison: Comparison) -> list[str]:
    """Each problem on a line: file, line, what."""
    return [
        visible(f"{TARGET}/{p.file}:{p.line}: {p.what}" if p.line else f"{TARGET}/{p.file}: {p.what}")
        for p in comparison.problems
    ]


def visible(text: str) -> str:
    """Show control characters, and those that turn the direction of writing, as escapes: one line stays one line."""
    if _SURE.fullmatch(text):
        return text
    return "".join(
        char.encode("unicode_escape").decode() if char != "\t" and unicodedata.category(char) in _HIDDEN else char
        for char in text
    )


def _section(title: str, lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (_BORDER, f"# {title}", _BORDER, *map(visible, lines)))


def _comment(text: str) -> str:
    return f"# {text}"


def _file_lines(names: Iterable[str], word: str, other_names: dict[str, str]) -> list[str]:
    return [_comment(f"{name} ({word} {other_names[name]})" if name in other_names else name) for name in names]


def _block_lines(block: FilledBlock) -> list[str]:
    """A block's name, and its lines as the student wrote them: the only ones with no # in front."""
    title = _comment(f"{TARGET}/{block.file}:{block.number}")
    if block.line is None:
        return [title, _comment("(its TODO lines are not intact: see Problems; its lines are Other Modifications)")]
    return [title, *block.lines] if block.is_filled else [title, *block.lines, _comment("(not filled)")]


def _change_lines(change: FileChange) -> list[str]:
    origin = f"{ORIGIN}/{change.origin}" if change.origin else "(new)"
    title = _comment(f"{origin} -> {TARGET}/{change.file}")
    lines = [_comment(f"{line.line} {line.sign} {line.text}".rstrip()) for line in change.changes]
    return [title, *([_comment(f"({change.note})")] if change.note else []), *lines]


def _own_code_lines(comparison: Comparison) -> Iterator[str]:
    for file in dict.fromkeys(block.file for block in comparison.blocks):
        blocks = [block for block in comparison.blocks if block.file == file]
        yield _comment(f"{file}: {_share(sum(b.own for b in blocks), sum(b.counted for b in blocks))}")
    verdict = {None: "nothing to judge yet", True: "enough", False: "NOT enough"}[comparison.is_own_enough]
    asked = 100 * OWN_SHARE[0] // OWN_SHARE[1]
    yield _comment(f"in total: {_share(comparison.own, comparison.counted)}; {asked} % are asked: {verdict}")


def _share(own: int, counted: int) -> str:
    if not counted:
        return "no line of code in its blocks"
    # Cut off, not rounded: 69.96 must not look like 70.
    tenths = 1000 * own // counted
    return f"{own} of {counted} lines in blocks are the student's own ({tenths // 10}.{tenths % 10} %)"
