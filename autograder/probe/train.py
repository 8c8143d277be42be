"""`python -m autograder.probe.train PROJECT SEED STEPS CODES_FOLDER IMAGES.npy OUT_FOLDER`: train a student's model.

It is trained as main.py does at the default settings, and leaves no checkpoints and no curves. OUT/weights.npz has the
arrays of its state, called 0, 1, 2, ...; OUT/weights.json has their names.
"""

import contextlib
import io
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autograder.probe.plans import BETA1, HIDDEN_DIM, PLANS, make_model
from autograder.probe.project import Project
from autograder.probe.record import Record
from autograder.probe.standins import Diverged, QuietData, QuietRun
from coursekit.errors import NO_PROBABILITIES, CourseError, is_about_probabilities

WEIGHTS = "weights"
LOGGING_STEPS = 10
NEVER = 10**9  # steps between two checkpoints


def main() -> None:
    """Read the six arguments and train."""
    if len(sys.argv) != 7:
        sys.exit("usage: python -m autograder.probe.train PROJECT SEED STEPS CODES_FOLDER IMAGES.npy OUT_FOLDER")
    name, seed, steps, codes, images, out = sys.argv[1:]
    pixels = torch.from_numpy(np.load(images, allow_pickle=False))
    project, record = Project(Path(codes), name), Record()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with record.part("training", project):
            try:
                state = train(project, pixels, int(seed), int(steps))
            except Diverged:
                record.fact("diverged", True)
                raise
            record.fact("names", list(state))
            for number, values in enumerate(state.values()):
                record.array(str(number), values)
    record.write(Path(out), WEIGHTS)


def train(project: Project, pixels: Tensor, seed: int, steps: int) -> Mapping[str, Tensor]:
    """Train a student's model.

    Args:
        project: the student's.
        pixels: (N, channels, height, width), uint8, what it learns from.
        seed: of weights, batches and noise.
        steps: how many.
    Returns:
        the state of the model that images are drawn from.
    Raises:
        Diverged: the losses are NaN or infinite.
        Exception: whatever the student's code raises.
    """
    plan, num_channels = PLANS[project.name], pixels.shape[1]
    run, data = QuietRun(project.name, seed, steps), QuietData(pixels, project.name, seed)
    model = make_model(project, num_channels)
    make_trainer = project.get("trainer", "Trainer")
    if project.name == "VAE":
        trainer = make_trainer(model, plan.learning_rate, data, run)
    else:
        netD = run.to_device(project.get("model", "Discriminator")(num_channels, HIDDEN_DIM))
        trainer = make_trainer(model, netD, plan.learning_rate, BETA1, data, run)
    try:
        trainer.train(steps, LOGGING_STEPS, NEVER)
    except RuntimeError as error:
        if not is_about_probabilities(error):
            raise
        # What is wrong with the code itself shows at the first step. With its traceback, for the student's line.
        kind = Diverged if run.has_stepped else CourseError
        raise kind(NO_PROBABILITIES).with_traceback(error.__traceback__) from None
    return model.state_dict()


if __name__ == "__main__":
    main()
