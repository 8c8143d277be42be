"""The page that a TA opens: how the class did, which checks fail most, every student with a link to the feedback."""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from urllib.parse import quote

from autograder.feedback import made_with
from autograder.grades import GRADED, Grade, Made, points
from autograder.page import SORTING, escape, page

_BINS = 11  # tenths of the points, and all of them or more
_WIDTH, _HEIGHT, _MARGIN = 640, 200, 24


def class_page(grades: Sequence[Grade], feedback: Mapping[str, str], made: Made | None = None) -> str:
    """Write the page of a class.

    Args:
        grades: in the order in which they are listed.
        feedback: student -> path of the feedback page, relative to this one, with forward slashes.
        made: what they were made with.
    """
    graded = [grade for grade in grades if grade.status == GRADED]
    parts = ["<h1>Grades</h1>", f"<p class=score>{_in_short(grades, graded)}</p>"]
    if graded:
        parts += ['<p><a href="#checks">Checks</a> · <a href="#students">Students</a></p>']
        parts += ["<h2>Distribution</h2>", _histogram(graded), "<h2 id=checks>Checks</h2>", _checks(graded)]
    parts += ["<h2 id=students>Students</h2>", _students(grades, feedback)]
    parts.append(made_with(made, seed=True))
    return page("Grades", "\n".join(parts), SORTING)


def _in_short(grades: Sequence[Grade], graded: Sequence[Grade]) -> str:
    text = f"{len(grades)} submission{'s' * (len(grades) != 1)}, {len(graded)} graded"
    if not graded:
        return text
    scores = [grade.score for grade in graded]
    most = max(grade.max_score for grade in graded)
    return f"{text}; mean {points(mean(scores))}, median {points(median(scores))} of {points(most)} points"


def _histogram(graded: Sequence[Grade]) -> str:
    """Draw how many students have which tenth of the points."""
    counts = [0] * _BINS
    for grade in graded:
        share = grade.score / grade.max_score if grade.max_score else 0
        counts[min(int(10 * share + 1e-9), _BINS - 1)] += 1
    width, height = _WIDTH / _BINS, _HEIGHT - 2 * _MARGIN
    bars = []
    for n, count in enumerate(counts):
        tall = height * count / max(counts)
        x, y = n * width, _HEIGHT - _MARGIN - tall
        label = f"{10 * n} to {10 * n + 10} %: {count}" if n < _BINS - 1 else f"100 % and more: {count}"
        bars.append(f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{tall:.1f}">')
        bars.append(f"<title>{label}</title></rect>")
        middle = x + width / 2
        bars.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{10 * n}–</text>')
        if count:
            bars.append(f'<text x="{middle:.1f}" y="{y - 5:.1f}" text-anchor="middle">{count}</text>')
    floor = f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT - _MARGIN}" y2="{_HEIGHT - _MARGIN}"/>'
    start = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="students by % of points">'
    return f"{start}{''.join(bars)}{floor}</svg><p>Students by per cent of the points.</p>"


def _checks(graded: Sequence[Grade]) -> str:
    titles = {check.id: check.title for grade in graded for check in grade.checks}
    rows = []
    for check_id, title in titles.items():
        outcomes = [check.passed for grade in graded for check in grade.checks if check.id == check_id]
        failed, waiting = outcomes.count(False), outcomes.count(None)
        share = 100 * failed / len(outcomes)
        cells = [_cell(check_id), _cell(title), _number(failed), _number(waiting), _number(share, f"{share:.0f} %")]
        rows.append((share, "".join(cells)))
    rows.sort(key=lambda row: -row[0])
    headings = ["check", "what holds for right code", "failed", "not looked at", "failed, %"]
    return _table(headings, [cells for _, cells in rows], first_number=2)


def _students(grades: Sequence[Grade], feedback: Mapping[str, str]) -> str:
    rows = []
    for grade in grades:
        name = escape(grade.student)
        if grade.student in feedback:
            name = f'<a href="{escape(quote(feedback[grade.student]))}">{name}</a>'
        missed = sum(check.passed is not True for check in grade.checks)
        cells = [f"<td>{name}</td>", _cell(grade.status), _cell("; ".join(grade.remarks))]
        numbers = [_number(grade.score, points(grade.score)), _number(missed)]
        cells += numbers if grade.status == GRADED else [_cell(""), _cell("")]  # a person decides
        rows.append("".join(cells))
    return _table(["student", "status", "remarks", "points", "checks not passed"], rows, first_number=3)


def _table(headings: Sequence[str], rows: Sequence[str], first_number: int) -> str:
    head = "".join(
        f"<th{' class=number' if n >= first_number else ''}><button>{heading}</button></th>"
        for n, heading in enumerate(headings)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<div class=wide><table class=sortable><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(value: float, shown: str | None = None) -> str:
    return f'<td class=number data-value="{value:g}">{shown or f"{value:g}"}</td>'
