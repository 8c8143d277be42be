"""The losses of the VAE and the two players' steps of the GAN, against closed forms and sums by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence


@pytest.fixture
def vae_trainer(vae):
    return vae["trainer"].Trainer(vae["model"].VAE(1, 5), learning_rate=1e-3, data=None, run=None)


def vae_inputs(batch=6, latent_dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target, recon = torch.rand(2, batch, 1, 32, 32, generator=generator)
    mu, log_sigma = torch.randn(2, batch, latent_dim, generator=generator)
    return target, recon, mu, log_sigma


def test_kl_is_the_closed_form_of_two_normals(vae_trainer):
    target, recon, mu, log_sigma = vae_inputs()
    _, kl_loss = vae_trainer.loss_fn(target, recon, mu, log_sigma)
    expected = kl_divergence(Normal(mu, log_sigma.exp()), Normal(0, 1)).sum(dim=1).mean()
    torch.testing.assert_close(kl_loss, expected)


def test_kl_of_the_prior_is_zero_and_of_a_shifted_one_half_the_square(vae_trainer):
    target, recon, mu, _ = vae_inputs()
    zero = torch.zeros_like(mu)
    assert vae_trainer.loss_fn(target, recon, zero, zero)[1] == 0
    torch.testing.assert_close(
        vae_trainer.loss_fn(target, recon, mu, zero)[1], 0.5 * (mu**2).sum() / len(mu), rtol=1e-5, atol=0
    )


def test_reconstruction_is_the_sum_of_every_pixels_bernoulli(vae_trainer):
    target, recon, mu, log_sigma = vae_inputs()
    recon_loss, _ = vae_trainer.loss_fn(target.round(), recon, mu, log_sigma)
    expected = -Bernoulli(recon).log_prob(target.round()).flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(recon_loss, expected)


def test_losses_are_the_average_of_every_instances_own(vae_trainer):
    target, recon, mu, log_sigma = vae_inputs()
    by_hand_recon, by_hand_kl = [], []
    for x, y, m, s in zip(target.double(), recon.double(), mu.double(), log_sigma.double(), strict=True):
        by_hand_recon.append(-(x * y.log() + (1 - x) * (1 - y).log()).sum())
        by_hand_kl.append(sum(0.5 * (m[i] ** 2 + s[i].exp() ** 2 - 2 * s[i] - 1) for i in range(len(m))))
    recon_loss, kl_loss = vae_trainer.loss_fn(target, recon, mu, log_sigma)
    torch.testing.assert_close(recon_loss.double(), torch.stack(by_hand_recon).mean(), rtol=1e-5, atol=0)
    torch.testing.assert_close(kl_loss.double(), torch.stack(by_hand_kl).mean(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("copies", [2, 7])
def test_losses_do_not_depend_on_the_batch_size(vae_trainer, copies):
    once = vae_inputs()
    several = [torch.cat([tensor] * copies) for tensor in once]
    for one, many in zip(vae_trainer.loss_fn(*once), vae_trainer.loss_fn(*several), strict=True):
        assert one.shape == many.shape == ()
        torch.testing.assert_close(one, many)


def test_losses_stay_finite_at_the_ends_of_the_range(vae_trainer):
    target = torch.tensor([0.0, 1.0]).repeat(2, 512).view(2, 1, 32, 32)
    _, _, mu, log_sigma = vae_inputs(batch=2)
    recon = (1 - target).requires_grad_()  # wrong everywhere, and sure of it
    recon_loss, _ = vae_trainer.loss_fn(target, recon, mu, log_sigma)
    recon_loss.backward()
    assert torch.isfinite(recon_loss) and torch.isfinite(recon.grad).all()


def test_losses_carry_their_graph(vae_trainer):
    model = vae_trainer.model
    images = torch.rand(4, 1, 32, 32)
    recon, mu, log_sigma = model(images)
    sum(vae_trainer.loss_fn(images, recon, mu, log_sigma)).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.fixture
def gan_trainer(gan):
    torch.manual_seed(0)
    generator, discriminator = gan["model"].Generator(1, 8, 4), gan["model"].Discriminator(1, 4)
    return gan["trainer"].Trainer(generator, discriminator, learning_rate=2e-4, beta1=0.5, data=None, run=None)


def parameters(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def gan_step(trainer, seed=1):
    torch.manual_seed(seed)
    real = torch.rand(16, 1, 32, 32) * 2 - 1
    z = torch.randn(16, 8, 1, 1)
    return real, z, trainer.train_step(real, trainer._netG(z), nn.BCELoss())


def test_a_step_moves_both_players_as_written_out_by_hand(gan_trainer):
    """The same step in one piece of plain code: one sum for D, then G against the new D."""
    generator, discriminator = copy.deepcopy(gan_trainer._netG), copy.deepcopy(gan_trainer._netD)
    real, z, (loss_D, loss_G, D_x, D_G_z1, D_G_z2) = gan_step(gan_trainer)

    def adam(module):
        return torch.optim.Adam(module.parameters(), lr=2e-4, betas=(0.5, 0.999))

    step_D, step_G = adam(discriminator), adam(generator)
    fake = generator(z)
    on_real, on_fake = discriminator(real), discriminator(fake.detach())
    expected_D = -on_real.log().mean() - (1 - on_fake).log().mean()
    step_D.zero_grad()
    expected_D.backward()
    step_D.step()
    again = discriminator(fake)
    expected_G = -again.log().mean()
    step_G.zero_grad()
    expected_G.backward()
    step_G.step()

    torch.testing.assert_close(loss_D, expected_D)
    torch.testing.assert_close(loss_G, expected_G)
    torch.testing.assert_close(
        torch.stack([D_x, D_G_z1, D_G_z2]), torch.stack([p.mean() for p in (on_real, on_fake, again)])
    )
    for ours, plain in ((gan_trainer._netG, generator), (gan_trainer._netD, discriminator)):
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter, plain.get_parameter(name), rtol=1e-4, atol=1e-6)


def test_each_optimizer_moves_its_own_player_only(gan_trainer):
    seen = {}

    def snapshot(when):
        seen[when] = parameters(gan_trainer._netG), parameters(gan_trainer._netD)

    for name, optimizer in (("D", gan_trainer._optimD), ("G", gan_trainer._optimG)):
        optimizer.register_step_pre_hook(lambda *_, name=name: snapshot(f"before {name}"))
        optimizer.register_step_post_hook(lambda *_, name=name: snapshot(f"after {name}"))
    gan_step(gan_trainer)

    def changed(before, after):
        return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]

    assert not any(changed(seen["before D"][0], seen["after D"][0])), "D's step moved G"
    assert all(changed(seen["before D"][1], seen["after D"][1]))
    assert not any(changed(seen["before G"][1], seen["after G"][1])), "G's step moved D"
    assert all(changed(seen["before G"][0], seen["after G"][0]))


def test_discriminators_gradients_do_not_leak_into_the_generators(gan_trainer):
    """When D steps, G has no gradient; when G steps, its gradient is that of its own loss alone."""
    grads = {}
    gan_trainer._optimD.register_step_pre_hook(
        lambda *_: grads.update(at_D=[p.grad for p in gan_trainer._netG.parameters()])
    )
    before = copy.deepcopy(gan_trainer._netG)
    _, z, _ = gan_step(gan_trainer)
    assert all(grad is None for grad in grads["at_D"])

    loss = -gan_trainer._netD(before(z)).log().mean()  # D as it stood when G stepped
    expected = torch.autograd.grad(loss, list(before.parameters()))
    for parameter, grad in zip(gan_trainer._netG.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-3, atol=1e-6)


def test_generators_gradients_do_not_leak_into_the_discriminators_next_step(gan_trainer):
    gan_step(gan_trainer)
    generator, discriminator = copy.deepcopy(gan_trainer._netG), copy.deepcopy(gan_trainer._netD)
    grads = {}
    gan_trainer._optimD.register_step_pre_hook(
        lambda *_: grads.update(at_D=[p.grad.clone() for p in gan_trainer._netD.parameters()])
    )
    real, z, _ = gan_step(gan_trainer, seed=2)
    fake = generator(z).detach()
    loss = -discriminator(real).log().mean() - (1 - discriminator(fake)).log().mean()
    expected = torch.autograd.grad(loss, list(discriminator.parameters()))
    for ours, grad in zip(grads["at_D"], expected, strict=True):
        torch.testing.assert_close(ours, grad, rtol=1e-3, atol=1e-6)


def test_losses_of_the_gan_do_not_depend_on_the_batch_size(gan_trainer):
    """In eval mode, where batch normalisation has no say, twice the same batch gives the same losses."""
    gan_trainer._netG.eval()
    gan_trainer._netD.eval()
    torch.manual_seed(0)
    real, z = torch.rand(4, 1, 32, 32) * 2 - 1, torch.randn(4, 8, 1, 1)
    twice = copy.deepcopy(gan_trainer)
    once_losses = gan_trainer.train_step(real, gan_trainer._netG(z), nn.BCELoss())
    twice_losses = twice.train_step(torch.cat([real] * 2), twice._netG(torch.cat([z] * 2)), nn.BCELoss())
    for one, two in zip(once_losses, twice_losses, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
