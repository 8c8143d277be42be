"""The report's first page: the ranked pairs, the clusters, the 70 % rule, and what a person should know besides."""

import math
from collections.abc import Mapping, Sequence

from autograder.page import SORTING, escape, page
from autograder.similarity.model import (
    DECLARED,
    DECLARED_BOTH,
    THIS_YEAR,
    TRACES,
    VIEWS,
    BlockKey,
    Comparison,
    OwnShare,
    Pair,
    TraceMatch,
    Work,
    WorkKey,
)
from autograder.similarity.report import heat
from autograder.similarity.report.clusters import Pages, drawn
from autograder.similarity.report.style import FILTERS, STYLE
from autograder.similarity.report.words import (
    CAUTION,
    block_name,
    chance,
    counted,
    label,
    percent,
    short_chance,
    shortened,
    year_name,
)
from code_analyze.summary import visible

_MOST_ROWS = 1000  # of one table; what is below the rule is never left out
_MOST_OF_ONE = 20  # references, remarks or edits of one student
_MOST_CHARACTERS = 300  # of one of them

_VIEWS_IN_WORDS = {
    "text": "statements and comments as they were typed",
    "tokens": "runs of tokens, whatever the names",
    "statements": "whole statements, in any order",
    "flow": "what is computed from what",
    "slips": "typos, odd constants and names, comments of one's own",
}


def index_page(comparison: Comparison, works: Mapping[WorkKey, Work], pages: Pages) -> str:
    """Write the first page.

    Args:
        comparison: what was found.
        works: the hand-ins as they were read; archived ones may lack.
        pages: where the pages of pairs are, relative to this one.
    """
    blocks = all_blocks(comparison, works)
    titles = block_titles(works)
    listed = comparison.listed
    others = [pair for pair in comparison.pairs if not pair.is_listed]
    sections = {
        "pairs": (f"Listed pairs ({len(listed):,})", _listed(comparison, pages, blocks)),
        "clusters": ("Clusters", _clusters(listed, pages, blocks)),
        "declared": (f"Pairs that declare each other ({len(comparison.declared):,})", ""),
        "next": (f"The next, not listed ({len(others):,})", ""),
        "own": ("The 70 % rule", _own_shares(comparison.own, pages, blocks)),
        "beside": ("Beside other tools", _beside(comparison, pages)),
        "references": ("References and partners", _references(comparison, works)),
        "outside": ("Edits outside the blocks", _outside(comparison, works)),
        "files": ("Files of their own", _own_files(comparison, works)),
        "remarks": ("Remarks", _remarks(comparison, works)),
        "made": ("How this was made", _made(comparison)),
    }
    if comparison.declared:
        says = "<p>Each names the other as partner: no finding, unless more is shared than is allowed.</p>"
        table = _pairs(comparison.declared, pages, blocks, "declared")
        sections["declared"] = (sections["declared"][0], says + table)
    if others:
        says = "<p>They are below the cut-off, and here so that you see where it lies.</p>"
        sections["next"] = (sections["next"][0], says + _pairs(others, pages, blocks, "next"))
    sections = {name: section for name, section in sections.items() if section[1]}
    links = "".join(f'<a href="#{name}">{title}</a>' for name, (title, _) in sections.items())
    parts = ["<h1>Similar work</h1>", f"<p class=score>{_in_short(comparison)}</p>"]
    parts += [f"<p class=caution role=note>{escape(CAUTION)}</p>", f"<nav aria-label=sections>{links}</nav>"]
    parts += [_filters(comparison, blocks, titles), _legend(blocks, titles)]
    parts += [f"<h2 id={name}>{title}</h2>{body}" for name, (title, body) in sections.items()]
    return page("Similar work", "\n".join(parts), SORTING + FILTERS, STYLE)


def all_blocks(comparison: Comparison, works: Mapping[WorkKey, Work]) -> list[BlockKey]:
    """Every block that anything is said about, sorted: the columns of all strips."""
    found = {block for work in works.values() for block in work.pieces}
    for pair in (*comparison.pairs, *comparison.declared):
        found.update(score.block for score in pair.blocks)
        found.update(match.block for match in pair.matches)
    found.update(block for own in comparison.own for block in own.blocks)
    return sorted(found)


