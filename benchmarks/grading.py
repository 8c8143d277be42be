"""A class of 100 hand-ins graded by `python -m autograder grade`, against one plain pytest process for each of them.

    python benchmarks/grading.py [--students 100] [--peer_students 20] [--jobs 2] [--json FILE]

70 are right in many ways, 20 wrong, 10 broken. The peer loads torch, runs the same probes on a submission and on the
reference in its own process, without any walls, and judges them by the same checks; broken hand-ins that it could not
open are left out of it. Neither side trains: FID's points go to those that compute what the reference does. CPU time is
that of the whole tree of processes, from start to end: ours with unpacking, code checking, sandboxes, the reference and
the gradebook.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from process_tree import Used, run

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "kit"))

CLAIM_RATIO, CLAIM_S = 4, 1


def students(count: int) -> dict[str, dict[str, bytes] | bytes]:
    """A class: student number -> code, or a zip that is none."""
    from hand_ins import scaffold, solution
    from right_solutions import VARIANTS
    from wrong_solutions import MUTANTS

    right = [solution({file: changes}) for file, changes, *_ in VARIANTS.values()]
    wrong = [solution({file: changes}) for file, changes, *_ in MUTANTS.values()]
    broken = [
        scaffold(),
        {**solution(), "VAE/model.py": b"def broken(:\n"},
        {**solution(), "VAE/model.py": b"import no_such_module\n"},
        {**solution(), "VAE/trainer.py": b"import sys\nsys.exit()\n"},
        b"not a zip",
    ]
    num_wrong, num_broken = count // 5, count // 10
    numbers = iter(range(2021000000, 2021000000 + count))
    chosen = [right[n % len(right)] for n in range(count - num_wrong - num_broken)]
    chosen += [wrong[n * len(wrong) // num_wrong] for n in range(num_wrong)]
    chosen += [broken[n % len(broken)] for n in range(num_broken)]
    return {str(next(numbers)): one for one in chosen}


def measured(*command: object) -> Used:
    """What a command of this Python and all that it starts take."""
    try:
        return run([sys.executable, *command], ROOT, {"OMP_NUM_THREADS": "1"})
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, command))} ended with exit status {error.returncode}: {error.stderr.decode()}")


def grade_plainly(codes: Path) -> None:
    """What the peer does, in this process: load torch, run both sides, judge."""
    import pytest

    from autograder import evidence
    from autograder.evidence import ALL_PROBES, Ran, results_of
    from autograder.probe.run import run_probe
    from autograder.probing import inputs_by_probe

    def probed(side: Path, inputs: Path, scratch: Path) -> Iterator[tuple[str, Ran]]:
        for probe in ALL_PROBES:
            kept_path, kept_modules = list(sys.path), set(sys.modules)
            stopped = ""
            try:
                run_probe(probe, side, inputs / f"{probe}.npz", scratch)
            except BaseException as error:
                stopped = repr(error)
            sys.path[:] = kept_path
            for name in set(sys.modules) - kept_modules:
                if name in ("model", "trainer", "dataset", "main"):
                    del sys.modules[name]
            left = [path for name in results_of(probe) if (path := scratch / name).exists()]
            yield probe, Ran(stopped, {path.name: path.read_bytes() for path in left})
            for path in left:
                path.unlink()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        evidence.keep_inputs(folder, inputs_by_probe(0))
        for side, place in (("submission", codes), ("reference", ROOT / "reference_solution")):
            (folder / "scratch").mkdir(exist_ok=True)
            evidence.keep(folder / side, dict(probed(place, folder / evidence.INPUTS, folder / "scratch")))
        with contextlib.redirect_stdout(io.StringIO()):
            sys.exit(pytest.main([str(ROOT / "tests" / "hidden"), "-q", "--evidence", str(folder)]))


def grade_untrained(folder: Path, jobs: int) -> None:
    """What `grade` does with FID's points by `if_different`, but for the training of those that differ."""
    from autograder.course import COURSE_FILE, read_course
    from autograder.grading import Options, grade_class

    course = read_course(ROOT / COURSE_FILE)
    course = replace(course, fid=replace(course.fid, when="if_different"))
    how = Options(jobs=jobs, train=False)
    grade_class(folder / "hand-ins", folder / "grades", ROOT / "reference_solution", course, how)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--peer_students", type=int, default=20, help="the peer takes every N-th of them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    # What the processes of the two sides are started with.
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        return grade_plainly(options.plain)
    if options.ours:
        return grade_untrained(options.ours, options.jobs)

    from hand_ins import write_class, write_codes

    given = students(options.students)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_class(folder / "hand-ins", given)
        ours = measured(__file__, "--ours", folder, "--jobs", options.jobs)
        rows = json.loads((folder / "grades" / "grades.json").read_text("utf-8"))["submissions"]
        step = max(1, options.students // options.peer_students)
        peers = []
        for student, codes in list(given.items())[::step]:
            if isinstance(codes, dict):
                write_codes(folder / student, codes)
                peers.append(measured(__file__, "--plain", folder / student).cpu_s)
    each, peer = ours.cpu_s / len(given), sum(peers) / len(peers)
    right = sum(row["score"] > row["max_score"] for row in rows)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {len(given)} hand-ins, --jobs {options.jobs}, nothing trained"
    )
    graded = sum(row["status"] == "graded" for row in rows)
    print(f"  {len(rows)} rows, {graded} graded, {right} with more than full marks")
    print(f"  one pytest process each   {peer:6.2f} s CPU a submission ({len(peers)} of them)")
    print(
        f"  autograder grade          {each:6.2f} s CPU a submission, {ours.wall_s:.0f} s in all (claim: <= {CLAIM_S})"
    )
    print(f"  ratio                     {peer / each:6.1f} (claim: >= {CLAIM_RATIO})")
    if options.json:
        result = {
            "peer_cpu_s": peer,
            "cpu_s": each,
            "wall_s": ours.wall_s,
            "ratio": peer / each,
            "students": len(given),
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
