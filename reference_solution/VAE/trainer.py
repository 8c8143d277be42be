"""How the VAE is trained: its loss, and the loop."""

import torch
import torch.nn.functional as F
from torch import nn

from coursekit.run import fixed_noise
from dataset import VALUE_RANGE

NUM_SHOWN = 32  # images in each image group of TensorBoard


class Trainer:
    """Trains a VAE with Adam.

    Args:
        model: the VAE.
        learning_rate: Adam's step size.
        data: the Dataset.
        run: the coursekit.run.Run that counts the steps, saves and draws the curves.
    """

    def __init__(self, model, learning_rate, data, run):
        self.model = model
        self.data = data
        self.run = run
        # fused: one pass over all the parameters, the same update
        self.optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    def loss_fn(self, target, recon, mu, log_sigma):
        """The two halves of the negative ELBO, summed over pixels or latent dimensions, averaged over the batch.

        Args:
            target, recon: (batch, channels, height, width) in [0, 1], the images and their reconstructions.
            mu, log_sigma: (batch, latent_dim), mean and log standard deviation of q(z|x).
        Returns:
            recon_loss: scalar, -sum_i [x_i log x'_i + (1 - x_i) log(1 - x'_i)].
            kl_loss: scalar, KL(N(mu, diag(sigma^2)) || N(0, I)), Appendix B of arXiv:1312.6114.
        """
        # Block 1: the reconstruction loss and the KL divergence
        # TODO START
        batch_size = target.shape[0]
        recon_loss = F.binary_cross_entropy(recon, target, reduction="sum") / batch_size
        kl_loss = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size
        # TODO END
        return recon_loss, kl_loss

    def train(self, num_train_steps, logging_steps, saving_steps):
        """Train up to `num_train_steps`, going on from the newest checkpoint."""
        self.run.track(model=self.model, optimizer=self.optimizer)
        self.model.train()
        for step, images in self.run.steps(self.data.train, num_train_steps, saving_steps):
            recon, mu, log_sigma = self.model(images)
            recon_loss, kl_loss = self.loss_fn(images, recon, mu, log_sigma)
            loss = recon_loss + kl_loss

            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

            if step % logging_steps == 0:
                curves = {"reconstruction_loss": recon_loss, "KL_divergence": kl_loss, "loss": loss}
                self.run.log_scalars(step, curves)
            if step % saving_steps == 0 or step == num_train_steps:
                self.evaluate(step)

    @torch.no_grad()
    def evaluate(self, step):
        """Draw the three curves of the validation set, and the three image groups."""
        self.model.eval()
        with fixed_noise():  # the same at every step, so that only the model changes
            z = torch.randn(NUM_SHOWN, self.model.latent_dim).to(self.run.device)
            self.run.log_images(step, "samples", self.model(z=z), VALUE_RANGE)

            recon_sum, kl_sum, count = 0, 0, 0
            for images in self.data.validation_batches():
                recon, mu, log_sigma = self.model(images)
                recon_loss, kl_loss = self.loss_fn(images, recon, mu, log_sigma)
                if count == 0:
                    self.run.log_images(step, "dev_imgs", images[:NUM_SHOWN], VALUE_RANGE)
                    self.run.log_images(step, "reconstructions", recon[:NUM_SHOWN], VALUE_RANGE)
                recon_sum += recon_loss * len(images)
                kl_sum += kl_loss * len(images)
                count += len(images)
        curves = {"reconstruction_loss": recon_sum, "KL_divergence": kl_sum, "loss": recon_sum + kl_sum}
        self.run.log_scalars(step, {f"dev/{name}": total / count for name, total in curves.items()})
        self.model.train()
