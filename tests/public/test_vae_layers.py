"""The layers of the VAE, and what stands between them, against the assignment's table.

Passing these checks is not the grade: the graders check more than this.
"""

import pytest
import torch

from .layer_checks import complain_about_activations, complain_about_missing_weights
from .layer_recorder import run_recorded
from .layer_tables import IMAGE_CHANNELS, vae_decoder, vae_encoder
from .mistakes import all_equal, complain
from .student_code import CodeStopped
from .vae_runs import (
    LATENT_DIM,
    compare_decoder,
    compare_encoder,
    decode,
    decode_recorded,
    divide,
    encode_recorded,
    make_vae,
    reconstruct,
    some_codes,
    some_images,
)

MODEL = "VAE/model.py"
pytestmark = pytest.mark.needs(MODEL, 1)


def test_encoder_has_the_layers_of_the_table(vae):
    """Enc-1 to Enc-6 are the layers of the table, in its order and of the sizes that latent_dim asks for."""
    model = make_vae(vae)
    if {2, 3} & vae.unfilled("model.py").keys():  # it can't run yet
        complain_about_missing_weights(model, vae_encoder(LATENT_DIM))
    else:
        _, ran, stopped = run_recorded(model, lambda: reconstruct(vae, model, some_images()))
        compare_encoder(ran, stopped)


def test_decoder_has_the_layers_of_the_table(vae):
    """Dec-1 to Dec-6 are the layers of the table, in its order and of the sizes that latent_dim asks for."""
    model = make_vae(vae)
    if 4 not in vae.unfilled("model.py"):
        _, ran, stopped = run_recorded(model, lambda: decode(vae, model, some_codes()))
        compare_decoder(ran, stopped)
    elif not {2, 3} & vae.unfilled("model.py").keys():
        _, ran, stopped = run_recorded(model, lambda: reconstruct(vae, model, some_images()))
        compare_encoder(ran, stopped)
        *_, decoder = divide(ran)
        compare_decoder(decoder, stopped)
    else:
        complain_about_missing_weights(model, vae_decoder(LATENT_DIM))


@pytest.mark.needs(MODEL, 2, 3)
def test_encoder_has_the_activations_of_the_table(vae):
    """A ReLU stands between every two layers from Enc-1 to Enc-6, and nothing else."""
    layers = encode_recorded(vae, make_vae(vae), some_images()).layers
    reached = [layer.taken for layer in layers[1:]]
    complain_about_activations(vae_encoder(LATENT_DIM)[:-1], layers[:-1], reached)


@pytest.mark.needs(MODEL, 4)
def test_decoder_has_the_activations_of_the_table(vae):
    """A ReLU follows Dec-1, Dec-3, Dec-4 and Dec-5, a Sigmoid Dec-6, and nothing follows Dec-2."""
    layers, images = decode_recorded(vae, make_vae(vae), some_codes())
    reached = [*(layer.taken for layer in layers[1:]), images]
    complain_about_activations(vae_decoder(LATENT_DIM), layers, reached)


@pytest.mark.needs(MODEL, 2, 3)
def test_first_half_of_enc_6_is_mu_and_second_half_log_sigma(vae):
    """Of what Enc-6 gives, the first half is mu and the second half log sigma, both as they are."""
    run = encode_recorded(vae, make_vae(vae), some_images())
    encoding = run.layers[-1].given
    first, second = encoding.split(LATENT_DIM, dim=1)
    mistakes = {
        "they are the other way round": (second, first),
        "mu gets the even numbers and log sigma the odd ones": (encoding[:, 0::2], encoding[:, 1::2]),
        "there is a ReLU behind it": (first.relu(), second.relu()),
        "the second half is exponentiated, and log sigma is to be carried as it is": (first, second.exp()),
        "the second half is halved, and it is log sigma already, not the log of sigma squared": (first, second / 2),
    }
    answer = run.mu, run.log_sigma
    if not all_equal(answer, (first, second)):
        mistake = next((mistake for mistake, halves in mistakes.items() if all_equal(answer, halves)), None)
        why = mistake or "what VAE.forward(x) returns for them is something else"
        complain(
            f"Row Enc-6 of the VAE's table has mu in its first half and log sigma in its second: {why} (see block 3)."
        )


@pytest.mark.needs(MODEL, 2, 3, 4)
def test_forward_passes_use_the_same_decoder(vae):
    """VAE.forward(x) decodes its z as VAE.forward(z=z) does."""
    model = make_vae(vae).eval()
    run = encode_recorded(vae, model, some_images())
    _, images = decode_recorded(vae, model, run.z)
    if not torch.allclose(run.recon, images, atol=1e-5):
        complain("VAE.forward(x) and VAE.forward(z=z) turn the same z into different images: see blocks 3 and 4.")


@pytest.mark.needs(MODEL, 2, 3)
def test_more_image_channels_than_one(vae, remark):
    """VAE(3, latent_dim) takes images of three channels; if not, that is remarked upon and no fault."""
    reconstruct(vae, make_vae(vae), some_images())
    vae_class = vae.get("model.py", "VAE")
    images = torch.rand(2, 3, 32, 32)
    try:
        with vae.running("VAE.forward(x)"):
            honoured = vae_class(3, LATENT_DIM)(images)[0].shape == images.shape
    except CodeStopped:
        honoured = False
    if not honoured:
        remark(f"your VAE ignores num_channels and works for {IMAGE_CHANNELS} image channel only; with MNIST no fault.")
