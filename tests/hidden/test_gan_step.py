"""Some training steps of the GAN, seen through two small players. Optional, as the GAN is.

Each check is made in every step by itself, with what the step was given and with the players that the student's own
code has made of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from autograder.checks import NotLookedAt, Waits, Wrong, check, close, fail, mistake, same
from autograder.evidence import Failure, Findings, NotSeen
from autograder.gan_gradients import FAKE, REAL, Judgement, Way, judge
from autograder.gan_losses import MISSING, Loss
from autograder.gan_steps import BEFORE, BETA2, PAID_ELSEWHERE, Half, Step, adams_change, steps_seen

USED_TWICE = "backward through the graph a second time"
CHANGED_MEANWHILE = "modified by an inplace operation"
FROZEN = "require"  # "does not require grad", "requires_grad=False"
OTHER_SIZES = "target size"
EXCHANGED = "are BCE_criterion's two arguments exchanged? What D says comes first, then the labels"
KEPT = "Something of the step before is kept together with its graph: keep its number alone"
SET_IN = {1: ("loss_D_real", "D_x"), 2: ("loss_D_fake", "D_G_z1"), 3: ("loss_G", "D_G_z2")}
LABELS = "Give the labels the shape of what D says, as torch.ones_like does"
IN_THE_SUM = 0.02  # how exactly it is known how often a half is in D's gradient
IN_THE_RATE = 2e-5  # likewise of the learning rate
ORDINALS = ("first", "second", "third", "fourth")
RIGHT = {"real": REAL, "fake": FAKE}
IMAGES = {"real": "the real batch has", "fake": "the fakes have"}
# What D judges in block 1, 2 or 3, and how, where it isn't as it should be.
WAYS = {
    "in evaluation mode": "D judges in evaluation mode, with statistics that it has kept",
    "mixed": "real and fake images are judged as one batch, in which batch normalisation mixes them",
    "tanh of the real": "the real images go through a tanh before D judges them, and are to be judged as they are",
    "tanh of the fake": "the fakes go through another tanh before D judges them; G has one already",
    "another range for the real": "the real images are brought into another range before D judges them",
    "another range for the fake": "the fakes are brought into another range before D judges them",
    "noise added to the real": "noise is added to the real images before D judges them",
    "noise added to the fake": "noise is added to the fakes before D judges them",
    "other images": "D judges other images than the step was given: real_imgs and fake_imgs are those to use",
    BEFORE: "D judges as it did before its update: let it judge the fakes again",
}
LOSSES = {
    "logits": "takes D's judgements for logits, and D ends in a Sigmoid already: use BCE_criterion",
    "squares": "is a mean of squares, and the binary cross entropy is asked for",
    "judgements": "is the mean of D's judgements, as of a Wasserstein GAN, and the binary cross entropy is asked for",
    "exchanged": "has BCE_criterion's two arguments exchanged: what D says comes first, then the labels",
    "clamped": "leaves out images that D is sure of, since D's judgements are cut to a smaller range",
}


@pytest.fixture(scope="session")
def steps(graded, inputs) -> Callable[[], list[Step]]:
    """Gives the steps that were seen; they are explained once for all of the checks."""
    seen: list[Step] = []

    def get() -> list[Step]:
        seen[:] = seen or steps_seen(graded[0]["gan_step"], inputs)
        return seen

    return get


@check("D's gradient is made of its two halves, added up", points="gan.d_accumulates", probe="gan_step")
def d_accumulates(steps):
    in_each_step(steps(), judge_sum)


@check("The real half of D's step minimises −log D(x)", points="gan.d_real_half", probe="gan_step")
def d_real_half(steps):
    in_each_step(steps(), lambda step: judge_half(step, "real"))


@check("The fake half of D's step minimises −log(1 − D(G(z)))", points="gan.d_fake_half", probe="gan_step")
def d_fake_half(steps):
    in_each_step(steps(), lambda step: judge_half(step, "fake"))


@check("D's weights change by Adam's step, and by nothing else", points="gan.d_update", probe="gan_step")
def d_update(steps):
    wait_where_untaught(steps(), "D")
    in_each_step(steps(), lambda step: judge_update(step, "D"))


@check(
    "Training steps follow one another, with one update of each player, and both left as they were found",
    points="gan.one_step_each",
    probe="gan_step",
    needed_for_fid=True,
)
def one_step_each(steps, submission):
    if "G.0.gradient" not in steps()[0]:
        failure = submission.failure(f"stopped.{steps()[0].name}")
        raise NotSeen("G.0.gradient", failure and with_hint(failure))
    in_each_step(steps(), judge_order)
    for step in steps()[1:]:
        failure = submission.failures.get(f"stopped.{step.name}")
        if failure and (step.batch == steps()[0].batch or f"stopped again.{step.name}" not in submission.failures):
            stops_later(step, failure)
    in_each_step(steps(), believe)
    for player in ("D", "G"):
        wait_where_untaught(steps(), player)
    all_were_made(steps(), submission)


@check("A training step takes any number of images, one too", points="gan.any_batch", probe="gan_step")
def any_batch(steps, submission):
    first = steps()[0]
    failure = submission.failures.get("stopped.0")
    if failure and first.name != "0":
        fail(f"a step of 5 images stops, and one of {first.batch} doesn't: {with_hint(failure).sentence()}")
    if failure:
        raise NotSeen("stopped.0", with_hint(failure))
    if f"stopped again.{first.name[:-1]}1" in submission.failures:
        raise Waits("gan.one_step_each")
    for name, failure in submission.failures.items():
        kind, _, number = name.partition(".")
        if kind == "stopped again" and failure:
            images = {"2": "3 images", "3": "a single image"}.get(number[-1])
            if images:
                fail(f"a step of {images} stops: {with_hint(failure).sentence()}")
    in_each_step(steps(), believe)
    in_each_step(steps(), wait_for_the_order)
    for player in ("D", "G"):
        wait_where_untaught(steps(), player)
    all_were_made(steps(), submission)


@check("No gradient of D's step is in G's update", points="gan.no_leak", probe="gan_step")
def no_leak(steps, submission, remark):
    in_each_step(steps(), judge_leak)
    wait_where_untaught(steps(), "G")
    if submission.facts.get(f"{steps()[0].name}.reaches G"):
        remark("Remark: block 2 does not detach the fakes from G; that costs time, and is no fault otherwise.")


@check("G's step minimises −log D(G(z)), judged by the D just updated", points="gan.g_gradient", probe="gan_step")
def g_gradient(steps):
    in_each_step(steps(), judge_told)


@check("G's weights change by Adam's step, and by nothing else", points="gan.g_update", probe="gan_step")
def g_update(steps):
    in_each_step(steps(), wait_for_the_order)
    wait_where_untaught(steps(), "G")
    in_each_step(steps(), lambda step: judge_update(step, "G"))


@check("train_step returns D's loss, of both halves", points="gan.loss_D", probe="gan_step")
def loss_D(steps):
    in_each_step(steps(), judge_loss_D)


@check("train_step returns G's loss", points="gan.loss_G", probe="gan_step")
def loss_G(steps):
    in_each_step(steps(), judge_loss_G)


@check("train_step returns the mean of D(x)", points="gan.D_x", probe="gan_step")
def D_x(steps):
    in_each_step(steps(), judge_D_x)


@check("train_step returns the mean of D(G(z)) before D's update", points="gan.D_G_z1", probe="gan_step")
def D_G_z1(steps):
    in_each_step(steps(), judge_D_G_z1)


@check("train_step returns the mean of D(G(z)) after D's update", points="gan.D_G_z2", probe="gan_step")
def D_G_z2(steps):
    in_each_step(steps(), judge_D_G_z2)


def in_each_step(steps: Sequence[Step], judge_step: Callable[[Step], None]) -> None:
    """Make a check in each of the steps, and say in which of them it fails where it isn't all."""
    wrong, other = {}, None
    for step in steps:
        try:
            judge_step(step)
        except Wrong as found:
            wrong[step] = str(found)
        except (Waits, NotLookedAt) as found:
            other = other or found
        except NotSeen:
            if step is steps[0]:
                raise  # a later one has stopped, which another check tells
    if wrong:
        sentence = next(iter(wrong.values()))
        fail(sentence if len(wrong) == len(steps) else f"{named(list(wrong), steps)}: {sentence}")
    if other is not None:
        raise other


