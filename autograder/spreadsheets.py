"""A class's grades as CSV: one for people, one for Canvas, one for Moodle.

Spreadsheets run a cell that begins like a formula. Names and messages come from students, so such a cell gets an
apostrophe in front (OWASP, "CSV Injection"). Where a spreadsheet's separator is another one than the comma, a text may
fall into several cells: so all of them are quoted, and what stands behind any separator is looked at like a cell.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from autograder.grades import GRADED, Grade, points

BYTE_ORDER_MARK = "\ufeff"  # without it a well-known spreadsheet takes UTF-8 for something else
_UNSEEN = r"(?:[^\S\t\r\n]|[\u200b-\u200f\u2060\ufeff])*"  # blanks, and what has no width
_FORMULA = rf"{_UNSEEN}[=+\-@＝＋－＠]"  # Chinese and Japanese spreadsheets take the wide ones, too
_NUMBER_IN_A_LIST = r" [+-]\d+(?:\.\d+)?(?:[,;)\]]|\Z)"  # "shape (2, -1)" stays as it is
_LIKE_A_FORMULA = re.compile(
    rf"\A(?={_UNSEEN}[\t\r\n]|{_FORMULA})|(?<=[;|\t\r\n])(?={_FORMULA})|(?<=,)(?!{_NUMBER_IN_A_LIST})(?={_FORMULA})"
)


def plain_csv(grades: Sequence[Grade]) -> str:
    """A row for each student: status, score, and the points of each check; the remarks last."""
    ids = list(dict.fromkeys(check.id for grade in grades for check in grade.checks))
    rows = [["student", "status", "score", "max_score", *ids, "remarks"]]
    for grade in grades:
        given = {check.id: points(check.points) for check in grade.checks}
        cells = [given.get(check_id, "") for check_id in ids]
        score = [points(grade.score), points(grade.max_score)]
        rows.append([grade.student, grade.status, *score, *cells, "; ".join(grade.remarks)])
    return BYTE_ORDER_MARK + _write(rows)


def canvas_csv(grades: Sequence[Grade], assignment: str) -> str:
    """A gradebook for Canvas's import: students by their SIS id, the points possible in the row under the heading."""
    most = max((grade.max_score for grade in grades), default=0)
    rows = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment],
        ["Points Possible", "", "", "", "", points(most)],
    ]
    rows += [["", "", grade.student, "", "", _score(grade)] for grade in grades]
    return _write(rows)


def moodle_csv(grades: Sequence[Grade], assignment: str) -> str:
    """A gradebook for Moodle's import: map "ID number" to the user and the other two columns to the assignment."""
    rows = [["ID number", assignment, "Feedback"]]
    for grade in grades:
        missed = [f"{check.title}: {check.message}" for check in grade.checks if not check.passed]
        said = [*([] if grade.status == GRADED else [grade.status]), *missed, *grade.remarks]
        rows.append([grade.student, _score(grade), "\n".join(said)])
    return _write(rows)


def _score(grade: Grade) -> str:
    """A score for a platform; none, which is not 0, for what could not be graded and waits for a person."""
    return points(grade.score) if grade.status == GRADED else ""


def harmless(text: str) -> str:
    """A text with an apostrophe before whatever a spreadsheet would run, as a cell or as a part of one."""
    return _LIKE_A_FORMULA.sub("'", text.replace("\0", ""))


def _write(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return buffer.getvalue()
