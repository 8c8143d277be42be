"""Tokens of a block, whatever its bytes: a lexer that never fails, and what a token stands for with names taken out.

Python's own tokenize stops at the first thing that is no Python; most of what is handed in broken is nearly Python.
"""

import builtins
import keyword
import re
from collections.abc import Set
from dataclasses import dataclass

from autograder.similarity.flow.spelling import STRINGS

NAME, NUMBER, STRING, COMMENT, OPERATOR = "name", "number", "string", "comment", "operator"

# A string that nobody closes ends with its line, or with the text: nothing is read twice, so time is linear.
_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
    | (?P<string> [rbuftRBUFT]{0,2} (?:
        \"\"\" (?:[^\\"]|\\(?:.|\Z)|"(?!""))* (?:\"\"\"|\Z)
        | \'\'\' (?:[^\\']|\\(?:.|\Z)|'(?!''))* (?:\'\'\'|\Z)
        | " (?:[^\\"\n]|\\(?:.|\Z))* (?:"|(?=\n)|\Z)
        | ' (?:[^\\'\n]|\\(?:.|\Z))* (?:'|(?=\n)|\Z) ) )
    | (?P<number> 0[xXoObB]\w+ | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?[jJ]? )
    | (?P<name> [^\W\d]\w* )
    | (?P<newline> \n )
    | (?P<space> [ \t\f\r]+ | \\\n )
    | (?P<operator> \*\*=?|//=?|>>=?|<<=?|->|:=|[-+*/%@&|^<>=!]=|. )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = "([{", ")]}"
_COMPOUND = frozenset(
    ["if", "elif", "else", "for", "while", "with", "try", "except", "finally", "def", "class", "async", "match", "case"]
)
_KEPT = frozenset(keyword.kwlist) | frozenset(dir(builtins)) | {"self", "cls"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, how it is written, its first and last line, and the number of its statement."""

    kind: str
    text: str
    line: int
    last: int
    statement: int


def lex(text: str) -> list[Token]:
    """Cut a text into tokens; comments among them, white space not. Statements are numbered as they follow."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tokens: list[Token] = []
    line, depth, statement = 1, 0, 0
    opener, count = "", 0  # the statement's first word, and how many tokens it has
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup, match[0]
        if kind == "space":
            line += value.count("\n")
            continue
        if kind == "newline":
            line += 1
            if not depth and count:
                statement, count = statement + 1, 0
            continue
        last = line + value.count("\n") if kind == STRING else line
        if kind == OPERATOR:
            if value in _OPEN:
                depth += 1
            elif value in _CLOSE:
                depth = max(depth - 1, 0)
            elif value == ";" and not depth:
                statement, count = statement + 1, 0
                continue
        if kind == COMMENT:
            tokens.append(Token(kind, value, line, line, statement))
            continue
        if not count:
            opener = value
        count += 1
        tokens.append(Token(kind, value, line, last, statement))
        if value == ":" and not depth and opener in _COMPOUND:
            statement, count = statement + 1, 0
        line = last
    return tokens


def is_own(tokens: list[Token], at: int, given: Set[str], depth: int = 0) -> bool:
    """Whether a token is a name that the student chose: not Python's, not the scaffold's, not a library's.

    Args:
        tokens: a list without comments.
        at: which.
        given: names that the scaffold gives at this place.
        depth: how many brackets are open there; inside them, a name before `=` is a library's keyword.
    """
    token = tokens[at]
    if token.kind != NAME or token.text in _KEPT:
        return False
    if at and tokens[at - 1].text == ".":
        return at > 1 and tokens[at - 2].text == "self" and token.text not in given
    if depth and at + 1 < len(tokens) and tokens[at + 1].text == "=":
        return False
    return token.text not in given


def normalise(tokens: list[Token], given: Set[str]) -> list[str]:
    """What each token stands for: own names as `v`, attributes of self as `a`, numbers by value, own strings as `'`."""
    words = []
    depth = 0
    for at, token in enumerate(tokens):
        kind, text = token.kind, token.text
        if kind == NAME:
            if is_own(tokens, at, given, depth):
                text = "a" if at and tokens[at - 1].text == "." else "v"
        elif kind == NUMBER:
            text = number(text)
        elif kind == STRING:
            text = "'" + unquote(text) if unquote(text) in STRINGS else "'"
        elif text in _OPEN:
            depth += 1
        elif text in _CLOSE:
            depth -= 1
        words.append(text)
    return words


def number(text: str) -> str:
    """A number in one spelling: 1, 1.0, 1e0 and 0x1 are the same."""
    try:
        return repr(float(text.replace("_", "")))
    except ValueError:
        pass
    try:
        return repr(float(int(text[:40], 0)))
    except (ValueError, OverflowError):
        return text


def is_odd(text: str) -> bool:
    """Whether a number is nobody's usual choice: not 0.5 or 1e-8, no size such as 3136, which is 64 times 7 times 7."""
    try:
        value = abs(float(number(text)))
    except ValueError:
        return True
    if not value.is_integer():
        return len(f"{value:.12e}".partition("e")[0].replace(".", "").rstrip("0")) > 1
    if not 0 < value < 2**53:
        return value != 0
    whole = int(value)
    for factor in (2, 3, 5, 7):
        while whole % factor == 0:
            whole //= factor
    return whole > 1


def unquote(text: str) -> str:
    """A string without its prefix and quotes."""
    return text.lstrip("rbuftRBUFT").strip("\"'")
