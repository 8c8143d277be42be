"""The layer tables, the initial weights, and what the models give back."""

import math

import pytest
import torch
from torch import nn

from coursekit.data import Batches
from coursekit.speed import to_fast_layout

# (type, output shape, kernel, stride, padding, output padding), from the assignment's table; d is latent_dim.
VAE_ENCODER = [
    (nn.Conv2d, (16, 32, 32), 3, 1, 1, None),
    (nn.Conv2d, (32, 16, 16), 3, 2, 1, None),
    (nn.Conv2d, (32, 16, 16), 3, 1, 1, None),
    (nn.Conv2d, (16, 8, 8), 3, 2, 1, None),
    (nn.Linear, ("2d",), None, None, None, None),
    (nn.Linear, ("2d",), None, None, None, None),
]
VAE_DECODER = [
    (nn.Linear, ("d",), None, None, None, None),
    (nn.Linear, (1024,), None, None, None, None),
    (nn.ConvTranspose2d, (32, 16, 16), 3, 2, 1, 1),
    (nn.ConvTranspose2d, (32, 16, 16), 3, 1, 1, 0),
    (nn.ConvTranspose2d, (16, 32, 32), 3, 2, 1, 1),
    (nn.ConvTranspose2d, (1, 32, 32), 3, 1, 1, 0),
]
GENERATOR = [
    (nn.ConvTranspose2d, (64, 4, 4), 4, 1, 0, 0),
    (nn.ConvTranspose2d, (32, 8, 8), 4, 2, 1, 0),
    (nn.ConvTranspose2d, (16, 16, 16), 4, 2, 1, 0),
    (nn.ConvTranspose2d, (1, 32, 32), 4, 2, 1, 0),
]
DISCRIMINATOR = [
    (nn.Conv2d, (16, 16, 16), 4, 2, 1, None),
    (nn.Conv2d, (32, 8, 8), 4, 2, 1, None),
    (nn.Conv2d, (64, 4, 4), 4, 2, 1, None),
    (nn.Conv2d, (1, 1, 1), 4, 1, 0, None),
]
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def layers_run(model: nn.Module, *inputs, **named) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Each leaf layer in the order of the forward pass, with the shape of its output (without the batch)."""
    seen, hooks = [], []
    for module in model.modules():
        if not list(module.children()):
            hooks.append(module.register_forward_hook(lambda m, _, out: seen.append((m, tuple(out.shape[1:])))))
    model(*inputs, **named)
    for hook in hooks:
        hook.remove()
    return seen


def check_table(layers, table, latent_dim):
    weighted = [(layer, shape) for layer, shape in layers if isinstance(layer, WEIGHTED)]
    assert len(weighted) == len(table)
    lengths = {"d": latent_dim, "2d": 2 * latent_dim}
    for (layer, shape), (kind, expected, kernel, stride, padding, output_padding) in zip(weighted, table, strict=True):
        assert type(layer) is kind
        assert shape == tuple(lengths.get(size, size) for size in expected)
        if kernel is not None:
            assert (layer.kernel_size, layer.stride, layer.padding) == ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
        if output_padding is not None:
            assert layer.output_padding == (output_padding,) * 2


def count(channels_in, kernels, table_channels, bias):
    """Parameters of convolutions from the table: channels in x channels out x kernel^2, and a bias each where used."""
    total = 0
    for out in table_channels:
        total += channels_in * out * kernels**2 + (out if bias else 0)
        channels_in = out
    return total


@pytest.mark.parametrize("latent_dim", [3, 100])
def test_vae_has_the_layers_of_the_table(vae, latent_dim):
    model = vae["model"].VAE(1, latent_dim)
    run = layers_run(model, torch.rand(2, 1, 32, 32))
    first_of_decoder = next(i for i, (layer, _) in enumerate(run) if layer is next(model.decoder.children()))
    check_table(run[:first_of_decoder], VAE_ENCODER, latent_dim)
    check_table(run[first_of_decoder:], VAE_DECODER, latent_dim)


@pytest.mark.parametrize("latent_dim", [3, 64, 100])
def test_vae_has_the_parameters_of_the_table(vae, latent_dim):
    d = latent_dim
    encoder = count(1, 3, [16, 32, 32, 16], bias=True) + (1024 + 1) * 2 * d + (2 * d + 1) * 2 * d
    decoder = (d + 1) * d + (d + 1) * 1024 + count(16, 3, [32, 32, 16, 1], bias=True)
    assert sum(p.numel() for p in vae["model"].VAE(1, d).parameters()) == encoder + decoder


def test_vae_activations_stand_where_the_table_has_them(vae):
    def kinds(network):
        return [type(m) for m in network if isinstance(m, (*WEIGHTED, nn.ReLU, nn.Sigmoid))]

    model, relu = vae["model"].VAE(1, 8), nn.ReLU
    assert kinds(model.encoder) == [*[nn.Conv2d, relu] * 4, nn.Linear, relu, nn.Linear]
    assert kinds(model.decoder) == [
        *[nn.Linear, relu, nn.Linear],  # Dec-2 has no activation
        *[nn.ConvTranspose2d, relu] * 3,
        *[nn.ConvTranspose2d, nn.Sigmoid],
    ]


def test_vae_gives_reconstruction_and_posterior_or_images(vae):
    model = vae["model"].VAE(3, 7)
    x = torch.rand(5, 3, 32, 32)
    recon, mu, log_sigma = model(x)
    assert recon.shape == x.shape and mu.shape == log_sigma.shape == (5, 7)
    assert recon.min() >= 0 and recon.max() <= 1
    assert model(z=torch.zeros(4, 7)).shape == (4, 3, 32, 32)


def test_first_half_of_the_encoding_is_mu_and_second_log_sigma(vae):
    model = vae["model"].VAE(1, 4)
    x = torch.rand(2, 1, 32, 32)
    _, mu, log_sigma = model(x)
    torch.testing.assert_close(torch.cat([mu, log_sigma], dim=1), model.encoder(x))


@pytest.mark.parametrize("training", [True, False])
def test_reparameterize_draws_fresh_noise_of_the_posterior(vae, training):
    model = vae["model"].VAE(1, 2).train(training)
    mu, log_sigma = torch.tensor([[1.0, -3.0]]), torch.tensor([[math.log(2), math.log(0.1)]])
    torch.manual_seed(0)
    z = model.reparameterize(mu.expand(200_000, 2), log_sigma.expand(200_000, 2))
    torch.testing.assert_close(z.mean(0), mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), log_sigma[0].exp(), atol=0, rtol=0.02)
    torch.testing.assert_close(torch.corrcoef(z.T)[0, 1], torch.tensor(0.0), atol=0.02, rtol=0)
    assert not torch.equal(z, model.reparameterize(mu.expand(200_000, 2), log_sigma.expand(200_000, 2)))


def test_gradients_reach_mu_and_log_sigma(vae):
    model = vae["model"].VAE(1, 3)
    mu, log_sigma = torch.zeros(4, 3, requires_grad=True), torch.full((4, 3), 0.5, requires_grad=True)
    torch.manual_seed(0)
    z = model.reparameterize(mu, log_sigma)
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones(4, 3))
    torch.testing.assert_close(log_sigma.grad, z.detach())  # dz/dlog_sigma = sigma * epsilon = z - mu


def test_generator_and_discriminator_have_the_layers_of_the_table(gan):
    generator, discriminator = gan["model"].Generator(1, 100, 16), gan["model"].Discriminator(1, 16)
    made = layers_run(generator, torch.randn(2, 100, 1, 1))
    check_table(made, GENERATOR, 100)
    kinds = [type(layer) for layer, _ in made]
    assert kinds == [*[nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 3, nn.ConvTranspose2d, nn.Tanh]
    judged = layers_run(discriminator, torch.rand(2, 1, 32, 32))
    check_table(judged, DISCRIMINATOR, 100)
    normalised = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert [type(layer) for layer, _ in judged][:-1] == [
        *[nn.Conv2d, nn.LeakyReLU],
        *normalised * 2,
        *[nn.Conv2d, nn.Sigmoid],
    ]


@pytest.mark.parametrize(("latent_dim", "hidden"), [(100, 16), (7, 4)])
def test_generator_and_discriminator_have_the_parameters_of_the_table(gan, latent_dim, hidden):
    generator = gan["model"].Generator(1, latent_dim, hidden)
    discriminator = gan["model"].Discriminator(1, hidden)
    batch_norms = 2 * (4 + 2 + 1) * hidden
    expected = count(latent_dim, 4, [4 * hidden, 2 * hidden, hidden, 1], bias=False) + batch_norms
    assert sum(p.numel() for p in generator.parameters()) == expected
    batch_norms = 2 * (2 + 4) * hidden
    expected = count(1, 4, [hidden, 2 * hidden, 4 * hidden, 1], bias=False) + batch_norms
    assert sum(p.numel() for p in discriminator.parameters()) == expected


def test_gan_images_and_judgements_lie_in_their_ranges(gan):
    images = gan["model"].Generator(3, 9, 4)(torch.randn(6, 9, 1, 1))
    assert images.shape == (6, 3, 32, 32) and images.abs().max() <= 1
    judged = gan["model"].Discriminator(3, 4)(images)
    assert judged.shape == (6,) and judged.min() >= 0 and judged.max() <= 1


def test_one_image_is_still_a_batch(gan):
    assert gan["model"].Discriminator(1, 4).eval()(torch.rand(1, 1, 32, 32)).shape == (1,)


def test_gan_weights_start_as_the_paper_has_them(gan):
    torch.manual_seed(0)
    for network in (gan["model"].Generator(1, 100, 16), gan["model"].Discriminator(1, 16)):
        weights = [m.weight for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        flat = torch.cat([w.flatten() for w in weights])
        # the mean's standard error is 0.02 / sqrt(n), the standard deviation's 0.02 / sqrt(2n): five of them
        n = len(flat)
        assert abs(flat.mean()) < 5 * 0.02 / math.sqrt(n)
        assert abs(flat.std() - 0.02) < 5 * 0.02 / math.sqrt(2 * n)
        for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
            assert torch.equal(norm.bias, torch.zeros_like(norm.bias))
            assert norm.weight.std() > 0
            assert abs(norm.weight.mean() - 1) < 5 * 0.02 / math.sqrt(len(norm.weight))


def test_the_fast_layout_computes_the_same(vae):
    torch.manual_seed(0)
    model = vae["model"].VAE(1, 8)
    images = Batches(torch.randint(0, 256, (64, 1, 32, 32), dtype=torch.uint8), 32)[1]
    z = torch.randn(32, 8)
    plain_codes, plain_images = model.encoder(images), model(z=z)
    fast = to_fast_layout(model, "cpu")
    torch.testing.assert_close(fast.encoder(images), plain_codes, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast(z=z), plain_images, rtol=1e-4, atol=1e-5)


def test_a_student_may_flatten_with_view():
    """In the fast layout too, which is ours: there PyTorch's own `view` stops behind a convolution."""
    plain = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    images = torch.rand(2, 1, 32, 32)
    expected = plain(images).view(2, -1)
    fast = to_fast_layout(plain, "cpu")
    flat = fast(images.to(memory_format=torch.channels_last)).view(2, -1)
    torch.testing.assert_close(flat, expected)
    flat.sum().backward()
    assert fast[0].weight.grad.abs().sum() > 0
    with pytest.raises(RuntimeError, match="is invalid for input of size"):
        images.view(7, -1)  # what is wrong stays wrong
    assert images.view(torch.int32).dtype is torch.int32
