"""Fingerprints → the comparison: pairs ranked and cut, what they share, own shares, traces, marks."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from autograder.progress import Progress
from autograder.similarity import alarms
from autograder.similarity.compare import Population, Scores, score_pairs
from autograder.similarity.elsewhere import elsewhere_nats
from autograder.similarity.model import (
    DECLARED,
    DECLARED_BOTH,
    ELSEWHERE,
    EXTRACTOR_VERSION,
    FLOW,
    SAME_PERSON,
    SLIP_COMMENT,
    SLIP_NAME,
    SLIP_NUMBER,
    SLIP_STRING,
    SLIP_TYPO,
    SLIP_WORD,
    SLIPS,
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
    slip_kind,
)
from autograder.similarity.rings import ring_nats
from autograder.similarity.slips import slip_nats
from coursekit.errors import CourseError

NEXT_FEW, NEXT_SHARE = 25, 0.01  # pairs below the cut-off, of works, that are shown with all that is known of them
MOST_PAIRS = 600  # with all that is known; the rest stands in the table
MOST_MATCHES = 150  # of one pair
LEAST_BITS = 0.5  # of a match
OWN_SHARE = 0.7  # the course's rule
SOURCES = 4  # nearest works that are asked how much of a work they explain
RARE_SHARE = 0.03  # of the works: what more have explains nothing
_TRACE_SHARE = 0.02  # likewise, for traces
_SLIPS = {
    SLIP_NAME: "a name",
    SLIP_WORD: "a word of a comment",
    SLIP_STRING: "a string",
    SLIP_NUMBER: "an odd number",
    SLIP_COMMENT: "a comment",
    SLIP_TYPO: "a misspelt word",
}
_REFERENCES = 450  # archived works that stand for all of them
_NEAREST = 60  # archived works that are compared with each new one


def compare(
    new: Sequence[Fingerprint],
    archived: Sequence[Fingerprint] = (),
    works: Mapping[WorkKey, Work] | None = None,
    cutoff: float = alarms.CUTOFF,
    progress: Progress = iter,
) -> Comparison:
    """Compare new works with each other and with archived ones, never archived ones with each other.

    Args:
        new: this year's, no person twice.
        archived: earlier years'; what has `holders`, as `archive.Archive` has, is asked for the nearest only.
        works: the new works themselves, for remarks and for what traces look like.
        cutoff: pairs with at most so many expected false alarms are listed.
        progress: gives the blocks as it is given them, and shows how far that is.
    Raises:
        CourseError: fewer than two works, an id twice, or fingerprints of another extractor version.
    """
    works = works or {}
    _check(new, archived)
    fresh = sorted(new, key=lambda work: work.key)
    old, num_old = _nearest(fresh, archived)
    population = Population([*fresh, *old])
    is_new = np.arange(len(population.works)) < len(fresh)
    scores = score_pairs(population, is_new, progress)
    crosses = ~is_new[scores.b]
    whole = len(fresh) * (len(fresh) - 1) // 2 + len(fresh) * num_old
    same = np.array(
        [_same(population.works[a], population.works[b]) for a, b in zip(scores.a, scores.b, strict=True)], bool
    )
    is_block = np.array([key != ELSEWHERE for key in population.blocks], bool)
    independent = is_block.sum() ** 2 / max(scores.ties[np.ix_(is_block, is_block)].sum(), 1)
    calibration = alarms.fit(scores.score[~same], crosses[~same], whole, max(independent, 1))
    beside = elsewhere_nats(population, scores.a, scores.b)
    rings = ring_nats(population, scores.ties, scores.a, scores.b, whole)
    by_code = np.maximum.reduce([calibration.nats(scores.score), beside, rings])
    if ELSEWHERE in population.blocks:
        scores.blocks[:, population.blocks.index(ELSEWHERE)] = beside
    nats = by_code + slip_nats(population.works, is_new, scores.a, scores.b, whole)
    nats = np.round(np.maximum(nats, 0), 6)  # so that no last bit of a machine's decides an order
    expected = calibration.expected(nats)
    similarity = np.round(alarms.similarity(nats), 6)
    order = np.lexsort((scores.b, scores.a, -scores.score, -nats))
    traces = _shared_traces(population.works, is_new, works)
    chosen, later = [], 0
    for at in order:
        a, b = int(scores.a[at]), int(scores.b[at])
        is_listed = expected[at] <= cutoff and not same[at]
        if not is_listed and (a, b) not in traces:
            later += 1
            if later > max(NEXT_FEW, NEXT_SHARE * len(fresh)):
                continue
        if len(chosen) < MOST_PAIRS:
            chosen.append(int(at))
    shared = _Shared(population)
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
            round(float(nats[at]), 4),
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
        _own_shares(population, scores, order, is_new, calibration.expected(by_code) <= cutoff, same, shared),
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
    """What two works share, and how many have it. A work's features are mixed with their places, so that sets do."""

    def __init__(self, population: Population):
        self.population = population
        self._index = {key: number for number, key in enumerate(population.blocks)}
        self._mixed = [self._mix(work) for work in population.works]
        everything = np.concatenate(self._mixed) if self._mixed else np.empty(0, np.uint64)
        self._kinds, self._counts = np.unique(everything, return_counts=True)

    def _mix(self, work: Fingerprint) -> np.ndarray:
        if not len(work.hashes):
            return np.empty(0, np.uint64)
        blocks = np.array([self._index[key] for key in work.blocks], np.uint64)
        places = blocks[work.block] * np.uint64(len(VIEWS)) + work.view.astype(np.uint64)
        return work.hashes ^ ((places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))

    def _shared(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a and of b that are the same, in a's order."""
        order = np.argsort(self._mixed[b], kind="stable")
        theirs = self._mixed[b][order]
        if not len(theirs):
            return np.empty(0, int), np.empty(0, int)
        at = np.minimum(np.searchsorted(theirs, self._mixed[a]), len(theirs) - 1)
        mine = np.flatnonzero(theirs[at] == self._mixed[a])
        return mine, order[at[mine]]

    def _owners(self, mixed: np.ndarray) -> np.ndarray:
        """How many works have each feature."""
        return self._counts[np.searchsorted(self._kinds, mixed)]

    def details(self, a: int, b: int, scores: Scores, at: int) -> tuple[tuple[BlockScore, ...], tuple[Match, ...]]:
        """Each block's score and views, and the matches."""
        left, right = self.population.works[a], self.population.works[b]
        count = len(self.population.works)
        mine, theirs = self._shared(a, b)
        owners = self._owners(self._mixed[a][mine])
        bits = np.log2((count + 1) / owners)
        matches = []
        for row in np.lexsort((mine, -bits))[: 4 * MOST_MATCHES].tolist():
            if bits[row] >= LEAST_BITS:
                one, other = int(mine[row]), int(theirs[row])
                key, view = left.blocks[left.block[one]], VIEWS[left.view[one]]
                why = f"in {owners[row]:,} of {count:,} works"
                if view == SLIPS:
                    why = f"{_SLIPS[slip_kind(int(left.hashes[one]))]}, {why}"
                lines = _lines(left, key, one), _lines(right, key, other)
                matches.append(Match(view, key, *lines, round(float(bits[row]), 3), why))
        matches.sort(key=lambda m: (-m.weight, m.view != SLIPS, m.block, VIEWS.index(m.view), m.lines_a, m.lines_b))
        shares = self._views(a, b, left.block[mine], left.view[mine], bits)
        blocks = []
        for number, key in enumerate(left.blocks):
            if key in right.blocks:
                points = scores.blocks[at, self._index[key]]
                score = 0.0 if np.isnan(points) else round(float(points) / math.log(2), 3)
                blocks.append(BlockScore(key, score, shares.get(number, {})))
        blocks.sort(key=lambda block: (-block.score, block.block))
        return tuple(blocks), tuple(matches[:MOST_MATCHES])

    def _views(
        self, a: int, b: int, block: np.ndarray, view: np.ndarray, bits: np.ndarray
    ) -> dict[int, dict[str, float]]:
        """For each of a's blocks and each view, the share of the two's weight that they have in common."""
        left, right = self.population.works[a], self.population.works[b]
        size = len(left.blocks) * len(VIEWS)
        place = {key: number for number, key in enumerate(left.blocks)}
        both = np.bincount(block.astype(int) * len(VIEWS) + view, bits, size).astype(float)
        whole = -both
        for number, work in ((a, left), (b, right)):
            if len(work.hashes):
                where = np.array([place.get(key, -1) for key in work.blocks])[work.block]
                weights = np.log2((len(self.population.works) + 1) / self._owners(self._mixed[number]))
                known = where >= 0
                whole += np.bincount(where[known] * len(VIEWS) + work.view[known], weights[known], size)
        found: dict[int, dict[str, float]] = {}
        for spot in np.flatnonzero(whole > 1e-9).tolist():
            number, name = divmod(spot, len(VIEWS))
            found.setdefault(number, {})[VIEWS[name]] = round(float(min(both[spot] / whole[spot], 1.0)), 4)
        return found

    def explained(self, a: int, b: int, is_likely: bool) -> dict[BlockKey, tuple[int, int]]:
        """For each block of a work its tokens, and those on lines that a source explains.

        Of what many write alike nothing is explained by one of them, unless a pair is likely for other reasons.
        """
        work, source = self.population.works[a], self.population.works[b]
        mine, _ = self._shared(a, b)
        flow = VIEWS.index(FLOW)
        whole = set()
        if is_likely:
            own, other = (np.bincount(w.block[w.view == flow], minlength=len(w.blocks)) for w in (work, source))
            both = np.bincount(work.block[mine][work.view[mine] == flow], minlength=len(work.blocks))
            sizes = dict(zip(source.blocks, other.tolist(), strict=True))
            whole = {n for n, key in enumerate(work.blocks) if both[n] and both[n] == own[n] == sizes.get(key)}
        else:
            most = max(3, RARE_SHARE * len(self.population.works))
            mine = mine[self._owners(self._mixed[a][mine]) <= most]
        view, first, last = work.view[mine], work.first[mine].astype(int), work.last[mine].astype(int)
        exact = (view == VIEWS.index(TEXT)) | (view == VIEWS.index(STATEMENTS)) | ((view == flow) & (last - first <= 2))
        found = {}
        for index, key in enumerate(work.blocks):
            tokens = work.tokens[index] if index < len(work.tokens) else ()
            covered = {
                line
                for row in np.flatnonzero(exact & (work.block[mine] == index)).tolist()
                for line in range(first[row], last[row] + 1)
            }
            total = sum(tokens)
            explained = total if index in whole else sum(tokens[n - 1] for n in covered if 0 < n <= len(tokens))
            found[key] = total, explained
        return found


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
    order: np.ndarray,
    is_new: np.ndarray,
    is_likely: np.ndarray,
    same: np.ndarray,
    shared: _Shared,
) -> tuple[OwnShare, ...]:
    """The 70 % rule: how much of each new work its nearest others explain, one by one."""
    nearest: defaultdict[int, list[tuple[int, bool]]] = defaultdict(list)
    for at in order:
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
            blocks = shared.explained(number, other, likely)
            covered = sum(part for _, part in blocks.values())
            if covered and (best is None or covered > best[0]):
                best = covered, other, blocks
        total = sum(sum(tokens) for tokens in work.tokens)
        share = 1.0 if best is None or not total else round(1 - best[0] / total, 4)
        explained = {key: round(part / of, 4) for key, (of, part) in best[2].items() if part} if best else {}
        source = population.works[best[1]].key if best else None
        result.append(OwnShare(work.key, share, source, explained, share < OWN_SHARE))
    return tuple(sorted(result, key=lambda own: (own.share, own.key)))
