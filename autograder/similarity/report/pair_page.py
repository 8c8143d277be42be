"""The page of one pair: why it counts, and both sides of each block beside each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from autograder.page import SORTING, escape, page
from autograder.similarity.model import (
    ELSEWHERE,
    VIEWS,
    BlockKey,
    BlockText,
    Match,
    OutsideEdit,
    OwnShare,
    Pair,
    Work,
    WorkKey,
)
from autograder.similarity.report import heat
from autograder.similarity.report.index import in_others, marks
from autograder.similarity.report.style import LINKS, STYLE
from autograder.similarity.report.words import (
    CAUTION,
    block_name,
    chance,
    counted,
    in_lines,
    label,
    percent,
    shortened,
    split_lines,
)
from code_analyze.summary import visible

_COLOURS = 6  # classes c0 to c5 of the style
_OPEN_MATCHES, _MOST_MATCHES = 6, 30  # shown of one block
_MOST_LINES = 400  # shown of one side of one block
_LONGEST_LINE = 400  # characters
_ROW = 120  # characters of HTML around a line
_AROUND = 3  # lines shown around a match where a block is too long to be shown whole
_MOST_EDITS = 30
NOT_KEPT = (0, 0)  # lines of a match of which an archive kept none


@dataclass
class Region:
    """Lines of both sides that matches put side by side.

    Attributes:
        lines_a, lines_b: first and last line of each side, or NOT_KEPT.
        matches: what says so, best first.
        colour: of its lines, 0 to 5.
    """

    lines_a: tuple[int, int]
    lines_b: tuple[int, int]
    matches: list[Match] = field(default_factory=list)
    colour: int = 0

    @property
    def weight(self) -> float:
        """What all of its matches count, in bits."""
        return math.fsum(match.weight for match in self.matches)


class Budget:
    """How many characters of matches and code a page may still show: no hand-in makes it too large to open."""

    def __init__(self, characters: int):
        self.left = characters

    def takes(self, text: str, more: int = 0) -> bool:
        """Take so much of it, or, where that isn't left, nothing."""
        size = len(text) + more
        if size > self.left:
            return False
        self.left -= size
        return True


def pair_page(
    pair: Pair,
    works: Mapping[WorkKey, Work],
    own: Mapping[WorkKey, OwnShare],
    titles: Mapping[BlockKey, str],
    links: str,
    most_code: int,
) -> str:
    """Write the page of one pair.

    Args:
        pair: whom, and what they share.
        works: the hand-ins as they were read; of an archived one without its source nothing is there.
        own: the 70 % rule, by student.
        titles: the blocks' titles.
        links: HTML that leads to the index and to the neighbours.
        most_code: how many characters of HTML the matches and the code may take.
    """
    found = heat.fired(pair)
    sides = tuple(works.get(key) or Work(key, "") for key in (pair.a, pair.b))
    names = [label(pair.a), label(pair.b)]
    listed = "" if pair.is_listed else " It is below the cut-off, and not listed."
    says = chance(pair.expected)
    students = [_student(work, own.get(work.key), name) for work, name in zip(sides, names, strict=True)]
    parts = [
        f"<nav aria-label=report>{links}</nav>",
        f"<h1>{names[0]} and {names[1]}</h1>",
        f"<p class=score>{says[0].upper()}{escape(says[1:])}. Similarity {pair.similarity:.2f}.{listed}</p>",
        f"<p>{marks(pair.marks)}</p>" if pair.marks else "",
        f"<p class=caution role=note>{escape(CAUTION)}</p>",
        "<h2 id=why>Why it counts</h2>",
        _why(pair),
        heat.table(pair, found, titles) if pair.blocks else "<p>The two have no block in common.</p>",
        _traces(pair),
        "<h2 id=students>The two students</h2>",
        f"<div class=sides>{''.join(students)}</div>",
        "<h2 id=blocks>Block by block</h2>",
        "<p>The block with the strongest evidence comes first. The same colour on both sides is the same match: point "
        "at it, or choose it, and its other side is marked; Esc lets go. The scaffold's own lines are grey and count "
        "for nothing.</p>",
    ]
    budget = Budget(most_code)
    by_block: dict[BlockKey, list[Match]] = {}
    for match in pair.matches:
        by_block.setdefault(match.block, []).append(match)
    order = [score.block for score in pair.blocks]
    order += [block for block in by_block if block not in set(order)]
    for n, block in enumerate(order):
        parts.append(_block(n, block, titles.get(block, ""), by_block.get(block, []), sides, names, budget))
    return page(f"{pair.a.label} and {pair.b.label}", "\n".join(filter(None, parts)), SORTING + LINKS, STYLE)


