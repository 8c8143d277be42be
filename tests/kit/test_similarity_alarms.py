"""How many pairs chance alone would raise: the fit against drawn scores, and what it is made from."""

import numpy as np
import pytest
from test_similarity_class import COPIED, ORIGINAL, compared, filled, honest, write_class

from autograder.similarity.alarms import ENOUGH_PAIRS, fit, similarity
from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.ranking import OWN_SHARE
from autograder.similarity.reading import read_scaffold, read_works

WORKS = 400
PAIRS = WORKS * (WORKS - 1) // 2


def drawn(seed: int, number: int = PAIRS) -> np.ndarray:
    """Scores with an exponential tail: of nobody's copies."""
    return np.random.default_rng(seed).exponential(5, number)


def of_one_class(scores: np.ndarray):
    return fit(scores, np.zeros(len(scores), bool))


def test_in_the_middle_it_is_the_share_of_the_pairs():
    scores = drawn(0)
    found = of_one_class(scores)
    for score in np.quantile(scores, [0.1, 0.5, 0.9]):
        assert found.expected(found.nats(score)) == pytest.approx((scores >= score).sum(), rel=0.01)


def test_in_the_tail_it_is_about_what_honest_classes_have():
    """Of an exponential distribution the number beyond a score is known; the fit's tail is a little heavier."""
    found = of_one_class(drawn(1))
    for expected in (100, 10, 1):
        score = 5 * np.log(PAIRS / expected)
        assert expected / 1.5 < found.expected(found.nats(score)) < 6 * expected


def test_copies_change_little_of_what_is_expected():
    scores = drawn(2)
    without = of_one_class(scores)
    found = of_one_class(np.r_[scores[20:], np.full(20, 200.0)])
    assert found.expected(found.nats(80)) == pytest.approx(without.expected(without.nats(80)), rel=0.5)
    assert found.expected(found.nats(200)) < 0.01


def test_higher_scores_are_never_more_likely():
    found = of_one_class(drawn(3))
    nats = found.nats(np.linspace(-5, 100, 2_000))
    assert (np.diff(nats) >= 0).all() and nats.min() == 0
    assert (np.diff(similarity(nats)) >= 0).all() and 0 <= similarity(nats).min() <= similarity(nats).max() < 1


def test_where_there_is_an_archive_other_years_say_what_is_usual():
    new, old = drawn(4, ENOUGH_PAIRS) + 20, drawn(5, ENOUGH_PAIRS)
    crosses = np.arange(2 * ENOUGH_PAIRS) >= ENOUGH_PAIRS
    found = fit(np.r_[new, old], crosses)
    assert "different years" in found.says
    assert found.nats(20) > 3  # all of the class lies beyond what another year's pairs reach
    few = fit(np.r_[new, old[:-1]], crosses[:-1])
    assert "the class itself" in few.says and few.nats(20) < 1


def test_a_class_is_calibrated_by_earlier_years(tmp_path):
    earlier, now = write_class(tmp_path / "old", honest(50, seed=5)), write_class(tmp_path / "new", honest(45, seed=6))
    scaffold = read_scaffold(earlier / "scaffold")
    archived = fingerprints(read_works(earlier / "subs", scaffold, "2024"), scaffold)
    assert "different years" in compared(now, archived).calibration
    assert "the class itself" in compared(now).calibration


def test_the_rule_names_the_work_that_explains_most(tmp_path):
    folder = write_class(tmp_path, {**honest(30), "orig": filled(ORIGINAL), "copy": filled(COPIED)})
    own = {share.key.person: share for share in compared(folder).own}
    for person, source in (("copy", "orig"), ("orig", "copy")):
        assert own[person].source.person == source
        assert own[person].share < OWN_SHARE and own[person].is_below
    assert sum(share.is_below for share in own.values()) <= 4