def block_titles(works: Mapping[WorkKey, Work]) -> dict[BlockKey, str]:
    """The scaffold's titles of the blocks."""
    titles: dict[BlockKey, str] = {}
    for key in sorted(works):
        for block, text in works[key].pieces.items():
            if text.title:
                titles.setdefault(block, text.title)
    return titles


def _in_short(comparison: Comparison) -> str:
    text = f"{counted(len(comparison.works), 'hand-in')} of this year"
    if comparison.archived:
        years = ", ".join(sorted({key.year for key in comparison.archived}))
        text += f", {len(comparison.archived):,} of earlier years ({escape(years[:200])})"
    below = sum(own.is_below for own in comparison.own)
    return f"{text}; {counted(len(comparison.listed), 'pair')} listed; {below:,} below the 70 % rule"


def _filters(comparison: Comparison, blocks: Sequence[BlockKey], titles: Mapping[BlockKey, str]) -> str:
    years = sorted({pair.b.year for pair in (*comparison.pairs, *comparison.declared)} | {THIS_YEAR})
    choices = {
        "year": ("other side's year", [(f"={year}", year_name(year)) for year in years]),
        "block": ("block", [(str(n), _with_title(block, titles)) for n, block in enumerate(blocks)]),
        "view": ("seen by", [(str(n), view) for n, view in enumerate(VIEWS)]),
    }
    fields = ["<label>student <input id=filter-who type=search size=14 autocomplete=off spellcheck=false></label>"]
    for name, (title, options) in choices.items():
        inside = "".join(f'<option value="{escape(value)}">{escape(text[:80])}</option>' for value, text in options)
        fields.append(
            f"<label>{title} <select id=filter-{name}><option value=all>all</option>{inside}</select></label>"
        )
    fields.append("<button id=filter-none type=button>show all</button>")
    return f"<div class=filters role=search aria-label=filters>{''.join(fields)}<span id=left role=status></span></div>"


def _with_title(block: BlockKey, titles: Mapping[BlockKey, str]) -> str:
    return f"{block_name(block)}: {titles[block]}" if block in titles else block_name(block)


def _legend(blocks: Sequence[BlockKey], titles: Mapping[BlockKey, str]) -> str:
    views = "".join(f"<li><b>{view}</b>: {_VIEWS_IN_WORDS.get(view, '')}</li>" for view in VIEWS)
    columns = "".join(f"<li>{escape(_with_title(block, titles)[:160])}</li>" for block in blocks)
    return (
        "<details><summary>How to read the strips</summary><div class=legend>"
        f"<div>Rows, from the top, are views of a block:<ul>{views}</ul>Red is what counts, the stronger the more of "
        "it is shared; grey is shared, too, but by many others.</div>"
        f"<div>Columns, from the left, are blocks:<ol>{columns}</ol></div></div></details>"
    )


def _listed(comparison: Comparison, pages: Pages, blocks: Sequence[BlockKey]) -> str:
    rule = escape(_cutoff(comparison.cutoff))
    says = f"<p>A pair is listed where chance alone gives {rule}; the strongest is first.</p>"
    if not comparison.listed:
        return says + "<p>No pair is listed.</p>"
    return says + _pairs(comparison.listed, pages, blocks, "listed")


def _cutoff(cutoff: float) -> str:
    return f"at most {chance(cutoff).removeprefix('about ').removesuffix(' by chance')}"


