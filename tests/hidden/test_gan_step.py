"""One training step of the GAN, seen through two small players. Optional, as the GAN is."""

from dataclasses import replace

import numpy as np
import pytest

from autograder.checks import adams_first_step, check, close, fail, mistake, same
from autograder.evidence import Failure, Findings, NotSeen
from autograder.gan_gradients import FAKE, REAL, Answers, Halves, step_of_D, step_of_G

USED_TWICE = "backward through the graph a second time"
CHANGED_MEANWHILE = "modified by an inplace operation"
IN_THE_SUM = 0.02  # how exactly the shares of the halves are known


@pytest.fixture(scope="session")
def halves(inputs) -> Halves:
    return step_of_D(inputs)


@pytest.fixture(scope="session")
def answers(graded, inputs) -> Answers | None:
    found = graded[0]["gan_step"]
    return step_of_G(inputs, found["after.D"]) if "after.D" in found else None


@check("D's gradient is made of its two halves, added up", points="gan.d_accumulates", probe="gan_step")
def d_accumulates(submission, inputs, halves):
    if submission.fact("steps")["D"] > 1:
        fail(f"D is updated {submission.fact('steps')['D']} times in one training step, and should be once")
    got = submission["gradient.D"]
    real, fake = halves.gradients["real", REAL], halves.gradients["fake", FAKE]
    mistake(got, np.zeros_like(got), "no gradient reaches D before its update: a backward pass is missing")
    mistake(got, halves.mixed, "real and fake images are judged as one batch, in which batch normalisation mixes them")
    mistake(got, halves.in_evaluation, "D judges in evaluation mode, with statistics that it has kept")
    mistake(got, halves.smoothed, "real images have the label 0.9, not 1")
    mistake(got, (real + fake) / 2, "the two halves are averaged, and should be added up")
    mistake(got, (real + fake) * 2, "both halves count twice")
    mistake(got, (real + fake) * len(inputs["gan_step.real"]), "the losses are summed over the batch, not averaged")
    mistake(got, -(real + fake), "the loss of D has the wrong sign")
    for one, sentence in ((real, "the real half"), (fake, "the fake half")):
        rest = real + fake - one
        mistake(got, rest + 2 * one, f"{sentence} counts twice")
    left = inputs["gan_step.leftover"]
    mistake(got, real + fake + left, "what an earlier step left is still in D's gradient")
    _, rest = shares_of(got, halves)
    if not close(got - rest, got):
        fail("D's gradient is not made of −log D(x) and −log(1 − D(G(z))), averaged over the batch")


@check("The real half of D's step minimises −log D(x)", points="gan.d_real_half", probe="gan_step")
def d_real_half(submission, halves):
    shares, _ = shares_of(submission["gradient.D"], halves)
    judge_half("real", shares["real", REAL], shares["real", FAKE], "the real batch has the label of fakes, 0")


@check("The fake half of D's step minimises −log(1 − D(G(z)))", points="gan.d_fake_half", probe="gan_step")
def d_fake_half(submission, halves):
    shares, _ = shares_of(submission["gradient.D"], halves)
    judge_half("fake", shares["fake", FAKE], shares["fake", REAL], "the fakes have the label of real images, 1")


@check(
    "D's weights after its update are the reference's",
    points="gan.d_update",
    probe="gan_step",
)
def d_update(submission, inputs):
    judge_update("D", submission, inputs)


@check(
    "A training step comes to its end, with one update of each player, and both left in training mode",
    points="gan.one_step_each",
    probe="gan_step",
    needed_for_fid=True,
)
def one_step_each(submission):
    if "gradient.G" not in submission:
        failure = submission.failures.get("step") or submission.failures.get("gradient.G")
        if failure is None:
            fail("G is never updated")
        raise NotSeen("gradient.G", replace(failure, hint=hint_at(failure, submission.fact("judged again"))))
    if submission.fact("steps")["G"] > 1:
        fail(f"G is updated {submission.fact('steps')['G']} times in one training step, and should be once")
    if not submission.fact("judged again"):
        fail("block 3 uses a judgement from before D's update: there D is to judge the fakes again")
    for player, training in submission.fact("in training mode").items():
        if not training:
            fail(f"the step leaves {player} in evaluation mode, in which the next one goes on: call train() again")


@check("No gradient of D's step is in G's update", points="gan.no_leak", probe="gan_step")
def no_leak(submission, answers, halves, inputs, remark):
    got, right = submission["gradient.G"], answers.gradients["right"]
    leak = halves.to_G
    for left in (0, float(inputs["gan_step.leftover"])):
        mistake(got, right + leak + left, "the fake half of D's step leaves its gradient in G: detach the fakes there")
    mistake(got, right + float(inputs["gan_step.leftover"]), "what an earlier step left is still in G's gradient")
    if submission.fact("reaches G"):
        remark("Remark: block 2 does not detach the fakes from G; that costs time, and is no fault otherwise.")


@check("G's step minimises −log D(G(z)), judged by the D just updated", points="gan.g_gradient", probe="gan_step")
def g_gradient(submission, answers, inputs):
    got = submission["gradient.G"]
    right = answers.gradients["right"]
    if close(got, right):
        return  # where D's update changes nothing, some of the mistakes give the same
    mistake(got, np.zeros_like(got), "no gradient reaches G: in block 3 the fakes must not be detached")
    for name, sentence in {
        "saturating": "it is the saturating loss log(1 − D(G(z))), and the non-saturating −log D(G(z)) is asked for",
        "found out": "the fakes have the label of fakes, so that G learns to be found out",
        "wrong sign": "the loss of G has the wrong sign",
        "before": "D judges as it did before its update: let it judge the fakes again",
        "in evaluation": "D judges in evaluation mode, with statistics that it has kept",
    }.items():
        mistake(got, answers.gradients[name], sentence)
    mistake(got, right * len(inputs["gan_step.real"]), "the loss of G is summed over the batch, not averaged")
    mistake(got, right * 2, "the loss of G counts twice")
    mistake(got, right / 2, "the loss of G counts half")
    same(got, right, "the gradient that G is updated with")


