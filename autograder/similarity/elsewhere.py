"""Code that two works share outside the blocks: in files of their own, whatever these are called, or in given ones.

Most students write none, so it can't be judged block by block by what others have there. Each statement that two share
says as much as it is rare among all works, but no more than what anybody might write so; those who share most of the
same statements don't make each other's common.
"""

import numpy as np
from scipy import sparse

from autograder.similarity.compare import Population
from autograder.similarity.model import ELSEWHERE, STATEMENTS, TEXT, TEXT_CODE

MOST_OWNERS = 16  # of a statement
# What one statement may say, in nats: as it was typed, and with names left aside.
_MOST_NATS = {TEXT: 2.5, STATEMENTS: 1.2}
_PRICE = 2.0  # nats: of looking there, too
_RING = 0.5  # of the statements that two share, for a third to be one of those who have them from each other


def elsewhere_nats(population: Population, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-log of the probability that two works share as much code outside the blocks by chance.

    Args:
        population: all works.
        a, b: (P,) indices into works.
    Returns:
        (P,) nats, 0 where nothing is shared.
    """
    if ELSEWHERE not in population.blocks:
        return np.zeros(len(a))
    block = population.blocks.index(ELSEWHERE)
    total = np.zeros(len(a))
    for view, most in _MOST_NATS.items():
        matrix = population.matrix(block, view, TEXT_CODE if view == TEXT else None)
        total = np.maximum(total, _nats(matrix, a, b, most))
    return np.maximum(total - _PRICE, 0)


def _nats(matrix: sparse.csr_matrix, a: np.ndarray, b: np.ndarray, most: float) -> np.ndarray:
    owners = np.bincount(matrix.indices, minlength=matrix.shape[1])
    few = (owners > 1) & (owners <= MOST_OWNERS)
    has, owners = matrix[:, few], owners[few]
    shared = np.asarray(has[a].multiply(has[b]).sum(1)).ravel() if len(a) else np.zeros(0)
    found = np.zeros(len(a))
    by_statement = has.tocsc()
    for at in np.flatnonzero(shared * most > _PRICE).tolist():
        both = np.intersect1d(_row(has, a[at]), _row(has, b[at]))
        theirs = by_statement[:, both]
        ring = np.asarray(theirs.sum(1)).ravel() >= _RING * len(both)
        outside = owners[both] - np.asarray(theirs[ring].sum(0)).ravel()
        found[at] = np.minimum(np.log((matrix.shape[0] + 1) / (outside + 1)), most).sum()
    return found


def _row(matrix: sparse.csr_matrix, row: int) -> np.ndarray:
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
