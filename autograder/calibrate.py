"""Calibrating FID's thresholds: what the reference solution itself scores over several seeds, and its spread."""

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from autograder.course import Course, read_course
from autograder.fid_points import Score, score
from autograder.probing import read_codes
from autograder.progress import Tracker
from autograder.training import chosen_extractor, train
from coursekit.errors import CourseError
from coursekit.files import write_atomically
from coursekit.requirements import PROJECTS

DEVIATIONS = 3  # that a run may lie above the mean of the reference's runs, and still pass
MARGIN = 0.4  # of the mean, where the spread is smaller; so far does the assignment let Inception's FIDs lie above
DIGITS = 2  # of a threshold


@dataclass(frozen=True)
class Spread:
    """What the reference scored.

    Attributes:
        scores: one for each seed, at least two, each with an FID.
    """

    project: str
    scores: tuple[Score, ...]

    @property
    def fids(self) -> list[float]:
        """Of each seed."""
        return [one.fid for one in self.scores]

    @property
    def threshold(self) -> float:
        """What is proposed."""
        return threshold_of(self.fids)

    def __str__(self) -> str:
        seeds = ", ".join(str(one.seed) for one in self.scores)
        return f"{mean(self.fids):.2f} ± {stdev(self.fids):.2f} of seeds {seeds}"


def calibrate(course_path: Path, reference_dir: Path, out: Path, write: bool, unsafe: bool) -> None:
    """Train the reference solution as a submission is, with every seed, and print what thresholds follow.

    A run that is in `out` already, from the same code, data set, steps and extractor, is not made again: a calibration
    that was stopped goes on.

    Args:
        course_path: course.toml: the extractor, the data set, the steps, the seeds.
        reference_dir: the folder that holds the reference's VAE and GAN.
        out: for a JSON file of each run.
        write: put the thresholds into course.toml too; its comments and its layout stay.
        unsafe: train without a sandbox.
    Raises:
        CourseError: there is one seed only, the reference gave no FID, or something can't be read or written.
    """
    course = read_course(course_path)
    _check_seeds(course, course_path)
    codes = read_codes(reference_dir)
    missing = [project for project in PROJECTS if not any(name.startswith(f"{project}/") for name in codes)]
    if missing:
        raise CourseError(
            f"{reference_dir}: no {missing[0]}/*.py in it; it must be the folder of the reference solution"
        )
    runs = list(product(PROJECTS, course.training.seeds))
    scores: dict[str, list[Score]] = {project: [] for project in PROJECTS}
    with Tracker("training", "run", len(runs)) as tracker:
        for project, seed in runs:
            tracker.say(f"{project}, seed {seed}")
            scores[project].append(_score_once(codes, project, seed, course, out, unsafe))
            tracker.update()
    spreads = [Spread(project, tuple(found)) for project, found in scores.items()]
    print(table(spreads, course))
    if write:
        _write(course_path, course.fid.extractor, spreads)
        print(f"written to {course_path}")


def threshold_of(fids: Sequence[float]) -> float:
    """The threshold that the reference's own FIDs give.

    It lies above their mean by three standard deviations, or by 40 % of the mean where that is more, and is rounded to
    two digits. Of few values the standard deviation comes out too small on average; it is divided by what remains of it
    (c4, for normal values: 0.80 of two, 0.89 of three, 0.94 of five).

    Args:
        fids: two or more.
    """
    count, average = len(fids), mean(fids)
    c4 = math.sqrt(2 / (count - 1)) * math.exp(math.lgamma(count / 2) - math.lgamma((count - 1) / 2))
    limit = average + max(DEVIATIONS * stdev(fids) / c4, MARGIN * average)
    return float(f"{limit:.{DIGITS}g}")


def table(spreads: Sequence[Spread], course: Course) -> str:
    """What the reference scored, a row for each project."""
    training = course.training
    head = ["project", "extractor", "N", *(f"seed {seed}" for seed in training.seeds), "mean", "sd", "now", "proposed"]
    rows = [head]
    for spread in spreads:
        numbers = [*spread.fids, mean(spread.fids), stdev(spread.fids)]
        now = course.fid.threshold(spread.project)
        images = f"{spread.scores[0].images:,}"
        row = [spread.project, course.fid.extractor, images, *(f"{number:.2f}" for number in numbers)]
        rows.append([*row, f"{now:g}", f"{spread.threshold:g}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([f"FID of the reference solution, {training.dataset}, {training.steps:,} steps", *lines])


def _check_seeds(course: Course, path: Path) -> None:
    if len(course.training.seeds) < 2:
        raise CourseError(
            f"{path}: training.seeds has one seed, and one run knows nothing of a spread; give it three or more"
        )


def _score_once(codes: Mapping[str, bytes], project: str, seed: int, course: Course, out: Path, unsafe: bool) -> Score:
    """Score a run of the reference's, or read what it scored."""
    training = course.training
    path = out / f"{project}-{training.dataset}-{training.steps}-{course.fid.extractor}-seed{seed}.json"
    conditions = _conditions(codes, project, course)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # not there, or damaged: it is made anew
        kept = json.loads(path.read_text("utf-8"))
        if kept["conditions"] == conditions:
            return Score(**kept["score"])
    scored = score(train(codes, project, seed, course, unsafe), project, course)
    if scored.fid is None:
        raise CourseError(f"the reference's {project} gave no FID with seed {seed}: {scored.stopped}")
    write_atomically(path, json.dumps({"conditions": conditions, "score": asdict(scored)}, indent=2) + "\n")
    return scored


def _conditions(codes: Mapping[str, bytes], project: str, course: Course) -> dict[str, object]:
    """All that a run's FID depends on besides its seed."""
    digest = hashlib.sha256()
    for name in sorted(name for name in codes if name.startswith(f"{project}/")):
        digest.update(f"{name}\0{len(codes[name])}\0".encode() + codes[name])
    extractor = chosen_extractor(course)
    return {
        "dataset": course.training.dataset,
        "steps": course.training.steps,
        "extractor": extractor.name,
        "extractor_weights_sha256": extractor.weights_hash,
        "code_sha256": digest.hexdigest(),
    }


def _write(path: Path, extractor: str, spreads: Sequence[Spread]) -> None:
    """Put thresholds into course.toml."""
    try:
        import tomlkit
    except ModuleNotFoundError as error:
        raise CourseError("tomlkit is not installed; pip install --editable '.[grade]'") from error
    document = tomlkit.parse(path.read_bytes().decode("utf-8"))
    for spread in spreads:
        value = tomlkit.item(int(spread.threshold) if spread.threshold.is_integer() else spread.threshold)
        document["fid"][extractor][spread.project] = value.comment(f"calibrated: {spread}")
    write_atomically(path, tomlkit.dumps(document).encode("utf-8"))
