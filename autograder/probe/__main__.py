"""`python -m autograder.probe PROBE CODES_FOLDER INPUTS.npz OUT_FOLDER`: run one probe on one student's code."""

import sys
from pathlib import Path

from autograder.probe.run import run_probe


def main() -> None:
    """Read the four arguments and run the probe."""
    if len(sys.argv) != 5:
        sys.exit("usage: python -m autograder.probe PROBE CODES_FOLDER INPUTS.npz OUT_FOLDER")
    name, *paths = sys.argv[1:]
    run_probe(name, *map(Path, paths))


if __name__ == "__main__":
    main()
