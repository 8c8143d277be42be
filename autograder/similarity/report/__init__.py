"""The report of similar work as pages that open from the disk: an index, and one page for each pair that is shown."""

import re
from collections.abc import Mapping
from pathlib import Path

from autograder.names import folder_name
from autograder.similarity.model import Comparison, Pair, Work, WorkKey
from autograder.similarity.report.clusters import Pages
from autograder.similarity.report.index import block_titles, index_page
from autograder.similarity.report.pair_page import pair_page
from autograder.similarity.report.words import label
from coursekit.errors import CourseError
from coursekit.files import write_atomically

_FOLDER = "pairs"
_MOST_DECLARED = 50  # pages of pairs that declare each other; in a class of partners they would outweigh all else
_MOST_CODE, _MOST_CODE_A_PAGE = 14_000_000, 250_000  # characters of HTML
_MADE_HERE = re.compile(r"<!-- similarity report: ([^ ]+) -->")


def write_report(comparison: Comparison, works: Mapping[WorkKey, Work], out: Path) -> Path:
    """Write the report; an earlier one in the same place is replaced.

    Args:
        comparison: what was found.
        works: the hand-ins as they were read. Of archived ones only those whose source is kept are there.
        out: the report's folder. Of its other files only the pages of pairs that a former report made are removed.
    Returns:
        The index.
    Raises:
        CourseError: the disk is full, or the folder can't be written.
    """
    shown = _shown(comparison)
    pages = _addresses(shown)
    titles, own = block_titles(works), {share.key: share for share in comparison.own}
    most = min(_MOST_CODE_A_PAGE, _MOST_CODE // max(len(shown), 1))
    for n, pair in enumerate(shown):
        address = pages[pair.a, pair.b]
        text = pair_page(pair, works, own, titles, _links(shown, n, pages), most)
        write_atomically(out / address, f"{text}<!-- similarity report: {Path(address).name} -->\n")
    index = write_atomically(out / "index.html", index_page(comparison, works, pages))
    _remove_stale(out / _FOLDER, {Path(address).name for address in pages.values()})
    return index


def _shown(comparison: Comparison) -> list[Pair]:
    """The pairs that have a page of their own, ranked."""
    return [*comparison.pairs, *[pair for pair in comparison.declared if pair.is_listed][:_MOST_DECLARED]]


def _addresses(pairs: list[Pair]) -> dict[tuple[WorkKey, WorkKey], str]:
    """Where the page of each pair stands: by the students' names, as far as they are harmless."""
    names: dict[tuple[WorkKey, WorkKey], str] = {}
    taken: set[str] = set()
    for pair in pairs:
        a, b = (folder_name(key.label.replace("/", "-"), ()) for key in (pair.a, pair.b))
        name = folder_name(f"{a}_{b}", taken)
        taken.add(name.lower())
        names[pair.a, pair.b] = f"{_FOLDER}/{name}.html"
    return names


def _links(pairs: list[Pair], n: int, pages: Pages) -> str:
    """To the index, and to the pairs before and behind."""
    links = ['<a href="../index.html">All pairs</a>']
    for word, at in (("← Before:", n - 1), ("Next:", n + 1)):
        if 0 <= at < len(pairs):
            pair = pairs[at]
            address = Path(pages[pair.a, pair.b]).name
            links.append(f'<a href="{address}">{word} {label(pair.a, 20)} – {label(pair.b, 20)}</a>')
    return "".join(links)


def _remove_stale(folder: Path, kept: set[str]) -> None:
    """Remove pages of pairs that are no longer shown: those that say they were made here, under the name they bear."""
    try:
        for path in sorted(folder.glob("*.html")):
            if path.name in kept or path.is_symlink() or not path.is_file():
                continue
            made = _MADE_HERE.findall(path.read_text("utf-8", "replace")[-200:])
            if made and made[-1] == path.name:
                path.unlink()
    except OSError as error:
        raise CourseError(f"{folder}: a page of a former report can't be removed: {error.strerror or error}") from error
