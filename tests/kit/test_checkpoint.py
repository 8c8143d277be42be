import errno
import os
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn

from coursekit import checkpoint
from coursekit.errors import CourseError
from coursekit.files import claim_private, write_atomically

SETTINGS = {"model": "VAE", "learning_rate": 0.001, "seed": 0}


def trained_parts(seed: int, steps: int = 3) -> dict:
    """A model and an optimizer with some history."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 1, 5, 5)).square().sum().backward()
        optimizer.step()
    return {"model": model, "optimizer": optimizer}


def flat(value):
    """Every leaf of nested state, tensors as lists."""
    if isinstance(value, dict):
        return {str(key): flat(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [flat(item) for item in value]
    return value.tolist() if torch.is_tensor(value) else value


def state(parts):
    return {name: flat(part.state_dict()) for name, part in parts.items()}


def test_weights_optimizers_and_random_states_come_back(tmp_path):
    parts = trained_parts(1)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    checkpoint.save(tmp_path, 7, parts, SETTINGS)
    expected_draws = random.random(), np.random.rand(), torch.rand(2).tolist()

    others = trained_parts(2)
    assert state(others) != state(parts)
    assert checkpoint.load_newest(tmp_path, others, SETTINGS) == 7
    assert state(others) == state(parts)
    assert (random.random(), np.random.rand(), torch.rand(2).tolist()) == expected_draws


def test_no_checkpoint_is_step_zero(tmp_path):
    parts = trained_parts(1)
    before = state(parts)
    assert checkpoint.load_newest(tmp_path / "nowhere", parts, SETTINGS) == 0
    assert state(parts) == before


def test_the_newest_is_found_by_its_step_number(tmp_path):
    for step, seed in ((999, 1), (100000, 2), (20000, 3)):
        checkpoint.save(tmp_path, step, trained_parts(seed), SETTINGS)
    os.utime(tmp_path / "step_00000999.pt", (2e9, 2e9))  # the clock has no say
    parts = trained_parts(9)
    assert checkpoint.load_newest(tmp_path, parts, SETTINGS) == 100000
    assert state(parts) == state(trained_parts(2))


def test_only_the_newest_few_are_kept(tmp_path):
    parts = trained_parts(1)
    for step in range(1, 8):
        checkpoint.save(tmp_path, step, parts, SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step_{step:08d}.pt" for step in (5, 6, 7)]


def damage_empty(data):
    return b""


def damage_truncated(data):
    return data[: len(data) // 2]


def damage_last_byte_gone(data):
    return data[:-1]


def damage_one_byte_of_a_weight(data):
    needle = trained_parts(2)["model"][0].weight.detach().numpy().reshape(-1)[:1].tobytes()
    at = data.index(needle)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def damage_zeros(data):
    return b"\0" * len(data)


@pytest.mark.parametrize(
    "damage",
    [damage_empty, damage_truncated, damage_last_byte_gone, damage_one_byte_of_a_weight, damage_zeros],
)
def test_a_damaged_newest_is_named_and_set_aside_and_the_one_before_is_used(tmp_path, capsys, damage):
    checkpoint.save(tmp_path, 10, trained_parts(1), SETTINGS)
    newest = checkpoint.save(tmp_path, 20, trained_parts(2), SETTINGS)
    newest.write_bytes(damage(newest.read_bytes()))
    parts = trained_parts(3)
    assert checkpoint.load_newest(tmp_path, parts, SETTINGS) == 10
    assert state(parts) == state(trained_parts(1))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(newest) in said and "damaged" in said
    assert not newest.exists() and newest.with_suffix(".pt.damaged").exists()


def test_all_damaged_means_starting_afresh(tmp_path, capsys):
    (tmp_path / "step_00000010.pt").write_bytes(b"no checkpoint")
    assert checkpoint.load_newest(tmp_path, trained_parts(1), SETTINGS) == 0
    assert "damaged" in capsys.readouterr().err


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil_was_here",)


def test_a_checkpoint_can_not_run_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save({"step": 1, "settings": SETTINGS, "parts": Evil(), "random_states": {}}, tmp_path / "step_00000001.pt")
    (tmp_path / "step_00000002.pt").write_bytes(pickle.dumps(Evil()))
    assert checkpoint.load_newest(tmp_path, trained_parts(1), SETTINGS) == 0
    assert not (tmp_path / "evil_was_here").exists()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({**SETTINGS, "learning_rate": 0.01}, "learning_rate 0.001, this run has learning_rate 0.01"),
        ({**SETTINGS, "seed": 4}, "seed 0, this run has seed 4"),
        ({**SETTINGS, "beta1": 0.5}, "beta1 None, this run has beta1 0.5"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, wanted, named):
    checkpoint.save(tmp_path, 10, trained_parts(1), SETTINGS)
    with pytest.raises(CourseError, match=named):
        checkpoint.load_newest(tmp_path, trained_parts(1), wanted)


def test_another_model_is_refused_in_one_line(tmp_path):
    checkpoint.save(tmp_path, 10, trained_parts(1), SETTINGS)
    with pytest.raises(CourseError, match="does not fit this model") as error:
        checkpoint.load_newest(tmp_path, {"model": nn.Linear(3, 3)}, SETTINGS)
    assert "\n" not in str(error.value)


def test_a_killed_write_leaves_nothing_behind_for_long(tmp_path):
    (tmp_path / ".step_00000010.pt.abc.tmp").write_bytes(b"half")
    kept = checkpoint.save(tmp_path, 5, trained_parts(1), SETTINGS)
    checkpoint.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_an_evaluation_leaves_a_write_that_is_under_way_alone(tmp_path):
    (tmp_path / ".step_00000010.pt.abc.tmp").write_bytes(b"half")
    checkpoint.load_newest(tmp_path, trained_parts(1), SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [".step_00000010.pt.abc.tmp"]


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch, failing):
    earlier = checkpoint.save(tmp_path, 10, trained_parts(1), SETTINGS)
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*args, **kwargs):
        raise full

    monkeypatch.setattr(os, failing, refuse)
    with pytest.raises(CourseError, match="No space left on device"):
        checkpoint.save(tmp_path, 20, trained_parts(2), SETTINGS)
    assert list(tmp_path.iterdir()) == [earlier]


@pytest.fixture
def umask():
    """Sets the process's umask, and puts back what it was."""
    was = os.umask(0o022)
    os.umask(was)
    yield os.umask
    os.umask(was)


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_atomic_writes_replace_whole_files(tmp_path):
    path = write_atomically(tmp_path / "new" / "file.txt", "ä")
    assert path.read_bytes() == "ä".encode()
    write_atomically(path, b"other")
    assert path.read_bytes() == b"other"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_new_files_have_the_mode_that_the_user_s_umask_gives(tmp_path, umask, mask, file, folder):
    umask(mask)
    path = write_atomically(tmp_path / "new" / "file.txt", "x")
    assert (mode(path), mode(path.parent)) == (file, folder)


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_private_files_are_their_owner_s_alone_in_folders_that_are_too(tmp_path, umask, mask):
    umask(mask)
    path = write_atomically(tmp_path / "new" / "deep" / "file.txt", "x", private=True)
    base = claim_private(tmp_path / "other" / "data.db")
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    assert (mode(base), mode(base.parent), base.read_bytes()) == (0o600, 0o700, b"")


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("given", [0o600, 0o640, 0o664])
def test_what_is_there_keeps_its_mode(tmp_path, private, given):
    tmp_path.chmod(0o755)
    for name in ("file.txt", "data.db"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(given)
    write_atomically(tmp_path / "file.txt", "new", private)
    assert (mode(tmp_path / "file.txt"), mode(tmp_path)) == (given, 0o755)
    assert (tmp_path / "file.txt").read_text() == "new"
    assert (mode(claim_private(tmp_path / "data.db")), (tmp_path / "data.db").read_text()) == (given, "old")


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / "other").chmod(0o666)
    (tmp_path / "file").symlink_to("other")
    path = write_atomically(tmp_path / "file", "new", private=True)
    assert not path.is_symlink() and mode(path) == 0o600
    assert ((tmp_path / "other").read_text(), mode(tmp_path / "other")) == ("kept", 0o666)


def test_atomic_writes_under_a_file_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="could not write"):
        write_atomically(tmp_path / "file" / "below.txt", "")
