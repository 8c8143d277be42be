"""`python -m autograder ...`: the TA's and the instructor's commands."""

import argparse
import os
from pathlib import Path

from autograder.cluster import Scheduler
from autograder.course import COURSE_FILE, read_course
from autograder.grades import GRADED, TA_HAS_TO_LOOK, points, total
from autograder.gradescope.bundle import bundle
from autograder.layout import names_in_short
from autograder.leaks import REFERENCE
from autograder.release import release
from autograder.scaffold import build_scaffold, stale_files, write_scaffold
from autograder.sources import not_taken
from autograder.stopping import signals_stop
from code_analyze.blocks import find_blocks
from coursekit.errors import CourseError, one_line_errors
from coursekit.flags import not_negative, positive

PROGRAM = "python -m autograder"
CODES = "codes"
HANDOUT = "handout"


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends in one line on stderr and a non-zero exit status."""
    options = _parser().parse_args(arguments)
    with one_line_errors(PROGRAM), signals_stop():
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
    _add_similarity(commands)
    _add_archive(commands)
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
    place.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster's scheduler, to send the work to: tls://HOST:PORT"
    )
    for option, what in (("ca", "the authority's certificate"), ("cert", "your certificate"), ("key", "its key")):
        grade.add_argument(
            f"--tls-{option}", type=Path, metavar="PEM", help=f"{what} (default: that of Dask's configuration)"
        )
    grade.add_argument(
        "--insecure-scheduler",
        action="store_true",
        help="take a scheduler elsewhere without TLS: whoever reaches it can do what you can",
    )
    grade.add_argument(
        "--rerun",
        nargs="*",
        metavar="STUDENT",
        help="run code again that was run already: that of these students, or of all",
    )
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


def _add_similarity(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    similarity = commands.add_parser(
        "similarity",
        help="report copied work in a class and from earlier years",
        description="Compare what students wrote in the TODO blocks: a report for a person to judge, pairs.csv and "
        "pairs.json. Nothing of theirs is executed.",
    )
    similarity.add_argument("submissions", type=Path, help="the folder of zips or folders")
    similarity.add_argument("--scaffold", type=Path, required=True, metavar="SCAFFOLD", help="what students were given")
    similarity.add_argument(
        "--archive", type=Path, metavar="ARCHIVE", help="earlier years, as 'archive add' keeps them"
    )
    similarity.add_argument("--out", type=Path, required=True, metavar="REPORT", help="the folder for the report")
    similarity.add_argument(
        "--pseudonyms", type=Path, metavar="FILE", help="the secret of the archive's pseudonyms, if it has any"
    )
    similarity.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="CSV",
        help="JPlag's results.csv or Dolos' pairs.csv of the same class, to show beside; may be given again",
    )
    similarity.set_defaults(run=_similarity)


def _add_archive(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    archive = commands.add_parser(
        "archive",
        help="keep what earlier years handed in, to compare new hand-ins with",
        description="Keep fingerprints of earlier years' hand-ins in one file, for 'similarity --archive'.",
    )
    actions = archive.add_subparsers(title="actions", metavar="action", required=True)
    add = actions.add_parser(
        "add",
        help="put a year's hand-ins in",
        description="Put the fingerprints of a year's hand-ins into the archive. What is there already is left as it "
        "is, a changed hand-in takes the place of the old one, and a stop at any moment loses nothing.",
    )
    add.add_argument("year", help="what the year is called, such as 2025-spring")
    add.add_argument("submissions", type=Path, metavar="folder", help="the folder of zips and folders")
    add.add_argument("--scaffold", type=Path, required=True, metavar="DIR", help="what these students started from")
    add.add_argument(
        "--keep-source", action="store_true", help="keep what they wrote in the blocks, too, to show it side by side"
    )
    add.add_argument(
        "--pseudonyms",
        type=Path,
        metavar="SECRET_FILE",
        help="keep no student numbers but what this secret makes of them; it is needed again to recognise a person "
        "(without this option: $COURSEKIT_ARCHIVE_SECRET, where that is set)",
    )
    add.set_defaults(run=_archive_add)
    forget = actions.add_parser(
        "forget",
        help="remove a year",
        description="Remove all that the archive has of a year, so that nothing is left.",
    )
    forget.add_argument("year", help="its name")
    forget.set_defaults(run=_archive_forget)
    show = actions.add_parser("list", help="say what is in it", description="Say what is in the archive, year by year.")
    show.set_defaults(run=_archive_list)
    for action in (add, forget, show):
        action.add_argument("--archive", type=Path, required=True, metavar="FILE", help="the archive")


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


def _similarity(options: argparse.Namespace) -> None:
    from autograder.similarity.archive import read_secret  # numpy takes a while to load
    from autograder.similarity.command import report

    secret = read_secret(options.pseudonyms) if options.archive else None
    comparison = report(options.submissions, options.scaffold, options.archive, options.out, secret, options.beside)
    for remark in comparison.remarks:
        print(remark)
    print(
        f"{len(comparison.works):,} works, {len(comparison.listed):,} pairs to look at: {options.out / 'index.html'} "
        "(evidence to judge, never a verdict)"
    )


def _archive_add(options: argparse.Namespace) -> None:
    from autograder.similarity.archive import read_secret, year_name  # numpy takes a while to load
    from autograder.similarity.archiving import archive_folder

    year = year_name(options.year)  # before anything is read
    secret = read_secret(options.pseudonyms)
    added, remarks = archive_folder(
        options.archive, year, options.submissions, options.scaffold, options.keep_source, secret
    )
    for remark in remarks:
        print(remark)
    print(
        f"{options.archive}: {year}: {added.new} new, {added.replaced} replaced, {added.unchanged} there already; "
        f"{options.archive.stat().st_size:,} bytes"
    )


def _archive_forget(options: argparse.Namespace) -> None:
    from autograder.similarity.archive import forget

    works = forget(options.archive, options.year)
    count = f"{works} works" if works >= 0 else "works that were damaged"
    print(f"{options.archive}: {options.year} is forgotten, {count}; {options.archive.stat().st_size:,} bytes")


def _archive_list(options: argparse.Namespace) -> None:
    from autograder.similarity.archive import describe
    from autograder.similarity.archiving import table

    years = describe(options.archive)
    if years:
        print("\n".join(table(years)))
    works = sum(year.works for year in years)
    print(f"{options.archive}: {works:,} works of {len(years)} years; {options.archive.stat().st_size:,} bytes")


def _calibrate(options: argparse.Namespace) -> None:
    from autograder.calibrate import calibrate  # torch takes seconds to load

    root = _repository()
    calibrate(root / COURSE_FILE, root / REFERENCE, options.out, options.write, options.unsafe_no_sandbox)


def _gradescope(options: argparse.Namespace) -> None:
    written = bundle(_repository(), options.out)
    print(f"{written}: {written.stat().st_size:,} bytes")


def _grade(options: argparse.Namespace) -> None:
    root = _repository()
    course = read_course(options.course or root / COURSE_FILE)
    scheduler = _scheduler(options)

    from autograder.grading import UNMEASURED, Options, grade_class  # torch takes seconds to load

    if course.unmeasured_points:
        most = total(value for check, value in course.points.items() if check.startswith("vae."))
        most, of = points(most - course.unmeasured_points), points(most)
        print(f'{course.path}: fid.when is "never", so that {most} points are the most, not {of}')
    how = Options(options.jobs, scheduler, options.unsafe_no_sandbox, options.seed, rerun=options.rerun)
    grades = grade_class(options.submissions, options.out, root / REFERENCE, course, how)
    graded = [grade for grade in grades if grade.status == GRADED]
    for grade in grades:
        if grade not in graded:
            print(f"{grade.student}: {grade.status}")
    unmeasured = [grade.student for grade in graded for check in grade.checks if check.message.startswith(UNMEASURED)]
    if unmeasured:
        print(f"FIDs not measured: {len(unmeasured)} ({unmeasured[0]} among them, whose feedback says why)")
    if others := not_taken(options.submissions):
        print(f"not taken for hand-ins: {names_in_short(others)}")
    for grade in graded:
        to_look_at = [
            one.removeprefix(f"{TA_HAS_TO_LOOK}: ") for one in grade.remarks if one.startswith(TA_HAS_TO_LOOK)
        ]
        if to_look_at:
            print(f"{grade.student}: {TA_HAS_TO_LOOK} at {', '.join(to_look_at)}")
    print(f"{len(graded)} of {len(grades)} graded: {options.out / 'index.html'}")


def _scheduler(options: argparse.Namespace) -> Scheduler | None:
    tls = (options.tls_ca, options.tls_cert, options.tls_key)
    if options.scheduler is None:
        if options.insecure_scheduler or any(tls):
            raise CourseError("--insecure-scheduler and --tls-… are for a --scheduler")
        return None
    scheduler = Scheduler(options.scheduler, options.insecure_scheduler, *tls)
    scheduler.check()
    return scheduler


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
