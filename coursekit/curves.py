"""TensorBoard curves and images that survive a stopped run without a gap, a jump back or a doubled step."""

import contextlib
import io
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from coursekit.errors import CourseError

FLUSH_EVERY_S = 10  # so that an open TensorBoard follows a run
_RECORD_OVERHEAD = 16  # bytes around a record: its length, and a checksum of length and of content
_FID_SUFFIX = ".fid"


class Curves:
    """The event file of one run.

    Points are written by the thread that adds them, so that a full disk is that thread's error.

    Args:
        folder: the run's log folder.
        last_step: events after this step are of a run that was stopped after its last checkpoint. They are cut off,
            since the steps will be made again.
    Raises:
        CourseError: here and in every method: the disk is full, or the folder can't be written.
    """

    def __init__(self, folder: Path, last_step: int):
        self._folder = folder
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path in event_files(folder):
                _cut_after(path, last_step)
            self._file = _EventFile(folder)

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve."""
        with _explained(self._folder):
            for name, value in values.items():
                self._file.add(step, summary.scalar(name, value))

    def add_image(self, step: int, name: str, grid: torch.Tensor) -> None:
        """Add a (channels, height, width) uint8 image to an image group."""
        with _explained(self._folder):
            self._file.add(step, summary.image(name, grid, dataformats="CHW"))

    def flush(self) -> None:
        """Have everything so far in the file, before a checkpoint says that it is done."""
        with _explained(self._folder):
            self._file.flush()

    def close(self) -> None:
        """End the file. What was not flushed belongs to steps after the last checkpoint, which will be made again."""
        with contextlib.suppress(OSError):
            self._file.close()


def log_fid(folder: Path, step: int, fid: float) -> None:
    """Put the FID at a step into a run's curves, in place of an earlier evaluation's at the same step.

    It goes to a file of its own, so that an evaluation never touches the curves of a training that is going on.
    """
    suffix = f"{_FID_SUFFIX}{step:08d}"
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in event_files(folder):
            if old.name.endswith(suffix):
                old.unlink()
        file = _EventFile(folder, suffix)
        file.add(step, summary.scalar("fid", fid))
        file.close()


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


class _EventFile:
    """An event file as TensorBoard reads it, written without a thread of its own."""

    def __init__(self, folder: Path, suffix: str = ""):
        # TensorBoard reads the files of a folder in the order of their names: the time comes first.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}{suffix}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._flushed = time.monotonic()
        self._write(Event(file_version="brain.Event:2"))

    def add(self, step: int, values: Summary) -> None:
        self._write(Event(step=step, summary=values))
        if time.monotonic() > self._flushed + FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


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


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"could not write the curves under {folder}: {error.strerror or error}; "
            "make room, or give another --log_dir"
        ) from error
