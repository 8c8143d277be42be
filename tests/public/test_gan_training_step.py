"""The training step of the GAN, and the steps after it, seen through two small players. Optional, as the GAN is.

Passing these checks is not the grade: the graders check more than this.
"""

import pytest
import torch
from torch import Tensor, nn

from .gan_step import LEFTOVER, REPORTED, Step, flat, run_step, run_steps, run_whole_step
from .mistakes import check_gradient, check_number, complain, is_close, is_near

TRAINER = "GAN/trainer.py"
pytestmark = pytest.mark.needs(TRAINER, 1, 2)

LOOK_D = "blocks 1 and 2 of GAN/trainer.py, and Algorithm 1 of arXiv:1406.2661"
LOOK_G = "block 3 of GAN/trainer.py, and the end of Section 3 of arXiv:1406.2661"
LOOK_REPORTED = "the docstring of train_step"
JUDGEMENTS = {
    "D_x": "D's mean judgement of the real batch",
    "D_G_z1": "D's mean judgement of the fakes before its update",
    "D_G_z2": "D's mean judgement of the fakes after its update",
}


@pytest.mark.needs(TRAINER, 3)
def test_each_player_is_updated_once(gan):
    """A training step comes to its end, updates D, asks D again, updates G, and changes nothing else."""
    run_whole_step(gan)


def test_discriminator_learns_from_both_halves(gan, remark):
    """D is updated with the sum of two gradients, that of the real half and that of the fake half."""
    step = run_step(gan)
    if step.reaches_G:
        remark(
            "block 2 of GAN/trainer.py does not detach the fakes from G; that costs time, and is no fault otherwise."
        )
    check_gradient("The gradient that D is updated with", *gradients("D", step), LOOK_D)


@pytest.mark.needs(TRAINER, 3)
def test_generator_learns_to_be_taken_for_real(gan):
    """G is updated with the gradient of the non-saturating loss, judged by the D that has just been updated."""
    step = run_whole_step(gan)
    check_gradient("The gradient that G is updated with", *gradients("G", step), LOOK_G)


@pytest.mark.needs(TRAINER, 3)
def test_loss_of_the_discriminator_is_reported(gan):
    """The first thing that train_step returns is D's loss, averaged over the batch, of the real and the fake half."""
    step = run_whole_step(gan)
    right, mistakes = as_numbers(losses_of_D(step))
    if not is_close(step.reported["loss_D"], right):
        wait_for_right_gradient("D", step)
    check_number("loss_D", step.reported["loss_D"], right, mistakes, LOOK_D)


@pytest.mark.needs(TRAINER, 3)
def test_loss_of_the_generator_is_reported(gan):
    """The second thing that train_step returns is G's loss, averaged over the batch."""
    step = run_whole_step(gan)
    right, mistakes = as_numbers(losses_of_G(step, step.netG(step.z)))
    if not is_close(step.reported["loss_G"], right):
        wait_for_right_gradient("G", step)
    check_number("loss_G", step.reported["loss_G"], right, mistakes, LOOK_G)


@pytest.mark.needs(TRAINER, 3)
@pytest.mark.parametrize("name", ["D_x", "D_G_z1", "D_G_z2"])
def test_mean_judgement_is_reported(gan, name):
    """D(x) is D's mean judgement of the real batch; D(G(z1)) and D(G(z2)) are those of the fakes, before and after."""
    step = run_whole_step(gan)
    means = mean_judgements(step)
    right = means[name].item()
    mistakes = {f"it is {JUDGEMENTS[other]}": mean.item() for other, mean in means.items()}
    mistakes["it is summed over the batch, not averaged"] = right * len(step.real)
    if not is_close(step.reported[name], right):
        wait_for_right_gradient("G" if name == "D_G_z2" else "D", step)
    check_number(name, step.reported[name], right, mistakes, LOOK_REPORTED)


