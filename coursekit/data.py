"""Image sets, whole in memory, and the batches that training sees.

An image set is loaded once as uint8, resized once to 32x32, and never touched image by image again: a batch is one
index-select, one cast and one scaling.
"""

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coursekit.errors import CourseError

IMAGE_SIZE = 32
DATA_DIR_VARIABLE = "COURSEKIT_DATA_DIR"
DOWNLOAD_TIMEOUT_S = 20
DIGITS_VALIDATION = 597  # of the 1,797 digits: a third, so that FID's floor has enough images
SPLIT_SEED = 0  # the split of a set that comes without one is the same for everybody
RESIZE_CHUNK = 4096  # images resized at a time, which bounds the memory it takes


@dataclass(frozen=True)
class ImageSet:
    """A data set: its images as uint8 and their labels.

    Attributes:
        name: what `--dataset` calls it.
        train, validation: (N, channels, height, width), uint8.
        train_labels, validation_labels: (N,), int64.
    """

    name: str
    train: torch.Tensor
    validation: torch.Tensor
    train_labels: torch.Tensor
    validation_labels: torch.Tensor


def num_channels(name: str) -> int:
    """Channels of a data set's images, known before they are loaded: 1 for grey, 3 for colour.

    Raises:
        CourseError: no such data set.
    """
    return _source(name).num_channels


def load_images(name: str, data_dir: Path | str = "data") -> ImageSet:
    """Load a data set and resize it to 32x32.

    Args:
        name: one of DATASETS.
        data_dir: where data sets lie, or are downloaded to. The folder that the environment variable
            COURSEKIT_DATA_DIR names is looked in as well.
    Raises:
        CourseError: no such data set, its files are missing and can't be downloaded, or they are damaged.
    """
    train, validation, train_labels, validation_labels = _source(name).load(Path(data_dir))
    return ImageSet(name, resize(train), resize(validation), train_labels, validation_labels)


def resize(images: torch.Tensor, size: int = IMAGE_SIZE) -> torch.Tensor:
    """Resize (N, channels, height, width) uint8 images to size x size, bilinear, as torchvision's `Resize` does."""
    from torchvision.transforms.v2 import functional

    if images.shape[-2:] == (size, size):
        return images
    resized = images.new_empty((*images.shape[:2], size, size))
    for start in range(0, len(images), RESIZE_CHUNK):
        part = slice(start, start + RESIZE_CHUNK)
        resized[part] = functional.resize_image(images[part], [size, size], antialias=True)
    return resized


class Batches:
    """Endless shuffled batches, where the batch of a step depends on (seed, step) and on nothing else.

    Every epoch visits each image at most once, in an order of its own; a last, smaller batch is left out.

    Args:
        images: (N, channels, height, width), uint8.
        value_range: the (lowest, highest) pixel value that the model sees, such as (0, 1) or (-1, 1).
        device: where the images are kept and the batches come out.
    Raises:
        CourseError: a batch has more images than there are.
    """

    def __init__(
        self,
        images: torch.Tensor,
        batch_size: int,
        seed: int = 0,
        value_range: tuple[float, float] = (0, 1),
        device: torch.device | str = "cpu",
    ):
        if batch_size > len(images):
            raise CourseError(
                f"--batch_size {batch_size} is more than the {len(images)} training images that there are"
            )
        self.images = images.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.value_range = value_range
        self.steps_per_epoch = len(images) // batch_size
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> torch.Tensor:
        """The batch of a step, counted from 1: (batch_size, channels, height, width), float32."""
        epoch, position = divmod(step - 1, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        start = position * self.batch_size
        return scale(self.images.index_select(0, self._order[start : start + self.batch_size]), self.value_range)

    def _shuffled(self, epoch: int) -> torch.Tensor:
        seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self.images), generator=generator).to(self.images.device)


def scale(images: torch.Tensor, value_range: tuple[float, float]) -> torch.Tensor:
    """uint8 images -> float32 images of the same shape, 0 becoming the lowest and 255 the highest value."""
    lowest, highest = value_range
    scaled = images.to(torch.float32).div_(255 / (highest - lowest))
    return scaled.add_(lowest) if lowest else scaled


