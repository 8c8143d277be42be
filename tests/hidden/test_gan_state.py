"""What the generator and its files keep beside the network: images could be among it."""

from autograder.checks import check, fail
from autograder.kept_numbers import what_is_too_much


@check(
    "Beside the table's network, the generator keeps no more numbers than that has",
    points="gan.state",
    probe="gan_generator",
    needed_for_fid=True,
)
def state(submission):
    layers = submission.facts.get("0.z", ())
    if found := what_is_too_much(submission.fact("kept"), layers, "GAN"):
        fail(found)
