"""The same training on a CUDA GPU."""

import json

import pytest
import torch

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
]
SHORT = ("--dataset", "digits", "--fid_extractor", "lenet", "--saving_steps", 20)


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_training_and_a_later_evaluation_on_a_gpu(project, run_main, tmp_path):
    trained = run_main(project, *SHORT, "--num_train_steps", 40, "--do_train")
    assert trained.returncode == 0, trained.stderr
    (stored,) = tmp_path.glob("results/*/fid.json")
    fid = json.loads(stored.read_text())["fid"]
    evaluated = run_main(project, *SHORT, "--num_train_steps", 40)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(stored.read_text())["fid"] == pytest.approx(fid, rel=1e-6)


def test_the_same_checkpoint_scores_alike_on_gpu_and_cpu(run_main, tmp_path):
    trained = run_main("VAE", *SHORT, "--num_train_steps", 40, "--do_train")
    assert trained.returncode == 0, trained.stderr
    (stored,) = tmp_path.glob("results/*/fid.json")
    fid = json.loads(stored.read_text())["fid"]
    assert run_main("VAE", *SHORT, "--num_train_steps", 40, "--no_cuda").returncode == 0
    assert json.loads(stored.read_text())["fid"] == pytest.approx(fid, rel=1e-3)


def test_training_goes_on_from_a_checkpoint_on_a_gpu(run_main, tmp_path):
    import signal
    import subprocess
    import time

    from conftest import REFERENCE, main_command, user_environment

    command = main_command(REFERENCE / "GAN", *SHORT, "--num_train_steps", 400, "--do_train")
    process = subprocess.Popen(
        command, cwd=tmp_path, env=user_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(tmp_path.glob("results/*/step_*.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = run_main("GAN", *SHORT, "--num_train_steps", 400, "--do_train")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stdout
