"""main.py as a student meets it: flags, folders, curves, pictures, FID, and one line for every mistake."""

import argparse
import json
import math
import subprocess
import sys

import pytest
from conftest import REFERENCE, REPOSITORY, load_student_modules, main_command, user_environment, write_mnist_like
from hand_ins import solution, write_codes
from right_solutions import VARIANTS
from test_curves import points

from coursekit.curves import event_files, read_events

SHORT = ("--dataset", "digits", "--num_train_steps", 8, "--logging_steps", 2, "--saving_steps", 4, "--latent_dim", 5)
RUN_NAMES = {
    "VAE": "VAE-digits-latent5-batch32-steps8-seed0",
    "GAN": "GAN-digits-latent5-batch64-steps8-seed0",
}
VAE_CURVES = {"reconstruction_loss", "KL_divergence", "loss"}
GAN_CURVES = {"discriminator_loss", "generator_loss", "D(x)", "D(G(z1))", "D(G(z2))"}


def fid_line(output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith("FID ") and "generated against" in line]
    return line


@pytest.fixture(scope="module", params=["VAE", "GAN"])
def trained(request, tmp_path_factory):
    """A short run of the reference, and a later evaluation of it: (project, folder, both finished processes)."""
    folder = tmp_path_factory.mktemp(request.param)

    def run(*flags):
        return subprocess.run(
            main_command(REFERENCE / request.param, *SHORT, *flags),
            cwd=folder,
            env=user_environment(folder),
            capture_output=True,
            text=True,
            timeout=240,
        )

    return request.param, folder, run("--do_train"), run()


def test_training_ends_well_and_warns_of_nothing(trained):
    _, _, training, _ = trained
    assert training.returncode == 0, training.stderr
    assert "Warning" not in training.stderr and "Traceback" not in training.stderr


def test_the_progress_bar_shows_step_rate_time_left_and_losses(trained):
    project, _, training, _ = trained
    last = training.stderr.replace("\r", "\n").strip().splitlines()[-1]
    assert "8/8" in last and "step/s" in last and "<00:00" in last
    for curve in VAE_CURVES if project == "VAE" else GAN_CURVES:
        assert f"{curve}=" in last


def test_folders_state_the_settings(trained):
    project, folder, *_ = trained
    assert (folder / "results" / RUN_NAMES[project]).is_dir()
    assert (folder / "runs" / RUN_NAMES[project]).is_dir()


def test_tensorboard_has_exactly_the_curves_and_image_groups(trained):
    project, folder, *_ = trained
    seen = points(folder / "runs" / RUN_NAMES[project])
    every_two, every_four = [2, 4, 6, 8], [4, 8]
    if project == "VAE":
        expected = [(curve, step) for curve in VAE_CURVES for step in every_two]
        expected += [(f"dev/{curve}", step) for curve in VAE_CURVES for step in every_four]
        expected += [(group, step) for group in ("dev_imgs", "reconstructions", "samples") for step in every_four]
    else:
        expected = [(curve, step) for curve in GAN_CURVES for step in every_two]
        expected += [("samples", step) for step in every_four]
    assert seen == sorted([*expected, ("fid", 8)])


def test_image_groups_hold_32_images_and_the_pngs_are_the_same(trained):
    project, folder, *_ = trained
    groups = {}
    for path in event_files(folder / "runs" / RUN_NAMES[project]):
        for _, event in read_events(path):
            for value in event.summary.value:
                if value.HasField("image") and event.step == 8:
                    groups[value.tag] = value.image
    for group, image in groups.items():
        assert (image.height, image.width) == (4 * 34 + 2, 8 * 34 + 2)  # 4 rows of 8, 32 pixels and a border of 2
        assert (folder / "results" / RUN_NAMES[project] / f"{group}_00000008.png").is_file()
    assert set(groups) == ({"dev_imgs", "reconstructions", "samples"} if project == "VAE" else {"samples"})


