"""The FID of a student's trained model, and the points that it gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from autograder.copies import count_copies
from autograder.course import Course
from autograder.grades import TA_HAS_TO_LOOK, CheckResult
from autograder.training import Trained, chosen_extractor, real_images
from coursekit.errors import CourseError
from coursekit.evaluation import generated_features, measure_floor, training_side
from coursekit.fid import distance_to

SCORING = (
    2  # raised where the same images would get another Score: what is kept of an earlier one is then measured anew
)
BELOW = 0.999  # of the floor; between it and the floor lie rounding errors

_LOOK_AT = {
    "VAE": (
        "look first at the checks that did not pass, then at TensorBoard's images: where the reconstructions are good "
        "and the samples are not, look at the KL divergence and the noise; where both are bad, at the layers and the "
        "reconstruction loss"
    ),
    "GAN": (
        "look first at the checks that did not pass, then at D(x), D(G(z1)) and D(G(z2)) in TensorBoard: where the "
        "first stays near 1 and the others near 0, G learns nothing; where the samples all look alike, G has collapsed"
    ),
}


@dataclass(frozen=True)
class Score:
    """The FID of one training run, as numbers and text that JSON can hold.

    Attributes:
        seed: the run's.
        fid: None where the run was stopped, or its images have none.
        stopped: why, a clause; "" where there is an FID.
        copied: how many of the samples that were looked at are copies of training images (see `copies`).
        looked_at: how many these were.
        most_copied: how many are no reason for doubt.
        images: how many there are on each side of the FID.
        floor: the distance between validation and training images, below which no model can be expected to come; None
            where there is no FID.
        floor_images: how many of them there are on each side.
        diverged: whether training left the finite numbers.
    """

    seed: int
    fid: float | None
    stopped: str = ""
    copied: int = 0
    looked_at: int = 0
    most_copied: int = 0
    images: int = 0
    floor: float | None = None
    floor_images: int = 0
    diverged: bool = False

    @property
    def is_of_copies(self) -> bool:
        """Whether too many samples are copies of training images."""
        return self.copied > self.most_copied

    @property
    def is_too_good(self) -> bool:
        """Whether the samples are nearer to the training images than other real images are."""
        return self.fid is not None and self.floor is not None and self.fid < BELOW * self.floor


def score(trained: Trained, project: str, course: Course) -> Score:
    """Measure the FID of what a model drew, and count the copies of training images in it. No student code runs here.

    Args:
        trained: what `autograder.training.train` gave.
        project: "VAE" or "GAN".
        course: with which extractor, and against which images.
    Raises:
        CourseError: the data set or the extractor isn't there.
    """
    if trained.samples is None:
        return Score(trained.seed, None, trained.stopped, diverged=trained.diverged)
    images, extractor, count = real_images(course), chosen_extractor(course), len(trained.samples)
    copies = count_copies(trained.samples, images)
    seen = {"copied": copies.copied, "looked_at": copies.looked_at, "most_copied": copies.most, "images": count}
    real = training_side(extractor, images, count)
    floor, floor_images = measure_floor(extractor, images, count)
    features = generated_features(extractor, torch.from_numpy(trained.samples))
    try:
        fid = distance_to(real, features)
    except CourseError as error:  # images that all look the same
        return Score(trained.seed, None, str(error), **seen)
    return Score(trained.seed, fid, **seen, floor=floor, floor_images=floor_images)


def is_borderline(scores: Sequence[Score], project: str, course: Course) -> bool:
    """Whether another seed may change the points, so that the seeds not yet trained should be.

    The best FID counts, so full points stay full points. Short of them, a VAE's FID is borderline near the edge of any
    band; a GAN's always is, since one run is no verdict on a GAN. Training that diverged may not with another seed;
    whatever else stopped the code would stop it again.

    Args:
        scores: of the seeds trained so far, at least one.
    """
    if _is_doubtful(scores) or {one.seed for one in scores} >= set(course.training.seeds):
        return False
    best = _best(scores)
    if best is None:
        return any(one.diverged for one in scores)
    edges = [factor * course.fid.threshold(project) for factor, _ in course.fid.bands]
    if best.fid < edges[0]:
        return False
    return project == "GAN" or any(abs(best.fid - edge) <= course.fid.borderline * edge for edge in edges)


def fid_check(project: str, scores: Sequence[Score], course: Course) -> CheckResult | None:
    """Give the points for a project's FID: the best of the seeds counts.

    Args:
        project: "VAE" or "GAN"; the check is called "vae.fid" or "gan.fid".
        scores: of the seeds that were trained; none where the submission computes what the reference does everywhere,
            and gets all the points without.
    Returns:
        None where the course measures no FIDs.
    """
    if course.fid.when == "never":
        return None
    check = f"{project.lower()}.fid"
    most = course.points.get(check, 0)
    edge = _number(course.fid.bands[0][0] * course.fid.threshold(project))
    title = f"The {project}'s samples have an FID below {edge} ({course.fid.extractor})"
    share, message = _judge(project, scores, course)
    return CheckResult(check, title, share == course.fid.bands[0][1], round(share * most, 6), most, message)


def _judge(project: str, scores: Sequence[Score], course: Course) -> tuple[float, str]:
    """Give the share of the points, and the message."""
    bands, threshold = course.fid.bands, course.fid.threshold(project)
    full = bands[0][1]
    context = _context(scores, threshold, course)
    if not scores:
        return full, f"not trained, since it computes what the reference solution does and trains like it ({context})"
    notes = [f"seed {one.seed} gave no FID: {one.stopped}" for one in scores if one.fid is None]
    notes += [
        f"seed {one.seed}: {one.copied:,} of {one.looked_at:,} samples looked at are training images, as they are or "
        "shifted, noisy, of another size or contrast, or two blended into one"
        for one in scores
        if one.is_of_copies
    ]
    best, fids = _best(scores), [f"{one.fid:.2f}" for one in scores if one.fid is not None]
    fid = f"FID {best.fid:.2f}" if best else "no FID"
    if len(fids) > 1:
        fid = f"best {fid} of {', '.join(fids)}"
    fid = f"{fid} ({context})"
    if any(one.is_of_copies for one in scores):
        return 0.0, "; ".join([f"copies, so that there are no points and {TA_HAS_TO_LOOK}", fid, *notes])
    if any(one.is_too_good for one in scores):
        why = f"below the floor, which no model can reach, so that there are no points and {TA_HAS_TO_LOOK}"
        return 0.0, "; ".join([f"{fid}: {why}", *notes])
    if best is None:
        return 0.0, "; ".join([fid, *notes, _LOOK_AT[project]])
    reached = [(factor, share) for factor, share in bands if best.fid < factor * threshold]
    if reached and reached[0][1] == full:
        return full, "; ".join([fid, *notes])
    factor, share = reached[0] if reached else (0.0, 0.0)
    given = f"below {factor:g} times the threshold, {share:.0%} of the points" if reached else "no points"
    return share, "; ".join([f"{fid}: {given}", *notes, _LOOK_AT[project]])


def _context(scores: Sequence[Score], threshold: float, course: Course) -> str:
    """What an FID is worth nothing without."""
    training, parts = course.training, [course.fid.extractor]
    drawn = next((one for one in scores if one.images), None)
    if drawn is None:
        parts.append(f"images of {training.dataset}")
    else:
        parts.append(f"{drawn.images:,} generated against {drawn.images:,} real images of {training.dataset}")
    measured = next((one for one in scores if one.floor is not None), None)
    if measured is not None:
        parts.append(f"floor {measured.floor:.2f} with {measured.floor_images:,}")
    parts.append(f"{training.steps:,} steps")
    if scores:
        parts.append(f"seed{'s' * (len(scores) > 1)} {', '.join(str(one.seed) for one in scores)}")
    return f"{', '.join(parts)}; threshold {_number(threshold)}"


def _best(scores: Sequence[Score]) -> Score | None:
    return min((one for one in scores if one.fid is not None), key=lambda one: one.fid, default=None)


def _is_doubtful(scores: Sequence[Score]) -> bool:
    return any(one.is_of_copies or one.is_too_good for one in scores)


def _number(value: float) -> str:
    """A threshold: 15, 4.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
