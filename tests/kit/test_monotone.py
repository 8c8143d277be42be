"""A score never rises with a second mistake: pairs of the corpus, scored together and alone."""

import subprocess
import sys

import pytest
from changed_solutions import REPOSITORY
from test_graders import plain_environment

PAIRS = 1000  # of each project
PARTS = 2  # at one time
WITHIN_S = 3600


@pytest.mark.slow
@pytest.mark.parametrize("project", ["GAN", "VAE"])
def test_no_second_mistake_raises_the_score(project):
    script = REPOSITORY / "tests" / "kit" / "mistake_pairs.py"
    running = [
        subprocess.Popen(
            [sys.executable, script, project, str(PAIRS), f"{part}/{PARTS}"],
            cwd=REPOSITORY,
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in range(PARTS)
    ]
    for process in running:
        said, complaints = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 0, complaints
        first, *rises, last = said.strip().splitlines()
        assert (first, last) == (f"{PAIRS // PARTS} pairs", "done")
        assert not rises, "\n".join(rises)
