"""Fingerprints → pairs, ranked by how little chance explains them.

For each block and view two works have a similarity: what they share of what they have, each thing weighted by how rare
it is (Jaccard, with -log of its frequency as weight). How much that says depends on the two: the probability that one
of them is as like to somebody else takes the place of a percentage, so a block that everybody writes alike says
nothing. A copy is alike in every block (`_KINDS`: in what is computed, in statements and tokens, or in both), and what
is not alike speaks against it; or it is the same but for names and layout in a few (`_FEW`), which says the more, the
fewer pairs share something as rare in that block. From each the usual distance to a work's nearest others is taken:
where a work has many that are like it, one more is no news (`_news`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from autograder.progress import Progress
from autograder.similarity.model import (
    ELSEWHERE,
    FLOW,
    KIND_BITS,
    STATEMENTS,
    TEXT_KINDS,
    TOKENS,
    VIEWS,
    BlockKey,
    Fingerprint,
)

CODE_VIEWS = (TOKENS, STATEMENTS, FLOW)
MAX_REFERENCES = 600  # works that stand for all, where there are more
MAX_ALL_PAIRS = 700_000  # beyond, only pairs that share something rare are looked at


@dataclass(frozen=True)
class _Kind:
    """One way of being alike: weights of CODE_VIEWS for how rare it is and for how exact, and what a gap costs."""

    rare: tuple[float, float, float]
    exact: tuple[float, float, float]
    cost: float  # nats for a block that is not alike at all


# Tuned on classes of 40, 120 and 400 that `similarity/classgen.py` makes from the seeds 0 to 4.
_KINDS = (
    _Kind((0, 0, 1), (0, 0, 1), 20),
    _Kind((0.25, 0.25, 0.5), (0, 0, 1), 20),
    _Kind((0.5, 0.5, 0), (0.5, 0.5, 0), 15),
)
MOST_IN_A_RING = 16  # works that share one source
_STEEPER = 2  # than the class's median, where a ring ends
_FEW = 4  # blocks that may be the same in an otherwise own work
_CHOICE = 3  # nats: the price of choosing them
_RANKED, _LEAST_RANKED = 20_000, 10  # pairs by which dependence is measured
_HABITS = 0.5  # a correlation that two blocks of one student may have without being one pattern
_NEWS = 0.5  # how much of what is usual is taken off, of each of the two


@dataclass(frozen=True)
class Scores:
    """Pairs and what they score.

    Attributes:
        a, b: (P,) indices into the works.
        score: (P,) nats, relative to what the two share with others.
        blocks: (P, K) nats of each block, in the kind that is all of a block's views; NaN where one lacks it.
        ties: (K, K) how far each two blocks say the same twice, as `dependence` gives it.
    """

    a: np.ndarray
    b: np.ndarray
    score: np.ndarray
    blocks: np.ndarray
    ties: np.ndarray


class Population:
    """Works side by side: which block, which view, which hash.

    Attributes:
        works: as given.
        blocks: the blocks that any of them has.
    """

    def __init__(self, works: Sequence[Fingerprint]):
        self.works = works
        self.blocks: tuple[BlockKey, ...] = tuple(sorted({key for work in works for key in work.blocks}))
        index = {key: number for number, key in enumerate(self.blocks)}
        self._rows: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        columns: dict[str, list[np.ndarray]] = defaultdict(list)
        for number, work in enumerate(works):
            if not len(work.hashes):
                continue
            names = np.array([index[key] for key in work.blocks], np.int64)
            columns["spot"].append((names[work.block] * len(VIEWS) + work.view).astype(np.uint32))
            columns["hash"].append(work.hashes)
            columns["work"].append(np.full(len(work.hashes), number, np.uint32))
        if not columns:
            return
        spot = np.concatenate(columns.pop("spot"))
        order = np.argsort(spot, kind="stable")
        spot = spot[order]
        hashes = np.concatenate(columns.pop("hash"))[order]
        owners = np.concatenate(columns.pop("work"))[order]
        starts = np.flatnonzero(np.r_[True, spot[1:] != spot[:-1]])
        for start, end in zip(starts, np.r_[starts[1:], len(spot)], strict=True):
            place = divmod(int(spot[start]), len(VIEWS))
            self._rows[place] = hashes[start:end], owners[start:end]

    def rows(self, block: int, view: str, kind: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of one block in one view, or of one of TEXT_KINDS in it, and whose they are, by work."""
        none = np.empty(0, np.uint64), np.empty(0, np.uint32)
        hashes, owners = self._rows.get((block, VIEWS.index(view)), none)
        if kind is None:
            return hashes, owners
        of_kind = hashes & np.uint64((1 << KIND_BITS) - 1) == TEXT_KINDS.index(kind)
        return hashes[of_kind], owners[of_kind]

    def matrix(self, block: int, view: str, kind: str | None = None) -> sparse.csr_matrix:
        """(works, features) of one block in one view, 1 where a work has a feature."""
        hashes, owners = self.rows(block, view, kind)
        kinds, ids = np.unique(hashes, return_inverse=True)
        shape = (len(self.works), max(len(kinds), 1))
        starts = np.zeros(len(self.works) + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=len(self.works)), out=starts[1:])
        return sparse.csr_matrix((np.ones(len(ids), np.float32), ids.astype(np.int32), starts), shape=shape)

    def has(self, block: int) -> np.ndarray:
        """(works,) which have a block with anything in it."""
        found = np.zeros(len(self.works), bool)
        for view in range(len(VIEWS)):
            if (block, view) in self._rows:
                found[self._rows[block, view][1]] = True
        return found

    def signatures(self, block: int, view: str, kind: str | None = None) -> np.ndarray:
        """(works,) one number for all that a work has in a block's view: the same where it is the same, 0 for none."""
        sums = np.zeros(len(self.works), np.uint64)
        hashes, owners = self.rows(block, view, kind)
        if len(hashes):
            mixed = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
            sums[owners[starts]] = np.add.reduceat(mixed, starts)
        return sums


