"""The comparison for machines: `pairs.csv` has every pair above zero, `pairs.json` all that is known of some."""

import csv
import io
import json
from pathlib import Path

from autograder.similarity.model import TRACES, Comparison, Pair, WorkKey
from autograder.spreadsheets import harmless
from coursekit.files import write_atomically

CAUTION = "Evidence for a person to judge, never a verdict."
_COLUMNS = ("a", "b", "similarity", "expected_false_alarms", "listed", "year_a", "year_b", "marks", *TRACES)


def write_tables(comparison: Comparison, out: Path) -> None:
    """Write both files into a folder.

    Raises:
        CourseError: the disk is full, or the folder can't be written.
    """
    write_atomically(out / "pairs.csv", pairs_csv(comparison))
    write_atomically(out / "pairs.json", pairs_json(comparison))


def pairs_csv(comparison: Comparison) -> str:
    """A row for each pair above zero, best first; marks and traces of those that were looked at closely."""
    known = {(pair.a, pair.b): pair for pair in (*comparison.pairs, *comparison.declared)}
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(tool.name.lower() for tool in comparison.others)])
    for a, b, similarity, expected in comparison.table:
        pair = known.get((a, b))
        traces = {trace.kind: trace.count for trace in pair.traces} if pair else {}
        row = [a.person, b.person, f"{similarity:.6f}", f"{expected:.4g}"]
        row += ["yes" if pair and pair.is_listed else "", a.year, b.year, "; ".join(pair.marks) if pair else ""]
        row = [harmless(cell) for cell in row] + [traces.get(kind, "") for kind in TRACES]
        writer.writerow(row + [tool.similarity.get((a, b), "") for tool in comparison.others])
    return buffer.getvalue()


def pairs_json(comparison: Comparison) -> str:
    """What is known of each pair that was looked at closely, and each student's own share."""
    content = {
        "caution": CAUTION,
        "scaffold": comparison.scaffold,
        "cutoff": comparison.cutoff,
        "calibration": comparison.calibration,
        "works": [work.person for work in comparison.works],
        "pairs": [_pair(pair) for pair in comparison.pairs],
        "declared": [_pair(pair) for pair in comparison.declared],
        "own": [
            {
                "student": own.key.person,
                "share": own.share,
                "is_below": own.is_below,
                "source": _key(own.source) if own.source else None,
                "blocks": {_block(key): part for key, part in own.blocks.items()},
            }
            for own in comparison.own
        ],
        "remarks": comparison.remarks,
        "beside": [
            {
                "tool": tool.name,
                "pairs": [
                    {"a": a.person, "b": b.person, "similarity": value}
                    for (a, b), value in sorted(tool.similarity.items(), key=lambda item: (-item[1], item[0]))
                ],
            }
            for tool in comparison.others
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _pair(pair: Pair) -> dict:
    return {
        "a": _key(pair.a),
        "b": _key(pair.b),
        "similarity": pair.similarity,
        "score": pair.score,
        "expected_false_alarms": pair.expected,
        "listed": pair.is_listed,
        "marks": pair.marks,
        "traces": {trace.kind: {"count": trace.count, "shown": trace.shown} for trace in pair.traces},
        "blocks": [{"block": _block(b.block), "bits": b.score, "views": b.views} for b in pair.blocks],
        "matches": [
            {
                "view": match.view,
                "block": _block(match.block),
                "lines_a": match.lines_a,
                "lines_b": match.lines_b,
                "bits": match.weight,
                "why": match.why,
            }
            for match in pair.matches[:40]
        ],
    }


def _key(key: WorkKey) -> dict[str, str]:
    return {"person": key.person, "year": key.year}


def _block(block: tuple[str, int]) -> str:
    return f"{block[0]}#{block[1]}"
