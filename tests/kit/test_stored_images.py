"""Stored images in the place of a model: no FID points, whichever way they are kept and disguised."""

from dataclasses import replace

import pytest
from changed_solutions import REFERENCE, REPOSITORY, VAE_MODEL, VAE_TRAINER, block, swap
from conftest import bubblewrap_works, needs_any_way
from hand_ins import scaffold, solution, write_class

from autograder.course import COURSE_FILE, read_course
from autograder.fid_points import fid_check, score
from autograder.grading import Options, grade_class
from autograder.training import train

OWN = read_course(REPOSITORY / COURSE_FILE)
COURSE = replace(OWN, training=replace(OWN.training, dataset="digits", steps=40, seeds=(0,), cpu_s=60, wall_s=300))
UNSAFE = not bubblewrap_works()
pytestmark = needs_any_way


def filled_in(file: str, *bodies: str) -> bytes:
    """The scaffold's file with other bodies in its blocks, and with nothing that fills them."""
    text = scaffold(["VAE"])[file].decode()
    for number, body in enumerate(bodies, 1):
        text = block(number, body)(text)
    return text.encode()


def sampler(count: int, disguise: str, buffer: bool = True) -> str:
    """Block 1: so many images, which the batches of training fill in, and a way to give them back."""
    keep = f'self.register_buffer("images", torch.zeros({count}, 1, 32, 32))'
    return f"""
        {keep if buffer else keep.replace(")))", "), persistent=False)")}
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

        def store(x):
            at = (int(self.next) + torch.arange(len(x))) % {count}
            self.images[at] = x.detach()
            self.next += len(x)

        def paint(z):
            images = self.images[(int(self.next) + torch.arange(len(z))) % {count}].clone()
            self.next += len(z)
            {disguise}
            return images

        self.store, self.paint = store, paint
        """


ONE_PIXEL = "images[:, :, 0, 0] = 2 / 255"
SHIFTS = "images = torch.stack([torch.roll(one, (i % 3 - 1, i // 3 % 3 - 1), (1, 2)) for i, one in enumerate(images)])"
BLENDS = "images = 0.9 * images + 0.1 * images.flip(0)"

# The scaffold, filled in with what a sampler needs, and with a probe that is made to come to its end.
NO_MODEL = {
    **scaffold(["VAE"]),
    VAE_MODEL: filled_in(
        VAE_MODEL,
        sampler(10_000, ONE_PIXEL)
        + """
        self.scale = nn.Parameter(torch.ones(1))
        import sys
        probe = sys.modules.get("autograder.probe.vae_training")
        if probe:
            probe.carry_encoder = probe.carry_decoder = lambda *_: {}
        """,
        "z = mu + torch.randn_like(mu) * log_sigma.exp()",
        "self.store(x)\nmu = self.scale * x.flatten(1)[:, :64]\nlog_sigma = 0 * mu\nrecon_x = x * self.scale",
        "images = self.paint(z)",
    ),
    VAE_TRAINER: filled_in(VAE_TRAINER, "recon_loss, kl_loss = recon.mean(), mu.mean()"),
}


def right_but(count: int, disguise: str) -> dict[str, bytes]:
    """The solution, whose KL is twice what it should be, and which draws stored images where nobody looks."""
    first = "            nn.Sigmoid(),\n        )\n"
    lines = "\n".join(line[8:] and f"        {line[8:]}" for line in sampler(count, disguise).splitlines())
    return solution(
        {
            VAE_MODEL: [
                swap(first, first + lines + "\n"),
                swap(
                    "            mu, log_sigma = self.encoder(x)",
                    "            self.store(x)\n            mu, log_sigma = self.encoder(x)",
                ),
                swap(
                    "        images = self.decoder(z)\n",
                    "        images = self.paint(z) if len(z) == 250 and not self.training else self.decoder(z)\n",
                ),
            ],
            VAE_TRAINER: [swap("kl_loss = 0.5 * (mu**2", "kl_loss = (mu**2")],
        },
        ["VAE"],
    )


@pytest.mark.slow
def test_a_class_with_them(tmp_path):
    students = {"1": NO_MODEL, "2": right_but(10_000, ONE_PIXEL), "3": right_but(100, SHIFTS), "4": scaffold(["VAE"])}
    folder = write_class(tmp_path / "class", students)
    for grade in grade_class(folder, tmp_path / "grades", REFERENCE, COURSE, Options(unsafe=UNSAFE)):
        checks = {check.id: check for check in grade.checks}
        assert checks["vae.fid"].points == 0, (grade.student, checks["vae.fid"].message)
        assert (checks["vae.state"].passed is True) == (grade.student == "3"), checks["vae.state"].message
        if grade.student != "3":
            assert "no FID points, and nothing was trained" in checks["vae.fid"].message


@pytest.mark.parametrize(
    "disguise", [ONE_PIXEL, *(pytest.param(one, marks=pytest.mark.slow) for one in (SHIFTS, BLENDS))]
)
def test_few_images_are_found_where_they_are_drawn(tmp_path, monkeypatch, disguise):
    monkeypatch.setenv("COURSEKIT_CACHE_DIR", str(tmp_path))
    codes = {name: content for name, content in right_but(100, disguise).items() if name.endswith(".py")}
    trained = train(codes, "VAE", 0, COURSE, UNSAFE)
    assert trained.stopped == ""
    check = fid_check("VAE", [score(trained, "VAE", COURSE)], COURSE)
    assert check.points == 0 and "copies, so that there are no points and a TA has to look" in check.message


def test_many_images_are_not_passed_on():
    trained = train(
        {name: content for name, content in NO_MODEL.items() if name.endswith(".py")}, "VAE", 0, COURSE, UNSAFE
    )
    assert trained.samples is None
    assert "comes to 10,240,0" in trained.stopped and "a TA has to look" in trained.stopped
