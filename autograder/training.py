"""Training a student's model for its FID, and drawing images from it: two processes, and only the first sees data."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from autograder.course import Course, Limits
from autograder.evidence import read_failure
from autograder.grades import TA_HAS_TO_LOOK
from autograder.kept_numbers import what_is_too_much_code, what_is_too_much_in
from autograder.probing import KIT, KIT_SEEN, ONE_THREAD, reason_given, sandbox_limits, what_stopped
from autograder.sandbox import limits as sandbox
from autograder.sandbox.evidence import ArraySpec, EvidenceError, read_any_arrays, read_arrays, read_json
from autograder.sandbox.limits import MB, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox
from coursekit import extractors
from coursekit.data import ImageSet, load_images
from coursekit.errors import DIVERGED, CourseError
from coursekit.evaluation import protocol_count
from coursekit.extractors import Extractor

# Images could be made for just the features that they are judged by.
_HIDDEN = {"kit/coursekit/extractors/lenet.pt": b""}
_WEIGHTS = ArraySpec(None, ("float32", "float64"), finite=False)


@dataclass(frozen=True)
class Trained:
    """One training run and what it drew.

    Attributes:
        seed: of weights, batches and noise.
        stopped: what stopped it, a clause; "" where it came to its end.
        samples: (N, channels, height, width), uint8; None where it was stopped.
    """

    seed: int
    stopped: str
    samples: np.ndarray | None


class _Stopped(Exception):
    """The student's code came to no result; the message is a clause that says why."""


def train(codes: Mapping[str, bytes], project: str, seed: int, course: Course, unsafe: bool = False) -> Trained:
    """Train one model of a student's at the assignment's default settings, and draw the images that its FID needs.

    The weights go from one sandbox to the next as arrays; the process that draws has never seen a training image. (Of
    the data sets, scikit-learn's digits lie in every process's reach, as they come with the package.)

    Args:
        codes: path below the folder that holds VAE and GAN -> content.
        project: "VAE" or "GAN".
        seed: of weights, batches and noise.
        course: what it is trained on, for how long, and within which limits.
        unsafe: without a sandbox, with the caller's own rights.
    Raises:
        CourseError: it can't be done here, whatever the student's code: no data set, no sandbox, no extractor.
    """
    images = real_images(course)
    count = protocol_count(chosen_extractor(course), images)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "codes")
        own = {name: content for name, content in codes.items() if name.startswith(f"{project}/")}
        _put(own, folder)
        try:
            _refuse(what_is_too_much_code(own))
            weights = _train(project, seed, folder, images, course, unsafe)
            _refuse(what_is_too_much_in(weights, project))
            samples = _sample(project, seed, folder, weights, (count, *images.train.shape[1:]), course.limits, unsafe)
        except _Stopped as stopped:
            return Trained(seed, str(stopped), None)
    return Trained(seed, "", samples)


def _refuse(what_is_too_much: str) -> None:
    """Raise _Stopped where a model keeps so much that it could be images."""
    if what_is_too_much:
        raise _Stopped(f"{what_is_too_much}: it could be images, so that {TA_HAS_TO_LOOK}")


def real_images(course: Course) -> ImageSet:
    """The data set that models are trained on; read once in a process.

    Raises:
        CourseError: it isn't there.
    """
    return _load(course.training.dataset, course.training.data_dir)


def chosen_extractor(course: Course) -> Extractor:
    """The extractor whose features FIDs are measured with; made once in a process.

    Raises:
        CourseError: its weights aren't there.
    """
    return _choose(course.fid.extractor)


_load, _choose = cache(load_images), cache(extractors.choose)


