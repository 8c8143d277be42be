"""What one student reads: the checks, what did not pass and where to look; as Markdown, HTML, and for Gradescope."""

import json
import re

from autograder.grades import GRADED, CheckResult, Grade, Made, points
from autograder.page import escape, page
from code_analyze.summary import visible

_WAITING = "Not checked"
_WHY_NO_POINTS = "These give no points: the check that each one names has told why it could not be made."
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def to_markdown(grade: Grade, made: Made | None = None) -> str:
    """Write a student's feedback as Markdown."""
    lines = [f"# {_plain(grade.student)}: {grade}", ""]
    if grade.status != GRADED:
        lines += [f"Not graded: {_plain(grade.status)}", ""]
    for title, checks in _groups(grade):
        lines += [f"## {title}", ""]
        lines += [_WHY_NO_POINTS, ""] if title == _WAITING else []
        for check in checks:
            lines.append(f"- {_plain(check.title)} ({points(check.points)} of {points(check.max_points)})")
            lines += [f"  {_plain(line)}" for line in check.message.splitlines() if check.passed is not True]
        lines.append("")
    if grade.remarks:
        lines += ["## Remarks", "", *(f"- {_plain(remark)}" for remark in grade.remarks), ""]
    if made:
        lines += [f"Graded with {_plain(str(made))}.", ""]
    return "\n".join(lines)


def to_html(grade: Grade, made: Made | None = None) -> str:
    """Write a student's feedback as a page that opens from the disk."""
    parts = [f"<h1>{escape(grade.student)}</h1>"]
    parts.append(f"<p class=score>{grade}</p>")
    if grade.status != GRADED:
        parts.append(f"<p class=failed>Not graded: {escape(grade.status)}</p>")
    for title, checks in _groups(grade):
        why = f"<p>{_WHY_NO_POINTS}</p>" if title == _WAITING else ""
        parts.append(f"<h2>{title}</h2>{why}<ul class=checks>")
        for check in checks:
            state = {True: "passed", False: "failed", None: "waits"}[check.passed]
            message = f"<p>{escape(check.message)}</p>" if check.message and check.passed is not True else ""
            share = f"<span class=points>{points(check.points)} / {points(check.max_points)}</span>"
            parts.append(f"<li class={state}>{share}{escape(check.title)}{message}</li>")
        parts.append("</ul>")
    if grade.remarks:
        items = "".join(f"<li>{escape(remark)}</li>" for remark in grade.remarks)
        parts.append(f"<h2>Remarks</h2><ul>{items}</ul>")
    parts.append(made_with(made))
    return page(f"{grade.student}: feedback", "\n".join(parts))


def made_with(made: Made | None, seed: bool = False) -> str:
    """What stands at the foot of a page: what the grades were made with, "" where nobody knows."""
    if made is None:
        return ""
    said = f"{made}, seed {made.seed}" if seed else str(made)
    return f"<footer><small>Graded with {escape(said)}.</small></footer>"


def to_gradescope(grade: Grade) -> str:
    """Write a student's results as Gradescope's `results.json`."""
    tests = [
        {
            "name": check.title,
            "number": check.id,
            "score": check.points,
            "max_score": check.max_points,
            "status": "passed" if check.passed else "failed",
            "output": "" if check.passed else check.message,
            "output_format": "text",
            "visibility": "visible",
        }
        for check in grade.checks
    ]
    output = "\n".join([*([] if grade.status == GRADED else [grade.status]), *grade.remarks])
    results = {"score": grade.score, "output": output, "output_format": "text", "visibility": "visible", "tests": tests}
    return json.dumps(results, indent=2) + "\n"


def _groups(grade: Grade) -> list[tuple[str, list[CheckResult]]]:
    groups = {
        "What is not right yet": False,
        _WAITING: None,
        "What is right": True,
    }
    found = [(title, [check for check in grade.checks if check.passed is state]) for title, state in groups.items()]
    return [(title, checks) for title, checks in found if checks]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", visible(" ".join(text.split())))
