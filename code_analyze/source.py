"""A source file's lines and comments, as Python sees them. Standard library only."""

import functools
import io
import re
import tokenize
import warnings
from dataclasses import dataclass

TAB_WIDTH = 4  # columns, as the formatter counts them

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # Python's own line ends; str.splitlines knows a few more
_BLANKS = " \t\f"


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
    """Find every comment. In a file that isn't Python (yet), every line that begins with a # is one."""
    comments = python_comments(source)
    if comments is not None:
        return comments
    lines = ((number, line.strip()) for number, line in enumerate(split_lines(source.removeprefix("\ufeff")), 1))
    return tuple(Comment(number, text, True) for number, text in lines if text.startswith("#"))


@functools.lru_cache(maxsize=8)  # the same file is asked for its TODO lines, its references and its comments
def python_comments(source: str) -> tuple[Comment, ...] | None:
    """Find every comment of a file that Python's tokenizer can read; None for one that it can't."""
    lines = split_lines(source.removeprefix("\ufeff"))
    readline = io.StringIO("".join(lines), newline=None).readline
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a student's "\d" is not ours to complain about
            comments = [token for token in tokenize.generate_tokens(readline) if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    return tuple(
        Comment(row, token.string.rstrip("\r\n"), not lines[row - 1][:column].strip(_BLANKS))
        for token in comments
        for row, column in [token.start]
    )
