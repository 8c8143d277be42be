"""Rings: several works that have the same whole blocks in common, typed alike but for layout and comments.

Two works may agree in a few blocks by chance, as people do who follow the same lecture; that six agree in the same
three blocks is another matter. How often somebody outside a ring has its version of a block says how rare that is: the
members themselves never make their version common. However rare it is, like-minded people may find the same, the more
easily the shorter it is, so no block says more than its length allows, and blocks that are one pattern say it once.
What comes out is how many pairs chance would put into rings of so many works and blocks.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from autograder.similarity.alarms import CUTOFF
from autograder.similarity.compare import Population
from autograder.similarity.model import ELSEWHERE, TEXT, TEXT_CODE, TOKENS

FEWEST, MOST_OWNERS = 3, 32  # works that have a version
LEAST_BLOCKS = 3
RARE = 0.5  # of those who have a version, in the ring: what more others have is the lecture's
LEAST_LENGTH = 5  # runs of tokens, of which winnowing keeps a third; a shorter block is anybody's
NATS_OF_LENGTH = 0.15  # that a block may say for each of them; so that of 80 honest classes hardly one has a ring


@dataclass(frozen=True)
class _Version:
    """One way in which a block was written: which block, who has it, how long it is, how many have any version."""

    block: int
    owners: frozenset[int]
    length: int
    population: int


def ring_nats(population: Population, ties: np.ndarray, a: np.ndarray, b: np.ndarray, pairs: int) -> np.ndarray:
    """-log of the probability that two works are in one ring by chance.

    Args:
        population: all works.
        ties: (K, K) how far each two blocks say the same twice, as `compare.dependence` gives it.
        a, b: (P,) indices into works.
        pairs: how many pairs there are, looked at or not.
    Returns:
        (P,) nats, so that `pairs` times the probability is how many pairs are expected in such rings; 0 for none.
    """
    count = len(population.works)
    versions = list(_versions(population))
    best: dict[tuple[int, int], float] = {}
    for shared in _shared_sets(versions, count):
        members = frozenset.intersection(*(versions[number].owners for number in shared))
        if len(members) < FEWEST:
            continue
        chosen = [versions[n] for n in shared if len(members) >= RARE * len(versions[n].owners)]
        if len(chosen) < LEAST_BLOCKS:
            continue
        members = frozenset.intersection(*(version.owners for version in chosen))
        surprise = _nats(chosen, len(members), ties, count)
        if surprise >= -math.log(CUTOFF):  # a ring is listed, or it is none
            nats = math.log(max(pairs, 1)) + surprise
            ordered = sorted(members)
            for place, one in enumerate(ordered):
                for other in ordered[place + 1 :]:
                    best[one, other] = max(nats, best.get((one, other), 0.0))
    found = np.zeros(len(a))
    if best:
        codes = np.array([one * count + other for one, other in best], np.int64)
        order = np.argsort(codes)
        codes, values = codes[order], np.fromiter(best.values(), float)[order]
        asked = np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)
        at = np.minimum(np.searchsorted(codes, asked), len(codes) - 1)
        found = np.where(codes[at] == asked, values[at], 0.0)
    return found


def _nats(chosen: Collection[_Version], members: int, ties: np.ndarray, count: int) -> float:
    """-log of how many pairs chance puts into such rings in a class of so many."""
    total = 0.0
    for version in chosen:
        outside = (len(version.owners) - members + 0.5) / (version.population - members + 1)
        says = min(max(-math.log(outside), 0), NATS_OF_LENGTH * version.length)
        total += says / max(1.0, sum(ties[version.block, other.block] for other in chosen))
    rings = _log_choices(count, members) + _log_choices(len(ties), len(chosen)) - (members - 1) * total
    return -rings - math.log(members * (members - 1) / 2)


def _log_choices(of: int, number: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)


def _versions(population: Population) -> Iterator[_Version]:
    """The versions of each block that a few works have."""
    count = len(population.works)
    for block, key in enumerate(population.blocks):
        if key == ELSEWHERE:
            continue
        signatures = population.signatures(block, TEXT, TEXT_CODE)
        lengths = np.bincount(population.rows(block, TOKENS)[1], minlength=count)
        having = np.flatnonzero(signatures)
        _, where, owners = np.unique(signatures[having], return_inverse=True, return_counts=True)
        order = np.argsort(where, kind="stable")
        for group in np.split(having[order], np.cumsum(owners)[:-1]):
            if FEWEST <= len(group) <= MOST_OWNERS and lengths[group[0]] >= LEAST_LENGTH:
                yield _Version(block, frozenset(group.tolist()), int(lengths[group[0]]), len(having))


def _shared_sets(versions: list[_Version], count: int) -> set[tuple[int, ...]]:
    """The sets of versions that any two works have in common."""
    owners = [work for version in versions for work in version.owners]
    numbers = np.repeat(np.arange(len(versions)), [len(version.owners) for version in versions])
    has = sparse.csr_matrix((np.ones(len(owners), np.int32), (owners, numbers)), shape=(count, max(len(versions), 1)))
    both = sparse.triu(has @ has.T, 1).tocoo()
    many = both.data >= LEAST_BLOCKS
    own = [frozenset(has.indices[has.indptr[work] : has.indptr[work + 1]].tolist()) for work in range(count)]
    return {tuple(sorted(own[i] & own[j])) for i, j in zip(both.row[many], both.col[many], strict=True)}
