"""Copied work found in synthetic classes, by this kit and by the tools that there are, in the same run.

    python benchmarks/similarity.py GENERATOR [--seeds 100-109] [--large 100] [--huge 10000] [--json FILE]

GENERATOR is the folder of classgen.py and score.py, which are no part of the repository. Each class of 40 has 30 honest
students and 10 copies, one for each level of disguise L0 to L9; the class of 400 has 20 copies. Every tool sees the
same files, and the scaffold as what was given. Peers: compare50 and copydetect, from a Python that PEERS names (an
environment variable, the path of its interpreter) or from this one; one that isn't installed is left out with a line.

Tuned on seeds 0 to 4; report on others. CPU seconds of whole processes, theirs and ours alike.
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEVELS = [f"L{level}" for level in range(10)]
CLAIMS = {"auc": 0.995, "ap": 0.95, "ap of the large class": 0.85, "cpu_s of 400": 8.0}

COMPARE50 = """
import csv, sys
from pathlib import Path
from compare50 import Submission, rank
from compare50.passes import structure
subs, scaffold, out = map(Path, sys.argv[1:])
def preprocess(tokens):
    for step in structure.preprocessors:
        tokens = step(tokens)
    return tokens
def submission(path):
    return Submission(path, sorted(file.name for file in path.iterdir()), preprocessor=preprocess)
works = [submission(path) for path in sorted(subs.iterdir())]
given = {file for file in submission(scaffold).files}
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["a", "b", "similarity"])
    for score in rank(works, [], given, structure, n=len(works) ** 2):
        writer.writerow([score.sub_a.path.name, score.sub_b.path.name, score.score])
"""
COPYDETECT = """
import csv, sys
from pathlib import Path
from copydetect import CopyDetector
subs, scaffold, out = map(Path, sys.argv[1:])
detector = CopyDetector(test_dirs=[str(subs)], boilerplate_dirs=[str(scaffold)], extensions=["py"], silent=True,
                        display_t=0, autoopen=False)
detector.run()
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["a", "b", "similarity"])
    for row in detector.get_copied_code_list():
        writer.writerow([Path(row[2]).parent.name, Path(row[3]).parent.name, max(row[0], row[1])])
"""
OURS = """
import sys
from autograder.__main__ import main
main(["similarity", sys.argv[1], "--scaffold", sys.argv[2], "--out", sys.argv[3]])
"""


def make_class(generator: Path, folder: Path, seed: int, honest: int, copies: int) -> Path:
    command = [sys.executable, generator / "classgen.py", folder, "--seed", seed, "--honest", honest, "--plag", copies]
    subprocess.run([str(part) for part in command], check=True)
    return folder


def cpu_s(*command: object, cwd: Path = ROOT) -> float:
    """CPU seconds of a process and its children, from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(folder: Path) -> tuple[Path, float]:
    seconds = cpu_s(sys.executable, "-c", OURS, folder / "subs", folder / "scaffold", folder / "report")
    return folder / "report" / "pairs.csv", seconds


def peer(program: str, name: str) -> Callable[[Path], tuple[Path, float]]:
    def run(folder: Path) -> tuple[Path, float]:
        python, out = os.environ.get("PEERS", sys.executable), folder / f"{name}.csv"
        return out, cpu_s(python, "-c", program, folder / "subs", folder / "scaffold", out, cwd=folder)

    return run


def installed(name: str) -> bool:
    python = os.environ.get("PEERS", sys.executable)
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0


def judge(generator: Path, folder: Path, pairs: Path) -> dict:
    """What score.py says of a list of pairs."""
    spec = importlib.util.spec_from_file_location("score", generator / "score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    ids = (folder / "ids.txt").read_text().split()
    with (folder / "truth.csv").open() as file:
        truth = [(row["a"], row["b"], row["level"]) for row in csv.DictReader(file)]
    return score.score(ids, truth, score.read_pairs(pairs))


def rows(generator: Path, seeds: Sequence[int], large: Sequence[int], scratch: Path) -> dict[str, dict]:
    """The figures of each tool."""
    tools = {"this kit": ours}
    for name, program in (("compare50", COMPARE50), ("copydetect", COPYDETECT)):
        if installed(name):
            tools[name] = peer(program, name)
        else:
            print(f"{name}: not installed here, left out (PEERS names the Python that has it)")
    figures: dict[str, dict] = {name: defaultdict(list) for name in tools}
    sizes = [(seed, 30, 10) for seed in seeds] + [(seed, 380, 20) for seed in large]
    for seed, honest, copies in sizes:
        folder = make_class(generator, scratch / f"{honest}-{seed}", seed, honest, copies)
        for name, tool in tools.items():
            found = figures[name]
            try:
                pairs, seconds = tool(folder)
                result = judge(generator, folder, pairs)
            except (subprocess.CalledProcessError, OSError, ValueError) as error:
                said = getattr(error, "stderr", b"") or str(error).encode()
                print(f"{name}, seed {seed}: failed: {said.decode(errors='replace').strip().splitlines()[-1:]}")
                continue
            if honest == 30:
                found["auc"].append(result["auc"])
                found["ap"].append(result["ap"])
                found["cpu_s of 40"].append(seconds)
                bound = 0.01 * (result["pairs"] - result["copies"])
                for level, above in result["honest_above_by_level"].items():
                    found[level] += [value <= bound for value in above]
            else:
                found["ap of the large class"].append(result["ap"])
                found["cpu_s of 400"].append(seconds)
    return {name: dict(found) for name, found in figures.items()}


def huge(generator: Path, count: int, scratch: Path) -> None:
    """CPU seconds and memory for one class of thousands, as a process of its own."""
    folder = make_class(generator, scratch / "huge", 1, count - 20, 20)
    seconds = cpu_s(sys.executable, "-c", OURS, folder / "subs", folder / "scaffold", folder / "report")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"a class of {count:,}, all pairs: {seconds:.0f} s CPU, {peak:,.0f} MB at most (claim: 120 s on 2 cores, 2 GB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", type=Path)
    parser.add_argument("--seeds", default="100-109", help="of the classes of 40, as FIRST-LAST")
    parser.add_argument("--large", default="100-100", help="of the classes of 400")
    parser.add_argument("--huge", type=int, default=0, metavar="N", help="also a class of N, for time and memory")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    settings = parser.parse_args()
    generator = settings.generator.resolve()
    spans = [tuple(map(int, text.split("-"))) for text in (settings.seeds, settings.large)]
    seeds, large = ([*range(first, last + 1)] for first, last in spans)
    with tempfile.TemporaryDirectory() as scratch:
        figures = rows(generator, seeds, large, Path(scratch))
        if settings.huge:
            huge(generator, settings.huge, Path(scratch))
    print(
        f"similarity, seeds {settings.seeds} (40) and {settings.large} (400), Python {platform.python_version()}, means"
    )
    for name, found in figures.items():
        claims = CLAIMS if name == "this kit" else {}
        for key in ("auc", "ap", "ap of the large class", "cpu_s of 40", "cpu_s of 400"):
            if found.get(key):
                sign = "<=" if key.startswith("cpu") else ">="
                claim = f" (claim: {sign} {claims[key]:g})" if key in claims else ""
                print(f"  {name:12} {key:22} {statistics.mean(found[key]):.4g}{claim}")
        levels = (f"{level} {sum(found[level])}/{len(found[level])}" for level in LEVELS if found.get(level))
        print(f"  {name:12} caught at 1 % false pairs: {', '.join(levels)}")
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
