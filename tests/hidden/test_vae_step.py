"""The VAE's training: whether gradients flow through forward, and some steps with batches of several sizes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from autograder.checks import NotLookedAt, Waits, check, close, fail
from autograder.evidence import NotSeen
from autograder.vae_gradients import right_gradients
from coursekit.errors import is_about_probabilities

from . import test_vae_layers as layers

# Rounding may turn one ReLU of the hundred thousand, as it does with one batch in twenty; that made up to 0.011 of the
# largest gradient. A guard of 1e-5 makes less.
ROUNDED = 0.05
EXACT = 1e-2  # how exactly the step's parts are known
IN_A_GRADIENT = 1e-5  # how exactly gradients are, in single precision
IN_THE_RATE = 5e-4  # how exactly the learning rate is
PRECISE, ROUGH = 1e-3, 0.3  # how exactly derivatives are, in double precision and in single
LOSS_FORM, PROBABILITIES = "vae.losses_are_scalars", ("vae.dec_6", "vae.same_decoder")
NO_GRAPH = "does not require grad"
ENCODER, DECODER = 0, 1
GIVEN, RECON, KL, LEFT = range(4)


@check(
    "A step of training changes the weights as the reference's does, with batches of any size",
    points="vae.training_step",
    probe="vae_step",
    needed_for_fid=True,
)
def training_step(submission, inputs, graded, failed_before):
    """What the losses and the layers are, right or wrong, is for other checks to judge."""
    if "flow.automatic" in submission:
        judge_flow(submission)
    layers.must_be_there(graded, layers.ENCODER, layers.DECODER)
    forward = graded[0]["vae_forward"]
    if "vae.reconstruction" in failed_before and "train.decoded" in forward and "train.call.0.z" not in forward:
        raise Waits("vae.reconstruction")  # no sample is drawn, so that a mistake in drawing it would do no harm
    told = [one for one in failed_before if one in PROBABILITIES]
    if told and "train.recon_x" in forward and not are_probabilities(forward["train.recon_x"]):
        raise Waits(told[0])  # most losses stop there, and the others learn from what is no cross entropy
    sizes = inputs["vae_step.batches"].tolist()
    for step, size in enumerate(sizes, 1):
        with explained(submission, step, graded, failed_before):
            judge_step(submission, step, size)
    for step, is_training in enumerate(submission["modes"], 1):
        if not is_training:
            fail(f"step {step} leaves the model in evaluation mode: nothing in it may call eval()")
    if "carried" in submission.facts and "decoded" in submission:
        wrong = wrong_row(submission, inputs, sizes[0])
        if wrong and not failed_before:
            fail(wrong)
    elif not failed_before:
        raise NotLookedAt("weights can't be put into your network, so that the step could not be compared")


def are_probabilities(recon: np.ndarray) -> bool:
    """Whether all pixels lie in [0, 1]."""
    return bool(((recon >= 0) & (recon <= 1)).all())


@contextmanager
def explained(submission, step: int, graded, failed_before: list[str]) -> Iterator[None]:
    """Wait for the check that has told why the first step stops in the block, where one has."""
    try:
        yield
    except NotSeen as unseen:
        failure = unseen.failure
        of_one = [one for one in ("vae.z_distribution", "vae.generation") if one in failed_before]
        if failure is not None and step > 1 and of_one and failure.where.startswith("VAE/model.py"):
            raise Waits(of_one[0]) from None
        if failure is None or step > 1:
            raise
        told = [one for one in failed_before if one == LOSS_FORM or not one.startswith(("vae.recon_", "vae.kl_"))]
        if is_about_probabilities(RuntimeError(failure.message)):
            told = [one for one in failed_before if one in PROBABILITIES]
        if told:
            raise Waits(told[0]) from None
        raise


def judge_flow(submission) -> None:
    """Fail where something between x and the answers of forward is detached."""
    automatic, numeric = submission["flow.automatic"], submission["flow.numeric"]
    if not submission["flow.again"].max() < 1e-3:
        raise NotLookedAt("forward(x) draws random numbers that can't be drawn again, so that it could not be compared")
    within = PRECISE if submission["flow.is_double"].all() else ROUGH
    # Where a ReLU is at its very corner one side has the slope that autograd takes, and the other has not.
    ways = np.stack([*numeric, numeric.mean(axis=0)])
    size = np.maximum(np.abs(automatic), np.abs(ways))
    floor = (1e-6 if within == PRECISE else 0.1) * size.max()
    differs = (np.abs(automatic - ways) > within * size + floor).all(axis=0)
    if not numeric.any():
        fail("what forward(x) returns does not depend on any weight")
    if not differs.any():
        return
    recon, mu, log_sigma = range(3)
    if not automatic.any():
        fail("no gradient flows through forward(x): something in it is detached, or runs under torch.no_grad()")
    if differs[recon].any() and not automatic[recon].any():
        fail("no gradient flows from recon_x to any weight: recon_x is detached, or made under torch.no_grad()")
    if differs[mu, ENCODER] and differs[log_sigma, ENCODER] and not automatic[1:].any():
        fail("the μ and the log σ that forward(x) returns are detached: no gradient of the KL reaches the encoder")
    for row, name in ((mu, "μ"), (log_sigma, "log σ")):
        if differs[row].any() and not automatic[row].any():
            fail(f"the {name} that forward(x) returns is detached: no gradient of the KL flows through it")
    if differs[recon, ENCODER] and automatic[recon, ENCODER] == 0:
        fail("no gradient flows from recon_x to the encoder: z, or what it is drawn from, is detached")
    if differs[recon, DECODER] and automatic[recon, DECODER] == 0:
        fail("no gradient of recon_x reaches the decoder's weights: they are frozen, or run under torch.no_grad()")
    if differs[recon, ENCODER]:
        fail("only a part of the gradient flows from recon_x to the encoder: μ or log σ is detached on the way to z")
    fail("the gradients that flow through forward(x) are not those of what it computes: something in it is detached")


def judge_step(submission, step: int, size: int) -> None:
    """Fail unless one step makes one update, with the gradients of both losses, by Adam."""
    at = f"in step {step}" + (", with a batch of one image" if size == 1 else "")
    if f"loop.{step}" not in submission:
        failure = submission.failures.get(f"step.{step}") or submission.failures.get("probe")
        if failure is None and submission.failures.get("ended"):
            failure = submission.failures["ended"]
        if failure is None:
            fail(f"the optimizer makes 0 steps for one batch {at}, and should make one")
        if NO_GRAPH in failure.message:
            failure = replace(failure, hint="Nothing that the losses are made of requires gradients")
        elif step > 1 and not failure.hint:
            failure = replace(failure, hint=f"It stops {at}; with a batch of {size + 5 if size == 1 else 6} it ran")
        raise NotSeen(f"step {step}", failure)
    updates = submission["updates"][step - 1]
    if updates != 1:
        fail(f"the optimizer makes {updates:.0f} steps for one batch {at}, and should make one")
    judge_gradients(submission[f"loop.{step}"].sum(axis=0), submission[f"loop.{step}"], at)
    judge_update(submission[f"update.{step}"].sum(axis=0), at)


def judge_gradients(table: np.ndarray, halves: np.ndarray, at: str) -> None:
    """Fail unless the optimizer is given the sum of both losses' gradients, and nothing else.

    Args:
        table: (4, 4), products of what is given, each loss's own gradient, and what an earlier step left.
        halves: the same, of the encoder's and of the decoder's weights.
        at: in which step.
    """
    parts = [part for part in (RECON, KL, LEFT) if table[part, part] > 0]
    if not table[GIVEN, GIVEN] > 0:
        if table[RECON, RECON] > 0 or table[KL, KL] > 0:
            fail(f"no gradient reaches any layer before the optimizer's step {at}")
        fail(f"neither loss has a gradient {at}, so that nothing is learned")
    sizes = np.sqrt(table[parts, parts])
    inverse = np.linalg.pinv(table[np.ix_(parts, parts)] / np.outer(sizes, sizes), rcond=1e-10, hermitian=True)
    counts = inverse @ (table[parts, GIVEN] / sizes) / sizes
    # One that is much smaller than the others, as with a batch of one may be, is lost in their rounding.
    doubts = IN_A_GRADIENT * np.sqrt(table[GIVEN, GIVEN] * np.diag(inverse).clip(0)) / sizes
    known = {part for part, doubt in zip(parts, doubts, strict=True) if doubt < EXACT}
    times = dict.fromkeys((RECON, KL, LEFT), 0.0) | dict(zip(parts, counts, strict=True))
    rest = table[GIVEN, GIVEN] - counts @ table[parts, GIVEN]
    if rest > EXACT**2 * table[GIVEN, GIVEN]:
        for half, name in ((ENCODER, "encoder"), (DECODER, "decoder")):
            if halves[half, GIVEN, GIVEN] == 0 and halves[half, RECON, RECON] > 0:
                fail(f"no gradient reaches the {name} {at}")
        fail(f"the optimizer is given other gradients than those of recon_loss + kl_loss {at}")
    if LEFT in known and abs(times[LEFT]) > EXACT:
        fail(f"what an earlier step left is still in the gradients {at}: clear them before backward()")
    seen = {part: times[part] for part in (RECON, KL) if part in known}
    names = {RECON: "recon_loss", KL: "kl_loss"}
    if len(seen) == 2 and abs(seen[RECON] - seen[KL]) < EXACT * abs(seen[RECON]) and abs(seen[RECON] - 1) > EXACT:
        length = np.sqrt(table[GIVEN, GIVEN])
        if 0 < seen[RECON] < 1 and close(length, float(f"{length:.1g}")):
            fail(f"the gradient is cut to a length of {length:.1g} before the update {at}")
        fail(f"the gradients are {seen[RECON]:.3g} times what they should be {at}")
    for part, number in seen.items():
        if abs(number) < EXACT * max(map(abs, seen.values())):
            fail(f"{names[part]} has no part in the loss that is minimised {at}")
    for part, number in seen.items():
        if abs(number - 1) > EXACT:
            fail(f"{names[part]} counts {number:.3g} times in the loss that is minimised {at}, and should count once")


def judge_update(table: np.ndarray, at: str) -> None:
    """Fail unless a step changes the weights as Adam's does; the table holds products of the change and of Adam's."""
    if not table[0, 0] > 0:
        fail(f"the update leaves the weights as they were {at}")
    ratio = table[0, 1] / table[1, 1]
    if table[0, 0] - ratio * table[0, 1] > EXACT * table[0, 0]:
        fail(f"the weights change otherwise than by Adam's step {at}: this is not what Adam's step changes")
    if abs(ratio - 1) > IN_THE_RATE:
        fail(f"what Adam's step changes is {ratio:.4g} times what the learning rate asks for {at}")


def wrong_row(submission, inputs, size: int) -> str:
    """The row whose gradient is not the right network's, with what was decoded in the step; "" where none is."""
    prefix = "vae_step.weight."
    weights = {name.removeprefix(prefix): inputs[name] for name in inputs if name.startswith(prefix)}
    expected = right_gradients(weights, inputs["vae_step.x"][:size], submission["decoded"])
    for row in reversed(list(expected)):  # the first one seen from the loss is where it goes wrong
        got = submission[f"gradient.{row}"]
        if not close(got, expected[row], ROUNDED):
            worst = np.unravel_index(np.argmax(np.abs(got - expected[row])), got.shape)
            return (
                f"the gradient in row {row} of the table is not as expected: for example {got[worst]:.5g} where "
                f"{expected[row][worst]:.5g} is expected"
            )
    return ""