class _BlockView:
    """One block of all works: its classes of equal code, and how alike classes are."""

    def __init__(self, population: Population, block: int, references: np.ndarray):
        count = len(population.works)
        self.has = population.has(block)
        signatures = np.stack([population.signatures(block, view) for view in CODE_VIEWS], 1)
        mixed = np.zeros(count, np.uint64)
        for column in signatures.T:
            mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(31)
        _, self.examples, self.classes = np.unique(mixed, return_index=True, return_inverse=True)
        self.signatures = signatures[self.examples]
        population_size = max(int(self.has.sum()), 1)
        self.rows, self.sums = [], []
        for view in CODE_VIEWS:
            matrix = population.matrix(block, view)
            frequency = np.bincount(matrix.indices, minlength=matrix.shape[1])
            weight = np.log((population_size + 1) / np.maximum(frequency, 1)).astype(np.float32)
            rows = matrix[self.examples].multiply(np.sqrt(weight)[None, :]).tocsr()
            rows.sort_indices()
            self.rows.append(rows)
            self.sums.append(np.asarray(rows.multiply(rows).sum(1)).ravel())
        self.same, self.rarity = self._same_code()
        self.references = references[self.has[references]]
        reference_classes = self.classes[self.references]
        self.is_reference = np.zeros(count, bool)
        self.is_reference[self.references] = True
        kinds, where = np.unique(reference_classes, return_inverse=True)
        self.to_references = [self._against(view, kinds)[:, where] for view in range(len(CODE_VIEWS))]

    def alike(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(P, views) how alike two classes are, in each of CODE_VIEWS."""
        number = len(self.examples)
        codes, where = np.unique(a.astype(np.int64) * number + b, return_inverse=True)
        left, right = codes // number, codes % number
        found = np.zeros((len(codes), len(CODE_VIEWS)), np.float32)
        for view, rows in enumerate(self.rows):
            shared = np.zeros(len(codes), np.float32)
            for at in range(0, len(codes), 200_000):
                part = slice(at, at + 200_000)
                shared[part] = np.asarray(rows[left[part]].multiply(rows[right[part]]).sum(1)).ravel()
            found[:, view] = self._jaccard(view, shared, left, right)
        self._without_flow(found, left, right)
        return found[where]

    def _same_code(self) -> tuple[np.ndarray, np.ndarray]:
        """Which classes are the same but for names and layout, and how improbable it is to share as rare a thing.

        Returns:
            (classes,) a number for each thing, -1 for nothing at all; (classes,) nats.
        """
        typed = self.signatures[:, [CODE_VIEWS.index(TOKENS), CODE_VIEWS.index(STATEMENTS)]]
        _, things = np.unique(typed, axis=0, return_inverse=True)
        things = things.ravel()
        works = np.bincount(self.classes[self.has], minlength=len(things))
        owners = np.bincount(things, works)
        order = np.argsort(owners, kind="stable")
        pairs = np.cumsum((owners * (owners - 1))[order])  # of works that share something with so many owners, or fewer
        as_rare = pairs[np.searchsorted(owners[order], owners, "right") - 1]
        every = max(works.sum() * (works.sum() - 1), 2)
        nats = -np.log(np.clip(as_rare, 2, every) / every)
        return np.where(typed.any(1), things, -1), nats[things]

    def _against(self, view: int, kinds: np.ndarray) -> np.ndarray:
        """(classes, kinds) how alike each class is to some."""
        rows = self.rows[view]
        shared = np.asarray((rows @ rows[kinds].T).todense(), np.float32)
        left = np.arange(len(self.examples))[:, None]
        return self._jaccard(view, shared, left, kinds[None, :])

    def _jaccard(self, view: int, shared: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        sums, signatures = self.sums[view], self.signatures[:, view]
        union = sums[left] + sums[right] - shared
        result = np.divide(shared, union, out=np.zeros_like(shared), where=union > 1e-6)
        result[np.broadcast_to(signatures[left] == signatures[right], result.shape)] = 1
        return np.round(np.minimum(result, 1), 5)  # so that the same things add up to the same in any order

    def _without_flow(self, found: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
        """Where one of two could not be parsed, tokens and statements stand for what it computes."""
        flow = self.signatures[:, CODE_VIEWS.index(FLOW)]
        unknown = (flow[left] == 0) | (flow[right] == 0)
        found[unknown, CODE_VIEWS.index(FLOW)] = found[unknown, :2].mean(1)

    def chance(self, kind: _Kind, classes: np.ndarray, works: np.ndarray, others: np.ndarray, alike: np.ndarray):
        """-log of how often one of the references is as like to each work as the other of its pair is."""
        blended = sum(w * s for w, s in zip(kind.rare, self.to_references, strict=True))
        number = blended.shape[1]
        if not number:
            return np.zeros(len(works), np.float32)
        ranked = np.sort(np.round(blended, 5), 1)
        flat = (ranked + 2 * np.arange(len(ranked), dtype=np.float64)[:, None]).ravel()
        reached = np.searchsorted(flat, alike + 2.0 * classes - 1e-4, "left")
        least = (classes + 1) * number - reached - self.is_reference[works] + ~self.is_reference[others]
        total = number - self.is_reference[works] + ~self.is_reference[others]
        return -np.log(np.maximum(least, 1) / np.maximum(total, 1)).astype(np.float32)


def score_pairs(population: Population, new: np.ndarray, progress: Progress = iter) -> Scores:
    """Score the pairs of new works with each other and with the rest, never of the rest with itself.

    Args:
        population: all works, in an order that does not depend on how they were given.
        new: (works,) bool.
        progress: gives the blocks as it is given them, and shows how far that is.
    """
    count, fresh = len(population.works), int(new.sum())
    references = _sample(count, new)
    if fresh * (count - (fresh + 1) // 2) <= MAX_ALL_PAIRS:
        a, b = _all_pairs(new)
    else:
        a, b = _candidates(population, new)
    shape = len(a), len(population.blocks)
    points = [np.zeros(shape, np.float32) for _ in _KINDS]
    same = np.zeros(shape, np.float32)
    is_in = np.zeros(shape, bool)  # whether both have written a block
    for block in progress([block for block, key in enumerate(population.blocks) if key != ELSEWHERE]):
        view = _BlockView(population, block, references)
        both = np.flatnonzero(view.has[a] & view.has[b])
        if not len(both):
            continue
        is_in[both, block] = True
        works, others = a[both], b[both]
        left, right = view.classes[works], view.classes[others]
        is_same = (view.same[left] == view.same[right]) & (view.same[left] >= 0)
        same[both, block] = np.where(is_same, view.rarity[left], 0)
        alike = view.alike(left, right)
        chances: dict[tuple, np.ndarray] = {}
        for n, kind in enumerate(_KINDS):
            if kind.rare not in chances:
                blended = np.round(alike @ np.array(kind.rare, np.float32), 5)
                there = view.chance(kind, left, works, others, blended)
                back = view.chance(kind, right, others, works, blended)
                chances[kind.rare] = (there + back) / 2
            points[n][both, block] = chances[kind.rare] - kind.cost * (1 - alike @ np.array(kind.exact, np.float32))
    elsewhere = population.blocks.index(ELSEWHERE) if ELSEWHERE in population.blocks else None
    has_more = population.has(elsewhere) if elsewhere is not None else np.zeros(count, bool)
    meets = is_in.any(1) | (has_more[a] & has_more[b])
    a, b, same, is_in = a[meets], b[meets], same[meets], is_in[meets]
    points = [of_kind[meets] for of_kind in points]
    blocks = np.where(is_in, points[1], np.float32(np.nan))
    ties = dependence(blocks)
    shares = 1 / np.maximum(is_in @ ties, 1)
    kinds = [(of_kind * shares).sum(1) for of_kind in points]
    kinds.append(_best(same / np.maximum((same > 0) @ ties, 1)) - _CHOICE)
    total = np.logaddexp.reduce([_news(a, b, kind.astype(np.float64), count) for kind in kinds], 0)
    return Scores(a, b, total, blocks, ties)


def dependence(blocks: np.ndarray) -> np.ndarray:
    """How far each two blocks say the same twice: how well the pairs' ranks in them go together.

    Blocks that are one pattern repeated are alike in the same pairs, and of two that are tied neither counts in full: a
    block counts as one over the sum of its row here. The few pairs that copied hardly move ranks.

    Args:
        blocks: (P, K) points of each block, NaN where one of the two lacks it.
    Returns:
        (K, K), 1 on the diagonal, from 0 to 1 elsewhere.
    """
    sample = blocks[np.linspace(0, len(blocks) - 1, min(len(blocks), _RANKED)).astype(int)]
    number = blocks.shape[1]
    ties = np.eye(number)
    for one, other in zip(*np.triu_indices(number, 1), strict=True):
        there = ~np.isnan(sample[:, one]) & ~np.isnan(sample[:, other])
        x, y = (_ranks(np.round(sample[there, block], 2)) for block in (one, other))
        spread = np.sqrt((x @ x) * (y @ y))
        if len(x) >= _LEAST_RANKED and spread:
            tie = max(x @ y / spread - _HABITS, 0) / (1 - _HABITS)
            ties[one, other] = ties[other, one] = np.round(tie, 3)  # the same on every machine
    return ties


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, of equal values their mean, around zero."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return ranks - ranks.mean() if len(ranks) else ranks


def _best(points: np.ndarray) -> np.ndarray:
    """The sum of each row's _FEW greatest."""
    most = min(_FEW, points.shape[1])
    return np.partition(points, points.shape[1] - most, 1)[:, points.shape[1] - most :].sum(1)


def _news(a: np.ndarray, b: np.ndarray, score: np.ndarray, count: int) -> np.ndarray:
    """Take off what is usual for the two: two of many that are alike are no news.

    Usual is what a work scores with its nearest but one, unless its scores fall steeper from there than others' do:
    then the nearest few are a ring that shares one source, and those behind them say what is usual.
    """
    both = np.r_[a, b]
    order = np.lexsort((-np.r_[score, score], both))
    owners, ranked = both[order], np.r_[score, score][order]
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]]) if len(owners) else np.empty(0, int)
    last = np.r_[starts[1:], len(owners)] - 1
    nearest = ranked[np.minimum(starts[:, None] + np.arange(1, MOST_IN_A_RING + 1), last[:, None])]
    fall = np.median(nearest[:, :1] - nearest, 0) if len(nearest) else 0
    usual = np.zeros(count)
    usual[owners[starts]] = (nearest + _STEEPER * fall).min(1)
    return score - _NEWS * (usual[a] + usual[b]) / 2


