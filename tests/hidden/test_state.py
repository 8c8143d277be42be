"""What a model and its files keep beside the network: images could be among it."""

from autograder.checks import check, fail
from autograder.kept_numbers import MOST_CODE, MOST_OF_ALL, SLACK, layer_numbers, table_numbers


def judge_state(submission, project: str, *runs: str) -> None:
    """Fail where there is more than an honest model has any use for."""
    kept, table = submission.fact("kept"), table_numbers(project)
    layers = layer_numbers(layer for run in runs for layer in submission.facts.get(run, ()))
    beside = kept["numbers"] - layers
    if beside > table + SLACK:
        fail(
            f"beside the layers that run, your model and its files keep {beside:,} numbers or more, in parameters, "
            f"buffers, attributes, constants or texts; the table's whole network has {table:,}"
        )
    if kept["numbers"] > MOST_OF_ALL * table + SLACK:
        fail(f"your layers have {layers:,} weights, where the table's network has {table:,}")
    if kept["code"] > MOST_CODE:
        fail(f"your files hold {kept['code']:,} bytes when packed, which is far more than code for this needs")


@check(
    "Beside the table's network, the VAE keeps no more numbers than that has",
    points="vae.state",
    probe="vae_layers",
    needed_for_fid=True,
)
def vae_state(submission):
    judge_state(submission, "VAE", "0.x", "0.z")


@check(
    "Beside the table's network, the generator keeps no more numbers than that has",
    points="gan.state",
    probe="gan_generator",
    needed_for_fid=True,
)
def gan_state(submission):
    judge_state(submission, "GAN", "0.z")
