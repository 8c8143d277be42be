"""The generator's layers, what stands between them, and its images. Optional, as the GAN is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from autograder import tables
from autograder.checks import Missing, NotLookedAt, Waits, Wrong, check, close, fail, same
from autograder.evidence import NotSeen
from autograder.inputs import GAN_DEFAULTS
from autograder.networks import SOMETHING_ELSE, Network, gan_network, made_of

from .test_vae_layers import judge_row, wait_for_an_earlier_row

NUM_ROWS = 4
LAST = NUM_ROWS - 1
PYTORCHS_OWN = {"eps": 1e-5, "momentum": 0.1, "learns": True, "keeps statistics": True}
NO_WEIGHTS = "BatchNorm2d(affine=False) has no weights that the given weights_init could set: keep PyTorch's own"


_LAST: list = []  # what was seen last, and the network in it: most checks ask for it


def usual_generator(submission) -> Network:
    """The generator of the default sizes."""
    if not _LAST or _LAST[0] is not submission:
        _LAST[:] = submission, gan_network(submission, 0, tables.generator(*GAN_DEFAULTS))
    return _LAST[1]


@check("Row {row} of the generator's table is there, with BN and activation", "gan.gen_{row}", probe="gan_generator")
@pytest.mark.parametrize("row", range(1, NUM_ROWS + 1))
def generator_rows(submission, row):
    judge_generators_row(submission, row)


def judge_generators_row(submission, row: int) -> None:
    """Fail unless a row is as the table asks; what stands behind the last layer is judged as what comes out."""
    network = usual_generator(submission)
    try:
        judge_row(network, row - 1, "gan.gen", with_activation=row < NUM_ROWS)
    except Wrong as wrong:
        if ignores_z(submission):
            raise Waits("gan.train_numbers") from None  # what a layer computes is seen from what it makes of two z
        if isinstance(wrong, Missing):
            raise
        if SOMETHING_ELSE in str(wrong) and row < NUM_ROWS and not network.is_right(row):
            raise Waits(f"gan.gen_{row + 1}") from None  # or it stands before another layer than the table's
        if SOMETHING_ELSE in str(wrong) and differs_by_itself(submission):
            fail(f"{wrong}: what it gives differs from call to call, as with dropout or noise, which no row asks for")
        raise


@check("The images are Tanh of what the last layer gives, in [-1, 1]", points="gan.output_range", probe="gan_generator")
def output_range(submission):
    judge_range(submission)


def judge_range(submission) -> None:
    """Fail unless Tanh alone stands behind the last layer."""
    network = usual_generator(submission)
    try:
        behind = network.stands_behind(LAST)
    except NotSeen as unseen:
        if unseen.failure is None:
            fail("the generator's last layer is missing, so that nothing is known of its images' range")
        wait_for_an_earlier_row(network, NUM_ROWS, "gan.gen")
        raise
    if behind != "Tanh":
        images = submission["0.z.images"]
        fail(
            f"row 4 has Tanh behind the layer, and in your network there is {behind}: the images reach from "
            f"{images.min():.3g} to {images.max():.3g}, and should fill [-1, 1]"
        )


@check("The generator has no layers that the table hasn't", points="gan.no_other_layers", probe="gan_generator")
def no_other_layers(submission):
    judge_number(submission)


def judge_number(submission) -> None:
    """Fail if there are layers that no row has."""
    network = usual_generator(submission)
    if not any(map(network.is_right, range(NUM_ROWS))):
        raise Waits("gan.gen_1")  # of no layers at all, none is too many
    for layer in network.left_over():
        fail(f"your generator has {layer['kind']} from {layer['inputs']} to {layer['outputs']} that no row asks for")


@check("Batch normalisation is PyTorch's own", points="gan.batch_norm", probe="gan_generator")
def batch_norm(submission):
    judge_norms(submission)


def judge_norms(submission) -> None:
    """Fail unless the batch normalisations that are there have PyTorch's settings."""
    network = usual_generator(submission)
    norms = [norm for index in range(NUM_ROWS) for norm in network.norms(index)]
    if not norms:
        raise NotSeen("batch normalisation", network.failure) if network.failure else Waits("gan.gen_1")
    failure = submission.failures.get("make")
    if failure is not None:
        learns = all(norm["learns"] for norm in norms)
        raise NotSeen("make", failure if learns else replace(failure, hint=NO_WEIGHTS))
    for norm in norms:
        for setting, usual in PYTORCHS_OWN.items():
            if not np.isclose(norm[setting], usual, rtol=1e-4):
                fail(f"a batch normalisation has {setting} {norm[setting]} where PyTorch's own {usual} is expected")


@check("latent_dim and hidden_dim are honoured, whatever they are", points="gan.sizes", probe="gan_generator")
def sizes_are_honoured(submission, inputs, remark):
    usual = judge_sizes(submission, inputs)
    colour = gan_network(submission, 2, tables.generator(*inputs["gan_generator.settings"][2].tolist()))
    if "2.z" in submission.failures or (colour.differences(LAST) and not usual.differences(LAST)):
        remark("Remark: your generator ignores num_channels; with one image channel that is no fault.")


