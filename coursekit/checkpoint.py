"""Checkpoints: everything a stopped run needs to go on as if it had never stopped."""

import io
import random
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coursekit.errors import CourseError
from coursekit.files import TEMPORARY_SUFFIX, write_atomically

KEEP_NEWEST = 3  # the newest one may turn out damaged, and a run may be looked at while it goes on
_NAME = re.compile(r"step_(\d+)\.pt")


def save(folder: Path, step: int, parts: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step, then drop all but the newest few.

    Args:
        folder: the run's folder.
        step: the number of training steps done.
        parts: what has a `state_dict`, by name: modules and optimizers.
        settings: what the weights depend on; `load_newest` refuses a checkpoint with others.
    Raises:
        CourseError: it could not be written. The earlier checkpoints are untouched.
    """
    content = {
        "step": step,
        "settings": dict(settings),
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "random_states": random_states(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path = write_atomically(folder / f"step_{step:08d}.pt", buffer.getvalue())
    for _, old in _by_step(folder)[KEEP_NEWEST:]:
        old.unlink(missing_ok=True)
    return path


def load_newest(
    folder: Path, parts: Mapping[str, Any], settings: Mapping[str, Any], device: torch.device | str = "cpu"
) -> int:
    """Put the newest readable checkpoint's state into `parts` and into the random generators.

    A damaged checkpoint is named on stderr and set aside, and the one before it is taken.

    Returns:
        The number of steps done, 0 where there is no checkpoint.
    Raises:
        CourseError: the checkpoint was made with other settings, or with another model.
    """
    for step, path in _by_step(folder):
        content = _read(path, device)
        if content is None:
            aside = path.with_suffix(".pt.damaged")
            path.replace(aside)
            print(f"checkpoint {path} is damaged: set aside as {aside.name}", file=sys.stderr)
            continue
        _check_settings(path, content["settings"], settings)
        _fill(path, content["parts"], parts)
        restore_random_states(content["random_states"])
        return step
    return 0


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed write left behind. Only for whoever holds the folder's lock: a write may be under way."""
    for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def random_states() -> dict[str, Any]:
    """The states of all random generators that a training step may draw from: torch, CUDA, numpy, Python."""
    algorithm, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (algorithm, keys.tolist(), position, has_gauss, cached_gaussian),
        "python": random.getstate(),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    algorithm, keys, *rest = states["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(states["python"])


def _by_step(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a folder with their steps, newest first."""
    found = [(int(match[1]), path) for path in folder.glob("step_*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)


def _read(path: Path, device: torch.device | str) -> dict[str, Any] | None:
    """A checkpoint's content, or None where the file is not a whole checkpoint."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CourseError(f"could not read {path}: {error.strerror}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.testzip() is not None:  # torch.load itself does not look at the checksums
                return None
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except Exception:  # there are many ways to say that bytes are not a checkpoint
        return None
    expected = {"step", "settings", "parts", "random_states"}
    return content if isinstance(content, dict) and expected <= content.keys() else None


def _check_settings(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise CourseError(
                f"{path} was made with {name} {saved.get(name)}, this run has {name} {wanted.get(name)}: "
                f"give --{name} {saved.get(name)}, or another --ckpt_dir"
            )


def _fill(path: Path, saved: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        try:
            part.load_state_dict(saved[name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CourseError(
                f"{path} does not fit this {name}, which has other layers than when it was saved: "
                "undo the change, or give another --ckpt_dir to start afresh"
            ) from error
