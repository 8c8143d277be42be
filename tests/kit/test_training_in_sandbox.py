"""Training a student's model and drawing from it: as main.py does, whatever its code does, with no data in sight."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import (
    REFERENCE,
    REPOSITORY,
    bubblewrap_works,
    needs_any_way,
    needs_bubblewrap,
    needs_unsafe,
    write_mnist_like,
)
from torch import nn

from autograder.course import COURSE_FILE, read_course
from autograder.fid_points import score
from autograder.probe import sample as drawing
from autograder.probe import train as training
from autograder.probe.record import WrongAnswer
from autograder.probing import read_codes
from autograder.training import real_images, train
from coursekit.errors import DIVERGED, CourseError

OWN = read_course(REPOSITORY / COURSE_FILE)
CODES = read_codes(REFERENCE)
STEPS = 20
TRAIN = '"""Train up to `num_train_steps`, going on from the newest checkpoint."""'


def course(dataset="digits", steps=STEPS, limits=None, **more):
    """The repository's own settings, with little to train."""
    limits = replace(OWN.limits, **(limits or {}))
    given = {"dataset": dataset, "steps": steps, "cpu_s": 60, "wall_s": 120, **more}
    return replace(OWN, training=replace(OWN.training, **given), limits=limits)


def changed(name: str, old: str, new: str) -> dict[str, bytes]:
    text = CODES[name].decode()
    assert old in text
    return {**CODES, name: text.replace(old, new, 1).encode()}


# As main.py trains and draws.


def fid_of_main(run_main, tmp_path, project: str) -> float:
    flags = ("--do_train", "--dataset", "digits", "--num_train_steps", STEPS, "--seed", 3, "--no_cuda")
    result = run_main(project, *flags, "--fid_extractor", "lenet")
    assert result.returncode == 0, result.stderr
    return json.loads(next((tmp_path / "results").glob("*/fid.json")).read_text())["fid"]


@pytest.mark.slow
@pytest.mark.parametrize("project", ["VAE", "GAN"])
@pytest.mark.parametrize(
    "unsafe", [pytest.param(True, marks=needs_unsafe), pytest.param(False, marks=needs_bubblewrap)]
)
def test_the_fid_is_main_py_s(run_main, tmp_path, monkeypatch, project, unsafe):
    monkeypatch.setenv("COURSEKIT_CACHE_DIR", str(tmp_path / "cache"))
    trained = train(CODES, project, 3, course(), unsafe)
    assert trained.stopped == ""
    assert (trained.samples.shape, trained.samples.dtype) == ((597, 1, 32, 32), np.uint8)
    found = score(trained, project, course())
    assert found.fid == pytest.approx(fid_of_main(run_main, tmp_path, project), rel=1e-6)
    assert found.copied == 0


FINDS_DATA = """
def finds_data(pixels):
    import os, sys

    for top in ("/in", "/tmp", "/out", "/dev/shm"):
        for folder, below, files in os.walk(top):
            below[:] = [name for name in below if os.path.join(folder, name) not in (sys.prefix, sys.base_prefix)]
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    if pixels in file.read():
                        return True
    names = {name for folder, _, files in os.walk("/") for name in files}
    return bool(names & {"images.npy", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"})
"""


@needs_bubblewrap
def test_the_process_that_draws_sees_no_training_data(tmp_path, monkeypatch):
    """A student's code looks for it: it must find it where it trains, and draws white images where it finds it then."""
    monkeypatch.setenv("COURSEKIT_DATA_DIR", str(tmp_path))
    write_mnist_like(tmp_path, images=70)
    settings = course("mnist", steps=2, data_dir=tmp_path)
    pixels = real_images(settings).train[7].numpy().tobytes()
    codes = changed("VAE/model.py", "images = self.decoder(z)", f"images = 0 * self.decoder(z) + finds_data({pixels})")
    codes["VAE/model.py"] += FINDS_DATA.encode()
    trainer = changed("VAE/trainer.py", TRAIN, f"from model import finds_data; assert finds_data({pixels})")
    trained = train({**codes, "VAE/trainer.py": trainer["VAE/trainer.py"]}, "VAE", 0, settings)
    assert trained.stopped == ""
    assert trained.samples.shape == (70, 1, 32, 32)
    assert trained.samples.max() == 0


SIZE_OF_WEIGHTS = """
def size_of_weights():
    import coursekit.extractors.lenet

    return coursekit.extractors.lenet.WEIGHTS.stat().st_size
"""