def regions(matches: Sequence[Match]) -> list[Region]:
    """Put matches of the same lines together, the weightiest first, and give each its colour.

    What lies on, or goes on, a weightier region on both sides has that one's colour, so that a copied run of lines is
    one colour and not a rainbow.
    """
    by_lines: dict[tuple[tuple[int, int], tuple[int, int]], Region] = {}
    for match in matches:
        lines = (match.lines_a, match.lines_b)
        by_lines.setdefault(lines, Region(*lines)).matches.append(match)
    found = sorted(by_lines.values(), key=lambda region: (-region.weight, region.lines_a, region.lines_b))
    colour_a: dict[int, int] = {}
    colour_b: dict[int, int] = {}
    fresh = 0
    for region in found:
        here, there = _lines(region.lines_a), _lines(region.lines_b)
        near = {colour_a[line] for line in _wider(here) if line in colour_a}
        both = [colour_b[line] for line in _wider(there) if colour_b.get(line) in near]
        on = both or [
            colours[line]
            for colours, lines in ((colour_a, here), (colour_b, there))
            for line in lines
            if line in colours
        ]
        region.colour = on[0] if on else fresh
        fresh += not on
        for lines, colours in ((here, colour_a), (there, colour_b)):
            for line in lines:
                colours.setdefault(line, region.colour)
    for region in found:
        region.colour %= _COLOURS
    return found


def _wider(lines: range) -> range:
    return range(lines.start - 1, lines.stop + 1) if lines else lines


def _lines(lines: tuple[int, int]) -> range:
    return range(0) if lines == NOT_KEPT else range(lines[0], _last(lines) + 1)


def _last(lines: tuple[int, int]) -> int:
    return min(lines[1], lines[0] + 100_000)


def _why(pair: Pair) -> str:
    if not pair.matches:
        return "<p>No single thing that the two share counts for much.</p>"
    blocks = list(dict.fromkeys(match.block for match in pair.matches))
    views = [view for view in VIEWS if any(match.view == view for match in pair.matches)]
    best = pair.matches[:3]
    items = "".join(f"<li>{escape(_said(match))}</li>" for match in best)
    return (
        f"<p>The two share {counted(len(pair.matches), 'rare thing')} in {counted(len(blocks), 'block')}, seen by "
        f"{escape(', '.join(views))}. The rarest:</p><ul>{items}</ul>"
    )


def _said(match: Match) -> str:
    where = [in_lines(lines) for lines in (match.lines_a, match.lines_b) if lines != NOT_KEPT]
    place = f" ({' and '.join(where)})" if where else ""
    return f"{block_name(match.block)}{place}: {match.view}, {match.why}, {match.weight:.1f} bits"


def _traces(pair: Pair) -> str:
    if not pair.traces:
        return ""
    rows = []
    for trace in pair.traces:
        shown = "<br>".join(shortened(text, 300) for text in trace.shown[:10])
        count = f'<td class=number data-value="{trace.count}">{trace.count:,}</td>'
        rows.append(f"<tr><td>{escape(trace.kind)}</td>{count}<td>{shown}</td><td>{in_others(trace.others)}</td></tr>")
    heads = "<th>trace</th><th class=number>shared</th><th>such as</th><th>how rare</th>"
    table = f"<table class=traces><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<h2 id=traces>Beyond code</h2><p>None of this is in the score.</p><div class=wide>{table}</div>"


