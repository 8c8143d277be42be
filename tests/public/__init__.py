"""What a student can check before handing in; conftest.py says how."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("coursekit") is None:  # "pytest" in place of "python -m pytest", in a kit that isn't installed
    sys.path.append(str(Path(__file__).resolve().parents[2]))
