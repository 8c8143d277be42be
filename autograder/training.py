"""Training a student's model for its FID, and drawing images from it: two processes, and only the first sees data."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autograder import limited
from autograder.course import Course, Limits
from autograder.grades import TA_HAS_TO_LOOK
from autograder.kept_numbers import what_is_too_much_code, what_is_too_much_in
from autograder.probing import KIT, KIT_SEEN, ONE_THREAD, put_down, reason_given, sandbox_limits, what_stopped
from autograder.sandbox import limits as sandbox
from autograder.sandbox.limits import MB, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox
from autograder.scratch import scratch_folder
from autograder.training_results import DRAWN, TRAINED, Stopped, Weights, read_images, read_weights
from coursekit import extractors
from coursekit.data import ImageSet, load_images
from coursekit.errors import CourseError
from coursekit.evaluation import protocol_count
from coursekit.extractors import Extractor

IDLE_S = 60  # without computing anything: it waits for what never comes
# Images could be made for just the features that they are judged by.
_HIDDEN = {"kit/coursekit/extractors/lenet.pt": b""}


@dataclass(frozen=True)
class Trained:
    """One training run and what it drew.

    Attributes:
        seed: of weights, batches and noise.
        stopped: what stopped it, a clause; "" where it came to its end.
        samples: (N, channels, height, width), uint8; None where it was stopped.
        diverged: whether training left the finite numbers, which it may not do from another seed.
    """

    seed: int
    stopped: str
    samples: np.ndarray | None
    diverged: bool = False


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
    with scratch_folder() as scratch:
        scratch.chmod(0o711)  # the code may run as another user
        folder = scratch / "codes"
        own = {name: content for name, content in codes.items() if name.startswith(f"{project}/")}
        put_down(own, folder)
        try:
            _refuse(what_is_too_much_code(own))
            weights = _train(project, seed, folder, images, course, unsafe)
            _refuse(what_is_too_much_in(weights.count, project))
            samples = _sample(project, seed, folder, weights, (count, *images.train.shape[1:]), course.limits, unsafe)
        except Stopped as stopped:
            return Trained(seed, stopped.reason, None, stopped.diverged)
    return Trained(seed, "", samples)


def _refuse(what_is_too_much: str) -> None:
    """Raise Stopped where a model keeps so much that it could be images."""
    if what_is_too_much:
        raise Stopped(f"{what_is_too_much}: it could be images, so that {TA_HAS_TO_LOOK}")


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


def _train(project: str, seed: int, codes: Path, images: ImageSet, course: Course, unsafe: bool) -> Weights:
    """Train in a sandbox; gives the trained model's state."""
    limits = replace(course.limits, cpu_s=course.training.cpu_s, wall_s=course.training.wall_s)
    pixels = codes.with_name("images.npy")
    np.save(pixels, images.train.numpy())
    pixels.chmod(0o644)
    arguments = [project, str(seed), str(course.training.steps), "/in/codes", "/in/images.npy", "/out"]
    outcome = _run("train", arguments, {"codes": codes, "images.npy": pixels}, TRAINED, limits, unsafe)
    return _read(read_weights, outcome.evidence, limits.file_mb * MB)


def _sample(
    project: str,
    seed: int,
    codes: Path,
    weights: Weights,
    shape: tuple[int, ...],
    limits: Limits,
    unsafe: bool,
) -> np.ndarray:
    """Draw images of the shape (N, channels, height, width) in another sandbox."""
    arguments = [project, str(seed), str(shape[0]), "x".join(map(str, shape[1:]))]
    arguments += ["/in/codes", "/in/weights.npz", "/in/names.json", "/out"]
    names = json.dumps(weights.names).encode()
    inputs = {"codes": codes, "weights.npz": weights.arrays, "names.json": names}
    outcome = _run("sample", arguments, inputs, DRAWN, limits, unsafe)
    return _read(read_images, outcome.evidence, shape, limits.file_mb * MB)


def _read(function: Callable[..., Any], *arguments: Any) -> Any:
    """Read what a program left, in a process with limits."""
    try:
        return limited.call(function, *arguments)
    except limited.LimitError as error:
        raise Stopped(f"its results could not be read: {error}") from error


def _run(
    program: str,
    arguments: list[str],
    inputs: Mapping[str, bytes | Path],
    outputs: tuple[str, ...],
    limits: Limits,
    unsafe: bool,
) -> Outcome:
    """Run a program of autograder/probe; raises Stopped where it comes to no good end."""
    allowed = sandbox_limits(limits, idle_s=IDLE_S)
    outcome = run_in_sandbox(
        [PYTHON, "-m", f"autograder.probe.{program}", *arguments],
        inputs={**inputs, **KIT_SEEN, **_HIDDEN},
        limits=allowed,
        outputs=outputs,
        environment={"PYTHONPATH": str(KIT) if unsafe else "/in/kit", **ONE_THREAD},
        unsafe=unsafe,
    )
    if outcome.status == sandbox.SANDBOX_FAILED:
        raise CourseError(f"the sandbox failed: {reason_given(outcome)}")
    if stopped := what_stopped(outcome, allowed):
        raise Stopped(stopped)
    return outcome
