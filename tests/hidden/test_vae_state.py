"""What the VAE and its files keep beside the network: images could be among it."""

from autograder.checks import check, fail
from autograder.kept_numbers import what_is_too_much


@check(
    "Beside the table's network, the VAE keeps no more numbers than that has",
    points="vae.state",
    probe="vae_layers",
    needed_for_fid=True,
)
def state(submission):
    layers = [layer for run in ("0.x", "0.z") for layer in submission.facts.get(run, ())]
    if found := what_is_too_much(submission.fact("kept"), layers, "VAE"):
        fail(found)
