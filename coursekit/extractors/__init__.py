"""Networks that turn images into the features between which FID measures.

Nothing here imports torch until an extractor is chosen, so that `--help` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coursekit.errors import CourseError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

EXTRACTOR_NAMES = ("auto", "inception", "lenet")
BAR_DELAY_S = 2  # a run that is over sooner shows no progress bar


@dataclass(frozen=True)
class Extractor:
    """A network with fixed weights that turns images into features. The same images give the same features.

    Attributes:
        name: "inception" or "lenet". FIDs of different extractors can't be compared.
        weights_hash: sha256 of the weights file, in hexadecimal.
        num_features: the length of an image's feature vector.
        protocol_images: how many images a reported FID takes on each side.
        extract: (n, 1 or 3, height, width) uint8 on `device` -> (n, num_features).
        batch_size: how many images `extract` is given at a time.
        device: where the network is.
    """

    name: str
    weights_hash: str
    num_features: int
    protocol_images: int
    extract: Callable[[torch.Tensor], torch.Tensor]
    batch_size: int
    device: torch.device | str = "cpu"

    def features(self, images: torch.Tensor, description: str = "features") -> torch.Tensor:
        """(N, 1 or 3, height, width) uint8 images -> (N, num_features) float64 features, on the CPU.

        Args:
            images: on any device.
            description: what stands before the progress bar, which a terminal shows where this takes long.
        """
        import torch
        from tqdm import tqdm

        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"{self.name} wants uint8 images of shape (N, 1 or 3, height, width), "
                f"not {str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
            )
        features = torch.empty(len(images), self.num_features, dtype=torch.float64)
        with (
            torch.no_grad(),
            tqdm(
                total=len(images), desc=description, unit="image", delay=BAR_DELAY_S, disable=None, leave=False
            ) as bar,
        ):
            for start in range(0, len(images), self.batch_size):
                part = images[start : start + self.batch_size]
                features[start : start + len(part)] = self.extract(part.to(self.device))
                bar.update(len(part))
        return features


def choose(name: str, inception_weights: Path | str | None = None, device: torch.device | str = "cpu") -> Extractor:
    """The extractor of a name.

    Args:
        name: one of EXTRACTOR_NAMES. "auto" takes Inception where its weights are at hand or can be downloaded, lenet
            elsewhere, and prints in one line which and why.
        inception_weights: a file to read Inception's weights from.
        device: where the network runs.
    Raises:
        CourseError: no such extractor, or its weights are missing or not what they should be.
    """
    if name not in EXTRACTOR_NAMES:
        raise CourseError(f"no FID extractor is called '{name}': choose one of {', '.join(EXTRACTOR_NAMES)}")
    if name == "lenet":
        from coursekit.extractors import lenet

        return lenet.load(device)
    from coursekit.extractors import inception

    if name == "inception":
        return inception.load(inception_weights, device)
    return inception.load_or_lenet(inception_weights, device)
