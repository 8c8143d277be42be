"""What a student has changed: codes/ against the pristine scaffold, written to summary.txt.

    python code_analyze/analyze.py [--target_dir DIR] [--origin_dir DIR] [--output_file FILE] [--json [FILE]]

Exit status: 0 nothing to object to, 1 the summary has Problems, 2 no summary could be made. Standard library only.
"""

import argparse
import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that it runs from any folder, installed or not

from code_analyze.blocks import MarkerError  # noqa: E402
from code_analyze.compare import compare  # noqa: E402
from code_analyze.report import Comparison  # noqa: E402
from code_analyze.summary import problem_lines, to_json, to_text  # noqa: E402
from code_analyze.tree import Tree, TreeError, read_scaffold, read_tree  # noqa: E402

PROGRAM = "analyze.py"
SCAFFOLD = HERE / "_codes"
SOLUTION = HERE.parent / "reference_solution"
CODES = HERE.parent / "codes"


def main(arguments: list[str] | None = None) -> int:
    """Write the summary; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal that can't show a name must not end the run
    options = _parser().parse_args(arguments)
    try:
        origin = read_tree(options.origin_dir) if options.origin_dir else _pristine()
        target = read_tree(options.target_dir, skip=options.output_file)
        result = compare(origin, target)
        _write(options.output_file, to_text(result))
        if options.json == "-":
            sys.stdout.write(to_json(result))
        elif options.json:
            _write(Path(options.json), to_json(result))
    except (TreeError, MarkerError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; nothing was written", file=sys.stderr)
        return 2
    for line in problem_lines(result):
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    print(_in_short(result, options.output_file), file=sys.stderr if options.json == "-" else sys.stdout)
    return 1 if result.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="List what was filled in and what else was changed, for the submission."
    )
    parser.add_argument(
        "--target_dir", type=Path, default=CODES, metavar="DIR", help="the student's code (default: codes/)"
    )
    parser.add_argument(
        "--origin_dir", type=Path, metavar="DIR", help="the pristine scaffold (default: the one that came with the kit)"
    )
    parser.add_argument(
        "--output_file",
        type=Path,
        default=HERE / "summary.txt",
        metavar="FILE",
        help="where to write the summary (default: code_analyze/summary.txt)",
    )
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="the same for machines, to a file or to standard output"
    )
    return parser


def _pristine() -> Tree:
    if SCAFFOLD.is_dir():
        return read_tree(SCAFFOLD)
    if SOLUTION.is_dir():
        return read_scaffold(SOLUTION)
    raise TreeError(f"no pristine scaffold in {SCAFFOLD}: unpack the handout again, or give --origin_dir")


def _in_short(result: Comparison, output_file: Path) -> str:
    filled = sum(block.is_filled for block in result.blocks)
    own = f", {result.own} of {result.counted} lines own" if result.counted else ""
    return (
        f"{output_file}: {filled} of {len(result.blocks)} blocks filled{own}; "
        f"{len(result.modifications)} files modified or new, {len(result.missing)} missing; "
        f"{len(result.problems)} problems"
    )


def _write(path: Path, text: str) -> None:
    """Write a whole file or none."""
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        try:
            with draft.open("xb") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise TreeError(f"could not write {path}: {error.strerror or error}") from error


if __name__ == "__main__":
    sys.exit(main())
