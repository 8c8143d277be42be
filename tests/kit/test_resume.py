"""A run that is killed, or interrupted, ends as if it had never stopped."""

import errno
import os
import signal
import subprocess
import time

import pytest
import torch
from conftest import REFERENCE, main_command, user_environment
from test_checkpoint import flat
from test_curves import points

STEPS = 60
SHORT = (
    *("--do_train", "--dataset", "digits", "--fid_extractor", "lenet", "--latent_dim", 5, "--batch_size", 16),
    *("--num_train_steps", STEPS, "--logging_steps", 1, "--saving_steps", 3),
)


def start(project, folder, *flags):
    return subprocess.Popen(
        main_command(REFERENCE / project, *SHORT, *flags),
        cwd=folder,
        env=user_environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(project, folder, *flags):
    process = start(project, folder, *flags)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


def wait_for(condition, process):
    """Wait until the condition holds; False where the process ended first."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.0005)
    return False


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def checkpoints(folder):
    return sorted(path.name for path in folder.glob("results/*/step_*.pt"))


def final_state(folder):
    return flat(torch.load(only(folder, f"results/*/step_{STEPS:08d}.pt"), weights_only=True))


def curve_points(folder):
    return points(only(folder, "runs/*"))


@pytest.fixture(scope="module", params=["VAE", pytest.param("GAN", marks=pytest.mark.slow)])
def uninterrupted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(request.param, folder)
    return request.param, folder


def test_every_step_is_drawn_once(uninterrupted):
    _, folder = uninterrupted
    drawn = curve_points(folder)
    assert len(drawn) == len(set(drawn))
    for curve in {tag for tag, _ in drawn if not tag.startswith(("dev", "fid", "reconstructions", "samples"))}:
        assert [step for tag, step in drawn if tag == curve] == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_bit_for_bit_the_same(uninterrupted, tmp_path):
    """SIGKILL while a checkpoint is being written, then between checkpoints, at later and later steps."""
    project, folder = uninterrupted

    def being_written():
        return any(
            name.endswith(".tmp") and "step_" in name
            for path in tmp_path.glob("results/*")
            for name in os.listdir(path)
        )

    killed = []
    for number, what in enumerate((being_written, None, being_written, None)):
        process = start(project, tmp_path)
        before = checkpoints(tmp_path)
        goal = what or (lambda before=before: len(set(checkpoints(tmp_path)) - set(before)) >= 2)
        if wait_for(goal, process):
            time.sleep(0.004 * number)
            process.send_signal(signal.SIGKILL)
        process.communicate()
        killed.append(process.returncode)
    assert killed.count(-signal.SIGKILL) >= 3
    finish(project, tmp_path)

    assert final_state(tmp_path) == final_state(folder)
    assert curve_points(tmp_path) == curve_points(folder)
    assert not list(tmp_path.glob("results/*/.*.tmp"))


def test_interrupted_it_saves_where_it_stands_and_goes_on_from_there(uninterrupted, tmp_path):
    project, folder = uninterrupted
    process = start(project, tmp_path, "--saving_steps", 1000)
    assert wait_for(lambda: len(list(tmp_path.glob("runs/*/events*"))) > 0, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    last = said.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("main.py: stopped and saved at step ")
    (saved,) = checkpoints(tmp_path)
    assert f"step {int(saved[5:13]):,}:" in last

    finish(project, tmp_path, "--saving_steps", 1000)
    assert final_state(tmp_path) == final_state(folder)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before(uninterrupted, tmp_path):
    project, folder = uninterrupted
    process = start(project, tmp_path)
    assert wait_for(lambda: len(checkpoints(tmp_path)) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    newest = sorted(tmp_path.glob("results/*/step_*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    said = finish(project, tmp_path)
    assert f"checkpoint results/{newest.parent.name}/{newest.name} is damaged: set aside as" in said
    assert final_state(tmp_path) == final_state(folder)
    assert curve_points(tmp_path) == curve_points(folder)


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    first = start("VAE", tmp_path, "--num_train_steps", 100000)
    try:
        assert wait_for(lambda: checkpoints(tmp_path), first)
        second = start("VAE", tmp_path, "--num_train_steps", 100000)
        _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert said.count("\n") == 1 and "another process trains in" in said
    finally:
        first.kill()
        first.communicate()


def test_a_full_disk_ends_the_run_with_one_line_and_keeps_the_checkpoints(tmp_path, monkeypatch, vae):
    import argparse

    from coursekit import files
    from coursekit.errors import CourseError
    from coursekit.run import Run

    args = argparse.Namespace(
        **dict(dataset="digits", latent_dim=2, batch_size=8, num_train_steps=9, seed=0, no_cuda=True, num_threads=1),
        **dict(ckpt_dir=tmp_path / "results", log_dir=tmp_path / "runs"),
    )
    run = Run("VAE", args)
    data = vae["dataset"].Dataset("digits", tmp_path, 8, 0, run.device)
    trainer = vae["trainer"].Trainer(run.to_device(vae["model"].VAE(1, 2)), 1e-3, data, run)

    def disk_fills_up(source, target, replace=os.replace):
        if "step_00000006" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", disk_fills_up)
        with pytest.raises(CourseError, match=r"could not write .*step_00000006\.pt: No space left on device"):
            trainer.train(9, 1, 3)
    assert [path.name for path in run.folder.glob("*.pt")] == ["step_00000003.pt"]
    assert not list(run.folder.glob(".*.tmp"))

    trainer.train(9, 1, 3)  # after making room, in the same process: the folder's lock was given back
    assert (run.folder / "step_00000009.pt").exists()