def wait_where_untaught(steps: Sequence[Step], player: str) -> None:
    """Wait where a player is told nothing in any of the steps: what is done with no gradient shows nothing."""
    told = [step.explained(player) for step in steps]
    halves = [(one.real, one.fake) if player == "D" else (one.told,) for one in told if one is not None]
    if halves and all(half.loss is MISSING for some in halves for half in some):
        raise Waits("gan.d_real_half" if player == "D" else "gan.g_gradient")


def wait_for_the_order(step: Step) -> None:
    """Wait where G is updated before D: what is done with its gradient before its loss is there shows nothing."""
    if not step.is_D_first:
        raise Waits("gan.one_step_each")


def all_were_made(steps: Sequence[Step], submission: Findings) -> None:
    """Fail where a step is missing that no failure of its own has kept from being seen."""
    form, seen = steps[0].name[:-1], {step.name for step in steps}
    for name in (f"{form}{number}" for number in range(len(ORDINALS))):
        if name not in seen and f"stopped.{name}" not in submission.failures:
            raise NotSeen(name, submission.failures.get("probe"))


def named(some: Sequence[Step], steps: Sequence[Step]) -> str:
    """Say which of the steps some are, and what is different about them."""
    if list(some) == list(steps[1:]):
        return "from the second step on"
    ordinals = [ORDINALS[int(step.name[-1])] for step in some]
    which = " and ".join([", ".join(ordinals[:-1]), ordinals[-1]] if ordinals[1:] else ordinals)
    said = [one.probabilities.mean() for one in (some[0].judged_real, some[0].judged_fake)]
    images = f"{some[0].batch} image{'s' * (some[0].batch > 1)}"
    return f"in the {which} step of {len(steps)} (with {images}, D(x) {said[0]:.2g} and D(G(z)) {said[1]:.2g})"


