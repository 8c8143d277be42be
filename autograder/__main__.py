"""`python -m autograder ...`: the TA's and the instructor's commands."""

import argparse
from pathlib import Path

from autograder.leaks import REFERENCE
from autograder.release import release
from autograder.scaffold import build_scaffold, stale_files, write_scaffold
from code_analyze.blocks import find_blocks
from coursekit.errors import CourseError, one_line_errors

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
    return parser


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
