"""A student's grade and the gradebook of a class, as `grades.json` holds it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from coursekit.errors import CourseError
from coursekit.requirements import OPTIONAL_PROJECTS

GRADED = "graded"
TA_HAS_TO_LOOK = "a TA has to look"  # in a check's message, and what its remark begins with


@dataclass(frozen=True)
class Made:
    """What a gradebook was made with.

    Attributes:
        course: the name of the course file.
        course_digest: the beginning of its sha256.
        seed: of the inputs; students are not told.
        kit: the version of this kit.
        date: the day on which the last of the students' code was run, "2026-06-14".
    """

    course: str
    course_digest: str
    seed: str
    kit: str
    date: str

    def __str__(self) -> str:
        return f"{self.course} {self.course_digest}, coursekit {self.kit}, code run until {self.date}"


@dataclass(frozen=True)
class CheckResult:
    """What one check said of one submission. Points are rounded to hundredths here, once, and so the same everywhere.

    Attributes:
        id: of the check and of its points in course.toml, such as "vae.kl_average".
        title: the sentence that holds for right code.
        passed: None for a check that could not be made, because of another one that failed.
        points, max_points: what it gives here, and at most.
        message: for what did not pass, what was expected, what came and where to look; or what it waits for.
    """

    id: str
    title: str
    passed: bool | None
    points: float
    max_points: float
    message: str = ""

    def __post_init__(self):
        object.__setattr__(self, "points", total([self.points]))


@dataclass(frozen=True)
class Grade:
    """A submission's grade.

    Attributes:
        student: the id that the hand-in is named after.
        status: "graded", or why there is nothing to grade, in a phrase.
        max_score: the points of all that is required. What is optional counts on top, so that a score may be higher.
        checks: in the order in which they are shown.
        remarks: what a TA should look at; they cost no points.
    """

    student: str
    status: str
    max_score: float
    checks: tuple[CheckResult, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The points of all checks."""
        return total(check.points for check in self.checks)

    def __str__(self) -> str:
        """Say it in words: "8.5 of 10 points, and 2 of 2 as a bonus"."""
        optional = tuple(f"{project.lower()}." for project in OPTIONAL_PROJECTS)
        extra = [check for check in self.checks if check.id.startswith(optional)]
        bonus, most = total(check.points for check in extra), total(check.max_points for check in extra)
        said = f"{points(total([self.score, -bonus]))} of {points(self.max_score)} points"
        return f"{said}, and {points(bonus)} of {points(most)} as a bonus" if extra else said


def total(values: Iterable[float]) -> float:
    """Add up points, to hundredths; half of one counts as one."""
    exact = sum((Decimal(str(value)) for value in values), Decimal())  # 0.1 + 0.2 is 0.3 to everybody but a float
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def to_json(grades: Sequence[Grade], made: Made | None = None) -> str:
    """Write a gradebook as `grades.json`."""
    rows = []
    for grade in grades:
        row = asdict(grade)
        row["score"] = grade.score
        rows.append(row)
    whole = {"submissions": rows, **({"made_with": asdict(made)} if made else {})}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, path: object) -> list[Grade]:
    """Read what `to_json` wrote.

    Args:
        text: the file's content.
        path: how messages name the file.
    Raises:
        CourseError: it is damaged, or something else.
    """
    try:
        rows = json.loads(text)["submissions"]
        return [_grade(row) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise CourseError(f"{path}: not a gradebook, or damaged ({type(error).__name__}: {error})") from error


def points(value: float) -> str:
    """Show points: 2, 2.5, 0.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _grade(row: dict[str, Any]) -> Grade:
    checks = tuple(CheckResult(**check) for check in row["checks"])
    return Grade(row["student"], row["status"], row["max_score"], checks, tuple(row["remarks"]))
