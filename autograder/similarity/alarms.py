"""How many pairs reach a score if nobody has copied: the expected number of false alarms.

The middle and the start of the tail of all scores are fitted, where copies are too few to matter, and the rest of the
tail is extrapolated as a generalised Pareto distribution (Pickands 1975). Its shape can't be read off one class; it is
set from classes of honest works. What comes out is a rough figure, to cut a list by and not to accuse by.
"""

import math
from dataclasses import dataclass

import numpy as np

CUTOFF = 0.3  # expected false alarms in a class up to which a pair is listed
TAIL_FROM, TAIL_TO = 10, 1  # pairs for each work between which the fit is made: copies are fewer
SHAPE = 0.18  # so that half of the honest classes of seeds 0 to 4 have a pair with about 0.7 or less, as it should be
ENOUGH_PAIRS = 2_000  # of two years, to fit them alone
LEAST_SPREAD = 2.0  # nats; below, a class is too small or too alike to tell anything


@dataclass(frozen=True)
class Alarms:
    """The fit.

    Attributes:
        start: the score from which the tail counts.
        spread: its scale, in nats.
        share: of the pairs, that reach that score.
        pairs: how many pairs there are to raise a false alarm.
        lowest: the least score.
        says: one sentence: what it was made from.
    """

    start: float
    spread: float
    share: float
    pairs: int
    lowest: float
    says: str

    def expected(self, score: np.ndarray) -> np.ndarray:
        """How many pairs would reach each score by chance."""
        beyond = np.maximum(score - self.start, 0) / self.spread
        return self.pairs * self.share * (1 + SHAPE * beyond) ** (-1 / SHAPE)

    def units(self, score: np.ndarray) -> np.ndarray:
        """Scores in units of the spread, above the tail's start."""
        return (score - self.start) / self.spread

    def similarity(self, score: np.ndarray) -> np.ndarray:
        """Scores between 0, for the pair that is the least alike, and 1."""
        above = np.maximum(score - self.lowest, 0) / self.spread
        return above / (above + 10)


def fit(scores: np.ndarray, crosses_years: np.ndarray, candidates_of: int | None = None) -> Alarms:
    """Fit the tail.

    Args:
        scores: (P,) of all pairs that were scored.
        crosses_years: (P,) bool, pairs of a new and an archived work, of which hardly any can be copies.
        candidates_of: where only pairs that share something rare were scored: how many pairs there are.
    """
    population, source = scores, "the class itself"
    if int(crosses_years.sum()) >= ENOUGH_PAIRS:
        population, source = scores[crosses_years], "pairs of different years"
    total = candidates_of or len(scores)
    if not len(population):
        return Alarms(0.0, LEAST_SPREAD, 1.0, 0, 0.0, "Nothing to calibrate by: no two works have a block in common.")
    works = (1 + math.sqrt(1 + 8 * total)) / 2  # of a class that has so many pairs
    first, last = min(0.5, TAIL_FROM * works / total), min(0.05, TAIL_TO * works / total)
    seen = min(1.0, len(scores) / total)  # pairs that were not even scored lie below all that were
    start, high = np.quantile(population, [1 - min(first / seen, 0.9), 1 - min(last / seen, 0.5)])
    spread = SHAPE * (high - start) / ((first / last) ** SHAPE - 1)
    says = f"Expected false alarms: a fit to the scores of {len(population):,} pairs, {source}."
    return Alarms(float(start), max(float(spread), LEAST_SPREAD), first, total, float(scores.min()), says)
