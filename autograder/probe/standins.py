"""What stands in the place of main.py's run and data where a student's Trainer is tried or trained."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from autograder.probe.plans import BETA1, HIDDEN_DIM, PLANS
from coursekit import speed
from coursekit.data import Batches, scale
from coursekit.errors import CourseError
from coursekit.flags import run_parser
from coursekit.run import Run, finite_numbers


class Diverged(CourseError):
    """Numbers that were finite at first no longer are. Whatever a student's code raises itself is something else."""


class QuietRun(Run):
    """In the place of a run: it draws the same numbers and makes the same steps, and writes no files.

    Args:
        name: of the project.
        seed: of all that is drawn.
        steps: how long it is; None as long as main.py's by default.
    """

    def __init__(self, name: str, seed: int = 0, steps: int | None = None):
        length = [] if steps is None else ["--num_train_steps", str(steps)]
        args = run_parser(name).parse_args(["--do_train", "--no_cuda", "--seed", str(seed), *length])
        plan = PLANS[name]
        args.latent_dim, args.batch_size, args.learning_rate = plan.latent_dim, plan.batch_size, plan.learning_rate
        if name == "GAN":
            args.beta1, args.generator_hidden_dim, args.discriminator_hidden_dim = BETA1, HIDDEN_DIM, HIDDEN_DIM
        super().__init__(name, args)
        self.has_stepped = False

    def restore(self) -> int:
        """There is no checkpoint."""
        return 0

    def steps(self, batches: Batches, num_steps: int, saving_steps: int) -> Iterator[tuple[int, Tensor]]:
        """All the steps and their batches."""
        speed.keep_freed_memory()
        for step in range(1, num_steps + 1):
            yield step, batches[step]
            self.has_stepped = True

    def log_scalars(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """No curves, but training that has diverged is stopped.

        Raises:
            Diverged: a value is NaN or infinite.
        """
        try:
            finite_numbers(step, values)
        except CourseError as error:
            raise Diverged(str(error)) from None

    def log_images(self, step: int, name: str, images: Tensor, value_range: tuple[float, float]) -> None:
        """No pictures."""


class QuietData:
    """In the place of the Dataset: all the batches, and for the curves that nobody sees one batch of validation.

    Args:
        pixels: (N, channels, height, width), uint8.
        name: of the project.
        seed: of the order in which they come.
    """

    def __init__(self, pixels: Tensor, name: str, seed: int):
        plan = PLANS[name]
        self.train = Batches(pixels, plan.batch_size, seed, plan.value_range)
        self._validation = scale(pixels[: plan.batch_size], plan.value_range)

    def validation_batches(self, batch_size: int = 250) -> Iterator[Tensor]:
        """The one batch."""
        yield self._validation.clone()


def stand_ins(name: str) -> tuple[QuietData, QuietRun]:
    """Data and a run for a Trainer whose methods are called one by one: there is one batch, of grey images."""
    pixels = torch.full((PLANS[name].batch_size, 1, 32, 32), 128, dtype=torch.uint8)
    return QuietData(pixels, name, seed=0), QuietRun(name)