def test_fid_is_printed_logged_and_stored_with_its_context(trained):
    project, folder, training, _ = trained
    stored = json.loads((folder / "results" / RUN_NAMES[project] / "fid.json").read_text())
    assert stored["extractor"] == "lenet"
    assert (
        stored["extractor_weights_sha256"]
        == json.loads((REPOSITORY / "coursekit" / "extractors" / "lenet.json").read_text())["sha256"]
    )
    assert (stored["dataset"], stored["seed"], stored["step"]) == ("digits", 0, 8)
    assert stored["real_images"] == stored["generated_images"] == stored["floor_images"] == 597
    assert 0 < stored["floor"] < stored["fid"]
    line = fid_line(training.stdout)
    for part in (f"{stored['fid']:.2f}", f"floor {stored['floor']:.2f}", "lenet", "597 generated", "digits", "seed 0"):
        assert part in line
    logged = [
        value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
        for path in event_files(folder / "runs" / RUN_NAMES[project])
        for _, event in read_events(path)
        for value in event.summary.value
        if value.tag == "fid"
    ]
    assert logged == [pytest.approx(stored["fid"], rel=1e-6)]


def test_auto_says_in_one_line_which_extractor_and_why(trained):
    *_, training, _ = trained
    (line,) = [line for line in training.stdout.splitlines() if line.startswith("FID features:")]
    assert "lenet" in line and "Inception" in line


def test_a_later_evaluation_gives_the_same_number(trained):
    *_, training, evaluation = trained
    assert evaluation.returncode == 0, evaluation.stderr
    assert fid_line(evaluation.stdout) == fid_line(training.stdout)


@pytest.mark.slow
def test_training_again_has_nothing_left_to_do(trained, run_main):
    project, folder, training, _ = trained
    again = run_main(project, *SHORT, "--do_train", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert fid_line(again.stdout) == fid_line(training.stdout)
    seen = points(folder / "runs" / RUN_NAMES[project])
    assert len(seen) == len(set(seen))


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_is_refused(trained, run_main):
    project, folder, *_ = trained
    refused = run_main(project, *SHORT, "--learning_rate", 0.5, cwd=folder)
    assert refused.returncode == 1
    assert refused.stderr.startswith("main.py: ") and refused.stderr.count("\n") == 1
    assert "learning_rate" in refused.stderr and "0.5" in refused.stderr


@pytest.mark.parametrize("project", ["VAE", pytest.param("GAN", marks=pytest.mark.slow)])
def test_with_no_checkpoint_the_fresh_model_is_scored_and_this_is_said(project, run_main, tmp_path):
    fresh = run_main(project, *SHORT)
    assert fresh.returncode == 0, fresh.stderr
    assert "no checkpoint" in fresh.stdout and "freshly initialised" in fresh.stdout
    assert "step 0" in fid_line(fresh.stdout)


@pytest.mark.parametrize("project", ["VAE", "GAN"])
@pytest.mark.parametrize("flags", [(), ("--do_train",)])
def test_the_scaffold_ends_with_the_one_line_of_its_first_empty_block(project, flags, run_main):
    ended = run_main(REPOSITORY / "codes" / project, *flags)  # MNIST isn't there, and nobody has asked for it yet
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"main.py: TODO: block 1 of {project}/model.py is not filled in yet: ")


def test_a_bug_in_a_students_block_keeps_its_traceback(tmp_path, run_main):
    for name in ("main", "model", "trainer", "dataset"):
        source = (REFERENCE / "VAE" / f"{name}.py").read_text()
        if name == "model":
            source = source.replace("mu + log_sigma.exp() * epsilon", "mu + log_sigma.exp() * epsilon[:, :1, :1]")
        (tmp_path / f"{name}.py").write_text(source)
    ended = run_main(tmp_path, *SHORT, "--do_train")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr and "epsilon[:, :1, :1]" in ended.stderr


def test_a_missing_data_set_without_a_network_is_one_line(run_main, tmp_path):
    # A proxy that nobody listens at stands for a machine without a network.
    ended = run_main("VAE", "--do_train", https_proxy="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    for part in ("main.py: no MNIST", "data/MNIST/raw", "--data_dir", "--dataset digits"):
        assert part in ended.stderr


def test_files_in_a_folder_need_no_network(run_main, tmp_path):
    write_mnist_like(tmp_path / "data", images=80)
    offline = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    ended = run_main("VAE", "--do_train", "--num_train_steps", 3, "--fid_extractor", "lenet", **offline)
    assert ended.returncode == 0, ended.stderr
    assert "80 real images of mnist" in fid_line(ended.stdout)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--batch_size", 5000), "--batch_size 5000 is more than the 1200"),
        (("--fid_samples", 5000), "--fid_samples 5000"),
    ],
)
def test_flags_that_do_not_fit_the_data_are_one_line(flags, named, run_main):
    ended = run_main("VAE", *SHORT, *flags)
    assert ended.returncode == 1
    assert ended.stderr.startswith("main.py: ") and ended.stderr.count("\n") == 1 and named in ended.stderr


