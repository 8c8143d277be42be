"""The zip that is uploaded to Gradescope as the autograder (its "Autograder Specifications")."""

import glob
from pathlib import Path

from autograder.leaks import REFERENCE
from coursekit.archive import pack
from coursekit.errors import CourseError
from coursekit.files import write_atomically

SCRIPTS = ("setup.sh", "run_autograder")  # at the top of the zip
_HERE = "autograder/gradescope"
CONTENTS = (
    "README.md",
    "pyproject.toml",
    "course.toml",
    "autograder/**/*.py",
    f"{_HERE}/requirements.txt",
    "code_analyze/*.py",
    "coursekit/**/*.py",
    "coursekit/extractors/*.json",
    "coursekit/extractors/*.pt",
    f"{REFERENCE}/*/*.py",
    f"{REFERENCE}/*/README.md",
    "tests/hidden/*.py",
)


def bundle(root: Path, out: Path) -> Path:
    """Write the zip: the kit, the graders, the solution, and the two scripts that Gradescope runs.

    Args:
        root: the repository.
        out: the zip.
    Raises:
        CourseError: something is missing in the repository, or the disk is full.
    """
    files = {name: (root / _HERE / name).read_bytes() for name in SCRIPTS}
    for pattern in CONTENTS:
        found = sorted(glob.glob(pattern, root_dir=root, recursive=True))
        if not found:
            raise CourseError(f"no {pattern} in {root}; run this in a whole copy of the repository")
        files |= {name.replace("\\", "/"): (root / name).read_bytes() for name in found}
    return write_atomically(out, pack(files, executable=SCRIPTS))