def _student(work: Work, own: OwnShare | None, name: str) -> str:
    parts = [f"<h3>{name}</h3>"]
    if work.label:
        parts.append(f"<p>Hand-in: {shortened(work.label, 200)}</p>")
    if own is not None:
        flag = " <span class=below>below the rule</span>" if own.is_below else ""
        source = f"; {label(own.source)} explains the most" if own.source else ""
        parts.append(f"<p>Own by the 70 % rule: {percent(own.share)}{source}.{flag}</p>")
    if work.partners:
        parts.append(f"<p>Names as partners: {escape(', '.join(work.partners[:20])[:300])}</p>")
    references = [f"{escape(block_name(block))}: {shortened(text, 300)}" for block, text in work.references]
    own = [shortened(name, 200) for name in map(visible, work.own)]
    parts += [
        _items("Files of the student's own", own),
        _items("References", references),
        _items("Remarks", [shortened(text, 300) for text in work.remarks]),
    ]
    if work.outside:
        edits = "".join(map(_edit, work.outside[:_MOST_EDITS]))
        rest = len(work.outside) - _MOST_EDITS
        more = f"<p>and {rest:,} more</p>" if rest > 0 else ""
        places = counted(len(work.outside), "place")
        parts.append(f"<details><summary>Edits outside the blocks: {places}</summary>{edits}{more}</details>")
    if len(parts) == 4 and not any(parts[1:]):
        parts.append("<p>Nothing more is known.</p>")
    return f"<section>{''.join(parts)}</section>"