@check(
    "G's weights after its update are the reference's",
    points="gan.g_update",
    probe="gan_step",
)
def g_update(submission, inputs):
    judge_update("G", submission, inputs)


@check(
    "train_step returns D's loss, of both halves",
    points="gan.loss_D",
    probe="gan_step",
)
def loss_D(submission, halves, inputs):
    got, real, fake = submission["loss_D"], halves.losses["real", REAL], halves.losses["fake", FAKE]
    mistake(got, real, "loss_D is that of the real half only")
    mistake(got, fake, "loss_D is that of the fake half only")
    mistake(got, (real + fake) / 2, "loss_D is the average of the two halves, and should be their sum")
    mistake(got, (real + fake) * len(inputs["gan_step.real"]), "loss_D is summed over the batch, not averaged")
    same(got, real + fake, "loss_D")


@check("train_step returns G's loss", points="gan.loss_G", probe="gan_step")
def loss_G(submission, answers, inputs):
    got = submission["loss_G"]
    mistake(got, -answers.loss, "loss_G has the wrong sign")
    mistake(got, answers.loss * len(inputs["gan_step.real"]), "loss_G is summed over the batch, not averaged")
    same(got, answers.loss, "loss_G")


@check("train_step returns the mean of D(x)", points="gan.D_x", probe="gan_step")
def D_x(submission, halves, answers, inputs):
    others = {"of the fakes, D(G(z))": halves.D_G_z1, "after D's update": answers.D_x if answers else np.nan}
    judge_mean(submission, inputs, "D_x", halves.D_x, others)


@check("train_step returns the mean of D(G(z)) before D's update", points="gan.D_G_z1", probe="gan_step")
def D_G_z1(submission, halves, answers, inputs):
    others = {"of the real batch, D(x)": halves.D_x, "after D's update": answers.D_G_z2 if answers else np.nan}
    judge_mean(submission, inputs, "D_G_z1", halves.D_G_z1, others)


@check("train_step returns the mean of D(G(z)) after D's update", points="gan.D_G_z2", probe="gan_step")
def D_G_z2(submission, halves, answers, inputs):
    others = {"before D's update": halves.D_G_z1, "of the real batch, D(x)": halves.D_x}
    judge_mean(submission, inputs, "D_G_z2", answers.D_G_z2, others)


def shares_of(gradient: np.ndarray, halves: Halves) -> tuple[dict[tuple[str, float], float], np.ndarray]:
    """How often each half with each label is in a gradient, and what of it is none of them."""
    parts = np.stack(list(halves.gradients.values()), axis=1)
    # By the normal equations: thousands of rows, four columns, and two digits that matter.
    factors, *_ = np.linalg.lstsq(parts.T @ parts, parts.T @ gradient, rcond=None)
    return dict(zip(halves.gradients, factors, strict=True)), gradient - parts @ factors


def judge_half(half: str, right: float, wrong: float, sentence: str) -> None:
    """Fail unless a half is once in D's gradient, with the right label."""
    if abs(wrong - 1) < IN_THE_SUM and abs(right) < IN_THE_SUM:
        fail(sentence)
    if max(abs(right), abs(wrong)) < IN_THE_SUM:
        fail(
            f"the {half} half is not in D's gradient: its backward pass is missing, or gradients are cleared between "
            "the halves, where they should add up"
        )
    if abs(right - 1) > IN_THE_SUM or abs(wrong) > IN_THE_SUM:
        fail(f"the {half} half counts {right:.3g} times with the right label and {wrong:.3g} times with the wrong one")


def judge_update(player: str, submission: Findings, inputs: dict[str, np.ndarray]) -> None:
    """Fail unless the optimizer's step is Adam's first one, for the gradient that the player has."""
    got = submission[f"after.{player}"] - inputs[f"gan_step.{player}"].astype(float)
    mistake(got, np.zeros_like(got), f"the update leaves {player} as it was")
    expected = adams_first_step(submission[f"gradient.{player}"], float(inputs["gan_step.learning_rate"]))
    same(got, expected, f"what the update changes in {player}")


def judge_mean(
    submission: Findings, inputs: dict[str, np.ndarray], name: str, expected: float, others: dict[str, float]
) -> None:
    """Fail unless a mean judgement that was returned is the expected one."""
    got = submission[name]
    if close(got, expected):
        return  # two means may be equal by chance
    mistake(got, expected * len(inputs["gan_step.real"]), f"{name} is summed over the batch, not averaged")
    for what, value in others.items():
        mistake(got, value, f"{name} is the mean judgement {what}")
    same(got, expected, name)


def hint_at(failure: Failure, judged_again: object) -> str:
    """What PyTorch's words mean in this step, where that is known."""
    if USED_TWICE in failure.message and judged_again:
        return "Block 2 has used up G's graph: there the fakes are to be detached from G"
    if USED_TWICE in failure.message or CHANGED_MEANWHILE in failure.message:
        return "Block 3 uses a judgement from before D's update: there D is to judge the fakes again"
    return ""
