"""The views of a block: what is hashed of it, from how it was typed to what it computes.

A feature is a hash and the lines that it stands for. The same thing for the second time in a block is another feature,
so that sets compare as multisets do.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from autograder.similarity import flow
from autograder.similarity.model import (
    FLOW,
    SLIP_COMMENT,
    SLIP_NAME,
    SLIP_NUMBER,
    SLIP_STRING,
    SLIP_TYPO,
    SLIP_WORD,
    SLIPS,
    STATEMENTS,
    TEXT,
    TEXT_CODE,
    TEXT_COMMENT,
    TOKENS,
    VIEWS,
    kind_number,
    of_kind,
    slip_hash,
    stable_hash,
    text_hash,
)
from autograder.similarity.tokens import (
    COMMENT,
    NAME,
    NUMBER,
    OPERATOR,
    STRING,
    Token,
    is_odd,
    is_own,
    lex,
    normalise,
    number,
    unquote,
)
from autograder.similarity.words import is_misspelt, words_of

MAX_CHARACTERS = 100_000  # of a block; what is beyond is not looked at
MAX_TOKENS = 12_000
MAX_DEPTH = 80  # brackets within brackets, for what is parsed
MAX_STATEMENT = 3_000  # tokens of one, for what is parsed
GRAM, WINDOW = 7, 5  # tokens of a run, runs of which one is kept
MANY_WORDS = 4  # that two people rarely put in the same order

Feature = tuple[int, int, int]  # hash, first line, last line
_LAYOUT = frozenset("(),")  # what a formatter adds and takes away, in a tuple, a call or around a sum
_WORD = re.compile(r"[^\W\d_]{3,}")


def features(
    text: str,
    place: flow.Place,
    vocabulary: frozenset[str],
    attributes: Mapping[str, flow.Node] | None = None,
    helpers: Mapping | None = None,
) -> tuple[dict[str, list[Feature]], dict[str, flow.Node], list[int]]:
    """Everything that is hashed of one block.

    Args:
        text: what stands between the markers, with no lines of the scaffold's.
        place: where the block stands.
        vocabulary: words and names of the scaffold, which are no slip.
        attributes, helpers: as `flow.evaluate` takes them.
    Returns:
        view -> features; the attributes of self that the block sets; for each line its number of tokens.
    """
    text = text[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    everything = lex(text)[:MAX_TOKENS]
    code = [token for token in everything if token.kind != COMMENT]
    comments = [token for token in everything if token.kind == COMMENT]
    weights = [0] * (text.count("\n") + 1)
    for token in code:
        weights[token.line - 1] += 1
    code, strings = _without_docstrings(code)
    words = normalise(code, place.given)
    bare = [at for at, token in enumerate(code) if token.text not in _LAYOUT]
    plain, plain_words = [code[at] for at in bare], [words[at] for at in bare]
    found = {
        TEXT: _text(plain, comments + strings),
        TOKENS: _grams(plain, plain_words),
        STATEMENTS: _statements(plain, plain_words),
        FLOW: [],
        SLIPS: _slips(code, comments + strings, place.given, vocabulary),
    }
    made: dict[str, flow.Node] = {}
    if code and _is_parsable(code):
        body = flow.parse(text)
        if body is not None:
            result = flow.evaluate(body, place, attributes, helpers)
            found[FLOW], made = _flow(result), result.attributes
    return {view: _numbered(found[view]) for view in VIEWS}, made, weights


def _numbered(found: Sequence[tuple[str | int, int, int]]) -> list[Feature]:
    """Hash features, and tell the second of the same from the first."""
    seen: defaultdict[str | int, int] = defaultdict(int)
    result = []
    for what, first, last in found:
        seen[what] += 1
        if isinstance(what, int) and seen[what] == 1:
            result.append((what, first, last))
        elif seen[what] <= 8:
            again = stable_hash(f"{what}\0{seen[what]}")
            result.append((of_kind(again, kind_number(what)) if isinstance(what, int) else again, first, last))
    return result


def _without_docstrings(code: list[Token]) -> tuple[list[Token], list[Token]]:
    """A statement that is nothing but a string is a comment."""
    sizes: defaultdict[int, int] = defaultdict(int)
    for token in code:
        sizes[token.statement] += 1
    strings = [token for token in code if token.kind == STRING and sizes[token.statement] == 1]
    return [token for token in code if token not in strings] if strings else code, strings


def _text(code: Sequence[Token], comments: Sequence[Token]) -> list[tuple[int, int, int]]:
    """Statements as they were typed, layout aside, and comments."""
    found = [
        (text_hash(TEXT_CODE, " ".join(token.text for token in tokens)), tokens[0].line, tokens[-1].last)
        for tokens in _by_statement(code)
        if len(tokens) > 1
    ]
    for comment in comments:
        says = " ".join(comment.text.strip("# \t\"'").lower().split())
        if len(says) > 3:
            found.append((text_hash(TEXT_COMMENT, says), comment.line, comment.last))
    return found


def _by_statement(code: Sequence[Token]) -> list[list[Token]]:
    groups: defaultdict[int, list[Token]] = defaultdict(list)
    for token in code:
        groups[token.statement].append(token)
    return list(groups.values())


def _grams(code: Sequence[Token], words: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of tokens with names normalised, of which winnowing keeps some.

    Schleimer, Wilkerson, Aiken: Winnowing (SIGMOD 2003): of every WINDOW runs in a row the one with the least hash.
    """
    if not words:
        return []
    size = min(GRAM, len(words))
    grams = [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]
    hashes = [stable_hash(gram) for gram in grams]
    kept: dict[int, None] = {}
    for start in range(max(len(hashes) - WINDOW + 1, 1)):
        window = hashes[start : start + WINDOW]
        least = min(window)
        kept[start + len(window) - 1 - window[::-1].index(least)] = None
    return [(hashes[at], code[at].line, code[at + size - 1].last) for at in kept]