@needs_bubblewrap
def test_no_process_of_a_student_s_has_the_extractor():
    """Else it could make images for just the features by which they are judged."""
    codes = changed("VAE/model.py", "images = self.decoder(z)", "images = 0 * self.decoder(z) + size_of_weights()")
    codes["VAE/model.py"] += SIZE_OF_WEIGHTS.encode()
    trainer = changed("VAE/trainer.py", TRAIN, "from model import size_of_weights; assert size_of_weights() == 0")
    trained = train({**codes, "VAE/trainer.py": trainer["VAE/trainer.py"]}, "VAE", 0, course(steps=2))
    assert trained.stopped == ""
    assert trained.samples.max() == 0


# What could be images is not passed on.


def in_init(line: str) -> dict[str, bytes]:
    return changed("VAE/model.py", "        # TODO END\n", f"        {line}\n        # TODO END\n")


@needs_any_way
@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (in_init('self.register_buffer("images", torch.zeros(600, 1024))'), "comes to 870,"),
        (in_init("self.images = nn.Parameter(torch.zeros(600, 1024))"), "comes to 870,"),
        (in_init("self.unused = nn.Linear(600, 1024)"), "comes to 871,"),
        (
            {**CODES, "VAE/data.py": b"IMAGES = " + repr(np.random.default_rng(0).bytes(20_000)).encode()},
            "its files hold ",
        ),
    ],
)
def test_what_could_be_images_has_no_fid(codes, reason):
    trained = train(codes, "VAE", 0, course(steps=2), unsafe=not bubblewrap_works())
    assert trained.samples is None
    assert reason in trained.stopped and trained.stopped.endswith("it could be images, so that a TA has to look")


@needs_any_way
@pytest.mark.parametrize(
    "line",
    [
        'self.register_buffer("seen", torch.zeros((), dtype=torch.int64))',
        pytest.param("self.unused = nn.Linear(256, 256)", marks=pytest.mark.slow),
        pytest.param(
            "import copy; self.average = copy.deepcopy(nn.ModuleList([self.encoder, self.decoder]))",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_an_honest_model_keeps_has_an_fid(line):
    trained = train(in_init(line), "VAE", 0, course(steps=2), unsafe=not bubblewrap_works())
    assert trained.stopped == "" and len(trained.samples) == 597


# What a student's code may do. With the sandbox where there is one.

LEAVE = """
import io, json, os, sys
import numpy as np
out = sys.argv[-1]
"""


def hostile(statements: str) -> dict[str, bytes]:
    """A VAE's Trainer whose train() is something else."""
    lines = [" " * 8 + line for line in statements.strip().splitlines()]
    return changed("VAE/trainer.py", TRAIN, "\n".join(["", *lines]).strip())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ("while True: pass", "it took more than 12 s of computing time"),
        ("import time; time.sleep(1000)", "it ran for more than 20 s"),
        ("import os; os._exit(0)", "it left no results"),
        ("import os; os._exit(7)", "it ended with exit status 7"),
        ("import sys; sys.exit()", "VAE/trainer.py:49: your code stops with SystemExit"),
        ("import os\nwhile True: os.write(1, b'x' * 1000)", "it printed without end"),
        ("self.loss_fn(1)", "VAE/trainer.py:49: your code stops with TypeError: "),
        ("1 / 0", "VAE/trainer.py:49: your code stops with ZeroDivisionError: division by zero"),
        ("import torch; self.model.more = torch.nn.Linear(2, 3)", "the trained weights do not fit a new model"),
        (
            "import torch\nfor one in self.model.parameters(): one.data.fill_(float('inf'))\nreturn",
            f"its trained weights have NaN or infinity in them: {DIVERGED}",
        ),
        (
            LEAVE + "np.savez(out + '/weights.npz', **{'0': np.array([print], dtype=object)}, allow_pickle=True)\n"
            'json.dump({"facts": {"names": ["w"]}, "failures": {}}, open(out + "/weights.json", "w"))\nos._exit(0)',
            "its trained weights can't be read: '",
        ),
        (
            LEAVE + "np.savez(out + '/weights.npz', **{'0': np.ones(3)})\n"
            'json.dump({"facts": {"names": [{}]}, "failures": {}}, open(out + "/weights.json", "w"))\nos._exit(0)',
            "its trained weights can't be read: they have no names",
        ),
    ],
)
@needs_any_way
def test_training_that_comes_to_no_end(statements, reason):
    small = course(cpu_s=12, wall_s=20 if "sleep" in statements else 200, steps=3)
    trained = train(hostile(statements), "VAE", 0, small, unsafe=not bubblewrap_works())
    assert trained.samples is None
    assert reason in trained.stopped
    assert "\n" not in trained.stopped


@needs_any_way
@pytest.mark.slow
@pytest.mark.parametrize(
    ("statements", "diverged"),
    [
        ("from coursekit.errors import DIVERGED, CourseError\nraise CourseError(DIVERGED)", False),
        ("class Diverged(Exception): pass\nraise Diverged('loss is nan')", False),
        ("self.model.decoder = self.model.decoder[:-1]\nnext(iter(self.run.steps(self.data.train, 2, 1)))", False),
        ("self.run.log_scalars(10, {'loss': float('nan')})", True),
        ("import torch\nfor one in self.model.parameters(): one.data.fill_(float('nan'))\nreturn", True),
    ],
)
def test_divergence_is_what_the_kit_saw_and_no_words_of_a_student_s(statements, diverged):
    trained = train(hostile(statements), "VAE", 0, course(steps=3), unsafe=not bubblewrap_works())
    assert trained.samples is None
    assert trained.diverged is diverged, trained.stopped


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ("return z.new_zeros(len(z), 1, 28, 28)", "VAE.forward(z=z) returns should have shape (250, 1, 32, 32)"),
        ("return None", "VAE.forward(z=z) returns is None"),
        ("return z.new_full((len(z), 1, 32, 32), float('nan'))", "the generated images contain NaN or infinity"),
        ("import os; os._exit(0)", "it left no results"),
        ("while True: pass", "it took more than 12 s of computing time"),
        (
            LEAVE + "np.savez(out + '/images.npz', images=np.zeros((3, 1, 32, 32), np.uint8))\n"
            'json.dump({"facts": {}, "failures": {}}, open(out + "/sampling.json", "w"))\nos._exit(0)',
            "the images that it drew can't be read: 'images' has the shape (3, 1, 32, 32) where (597, 1, 32, 32) is",
        ),
        (
            LEAVE + 'json.dump({"facts": {}, "failures": {}}, open(out + "/sampling.json", "w"))\nos._exit(0)',
            "the images that it drew can't be read: there are none",
        ),
    ],
)
@needs_any_way
def test_drawing_that_comes_to_no_end(statements, reason):
    """The model trains well, and does this where it draws."""
    lines = ["if x is None and not self.training and len(z) == 250:"]
    lines += ["    " + line for line in statements.strip().splitlines()]
    block = "\n".join([*(" " * 8 + line for line in lines), ""])
    codes = changed("VAE/model.py", "        # Block 4: decode z", f"{block}\n        # Block 4: decode z")
    small = course(steps=2, limits={"cpu_s": 12, "wall_s": 200})
    trained = train(codes, "VAE", 0, small, unsafe=not bubblewrap_works())
    assert trained.samples is None
    assert reason in trained.stopped


