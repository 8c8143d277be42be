"""The training step of the GAN, seen through two small players. Optional, as the GAN is.

Passing these checks is not the grade: the graders check more than this.
"""

import pytest
import torch
from torch import Tensor, nn

from .gan_step import BATCH, LEFTOVER, Step, flat, run_step, run_whole_step
from .mistakes import check_gradient, check_number, is_close, is_near

TRAINER = "GAN/trainer.py"
pytestmark = pytest.mark.needs(TRAINER, 1, 2)

LOOK_D = "blocks 1 and 2 of GAN/trainer.py, and Algorithm 1 of arXiv:1406.2661"
LOOK_G = "block 3 of GAN/trainer.py, and the end of Section 3 of arXiv:1406.2661"
LOOK_REPORTED = "the docstring of train_step"


@pytest.mark.needs(TRAINER, 3)
def test_each_player_is_updated_once(gan):
    """A training step comes to its end, updates D, asks D again, and updates G."""
    run_whole_step(gan)


def test_discriminator_learns_from_both_halves(gan, remark):
    """D is updated with the sum of two gradients, that of the real half and that of the fake half."""
    step = run_step(gan)
    if step.reaches_G:
        remark(
            "block 2 of GAN/trainer.py does not detach the fakes from G; that costs time, and is no fault otherwise."
        )
    check_gradient("The gradient that D is updated with", step.gradient_D, *gradients_for_D(step), LOOK_D)


@pytest.mark.needs(TRAINER, 3)
def test_generator_learns_to_be_taken_for_real(gan):
    """G is updated with the gradient of the non-saturating loss, judged by the D that has just been updated."""
    step = run_whole_step(gan)
    check_gradient("The gradient that G is updated with", step.gradient_G, *gradients_for_G(step), LOOK_G)


@pytest.mark.needs(TRAINER, 3)
def test_loss_of_the_discriminator_is_reported(gan):
    """The first thing that train_step returns is D's loss, averaged over the batch, of the real and the fake half."""
    step = run_whole_step(gan)
    right, mistakes = as_numbers(losses_of_D(step))
    if not is_close(step.reported["loss_D"], right):
        wait_for_right_gradient("D", step.gradient_D, gradients_for_D(step))
    check_number("loss_D", step.reported["loss_D"], right, mistakes, LOOK_D)


@pytest.mark.needs(TRAINER, 3)
def test_loss_of_the_generator_is_reported(gan):
    """The second thing that train_step returns is G's loss, averaged over the batch."""
    step = run_whole_step(gan)
    right, mistakes = as_numbers(losses_of_G(step, step.netG(step.z)))
    if not is_close(step.reported["loss_G"], right):
        wait_for_right_gradient("G", step.gradient_G, gradients_for_G(step))
    check_number("loss_G", step.reported["loss_G"], right, mistakes, LOOK_G)


@pytest.mark.needs(TRAINER, 3)
@pytest.mark.parametrize("name", ["D_x", "D_G_z1", "D_G_z2"])
def test_mean_judgement_is_reported(gan, name):
    """D(x) is D's mean judgement of the real batch; D(G(z1)) and D(G(z2)) are those of the fakes, before and after."""
    step = run_whole_step(gan)
    fake = step.netG(step.z)
    means = {
        "D_x": ("D's mean judgement of the real batch", step.netD(step.real).mean()),
        "D_G_z1": ("D's mean judgement of the fakes before its update", step.netD(fake).mean()),
        "D_G_z2": ("D's mean judgement of the fakes after its update", step.updated_netD(fake).mean()),
    }
    _, right = means[name]
    mistakes = {f"it is {what}": mean.item() for what, mean in means.values()}
    mistakes["it is summed over the batch, not averaged"] = right.item() * BATCH
    if not is_close(step.reported[name], right.item()) and name != "D_G_z2":
        wait_for_right_gradient("D", step.gradient_D, gradients_for_D(step))
    check_number(name, step.reported[name], right.item(), mistakes, LOOK_REPORTED)


def cross_entropy(judged: Tensor, label: float) -> Tensor:
    """Of D's judgements with a label, averaged over the batch."""
    return nn.functional.binary_cross_entropy(judged, torch.full_like(judged, label))


