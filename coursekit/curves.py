"""TensorBoard curves and images that survive a stopped run without a gap, a jump back or a doubled step."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from torch.utils.tensorboard import SummaryWriter

from coursekit.errors import CourseError

FLUSH_EVERY_S = 10  # so that an open TensorBoard follows a run
_RECORD_OVERHEAD = 16  # bytes around a record: its length, and a checksum of length and of content
_FID_SUFFIX = ".fid"


class Curves:
    """The event file of one run.

    Args:
        folder: the run's log folder.
        last_step: events after this step are of a run that was stopped after its last checkpoint. They are cut off,
            since the steps will be made again.
    """

    def __init__(self, folder: Path, last_step: int):
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in event_files(folder):
                _cut_after(path, last_step)
            self._writer = SummaryWriter(folder, flush_secs=FLUSH_EVERY_S)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve."""
        try:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def add_image(self, step: int, name: str, grid: torch.Tensor) -> None:
        """Add a (channels, height, width) uint8 image to an image group."""
        try:
            self._writer.add_image(name, grid, step)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def flush(self) -> None:
        """Have everything so far in the file, before a checkpoint says that it is done."""
        try:
            self._writer.flush()
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def close(self) -> None:
        """Flush, and end the writer."""
        try:
            self._writer.close()
        except OSError as error:
            raise _unwritable(self._folder, error) from error


def log_fid(folder: Path, step: int, fid: float) -> None:
    """Put the FID at a step into a run's curves, in place of an earlier evaluation's at the same step.

    It goes to a file of its own, so that an evaluation never touches the curves of a training that is going on.
    """
    suffix = f"{_FID_SUFFIX}{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in event_files(folder):
            if old.name.endswith(suffix):
                old.unlink()
        with SummaryWriter(folder, filename_suffix=suffix) as writer:
            writer.add_scalar("fid", fid, step)
    except OSError as error:
        raise _unwritable(folder, error) from error


def png(grid: torch.Tensor) -> bytes:
    """A (channels, height, width) uint8 image as a PNG file's bytes."""
    array = grid.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array).save(buffer, format="png")
    return buffer.getvalue()


def event_files(folder: Path) -> list[Path]:
    """The event files of a run, oldest first."""
    return sorted(folder.glob("events.out.tfevents.*"))


def read_events(path: Path) -> Iterator[tuple[int, Event]]:
    """Each whole event of a file, with the offset in bytes at which it ends. What a kill left half is left out."""
    end = 0
    for raw in RawEventFileLoader(str(path)).Load():
        end += len(raw) + _RECORD_OVERHEAD
        yield end, Event.FromString(raw)


def _cut_after(path: Path, last_step: int) -> None:
    keep, has_values = 0, False
    for end, event in read_events(path):
        if event.step > last_step:
            break
        keep, has_values = end, has_values or event.HasField("summary")
    if not has_values:
        path.unlink()
    elif keep < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(keep)


def _unwritable(folder: Path, error: OSError) -> CourseError:
    return CourseError(
        f"could not write the curves under {folder}: {error.strerror or error}; make room, or give another --log_dir"
    )
