import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter

from coursekit.curves import Curves, event_files, log_fid, png, read_events
from coursekit.errors import CourseError


def points(folder) -> list[tuple[str, int]]:
    """Every (curve, step) in a run's event files, as any reader of them would meet them."""
    return sorted(
        (value.tag, event.step)
        for path in event_files(folder)
        for _, event in read_events(path)
        for value in event.summary.value
    )


def log(folder, last_step, steps):
    curves = Curves(folder, last_step)
    for step in steps:
        curves.add_scalars(step, {"loss": 1.0 * step, "other": 0.0})
    curves.close()


def expected(last):
    return sorted((tag, step) for tag in ("loss", "other") for step in range(1, last + 1))


def test_steps_after_the_checkpoint_are_cut_and_made_again_once(tmp_path):
    log(tmp_path, 0, range(1, 18))  # stopped at 17, the checkpoint being at 10
    log(tmp_path, 10, range(11, 16))  # stopped at 15, no new checkpoint
    log(tmp_path, 10, range(11, 31))
    assert points(tmp_path) == expected(30)


def test_a_run_without_a_checkpoint_starts_its_curves_anew(tmp_path):
    log(tmp_path, 0, range(1, 18))
    log(tmp_path, 0, range(1, 5))
    assert points(tmp_path) == expected(4)


def test_going_back_over_several_files(tmp_path):
    log(tmp_path, 0, range(1, 11))
    log(tmp_path, 10, range(11, 21))
    log(tmp_path, 20, range(21, 26))
    log(tmp_path, 5, range(6, 8))  # the newer checkpoints were damaged
    assert points(tmp_path) == expected(7)


@pytest.mark.parametrize("missing", [1, 7, 20, 45])
def test_a_record_that_a_kill_left_half_is_cut(tmp_path, missing):
    log(tmp_path, 0, range(1, 11))
    (path,) = event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-missing])
    log(tmp_path, 8, range(9, 13))
    assert points(tmp_path) == expected(12)


def test_an_empty_event_file_does_no_harm(tmp_path):
    (tmp_path / "events.out.tfevents.1.host.1.0").write_bytes(b"")
    log(tmp_path, 0, range(1, 3))
    assert points(tmp_path) == expected(2)


def test_fid_is_one_point_a_step_and_leaves_the_curves_alone(tmp_path):
    log(tmp_path, 0, range(1, 11))
    before = [path.read_bytes() for path in event_files(tmp_path)]
    log_fid(tmp_path, 10, 30.0)
    log_fid(tmp_path, 10, 30.0)
    log_fid(tmp_path, 20, 25.0)
    assert [path.read_bytes() for path in event_files(tmp_path) if ".fid" not in path.name] == before
    assert [point for point in points(tmp_path) if point[0] == "fid"] == [("fid", 10), ("fid", 20)]


def test_training_further_back_drops_a_later_fid(tmp_path):
    log(tmp_path, 0, range(1, 11))
    log_fid(tmp_path, 10, 30.0)
    log(tmp_path, 5, range(6, 8))
    assert points(tmp_path) == expected(7)


def test_the_curves_are_what_tensorboard_shows(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log(tmp_path, 0, range(1, 18))
    log(tmp_path, 10, range(11, 31))
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in shown.Scalars("loss")] == list(range(1, 31))
    assert [event.value for event in shown.Scalars("loss")] == list(range(1, 31))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels):
    grid = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    array = np.asarray(Image.open(io.BytesIO(png(grid))))
    assert array.shape == ((5, 7) if channels == 1 else (5, 7, 3))
    assert np.array_equal(array.reshape(5, 7, channels), grid.permute(1, 2, 0).numpy())


def test_a_log_folder_that_can_not_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match=r"could not write the curves under .*--log_dir"):
        Curves(tmp_path / "file" / "runs", 0)
    with pytest.raises(CourseError, match="could not write the curves"):
        log_fid(tmp_path / "file" / "runs", 1, 1.0)


def test_an_image_group_holds_the_pixels(tmp_path):
    grid = torch.randint(0, 256, (1, 5, 7), dtype=torch.uint8)
    curves = Curves(tmp_path, 0)
    curves.add_image(3, "samples", grid)
    curves.close()
    (path,) = event_files(tmp_path)
    ((step, image),) = [(event.step, value.image) for _, event in read_events(path) for value in event.summary.value]
    shown = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("L"))
    assert step == 3 and np.array_equal(shown, grid[0].numpy())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_and_what_was_flushed_stays(tmp_path, monkeypatch):
    curves = Curves(tmp_path, 0)
    curves.add_scalars(1, {"loss": 1.0})
    curves.flush()
    curves.add_scalars(2, {"loss": 2.0})

    curves._file._file.close()
    curves._file._file = Path("/dev/full").open("wb")  # a device on which every write fails as on a full disk
    curves._file._records = RecordWriter(curves._file._file)
    curves.add_scalars(3, {"loss": 3.0})
    with pytest.raises(CourseError, match=r"could not write the curves under .*: No space left on device"):
        curves.flush()
    curves.close()
    assert points(tmp_path)[:1] == [("loss", 1)]
