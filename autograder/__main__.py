"""`python -m autograder ...`: the TA's and the instructor's commands."""

import argparse
import os
from pathlib import Path

from autograder.course import COURSE_FILE, read_course
from autograder.grades import GRADED
from autograder.gradescope.bundle import bundle
from autograder.leaks import REFERENCE
from autograder.release import release
from autograder.scaffold import build_scaffold, stale_files, write_scaffold
from code_analyze.blocks import find_blocks
from coursekit.errors import CourseError, one_line_errors
from coursekit.flags import not_negative, positive

PROGRAM = "python -m autograder"
CODES = "codes"
HANDOUT = "handout"


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends in one line on stderr and a non-zero exit status."""
    options = _parser().parse_args(arguments)
    with one_line_errors(PROGRAM):
        options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="The TA's and the instructor's side of the course.")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    scaffold = commands.add_parser(
        "scaffold",
        help=f"build {CODES}/ from {REFERENCE}/",
        description=f"Build the student's {CODES}/ from {REFERENCE}/ by emptying its TODO blocks.",
    )
    scaffold.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is not as built")
    scaffold.set_defaults(run=_scaffold)
    handout = commands.add_parser(
        "release",
        help="build the handout, a folder and a zip for students",
        description="Build what students get, a folder and a zip, and refuse where it would give the solution away.",
    )
    handout.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"the folder; the zip is DIR.zip (default: {HANDOUT}/ in the repository)",
    )
    handout.set_defaults(run=_release)
    _add_grade(commands)
    _add_calibrate(commands)
    _add_gradescope(commands)
    return parser


def _add_grade(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    grade = commands.add_parser(
        "grade",
        help="grade a folder of hand-ins",
        description="Grade a folder of hand-ins, as a learning platform exports them, into a gradebook: index.html, "
        "grades.csv and .json, CSV for Canvas and Moodle, and each student's feedback. Stopped and started again, it "
        "goes on where it was; what is there already is not run again.",
    )
    grade.add_argument("submissions", type=Path, help="the folder of zips and folders")
    grade.add_argument("--out", type=Path, required=True, metavar="GRADES", help="the folder for the gradebook")
    grade.add_argument(
        "--course", type=Path, metavar="FILE", help=f"points, thresholds and limits (default: {COURSE_FILE})"
    )
    place = grade.add_mutually_exclusive_group()
    place.add_argument(
        "--jobs",
        type=positive,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        metavar="N",
        help="submissions at one time (default: the cores)",
    )
    place.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster's scheduler, to send the work to")
    grade.add_argument(
        "--seed", type=not_negative, metavar="N", help="of the inputs (default: drawn once for each GRADES)"
    )
    grade.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run students' code with your own rights: it can do what you can",
    )
    grade.set_defaults(run=_grade)


def _add_gradescope(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    gradescope = commands.add_parser(
        "gradescope",
        help="build the zip that is uploaded to Gradescope",
        description="Build the autograder zip for Gradescope: setup.sh, run_autograder, and all that they need.",
    )
    gradescope.add_argument(
        "--out", type=Path, default=Path("autograder.zip"), metavar="ZIP", help="the zip (default: autograder.zip)"
    )
    gradescope.set_defaults(run=_gradescope)


def _add_calibrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="set FID's thresholds from the reference solution's own spread",
        description="Train the reference solution with every seed of course.toml, as a submission is trained, and "
        "print the thresholds that follow. Stopped and started again, it goes on.",
    )
    calibrate.add_argument("--out", type=Path, default=Path("calibration"), metavar="DIR", help="for the runs' results")
    calibrate.add_argument("--write", action="store_true", help=f"put the thresholds into {COURSE_FILE}")
    calibrate.add_argument("--unsafe-no-sandbox", action="store_true", help="without a sandbox: it is your own code")
    calibrate.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from autograder.calibrate import calibrate  # torch takes seconds to load

    root = _repository()
    calibrate(root / COURSE_FILE, root / REFERENCE, options.out, options.write, options.unsafe_no_sandbox)


def _gradescope(options: argparse.Namespace) -> None:
    written = bundle(_repository(), options.out)
    print(f"{written}: {written.stat().st_size:,} bytes")


def _grade(options: argparse.Namespace) -> None:
    from autograder.grading import UNMEASURED, Options, grade_class  # torch takes seconds to load

    root = _repository()
    course = read_course(options.course or root / COURSE_FILE)
    how = Options(options.jobs, options.scheduler, options.unsafe_no_sandbox, options.seed)
    grades = grade_class(options.submissions, options.out, root / REFERENCE, course, how)
    graded = [grade for grade in grades if grade.status == GRADED]
    for grade in grades:
        if grade not in graded:
            print(f"{grade.student}: {grade.status}")
    unmeasured = [grade.student for grade in graded for check in grade.checks if check.message.startswith(UNMEASURED)]
    if unmeasured:
        print(f"FIDs not measured: {len(unmeasured)} ({unmeasured[0]} among them, whose feedback says why)")
    print(f"{len(graded)} of {len(grades)} graded: {options.out / 'index.html'}")


def _scaffold(options: argparse.Namespace) -> None:
    root = _repository()
    reference_dir, codes_dir = root / REFERENCE, root / CODES
    if options.check:
        stale = stale_files(reference_dir, codes_dir)
        for line in stale:
            print(f"{CODES}/{line}")
        if stale:
            raise CourseError(f"{CODES}/ is not what {REFERENCE}/ gives; run '{PROGRAM} scaffold'")
        files = build_scaffold(reference_dir)
    else:
        files = write_scaffold(reference_dir, codes_dir)
    blocks = sum(len(find_blocks(text.decode(), name)) for name, text in files.items() if name.endswith(".py"))
    print(f"{CODES}/: {len(files)} files with {blocks} TODO blocks" + (", up to date" if options.check else ""))


def _release(options: argparse.Namespace) -> None:
    root = _repository()
    written = release(root, options.out or root / HANDOUT)
    print(f"{written.folder}: {written.num_files} files, {written.num_bytes:,} bytes")
    print(f"{written.archive}: {written.archive_bytes:,} bytes, sha256 {written.archive_sha256}")


def _repository() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / REFERENCE).is_dir():
            return folder
    raise CourseError(f"no {REFERENCE}/ in {here} or above it; run this inside the course's repository")


if __name__ == "__main__":
    main()
