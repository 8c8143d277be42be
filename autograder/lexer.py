"""One lexer for code wherever it stands: in a module, a docstring, a comment, a Markdown page, a notebook.

It keeps what makes code that code (names, numbers, operators) and drops what an editor, a formatter or a pen adds:
white space, line ends, commas, semicolons, round brackets, quotes and string prefixes. Python's own tokenize can't
serve here, because most of these texts are not Python.
"""

import re
from dataclasses import dataclass

# What each line may begin with where code is quoted: in a comment, a diff, a list, a Python session ...
_MARK = re.compile(r"^\s*(?:>>>|\.\.\.|#|[>|*+-]+)")
_LINE_NUMBER = re.compile(r"^\s*(?:#\s*)?\d+\s*[.:|)+-]*(?=\s|$)")  # ... or in a listing
_COMMENT = re.compile(r"#.*")
_TOKEN = re.compile(
    r"""
    (?P<dropped>
        (?<!\w)[rbuft]{1,2}(?=["'])     # a string's prefix
        | \\[nrt]?                      # a line that goes on in the next, or a line end inside a string
        | [\s,;()\#"'`“”‘’]
    )
    | (?P<number> 0[xob]\w+ | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)? )
    | (?P<name> \w+ )
    | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """The tokens of a text, read in one way."""

    tokens: tuple[str, ...]
    lines: tuple[int, ...]  # for each token its line, counted from 1


def read_code(text: str) -> Reading:
    """Read a text as code: what stands behind a `#` is a comment and dropped."""
    return _lex(_COMMENT.sub("", line) for line in text.split("\n"))


def readings(text: str) -> list[Reading]:
    """Read a text in each way in which code may stand in it.

    Returns:
        first with its comments as code too; then as code; then without each line's first mark, or without its number,
        where the code is quoted. Readings that come to the same are there once.
    """
    lines = text.split("\n")
    quoted = [_lex(_COMMENT.sub("", prefix.sub("", line)) for line in lines) for prefix in (_MARK, _LINE_NUMBER)]
    return list(dict.fromkeys((_lex(lines), read_code(text), *quoted)))


def is_name(token: str) -> bool:
    """Tell whether a token is a word: an identifier or a keyword."""
    return token[0].isalpha() or token[0] == "_"


def _lex(lines) -> Reading:
    tokens, numbers = [], []
    for number, line in enumerate(lines, 1):
        for match in _TOKEN.finditer(line):
            if match["dropped"] is None:
                tokens.append(_number(match[0]) if match["number"] else match[0])
                numbers.append(number)
    return Reading(tuple(tokens), tuple(numbers))


def _number(text: str) -> str:
    """Write a number in one way, however it was written: 1, 1.0, 1e0 and 0x1 are the same."""
    try:
        return repr(float(text.replace("_", "")))
    except ValueError:
        pass
    try:
        return repr(float(int(text, 0)))
    except (ValueError, OverflowError):
        return text
