"""A small classifier of MNIST digits whose last hidden layer serves as FID features, with no network needed.

The weights lie beside this file; `python -m coursekit.extractors.train_lenet` makes them, and lenet.json records how.
"""

import hashlib
import io
from pathlib import Path

import torch
from torch import nn

from coursekit.data import resize, scale
from coursekit.errors import CourseError
from coursekit.extractors import Extractor

NUM_FEATURES = 84  # as the last hidden layer of LeNet-5 has it
NUM_CLASSES = 10
PROTOCOL_IMAGES = 10_000
BATCH_SIZE = 250
WEIGHTS = Path(__file__).with_name("lenet.pt")


class LeNet(nn.Module):
    """LeNet-5's plan (LeCun et al., 1998) with ReLU, max-pooling and batch normalisation."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            _stage(1, 16),
            _stage(16, 32),
            _stage(32, 48),
            nn.Flatten(),
            nn.Linear(48 * 4 * 4, NUM_FEATURES, bias=False),
            nn.BatchNorm1d(NUM_FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, 32, 32) images with values in [0, 1] -> (N, NUM_FEATURES), the last hidden layer after its ReLU."""
        return self.body(images.contiguous(memory_format=torch.channels_last))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, 32, 32) images with values in [0, 1] -> (N, NUM_CLASSES) logits."""
        return self.head(self.features(images))


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def load(device: torch.device | str = "cpu") -> Extractor:
    """The extractor with the weights that come with the kit.

    Raises:
        CourseError: the weights file is missing or damaged.
    """
    network, weights_hash = load_network(device)

    def extract(images: torch.Tensor) -> torch.Tensor:
        return network.features(to_input(images))

    return Extractor("lenet", weights_hash, NUM_FEATURES, PROTOCOL_IMAGES, extract, BATCH_SIZE, device)


def load_network(device: torch.device | str = "cpu", weights: Path | str = WEIGHTS) -> tuple[LeNet, str]:
    """The trained network, ready for use and never trained further, and the sha256 of its weights file."""
    try:
        content = Path(weights).read_bytes()
    except OSError as error:
        raise CourseError(f"could not read {weights}: {error.strerror}; unpack the handout again") from error
    network = LeNet().to(memory_format=torch.channels_last)
    try:
        network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    except Exception as error:  # torch raises a type of its own for every way in which a file can be damaged
        raise CourseError(f"{weights} is damaged: unpack the handout again") from error
    return network.to(device).requires_grad_(False).eval(), hashlib.sha256(content).hexdigest()


def to_input(images: torch.Tensor) -> torch.Tensor:
    """(N, 1 or 3, height, width) uint8 images -> (N, 1, 32, 32) floats in [0, 1], colours averaged to grey."""
    images = resize(images)
    if images.shape[1] != 1:
        return images.float().mean(dim=1, keepdim=True).div_(255)
    return scale(images, (0, 1))
