"""The layers of the generator, and what stands between them, against the assignment's table. Optional, as the GAN is.

Passing these checks is not the grade: the graders check more than this.
"""

import pytest
import torch
from torch import Tensor, nn

from .layer_checks import compare_layers, complain_about_activations
from .layer_recorder import Layer, run_recorded
from .layer_tables import IMAGE_CHANNELS, generator
from .mistakes import complain
from .student_code import CodeStopped, Project, look_at

pytestmark = pytest.mark.needs("GAN/model.py", 1)

BATCH, LATENT_DIM, HIDDEN_DIM = 4, 5, 3
SIZES = {"latent_dim": LATENT_DIM, "hidden_dim": HIDDEN_DIM}
PYTORCHS_BN = nn.BatchNorm2d(1)


def test_generator_has_the_layers_of_the_table(gan):
    """The generator's four layers are those of the table, of the sizes that latent_dim and hidden_dim ask for."""
    run_generator(gan, make_generator(gan))


def test_generator_has_the_activations_of_the_table(gan):
    """BN and ReLU follow each of the first three layers, and a Tanh the fourth."""
    layers, images = run_generator(gan, make_generator(gan))
    reached = [*(layer.taken for layer in layers[1:]), images]
    complain_about_activations(generator(**SIZES), layers, reached)


def test_batch_normalisation_is_pytorchs_own(gan):
    """BN learns a weight and a bias, keeps running statistics, and has the eps and the momentum of PyTorch."""
    for module in make_generator(gan).modules():
        if isinstance(module, nn.BatchNorm2d):
            for setting in ("eps", "momentum", "affine", "track_running_stats"):
                found, usual = getattr(module, setting), getattr(PYTORCHS_BN, setting)
                if found != usual:
                    complain(
                        f"A BatchNorm2d of the generator has {setting} {found} where PyTorch's own {usual} is expected "
                        "(see block 1 of GAN/model.py)."
                    )


def test_more_image_channels_than_one(gan, remark):
    """Generator(3, ...) makes images of three channels; if not, that is remarked upon and no fault."""
    run_generator(gan, make_generator(gan))
    generator_class = gan.get("model.py", "Generator")
    try:
        with gan.running("Generator.forward(z)"):
            honoured = generator_class(3, LATENT_DIM, HIDDEN_DIM)(some_noise()).shape == (BATCH, 3, 32, 32)
    except CodeStopped:
        honoured = False
    if not honoured:
        remark(
            f"your generator ignores num_channels and makes {IMAGE_CHANNELS} image channel only; with MNIST no fault."
        )


def make_generator(gan: Project) -> nn.Module:
    generator_class = gan.get("model.py", "Generator")
    with gan.running(f"Generator({IMAGE_CHANNELS}, {LATENT_DIM}, {HIDDEN_DIM})"):
        return generator_class(IMAGE_CHANNELS, LATENT_DIM, HIDDEN_DIM)


def some_noise() -> Tensor:
    return torch.randn(BATCH, LATENT_DIM, 1, 1)


def run_generator(gan: Project, model: nn.Module) -> tuple[list[Layer], Tensor]:
    """Run the generator: its layers, which are those of the table, and the images."""

    def generate() -> Tensor:
        with gan.running("Generator.forward(z)"):
            images = model(some_noise())
        look_at("what Generator.forward(z) returns", images, (BATCH, IMAGE_CHANNELS, 32, 32), "block 1 of GAN/model.py")
        return images

    images, layers, stopped = run_recorded(model, generate)
    compare_layers(layers, stopped, generator, **SIZES)
    if stopped:
        raise stopped
    return layers, images
