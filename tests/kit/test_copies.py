"""Copies of training images are found whatever was done to them; other real images are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from copied_images import CHANGES

from autograder.copies import LOOKED_AT, MOST_COPIED, count_copies
from coursekit.data import ImageSet, load_images

DIGITS = load_images("digits", "data")
COUNT = 300


@pytest.fixture(scope="session")
def mnist(mnist_dir) -> ImageSet:
    return load_images("mnist", mnist_dir)


def stored(images: ImageSet, name: str, count: int = COUNT) -> np.ndarray:
    rng = np.random.default_rng(1)
    return CHANGES[name](images.train.numpy()[rng.permutation(len(images.train))[:count]], rng)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_copies_of_mnist(mnist, name):
    found = count_copies(stored(mnist, name), mnist)
    assert found.looked_at == COUNT
    assert found.are_too_many


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_images_of_mnist_that_were_held_out(mnist, part):
    found = count_copies(mnist.validation.numpy()[part::3], mnist)
    assert found.looked_at == LOOKED_AT
    assert not found.are_too_many and found.copied <= 0.005 * LOOKED_AT


@pytest.mark.parametrize(
    ("name", "share"),
    [("as they are", 1), ("one pixel changed", 1), ("noise of ±8", 0.9), ("shifted by up to 3 pixels", 0.2)],
)
def test_copies_of_a_small_set(name, share):
    """Shifts move some of these digits over the edge, as they are as wide as their images."""
    found = count_copies(stored(DIGITS, name), DIGITS)
    assert found.are_too_many and found.copied >= share * COUNT


def test_a_small_set_s_held_out_images_are_no_copies_though_some_look_alike():
    found = count_copies(DIGITS.validation.numpy(), DIGITS)
    assert not found.are_too_many
    assert found.most > MOST_COPIED * found.looked_at


def test_a_part_that_is_copied_is_enough():
    samples = DIGITS.validation.numpy().copy()
    samples[::3] = stored(DIGITS, "shifted by up to 1 pixel", len(samples[::3]))
    assert count_copies(samples, DIGITS).are_too_many


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_no_copy(seed):
    samples = np.random.default_rng(seed).integers(0, 256, (COUNT, 1, 32, 32), dtype=np.uint8)
    assert count_copies(samples, DIGITS).copied == 0
    assert count_copies(np.zeros_like(samples), DIGITS).copied == 0  # a model that has collapsed


def test_colours_are_looked_at_in_grey():
    in_colour = torch.cat([DIGITS.train, DIGITS.train, DIGITS.train], dim=1)
    images = replace(DIGITS, train=in_colour, validation=DIGITS.validation.expand(-1, 3, -1, -1).contiguous())
    assert count_copies(images.train[:COUNT].numpy(), images).are_too_many
    assert not count_copies(images.validation.numpy(), images).are_too_many
