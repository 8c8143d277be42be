"""Shared slips: how unlikely it is that two works have as many of them by chance.

A slip is a misspelt word, an odd number, or a whole comment. What makes one telling is not that it is rare but that
nobody else shares one: where many pairs have an odd number in common, one more says little. So each kind is judged by
how many of it other pairs share. A second one is less likely than the first by as much as the others show, or by three
where nobody shares any. Names and single words say too little: people draw them from what everybody knows.
"""

import math

import numpy as np
from scipy import sparse

from autograder.similarity.model import (
    KIND_BITS,
    SLIP_COMMENT,
    SLIP_KINDS,
    SLIP_NUMBER,
    SLIP_TYPO,
    SLIPS,
    VIEWS,
    Fingerprint,
)

MOST_OWNERS, FEW_OWNERS, SHARE_OF_OWNERS = 12, 3, 0.03  # of a slip, beyond which it is none
# How much of what each kind says is believed. Comments are often no slips: who thinks alike may say it alike.
_BELIEVED = {SLIP_TYPO: 1.0, SLIP_NUMBER: 1.0, SLIP_COMMENT: 0.7}
_PRICE = 2.0  # nats: of looking at several kinds, which go together, too


def slip_nats(works: list[Fingerprint], is_new: np.ndarray, a: np.ndarray, b: np.ndarray, pairs: int) -> np.ndarray:
    """-log of the probability that two works share as many slips by chance.

    Args:
        works: all.
        is_new: (works,) bool; pairs of two others don't count.
        a, b: (P,) indices into works.
        pairs: how many pairs there are, looked at or not.
    Returns:
        (P,) nats, 0 where nothing is shared.
    """
    shared = _shared(works, is_new)
    total = np.zeros(len(a))
    for kind, believed in _BELIEVED.items():
        total += believed * _nats(shared[kind], a, b, pairs)
    return np.maximum(total - _PRICE, 0)


def _shared(works: list[Fingerprint], is_new: np.ndarray) -> dict[str, sparse.csr_matrix]:
    """kind -> (works, works) upper triangle: how many slips two works share that few have."""
    view = VIEWS.index(SLIPS)
    own = [np.unique(work.hashes[work.view == view]) for work in works]
    owners = np.repeat(np.arange(len(works)), [len(one) for one in own])
    hashes = np.concatenate(own) if own else np.empty(0, np.uint64)
    _, slips, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    most = max(FEW_OWNERS, min(MOST_OWNERS, SHARE_OF_OWNERS * len(works)))
    kinds = (hashes & np.uint64((1 << KIND_BITS) - 1)).astype(int)
    found = {}
    for kind in _BELIEVED:
        rare = (kinds == SLIP_KINDS.index(kind)) & (counts[slips] > 1) & (counts[slips] <= most)
        shape = (len(works), len(counts))
        has = sparse.csr_matrix((np.ones(int(rare.sum()), np.int32), (owners[rare], slips[rare])), shape=shape)
        both = sparse.triu(has @ has.T, 1).tocoo()
        counted = is_new[both.row] | is_new[both.col]
        found[kind] = sparse.csr_matrix(
            (both.data[counted], (both.row[counted], both.col[counted])), shape=(len(works), len(works))
        )
    return found


def _nats(shared: sparse.csr_matrix, a: np.ndarray, b: np.ndarray, pairs: int) -> np.ndarray:
    """-log of how probable what pairs share of one kind is, by what other pairs share."""
    counts = np.asarray(shared[np.minimum(a, b), np.maximum(a, b)]).ravel()
    number, whole = shared.nnz, shared.sum()
    if not number:
        return np.zeros(len(a))
    # The odds of one, and the odds of each further one; the pair itself does not speak for them.
    first = (number - 1 + 0.5) / pairs
    further = (whole - number - (counts - 1) + 1) / (whole - counts + 3)
    return np.where(counts > 0, np.maximum(-math.log(first) - (counts - 1) * np.log(further), 0), 0)