def judge_sizes(submission, inputs) -> Network:
    """Fail unless the layers' sizes change as the table's do, right or wrong as they are; gives the usual network."""
    sizes = inputs["gan_generator.settings"][1].tolist()
    usual, other = usual_generator(submission), gan_network(submission, 1, tables.generator(*sizes))
    if not any(usual.has(index) for index in range(NUM_ROWS)):
        raise Waits("gan.gen_1")
    given = f"with latent_dim {sizes[1]} and hidden_dim {sizes[2]}"
    for index, row in enumerate(other.rows):
        if not usual.has(index):
            continue
        if not usual.is_right(index):
            for what, name in (("inputs", "latent_dim" if index == 0 else "hidden_dim"), ("outputs", "hidden_dim")):
                changes = getattr(row, what) != getattr(usual.rows[index], what)
                changes &= usual.layer(index)[what] != sizes[0]  # an image's channels, of a row that is missing
                if changes and other.has(index) and other.layer(index)[what] == usual.layer(index)[what]:
                    fail(f"{given} row {row.name} has as many {what} as ever: {name} is written into the code")
            continue  # what else is wrong is told by its own check
        wrong = other.differences(index)
        if wrong:
            name = "latent_dim" if index == 0 and " in; " in wrong[0] else "hidden_dim"
            fail(f"{given} row {row.name} {wrong[0]}: {name} is written into the code")
    if "1.z" in submission.failures and "0.z" not in submission.failures:
        raise NotSeen("1.z", submission.failures["1.z"])
    return usual


@check(
    "From the same weights and z come the reference's images in training mode",
    points="gan.train_numbers",
    probe="gan_generator",
)
def train_numbers(submission, reference, inputs):
    has_norms = any(usual_generator(submission).norms(index) for index in range(NUM_ROWS))
    if ignores_z(submission):
        fail("the first layer takes the same whatever z is", missing=True)
    wait_for_any_row(submission)
    if words := made_of(submission["own.z"], submission["own.taken"]):
        fail(f"the first layer takes z after {words}, and should take z as it is")
    same(submission["own.taken"], submission["own.z"], "what the first layer takes, against z,")
    if not submission.fact("own.weights"):
        fail("a layer's weights are computed from others, as by a spectral norm: each is to have weights of its own")
    if not has_something_else(submission) and differs_by_itself(submission):
        fail("the images of the same z differ from call to call, as with dropout or noise")
    first, part = submission["own.train"], submission["own.train_part"]
    if has_norms and first.shape == part.shape and close(first, part):
        fail("in training mode batch normalisation does not take the batch's own statistics, as if it were evaluated")
    if not submission.fact("own.modes")["train"]:
        fail("forward leaves the generator in evaluation mode: nothing in it may call eval()")
    if is_right_otherwise(submission, inputs):
        submission.fact("carried")
        same(submission["train"], reference["train"], "the images in training mode")


@check(
    "From the same weights, statistics and z come the reference's images in evaluation mode",
    points="gan.eval_numbers",
    probe="gan_generator",
)
def eval_numbers(submission, reference, inputs):
    norms = [norm for index in range(NUM_ROWS) for norm in usual_generator(submission).norms(index)]
    wait_for_any_row(submission)
    if not close(submission["own.taken"], submission["own.z"]) or not submission.fact("own.weights"):
        raise Waits("gan.train_numbers")
    keeps_statistics = all(norm["keeps statistics"] for norm in norms)
    if keeps_statistics and not close(submission["own.eval"], submission["own.eval_part"]):
        fail("in evaluation mode the images are those of training mode: one depends on the others of its batch")
    if not submission.fact("own.modes")["eval"]:
        fail("forward leaves the generator in training mode: nothing in it may call train()")
    if is_right_otherwise(submission, inputs):
        if "eval" not in submission or close(submission["own.train"], submission["own.train_part"]):
            raise Waits("gan.train_numbers")  # no weights could be put in, or no statistics are kept
        same(submission["eval"], reference["eval"], "the images in evaluation mode")


def wait_for_any_row(submission) -> None:
    """Wait where no layer was seen to compute what it says: then nothing else is to be believed."""
    if not any(usual_generator(submission).has(index) for index in range(NUM_ROWS)):
        raise Waits("gan.train_numbers" if ignores_z(submission) else "gan.gen_1")


def has_something_else(submission) -> bool:
    """Whether a row's check has told of something that stands behind its layer and has no name."""
    network = usual_generator(submission)
    return any(behind is not None and SOMETHING_ELSE in behind for behind in network.behind)


def ignores_z(submission) -> bool:
    """Whether the first layer takes the same whatever z is."""
    if "own.taken" not in submission:
        return False
    taken = submission["own.taken"]
    return close(taken, np.broadcast_to(taken[:1], taken.shape))


def differs_by_itself(submission) -> bool:
    """Whether the same z gives other images in a second call."""
    return not close(submission["own.train"], submission["own.again"])


def is_right_otherwise(submission, inputs) -> bool:
    """Whether all that the other checks look at is right, so that nothing stands in the way of comparing images."""
    judges: list[Callable] = [judge_range, judge_number, judge_norms, lambda found: judge_sizes(found, inputs)]
    try:
        for row in range(1, NUM_ROWS + 1):
            judge_generators_row(submission, row)
        for judge in judges:
            judge(submission)
    except (Wrong, Waits, NotSeen, NotLookedAt):
        return False
    return True
