"""What a student has made of one block. Standard library only."""

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence

from code_analyze.references import FORM, names_source, valid_reference
from code_analyze.report import FilledBlock, Problem
from code_analyze.source import Comment, find_comments, split_lines
from code_analyze.tree import File

_IMITATION = re.compile(r"#{24}\s*|# \.\./codes/.*:\d+\s*")  # a block's lines stand in the summary as they are


def read_block(
    file: File, number: int, span: tuple[int, int], pristine_body: Sequence[str]
) -> tuple[FilledBlock, list[Problem]]:
    """Read a block whose TODO lines are intact.

    Args:
        file: the student's file.
        number: which block of the scaffold's file it is.
        span: the lines of its START and END in the student's file.
        pristine_body: the scaffold's lines between the two.
    Returns:
        the block, and what is wrong with it.
    """
    first = span[0] + 1
    body = [line.rstrip("\r\n") for line in split_lines(file.text)[span[0] : span[1] - 1]]
    if _squeeze(body) == _squeeze(pristine_body):
        return FilledBlock(file.name, number, first, is_touched=False), []
    notes = {comment.line: comment for comment in find_comments(file.text) if span[0] < comment.line < span[1]}
    references, malformed = _read_references(body, first, notes)
    problems = [
        Problem(file.name, comment.line, f"malformed reference '{comment.text}': write {FORM}") for comment in malformed
    ]
    problems += [
        Problem(file.name, n, "a line that looks like a heading of this summary")
        for n, line in enumerate(body, first)
        if _IMITATION.fullmatch(line)
    ]
    is_filled = _has_statement(body)
    counted = sum(_is_code(line, notes.get(n)) for n, line in enumerate(body, first)) if is_filled else 0
    own = 0 if references or malformed else counted
    return FilledBlock(file.name, number, first, body, references, True, is_filled, counted, own), problems


def _read_references(body: Sequence[str], first: int, notes: dict[int, Comment]) -> tuple[list[str], list[Comment]]:
    """Read the references at the head of a block; and the comments that name a source in any other way or place."""
    references, malformed = [], []
    is_head = True
    for n, line in enumerate(body, first):
        comment = notes.get(n)
        reference = valid_reference(comment) if comment else None
        if is_head and reference is not None:
            references.append(reference)
        elif comment and names_source(comment):
            malformed.append(comment)
        elif line.strip():
            is_head = False
    return references, malformed


def _squeeze(lines: Sequence[str]) -> str:
    return "".join("".join(lines).split())


def _is_code(line: str, comment: Comment | None) -> bool:
    return bool(line.strip()) and not (comment and comment.stands_alone)


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