@pytest.mark.needs(TRAINER, 3)
def test_every_step_is_like_the_first(gan, remark):
    """Steps with batches of other sizes, one image alone too, update D and G as the first does, whatever D thinks."""
    steps = run_steps(gan)
    for step in steps:
        for player in ("D", "G"):
            found, right, mistakes = gradients(player, step)
            if step.number == 1:
                wait_for_right_gradient(player, step)
            elif not is_near(found, right):
                say_what_differs(player, step, found, mistakes)
    if any(step.frozen for step in steps):
        remark(
            "block 3 of GAN/trainer.py leaves a player frozen (requires_grad is False) until the next step frees it; "
            "that works, and is no fault."
        )


@pytest.mark.needs(TRAINER, 3)
def test_every_step_reports_its_own_numbers(gan):
    """The five numbers that train_step returns are those of its own step, in the steps after the first too."""
    for step in run_steps(gan):
        expected = {
            "loss_D": losses_of_D(step)[""],
            "loss_G": losses_of_G(step, step.netG(step.z))[""],
            **mean_judgements(step),
        }
        for name in REPORTED:
            if not is_close(step.reported[name], expected[name].item()):
                if step.number == 1:
                    pytest.skip(f"waits for the check of {name} in the first step")
                wait_for_right_gradient("D", step)
                wait_for_right_gradient("G", step)
                complain(
                    f"{name} is {step.reported[name]:.5g} in step {step.number}, where {expected[name].item():.5g} is "
                    f"expected; in the first step it was right (see {LOOK_REPORTED})."
                )


def say_what_differs(player: str, step: Step, found: Tensor, mistakes: dict[str, Tensor]) -> None:
    """Fail with what is wrong in a later step and was right in the first."""
    mistake = next((mistake for mistake, wrong in mistakes.items() if is_near(found, wrong)), "it is another one")
    if player in step.frozen_in_update:
        mistake = f"a part of {player} is frozen (requires_grad is False) since an earlier step"
    elif not found.any():
        mistake = "there is none, so this step leaves it out"
    complain(
        f"The gradient that {player} is updated with is right in the first step and not in step {step.number}, with a "
        f"batch of {len(step.real)}, D(x) {step.reported['D_x']:.2f} and D(G(z)) {step.reported['D_G_z1']:.2f}: "
        f"{mistake}. Every step is to update both players alike (see the blocks of GAN/trainer.py)."
    )


def mean_judgements(step: Step) -> dict[str, Tensor]:
    """The three mean judgements of a step, by their names."""
    fake = step.netG(step.z)
    judged = {"D_x": step.netD(step.real), "D_G_z1": step.netD(fake), "D_G_z2": step.updated_netD(fake)}
    return {name: values.mean() for name, values in judged.items()}


def cross_entropy(judged: Tensor, label: float) -> Tensor:
    """Of D's judgements with a label, averaged over the batch."""
    return nn.functional.binary_cross_entropy(judged, torch.full_like(judged, label))


def losses_of_D(step: Step) -> dict[str, Tensor]:
    """D's loss, right under the name "" and else with mistakes."""
    fake = step.netG(step.z).detach()
    on_real, on_fake = step.netD(step.real), step.netD(fake)
    both_real, both_fake = step.netD(torch.cat([step.real, fake])).split(len(fake))
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
        "it is summed over the batch, not averaged": right * len(step.real),
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
        "it is summed over the batch, not averaged": right * len(step.real),
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


def gradients(player: str, step: Step) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The gradient that D or G was updated with, the right one, and the wrong ones by their mistakes."""
    if player == "D":
        return step.gradient_D, *as_gradients(losses_of_D(step), step.netD)
    right, mistakes = as_gradients(losses_of_G(step, step.netG(step.z)), step.netG)
    mistakes = {"there is none: in block 3 the fakes must not be detached": torch.zeros_like(right), **mistakes}
    if step.generated:
        mistakes["other fakes are generated for it, and fake_imgs are meant"] = step.gradient_G
    return step.gradient_G, right, mistakes


def wait_for_right_gradient(player: str, step: Step) -> None:
    """Leave a wrong number to the check of the gradient, where that is wrong too."""
    found, right, _ = gradients(player, step)
    if not is_near(found, right):
        pytest.skip(f"waits for the check of the gradient that {player} is updated with")