def _pairs(pairs: Sequence[Pair], pages: Pages, blocks: Sequence[BlockKey], name: str) -> str:
    """A table of pairs, ranked; each row knows what the filters ask for."""
    heads = ["rank", "student", "and", "where, and what saw it", "by chance", "similarity", "marks"]
    numbers = {"rank", "by chance", "similarity"}
    columns = "".join(f"<th{' class=number' * (head in numbers)}><button>{head}</button></th>" for head in heads)
    columns += "".join(f'<th class="number trace"><button>{kind}</button></th>' for kind in TRACES)
    rows = [_row(n, pair, pages, blocks) for n, pair in enumerate(pairs[:_MOST_ROWS], 1)]
    table = (
        f"<table class='sortable pairs' id=table-{name}><thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody>"
    )
    rest = len(pairs) - _MOST_ROWS
    more = f"<p>{counted(rest, 'more pair')}: in pairs.json.</p>" if rest > 0 else ""
    return f"<div class=wide>{table}</table></div>{more}"


def _row(rank: int, pair: Pair, pages: Pages, blocks: Sequence[BlockKey]) -> str:
    found = heat.fired(pair)
    names = _linked((pair.a, pair.b), pages)
    traces = {trace.kind: trace for trace in pair.traces}
    cells = [
        f"<td class=number data-of=rank data-value={rank}>{rank}</td>",
        f"<td data-of=student>{names[0]}</td><td data-of=and>{names[1]}</td>",
        f"<td data-of=where>{heat.strip(pair.blocks, found, blocks)}</td>",
        f'<td class=number data-of="by chance" data-value="{pair.expected:.6g}">{short_chance(pair.expected)}</td>',
        f'<td class=number data-of=similarity data-value="{pair.similarity:.6g}">{pair.similarity:.2f}</td>',
        f"<td data-of=marks>{marks(pair.marks)}</td>",
        *(_trace(kind, traces.get(kind)) for kind in TRACES),
    ]
    who = escape(f"{pair.a.label} {pair.b.label}".lower()[:200])
    data = f'data-fired="{heat.tokens(found, blocks)}" data-year="{escape(pair.b.year)}" data-who="{who}"'
    return f"<tr {data}>{''.join(cells)}</tr>"


def _linked(pair: tuple[WorkKey, WorkKey], pages: Pages) -> list[str]:
    """The names of two, which lead to their page where they have one."""
    address = pages.get(pair)
    return [f'<a href="{address}">{label(key, 40)}</a>' if address else label(key, 40) for key in pair]


def marks(names: Sequence[str]) -> str:
    """The marks of a pair, as HTML."""
    kinds = {DECLARED: "chip declares", DECLARED_BOTH: "chip declares"}
    return " ".join(f'<span class="{kinds.get(name, "chip")}">{escape(name)}</span>' for name in names)


def _trace(kind: str, trace: TraceMatch | None) -> str:
    if trace is None or not trace.count:
        return '<td class=number data-value="0"></td>'
    shown = "; ".join(trace.shown)[:_MOST_CHARACTERS]
    says = escape(f"{shown} – {in_others(trace.others)}" if shown else in_others(trace.others))
    return f'<td class=number data-of="{kind}" data-value="{trace.count}" title="{says}">{trace.count:,}</td>'


def in_others(others: int) -> str:
    """In how many other works the rarest of some traces stands."""
    return f"the rarest also in {counted(others, 'other work')}" if others else "the rarest in no other work"


def _clusters(listed: Sequence[Pair], pages: Pages, blocks: Sequence[BlockKey]) -> str:
    if not listed:
        return ""
    old = " <span class='key old'></span> hand-in of an earlier year." if any(pair.b.year for pair in listed) else ""
    says = (
        "<p>Students in listed pairs; a line is a pair, the wider the more alike, and leads to its page. "
        f"<span class=key></span> hand-in of this year.{old}</p>"
    )
    return says + drawn(listed, pages, blocks)


