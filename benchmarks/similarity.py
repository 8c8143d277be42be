"""Copied work found in synthetic classes, by this kit and by the tools that there are, in the same run.

    python benchmarks/similarity.py GENERATOR [--seeds 100-109] [--large 100] [--huge 10000] [--archived 10000]

GENERATOR is the folder of classgen.py and score.py, which are no part of the repository. Each class of 40 has 30 honest
students and 10 copies, one for each level of disguise L0 to L9; the class of 400 has 20 copies. Every tool sees the
same files, and the scaffold as what was given. Peers: compare50 and copydetect, from a Python that PEERS names (an
environment variable, the path of its interpreter) or from this one, and Dolos' engine, from a folder in which
`npm install @dodona/dolos-lib` was run, that DOLOS names; one that isn't installed is left out with a line.

Tuned on seeds 0 to 4; report on others. CPU seconds of whole processes, theirs and ours alike.
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from process_tree import Used, run

ROOT = Path(__file__).resolve().parents[1]
Tool = Callable[[Path], tuple[Path, float]]  # a class -> its pairs, CPU seconds
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
FIND_DOLOS = """
const { createRequire } = require("module"), { join } = require("path");
const lib = createRequire(join(process.argv[1], "any.js"))("@dodona/dolos-lib");
"""
DOLOS = """
const { readdirSync, writeFileSync } = require("fs");
const [options, subs, scaffold, out] = process.argv.slice(2);
const owners = new Map();
for (const name of readdirSync(subs).sort())
  for (const file of readdirSync(join(subs, name)).sort()) owners.set(join(subs, name, file), name);
const given = join(scaffold, readdirSync(scaffold)[0]);
new lib.Dolos({ language: "python", ...JSON.parse(options) }).analyzePaths([...owners.keys()], given).then((report) => {
  const row = (pair) => [owners.get(pair.leftFile.path), owners.get(pair.rightFile.path), pair.similarity].join(",");
  writeFileSync(out, ["a,b,similarity", ...report.allPairs().map(row)].join("\\n"));
});
"""


def make_class(generator: Path, folder: Path, seed: int, honest: int, copies: int) -> Path:
    command = [sys.executable, generator / "classgen.py", folder, "--seed", seed, "--honest", honest, "--plag", copies]
    subprocess.run([str(part) for part in command], check=True)
    return folder


def similarity(folder: Path, *options: object, fair: bool = False) -> Used:
    """Write this kit's report on a class into its folder."""
    command = [sys.executable, "-m", "autograder", "similarity", folder / "subs", "--scaffold", folder / "scaffold"]
    return run([*command, "--out", folder / "report", *options], ROOT, fair=fair)


def ours(folder: Path) -> tuple[Path, float]:
    cpu_s = similarity(folder).cpu_s
    return folder / "report" / "pairs.csv", cpu_s


def peers() -> dict[str, Tool]:
    """The other tools that are installed; what isn't, is said."""
    python = os.environ.get("PEERS", sys.executable)
    dolos = Path(os.environ.get("DOLOS", ".")).resolve()
    commands = {
        "compare50": ([python, "-c", "import compare50"], [python, "-c", COMPARE50]),
        "copydetect": ([python, "-c", "import copydetect"], [python, "-c", COPYDETECT]),
        "Dolos": (["node", "-e", FIND_DOLOS, dolos], ["node", "-e", FIND_DOLOS + DOLOS, dolos, "{}"]),
        "Dolos 15/1": ([], ["node", "-e", FIND_DOLOS + DOLOS, dolos, '{"kgramLength": 15, "kgramsInWindow": 1}']),
    }
    tools: dict[str, Tool] = {}
    for name, (probe, command) in commands.items():
        first = name.split()[0]
        if first in tools or (probe and is_ended_well(probe)):
            tools[name] = peer(name, command)
        elif probe:
            print(f"{name}: not installed here, left out (see PEERS and DOLOS)")
    return tools


def is_ended_well(command: Sequence[object]) -> bool:
    """Whether a command is there and ends with status 0."""
    try:
        return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0
    except OSError:
        return False


def peer(name: str, command: Sequence[object]) -> Tool:
    def compare(folder: Path) -> tuple[Path, float]:
        out = folder / f"{name.replace('/', '-')}.csv"
        return out, run([*command, folder / "subs", folder / "scaffold", out], folder).cpu_s

    return compare