def losses_of_D(step: Step) -> dict[str, Tensor]:
    """D's loss, right under the name "" and else with mistakes."""
    fake = step.netG(step.z).detach()
    on_real, on_fake = step.netD(step.real), step.netD(fake)
    both_real, both_fake = step.netD(torch.cat([step.real, fake])).split(BATCH)
    real_1, real_0, fake_1, fake_0 = (cross_entropy(judged, label) for judged in (on_real, on_fake) for label in (1, 0))
    right = real_1 + fake_0
    return {
        "": right,
        "the labels of real and fake are swapped": real_0 + fake_1,
        "the real half has the label of fakes": real_0 + fake_0,
        "the fake half has the label of real images": real_1 + fake_1,
        "only the fake half is in it; the two halves are to be added up": fake_0,
        "only the real half is in it; the two halves are to be added up": real_1,
        "only the fake half is in it, with the label of real images": fake_1,
        "only the real half is in it, with the label of fakes": real_0,
        "the real half counts twice": right + real_1,
        "the fake half counts twice": right + fake_0,
        "both halves count twice": 2 * right,
        "the two halves are averaged, and should be added up": right / 2,
        "it is summed over the batch, not averaged": right * BATCH,
        "its sign is wrong": -right,
        "the fake half judges the real batch": real_1 + real_0,
        "the real half judges the fakes": fake_1 + fake_0,
        "the loss of G is in it too": right + fake_1,
        "real images have a label of 0.9, not 1": cross_entropy(on_real, 0.9) + fake_0,
        "real and fake images are judged as one batch, in which batch normalisation mixes them": (
            cross_entropy(both_real, 1) + cross_entropy(both_fake, 0)
        ),
    }


def losses_of_G(step: Step, fake: Tensor) -> dict[str, Tensor]:
    """G's loss, right under the name "" and else with mistakes."""
    judged, judged_before = step.updated_netD(fake), step.netD(fake)
    right, of_fakes = cross_entropy(judged, 1), cross_entropy(judged, 0)
    return {
        "": right,
        "it is the saturating form, and the non-saturating one is asked for": -of_fakes,
        "the fakes have the label of fakes, so that G learns to be found out": of_fakes,
        "its sign is wrong": -right,
        "D judges as it did before its update": cross_entropy(judged_before, 1),
        "it is summed over the batch, not averaged": right * BATCH,
        "it counts twice": 2 * right,
        "it is half of it": right / 2,
        "the real batch is judged": cross_entropy(step.updated_netD(step.real), 1),
    }


def as_numbers(losses: dict[str, Tensor]) -> tuple[float, dict[str, float]]:
    """The right number, and the wrong ones by their mistakes."""
    numbers = {mistake: loss.item() for mistake, loss in losses.items()}
    return numbers.pop(""), numbers


def as_gradients(losses: dict[str, Tensor], player: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """The right gradient, and the wrong ones by their mistakes."""
    parameters = list(player.parameters())
    rows = {
        mistake: flat(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True), parameters)
        for mistake, loss in losses.items()
    }
    right = rows.pop("")
    rows["there is none, so no backward pass reaches it"] = torch.zeros_like(right)
    rows["what an earlier step left is still in it"] = right + LEFTOVER
    return right, rows


def gradients_for_D(step: Step) -> tuple[Tensor, dict[str, Tensor]]:
    return as_gradients(losses_of_D(step), step.netD)


def gradients_for_G(step: Step) -> tuple[Tensor, dict[str, Tensor]]:
    right, mistakes = as_gradients(losses_of_G(step, step.netG(step.z)), step.netG)
    none = torch.zeros_like(right)
    return right, {"there is none: in block 3 the fakes must not be detached": none, **mistakes}


def wait_for_right_gradient(player: str, found: Tensor, gradients: tuple[Tensor, dict[str, Tensor]]) -> None:
    """Leave a wrong number to the check of the gradient, where that is wrong too."""
    right, _ = gradients
    if not is_near(found, right):
        pytest.skip(f"waits for the check of the gradient that {player} is updated with")
