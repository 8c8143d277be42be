"""Who hangs together with whom: the graph of listed pairs as a picture, one drawing for each cluster."""

import math
from collections.abc import Mapping, Sequence

from autograder.page import escape
from autograder.similarity.model import THIS_YEAR, BlockKey, Pair, WorkKey
from autograder.similarity.report.heat import fired, tokens
from autograder.similarity.report.words import counted, label, short_chance
from code_analyze.summary import visible

MOST_NODES = 60  # a larger cluster is a list: no drawing of it could be read
_LENGTH = 120.0  # of an edge, in pixels
_WIDEST, _HIGHEST = 1080.0, 640.0
_SIDE, _TOP, _BOTTOM = 56, 16, 30
_LONGEST = 15  # characters of a name below its node
_LABEL_WIDTH, _LABEL_HEIGHT = 100, 34  # what a node and its name take

Point = tuple[float, float]
Pages = Mapping[tuple[WorkKey, WorkKey], str]  # where the page of a and b stands, relative to the index


def components(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs that hang together, the largest cluster first, then as they are ranked."""
    cluster_of: dict[WorkKey, list[Pair]] = {}
    for pair in pairs:
        one, other = cluster_of.setdefault(pair.a, []), cluster_of.setdefault(pair.b, [])
        if one is not other:
            one += other
            for moved in other:
                cluster_of[moved.a] = cluster_of[moved.b] = one
            cluster_of[pair.b] = one
        one.append(pair)
    rank = {id(pair): n for n, pair in enumerate(pairs)}
    clusters = {id(cluster): sorted(cluster, key=lambda pair: rank[id(pair)]) for cluster in cluster_of.values()}
    return sorted(clusters.values(), key=lambda cluster: (-len(people(cluster)), rank[id(cluster[0])]))


def people(pairs: Sequence[Pair]) -> list[WorkKey]:
    """Everyone in some pairs, sorted."""
    return sorted({key for pair in pairs for key in (pair.a, pair.b)})


def drawn(pairs: Sequence[Pair], pages: Pages, blocks: Sequence[BlockKey]) -> str:
    """Draw the clusters of some pairs, as HTML.

    Args:
        pairs: ranked.
        pages: where their pages are; a pair may have none.
        blocks: for the filters, as `heat.tokens` counts them.
    """
    figures = []
    for cluster in components(pairs):
        nodes = people(cluster)
        picture = _picture(nodes, cluster, pages, blocks) if len(nodes) <= MOST_NODES else _listed(cluster, pages)
        caption = f"{counted(len(nodes), 'student')}, {counted(len(cluster), 'pair')}"
        figures.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    return f"<div class=clusters>{''.join(figures)}</div>"


def _picture(nodes: list[WorkKey], pairs: list[Pair], pages: Pages, blocks: Sequence[BlockKey]) -> str:
    number = {key: n for n, key in enumerate(nodes)}
    places = layout(len(nodes), [(number[pair.a], number[pair.b]) for pair in pairs])
    left, top = min(x for x, _ in places) - _SIDE, min(y for _, y in places) - _TOP
    places = [(x - left, y - top) for x, y in places]
    width, height = max(x for x, _ in places) + _SIDE, max(y for _, y in places) + _BOTTOM
    parts = []
    for pair in reversed(pairs):  # the strongest is drawn last, over the others
        (x1, y1), (x2, y2) = places[number[pair.a]], places[number[pair.b]]
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        wide = 1.5 + 6 * min(max(pair.similarity, 0), 1)
        says = f"{visible(pair.a.label)} and {visible(pair.b.label)}: {short_chance(pair.expected)} by chance"
        data = f'data-year="{escape(pair.b.year)}" data-fired="{tokens(fired(pair), blocks)}"'
        start = f'<a class=edge href="{pages[pair.a, pair.b]}" {data}>' if (pair.a, pair.b) in pages else f"<g {data}>"
        lines = f'<line class=hit {ends}/><line {ends} style="stroke-width:{wide:.1f}"/>'
        parts.append(f"{start}<title>{escape(says)}</title>{lines}{'</a>' if (pair.a, pair.b) in pages else '</g>'}")
    for key, (x, y) in zip(nodes, places, strict=True):
        own = [pair for pair in pairs if key in (pair.a, pair.b)]
        best = next((pages[pair.a, pair.b] for pair in own if (pair.a, pair.b) in pages), None)
        if key.year == THIS_YEAR:
            shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
        else:
            shape = f'<path class=old d="M{x:.1f} {y - 10:.1f}l10 10l-10 10l-10 -10z"/>'
        name = f'<text x="{x:.1f}" y="{y + 23:.1f}" text-anchor="middle">{label(key, _LONGEST)}</text>'
        title = f"<title>{label(key)}: {counted(len(own), 'listed pair')}</title>"
        inside = f"{title}{shape}{name}"
        parts.append(f'<a class=node href="{best}">{inside}</a>' if best else f"<g class=node>{inside}</g>")
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<div class=wide><svg class=graph {size} role=group aria-label="cluster">{"".join(parts)}</svg></div>'


def _listed(pairs: list[Pair], pages: Pages) -> str:
    items = []
    for pair in pairs:
        text = f"{label(pair.a)} – {label(pair.b)}"
        items.append(
            f'<li><a href="{pages[pair.a, pair.b]}">{text}</a></li>'
            if (pair.a, pair.b) in pages
            else f"<li>{text}</li>"
        )
    return f"<p>Too many to draw.</p><ul class=many>{''.join(items)}</ul>"


def layout(count: int, edges: Sequence[tuple[int, int]]) -> list[Point]:
    """Place the nodes of one connected graph by forces (Fruchterman and Reingold, 1991).

    The same on every machine: only the start uses cosines, whose last bits may differ, so it is rounded; the rest is
    plain sums, products, quotients and roots, which IEEE 754 fixes.
    """
    if count == 1:
        return [(0.0, 0.0)]
    if count == 2:
        return [(0.0, 0.0), (1.15 * _LENGTH, 0.0)]
    radius = _LENGTH * max(count / (2 * math.pi), 0.6)
    angles = [2 * math.pi * n / count - math.pi / 2 for n in range(count)]
    xs = [round(radius * math.cos(angle), 3) for angle in angles]
    ys = [round(radius * math.sin(angle), 3) for angle in angles]
    rounds = 200 if count <= 20 else 90
    for step in range(rounds):
        warmth = _LENGTH * 0.5 * (1 - step / rounds)
        push_x, push_y = [0.0] * count, [0.0] * count
        for i in range(count):
            for j in range(i):
                dx, dy = xs[i] - xs[j], ys[i] - ys[j]
                square = dx * dx + dy * dy or 0.01
                force = _LENGTH * _LENGTH / square
                push_x[i] += dx * force
                push_x[j] -= dx * force
                push_y[i] += dy * force
                push_y[j] -= dy * force
        for i, j in edges:
            dx, dy = xs[i] - xs[j], ys[i] - ys[j]
            pull = math.sqrt(dx * dx + dy * dy) / _LENGTH
            push_x[i] -= dx * pull
            push_x[j] += dx * pull
            push_y[i] -= dy * pull
            push_y[j] += dy * pull
        for i in range(count):
            length = math.sqrt(push_x[i] ** 2 + push_y[i] ** 2)
            if length > warmth:
                push_x[i] *= warmth / length
                push_y[i] *= warmth / length
            xs[i] += push_x[i]
            ys[i] += push_y[i]
    if max(xs) - min(xs) < max(ys) - min(ys):
        xs, ys = ys, xs  # lying down, it takes less of the page, and names have more room
    xs, ys = _within(xs, _WIDEST), _within(ys, _HIGHEST)
    return _apart([(round(x, 1), round(y, 1)) for x, y in zip(xs, ys, strict=True)])


def _within(places: list[float], most: float) -> list[float]:
    """Shrink what would not fit on a screen."""
    scale = min(1.0, most / max(max(places) - min(places), 1.0))
    return [place * scale for place in places]


def _apart(places: list[Point]) -> list[Point]:
    """Move nodes up and down until no name lies on another."""
    done: list[Point] = []
    for n in sorted(range(len(places)), key=lambda n: (places[n][1], places[n][0], n)):
        x, y = places[n]
        while any(abs(x - u) < _LABEL_WIDTH and abs(y - v) < _LABEL_HEIGHT for u, v in done):
            y += _LABEL_HEIGHT / 4
        done.append((x, y))
        places[n] = (x, y)
    return places