# The two programs' own parts.


class Student:
    """A student's project of these modules."""

    def __init__(self, name, modules, **changed_classes):
        self.name, self._modules, self._changed = name, modules, changed_classes

    def get(self, module, name):
        return self._changed.get(name) or getattr(self._modules[module], name)


def pixels(count=80):
    return torch.randint(0, 256, (count, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_weights_of_one_process_draw_in_another(vae, gan, project):
    student = Student(project, {"VAE": vae, "GAN": gan}[project])
    state = training.train(student, pixels(), seed=5, steps=2)
    images = drawing.sample(student, state, seed=5, count=6, num_channels=1, size=32)
    assert (images.shape, images.dtype) == ((6, 1, 32, 32), torch.uint8)
    assert torch.equal(images, drawing.sample(student, state, 5, 6, 1, 32))
    other = training.train(student, pixels(), seed=6, steps=2)
    assert not torch.equal(images, drawing.sample(student, other, 5, 6, 1, 32))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_losses_that_are_not_finite_stop_training(vae, wrong):
    class Trainer(vae["trainer"].Trainer):
        def loss_fn(self, *given):
            recon_loss, kl_loss = super().loss_fn(*given)
            return recon_loss, kl_loss + wrong

    with pytest.raises(CourseError, match=DIVERGED):
        training.train(Student("VAE", vae, Trainer=Trainer), pixels(), seed=0, steps=10)


def test_a_decoder_without_a_sigmoid_is_explained(vae):
    class VAE(vae["model"].VAE):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.decoder = self.decoder[:-1]

    with pytest.raises(CourseError, match="the last layer has no Sigmoid"):
        training.train(Student("VAE", vae, VAE=VAE), pixels(), seed=0, steps=1)


def test_weights_of_another_model_are_one_line(gan):
    with pytest.raises(WrongAnswer, match=r"do not fit a new model .*Missing key"):
        drawing.sample(Student("GAN", gan), nn.Linear(2, 2).state_dict(), 0, 2, 1, 32)


def test_no_files_are_written(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training.train(Student("VAE", vae), pixels(), seed=0, steps=1)
    assert not list(tmp_path.iterdir())