def _statements(code: Sequence[Token], words: Sequence[str]) -> list[tuple[str, int, int]]:
    """Each statement with names normalised."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for at, token in enumerate(code):
        groups[token.statement].append(at)
    return [
        (" ".join(words[at] for at in group), code[group[0]].line, code[group[-1]].last)
        for group in groups.values()
        if len(group) > 1
    ]


def _slips(
    code: Sequence[Token], comments: Sequence[Token], given: Set[str], vocabulary: frozenset[str]
) -> list[tuple[int, int, int]]:
    """Names of one's own, odd numbers, strings, comments, their words, and words that are misspelt: each once."""
    found: dict[int, tuple[int, int]] = {}

    def add(kind: str, what: str, token: Token) -> None:
        found.setdefault(slip_hash(kind, what), (token.line, token.last))

    def spell(text: str, token: Token) -> None:
        for word in words_of(text):
            if is_misspelt(word, vocabulary):
                add(SLIP_TYPO, word, token)

    depth = 0
    for at, token in enumerate(code):
        if token.kind == NAME and len(token.text) > 1 and token.text not in vocabulary:
            if is_own(code, at, given, depth):
                add(SLIP_NAME, token.text, token)
                spell(token.text, token)
        elif token.kind == NUMBER:
            if is_odd(token.text):
                add(SLIP_NUMBER, number(token.text), token)
        elif token.kind == STRING:
            add(SLIP_STRING, unquote(token.text), token)
            spell(unquote(token.text), token)
        elif token.kind == OPERATOR:
            depth += (token.text in "([{") - (token.text in ")]}")
    for comment in comments:
        words = _WORD.findall(comment.text.lower())
        for word in words:
            if word not in vocabulary:
                add(SLIP_WORD, word, comment)
        if len(words) >= MANY_WORDS:
            add(SLIP_COMMENT, " ".join(words), comment)
        spell(comment.text, comment)
    return [(what, first, last) for what, (first, last) in found.items()]


def _is_parsable(code: Sequence[Token]) -> bool:
    """Whether a block is within what a parser may be given: not deep, and no statement endless."""
    depth = size = signs = 0
    statement = -1
    for token in code:
        size = size + 1 if token.statement == statement else 1
        statement = token.statement
        if token.kind == OPERATOR:
            depth += (token.text in "([{") - (token.text in ")]}")
            signs += 1
        elif token.text != "not":
            signs = 0
        if depth > MAX_DEPTH or size > MAX_STATEMENT or signs > 2 * MAX_DEPTH:
            return False
    return True


def _flow(result: flow.Flow) -> list[tuple[int | str, int, int]]:
    """Every value that an output depends on: as a whole, and two levels deep, which a change further down leaves."""
    found: dict[object, tuple[int, int]] = {}
    queue = [node for _, node in result.roots] + list(result.effects)
    seen = set(queue)
    whole = (1, max((last for _, last in result.lines.values()), default=1))
    while queue:
        node = queue.pop()
        if node.args and not node.op.startswith("="):
            lines = result.lines.get(node, None) or next(
                (result.lines[a] for a in node.args if a in result.lines), whole
            )
            found.setdefault(node.hash, lines)
            if node.depth > 3:
                found.setdefault(f"shallow {node.shallow:x}", lines)
        for arg in node.args:
            if arg not in seen:
                seen.add(arg)
                queue.append(arg)
    for name, node in result.roots:
        found.setdefault(f"out {name} {node.hash:x}", result.lines.get(node, whole))
    for a, b in zip(result.effects, result.effects[1:], strict=False):
        lines = result.lines.get(a, whole)[0], result.lines.get(b, whole)[1]
        found.setdefault(f"then {a.op} {a.shallow:x} {b.op} {b.shallow:x}", (min(lines), max(lines)))
    return [(what, *sorted(lines)) for what, lines in found.items()]