def judge_sum(step: Step) -> None:
    """Fail unless D's gradient is that of both halves, each judged as it should be, and each once."""
    got = step.gradient("D")
    if step.D is None and not np.isfinite(got).all():
        fail(f"D's gradient is not finite: {EXCHANGED}")
    if step.D is None:
        fail("D's gradient is not made of −log D(x) and −log(1 − D(G(z))), averaged over the batch")
    if step.D.is_cut:
        fail(f"D's gradient is cut to [{-np.abs(got).max():.3g}, {np.abs(got).max():.3g}] before its update")
    real, fake = step.D.real, step.D.fake
    if real.loss is MISSING and fake.loss is MISSING and abs(step.D.leftover) < IN_THE_SUM:
        raise Waits("gan.d_real_half")  # of nothing, nothing is added up
    if abs(step.D.leftover) > IN_THE_SUM:
        fail("what an earlier step left is still in D's gradient")
    for half in (real, fake):
        if half.loss is not MISSING and half.way not in PAID_ELSEWHERE:
            fail(WAYS[half.way])
    for name, half in (("real", real), ("fake", fake)):
        if half.loss is None:
            raise Waits(f"gan.d_{name}_half")
    weights = {name: half.loss.weight for name, half in (("real", real), ("fake", fake)) if half.loss is not MISSING}
    if len(set(np.round(list(weights.values()), 2))) == 1:
        length = np.linalg.norm(got)
        counted_wrong(next(iter(weights.values())), "both halves" if len(weights) > 1 else "the half", step, length)
    for name, weight in weights.items():
        counted_wrong(weight, f"the {name} half", step)


def counted_wrong(weight: float, what: str, step: Step, length: float = np.nan) -> None:
    """Fail unless a loss counts once."""
    if abs(weight - 1) < IN_THE_SUM:
        return
    count = f"{what} count{'s' * (not what.endswith('s'))}"
    if close(weight, step.batch, IN_THE_SUM):
        fail(f"{count} {step.batch} times: the losses are summed over the batch, not averaged")
    if close(weight * step.batch, 1, IN_THE_SUM):
        fail(f"{count} 1/{step.batch} times: BCE_criterion averages already, and is divided by the batch once more")
    if abs(weight + 1) < IN_THE_SUM:
        fail(f"{what}: the loss has the wrong sign")
    if length < 20 and close(length, float(f"{length:.1g}")) and 0 < weight < 1:
        fail(f"the gradient is cut to a length of {length:.1g} before the update")
    if abs(weight - 0.5) < IN_THE_SUM and what == "both halves":
        fail("the two halves are averaged, and should be added up")
    fail(f"{count} {'twice' if abs(weight - 2) < IN_THE_SUM else f'{weight:.3g} times'}, and should once")


