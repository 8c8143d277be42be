"""Everything that a class's grades are written to: one file a reader, each there whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.class_page import class_page
from autograder.feedback import to_gradescope, to_html, to_markdown
from autograder.grades import Grade, Made, to_json
from autograder.spreadsheets import canvas_csv, moodle_csv, plain_csv
from autograder.store import STUDENTS
from coursekit.files import write_atomically

ASSIGNMENT = "Image generation with VAE and GAN"
RESULTS, FEEDBACK, PAGE = "results.json", "feedback.md", "feedback.html"


def write_gradebook(folder: Path, grades: Sequence[Grade], names: Mapping[str, str], made: Made | None = None) -> Path:
    """Write a class's grades, and a folder for each student.

    Args:
        folder: GRADES.
        grades: in the order in which they are listed.
        names: student -> the name of the student's folder.
        made: what it is made with.
    Returns:
        the class's page.
    Raises:
        CourseError: the disk is full, or the folder can't be written.
    """
    pages = {grade.student: f"{STUDENTS}/{names[grade.student]}/{PAGE}" for grade in grades}
    for grade in grades:
        own = folder / STUDENTS / names[grade.student]
        for name, make in ((FEEDBACK, to_markdown), (PAGE, to_html)):
            write_atomically(own / name, make(grade, made), private=True)
        write_atomically(own / RESULTS, to_gradescope(grade), private=True)
    for name, text in {
        "grades.csv": plain_csv(grades),
        "canvas.csv": canvas_csv(grades, ASSIGNMENT),
        "moodle.csv": moodle_csv(grades, ASSIGNMENT),
        "grades.json": to_json(grades, made),
    }.items():
        write_atomically(folder / name, text, private=True)
    return write_atomically(folder / "index.html", class_page(grades, pages, made), private=True)