@pytest.mark.parametrize(
    "flags",
    [
        *[("--latent_dim", 0), ("--learning_rate", "nan"), ("--dataset", "cifar"), ("--num_train_step", 3)],
        *[("--seed", -1), ("--inception_weights", "absent.pth"), ("--beta1", 0.5)],
    ],
)
def test_bad_flags_end_before_anything_is_made(flags, run_main, tmp_path):
    ended = run_main("VAE", "--do_train", *flags)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr and "error: " in ended.stderr
    assert not (tmp_path / "results").exists()


def test_diverged_training_is_explained(run_main):
    ended = run_main("VAE", *SHORT, "--do_train", "--learning_rate", "1e30")
    assert ended.returncode == 1
    last = ended.stderr.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("main.py: ") and "diverged" in last and "--learning_rate" in last


def parser_of(project) -> argparse.ArgumentParser:
    """The parser that main.py builds, caught at the moment it parses."""
    import runpy
    from unittest import mock

    caught = []

    def catch(parser, *args, **kwargs):
        caught.append(parser)
        raise SystemExit

    with mock.patch.object(argparse.ArgumentParser, "parse_args", catch), pytest.raises(SystemExit):
        runpy.run_path(str(REFERENCE / project / "main.py"), run_name="__main__")
    return caught[0]


COMMON_FLAGS = {
    **{"do_train": False, "no_cuda": False, "num_train_steps": 25000, "logging_steps": 10, "saving_steps": 1000},
    **{"data_dir": "data", "ckpt_dir": "results", "log_dir": "./runs"},
    **{"dataset": "mnist", "seed": 0, "fid_extractor": "auto", "fid_samples": None, "inception_weights": None},
    "num_threads": 1,
}
FLAGS = {
    "VAE": {**COMMON_FLAGS, "latent_dim": 64, "batch_size": 32, "learning_rate": 1e-3},
    "GAN": {
        **{**COMMON_FLAGS, "latent_dim": 100, "batch_size": 64, "learning_rate": 2e-4, "beta1": 0.5},
        **{"generator_hidden_dim": 16, "discriminator_hidden_dim": 16},
    },
}


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_flags_and_defaults_are_the_assignments(project):
    actions = [action for action in parser_of(project)._actions if action.dest != "help"]
    assert {action.dest: action.default for action in actions} == FLAGS[project]
    spelled = {action.dest: action.option_strings for action in actions}
    assert spelled.pop("num_train_steps") == ["--num_train_steps", "--num_training_steps"]
    assert all(options == [f"--{name}"] for name, options in spelled.items())


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_help_answers_without_loading_torch(project, tmp_path):
    script = f"""
import runpy, sys
sys.argv = ["main.py", "--help"]
sys.path.insert(0, {str(REFERENCE / project)!r})
try:
    runpy.run_path({str(REFERENCE / project / "main.py")!r}, run_name="__main__")
except SystemExit as end:
    assert end.code == 0
heavy = [name for name in ("torch", "torchvision", "numpy", "tensorboard", "sklearn") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--do_train" in done.stdout


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_the_readers_of_student_code_can_load_the_scaffold(project):
    modules = load_student_modules(REPOSITORY / "codes" / project)
    assert modules["trainer"].Trainer


def test_negative_elbo_is_not_negative(trained):
    project, folder, *_ = trained
    if project == "GAN":
        pytest.skip("a GAN has no ELBO")
    for path in event_files(folder / "runs" / RUN_NAMES[project]):
        for _, event in read_events(path):
            for value in event.summary.value:
                if value.tag.endswith("loss") and not value.HasField("image"):
                    number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
                    assert math.isfinite(number) and number >= 0


def test_a_results_folder_that_can_not_be_made_is_one_line(run_main, tmp_path):
    (tmp_path / "results").write_text("a file in the way")
    ended = run_main("VAE", *SHORT, "--do_train")
    assert ended.returncode == 1
    assert ended.stderr.startswith("main.py: could not write under results/") and ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_student_who_flattens_by_view_trains(tmp_path, run_main):
    file, changes = VARIANTS["functional"]
    write_codes(tmp_path, solution({file: changes}, projects=["VAE"]))
    assert b".view(" in (tmp_path / file).read_bytes()
    done = run_main(tmp_path / "VAE", "--do_train", *SHORT, "--fid_extractor", "lenet")
    assert done.returncode == 0, done.stderr
    assert "generated against" in done.stdout
