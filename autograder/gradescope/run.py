"""`python -m autograder.gradescope.run /autograder`: grade the one hand-in that Gradescope's container holds."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from autograder.course import COURSE_FILE, Limits, read_course
from autograder.gradebook import RESULTS
from autograder.grading import Options, grade_class
from autograder.leaks import REFERENCE
from autograder.probing import SandboxProber
from autograder.store import STUDENTS
from coursekit.errors import CourseError, one_line_errors
from coursekit.files import write_atomically

HAND_IN = "submission"


def run(place: Path) -> Path:
    """Grade `submission/`, and write `results/results.json`.

    Nothing is trained: a container has minutes. The FID of what computes something else than the reference waits.

    Args:
        place: Gradescope's folder, with `source/` (our zip, unpacked) and `submission/` in it.
    Raises:
        CourseError: it could not be graded, by no fault of the student's; Gradescope tells the instructor.
    """
    source = place / "source"
    course = read_course(source / COURSE_FILE)
    with tempfile.TemporaryDirectory() as scratch:
        hand_ins, grades = Path(scratch, "hand-ins"), Path(scratch, "grades")
        hand_ins.mkdir()
        given = list((place / HAND_IN).iterdir())
        if len(given) == 1 and given[0].suffix.lower() == ".zip":  # Gradescope may have unpacked it, or not
            shutil.copyfile(given[0], hand_ins / f"{HAND_IN}.zip", follow_symlinks=False)
        else:
            shutil.copytree(place / HAND_IN, hand_ins / HAND_IN, symlinks=True)
        how = Options(jobs=1, unsafe=not _has_sandbox(course.limits), train=False)
        grade_class(hand_ins, grades, source / REFERENCE, course, how)
        (results,) = (grades / STUDENTS).glob(f"*/{RESULTS}")
        return write_atomically(place / "results" / RESULTS, results.read_bytes())


def _has_sandbox(limits: Limits) -> bool:
    """Whether this container allows one; else code runs as a user who can read neither graders nor solution."""
    try:
        with SandboxProber(limits):
            return True
    except CourseError as error:
        if os.geteuid() != 0:
            raise
        print(f"no sandbox in this container ({error}): the code runs as an ordinary user")
        return False


if __name__ == "__main__":
    with one_line_errors("run_autograder"):
        print(run(Path(sys.argv[1])))
