"""`python -m autograder.probe CODES_FOLDER INPUTS_FOLDER OUT_FOLDER PROBE ...`: run probes on one student's code.

INPUTS_FOLDER has PROBE.npz for each of them, which are all of one project. They share this process.
"""

import sys
from pathlib import Path

from autograder.probe.run import run_probe


def main() -> None:
    """Read the arguments and run the probes."""
    if len(sys.argv) < 5:
        sys.exit("usage: python -m autograder.probe CODES_FOLDER INPUTS_FOLDER OUT_FOLDER PROBE ...")
    codes, inputs, out = map(Path, sys.argv[1:4])
    for probe in sys.argv[4:]:
        run_probe(probe, codes, inputs / f"{probe}.npz", out)


if __name__ == "__main__":
    main()
