"""The generator's layers, what stands between them, and its images. Optional, as the GAN is."""

import numpy as np
import pytest

from autograder import tables
from autograder.checks import Waits, check, fail, mistake, same
from autograder.evidence import NotSeen
from autograder.inputs import GAN_DEFAULTS
from autograder.networks import Network, gan_network

from .test_vae_layers import judge_row, wait_for_an_earlier_row

NUM_ROWS = 4
LAST = NUM_ROWS - 1
PYTORCHS_OWN = {"eps": 1e-5, "momentum": 0.1, "learns": True, "keeps statistics": True}


def usual_generator(submission) -> Network:
    """The generator of the default sizes."""
    return gan_network(submission, 0, tables.generator(*GAN_DEFAULTS))


@check("Row {row} of the generator's table is there, with BN and activation", "gan.gen_{row}", probe="gan_generator")
@pytest.mark.parametrize("row", range(1, NUM_ROWS + 1))
def generator_rows(submission, row):
    # What stands behind the last layer is what comes out, and judged as such.
    judge_row(usual_generator(submission), row - 1, "gan.gen", with_activation=row < NUM_ROWS)


@check("The images are Tanh of what the last layer gives, in [-1, 1]", points="gan.output_range", probe="gan_generator")
def output_range(submission):
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
    network = usual_generator(submission)
    if not any(map(network.is_right, range(NUM_ROWS))):
        raise Waits("gan.gen_1")  # of no layers at all, none is too many
    for layer in network.left_over():
        fail(f"your generator has {layer['kind']} from {layer['inputs']} to {layer['outputs']} that no row asks for")


@check("Batch normalisation is PyTorch's own", points="gan.batch_norm", probe="gan_generator")
def batch_norm(submission):
    network = usual_generator(submission)
    norms = [norm for index in range(NUM_ROWS) for norm in network.norms(index)]
    if not norms:
        raise NotSeen("batch normalisation", network.failure)
    for norm in norms:
        for setting, usual in PYTORCHS_OWN.items():
            if not np.isclose(norm[setting], usual, rtol=1e-4):
                fail(f"a batch normalisation has {setting} {norm[setting]} where PyTorch's own {usual} is expected")


@check("latent_dim and hidden_dim are honoured, whatever they are", points="gan.sizes", probe="gan_generator")
def sizes_are_honoured(submission, inputs, remark):
    sizes = inputs["gan_generator.settings"][1].tolist()
    usual, other = usual_generator(submission), gan_network(submission, 1, tables.generator(*sizes))
    if not any(map(usual.is_right, range(NUM_ROWS))):
        raise Waits("gan.gen_1")
    for index, row in enumerate(other.rows):
        if usual.differences(index):
            continue  # wrong anyway, and told so by its own check
        wrong = other.differences(index)
        if wrong:
            names = "latent_dim" if index == 0 and " in; " in wrong[0] else "hidden_dim"
            fail(
                f"with latent_dim {sizes[1]} and hidden_dim {sizes[2]} row {row.name} {wrong[0]}: {names} is "
                "written into the code"
            )
    if "1.z" in submission.failures and "0.z" not in submission.failures:
        raise NotSeen("1.z", submission.failures["1.z"])
    colour = gan_network(submission, 2, tables.generator(*inputs["gan_generator.settings"][2].tolist()))
    if "2.z" in submission.failures or (colour.differences(LAST) and not usual.differences(LAST)):
        remark("Remark: your generator ignores num_channels; with one image channel that is no fault.")


@check(
    "With the same weights, the images in training mode are the reference's",
    points="gan.train_numbers",
    probe="gan_generator",
)
def train_numbers(submission, reference):
    submission.fact("carried")
    same(submission["train"], reference["train"], "the images in training mode")


@check(
    "With the same weights and statistics, the images in evaluation mode are the reference's",
    points="gan.eval_numbers",
    probe="gan_generator",
)
def eval_numbers(submission, reference):
    got = submission["eval"]
    mistake(got, submission["eval_as_train"], "in evaluation mode the images are those of training mode")
    same(got, reference["eval"], "the images in evaluation mode")