def _all_pairs(new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fresh, old = np.flatnonzero(new), np.flatnonzero(~new)
    first, second = np.triu_indices(len(fresh), 1)
    a = np.r_[fresh[first], np.repeat(fresh, len(old))]
    return a, np.r_[fresh[second], np.tile(old, len(fresh))]


def _sample(count: int, new: np.ndarray) -> np.ndarray:
    """Works that stand for all: every n-th, of the new ones and of the others alike."""
    if count <= MAX_REFERENCES:
        return np.arange(count)
    order = np.r_[np.flatnonzero(new), np.flatnonzero(~new)]
    return np.sort(order[np.linspace(0, count - 1, MAX_REFERENCES).astype(int)])


RARE = 12  # works that have a feature, at most, for it to bring pairs together
_PER_WORK = 60  # pairs for each new work, about


def _candidates(population: Population, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that share something rare: a feature, or what a few blocks together compute or say."""
    count = len(population.works)
    keys: list[np.ndarray] = []
    flows, texts = [], []
    for block in range(len(population.blocks)):
        flows.append(_ids(population.signatures(block, FLOW)))
        texts.append(_ids(population.signatures(block, STATEMENTS)))
    number = len(population.blocks)
    for start in range(number):
        keys.append(_joined([flows[(start + n) % number] for n in range(min(5, number))]))
        keys.append(_joined([flows[(start + 3 * n) % number] for n in range(min(5, number))]))
    for first in range(number):
        for second in range(first + 1, number):
            keys.append(_joined([texts[first], texts[second]]))
    keys.append(_joined(flows))
    keys.append(_joined(texts))
    codes, weights = [], []
    for key in keys:
        code = _pairs_of(key, new, RARE)
        codes.append(code)
        weights.append(np.full(len(code), 3.0, np.float32))
    for block, view in np.ndindex(number, len(VIEWS)):
        hashes, owners = population.rows(block, VIEWS[view])
        _, ids, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
        rare = (sizes[ids] >= 2) & (sizes[ids] <= RARE)
        code = _grouped_pairs(ids[rare], owners[rare].astype(np.int64), new, count)
        codes.append(code)
        weights.append(np.full(len(code), 1.0, np.float32))
    code, where = np.unique(np.concatenate(codes), return_inverse=True)
    vote = np.bincount(where, np.concatenate(weights), len(code))
    most = _PER_WORK * int(new.sum())
    if len(code) > most:
        keep = np.sort(np.lexsort((code, -vote))[:most])
        code = code[keep]
    return code // count, code % count


def _ids(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.uint64)


def _joined(columns: Sequence[np.ndarray]) -> np.ndarray:
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ (column + np.uint64(0x632BE59BD9B4E019))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _pairs_of(key: np.ndarray, new: np.ndarray, most: int) -> np.ndarray:
    _, ids, sizes = np.unique(key, return_inverse=True, return_counts=True)
    rare = (sizes[ids] >= 2) & (sizes[ids] <= most)
    return _grouped_pairs(ids[rare], np.flatnonzero(rare), new, len(key))


def _grouped_pairs(group: np.ndarray, owner: np.ndarray, new: np.ndarray, count: int) -> np.ndarray:
    """Every pair of owners that are in one group, as a * count + b with a new; some more than once."""
    order = np.lexsort((owner, group))
    group, owner = group[order], owner[order]
    found = []
    for gap in range(1, RARE):
        same = np.flatnonzero(group[gap:] == group[:-gap]) if len(group) > gap else np.empty(0, int)
        if not len(same):
            break
        a, b = owner[same], owner[same + gap]
        swap = ~new[a] | (new[b] & (a > b))
        a, b = np.where(swap, b, a), np.where(swap, a, b)
        fresh = new[a] & (a != b)
        found.append(a[fresh] * count + b[fresh])
    return np.concatenate(found) if found else np.empty(0, np.int64)
