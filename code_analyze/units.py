"""What a text is compared by: statements and comments for Python, lines for the rest. Standard library only.

Two Python files with equal statements and equal comments differ in nothing but their layout, whatever a formatter has
made of line breaks, quotes, brackets and blanks; where statements differ, only those are shown.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from code_analyze.source import TAB_WIDTH, Comment, python_comments, split_lines

# The fields of a statement that hold statements, in the order in which they are written.
_SUITES = ("body", "handlers", "orelse", "finalbody", "cases")


@dataclass(frozen=True)
class Unit:
    """A statement (of a compound one, its head), a comment, or a line.

    Attributes:
        key: what it is, its layout left aside; equal keys mean equal units.
        first, last: the lines that it stands on, counted from 1.
    """

    key: tuple
    first: int
    last: int


@dataclass(frozen=True)
class Code:
    """The statements and the comments of a Python file, each in its order."""

    statements: list[Unit]
    comments: Sequence[Comment]

    @property
    def units(self) -> list[Unit]:
        """Statements and comments in one order; what shares a line with a statement belongs to it."""
        notes = {comment.line: comment.key for comment in self.comments if not comment.stands_alone}
        statements = []
        for unit in self.statements:
            if statements and unit.first <= statements[-1].last:
                before = statements.pop()
                unit = Unit((*before.key, unit.key), before.first, max(before.last, unit.last))
            else:
                unit = Unit((unit.key,), unit.first, unit.last)
            inside = [notes.pop(line) for line in range(unit.first, unit.last + 1) if line in notes]
            statements.append(Unit((*unit.key, *inside), unit.first, unit.last))
        alone = [Unit(c.key, c.line, c.line) for c in self.comments if c.stands_alone or c.line in notes]
        return sorted(statements + alone, key=lambda unit: unit.first)

    def is_same_as(self, other: "Code") -> bool:
        """Whether another file has the same statements and the same comments, whatever their layout."""
        return [unit.key for unit in self.statements] == [unit.key for unit in other.statements] and [
            comment.key for comment in self.comments
        ] == [comment.key for comment in other.comments]


def read_code(source: str) -> Code | None:
    """List a Python file's statements and comments; None for what isn't Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.removeprefix("\ufeff"))
            statements = list(_statements(tree, 0))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    comments = python_comments(source)
    if comments is None:
        return None
    alone = {comment.line for comment in comments if comment.stands_alone}
    return Code(_with_gaps(statements, split_lines(source), alone), comments)


def line_units(source: str, indentation_counts: bool) -> list[Unit]:
    """List a text's lines, the blank ones left out.

    Args:
        source: the text.
        indentation_counts: whether the white space that a line begins with is part of it, a tab being 4 blanks.
    """
    units = []
    for number, line in enumerate(split_lines(source.removeprefix("\ufeff")), 1):
        words = line.split()
        if words and words != ["\\"]:  # a lone backslash only joins lines
            expanded = line.expandtabs(TAB_WIDTH)
            indent = len(expanded) - len(expanded.lstrip()) if indentation_counts else 0
            units.append(Unit((indent, *words), number, number))
    return units


def _statements(node: ast.AST, depth: int) -> Iterator[Unit]:
    """List the statements below a node, each with its place: how deep, and in which of the node's suites."""
    for name in _SUITES:
        for child in _suite(node, name):
            first, last = _first_line(child), child.end_lineno
            inner = [grandchild for suite in _SUITES for grandchild in _suite(child, suite)]
            if inner:
                last = max(first, min(_first_line(grandchild) for grandchild in inner) - 1)
            yield Unit((depth, name, *_head(child)), first, last)
            yield from _statements(child, depth + 1)


def _suite(node: ast.AST, name: str) -> list[ast.AST]:
    value = getattr(node, name, None)
    return value if isinstance(value, list) else []  # the body of a lambda is an expression


def _first_line(node: ast.AST) -> int:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _head(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        # A docstring: its layout is layout.
        return ["text", *node.value.value.split()]
    head = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name not in _SUITES:
            parts = value if isinstance(value, list) else [value]
            head += [name, *(ast.dump(part) if isinstance(part, ast.AST) else repr(part) for part in parts)]
    return head


def _with_gaps(statements: list[Unit], lines: list[str], comment_lines: set[int]) -> list[Unit]:
    """Give every line of code to a statement: an `else:` belongs to the statement after it."""
    covered = 0
    complete = []
    for unit in statements:
        gap = range(covered + 1, unit.first)
        first = next((n for n in gap if n not in comment_lines and lines[n - 1].strip()), unit.first)
        complete.append(Unit(unit.key, first, unit.last))
        covered = max(covered, unit.last)
    return complete