def _items(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    rest = [f"and {len(texts) - 20:,} more"] if len(texts) > 20 else []
    return f"<p>{title}:</p><ul>{''.join(f'<li>{text}</li>' for text in [*texts[:20], *rest])}</ul>"


def _edit(edit: OutsideEdit) -> str:
    lines = [f"- {line}" for line in edit.removed] + [f"+ {line}" for line in edit.added]
    shown = "\n".join(shortened(line.rstrip("\r\n"), 200) for line in lines[:40])
    rest = f"\n… {len(lines) - 40:,} more" if len(lines) > 40 else ""
    return f"<p>{shortened(edit.file, 200)}, line {edit.line}</p><pre>{shown}{rest}</pre>"


def _block(
    n: int,
    block: BlockKey,
    title: str,
    matches: Sequence[Match],
    sides: Sequence[Work],
    names: Sequence[str],
    budget: Budget,
) -> str:
    """One block: its matches, and both texts. A block in which nothing counts is folded."""
    found = regions(matches)
    owners = [_owners([region.lines_a for region in found]), _owners([region.lines_b for region in found])]
    heading = escape(block_name(block)) + (f": {escape(title[:200])}" if title else "")
    matched, named = _matches(n, found, owners, budget)
    codes = [_fitting(work, block, mine, budget) for work, mine in zip(sides, owners, strict=True)]
    texts = []
    for side, name in enumerate(names):
        shown = _code(n, side, codes, found, owners, named)
        texts.append(f"<section><h4>{name}</h4><div class=code>{shown}</div></section>")
    inside = f"{matched}<div class=sides>{''.join(texts)}</div>"
    if matches:
        return f"<h3 id=k{n}>{heading}</h3>{inside}"
    return f"<details id=k{n}><summary>{heading}: nothing that counts</summary>{inside}</details>"


def _owners(ranges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Which region a line belongs to: the weightiest that covers it."""
    owners: dict[int, int] = {}
    for n, lines in enumerate(ranges):
        for line in _lines(lines):
            owners.setdefault(line, n)
    return owners


def _matches(
    n: int, found: Sequence[Region], owners: Sequence[Mapping[int, int]], budget: Budget
) -> tuple[str, set[int]]:
    """The list of a block's regions by weight, and which are in it: first of all those that lines belong to."""
    owning = {region for lines in owners for region in lines.values()}
    chosen = sorted(range(len(found)), key=lambda m: (m not in owning, m))[:_MOST_MATCHES]
    items: dict[int, str] = {}
    for m in sorted(chosen):
        region = found[m]
        data = "".join(
            f' data-{side}="{lines[0]}-{_last(lines)}"'
            for side, lines in (("a", region.lines_a), ("b", region.lines_b))
            if lines != NOT_KEPT
        )
        where = " ↔ ".join(
            in_lines(lines) if lines != NOT_KEPT else "lines not kept" for lines in (region.lines_a, region.lines_b)
        )
        why = "; ".join(f"<b>{escape(match.view)}</b>: {shortened(match.why, 200)}" for match in _by_view(region))
        text = f"<button>{where}</button> · {region.weight:.1f} bits · {why}"
        item = f"<li id=m{n}-{m} class=c{region.colour} data-k={n}{data}>{text}</li>"
        if not budget.takes(item):
            break
        items[m] = item
    rest = len(found) - len(items)
    more = f"<p>and {rest:,} weaker</p>" if rest else ""
    rows = list(items.values())
    shown = f"<ol class=matches>{''.join(rows[:_OPEN_MATCHES])}</ol>" if rows else ""
    if hidden := rows[_OPEN_MATCHES:]:
        summary = f"<summary>{counted(len(hidden) + rest, 'more place')}</summary>"
        return f"{shown}<details>{summary}<ol class=matches>{''.join(hidden)}</ol>{more}</details>", set(items)
    return shown + more, set(items)


def _by_view(region: Region) -> list[Match]:
    """The best match of each view."""
    best: dict[str, Match] = {}
    for match in region.matches:
        best.setdefault(match.view, match)
    return list(best.values())


@dataclass
class Code:
    """What of one side of a block is shown.

    Attributes:
        rows: line -> it as HTML.
        given: which of them are the scaffold's own.
        first, last: the block's lines in the student's file.
        instead: a phrase where there are no lines to show.
    """

    rows: dict[int, str] = field(default_factory=dict)
    given: frozenset[int] = frozenset()
    first: int = 0
    last: int = 0
    instead: str = ""


def _fitting(work: Work, block: BlockKey, owners: Mapping[int, int], budget: Budget) -> Code:
    """Choose the lines of one side that the page has room for; the other side is left as much."""
    if not work.blocks:
        return Code(instead="Of this hand-in only fingerprints are kept: what both share is known, its text is not.")
    text = work.pieces.get(block)
    if text is None and block == ELSEWHERE:
        return Code(instead="There is no code in files of the student's own, nor outside the blocks.")
    if text is None:
        return Code(instead="This block is not in the hand-in.")
    lines = split_lines(text.text)
    if not any(line.strip() for line in lines):
        return Code(instead="The block is empty.")
    first, last = text.first_line, text.first_line + len(lines) - 1
    code = Code(given=_given(lines, text), first=first, last=last)
    reserve = budget.left // 2
    for number in _kept(first, last, owners):
        row = shortened(lines[number - first], _LONGEST_LINE)
        if budget.left - len(row) - _ROW < reserve or not budget.takes(row, _ROW):
            break
        code.rows[number] = row
    return code


def _code(
    n: int,
    side: int,
    codes: Sequence[Code],
    found: Sequence[Region],
    owners: Sequence[Mapping[int, int]],
    named: set[int],
) -> str:
    """The lines of one side, numbered as in the student's file."""
    mine, other = codes[side], codes[1 - side]
    if mine.instead:
        return f"<p>{mine.instead}</p>"
    shown, before, last = [], None, mine.first - 1
    for number, words in mine.rows.items():
        if number > last + 1:
            shown.append(f"<p>… {counted(number - last - 1, 'line')} left out</p>")
        region = owners[side].get(number)
        classes, data, name = "l", "", str(number)
        if region is not None:
            classes += f" c{found[region].colour}"
            data = f" data-m=m{n}-{region}" if region in named else ""
            lines = found[region].lines_b if side == 0 else found[region].lines_a
            if region != before and lines != NOT_KEPT and lines[0] in other.rows:
                title = f"the other side: {in_lines(lines)}"
                name = f'<a href="#{"ba"[side]}{n}-{lines[0]}" title="{title}">{number}</a>'
        classes += " g" * (number in mine.given)
        shown.append(
            f'<div class="{classes}" id={"ab"[side]}{n}-{number}{data}><b>{name}</b><span>{words}</span></div>'
        )
        before, last = region, number
    if mine.last > last:
        shown.append(f"<p>… {counted(mine.last - last, 'line')} left out here; they are in the hand-in</p>")
    return "".join(shown)


def _given(lines: Sequence[str], text: BlockText) -> frozenset[int]:
    """Which lines of a student's file are the scaffold's own."""
    scaffold = [line.strip() for line in split_lines(text.given)]
    stripped = [line.strip() for line in lines]
    if not any(scaffold) or len(scaffold) * len(stripped) > 1_000_000:
        return frozenset()
    same = SequenceMatcher(None, scaffold, stripped, autojunk=False).get_matching_blocks()
    return frozenset(text.first_line + at for run in same for at in range(run.b, run.b + run.size) if stripped[at])


def _kept(first: int, last: int, owners: Mapping[int, int]) -> list[int]:
    """Which lines to show: all, or of a very long block its beginning, and those of matches and around them."""
    if last - first < _MOST_LINES:
        return list(range(first, last + 1))
    near = {line for number in owners for line in range(number - _AROUND, number + _AROUND + 1)}
    return sorted(line for line in near | set(range(first, first + 20)) if first <= line <= last)[:_MOST_LINES]