def judge_half(step: Step, name: str) -> None:
    """Fail unless a half of D's step minimises the cross entropy with the right label, however often it counts."""
    if step.D is None:
        raise Waits("gan.d_accumulates")
    half = getattr(step.D, name)
    if half.loss is MISSING:
        fail(
            f"the {name} half is not in D's gradient: its backward pass is missing, or gradients are cleared between "
            "the halves, where they should add up"
        )
    judge_labels(half, IMAGES[name], RIGHT[name], f"loss_D_{name}")


def judge_labels(half: Half, images: str, right: float, what: str) -> None:
    """Fail unless what was minimised is the cross entropy with the right label."""
    loss = half.loss
    if loss is None:
        fail(f"{what} is not the binary cross entropy of D's judgements and the label {right:g}")
    if loss.name in LOSSES:
        fail(f"{what} {LOSSES[loss.name]}")
    if loss.labels:
        fail(f"{images} labels from {min(loss.labels):.2f} to {max(loss.labels):.2f}, and all should be {right:g}")
    if abs(loss.label - right) < IN_THE_SUM:
        return
    if abs(loss.label - (1 - right)) < IN_THE_SUM:
        fail(f"{images} the label of {'fakes' if right == REAL else 'real images'}, {1 - right:g}")
    fail(f"{images} the label {loss.label:.2g}, and should have {right:g}")


def judge_update(step: Step, player: str) -> None:
    """Fail unless Adam's steps, for the gradients that the player has, are all that changes its weights."""
    updates = step.updates(player)
    if not updates or len(updates) < step.fact("updates")[player]:
        raise Waits("gan.one_step_each")
    if not step.is_finite(player) and getattr(step, player) is None:
        raise Waits("gan.d_accumulates" if player == "D" else "gan.g_gradient")
    weights = step.weights(player)
    for number, (update, expected) in enumerate(adams_change(step, player)):
        changed(player, weights, update.found, "before its update" if number == 0 else "between its updates")
        if not update.has_gradient or not step.is_finite(player):
            weights = update.after
            continue
        got = update.after - update.found
        mistake(got, np.zeros_like(got), f"the update leaves {player} as it was")
        scale = float((got @ expected) / max(expected @ expected, 1e-30))
        if abs(scale - 1) > IN_THE_RATE and close(got, expected * scale):
            fail(f"{player} is updated with {scale:.5g} times the learning rate that the Trainer was given")
        _, *betas = update.settings
        if np.isfinite(betas).all() and not close(betas, (step.beta1, BETA2)):
            fail(f"{player}'s Adam has the betas {betas[0]:g} and {betas[1]:g}, not {step.beta1:g} and {BETA2:g}")
        same(got, expected, f"what the update changes in {player}")
        weights = update.after
    if f"{player}.left" in step:
        changed(player, updates[-1].after, step[f"{player}.left"], "after its update")


def changed(player: str, before: np.ndarray, after: np.ndarray, when: str) -> None:
    """Fail if something else than an optimizer's step has changed a player's weights."""
    if np.array_equal(before, after):
        return
    most = np.abs(after).max()
    if np.isfinite(after).all() and close(after, before.clip(-most, most)):
        fail(f"{player}'s weights are cut to [{-most:.3g}, {most:.3g}] {when}, as in a Wasserstein GAN")
    alike = np.corrcoef(before, after)[0, 1] if np.isfinite(after).all() and after.std() and before.std() else 0
    if alike < 0.5:
        fail(f"{player}'s weights are set anew {when}: in training nothing but the optimizer's step changes them")
    fail(f"{player}'s weights are changed {when} by something else than the optimizer's step")


def judge_order(step: Step) -> None:
    """Fail unless each player is updated once, D first, and left as it was found."""
    updates = step.fact("updates")
    for player in ("D", "G"):
        if updates[player] == 0:
            fail(f"{player} is never updated")
        if updates[player] > 1:
            fail(f"{player} is updated {updates[player]} times in one training step, and should be once")
    if not step.is_D_first:
        fail("G is updated before D: are the two optimizers exchanged?")
    for player, training in step.fact("training").items():
        if not training:
            fail(f"the step leaves {player} in evaluation mode, in which the next one goes on: call train() again")
    for player, learns in step.fact("learns").items():
        if not learns:
            fail(
                f"the step leaves {player} frozen, so that the next one can't train it: call requires_grad_(True) again"
            )