def judge(generator: Path, folder: Path, pairs: Path) -> dict:
    """What score.py says of a list of pairs."""
    spec = importlib.util.spec_from_file_location("score", generator / "score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    ids = (folder / "ids.txt").read_text().split()
    with (folder / "truth.csv").open() as file:
        truth = [(row["a"], row["b"], row["level"]) for row in csv.DictReader(file)]
    return score.score(ids, truth, score.read_pairs(pairs))


def listed(folder: Path, pairs: Path) -> tuple[int, int]:
    """How many copies and how many other pairs the report lists."""
    with (folder / "truth.csv").open() as file:
        copies = {frozenset((row["a"], row["b"])) for row in csv.DictReader(file)}
    with pairs.open(newline="") as file:
        found = [frozenset((row["a"], row["b"])) in copies for row in csv.DictReader(file) if row["listed"]]
    return sum(found), len(found) - sum(found)


def rows(generator: Path, seeds: Sequence[int], large: Sequence[int], scratch: Path) -> dict[str, dict]:
    """The figures of each tool."""
    tools = {"this kit": ours, **peers()}
    figures: dict[str, dict] = {name: defaultdict(list) for name in tools}
    sizes = [(seed, 30, 10) for seed in seeds] + [(seed, 380, 20) for seed in large]
    for seed, honest, copies in sizes:
        folder = make_class(generator, scratch / f"{honest}-{seed}", seed, honest, copies)
        for name, tool in tools.items():
            if honest > 30 and name == "Dolos 15/1":
                continue  # minutes
            found = figures[name]
            try:
                pairs, seconds = tool(folder)
                result = judge(generator, folder, pairs)
            except (subprocess.CalledProcessError, OSError, ValueError) as error:
                said = getattr(error, "stderr", b"") or str(error).encode()
                print(f"{name}, seed {seed}: failed: {said.decode(errors='replace').strip().splitlines()[-1:]}")
                continue
            if name == "this kit":
                for what, number in zip(("copies", "others"), listed(folder, pairs), strict=True):
                    found[f"listed {what}, {honest + copies}"].append(number)
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
    """Time and memory for one class of thousands."""
    folder = make_class(generator, scratch / "huge", 1, count - 20, 20)
    used = similarity(folder, fair=True)
    print(
        f"a class of {count:,}, all pairs, on {os.cpu_count()} cores: {used.wall_s:.0f} s, {used.cpu_s:.0f} s of CPU, "
        f"{used.memory / 1e6:,.0f} MB at most (claim: 120 s on 2 cores, 2 GB)"
    )


def archived(generator: Path, count: int, scratch: Path) -> None:
    """Time, memory and size where a class of 40 is compared with thousands of an earlier year."""
    old = make_class(generator, scratch / "old", 2, count, 0)
    new = make_class(generator, scratch / "new", 3, 30, 10)
    kept = scratch / "archive.db"
    command = [sys.executable, "-m", "autograder", "archive", "add", "2025", old / "subs"]
    add = run([*command, "--scaffold", old / "scaffold", "--archive", kept], ROOT)
    used = similarity(new, "--archive", kept, fair=True)
    print(
        f"{count:,} archived: {add.wall_s:.0f} s, {kept.stat().st_size / 1e6:.1f} MB; 40 new against them: "
        f"{used.cpu_s:.1f} s of CPU, {used.memory / 1e6:,.0f} MB at most (claim: 20 MB; 5 s, 500 MB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", type=Path)
    parser.add_argument("--seeds", default="100-109", help="of the classes of 40, as FIRST-LAST")
    parser.add_argument("--large", default="100-100", help="of the classes of 400")
    parser.add_argument("--huge", type=int, default=0, metavar="N", help="also a class of N, for time and memory")
    parser.add_argument("--archived", type=int, default=0, metavar="N", help="also a class of 40 against N archived")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    settings = parser.parse_args()
    generator = settings.generator.resolve()
    spans = [tuple(map(int, text.split("-"))) for text in (settings.seeds, settings.large)]
    seeds, large = ([*range(first, last + 1)] for first, last in spans)
    with tempfile.TemporaryDirectory() as scratch:
        figures = rows(generator, seeds, large, Path(scratch))
        if settings.huge:
            huge(generator, settings.huge, Path(scratch))
        if settings.archived:
            archived(generator, settings.archived, Path(scratch))
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
        for size in (40, 400):
            if copies := found.get(f"listed copies, {size}"):
                others = sum(found[f"listed others, {size}"])
                print(f"  {name:12} listed in {len(copies)} classes of {size}: {sum(copies)} copies, {others} others")
        levels = (f"{level} {sum(found[level])}/{len(found[level])}" for level in LEVELS if found.get(level))
        print(f"  {name:12} caught at 1 % false pairs: {', '.join(levels)}")
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
