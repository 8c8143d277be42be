"""`python -m autograder similarity`: from a folder of hand-ins to the report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autograder.progress import bar
from autograder.similarity.beside import read_other_tool
from autograder.similarity.fingerprints import TOO_MUCH, fingerprints
from autograder.similarity.model import Comparison
from autograder.similarity.ranking import compare
from autograder.similarity.reading import read_scaffold, read_works
from autograder.similarity.report import write_report
from autograder.similarity.tables import write_tables
from coursekit.errors import CourseError


def report(
    submissions: Path,
    scaffold: Path,
    archive: Path | None,
    out: Path,
    secret: bytes | None = None,
    beside: Sequence[Path] = (),
) -> Comparison:
    """Read, compare and write everything.

    Args:
        submissions: zips or folders, one for each student.
        scaffold: what they were given, a folder with TODO blocks.
        archive: earlier years', as `archive.add` made it; None for none.
        out: the folder for the report.
        secret: of the archive's pseudonyms.
        beside: CSV files of other tools, to be shown beside.
    Raises:
        CourseError: something of this can't be read or written, or there is nothing to compare.
    """
    given = read_scaffold(scaffold)
    works = read_works(submissions, given, progress=bar("reading", "hand-in"))
    readable = [work for work in works if work.blocks]
    if not readable:
        raise CourseError(f"{submissions}: none of the {len(works)} hand-ins has any of the blocks of {scaffold}")
    by_key = {work.key: work for work in works}
    others = tuple(read_other_tool(path, by_key) for path in beside)
    archived = ()
    prints = fingerprints(readable, given, bar("looking at", "hand-in"))
    for one in prints:
        if not one.blocks:
            by_key[one.key] = replace(by_key[one.key], remarks=(*by_key[one.key].remarks, TOO_MUCH))
    if archive is not None:
        from autograder.similarity.archive import load
        from autograder.similarity.keyed import keyed, keyed_traces

        archived = load(archive, secret, [work.key.person for work in works])
        if archived.is_keyed:
            prints = [keyed(one, secret) for one in prints]
            by_key = {key: keyed_traces(work, secret) for key, work in by_key.items()}
    found = compare(prints, archived, by_key, progress=bar("comparing", "block"))
    comparison = replace(found, others=others)
    shown = dict(by_key)
    if archive is not None:
        from autograder.similarity.archiving import archived_work

        for pair in (*comparison.pairs, *comparison.declared):
            if pair.b.year and pair.b not in shown:
                source = archived_work(archive, pair.b, secret)
                if source is not None:
                    shown[pair.b] = source
    write_tables(comparison, out)
    write_report(comparison, shown, out)
    return comparison
