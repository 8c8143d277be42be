"""Fingerprints → the comparison: pairs ranked and cut, what they share, own shares, traces, marks."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from autograder.similarity import alarms
from autograder.similarity.compare import Population, Scores, score_pairs
from autograder.similarity.model import (
    DECLARED,
    DECLARED_BOTH,
    EXTRACTOR_VERSION,
    FLOW,
    SAME_PERSON,
    STATEMENTS,
    TEXT,
    THIS_YEAR,
    TRACES,
    VIEWS,
    BlockKey,
    BlockScore,
    Comparison,
    Fingerprint,
    Match,
    OwnShare,
    Pair,
    TraceMatch,
    Work,
    WorkKey,
)
from coursekit.errors import CourseError

NEXT_FEW = 25  # pairs below the cut-off that are shown with all that is known of them
MOST_PAIRS = 600  # with all that is known; the rest stands in the table
MOST_MATCHES = 150  # of one pair
LEAST_BITS = 0.5  # of a match
OWN_SHARE = 0.7  # the course's rule
SOURCES = 4  # nearest works that are asked how much of a work they explain
RARE_SHARE = 0.03  # of the works: what more have explains nothing
_TRACE_SHARE = 0.02  # likewise, for traces
_REFERENCES = 450  # archived works that stand for all of them
_NEAREST = 60  # archived works that are compared with each new one


def compare(
    new: Sequence[Fingerprint],
    archived: Sequence[Fingerprint] = (),
    works: Mapping[WorkKey, Work] | None = None,
    cutoff: float = alarms.CUTOFF,
) -> Comparison:
    """Compare new works with each other and with archived ones, never archived ones with each other.

    Args:
        new: this year's, no person twice.
        archived: earlier years'; what has `holders`, as `archive.Archive` has, is asked for the nearest only.
        works: the new works themselves, for remarks and for what traces look like.
        cutoff: pairs with at most so many expected false alarms are listed.
    Raises:
        CourseError: fewer than two works, an id twice, or fingerprints of another extractor version.
    """
    works = works or {}
    _check(new, archived)
    fresh = sorted(new, key=lambda work: work.key)
    old, num_old = _nearest(fresh, archived)
    population = Population([*fresh, *old])
    is_new = np.arange(len(population.works)) < len(fresh)
    scores = score_pairs(population, is_new)
    crosses = ~is_new[scores.b]
    whole = len(fresh) * (len(fresh) - 1) // 2 + len(fresh) * num_old
    same = np.array(
        [_same(population.works[a], population.works[b]) for a, b in zip(scores.a, scores.b, strict=True)], bool
    )
    calibration = alarms.fit(scores.score[~same], crosses[~same], whole)
    expected = calibration.expected(scores.score)
    similarity = np.round(calibration.similarity(scores.score), 6)
    order = np.lexsort((scores.b, scores.a, -scores.score))
    traces = _shared_traces(population.works, is_new, works)
    chosen, later = [], 0
    for at in order:
        a, b = int(scores.a[at]), int(scores.b[at])
        is_listed = expected[at] <= cutoff and not same[at]
        if not is_listed and (a, b) not in traces:
            later += 1
            if later > NEXT_FEW:
                continue
        if len(chosen) < MOST_PAIRS:
            chosen.append(int(at))
    shared = _Shared(population)
    units = calibration.units(scores.score)
    pairs, declared = [], []
    for at in chosen:
        a, b = int(scores.a[at]), int(scores.b[at])
        left, right = population.works[a], population.works[b]
        marks = _marks(left, right)
        blocks, matches = shared.details(a, b, scores, at)
        pair = Pair(
            left.key,
            right.key,
            float(similarity[at]),
            round(float(units[at]), 4),
            float(f"{expected[at]:.4g}"),
            bool(expected[at] <= cutoff and SAME_PERSON not in marks),
            blocks,
            matches,
            traces.get((a, b), ()),
            marks,
        )
        (declared if DECLARED_BOTH in marks else pairs).append(pair)
    pairs.sort(key=lambda pair: (not pair.is_listed, -pair.score, pair.a, pair.b))
    table = [
        (population.works[a].key, population.works[b].key, value, float(f"{chance:.4g}"))
        for a, b, value, chance in zip(
            scores.a[order].tolist(),
            scores.b[order].tolist(),
            similarity[order].tolist(),
            expected[order].tolist(),
            strict=True,
        )
        if value > 0
    ]
    scaffolds = {work.scaffold for work in population.works}
    remarks = [f"{work.key.label}: {remark}" for _, work in sorted(works.items()) for remark in work.remarks]
    if len(scaffolds) > 1:
        remarks.append(
            "Some works began from another scaffold: what it gave them is in their code, and counts as theirs."
        )
    return Comparison(
        tuple(work.key for work in fresh),
        tuple(sorted(work.key for work in old)),
        tuple(pairs),
        tuple(declared),
        table,
        cutoff,
        calibration.says,
        _own_shares(population, scores, is_new, expected <= cutoff, same, shared),
        fresh[0].scaffold,
        tuple(remarks),
    )


def _check(new: Sequence[Fingerprint], archived: Sequence[Fingerprint]) -> None:
    if not new:
        raise CourseError("no hand-in to compare")
    if len(new) + len(archived) < 2:
        raise CourseError(
            f"one submission only, {new[0].key.label}: there is nothing to compare it with; give an archive"
        )
    seen: set[WorkKey] = set()
    for work in new:
        if work.version != EXTRACTOR_VERSION:
            what = f"made by extractor version {work.version}, and this program has {EXTRACTOR_VERSION}"
            raise CourseError(f"{work.key.label}: a fingerprint {what}; take the works in again")
        if work.key.year != THIS_YEAR:
            raise CourseError(f"{work.key.label}: a work of an earlier year among the new ones")
        if work.key in seen:
            raise CourseError(f"{work.key.label}: two submissions have this id; rename one or take it away")
        seen.add(work.key)


def _nearest(new: Sequence[Fingerprint], archived: Sequence[Fingerprint]) -> tuple[list[Fingerprint], int]:
    """The archived works that are compared: all of few; of many the nearest, and some that stand for all."""
    holders = getattr(archived, "holders", None)
    count = len(archived)
    if holders is None or count <= _REFERENCES:
        found = [archived[at] for at in range(count)]
    else:
        chosen = set(np.linspace(0, count - 1, _REFERENCES).astype(int).tolist())
        for work in new:
            owned = holders(work.blocks, work.hashes, work.block, work.view, most=max(10, count // 5))
            weight = np.log((count + 1) / np.maximum(owned.counts, 1))
            votes = np.bincount(owned.works, np.repeat(weight, np.diff(owned.starts)), count)
            chosen.update(np.lexsort((np.arange(count), -votes))[:_NEAREST].tolist())
        found = [archived[at] for at in sorted(chosen)]
    for work in found:
        if work.version != EXTRACTOR_VERSION:
            what = f"made by extractor version {work.version}, and this program has {EXTRACTOR_VERSION}"
            raise CourseError(f"the archive's {work.key.label}: {what}; add the year again")
    return sorted(found, key=lambda work: work.key), count


def _same(a: Fingerprint, b: Fingerprint) -> bool:
    return a.key.person.casefold() == b.key.person.casefold()


def _marks(a: Fingerprint, b: Fingerprint) -> tuple[str, ...]:
    there = b.key.person.casefold() in {partner.casefold() for partner in a.partners}
    back = a.key.person.casefold() in {partner.casefold() for partner in b.partners}
    marks = [SAME_PERSON] if _same(a, b) else []
    if there or back:
        marks.append(DECLARED_BOTH if there and back else DECLARED)
    return tuple(marks)


class _Shared:
    """What two works share, and how many have it."""

    def __init__(self, population: Population):
        self.population = population
        self._counts: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._index = {key: number for number, key in enumerate(population.blocks)}

    def bits(self, block: BlockKey, view: int, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much features count, and how many works have each."""
        place = self._index[block], view
        if place not in self._counts:
            self._counts[place] = np.unique(self.population.rows(*place)[0], return_counts=True)
        kinds, counts = self._counts[place]
        found = counts[np.searchsorted(kinds, hashes)]
        return np.log2((len(self.population.works) + 1) / found), found

    def details(self, a: int, b: int, scores: Scores, at: int) -> tuple[tuple[BlockScore, ...], tuple[Match, ...]]:
        """Each block's score and views, and the matches."""
        left, right = self.population.works[a], self.population.works[b]
        count = len(self.population.works)
        blocks, matches = [], []
        for key in left.blocks:
            if key not in right.blocks:
                continue
            shares: dict[str, float] = {}
            for view, name in enumerate(VIEWS):
                mine, theirs = _rows(left, key, view), _rows(right, key, view)
                _, at_a, at_b = np.intersect1d(left.hashes[mine], right.hashes[theirs], True, True)
                union = np.union1d(left.hashes[mine], right.hashes[theirs])
                if not len(union):
                    continue
                total = self.bits(key, view, union)[0].sum()
                bits, owners = self.bits(key, view, left.hashes[mine][at_a])
                shares[name] = round(float(bits.sum() / total), 4) if total > 0 else 0.0
                for one, other, weight, have in zip(
                    mine[at_a].tolist(), theirs[at_b].tolist(), bits.tolist(), owners.tolist(), strict=True
                ):
                    if weight >= LEAST_BITS:
                        why = f"in {have:,} of {count:,} works"
                        lines = _lines(left, key, one), _lines(right, key, other)
                        matches.append(Match(name, key, *lines, round(weight, 3), why))
            points = scores.blocks[at, self._index[key]]
            bits_of_block = 0.0 if np.isnan(points) else round(float(points) / math.log(2), 3)
            blocks.append(BlockScore(key, bits_of_block, shares))
        blocks.sort(key=lambda block: (-block.score, block.block))
        matches.sort(
            key=lambda match: (-match.weight, match.block, VIEWS.index(match.view), match.lines_a, match.lines_b)
        )
        return tuple(blocks), tuple(matches[:MOST_MATCHES])

    def explained(self, work: Fingerprint, source: Fingerprint, is_likely: bool) -> dict[BlockKey, tuple[int, int]]:
        """For each block of a work its tokens, and those on lines that a source explains.

        Of what many write alike nothing is explained by one of them, unless a pair is likely for other reasons.
        """
        count = len(self.population.works)
        most = count if is_likely else max(3, RARE_SHARE * count)
        found = {}
        for index, key in enumerate(work.blocks):
            tokens = np.array(work.tokens[index] if index < len(work.tokens) else (), np.int64)
            covered = np.zeros(len(tokens) + 2, bool)
            if key in source.blocks:
                for view in (TEXT, STATEMENTS, FLOW):
                    number = VIEWS.index(view)
                    mine, theirs = _rows(work, key, number), _rows(source, key, number)
                    size = len(mine)
                    mine = mine[np.isin(work.hashes[mine], source.hashes[theirs])]
                    if not len(mine):
                        continue
                    if view == FLOW and len(mine) == size == len(theirs) and is_likely:
                        covered[:] = True  # it computes the same, line by line or not
                    mine = mine[self.bits(key, number, work.hashes[mine])[1] <= most]
                    for row in mine.tolist():
                        first, last = int(work.first[row]), int(work.last[row])
                        if view != FLOW or last - first <= 2:
                            covered[first : last + 1] = True
            found[key] = int(tokens.sum()), int(tokens[covered[1 : len(tokens) + 1]].sum())
        return found