def stops_later(step: Step, failure: Failure) -> None:
    """Fail since a step has stopped as the first one did not."""
    which = ORDINALS[int(step.name[-1])]
    told = replace(failure, hint=KEPT) if USED_TWICE in failure.message else with_hint(failure)
    fail(f"the {which} step of a Trainer stops, and the first one doesn't: {told.sentence()}")


def believe(step: Step) -> None:
    """Wait where it is not known what was minimised, or weights don't go against gradients: counts prove nothing."""
    if not step.has_learned:
        raise Waits("gan.d_real_half")
    if step.D is None:
        raise Waits("gan.d_accumulates")
    if step.G is None:
        raise Waits("gan.g_gradient")
    for player in ("D", "G"):
        for update in step.updates(player)[: step.before is None]:
            if not step.is_finite(player):
                continue
            told = np.abs(update.gradient) > 1e-3 * np.nanmax(np.abs(update.gradient), initial=0)
            with np.errstate(invalid="ignore"):
                change = update.after - update.found
            if (np.sign(change[told]) != -np.sign(update.gradient[told])).any():
                raise Waits(f"gan.{player.lower()}_update")


def judge_leak(step: Step) -> None:
    """Fail if something of D's step, or of an earlier one, is in G's gradient."""
    if not step.has_learned:
        raise Waits("gan.d_real_half")
    if step.G is None:
        raise Waits("gan.g_gradient")
    wait_for_the_order(step)
    if step.G.leak:
        fail("the fake half of D's step leaves its gradient in G: detach the fakes there")
    if abs(step.G.leftover) > IN_THE_SUM:
        fail("what an earlier step left is still in G's gradient")


def judge_told(step: Step) -> None:
    """Fail unless G minimises the cross entropy of what the new D says of the fakes, with the label of real images."""
    got = step.gradient("G")
    if step.G is None and not np.isfinite(got).all():
        fail(f"G's gradient is not finite: {EXCHANGED}")
    if step.G is None:
        fail("G's gradient is not that of −log D(G(z)), averaged over the batch")
    if step.G.is_cut:
        fail(f"G's gradient is cut to [{-np.abs(got).max():.3g}, {np.abs(got).max():.3g}] before its update")
    wait_for_the_order(step)
    told = step.G.told
    if told.loss is MISSING:
        fail("no gradient reaches G: in block 3 its backward pass is missing, or the fakes are detached")
    if told.way not in PAID_ELSEWHERE:
        fail(WAYS[told.way])
    loss = told.loss
    if loss and loss.name == "" and abs(loss.label) < IN_THE_SUM and loss.weight < 0:
        fail("it is the saturating loss log(1 − D(G(z))), and the non-saturating −log D(G(z)) is asked for")
    if loss and loss.name == "" and abs(loss.label) < IN_THE_SUM:
        fail("the fakes have the label of fakes, so that G learns to be found out")
    judge_labels(told, IMAGES["fake"], REAL, "loss_G")
    counted_wrong(loss.weight, "the loss of G", step, np.linalg.norm(got))


def judge_loss_D(step: Step) -> None:
    """Fail unless the sum of the losses of both halves is returned, as they were minimised or as they should be."""
    got, plain = step["loss_D"], [Loss("", 1.0, label) for label in (REAL, FAKE)]
    explained, unseen = step.explained("D"), [Half(step.judged_real, plain[0]), Half(step.judged_fake, plain[1])]
    halves = [explained.real, explained.fake] if explained else unseen
    values = [
        [*half.values(one.label), one.value(right.probabilities)]
        for half, one, right in zip(halves, plain, (step.judged_real, step.judged_fake), strict=True)
    ]
    known = [[one for one in found if one is not None] for found in values]
    if any(close(got, real + fake) for real in known[0] for fake in known[1]):
        return
    for real in known[0]:
        mistake(got, real, "loss_D is that of the real half only")
        for fake in known[1]:
            mistake(got, fake, "loss_D is that of the fake half only")
            mistake(got, (real + fake) / 2, "loss_D is the average of the two halves, and should be their sum")
            mistake(got, (real + fake) * step.batch, "loss_D is summed over the batch, not averaged")
    wait_for_what_is_unknown(step, "D", values)
    same(got, known[0][0] + known[1][0], "loss_D")


