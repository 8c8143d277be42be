"""`python -m autograder.probe.sample PROJECT SEED COUNT SHAPE CODES WEIGHTS.npz NAMES.json OUT`: draw images.

A new model of the student's, whose code lies in CODES, is given the weights that another process trained (arrays called
0, 1, 2, ...; NAMES.json has their names) and draws COUNT images of SHAPE, such as 1x32x32. OUT/images.npz has them,
"images", (COUNT, channels, height, width) and uint8.
"""

import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from autograder.probe.plans import CPU, PLANS, drawing, make_model
from autograder.probe.project import Project
from autograder.probe.record import Record, WrongAnswer
from coursekit import speed
from coursekit.evaluation import generate_images
from coursekit.run import seed_everything

IMAGES = "images"
SAMPLING = "sampling"


def main() -> None:
    """Read the eight arguments and draw."""
    if len(sys.argv) != 9:
        sys.exit("usage: python -m autograder.probe.sample PROJECT SEED COUNT SHAPE CODES WEIGHTS.npz NAMES.json OUT")
    name, seed, count, shape, codes, weights, names, out = sys.argv[1:]
    with np.load(weights, allow_pickle=False) as arrays:
        given = json.loads(Path(names).read_text(encoding="utf-8"))
        state = {given[int(number)]: torch.from_numpy(arrays[number]) for number in arrays}
    channels, height, _ = map(int, shape.split("x"))
    project, record = Project(Path(codes), name), Record()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with record.part(SAMPLING, project):
            images = sample(project, state, int(seed), int(count), channels, height)
            np.savez(Path(out, f"{IMAGES}.npz"), **{IMAGES: images.numpy()})
    record.write(Path(out), SAMPLING)


def sample(
    project: Project, state: dict[str, torch.Tensor], seed: int, count: int, num_channels: int, size: int
) -> torch.Tensor:
    """Draw images from a trained model, in evaluation mode, as main.py does.

    Args:
        project: the student's.
        state: the trained model's.
        seed: of the noise.
    Returns:
        (count, num_channels, size, size), uint8.
    Raises:
        WrongAnswer: the state is not one of the student's model, or the model gives something else than images.
        CourseError: it gives NaN or infinity.
    """
    speed.tune_process()
    seed_everything(seed)
    model = make_model(project, num_channels)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise WrongAnswer(f"the trained weights do not fit a new model that was made alike: {said}") from None
    generate = drawing(project, model.eval(), num_channels, size)
    plan = PLANS[project.name]
    return generate_images(generate, plan.noise_shape, count, seed, plan.value_range, CPU)


if __name__ == "__main__":
    main()
