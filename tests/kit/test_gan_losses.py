"""Losses told from their slopes, whatever they are of."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from autograder.gan_losses import MISSING, loss_of

JUDGED = torch.tensor([0.05, 0.3, 0.55, 0.8, 0.97], dtype=torch.float64)


def told(loss, judged=JUDGED, like=None):
    p = judged.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(loss(p), p)
    return loss_of(slopes.numpy(), judged.numpy(), 1.0, like), loss(p).item()


@pytest.mark.parametrize(
    ("loss", "name", "weight", "label"),
    [
        (lambda p: functional.binary_cross_entropy(p, torch.ones_like(p)), "", 1, 1),
        (lambda p: functional.binary_cross_entropy(p, torch.zeros_like(p)), "", 1, 0),
        (lambda p: functional.binary_cross_entropy(p, torch.full_like(p, 0.9)), "", 1, 0.9),
        (lambda p: -functional.binary_cross_entropy(p, torch.zeros_like(p)), "", -1, 0),
        (lambda p: functional.binary_cross_entropy(p, torch.ones_like(p)) / 64, "", 1 / 64, 1),
        (lambda p: functional.binary_cross_entropy_with_logits(p, torch.ones_like(p)), "logits", 1, 1),
        (lambda p: 2 * ((p - 1) ** 2).mean(), "squares", 2, 1),
        (lambda p: -p.mean(), "judgements", 1, 1),
    ],
)
def test_a_loss_is_told_with_its_weight_its_label_and_its_value(loss, name, weight, label):
    found, value = told(loss)
    assert (found.name, found.weight, found.label) == (name, pytest.approx(weight), pytest.approx(label))
    assert found.value(JUDGED.numpy()) == pytest.approx(value)


def test_judgements_that_are_cut_and_labels_that_are_drawn():
    assert told(lambda p: -p.clamp(0.1, 0.9).log().mean())[0].name == "clamped"
    labels = torch.tensor([0.9, 1.1, 0.7, 1.0, 0.8], dtype=torch.float64)
    found, value = told(lambda p: (-labels * p.log() - (1 - labels) * (1 - p).log()).mean())
    assert found.labels == pytest.approx(labels.tolist())
    assert found.value(JUDGED.numpy()) == pytest.approx(value)


def test_one_image_is_told_by_the_step_before():
    smoothed = lambda p: functional.binary_cross_entropy(p, torch.full_like(p, 0.9))  # noqa: E731
    before, _ = told(smoothed)
    found, _ = told(smoothed, JUDGED[1:2], before)
    assert (found.weight, found.label) == (pytest.approx(1), pytest.approx(0.9))


def test_nothing_and_something_unheard_of():
    assert loss_of(np.zeros(5), JUDGED.numpy(), 1.0) is MISSING
    assert loss_of(np.array([9.0, -7, 8, -30, 2]), JUDGED.numpy(), 1.0) is None
