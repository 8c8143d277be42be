"""A source file's lines and comments, as Python sees them. Standard library only."""

import functools
import re
from dataclasses import dataclass

TAB_WIDTH = 4  # columns, as the formatter counts them

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # Python's own line ends; str.splitlines knows a few more
_BLANKS = " \t\f"
# Not by tokenize, which takes the square of a line's length and more where the line isn't Python. Nothing here can fail
# once it has begun, so that no character is read twice.
_COMMENT_OR_STRING = re.compile(
    r"""
    (?P<comment> \#[^\r\n]* )
    | (?P<open> \"{3} | '{3} ) (?: [^"'\\]+ | \\(?:.|\Z) | (?!(?P=open))["'] )* (?: (?P=open) | \Z )
    | "(?: [^"\\\r\n]+ | \\(?:\r\n|.|\Z) )* "?
    | '(?: [^'\\\r\n]+ | \\(?:\r\n|.|\Z) )* '?
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Comment:
    """One comment.

    Attributes:
        line: where it stands, counted from 1.
        text: from its # to the end of the line.
        stands_alone: whether nothing else is on its line.
    """

    line: int
    text: str
    stands_alone: bool

    @property
    def key(self) -> tuple:
        """What it says, its layout left aside."""
        return ("#", *self.text.lstrip("#").split())


def split_lines(source: str) -> list[str]:
    """Cut a text into lines as Python counts them, each with its line end; `"".join` is the way back."""
    return _LINE.findall(source)


def find_comments(source: str) -> tuple[Comment, ...]:
    """Find every comment. Where a string of several lines has no end, every line that begins with a # is one."""
    comments = python_comments(source)
    if comments is not None:
        return comments
    lines = ((number, line.strip()) for number, line in enumerate(split_lines(source.removeprefix("\ufeff")), 1))
    return tuple(Comment(number, text, True) for number, text in lines if text.startswith("#"))


@functools.lru_cache(maxsize=8)  # the same file is asked for its TODO lines, its references and its comments
def python_comments(source: str) -> tuple[Comment, ...] | None:
    """Find every comment of a Python file; None for one in which a string of several lines has no end."""
    lines = split_lines(source.removeprefix("\ufeff"))
    comments, text = [], "".join(lines)
    row, start = 1, 0  # the line that was reached, and where it starts
    for match in _COMMENT_OR_STRING.finditer(text):
        if match["open"] and not match[0].endswith(match["open"], len(match["open"])):
            return None
        if match["comment"] is None:
            continue
        while start + len(lines[row - 1]) <= match.start():
            start += len(lines[row - 1])
            row += 1
        before = text[start : match.start()]
        comments.append(Comment(row, match[0], not before.strip(_BLANKS)))
    return tuple(comments)