def judge_loss_G(step: Step) -> None:
    """Fail unless G's loss is returned, as it was minimised or as it should be."""
    got, right = step["loss_G"], Loss("", 1.0, REAL).value(step.judged_after.probabilities)
    explained = step.explained("G")
    values = [right, *(explained.told.values(REAL) if explained else [])]
    known = [one for one in values if one is not None]
    if any(close(got, one) for one in known):
        return
    for one in known:
        mistake(got, -one, "loss_G has the wrong sign")
        mistake(got, one * step.batch, "loss_G is summed over the batch, not averaged")
    wait_for_what_is_unknown(step, "G", [values])
    same(got, right, "loss_G")


def wait_for_what_is_unknown(step: Step, player: str, values: Sequence[Sequence[float | None]]) -> None:
    """Wait where the value of what was minimised is not known."""
    if getattr(step, player) is None or any(one is None for found in values for one in found):
        raise Waits("gan.g_gradient" if player == "G" else "gan.d_accumulates")


def judge_D_x(step: Step) -> None:
    """Fail unless D_x is D's mean judgement of the real images."""
    others = {"of the fakes, D(G(z))": lambda: step.judged_fake, "after D's update": step.real_after}
    explained = step.explained("D")
    judge_mean(step, "D_x", step.judged_real, explained and explained.real, others)


def judge_D_G_z1(step: Step) -> None:
    """Fail unless D_G_z1 is D's mean judgement of the fakes before its update."""
    others = {"of the real batch, D(x)": lambda: step.judged_real, "after D's update": lambda: step.judged_after}
    explained = step.explained("D")
    judge_mean(step, "D_G_z1", step.judged_fake, explained and explained.fake, others)


def judge_D_G_z2(step: Step) -> None:
    """Fail unless D_G_z2 is D's mean judgement of the fakes after its update."""
    others = {"before D's update": lambda: step.judged_fake, "of the real batch, D(x)": lambda: step.judged_real}
    explained = step.explained("G")
    judge_mean(step, "D_G_z2", step.judged_after, explained and explained.told, others)


def judge_mean(
    step: Step, name: str, right: Judgement, own: Half | None, others: dict[str, Callable[[], Judgement]]
) -> None:
    """Fail unless a mean judgement that was returned is the right one, or that of what was minimised."""
    got = step[name]
    accepted = [one.probabilities.mean() for one in (right, *([own.judgement] if own else []))]
    if any(close(got, one) for one in accepted):
        return
    mistake(got, accepted[-1] * step.batch, f"{name} is summed over the batch, not averaged")
    mistake(
        got, np.log(accepted[-1] / (1 - accepted[-1])), f"{name} is the mean of logits, and should be of probabilities"
    )
    for what, one in others.items():
        mistake(got, one().probabilities.mean(), f"{name} is the mean judgement {what}")
    mistake(got, 1 - accepted[-1], f"{name} is 1 minus D's mean judgement")
    for _, images in step.others():
        if images.shape[1:] == (1, 32, 32):
            for weights in (step.weights("D"), step.updated_D()):
                mean = judge(Way("", weights), images).probabilities.mean()
                mistake(got, mean, f"{name} is the mean judgement of other images than the step was given")
    if own is None or own.loss is None or own.loss.name == "clamped":
        raise Waits("gan.g_gradient" if name == "D_G_z2" else "gan.d_accumulates")
    same(got, accepted[0], name)


def with_hint(failure: Failure) -> Failure:
    """A failure with what PyTorch's words mean in this step, where that is known."""
    hints = {
        USED_TWICE: "In block 2 the fakes are to be detached from G, and in block 3 D is to judge the fakes again",
        CHANGED_MEANWHILE: "Block 3 uses a judgement from before D's update: there D is to judge the fakes again",
        FROZEN: "Was requires_grad switched off and never on again?",
        OTHER_SIZES: LABELS,
    }
    for block, names in SET_IN.items():
        hints |= {f"'{name}'": f"Block {block} is to set {' and '.join(names)}" for name in names}
    found = [hint for words, hint in hints.items() if words in failure.message]
    return replace(failure, hint=found[0]) if found else failure
