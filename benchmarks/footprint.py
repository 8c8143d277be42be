"""What a run costs before it learns anything: start-up CPU, the answer to --help, and peak memory.

python benchmarks/footprint.py --data_dir DIR [--repeats 5] [--json FILE]
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
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTUP_CLAIM_S, HELP_CLAIM_S, MEMORY_CLAIM_GB = 6, 1, 1.3
MEMORY_STEPS = 300

# Runs main.py up to the moment when the first batch is asked for, then prints the process's CPU seconds.
UP_TO_THE_FIRST_STEP = """
import os, runpy, sys, time
from coursekit import data
def first(self, step):
    print(time.process_time(), flush=True)
    os._exit(0)
data.Batches.__getitem__ = first
sys.argv = ["main.py", *sys.argv[1:]]
sys.path.insert(0, os.getcwd())
runpy.run_path("main.py", run_name="__main__")
"""


def flags(data_dir: Path, folder: str) -> list[str]:
    """Train in a folder of its own on MNIST from the disk."""
    places = ["--ckpt_dir", f"{folder}/results", "--log_dir", f"{folder}/runs"]
    return ["--do_train", "--data_dir", str(data_dir), "--fid_extractor", "lenet", *places]


def startup_s(project: Path, data_dir: Path) -> float:
    """CPU seconds from the start of the process to its first training step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", UP_TO_THE_FIRST_STEP, *flags(data_dir, folder)]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def help_s(project: Path) -> float:
    """Wall seconds of `python main.py --help`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "main.py", "--help"], cwd=project, capture_output=True, check=True)
    return time.perf_counter() - start


def peak_memory_gb(project: Path, data_dir: Path) -> float:
    """Peak resident memory of a short training with its evaluation, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        steps = ["--num_train_steps", str(MEMORY_STEPS), "--saving_steps", "100"]
        command = [sys.executable, "main.py", *flags(data_dir, folder), *steps]
        measured = subprocess.run(
            [sys.executable, __file__, "--child", *command], cwd=project, capture_output=True, text=True, check=True
        )
    return float(measured.stdout.splitlines()[-1]) * 1024 / 1e9


def main() -> None:
    """Measure both reference solutions."""
    if sys.argv[1:2] == ["--child"]:
        subprocess.run(sys.argv[2:], check=True, capture_output=True)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, default=os.environ.get("COURSEKIT_DATA_DIR", "data"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    data_dir = Path(options.data_dir).resolve()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, median of {options.repeats}"
    )
    figures = {}
    for model in ("VAE", "GAN"):
        project = ROOT / "reference_solution" / model
        start = statistics.median(startup_s(project, data_dir) for _ in range(options.repeats))
        answer = statistics.median(help_s(project) for _ in range(options.repeats))
        memory = peak_memory_gb(project, data_dir)
        print(f"{model}: first step after {start:.1f} s CPU (claim: <= {STARTUP_CLAIM_S}),", end=" ")
        print(f"--help in {answer:.2f} s (claim: < {HELP_CLAIM_S}),", end=" ")
        print(f"peak memory {memory:.2f} GB (claim: <= {MEMORY_CLAIM_GB}, training and FID of 10,000 images)")
        figures[model] = {"startup_cpu_s": start, "help_s": answer, "peak_memory_gb": memory}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
