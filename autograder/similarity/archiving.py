"""A folder of an earlier year's hand-ins → the archive: read what is new or changed, leave the rest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from autograder.progress import bar
from autograder.similarity.archive import SECRET_VARIABLE, Added, YearSummary, add, source, unchanged, year_name
from autograder.similarity.fingerprints import TOO_MUCH, fingerprints
from autograder.similarity.keyed import without_names
from autograder.similarity.model import EXTRACTOR_VERSION, BlockKey, BlockText, Scaffold, Work, WorkKey
from autograder.similarity.reading import read_scaffold, read_works
from coursekit.errors import CourseError

_COLUMNS = ("year", "works", "scaffold", "extractor", "persons", "source", "bytes")


def archive_folder(
    path: Path, year: str, folder: Path, scaffold: Path, keep_source: bool = False, secret: bytes | None = None
) -> tuple[Added, list[str]]:
    """Put a folder of hand-ins into an archive, those that are not there just so.

    Args:
        path: the archive; made where there is none.
        year: theirs.
        folder: zips and folders.
        scaffold: the folder that they began from.
        keep_source: whether to keep what they wrote in the blocks, for side-by-side pages.
        secret: to put pseudonyms in the place of persons.
    Returns:
        what was done, and what was left out, one line each.
    Raises:
        CourseError: as `reading` and `archive.add` say, or a secret and the source are both given. Nothing was changed.
    """
    if secret is not None and keep_source:
        raise CourseError(
            "the source would be kept with the names that students wrote into it: give either --keep-source or "
            f"a secret (--pseudonyms, ${SECRET_VARIABLE})"
        )
    year_name(year)  # before minutes are spent on reading
    given = read_scaffold(scaffold)
    found = read_works(folder, given, year, progress=bar("reading", "hand-in"))
    # A hand-in that can't be read, or is empty, takes the place of none that could be read last time.
    is_left_out = {work.key: not any(block.text.strip() for block in work.blocks.values()) for work in found}
    works = [work for work in found if not is_left_out[work.key]]
    remarks = [
        f"{work.key.person}: left out: {'; '.join(work.remarks) or 'nothing in its blocks'}"
        for work in found
        if is_left_out[work.key]
    ]
    digests = {work.key: _digest(work, given) for work in works}
    there = unchanged(path, year, digests, secret)
    missing = [work for work in works if work.key not in there]
    if secret is not None:
        people = {name for work in found for name in (work.key.person, work.label)}
        missing = [without_names(work, people) for work in missing]
    new = fingerprints(missing, given, bar("looking at", "hand-in"))
    remarks += [f"{work.key.person}: left out: {TOO_MUCH}" for work in new if not work.blocks]
    new = [work for work in new if work.blocks]
    sources = {work.key: source_bytes(work) for work in works} if keep_source else None
    return add(path, year, new, sources, secret=secret, digests=digests, known=there), remarks


def archived_work(path: Path, key: WorkKey, secret: bytes | None = None) -> Work | None:
    """Give an archived work with what its student wrote in the blocks; None where no source was kept.

    Args:
        path: the archive.
        key: as `archive.load` gave it.
        secret: as `archive.load` was given it.
    Raises:
        CourseError: the archive can't be read, or what was kept is damaged.
    """
    data = source(path, key, secret)
    if data is None:
        return None
    try:
        blocks = [
            BlockText(BlockKey(file, number), title, text, first_line, given)
            for file, number, title, text, first_line, given in json.loads(data)
        ]
    except (ValueError, TypeError) as error:
        raise CourseError(
            f"{path}: the source of {key.label} is damaged: forget {key.year}, and add it again"
        ) from error
    return Work(key, key.label, {block.key: block for block in blocks})


def source_bytes(work: Work) -> bytes:
    """What is kept of what a student wrote: the blocks, and nothing of whose they are."""
    blocks = [[*block.key, block.title, block.text, block.first_line, block.given] for block in work.pieces.values()]
    return json.dumps(blocks, separators=(",", ":")).encode()


def table(years: Sequence[YearSummary]) -> list[str]:
    """What is in an archive, as lines of a table."""
    rows = [_COLUMNS] + [
        (
            year.year,
            f"{year.works:,}",
            " ".join(year.scaffolds),
            f"{year.version}" + (f" (1 hash in {2**year.thinned:,})" if year.thinned else ""),
            "pseudonyms" if year.has_pseudonyms else "names",
            f"of {year.sources:,}" if year.sources else "none",
            f"{year.num_bytes:,}",
        )
        for year in years
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _digest(work: Work, scaffold: Scaffold) -> str:
    """Of all that a fingerprint is made from."""
    parts = [
        EXTRACTOR_VERSION,
        scaffold.hash,
        source_bytes(work).decode(),
        [astuple(edit) for edit in work.outside],
        work.references,
        work.partners,
        sorted((kind, sorted(hashes)) for kind, hashes in work.traces.items()),
    ]
    return hashlib.sha256(json.dumps(parts, default=int).encode()).hexdigest()