def unscale(images: torch.Tensor, value_range: tuple[float, float]) -> torch.Tensor:
    """Float images -> uint8 images of the same shape, the inverse of `scale`, rounding to the nearest grey level.

    NaN has no grey level: check before.
    """
    lowest, highest = value_range
    return ((images.float() - lowest) * (255 / (highest - lowest))).round_().clamp_(0, 255).to(torch.uint8)


def _torchvision_digits(class_name: str, title: str) -> Callable[[Path], tuple[torch.Tensor, ...]]:
    """A loader for the MNIST family of torchvision, which all share one layout: root/<class name>/raw."""

    def load(data_dir: Path) -> tuple[torch.Tensor, ...]:
        from torchvision import datasets

        dataset = getattr(datasets, class_name)
        roots = [data_dir]
        if os.environ.get(DATA_DIR_VARIABLE):
            roots.append(Path(os.environ[DATA_DIR_VARIABLE]))
        for root in roots:
            with contextlib.suppress(FileNotFoundError):
                return _read(dataset, root, title)
        _download(dataset, data_dir, title, roots, class_name)
        return _read(dataset, data_dir, title)

    return load


def _read(dataset: type, root: Path, title: str) -> tuple[torch.Tensor, ...]:
    try:
        train, validation = dataset(root, train=True), dataset(root, train=False)
    except RuntimeError as error:
        if "not found" in str(error):  # torchvision's word for a folder that doesn't hold the set
            raise FileNotFoundError(root) from error
        raise _damaged(title, root, dataset) from error
    except (ValueError, AssertionError, EOFError, OSError) as error:
        raise _damaged(title, root, dataset) from error
    for split in (train, validation):
        if split.data.ndim != 3 or len(split.data) != len(split.targets) or not len(split.data):
            raise _damaged(title, root, dataset)
    return train.data.unsqueeze(1), validation.data.unsqueeze(1), train.targets, validation.targets


def _damaged(title: str, root: Path, dataset: type) -> CourseError:
    folder = root / dataset.__name__ / "raw"
    return CourseError(
        f"the {title} files under {folder} are damaged: delete that folder and run again to fetch them anew"
    )


def _download(dataset: type, data_dir: Path, title: str, roots: list[Path], class_name: str) -> None:
    import socket

    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        print(f"downloading {title} to {data_dir} ...", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):  # torchvision tells of every mirror that it tries
            dataset(data_dir, train=True, download=True)
    except (RuntimeError, OSError) as error:
        looked_in = " and ".join(str(root / class_name / "raw") for root in roots)
        raise CourseError(
            f"no {title} under {looked_in}, and no network to fetch it: give --data_dir (or set {DATA_DIR_VARIABLE}) "
            f"to a folder that holds {class_name}/raw, or try --dataset digits, which needs nothing"
        ) from error
    finally:
        socket.setdefaulttimeout(previous)


def _digits(data_dir: Path) -> tuple[torch.Tensor, ...]:
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels, which come with the package."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
    validation, train = order[:DIGITS_VALIDATION], order[DIGITS_VALIDATION:]
    return images[train], images[validation], labels[train], labels[validation]


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        load: data_dir -> training images, validation images (both (N, channels, height, width), uint8), training
            labels and validation labels (int64).
        num_channels: channels of an image.
    """

    load: Callable[[Path], tuple[torch.Tensor, ...]]
    num_channels: int


DATASETS: dict[str, Source] = {
    "mnist": Source(_torchvision_digits("MNIST", "MNIST"), num_channels=1),
    "fashion_mnist": Source(_torchvision_digits("FashionMNIST", "Fashion-MNIST"), num_channels=1),
    "digits": Source(_digits, num_channels=1),
}


def _source(name: str) -> Source:
    if name not in DATASETS:
        raise CourseError(f"no data set is called '{name}': choose one of {', '.join(DATASETS)}")
    return DATASETS[name]
