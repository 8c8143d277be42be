"""The VAE in training: the steps after the first one, and batches of other sizes.

Passing these checks is not the grade: the graders check more than this.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from torch import Tensor

from .left_alone import State
from .mistakes import complain
from .student_code import CodeStopped
from .trainers import make_trainer
from .vae_runs import BATCH, compute_losses, decode, make_vae, reconstruct, sample, some_codes, some_images

MODEL, TRAINER = "VAE/model.py", "VAE/trainer.py"
pytestmark = pytest.mark.needs(MODEL, 1, 2, 3, 4)

WAYS = {
    "VAE.reparameterize": lambda vae, model, batch: sample(vae, model, some_codes(batch), some_codes(batch)),
    "VAE.forward(z=z)": lambda vae, model, batch: decode(vae, model, some_codes(batch)),
    "VAE.forward(x)": lambda vae, model, batch: reconstruct(vae, model, some_images(batch)),
}


def test_one_image_alone_is_a_batch_too(vae):
    """A batch may hold one image: reparameterize and forward then give the same shapes for one."""
    model = make_vae(vae)
    for run in WAYS.values():
        run(vae, model, BATCH)
        with another_batch(
            "That is with a batch of one: does a squeeze() without a dimension take the batch away too?"
        ):
            run(vae, model, 1)


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_model_is_left_as_it_was(vae, mode):
    """To draw, to encode and to decode leaves a VAE's mode and its weights as they were."""
    model = make_vae(vae)
    model.train(mode == "training")
    for what, run in WAYS.items():
        before = State(model)
        run(vae, model, BATCH)
        stop_if_changed(what, before, State(model))


@pytest.mark.needs(TRAINER, 1)
def test_training_steps_are_all_alike(vae):
    """Two training steps, with batches of two sizes, reach the same weights and change nothing else."""
    model = make_vae(vae)
    reconstruct(vae, model, some_images())  # a lazy layer gets its weights now, and an optimizer wants them
    trainer = make_trainer(vae, model, 1e-3)
    reached = {}
    for batch in (BATCH, BATCH + 1):
        images = some_images(batch)
        with another_batch(f"That is with a batch of {batch}, and batches of {BATCH} went well before."):
            answer = reconstruct(vae, model, images)
        with vae.running("Trainer(model, learning_rate, data, run)"):
            optimizer = trainer.optimizer
            before = State(model, optimizer)
        losses = compute_losses(vae, trainer, images, *answer)
        if not all(isinstance(loss, Tensor) and loss.requires_grad for loss in losses):
            pytest.skip("waits for the checks of the losses and of their graphs")
        stop_if_changed("Trainer.loss_fn", before, State(model, optimizer))
        with vae.running(f"a training step with a batch of {batch}"):
            optimizer.zero_grad()
            sum(loss.sum() for loss in losses).backward()
            optimizer.step()
        reached[batch] = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    lost = sorted(reached[BATCH] - reached[BATCH + 1])
    if lost:
        complain(f"The second training step no longer reaches {lost[0]}, as the first did (see {MODEL}).")


@contextmanager
def another_batch(hint: str) -> Iterator[None]:
    """Add a hint to what stops the code for a batch of another size: one mistake, whichever check finds it first."""
    try:
        yield
    except CodeStopped as stopped:
        raise CodeStopped(f"{stopped.sentence}\n{hint}", "another batch", *stopped.causes) from None


def stop_if_changed(what: str, before: State, after: State) -> None:
    """Stop where student code has changed what it was only to use."""
    change = before.change_to(after, "the VAE")
    if change:
        raise CodeStopped(f"{what} {change}: it is to leave all of it as it was (see the blocks of the VAE).", change)
