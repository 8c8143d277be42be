"""What an archive keeps of works under pseudonyms: nothing by which a person is found without the secret.

Text, slips and traces hold names, numbers and turns of phrase, and whoever has a class list could hash them and look.
Their hashes are keyed with the secret (BLAKE2b's own key), so that nobody can who lacks it, and they are compared only
where it is given. Tokens, statements and flow hold neither names that a student chose nor strings; what else in them
names somebody is taken out before they are hashed.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from autograder.similarity.model import (
    KIND_BITS,
    SLIPS,
    TEXT,
    VIEWS,
    Fingerprint,
    OutsideEdit,
    Work,
)
from autograder.similarity.tokens import COMMENT, NUMBER, STRING, Token, lex

KEYED_VIEWS = (TEXT, SLIPS)
_WORD = re.compile(r"[^\W\d_]{2,}")
_NUMBER = re.compile(r"\d{5,}")  # of a student, or of a platform
_LONG_NUMBER = re.compile(r"\d[\d_]{5,}")
_SAYS_WHO = re.compile(r"author|written by|student|name|e-?mail|@|作者|姓名|学号", re.IGNORECASE)
_SHORTEST_NAME = 3  # letters; of names in other scripts than Latin, two


def keyed_hashes(hashes: np.ndarray, secret: bytes) -> np.ndarray:
    """(N,) uint64 hashes as whoever has the secret can make them; their kinds stay readable."""
    key = hashlib.blake2b(secret, digest_size=32, person=b"archive hashes").digest()
    kinds, where = np.unique(np.asarray(hashes, np.uint64), return_inverse=True)
    raw = kinds.astype("<u8").tobytes()
    made = b"".join(hashlib.blake2b(raw[at : at + 8], key=key, digest_size=8).digest() for at in range(0, len(raw), 8))
    low = np.uint64((1 << KIND_BITS) - 1)
    return ((np.frombuffer(made, "<u8") & ~low) | (kinds & low))[where]


def keyed(fingerprint: Fingerprint, secret: bytes) -> Fingerprint:
    """A fingerprint whose text, slips and traces are keyed."""
    is_keyed = np.isin(fingerprint.view, [VIEWS.index(view) for view in KEYED_VIEWS])
    hashes = fingerprint.hashes.copy()
    hashes[is_keyed] = keyed_hashes(hashes[is_keyed], secret)
    order = np.lexsort((hashes, fingerprint.view, fingerprint.block))
    columns = {name: getattr(fingerprint, name)[order] for name in ("block", "view", "first", "last")}
    traces = {
        kind: tuple(sorted(map(int, keyed_hashes(np.array(found, np.uint64), secret))))
        for kind, found in fingerprint.traces.items()
    }
    return replace(fingerprint, hashes=hashes[order], traces=traces, **columns)


def keyed_traces(work: Work, secret: bytes) -> Work:
    """A work whose traces are found by their keyed hashes."""
    traces = {
        kind: dict(zip(map(int, keyed_hashes(np.array(list(shown), np.uint64), secret)), shown.values(), strict=True))
        for kind, shown in work.traces.items()
    }
    return replace(work, traces=traces)


def without_names(work: Work, people: Iterable[str]) -> Work:
    """A work in which nothing names somebody: comments that do are gone, strings empty, long numbers zero.

    Args:
        work: as it was read.
        people: what those of the class are known by: numbers, names, or both in one.
    """
    names = _Names(people)
    return replace(
        work,
        blocks={key: replace(block, text=names.taken_out(block.text)) for key, block in work.blocks.items()},
        own={name: names.taken_out(text) for name, text in work.own.items()},
        outside=tuple(names.taken_out_of(edit) for edit in work.outside),
    )


class _Names:
    """Who is in a class, and how to tell that a text names one of them."""

    def __init__(self, people: Iterable[str]):
        text = "\n".join(people)
        self.numbers = set(_NUMBER.findall(text))
        words = {word.casefold() for word in _WORD.findall(text)}
        self.words = {word for word in words if len(word) >= _SHORTEST_NAME or not word.isascii()}

    def is_in(self, text: str) -> bool:
        """Whether a text names somebody, or has a number that could be somebody's."""
        if _LONG_NUMBER.search(text) or not self.numbers.isdisjoint(_NUMBER.findall(text)):
            return True
        return not self.words.isdisjoint(word.casefold() for word in _WORD.findall(text))

    def taken_out(self, text: str) -> str:
        """A text without what names somebody, in as many lines."""
        changed = [(token, new) for token in lex(text) if (new := self._instead(token)) is not None]
        if not changed:
            return text
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for token, new in reversed(changed):
            block = "\n".join(lines[token.line - 1 : token.last])
            head, found, tail = block.rpartition(token.text)
            if found:
                lines[token.line - 1 : token.last] = (head + new + "\n" * token.text.count("\n") + tail).split("\n")
        return "\n".join(lines)

    def taken_out_of(self, edit: OutsideEdit) -> OutsideEdit:
        """An edit whose added lines name nobody."""
        return replace(edit, added=tuple(self.taken_out("\n".join(edit.added)).split("\n"))) if edit.added else edit

    def _instead(self, token: Token) -> str | None:
        """What to put in a token's place; None for what names nobody."""
        if token.kind == COMMENT:
            return "" if self.is_in(token.text) or _SAYS_WHO.search(token.text) else None
        if token.kind == STRING:
            return "''" if self.is_in(token.text) or _SAYS_WHO.search(token.text) else None
        if token.kind == NUMBER:
            return "0" if self.is_in(token.text) else None
        return None
