"""Where in the blocks two works are alike, and which views saw it: a small strip, and a table."""

from collections.abc import Iterable, Mapping, Sequence

from autograder.page import escape
from autograder.similarity.model import VIEWS, BlockKey, BlockScore, Pair
from autograder.similarity.report.words import block_name, percent

Fired = Mapping[BlockKey, frozenset[str]]

_CELL, _GAP, _ROW = 10, 4, 7


def fired(pair: Pair) -> Fired:
    """Which views found something that two works share, by block."""
    found: dict[BlockKey, set[str]] = {}
    for match in pair.matches:
        found.setdefault(match.block, set()).add(match.view)
    return {block: frozenset(views) for block, views in found.items()}


def tokens(found: Fired, blocks: Sequence[BlockKey]) -> str:
    """What the filters read of a pair: "0.2 3.1" for view 2 in block 0 and view 1 in block 3."""
    numbers = {block: n for n, block in enumerate(blocks)}
    pairs = sorted((numbers[block], VIEWS.index(view)) for block, views in found.items() for view in views)
    return " ".join(f"{block}.{view}" for block, view in pairs)


def columns(blocks: Sequence[BlockKey]) -> list[int]:
    """Where each block's column stands in a strip; files stand apart a little."""
    at, places = 0, []
    for n, block in enumerate(blocks):
        at += _GAP if n and block.file != blocks[n - 1].file else 0
        places.append(at)
        at += _CELL
    return places


def strip(scores: Iterable[BlockScore], found: Fired, blocks: Sequence[BlockKey]) -> str:
    """Draw a row for each view and a column for each block: the stronger, the more is shared; red where it counts."""
    by_block = {score.block: score for score in scores}
    places = columns(blocks)
    drawn = []
    for block, x in zip(blocks, places, strict=True):
        score = by_block.get(block)
        if score is None:
            continue
        views = found.get(block, frozenset())
        cells = []
        for row, view in enumerate(VIEWS):
            strength = _strength(score.views.get(view, 0), view in views)
            if strength:
                kind = f"s{strength}" if view in views else f"q{strength}"
                y = row * _ROW
                cells.append(f'<rect class={kind} x="{x}" y="{y}" width="{_CELL - 1}" height="{_ROW - 1}"/>')
        if cells:
            shares = ", ".join(f"{view} {percent(score.views.get(view, 0))}" for view in VIEWS if view in score.views)
            drawn.append(f"<g><title>{escape(f'{block_name(block)}: {shares}')}</title>{''.join(cells)}</g>")
    seen = [
        f"{block_name(block)} ({', '.join(v for v in VIEWS if v in found[block])})"
        for block in blocks
        if block in found
    ]
    says = escape("shared: " + ("; ".join(seen) or "nothing that counts"))
    width, height = (places[-1] + _CELL if places else 1), _ROW * len(VIEWS)
    frame = f'<rect class=frame width="{width}" height="{height}"/>'
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class=heat {size} role=img aria-label="{says}">{frame}{"".join(drawn)}</svg>'


def bar(shares: Mapping[BlockKey, float], blocks: Sequence[BlockKey]) -> str:
    """Draw one row with a column for each block: how much of it another work explains."""
    places = columns(blocks)
    cells, says = [], []
    for block, x in zip(blocks, places, strict=True):
        strength = _strength(shares.get(block, 0), False)
        if strength:
            said = escape(f"{block_name(block)}: {percent(shares[block])}")
            rect = f'<rect class=s{strength} x="{x}" y="0" width="{_CELL - 1}" height="12">'
            cells.append(f"{rect}<title>{said}</title></rect>")
            says.append(said)
    width = places[-1] + _CELL if places else 1
    size = f'viewBox="0 0 {width} 12" width="{width}" height="12"'
    frame = f'<rect class=frame width="{width}" height="12"/>'
    return f'<svg class=heat {size} role=img aria-label="{"; ".join(says) or "nothing"}">{frame}{"".join(cells)}</svg>'


def table(pair: Pair, found: Fired, titles: Mapping[BlockKey, str]) -> str:
    """A row for each block, best first, a column for each view, the share that both have as a colour and a number."""
    rows = []
    for n, score in enumerate(pair.blocks):
        cells = []
        for view in VIEWS:
            share, counts = score.views.get(view), view in found.get(score.block, ())
            if share is None:
                cells.append("<td class=number></td>")
                continue
            strength = _strength(share, counts)
            kind = f"{'s' if counts else 'q'}{strength}" if strength else ""
            shown = f"<b>{percent(share)}</b>" if counts else percent(share)
            cells.append(f'<td class="number {kind}" data-value="{share:.6g}">{shown}</td>')
        title = f"<br><small>{escape(titles[score.block][:200])}</small>" if titles.get(score.block) else ""
        name = f'<td><a href="#k{n}">{escape(block_name(score.block))}</a>{title}</td>'
        bits = f'<td class=number data-value="{score.score:.6g}">{score.score:.1f}</td>'
        rows.append(f"<tr>{name}{bits}{''.join(cells)}</tr>")
    heads = "".join(f"<th class=number><button>{view}</button></th>" for view in ("bits", *VIEWS))
    head = f"<thead><tr><th><button>block</button></th>{heads}</tr></thead>"
    return f'<div class=wide><table class="sortable views">{head}<tbody>{"".join(rows)}</tbody></table></div>'


def _strength(share: float, counts: bool) -> int:
    """A share in five steps; what counts is seen, however little it is."""
    step = round(5 * share) if share == share else 0
    return min(max(step, 1 if counts else 0), 5)
