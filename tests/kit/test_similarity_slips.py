"""Slips: which there are in a block, and what it says that two works share some; rings that share one source."""

import math

import numpy as np
import pytest
from test_similarity_class import ORIGINAL, compared, filled, honest, people, write_class

from autograder.similarity.model import (
    SLIP_COMMENT,
    SLIP_KINDS,
    SLIP_NUMBER,
    SLIP_TYPO,
    SLIPS,
    VIEWS,
    Fingerprint,
    WorkKey,
    slip_hash,
)
from autograder.similarity.slips import slip_nats
from autograder.similarity.tokens import is_odd
from autograder.similarity.words import KNOWN, is_misspelt, words_of

TYPO = "# calcualte the reperameterised sampel"


@pytest.mark.parametrize("word", ["calcualte", "wieghts", "lattent", "generater", "sampel", "avarage", "diskriminator"])
def test_a_word_that_is_nearly_known_is_misspelt(word):
    assert is_misspelt(word, frozenset())


@pytest.mark.parametrize(
    "word",
    ["weights", "generated", "decoders", "losses", "conv", "eps", "quokka", "batchsize", "标签", "halves", "grid"],
)
def test_known_words_their_forms_and_words_of_ones_own_are_not_misspelt(word):
    assert not is_misspelt(word, frozenset())


def test_the_scaffold_s_words_are_known_and_near_ones_misspelt():
    assert is_misspelt("quokak", frozenset({"quokka"}))
    assert not is_misspelt("quokak", frozenset({"quokka", "quokak"}))


def test_no_known_word_is_misspelt():
    assert not [word for word in KNOWN if is_misspelt(word, KNOWN - {word}) and is_misspelt(word, frozenset())]


def test_names_fall_into_words():
    assert words_of("recon_lossFn2 KLDivergence # dont") == ["recon", "loss", "fn", "kl", "divergence", "dont"]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        *((text, False) for text in ("0.5", "1e-8", "3136", "1_024", "0", "0x40")),
        *((text, True) for text in ("0.4999", "37", "9.99", "1j", "1e400")),
    ],
)
def test_odd_numbers_are_nobody_s_usual_choice(text, odd):
    assert is_odd(text) is odd


def work(name: str, slips: list[tuple[str, str]]) -> Fingerprint:
    """A work with nothing but slips."""
    hashes = np.array(sorted(slip_hash(kind, what) for kind, what in slips), np.uint64)
    view = np.full(len(hashes), VIEWS.index(SLIPS), np.uint8)
    zeros = np.zeros(len(hashes), np.uint16)
    return Fingerprint(WorkKey("", name), "0", (("a.py", 1),), (1,), hashes, zeros, view, zeros + 1, zeros + 1)


def nats(works: list[Fingerprint], a: int = 0, b: int = 1) -> float:
    pairs = len(works) * (len(works) - 1) // 2
    return float(slip_nats(works, np.ones(len(works), bool), np.array([a]), np.array([b]), pairs)[0])


def crowd(*first: list[tuple[str, str]], size: int = 60) -> list[Fingerprint]:
    works = [work(f"a{n}", slips) for n, slips in enumerate(first)]
    return works + [work(f"z{n}", [(SLIP_TYPO, f"own{n}")]) for n in range(size - len(works))]


def test_every_kind_has_a_number_that_its_hashes_bear():
    assert {slip_hash(kind, "x") & 7 for kind in SLIP_KINDS} == set(range(len(SLIP_KINDS)))


def test_one_shared_slip_says_how_few_pairs_share_any():
    # Half a pair of 1,770 by chance, times e^2 for looking at all kinds.
    assert nats(crowd([(SLIP_TYPO, "lattent")], [(SLIP_TYPO, "lattent")])) == pytest.approx(math.log(1770 / 0.5) - 2)


def test_more_slips_say_more_and_kinds_add_up():
    one, two = [(SLIP_TYPO, "lattent")], [(SLIP_TYPO, "lattent"), (SLIP_TYPO, "sampel")]
    assert nats(crowd(two, two)) > nats(crowd(one, one)) > 0
    both = [*one, (SLIP_NUMBER, "0.4999")]
    assert nats(crowd(both, both)) > nats(crowd(two, two))


def test_comments_count_less_than_typos():
    typo, comment = [(SLIP_TYPO, "lattent")], [(SLIP_COMMENT, "down to the code")]
    assert nats(crowd(typo, typo)) > nats(crowd(comment, comment)) > 0


def test_what_others_share_too_says_little():
    pair = [(SLIP_NUMBER, "0.4999")]
    alone = nats(crowd(pair, pair))
    others = [[(SLIP_NUMBER, f"0.{n // 2:04}1")] for n in range(20)]
    assert nats(crowd(pair, pair, *others)) < alone - 2


def test_what_many_have_is_no_slip():
    many = [[(SLIP_TYPO, "lattent")]] * 30
    assert nats(crowd(*many)) == 0


def test_nothing_shared_is_nothing():
    assert nats(crowd([(SLIP_TYPO, "a")], [(SLIP_NUMBER, "a")])) == 0
    assert nats(crowd([], [])) == 0


def test_two_works_that_share_nothing_but_misspelt_words_are_listed(tmp_path):
    students = honest(40)
    for name in ("s003", "s017"):
        students[name] = students[name].replace(
            "    # TODO START: one epoch\n", f"    # TODO START: one epoch\n    {TYPO}\n"
        )
    found = compared(write_class(tmp_path, students))
    assert [people(pair) for pair in found.listed] == [{"s003", "s017"}]
    best = found.listed[0].matches[0]
    assert best.view == SLIPS
    line = (tmp_path / "subs" / "s003" / "net.py").read_text().split("\n")[best.lines_a[0] - 1]
    assert line.strip() == TYPO
    # That they are listed makes nobody else's code out of what they wrote as many do.
    before = compared(write_class(tmp_path / "before", honest(40)))
    assert {own.key: own.share for own in found.own} == {own.key: own.share for own in before.own}


def renamed(number: int) -> str:
    """A copy with names and comments of its own."""
    text = filled(ORIGINAL)
    for name in ("first", "second", "total", "step_loss", "# down to the code"):
        text = text.replace(name, f"{name[:3]}_{number}")
    return text


@pytest.mark.parametrize("size", [3, 5])
def test_a_ring_that_shares_one_source_is_found_whole(tmp_path, size):
    ring = {f"ring{number}": renamed(number) for number in range(size)}
    found = compared(write_class(tmp_path, {**honest(40), **ring}))
    pairs = {frozenset((a, b)) for a in ring for b in ring if a < b}
    assert {frozenset(people(pair)) for pair in found.listed[: len(pairs)]} == pairs
