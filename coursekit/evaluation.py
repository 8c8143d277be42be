"""FID of a trained model, always with what makes the number worth something: extractor, images, seed, floor."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from coursekit import extractors
from coursekit.curves import log_fid
from coursekit.data import ImageSet, unscale
from coursekit.errors import DIVERGED, CourseError
from coursekit.extractors import Extractor
from coursekit.fid import RealSide, cached_real_side, distance_to
from coursekit.files import write_atomically
from coursekit.run import Run

CACHE_DIR_VARIABLE = "COURSEKIT_CACHE_DIR"
GENERATE_BATCH = 250  # fixed, so that rounding does not depend on the machine


@dataclass(frozen=True)
class Score:
    """An FID with its context; `fid.json` holds these fields.

    Attributes:
        fid: generated against real.
        floor: real against real: as many validation images as `floor_images` against as many training images. No
            model can be expected to score below it.
        extractor, extractor_weights_sha256: what the features were taken with. FIDs of two extractors don't compare.
        dataset: where the real images are from: the first ones of the training split.
        real_images, generated_images, floor_images: how many on each side. FID depends on it.
        seed: of the noise.
        step: of the checkpoint, 0 for a model that was never trained.
        settings: the run's.
    """

    fid: float
    floor: float
    extractor: str
    extractor_weights_sha256: str
    dataset: str
    real_images: int
    generated_images: int
    floor_images: int
    seed: int
    step: int
    settings: dict

    def __str__(self) -> str:
        weights = self.extractor_weights_sha256[:8]
        floor = f"floor {self.floor:.2f}"
        if self.floor_images != self.real_images:
            floor += f" with {self.floor_images:,}"
        return (
            f"FID {self.fid:.2f} ({floor}, {self.extractor} {weights}, {self.generated_images:,} generated against "
            f"{self.real_images:,} real images of {self.dataset}, step {self.step:,}, seed {self.seed})"
        )


def evaluate_fid(
    run: Run,
    images: ImageSet,
    generate: Callable[[torch.Tensor], torch.Tensor],
    noise_shape: tuple[int, ...],
    value_range: tuple[float, float],
) -> Score:
    """Score a run's newest checkpoint by FID; print it, log it, and store it as fid.json beside the checkpoint.

    Args:
        run: its tracked model is restored first; where there is no checkpoint, the fresh model is scored.
        images: the data set.
        generate: standard normal noise (n, *noise_shape) -> n images with pixels in `value_range`, in evaluation mode.
    Raises:
        CourseError: images that no FID can be computed from, or more asked for than there are.
    """
    args = run.args
    extractor = extractors.choose(args.fid_extractor, args.inception_weights, run.device)
    count = _count(args.fid_samples, extractor, images)
    step = run.restore()
    if not step:
        print(f"no checkpoint in {run.folder}: scoring the freshly initialised model; --do_train trains it")

    fake = generate_images(generate, noise_shape, count, args.seed, value_range, run.device)
    fid = distance_to(training_side(extractor, images, count), generated_features(extractor, fake))
    floor, floor_count = measure_floor(extractor, images, count)
    score = Score(
        fid=fid,
        floor=floor,
        extractor=extractor.name,
        extractor_weights_sha256=extractor.weights_hash,
        dataset=images.name,
        real_images=count,
        generated_images=count,
        floor_images=floor_count,
        seed=args.seed,
        step=step,
        settings=run.settings,
    )
    stored = write_atomically(run.folder / "fid.json", json.dumps(asdict(score), indent=2) + "\n")
    log_fid(run.log_folder, step, fid)
    print(score)
    print(f"pictures and {stored.name}: {run.folder}")
    print(f"curves: tensorboard --logdir {run.log_folder.parent}")
    return score


def generate_images(
    generate: Callable[[torch.Tensor], torch.Tensor],
    noise_shape: tuple[int, ...],
    count: int,
    seed: int,
    value_range: tuple[float, float],
    device: torch.device | str,
) -> torch.Tensor:
    """Generate `count` images as uint8, (count, channels, height, width), from noise that `seed` alone determines.

    Raises:
        CourseError: the model gives NaN or infinity.
    """
    noise = torch.randn((count, *noise_shape), generator=torch.Generator().manual_seed(seed))
    made = []
    with torch.no_grad():
        for part in noise.split(GENERATE_BATCH):
            images = generate(part.to(device))
            if not torch.isfinite(images).all():
                raise CourseError(f"the generated images contain NaN or infinity: {DIVERGED}")
            made.append(unscale(images, value_range).cpu())
    return torch.cat(made)


def protocol_count(extractor: Extractor, images: ImageSet) -> int:
    """How many images a reported FID takes on each side: the protocol's number, or all that both splits have."""
    return min(extractor.protocol_images, len(images.train), len(images.validation))


def training_side(extractor: Extractor, images: ImageSet, count: int) -> RealSide:
    """The real side of an FID: the first `count` training images. Cached on disk."""
    path = _cache_folder() / f"{_cache_key(extractor, images, count)}.npz"
    return cached_real_side(path, lambda: extractor.features(images.train[:count], "features of the real images"))


def generated_features(extractor: Extractor, images: torch.Tensor) -> torch.Tensor:
    """The features of generated images."""
    return extractor.features(images, "features of the generated images")


def measure_floor(extractor: Extractor, images: ImageSet, count: int) -> tuple[float, int]:
    """The distance between validation and training images: what sampling alone makes of two equal sets. Cached on disk.

    Args:
        count: how many images the FID takes on each side.
    Returns:
        the floor, and how many images on each side it was taken with: `count`, or all that the validation split has.
    """
    count = min(count, len(images.validation))
    validation = images.validation[:count]
    path = _cache_folder() / f"{_cache_key(extractor, images, count)}-{_digest(validation)}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(path.read_text())["floor"]), count
    features = extractor.features(validation, "features of the validation images")
    floor = distance_to(training_side(extractor, images, count), features)
    with contextlib.suppress(CourseError):  # a cache that can't be written costs time, not the result
        write_atomically(path, json.dumps({"floor": floor}) + "\n")
    return floor, count


def _count(wanted: int | None, extractor: Extractor, images: ImageSet) -> int:
    """How many images on each side: what the user wants, else the protocol's number or all that both splits have."""
    if wanted is None:
        return protocol_count(extractor, images)
    if not 2 <= wanted <= len(images.train):
        raise CourseError(
            f"--fid_samples {wanted} does not lie in 2 ... {len(images.train)}, the images that {images.name} has"
        )
    return wanted


def _cache_folder() -> Path:
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coursekit"


def _cache_key(extractor: Extractor, images: ImageSet, count: int) -> str:
    """All that the features of the first training images depend on, as part of a file's name."""
    digest = _digest(images.train[:count])
    return f"{images.name}-{count}-{digest}-{extractor.name}-{extractor.weights_hash[:16]}"


def _digest(images: torch.Tensor) -> str:
    return hashlib.sha256(images.contiguous().numpy()).hexdigest()[:16]
