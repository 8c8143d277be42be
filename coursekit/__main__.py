"""`python -m coursekit ...`: what a student does besides training."""

import argparse
import os
import sys
from pathlib import Path

from coursekit.errors import CourseError, Interrupted, one_line_errors

PROGRAM = "python -m coursekit"


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends in one line on stderr and a non-zero exit status."""
    options = _parser().parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may have letters that a terminal can't show
    with one_line_errors(PROGRAM):
        try:
            options.run(options)
        except KeyboardInterrupt as stopped:
            raise Interrupted("interrupted") from stopped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="What a student does besides training.")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    handing_in = commands.add_parser(
        "submit",
        help="check your work and pack the zip to hand in",
        description="Check your work and pack the zip to hand in, from anywhere in the course's folder.",
        allow_abbrev=False,
    )
    handing_in.add_argument("student_number", metavar="STUDENT_NUMBER", help="the zip is named after it")
    handing_in.add_argument(
        "--out", type=Path, metavar="DIR", help="where to put the zip (default: the course's top folder)"
    )
    handing_in.add_argument("--anyway", action="store_true", help="pack the zip although something is missing or wrong")
    handing_in.set_defaults(run=_submit)
    return parser


def _submit(options: argparse.Namespace) -> None:
    # Imported only now: from here on an interrupt is one line, and --help is quicker without.
    from coursekit.submission import submit

    submit(options.student_number, _here(), options.out, options.anyway)


def _here() -> Path:
    try:
        return Path(os.getcwd())
    except OSError as error:
        raise CourseError("the folder that this terminal is in is gone: go to the course's folder") from error


if __name__ == "__main__":
    main()
