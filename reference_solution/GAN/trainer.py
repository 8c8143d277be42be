"""How the GAN is trained: one step of each player, and the loop."""

import torch
import torch.nn.functional as F
from torch import nn

from coursekit.run import fixed_noise
from dataset import VALUE_RANGE

NUM_SHOWN = 32  # images in TensorBoard's group of samples


class Trainer:
    """Trains a generator and a discriminator against each other, with an Adam each.

    Args:
        netG, netD: the generator and the discriminator.
        learning_rate, beta1: Adam's step size and the decay of its first moment, for both players.
        data: the Dataset.
        run: the coursekit.run.Run that counts the steps, saves and draws the curves.
    """

    def __init__(self, netG, netD, learning_rate, beta1, data, run):
        self._netG = netG
        self._netD = netD
        self.data = data
        self.run = run
        # fused: one pass over all the parameters, the same update
        settings = {"lr": learning_rate, "betas": (beta1, 0.999), "fused": True}
        self._optimG = torch.optim.Adam(netG.parameters(), **settings)
        self._optimD = torch.optim.Adam(netD.parameters(), **settings)

    def train_step(self, real_imgs, fake_imgs, BCE_criterion):
        """One step of D, then one step of G, as in Algorithm 1 of arXiv:1406.2661 (with G's non-saturating loss).

        Args:
            real_imgs: (batch, channels, height, width), from the data.
            fake_imgs: the same shape, G(z), still carrying G's graph.
            BCE_criterion: binary cross entropy of (probabilities, targets), averaged over the batch.
        Returns:
            loss_D: -log D(x) - log(1 - D(G(z))), averaged over the batch.
            loss_G: -log D(G(z)), averaged over the batch.
            D_x: mean D(x).
            D_G_z1, D_G_z2: mean D(G(z)) before and after D's update.
        """
        self._netD.zero_grad()

        # Block 1: the real half of D's step: loss_D_real, D_x, and the backward pass
        # TODO START
        D_real = self._netD(real_imgs)
        loss_D_real = BCE_criterion(D_real, torch.ones_like(D_real))
        loss_D_real.backward()
        D_x = D_real.detach().mean()
        # TODO END

        # Block 2: the fake half of D's step: loss_D_fake, D_G_z1, and the backward pass, added to the real half's
        # TODO START
        D_fake = self._netD(fake_imgs.detach())
        loss_D_fake = BCE_criterion(D_fake, torch.zeros_like(D_fake))
        loss_D_fake.backward()
        D_G_z1 = D_fake.detach().mean()
        # TODO END

        self._optimD.step()
        self._netG.zero_grad()

        # Block 3: G's step: loss_G, D_G_z2, and the backward pass
        # TODO START
        D_fake = self._netD(fake_imgs)
        loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))
        loss_G.backward(inputs=list(self._netG.parameters()))  # D's gradients would only be thrown away
        D_G_z2 = D_fake.detach().mean()
        # TODO END

        self._optimG.step()
        return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2

    def train(self, num_train_steps, logging_steps, saving_steps):
        """Train up to `num_train_steps`, going on from the newest checkpoint."""
        self.run.track(netG=self._netG, netD=self._netD, optimG=self._optimG, optimD=self._optimD)
        BCE_criterion = nn.BCELoss()
        self._netG.train()
        self._netD.train()
        for step, real_imgs in self.run.steps(self.data.train, num_train_steps, saving_steps):
            z = torch.randn(len(real_imgs), self._netG.latent_dim, 1, 1, device=self.run.device)
            fake_imgs = self._netG(z)
            loss_D, loss_G, D_x, D_G_z1, D_G_z2 = self.train_step(real_imgs, fake_imgs, BCE_criterion)

            if step % logging_steps == 0:
                curves = {"discriminator_loss": loss_D, "generator_loss": loss_G}
                self.run.log_scalars(step, {**curves, "D(x)": D_x, "D(G(z1))": D_G_z1, "D(G(z2))": D_G_z2})
            if step % saving_steps == 0 or step == num_train_steps:
                self.show_samples(step)

    @torch.no_grad()
    def show_samples(self, step):
        """Draw the group of samples, from the same noise at every step."""
        self._netG.eval()
        with fixed_noise():
            z = torch.randn(NUM_SHOWN, self._netG.latent_dim, 1, 1).to(self.run.device)
        self.run.log_images(step, "samples", self._netG(z), VALUE_RANGE)
        self._netG.train()
