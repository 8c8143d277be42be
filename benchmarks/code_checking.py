"""code_analyze/analyze.py on 500 files, against the plain way: difflib.ndiff of every file with the scaffold's.

    python benchmarks/code_checking.py [--repeats 5] [--json FILE]

The 500 files are 50 copies of codes/: in half of them the blocks are filled, a fifth has a line changed outside them.
Each side is a process of its own, from its start to its end, and they take turns. The peer sees no TODO lines, no
references, no formatting and no problems; it is what a checker of one page would do.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIES = 50
CLAIM_S = 1

PEER = """
import difflib, pathlib, sys
origin, target, output = map(pathlib.Path, sys.argv[1:])
lines = []
for path in sorted(target.rglob("*.*")):
    name = path.relative_to(target)
    old, new = ((folder / name).read_text().splitlines() for folder in (origin, target))
    lines += [line for line in difflib.ndiff(old, new) if not line.startswith("  ")]
output.write_text("\\n".join(lines))
"""


def build(folder: Path) -> int:
    """Write the pristine files to _codes/ and the students' to codes/; return how many the students' are."""
    scaffold, solution = ROOT / "codes", ROOT / "reference_solution"
    files = [path.relative_to(scaffold) for path in sorted(scaffold.glob("*/*.*"))]
    for copy in range(COPIES):
        for name in files:
            pristine = (scaffold / name).read_bytes()
            content = (solution / name).read_bytes() if copy % 2 else pristine
            if copy % 5 == 0:
                content = content.replace(b"import torch\n", b"import torch\nimport os  # mine\n")
            for side, text in (("_codes", pristine), ("codes", content)):
                path = folder / side / f"copy{copy}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text)
    return COPIES * len(files)


def cpu_s(*command: object) -> float:
    """CPU seconds of a process, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    settings = parser.parse_args()
    times = {"difflib.ndiff": [], "analyze.py": []}
    with tempfile.TemporaryDirectory() as folder:
        count = build(Path(folder))
        origin, target, output = (os.path.join(folder, name) for name in ("_codes", "codes", "summary.txt"))
        flags = ["--origin_dir", origin, "--target_dir", target, "--output_file", output]
        for _ in range(settings.repeats):
            times["difflib.ndiff"].append(cpu_s("-c", PEER, origin, target, output))
            times["analyze.py"].append(cpu_s(ROOT / "code_analyze" / "analyze.py", *flags))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratio = medians["difflib.ndiff"] / medians["analyze.py"]
    print(f"code checking, {count} files, Python {platform.python_version()}, median of {settings.repeats}, CPU time")
    print(f"  difflib.ndiff {medians['difflib.ndiff']:.2f} s   ", end="")
    print(f"analyze.py {medians['analyze.py']:.2f} s (claim: < {CLAIM_S})   ratio {ratio:.1f}")
    if settings.json:
        content = {"files": count, "python": platform.python_version(), "cpu_s": medians, "ratio": ratio}
        settings.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