def _train(
    project: str, seed: int, codes: Path, images: ImageSet, course: Course, unsafe: bool
) -> dict[str, np.ndarray]:
    """Train in a sandbox; gives the trained model's state."""
    limits = replace(course.limits, cpu_s=course.training.cpu_s, wall_s=course.training.wall_s)
    pixels = codes.with_name("images.npy")
    np.save(pixels, images.train.numpy())
    pixels.chmod(0o644)
    arguments = [project, str(seed), str(course.training.steps), "/in/codes", "/in/images.npy", "/out"]
    inputs = {"codes": codes, "images.npy": pixels}
    outcome = _run("train", arguments, inputs, ("weights.json", "weights.npz"), limits, unsafe)
    facts = _facts(outcome, "weights.json")
    try:
        arrays = read_any_arrays(outcome.evidence["weights.npz"], _WEIGHTS, max_bytes=limits.file_mb * MB)
        names = facts["names"]
        if not isinstance(names, list) or set(map(type, names)) != {str} or set(arrays) != set(_numbers(names)):
            raise EvidenceError("they have no names")
    except (EvidenceError, KeyError) as error:
        raise _Stopped(f"its trained weights can't be read: {_said(error)}") from error
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise _Stopped(f"its trained weights have NaN or infinity in them: {DIVERGED}")
    return {name: arrays[number] for name, number in zip(names, _numbers(names), strict=True)}


def _sample(
    project: str,
    seed: int,
    codes: Path,
    weights: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    limits: Limits,
    unsafe: bool,
) -> np.ndarray:
    """Draw images of the shape (N, channels, height, width) in another sandbox."""
    stream = io.BytesIO()
    np.savez(stream, **dict(zip(_numbers(weights), weights.values(), strict=True)))
    arguments = [project, str(seed), str(shape[0]), "x".join(map(str, shape[1:]))]
    arguments += ["/in/codes", "/in/weights.npz", "/in/names.json", "/out"]
    names = json.dumps(list(weights)).encode()
    inputs = {"codes": codes, "weights.npz": stream.getvalue(), "names.json": names}
    outcome = _run("sample", arguments, inputs, ("sampling.json", "images.npz"), limits, unsafe)
    _facts(outcome, "sampling.json")
    try:
        expected = {"images": ArraySpec(shape, "uint8")}
        return read_arrays(outcome.evidence["images.npz"], expected, max_bytes=limits.file_mb * MB)["images"]
    except (EvidenceError, KeyError) as error:
        raise _Stopped(f"the images that it drew can't be read: {_said(error)}") from error


def _run(
    program: str,
    arguments: list[str],
    inputs: Mapping[str, bytes | Path],
    outputs: tuple[str, ...],
    limits: Limits,
    unsafe: bool,
) -> Outcome:
    """Run a program of autograder/probe; raises _Stopped where it comes to no good end."""
    outcome = run_in_sandbox(
        [PYTHON, "-m", f"autograder.probe.{program}", *arguments],
        inputs={**inputs, **KIT_SEEN, **_HIDDEN},
        limits=sandbox_limits(limits),
        outputs=outputs,
        environment={"PYTHONPATH": str(KIT) if unsafe else "/in/kit", **ONE_THREAD},
        unsafe=unsafe,
    )
    if outcome.status == sandbox.SANDBOX_FAILED:
        raise CourseError(f"the sandbox failed: {reason_given(outcome)}")
    if stopped := what_stopped(outcome, limits):
        raise _Stopped(stopped)
    return outcome


def _facts(outcome: Outcome, name: str) -> Mapping[str, object]:
    """What a program wrote down besides arrays; raises _Stopped with what stopped the student's code."""
    try:
        said = read_json(outcome.evidence[name])
        failures = [read_failure(one) for one in said["failures"].values()]
        facts = dict(said["facts"])
    except (EvidenceError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _Stopped("it left no results") from error
    if failures:
        raise _Stopped(failures[0].sentence())
    return facts


def _numbers(names: list[str] | Mapping[str, object]) -> list[str]:
    """What the arrays of these names are called in a file: any name could be one of np.savez's own."""
    return [str(number) for number in range(len(names))]


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EvidenceError) else "there are none"


def _put(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files that any user can read."""
    folder.mkdir(0o755)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        below.chmod(0o755)