def _own_shares(own: Sequence[OwnShare], pages: Pages, blocks: Sequence[BlockKey]) -> str:
    if not own:
        return ""
    shown = [share for n, share in enumerate(own) if n < _MOST_ROWS or share.is_below]
    rows = []
    for share in shown:
        source = "no other work explains anything"
        if share.source is not None:
            address = pages.get((share.key, share.source)) or pages.get((share.source, share.key))
            source = f'<a href="{address}">{label(share.source)}</a>' if address else label(share.source)
        flag = "<span class=below>below the rule</span>" if share.is_below else ""
        rows.append(
            f"<tr><td>{label(share.key)}</td>"
            f'<td class=number data-value="{share.share:.6g}">{percent(share.share)}</td>'
            f"<td>{flag}</td><td>{source}</td><td>{heat.bar(share.blocks, blocks)}</td></tr>"
        )
    below = sum(share.is_below for share in own)
    heads = "".join(
        f"<th{' class=number' * (head == 'own')}><button>{head}</button></th>"
        for head in ("student", "own", "rule", "the work that explains the most", "of which blocks")
    )
    rest = len(own) - len(shown)
    more = f"<p>{counted(rest, 'more student')} above the rule.</p>" if rest else ""
    says = (
        "At least 70 % of the code in the blocks must be the student's own. Own is, by tokens, what the one work that "
        f"explains the most does not explain; {counted(below, 'student')} below the rule. Which of the two wrote it "
        "first, this can't say."
    )
    is_open = " open" * (len(shown) <= 2 * _MOST_OF_ONE or below > 0)
    table = f"<table class=sortable><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    summary = f"<summary>{counted(len(own), 'student')}</summary>"
    return f"<p>{says}</p><details{is_open}>{summary}<div class=wide>{table}</div>{more}</details>"


def _beside(comparison: Comparison, pages: Pages) -> str:
    """What other tools say: of the pairs that are listed here, and what they rank high and this does not."""
    if not comparison.others:
        return ""
    ours = {(a, b): (rank, expected) for rank, (a, b, _, expected) in enumerate(comparison.table, 1)}
    listed = {(pair.a, pair.b) for pair in comparison.listed}
    parts = []
    for tool in comparison.others:
        ranked = sorted(tool.similarity, key=lambda pair: (-tool.similarity[pair], pair))
        places = {pair: rank for rank, pair in enumerate(ranked, 1)}
        others = [pair for pair in ranked if pair not in listed][:_MOST_OF_ONE]
        rows = []
        for pair in [*sorted(listed & set(places), key=places.get), *others]:
            rank, expected = ours.get(pair, (None, math.inf))
            names = _linked(pair, pages)
            rows.append(
                f'<tr><td>{names[0]}</td><td>{names[1]}</td><td class=number data-value="{places[pair]}">'
                f'{places[pair]:,}</td><td class=number data-value="{tool.similarity[pair]:.6g}">'
                f"{percent(tool.similarity[pair])}</td>"
                f'<td class=number data-value="{rank or len(ours) + 1}">{f"{rank:,}" if rank else "none"}</td>'
                f'<td class=number data-value="{min(expected, 1e12):.6g}">{short_chance(expected) if rank else ""}</td>'
                f"<td>{'listed' if pair in listed else ''}</td></tr>"
            )
        found = len(listed & set(ranked[: len(listed)]))
        says = (
            f"<p>{escape(tool.name)} knows {counted(len(ranked), 'pair')}; its first {len(listed):,} have {found:,} of "
            f"the {len(listed):,} listed here. Below: those of them that it knows, and the first {len(others):,} that "
            "are not listed here.</p>"
        )
        if tool.unknown:
            names = ", ".join(tool.unknown[:_MOST_OF_ONE])
            says += f"<p>None of this class: {shortened(names, _MOST_CHARACTERS)}.</p>"
        name = escape(tool.name)
        heads = ["student", "and", f"rank by {name}", f"{name}'s similarity", "rank here", "by chance", ""]
        parts.append(says + _folded(heads, rows, "pair"))
    return "".join(parts)


def _references(comparison: Comparison, works: Mapping[WorkKey, Work]) -> str:
    rows = []
    for key in comparison.works:
        work = works.get(key)
        if work is None or not (work.references or work.partners):
            continue
        texts = [f"{escape(block_name(block))}: {shortened(text, _MOST_CHARACTERS)}" for block, text in work.references]
        partners = escape(", ".join(work.partners[:_MOST_OF_ONE])[:_MOST_CHARACTERS])
        rows.append(f"<tr><td>{label(key)}</td><td>{partners}</td><td>{_few(texts)}</td></tr>")
    return _folded(["student", "partners", "references, as they were written"], rows, "student")