def _rows(work: Fingerprint, key: BlockKey, view: int) -> np.ndarray:
    index = work.blocks.index(key)
    low, high = np.searchsorted(work.block, [index, index + 1])
    return low + np.flatnonzero(work.view[low:high] == view)


def _lines(work: Fingerprint, key: BlockKey, row: int) -> tuple[int, int]:
    start = work.first_lines[work.blocks.index(key)] if work.first_lines else 0
    first, last = int(work.first[row]), int(work.last[row])
    return (start + first - 1, start + last - 1) if start and first else (0, 0)


def _shared_traces(
    works: Sequence[Fingerprint], is_new: np.ndarray, shown: Mapping[WorkKey, Work]
) -> dict[tuple[int, int], tuple[TraceMatch, ...]]:
    """Traces that few works share, by pair."""
    most = max(3, int(_TRACE_SHARE * len(works)))
    pairs: defaultdict[tuple[int, int], defaultdict[str, list[tuple[int, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for kind in TRACES:
        owners: defaultdict[int, list[int]] = defaultdict(list)
        for number, work in enumerate(works):
            for trace in work.traces.get(kind, ()):
                owners[trace].append(number)
        for trace, have in owners.items():
            if 2 <= len(have) <= most:
                for place, a in enumerate(have):
                    for b in have[place + 1 :]:
                        if is_new[a] and not _same(works[a], works[b]):
                            pairs[a, b][kind].append((len(have) - 2, trace))
    result = {}
    for (a, b), kinds in pairs.items():
        texts = shown[works[a].key].traces if works[a].key in shown else {}
        result[a, b] = tuple(
            TraceMatch(
                kind,
                len(kinds[kind]),
                tuple(texts.get(kind, {}).get(trace, f"{trace:016x}") for _, trace in sorted(kinds[kind])[:3]),
                min(kinds[kind])[0],
            )
            for kind in TRACES
            if kind in kinds
        )
    return result


def _own_shares(
    population: Population,
    scores: Scores,
    is_new: np.ndarray,
    is_likely: np.ndarray,
    same: np.ndarray,
    shared: _Shared,
) -> tuple[OwnShare, ...]:
    """The 70 % rule: how much of each new work its nearest others explain, one by one."""
    nearest: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    for at in np.argsort(-scores.score, kind="stable"):
        if same[at]:
            continue
        a, b = int(scores.a[at]), int(scores.b[at])
        if len(nearest[a]) < SOURCES:
            nearest[a].append((b, bool(is_likely[at])))
        if is_new[b] and len(nearest[b]) < SOURCES:
            nearest[b].append((a, bool(is_likely[at])))
    result = []
    for number in np.flatnonzero(is_new).tolist():
        work = population.works[number]
        best: tuple[int, int, dict] | None = None
        for other, likely in nearest[number]:
            blocks = shared.explained(work, population.works[other], likely)
            covered = sum(part for _, part in blocks.values())
            if covered and (best is None or covered > best[0]):
                best = covered, other, blocks
        total = sum(sum(tokens) for tokens in work.tokens)
        share = 1.0 if best is None or not total else round(1 - best[0] / total, 4)
        explained = {key: round(part / of, 4) for key, (of, part) in best[2].items() if part} if best else {}
        source = population.works[best[1]].key if best else None
        result.append(OwnShare(work.key, share, source, explained, share < OWN_SHARE))
    return tuple(sorted(result, key=lambda own: (own.share, own.key)))
