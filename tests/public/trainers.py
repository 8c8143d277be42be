"""The student's Trainer, made as main.py makes it: with data, and with a run that has main.py's flags."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from coursekit.data import Batches, ImageSet, scale
from coursekit.flags import run_parser
from coursekit.run import Run

from .student_code import Project

NUM_IMAGES = 250
VALUE_RANGES = {"VAE": (0, 1), "GAN": (-1, 1)}
FLAGS = {  # what each main.py adds to the flags of every run, and their defaults
    "VAE": {"latent_dim": 64, "batch_size": 32, "learning_rate": 1e-3},
    "GAN": {
        **{"latent_dim": 100, "batch_size": 64, "learning_rate": 2e-4, "beta1": 0.5},
        **{"generator_hidden_dim": 16, "discriminator_hidden_dim": 16},
    },
}


class QuietRun(Run):
    """A run that leaves nothing on the disk."""

    def log_scalars(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Draw no curve."""

    def log_images(self, step: int, name: str, images: Tensor, value_range: tuple[float, float]) -> None:
        """Draw no picture."""


class SomeImages:
    """What dataset.py's Dataset has, with random images."""

    def __init__(self, args: Namespace, value_range: tuple[float, float]):
        generator = torch.Generator().manual_seed(args.seed)
        train, validation = torch.randint(256, (2, NUM_IMAGES, 1, 32, 32), generator=generator, dtype=torch.uint8)
        labels = torch.zeros(NUM_IMAGES, dtype=torch.int64)
        self.images = ImageSet(args.dataset, train, validation, labels, labels)
        self.train = Batches(train, args.batch_size, args.seed, value_range)
        self._value_range = value_range

    def validation_batches(self, batch_size: int = NUM_IMAGES) -> Iterator[Tensor]:
        for pixels in self.images.validation.split(batch_size):
            yield scale(pixels, self._value_range)


@cache
def make_run(name: str) -> tuple[SomeImages, Run]:
    """Data and a run as main.py of VAE or GAN makes them, on the CPU; they seed the random numbers, as main.py does."""
    args = run_parser(name).parse_args(["--no_cuda"], Namespace(**FLAGS[name]))
    return SomeImages(args, VALUE_RANGES[name]), QuietRun(name, args)


def make_trainer(project: Project, *models_and_settings: nn.Module | float) -> object:
    """A Trainer of the student's.

    Args:
        models_and_settings: what main.py gives it before data and run.
    Raises:
        CodeStopped: it can't be made.
    """
    trainer_class = project.get("trainer.py", "Trainer")
    with project.running(f"{project.name}'s Trainer(..., data, run)"):
        return trainer_class(*models_and_settings, *make_run(project.name))