def _outside(comparison: Comparison, works: Mapping[WorkKey, Work]) -> str:
    rows = []
    for key in comparison.works:
        work = works.get(key)
        if work is None or not work.outside:
            continue
        lines = sum(len(edit.added) + len(edit.removed) for edit in work.outside)
        texts = [
            f"{shortened(edit.file, 100)}, line {edit.line}: {shortened(_first(edit.added or edit.removed), 120)}"
            for edit in work.outside[: _MOST_OF_ONE + 1]
        ]
        texts += [""] * (len(work.outside) - len(texts))
        number = f'<td class=number data-value="{lines}">{lines:,}</td>'
        rows.append(f"<tr><td>{label(key)}</td>{number}<td>{_few(texts, 5)}</td></tr>")
    return _folded(["student", "lines", "where, and the first line of it"], rows, "student")


def _own_files(comparison: Comparison, works: Mapping[WorkKey, Work]) -> str:
    rows = []
    for key in comparison.works:
        own = works[key].own if key in works else {}
        if own:
            lines = {name: len([line for line in text.split("\n") if line.strip()]) for name, text in own.items()}
            texts = [f"{shortened(visible(name), 200)}: {counted(number, 'line')}" for name, number in lines.items()]
            number = f'<td class=number data-value="{len(own)}">{len(own):,}</td>'
            rows.append(f"<tr><td>{label(key)}</td>{number}<td>{_few(texts)}</td></tr>")
    return _folded(["student", "files", "which, and their lines that are none of the scaffold's"], rows, "student")


def _first(lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")


def _remarks(comparison: Comparison, works: Mapping[WorkKey, Work]) -> str:
    parts = []
    if comparison.remarks:
        items = "".join(f"<li>{shortened(remark, 600)}</li>" for remark in comparison.remarks[:_MOST_ROWS])
        parts.append(f"<ul>{items}</ul>")
    rows = []
    for key in comparison.works:
        work = works.get(key)
        if work is not None and work.remarks:
            texts = [shortened(remark, _MOST_CHARACTERS) for remark in work.remarks]
            rows.append(f"<tr><td>{label(key)}</td><td>{shortened(work.label, 120)}</td><td>{_few(texts)}</td></tr>")
    parts.append(_folded(["student", "hand-in", "remarks"], rows, "student"))
    return "".join(parts)


def _few(texts: Sequence[str], most: int = _MOST_OF_ONE) -> str:
    rest = len(texts) - most
    return "<br>".join([*texts[:most], *([f"<small>and {rest:,} more</small>"] if rest > 0 else [])])


def _folded(heads: Sequence[str], rows: Sequence[str], noun: str) -> str:
    """A table that is folded away where it is long."""
    if not rows:
        return ""
    head = "".join(f"<th><button>{head}</button></th>" for head in heads)
    body = "".join(rows[:_MOST_ROWS])
    rest = len(rows) - _MOST_ROWS
    more = f"<p>{counted(rest, f'more {noun}')}.</p>" if rest > 0 else ""
    table = f"<div class=wide><table class=sortable><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    is_open = " open" if len(rows) <= _MOST_OF_ONE else ""
    return f"<details{is_open}><summary>{counted(len(rows), noun)}</summary>{table}{more}</details>"


def _made(comparison: Comparison) -> str:
    texts = [
        comparison.calibration,
        f"Cut-off: a pair is listed where at most {comparison.cutoff:g} are expected in this class by chance.",
        "Similarity ranks pairs; it is neither a probability nor a share of lines. What two works share counts the "
        "more, the fewer others have it; the scaffold's own lines never count.",
        "Traces beyond code (" + ", ".join(TRACES) + ") are in columns of their own and in no score.",
        f"Besides, {counted(len(comparison.table), 'pair')} with less in common: pairs.csv has every pair.",
        f"Scaffold {comparison.scaffold}.",
    ]
    return "".join(f"<p>{escape(text)}</p>" for text in texts if text.strip())
