"""One whole step of the VAE's training, with the reference's weights, images and noise."""

import numpy as np

from autograder.checks import adams_first_step, check, close, fail, same

# Rounding may turn one ReLU of the hundred thousand, as it does with one batch in twenty; that made up to 0.011 of the
# largest gradient. A guard of 1e-5 makes less.
ROUNDED = 0.05
IN_FLOAT32 = 1e-3  # how exactly the step is known from weights before it and after it


@check(
    "One step of training changes the weights as the reference's does",
    points="vae.training_step",
    probe="vae_step",
    needed_for_fid=True,
)
def training_step(submission, reference, inputs, remark):
    if submission.fact("steps") != 1:
        fail(f"the optimizer makes {submission.fact('steps')} steps for one batch, and should make one")
    if submission.fact("noise asked for") == 0:
        remark("Remark: the noise is not drawn with PyTorch, so that the gradients could not be compared.")
        return
    rows = [name.removeprefix("gradient.") for name in reference.arrays if name.startswith("gradient.")]
    gradients = [(submission[f"gradient.{row}"], reference[f"gradient.{row}"]) for row in rows]
    got, expected = (np.concatenate([one.ravel() for one in side]) for side in zip(*gradients, strict=True))
    scale = (got @ expected) / (expected @ expected)
    if not got.any():
        fail("no gradient reaches any layer before the optimizer's step")
    if not close(got, expected) and close(got, scale * expected):
        fail(f"the gradients are {scale:.3g} times what they should be")
    for row in reversed(rows):  # the first layer without a gradient, seen from the loss, is where it gets lost
        if not submission[f"gradient.{row}"].any():
            fail(f"no gradient reaches row {row} of the table")
    for row, (one, other) in reversed(list(zip(rows, gradients, strict=True))):
        same(one, other, f"the gradient in row {row} of the table", tolerance=ROUNDED)
    for row in rows:
        change = submission[f"after.{row}"] - inputs[f"vae_step.weight.{row}"]
        expected = adams_first_step(submission[f"gradient.{row}"], float(inputs["vae_step.learning_rate"]))
        same(change, expected, f"what Adam's step changes in row {row} of the table", tolerance=IN_FLOAT32)
