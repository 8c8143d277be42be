"""What the tests of the kit share: the reference's modules, small data sets, runs of main.py as a user makes them."""

import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from autograder.sandbox.start import unsafe_user
from coursekit.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = REPOSITORY / "reference_solution"
STUDENT_MODULES = ("dataset", "model", "trainer")

# A shell ignores these for what it runs in the background, and so would all that is started here.
for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


def bubblewrap_works() -> bool:
    """Whether this machine lets bubblewrap make namespaces: some containers have it and forbid them."""
    if shutil.which("bwrap") is None:
        return False
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0


needs_bubblewrap = pytest.mark.skipif(
    not bubblewrap_works(), reason="bubblewrap is not installed, or may not make namespaces here"
)


def unsafe_works() -> bool:
    """Whether code can be run without a sandbox here: as root, that takes a Python that every user can read."""
    try:
        unsafe_user([REPOSITORY])
    except CourseError:
        return False
    return True


needs_unsafe = pytest.mark.skipif(
    not unsafe_works(), reason="root runs code without a sandbox only where everybody can read this Python and the kit"
)
needs_any_way = pytest.mark.skipif(
    not (unsafe_works() or bubblewrap_works()), reason="code can be run neither in a sandbox nor without one here"
)


def load_student_modules(folder: Path) -> dict[str, ModuleType]:
    """dataset, model and trainer of one project folder, loaded without leaving them in sys.modules."""
    loaded = {}
    try:
        for name in STUDENT_MODULES:
            spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
            loaded[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])
    finally:
        for name in STUDENT_MODULES:
            sys.modules.pop(name, None)
    return loaded


@pytest.fixture(scope="session")
def vae() -> dict[str, ModuleType]:
    return load_student_modules(REFERENCE / "VAE")


@pytest.fixture(scope="session")
def gan() -> dict[str, ModuleType]:
    return load_student_modules(REFERENCE / "GAN")


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder that holds real MNIST; where there is none the test is skipped."""
    for folder in (os.environ.get("COURSEKIT_DATA_DIR"), REPOSITORY.parent / "shared" / "mnist"):
        if folder and (Path(folder) / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
            return Path(folder)
    pytest.skip("no real MNIST here: set COURSEKIT_DATA_DIR to the folder that holds MNIST/raw")


def main_command(folder: Path, *flags: object) -> list[str]:
    return [sys.executable, str(folder / "main.py"), *map(str, flags)]


@pytest.fixture
def run_main(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a project's main.py in a folder of its own, with no network and no cache of the user's."""

    def run(project: str | Path, *flags: object, cwd: Path = tmp_path, **environment: str):
        folder = REFERENCE / project if isinstance(project, str) else project
        return subprocess.run(
            main_command(folder, *flags),
            cwd=cwd,
            env=user_environment(tmp_path, **environment),
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def user_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user whose caches are empty and whose warnings would be seen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURSEKIT_", "XDG_", "TORCH_"))}
    return {**kept, "HOME": str(home), "PYTHONWARNINGS": "default", **more}


def write_mnist_like(root: Path, images: int = 40, class_name: str = "MNIST", seed: int = 0) -> Path:
    """Write a small data set in MNIST's IDX files under root; returns the folder of the files."""
    folder = root / class_name / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for split in ("train", "t10k"):
        pixels = rng.integers(0, 256, (images, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, images, dtype=np.uint8)
        header = struct.pack(">IIII", 0x803, images, 28, 28)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, images) + labels.tobytes())
    return folder
