"""FID's protocol: which images, how many, which noise, and what is cached."""

import argparse

import pytest
import torch

from coursekit import evaluation, extractors
from coursekit.data import ImageSet, scale
from coursekit.errors import CourseError
from coursekit.evaluation import evaluate_fid, generate_images
from coursekit.extractors import Extractor
from coursekit.fid import frechet_distance
from coursekit.run import Run

PIXELS = 32 * 32


class Thumbnails:
    """An extractor that shrinks images to 4x4, and remembers what it was given."""

    def __init__(self, monkeypatch, protocol_images=1000):
        self.seen = []
        extractor = Extractor("thumbnails", "f" * 64, 16, protocol_images, self.extract, batch_size=64)
        monkeypatch.setattr(extractors, "choose", lambda *args: extractor)

    def extract(self, images):
        self.seen.append(images)
        return thumbnails(images)


def thumbnails(images):
    return torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1).double()


def image_set(train, validation, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (train + validation, 1, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.zeros(train + validation, dtype=torch.int64)
    return ImageSet("noise", images[:train], images[train:], labels[:train], labels[train:])


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_CACHE_DIR", str(tmp_path / "cache"))
    return Run(
        "VAE",
        argparse.Namespace(
            **dict(dataset="noise", latent_dim=PIXELS, batch_size=8, num_train_steps=9, seed=5, no_cuda=True),
            **dict(num_threads=1, ckpt_dir=tmp_path / "results", log_dir=tmp_path / "runs"),
            **dict(fid_extractor="auto", inception_weights=None, fid_samples=None),
        ),
    )


def darker(z):
    """A generator whose images are grey noise."""
    return torch.sigmoid(z - 1).view(-1, 1, 32, 32)


def score(run, images, generate=darker):
    return evaluate_fid(run, images, generate, (PIXELS,), (0, 1))


def test_fid_is_the_distance_of_generated_and_first_training_images(run, monkeypatch):
    Thumbnails(monkeypatch, protocol_images=60)
    images = image_set(100, 80)
    scored = score(run, images)
    noise = torch.randn((60, PIXELS), generator=torch.Generator().manual_seed(5))
    made = (darker(noise) * 255).round().to(torch.uint8)
    real = thumbnails(images.train[:60])
    assert scored.fid == pytest.approx(frechet_distance(real, thumbnails(made)), rel=1e-9)
    assert scored.floor == pytest.approx(frechet_distance(real, thumbnails(images.validation[:60])), rel=1e-9)
    assert (scored.real_images, scored.generated_images, scored.floor_images, scored.seed) == (60, 60, 60, 5)


def test_a_small_data_set_gives_all_that_both_splits_have(run, monkeypatch):
    Thumbnails(monkeypatch)
    assert score(run, image_set(100, 40)).real_images == 40


def test_more_images_than_the_validation_split_has_get_a_floor_of_its_size(run, monkeypatch):
    Thumbnails(monkeypatch)
    run.args.fid_samples = 90
    images = image_set(100, 40)
    scored = score(run, images)
    assert (scored.real_images, scored.generated_images, scored.floor_images) == (90, 90, 40)
    expected = frechet_distance(thumbnails(images.train[:40]), thumbnails(images.validation))
    assert scored.floor == pytest.approx(expected, rel=1e-9)
    assert "with 40" in str(scored)


@pytest.mark.parametrize("wanted", [1, 101])
def test_more_images_than_there_are_is_one_line(run, monkeypatch, wanted):
    Thumbnails(monkeypatch)
    run.args.fid_samples = wanted
    with pytest.raises(CourseError, match=f"--fid_samples {wanted} does not lie in 2"):
        score(run, image_set(100, 40))


def test_the_real_side_and_the_floor_are_taken_from_the_cache(run, monkeypatch):
    extractor = Thumbnails(monkeypatch)
    first = score(run, image_set(100, 40))
    extractor.seen.clear()
    assert score(run, image_set(100, 40)) == first
    assert sum(map(len, extractor.seen)) == 40  # the generated ones alone
    other = score(run, image_set(100, 40, seed=1))
    assert other.fid != first.fid and other.floor != first.floor


def test_the_noise_depends_on_the_seed_alone(run):
    def made(seed, count):
        return generate_images(darker, (PIXELS,), count, seed, (0, 1), "cpu")

    torch.manual_seed(1)
    first = made(3, 20)
    torch.manual_seed(2)
    assert torch.equal(made(3, 20), first)
    assert not torch.equal(made(4, 20), first)


def test_generated_images_come_back_as_the_pixels_they_are():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    made = generate_images(lambda z: scale(pixels, (-1, 1)), (1,), 1, 0, (-1, 1), "cpu")
    assert torch.equal(made, pixels)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_explained(run, monkeypatch, bad):
    Thumbnails(monkeypatch)
    with pytest.raises(CourseError, match="the generated images contain NaN or infinity: training has diverged"):
        score(run, image_set(100, 40), lambda z: darker(z) * bad)


def test_a_collapsed_generator_is_explained(run, monkeypatch):
    Thumbnails(monkeypatch)
    with pytest.raises(CourseError, match=r"all 40 generated images look the same .* collapsed"):
        score(run, image_set(100, 40), lambda z: torch.full((len(z), 1, 32, 32), 0.5))


def test_a_damaged_cache_is_made_anew(run, monkeypatch):
    Thumbnails(monkeypatch)
    first = score(run, image_set(100, 40))
    for path in evaluation._cache_folder().iterdir():
        path.write_bytes(path.read_bytes()[:10])
    assert score(run, image_set(100, 40)) == first
