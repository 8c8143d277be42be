"""How many pairs reach a score if nobody has copied: the expected number of false alarms.

Scores are turned into probabilities: in the middle by how many pairs of the class reach them; in the tail, where copies
are, by a generalised Pareto distribution (Pickands 1975), whose start and scale are fitted where copies are too few to
matter. Its shape can't be read off one class; it is set from classes of honest works. What comes out is a rough figure,
to cut a list by and not to accuse by.
"""

import math
from dataclasses import dataclass

import numpy as np

CUTOFF = 0.3  # expected false alarms in a class up to which a pair is listed
TAIL_TO, MOST_TO = 1, 1_000  # pairs for each work, and at most, up to which the fit is made: copies are fewer
TAIL_FROM = 10  # times as many, from which on
SHAPE = 0.07  # so that half of the honest classes of seeds 0 to 4 have a pair with about 0.7 or less, as it should be
FEW_BLOCKS = 0.2  # divided by the number of independent blocks: the fewer, the heavier the tail of their sum
ENOUGH_PAIRS = 2_000  # of two years, to fit them alone
LEAST_SPREAD = 2.0  # of scores; below, a class is too small or too alike to tell anything
_STEPS = 1_000  # of the middle


@dataclass(frozen=True)
class Alarms:
    """The fit.

    Attributes:
        start: the score from which the tail counts.
        spread, shape: its scale and shape.
        share: of the pairs, that reach that score.
        pairs: how many pairs there are to raise a false alarm.
        levels, reached: (L,) scores of the middle, and the share of the pairs that reach them.
        says: one sentence: what it was made from.
    """

    start: float
    spread: float
    shape: float
    share: float
    pairs: int
    levels: np.ndarray
    reached: np.ndarray
    says: str

    def nats(self, score: np.ndarray) -> np.ndarray:
        """-log of the probability that two works reach each score by chance."""
        beyond = np.maximum(score - self.start, 0) / self.spread
        tail = np.log1p(self.shape * beyond) / self.shape - math.log(self.share)
        return np.where(score >= self.start, tail, -np.log(np.interp(score, self.levels, self.reached)))

    def expected(self, nats: np.ndarray) -> np.ndarray:
        """How many pairs would reach so many nats by chance."""
        return self.pairs * np.exp(-nats)


def similarity(nats: np.ndarray) -> np.ndarray:
    """Nats as a number between 0, for what any two works have in common, and 1."""
    return nats / (nats + 10)


def fit(
    scores: np.ndarray, crosses_years: np.ndarray, candidates_of: int | None = None, blocks: float = math.inf
) -> Alarms:
    """Fit the tail.

    Args:
        scores: (P,) of all pairs that were scored.
        crosses_years: (P,) bool, pairs of a new and an archived work, of which hardly any can be copies.
        candidates_of: where only pairs that share something rare were scored: how many pairs there are.
        blocks: how many independent ones the scores are sums of.
    """
    shape = max(SHAPE, FEW_BLOCKS / blocks)
    population, source = scores, "the class itself"
    if int(crosses_years.sum()) >= ENOUGH_PAIRS:
        population, source = scores[crosses_years], "pairs of different years"
    total = candidates_of or len(scores)
    if not len(population):
        says = "Nothing to calibrate by: no two works have a block in common."
        return Alarms(0.0, LEAST_SPREAD, shape, 1.0, 0, np.zeros(1), np.ones(1), says)
    works = (1 + math.sqrt(1 + 8 * total)) / 2  # of a class that has so many pairs
    highest = min(TAIL_TO * works, MOST_TO) / total
    first, last = min(0.5, TAIL_FROM * highest), min(0.05, highest)
    seen = min(1.0, len(scores) / total)  # pairs that were not even scored lie below all that were
    begin = min(first / seen, 0.9)
    start, high = np.quantile(population, [1 - begin, 1 - min(last / seen, 0.5)])
    spread = shape * (high - start) / ((first / last) ** shape - 1)
    steps = np.linspace(0, 1 - begin, _STEPS)
    levels = np.quantile(population, steps)
    says = f"Expected false alarms: a fit to the scores of {len(population):,} pairs, {source}."
    spread = max(float(spread), LEAST_SPREAD)
    return Alarms(float(start), spread, shape, begin * seen, total, levels, (1 - steps) * seen, says)
