"""One probe by its name, from its inputs to its files."""

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from autograder.probe import gan, vae, vae_training
from autograder.probe.project import Project
from autograder.probe.record import Record

SEED = 0  # of what the student's code draws itself: initial weights and noise

# name: the project that it runs, and how
PROBES: dict[str, tuple[str, Callable[[Project, dict[str, torch.Tensor], Record], None]]] = {
    "vae_layers": ("VAE", vae.probe_layers),
    "vae_forward": ("VAE", vae.probe_forward),
    "vae_reparameterize": ("VAE", vae.probe_reparameterize),
    "vae_losses": ("VAE", vae_training.probe_losses),
    "vae_step": ("VAE", vae_training.probe_step),
    "gan_generator": ("GAN", gan.probe_generator),
    "gan_step": ("GAN", gan.probe_step),
}


def run_probe(name: str, codes: Path, inputs: Path, out: Path) -> None:
    """Run a probe, and write OUT/<name>.npz and OUT/<name>.json.

    Args:
        name: one of PROBES.
        codes: the student's folder, which holds VAE and GAN.
        inputs: the file that `autograder.inputs` wrote; only arrays of this probe's are taken from it.
        out: an existing folder.
    Raises:
        KeyError: there is no such probe.
    """
    project_name, probe = PROBES[name]
    with np.load(inputs, allow_pickle=False) as arrays:
        prefix = f"{name}."
        own = {key.removeprefix(prefix): torch.from_numpy(arrays[key]) for key in arrays if key.startswith(prefix)}
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    project, record = Project(codes, project_name), Record()
    # What student code prints is nobody's evidence, and may be endless.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with record.part("probe", project):
            probe(project, own, record)
    record.write(out, name)
