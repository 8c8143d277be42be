"""One run of training: its folders, its random numbers, its checkpoints, its curves and its progress bar."""

import argparse
import math
import random
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import filelock
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from coursekit import checkpoint, speed
from coursekit.curves import Curves, png
from coursekit.data import Batches, unscale
from coursekit.errors import DIVERGED, CourseError, Interrupted
from coursekit.files import write_atomically

GRID_COLUMNS = 8
# What can differ between two runs that make the same weights.
_NOT_SETTINGS = {
    *("do_train", "no_cuda", "num_threads", "logging_steps", "saving_steps", "data_dir", "ckpt_dir", "log_dir"),
    *("fid_extractor", "fid_samples", "inception_weights"),
}


class Run:
    """A run of one model with one group of settings; its folder is named after them.

    Args:
        model_name: such as "VAE".
        args: the parsed flags of `coursekit.flags.run_parser`, with the model's own.

    Attributes:
        device: where the model and the batches are.
        folder: checkpoints, pictures and fid.json.
        log_folder: TensorBoard's files.
        settings: what the weights depend on, by the flags' names.
    """

    def __init__(self, model_name: str, args: argparse.Namespace):
        self.args = args
        self.settings = {
            "model": model_name,
            **{name: value for name, value in sorted(vars(args).items()) if name not in _NOT_SETTINGS},
        }
        name = (
            f"{model_name}-{args.dataset}-latent{args.latent_dim}-batch{args.batch_size}"
            f"-steps{args.num_train_steps}-seed{args.seed}"
        )
        self.folder = Path(args.ckpt_dir) / name
        self.log_folder = Path(args.log_dir) / name
        self.device = torch.device("cuda" if torch.cuda.is_available() and not args.no_cuda else "cpu")
        self._parts: dict[str, nn.Module | torch.optim.Optimizer] = {}
        self._curves: Curves | None = None
        self._bar: tqdm | None = None
        speed.tune_process(args.num_threads)
        seed_everything(args.seed)

    def to_device(self, model: nn.Module) -> nn.Module:
        """The model, moved to the run's device."""
        return speed.to_fast_layout(model, self.device)

    def track(self, **parts: nn.Module | torch.optim.Optimizer) -> None:
        """Name what a checkpoint must hold: every module and every optimizer."""
        self._parts.update(parts)

    def restore(self) -> int:
        """Take the newest checkpoint's state. Returns its step, 0 where there is none."""
        return checkpoint.load_newest(self.folder, self._parts, self.settings, self.device)

    def steps(self, batches: Batches, num_steps: int, saving_steps: int) -> Iterator[tuple[int, torch.Tensor]]:
        """The steps still to be made and their batches, from where the newest checkpoint stopped.

        A checkpoint is written after every `saving_steps` steps, after the last one, and when the user interrupts.

        Yields:
            The step, counted from 1, and its batch.
        Raises:
            Interrupted: the user stopped the run; all that was done is saved.
            CourseError: another process trains in this folder, or the disk is full.
        """
        with self._only_one(), _signals_noted() as noted:
            speed.keep_freed_memory()
            checkpoint.remove_leftovers(self.folder)
            done = self.restore()
            self._curves = Curves(self.log_folder, done)
            if done:
                print(f"going on from step {done:,} of {num_steps:,} in {self.folder}")
            try:
                with tqdm(
                    total=num_steps, initial=done, unit="step", disable=done >= num_steps, mininterval=0.5
                ) as bar:
                    self._bar = bar
                    for step in range(done + 1, num_steps + 1):
                        yield step, batches[step]
                        bar.update()
                        if step % saving_steps == 0 or step == num_steps or noted:
                            self._curves.flush()
                            checkpoint.save(self.folder, step, self._parts, self.settings)
                        if noted and step < num_steps:
                            bar.close()
                            raise Interrupted(
                                f"stopped and saved at step {step:,}: the same command goes on from there"
                            )
            finally:
                self._bar = None
                self._curves.close()
                self._curves = None

    def log_scalars(self, step: int, values: Mapping[str, torch.Tensor | float]) -> None:
        """Add a point to each named TensorBoard curve, and show the training ones beside the progress bar.

        Raises:
            CourseError: a value is NaN or infinite; training on would be a waste of time.
        """
        numbers = finite_numbers(step, values)
        self._curves.add_scalars(step, numbers)
        shown = {name: f"{value:.4g}" for name, value in numbers.items() if not name.startswith("dev/")}
        if shown and self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)

    def log_images(self, step: int, name: str, images: torch.Tensor, value_range: tuple[float, float]) -> None:
        """Add a grid of (N, channels, height, width) images to TensorBoard, and as a PNG beside the checkpoint."""
        from torchvision.utils import make_grid

        grid = make_grid(unscale(images.detach().nan_to_num(), value_range).contiguous(), nrow=GRID_COLUMNS)
        if images.shape[1] == 1:
            grid = grid[:1]  # make_grid turns grey into three equal channels
        self._curves.add_image(step, name, grid)
        write_atomically(self.folder / f"{name}_{step:08d}.png", png(grid))

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = filelock.FileLock(self.folder / ".lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout as error:
            raise CourseError(
                f"another process trains in {self.folder}: wait for it, or give another --ckpt_dir"
            ) from error
        except OSError as error:
            raise CourseError(
                f"could not write under {self.folder}: {error.strerror}; give another --ckpt_dir"
            ) from error
        try:
            yield
        finally:
            lock.release()


def finite_numbers(step: int, values: Mapping[str, torch.Tensor | float]) -> dict[str, float]:
    """What a step's curves get, by their names, as plain numbers.

    Raises:
        CourseError: one of them is NaN or infinite.
    """
    numbers = {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise CourseError(f"{name} is {number} at step {step:,}: {DIVERGED}")
    return numbers


def seed_everything(seed: int) -> None:
    """Seed torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def fixed_noise(seed: int = 0) -> Iterator[None]:
    """Seed torch inside the block and leave its generators outside untouched.

    An evaluation in such a block draws the same noise every time, and training draws what it would have drawn
    without the evaluation.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Note an interrupt (Ctrl-C, or a scheduler's SIGTERM) in place of breaking a step; a second Ctrl-C breaks it."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are not ours to handle
        previous = {}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
