"""tests/public: a right solution passes however it is written, and every usual mistake is named in one sentence.

Importing torch takes longer than the checks, so a process of their own, this file run as a script, checks the changed
copies of the solution one after the other.
"""

import ast
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import right_solutions
from changed_solutions import (
    GAN_MODEL,
    GAN_TRAINER,
    REFERENCE,
    REPOSITORY,
    VAE_MODEL,
    VAE_TRAINER,
    Change,
    block,
    swap,
    unfill,
)
from filelock import FileLock
from hand_ins import solution, write_codes

PUBLIC = REPOSITORY / "tests" / "public"
OPTIONS = ("-p", "no:cacheprovider")
# pytest collects garbage at its end, which takes longer than the checks.
NO_GARBAGE = ("-p", "no:unraisableexception", "-p", "no:threadexception")

TRACEBACK = re.compile(r"Traceback|^E   |^>  ", re.MULTILINE)
CACHES = shutil.ignore_patterns("__pycache__")


def losses(
    recon: str = "F.binary_cross_entropy(recon, target, reduction='sum') / len(target)",
    kl: str = "0.5 * (mu**2 + torch.exp(log_sigma) ** 2 - 2 * log_sigma - 1).sum(1).mean()",
) -> Change:
    """Write the VAE's losses anew, right except for what is given."""
    return block(1, f"recon_loss = {recon}", f"kl_loss = {kl}")


# name: the file, how it is changed, and the sentence that must come
MISTAKES: dict[str, tuple[str, list[Change], str]] = {
    # VAE/model.py, block 1
    "Enc-2 has stride 1": (
        VAE_MODEL,
        [swap("nn.Conv2d(16, 32, kernel_size=3, stride=2", "nn.Conv2d(16, 32, kernel_size=3, stride=1")],
        r"Row Enc-2 of the VAE's table asks for stride 2; yours has stride 1\.",
    ),
    "Enc-3 narrows": (
        VAE_MODEL,
        [
            swap("nn.Conv2d(32, 32", "nn.Conv2d(32, 16"),
            swap("nn.Conv2d(32, 16, kernel_size=3, stride=2", "nn.Conv2d(16, 16, kernel_size=3, stride=2"),
        ],
        r"Row Enc-3 .* from 32 to 32 channels; yours is a convolution from 32 to 16 channels\.",
    ),
    "Enc-3 is missing": (
        VAE_MODEL,
        [swap("            nn.Conv2d(32, 32, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),\n", "")],
        r"Row Enc-3 .* from 32 to 32 channels; yours is a convolution from 32 to 16 channels\.",
    ),
    "Enc-5 is too narrow": (
        VAE_MODEL,
        [
            swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.Linear(16 * 8 * 8, latent_dim)"),
            swap("nn.Linear(2 * latent_dim, 2", "nn.Linear(latent_dim, 2"),
        ],
        r"Row Enc-5 .* from 1024 to 14 features; yours is a fully connected layer from 1024 to 7 features\.",
    ),
    "latent_dim is hard-coded": (
        VAE_MODEL,
        [
            swap("2 * latent_dim", "128"),
            swap("nn.Linear(latent_dim, latent_dim)", "nn.Linear(64, 64)"),
            swap("nn.Linear(latent_dim, 16", "nn.Linear(64, 16"),
        ],
        r"Row Enc-5 .* which would be right for latent_dim 64, but latent_dim 7 was given",
    ),
    "Dec-1 is missing": (
        VAE_MODEL,
        [swap("            nn.Linear(latent_dim, latent_dim),\n            nn.ReLU(),\n", "")],
        r"Row Dec-1 .* from 7 to 7 features; yours is a fully connected layer from 7 to 1024 features\.",
    ),
    "Dec-3 has no output padding": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1, output_padding=1)",
                "nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1)",
            )
        ],
        r"Row Dec-3 of the VAE's table asks for output padding 1; yours has output padding 0\.",
    ),
    "Dec-3 has kernel 4": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1, output_padding=1)",
                "nn.ConvTranspose2d(16, 32, 4, 2, 1)",
            )
        ],
        r"Row Dec-3 of the VAE's table asks for kernel 3; yours has kernel 4\.",
    ),
    "Dec-4 is an ordinary convolution": (
        VAE_MODEL,
        [swap("nn.ConvTranspose2d(32, 32", "nn.Conv2d(32, 32")],
        r"Row Dec-4 .* a transposed convolution from 32 to 32 channels; yours is a convolution from 32 to 32",
    ),
    "no ReLU after Enc-1": (
        VAE_MODEL,
        [
            swap(
                "nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),",
                "nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1),",
            )
        ],
        r"Row Enc-1 of the VAE's table has ReLU behind the layer; in your network there is no activation\.",
    ),
    "LeakyReLU in the encoder": (
        VAE_MODEL,
        [swap("nn.ReLU(),\n            nn.Flatten()", "nn.LeakyReLU(0.2),\n            nn.Flatten()")],
        r"Row Enc-4 .* in your network there is LeakyReLU\(0\.2\)\.",
    ),
    "batch normalisation in the encoder": (
        VAE_MODEL,
        [
            swap(
                "nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),",
                "nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),\n            nn.BatchNorm2d(32),",
            )
        ],
        r"Row Enc-2 .* in your network there is BN \+ ReLU\.",
    ),
    "ReLU after Dec-2": (
        VAE_MODEL,
        [swap("nn.Unflatten", "nn.ReLU(),\n            nn.Unflatten")],
        r"Row Dec-2 of the VAE's table has no activation behind the layer; in your network there is ReLU\.",
    ),
    "no Sigmoid": (
        VAE_MODEL,
        [swap("            nn.Sigmoid(),\n", "")],
        r"Row Dec-6 of the VAE's table has Sigmoid behind the layer; in your network there is no activation\.",
    ),
    "Tanh for the Sigmoid": (
        VAE_MODEL,
        [swap("nn.Sigmoid()", "nn.Tanh()")],
        r"Row Dec-6 .* in your network there is Tanh\.",
    ),
    "ReLU after Enc-6": (
        VAE_MODEL,
        [
            swap(
                "nn.Linear(2 * latent_dim, 2 * latent_dim),",
                "nn.Linear(2 * latent_dim, 2 * latent_dim),\n            nn.ReLU(),",
            )
        ],
        r"Row Enc-6 .*: there is a ReLU behind it",
    ),
    "no Flatten": (
        VAE_MODEL,
        [swap("            nn.Flatten(),\n", "")],
        r"VAE/model\.py:82: VAE\.forward\(x\) stops with RuntimeError: .*mat1 and mat2 shapes cannot be multiplied",
    ),
    "Enc-5 is wrong, and the forward pass is not written yet": (
        VAE_MODEL,
        [swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.Linear(8 * 8 * 8, 2 * latent_dim)"), unfill(VAE_MODEL, 3)],
        r"Row Enc-5 .* from 1024 to 14 features, and your network has no weights of that shape",
    ),
    "Dec-2 is wrong, and the decoding is not written yet": (
        VAE_MODEL,
        [swap("nn.Linear(latent_dim, 16 * 8 * 8)", "nn.Linear(latent_dim, 512)"), unfill(VAE_MODEL, 4)],
        r"Row Dec-2 .* from 7 to 1024 features; yours is a fully connected layer from 7 to 512 features\.",
    ),
    # VAE/model.py, block 2
    "log_sigma as sigma": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma * torch.randn_like(mu)")],
        r"z has mean 1\.\d+ and standard deviation 1\.1\d*: log_sigma itself is taken for sigma",
    ),
    "log_sigma as the log of the variance": (
        VAE_MODEL,
        [block(2, "z = mu + torch.exp(0.5 * log_sigma) * torch.randn_like(mu)")],
        r": log_sigma is taken for the log of sigma squared",
    ),
    "uniform noise": (
        VAE_MODEL,
        [block(2, "z = mu + torch.exp(log_sigma) * torch.rand_like(mu)")],
        r": the noise is uniform, not normal",
    ),
    "sigma is left out": (VAE_MODEL, [block(2, "z = mu + torch.randn_like(mu)")], r": sigma is left out"),
    "one noise for the batch": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.exp() * torch.randn(mu.shape[1])")],
        r"All instances of a batch get the same noise",
    ),
    "one noise for all dimensions": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.exp() * torch.randn(len(mu), 1)")],
        r"All dimensions of z get the same noise",
    ),
    "no noise": (VAE_MODEL, [block(2, "z = mu")], r"z is mu itself: the noise is missing"),
    "no noise in evaluation mode": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.exp() * torch.randn_like(mu) if self.training else mu")],
        r"In evaluation mode z is mu itself: the noise is missing",
    ),
    "noise from the same seed": (
        VAE_MODEL,
        [block(2, "torch.manual_seed(0)", "z = mu + log_sigma.exp() * torch.randn_like(mu)")],
        r"In training mode two calls of VAE\.reparameterize give the same z",
    ),
    "torch.normal has no gradient": (
        VAE_MODEL,
        [block(2, "z = torch.normal(mu, log_sigma.exp())")],
        r"The gradient of z does not reach mu and log_sigma, which is what the reparameterization trick is for",
    ),
    "sigma is detached": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.detach().exp() * torch.randn_like(mu)")],
        r"The gradient of z does not reach log_sigma,",
    ),
    "z has the shape of one instance": (
        VAE_MODEL,
        [block(2, "z = (mu + log_sigma.exp() * torch.randn_like(mu))[0]")],
        r"What VAE\.reparameterize returns has shape \(7,\) where a tensor of shape \(4\d*, 7\) is expected",
    ),
    "z is forgotten": (
        VAE_MODEL,
        [block(2, "sampled = mu + log_sigma.exp() * torch.randn_like(mu)")],
        r"VAE/model\.py:\d+: block 2 of VAE/model\.py leaves 'z' without a value\.",
    ),
    "a name that isn't there": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.exp() * epsilon")],
        r"VAE/model\.py:65: .* stops with NameError: name 'epsilon' is not defined\.",
    ),
    # VAE/model.py, blocks 3 and 4
    "mu and log_sigma swapped": (
        VAE_MODEL,
        [swap("mu, log_sigma = self.encoder(x)", "log_sigma, mu = self.encoder(x)")],
        r"Row Enc-6 .* has mu in its first half and log sigma in its second: they are the other way round",
    ),
    "even and odd numbers": (
        VAE_MODEL,
        [swap("self.encoder(x).chunk(2, dim=1)", "self.encoder(x).unflatten(1, (-1, 2)).unbind(2)")],
        r"Row Enc-6 .*: mu gets the even numbers and log sigma the odd ones",
    ),
    "sigma is returned": (
        VAE_MODEL,
        [swap(".chunk(2, dim=1)", ".chunk(2, dim=1)\n            log_sigma = log_sigma.exp()")],
        r"Row Enc-6 .*: the second half is exponentiated, and log sigma is to be carried as it is",
    ),
    "mu is decoded": (
        VAE_MODEL,
        [swap("self.decoder(self.reparameterize(mu, log_sigma))", "self.decoder(mu)")],
        r"In VAE\.forward\(x\) z is mu itself: the noise is missing",
    ),
    "mu and log_sigma given in the wrong order": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(log_sigma, mu)")],
        r"calls reparameterize, but it is given mu and log_sigma in the wrong order",
    ),
    "sigma given to reparameterize": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(mu, log_sigma.exp())")],
        r"calls reparameterize, but it is given something else than mu and log_sigma",
    ),
    "noise decoded": (
        VAE_MODEL,
        [swap("self.decoder(self.reparameterize(mu, log_sigma))", "self.decoder(torch.randn_like(mu))")],
        r"VAE\.forward\(x\) decodes a z that is not drawn with mu and sigma",
    ),
    "z is detached": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma))", "self.reparameterize(mu, log_sigma).detach())")],
        r"The gradient of the reconstruction does not reach mu and log_sigma",
    ),
    "another z is decoded": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(torch.randn_like(z))")],
        r"VAE\.forward\(z=z\) decodes something else than the z that it is given",
    ),
    "images without channels": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z).squeeze(1)")],
        r"What VAE\.forward\(z=z\) returns has shape \(4, 32, 32\) where a tensor of shape \(4, 1, 32, 32\) is",
    ),
    "an exception in a block": (
        VAE_MODEL,
        [swap("chunk(2, dim=1)", "chunk(3, dim=1)")],
        r"VAE/model\.py:83: VAE\.forward\(x\) stops with ValueError: too many values to unpack",
    ),
    # VAE/trainer.py
    "KL summed over the batch": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum()")],
        r"kl_loss is [\d.]+ where [\d.]+ is expected: it is summed over the batch, not averaged over its instances",
    ),
    "KL averaged over everything": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).mean()")],
        r"kl_loss .*: it is averaged over the latent dimensions, not summed \(see",
    ),
    "KL averaged over the latent dimensions and summed over the batch": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).mean(1).sum()")],
        r"kl_loss .*: it is averaged over the latent dimensions and summed over the batch, which should be the other",
    ),
    "KL without the half": (
        VAE_TRAINER,
        [losses(kl="(mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1).mean()")],
        r"kl_loss .*: the ½ is missing \(see",
    ),
    "KL of the log of the variance": (
        VAE_TRAINER,
        [losses(kl="-0.5 * (1 + log_sigma - mu.pow(2) - log_sigma.exp()).sum(1).mean()")],
        r"kl_loss .*: log_sigma is taken for the log of sigma squared \(see",
    ),
    "KL of the log of the variance, summed over the batch": (
        VAE_TRAINER,
        [losses(kl="-0.5 * torch.sum(1 + log_sigma - mu.pow(2) - log_sigma.exp())")],
        r"kl_loss .*: log_sigma is taken for the log of sigma squared; besides, it is summed over the batch",
    ),
    "KL with the wrong sign": (
        VAE_TRAINER,
        [losses(kl="0.5 * (1 + 2 * log_sigma - mu**2 - (2 * log_sigma).exp()).sum(1).mean()")],
        r"kl_loss .*: its sign is wrong \(see",
    ),
    "KL with sigma for its square": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + log_sigma.exp() - 2 * log_sigma - 1).sum(1).mean()")],
        r"kl_loss .*: sigma stands where sigma squared should \(see",
    ),
    "KL without the constant": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma).sum(1).mean()")],
        r"kl_loss .*: the constant is left out \(see",
    ),
    "KL for every instance": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)")],
        r"kl_loss should be one number, and is a tensor of shape \(3,\) \(see",
    ),
    "KL as a float": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1).mean().item()")],
        r"kl_loss carries no graph, so that nothing can be learned from it",
    ),
    "KL with sigma detached": (
        VAE_TRAINER,
        [losses(kl="0.5 * (mu**2 + (2 * log_sigma.detach()).exp() - 2 * log_sigma - 1).sum(1).mean()")],
        r"The gradient of the loss with respect to log_sigma is not the expected one",
    ),
    "one loss only": (
        VAE_TRAINER,
        [swap("        return recon_loss, kl_loss", "        return recon_loss + kl_loss")],
        r"Trainer\.loss_fn should return two things: recon_loss and kl_loss\.",
    ),
    "a loss that is forgotten": (
        VAE_TRAINER,
        [block(1, "recon_loss = F.binary_cross_entropy(recon, target)")],
        r"VAE/trainer\.py:\d+: block 1 of VAE/trainer\.py leaves 'kl_loss' without a value\.",
    ),
    "reconstruction averaged over everything": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(recon, target)")],
        r"recon_loss .*: it is averaged over the pixels, not summed \(see",
    ),
    "reconstruction summed over the batch": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(recon, target, reduction='sum')")],
        r"recon_loss .*: it is summed over the batch, not averaged over its instances \(see",
    ),
    "reconstruction with the wrong sign": (
        VAE_TRAINER,
        [losses(recon="-F.binary_cross_entropy(recon, target, reduction='none').sum((1, 2, 3)).mean()")],
        r"recon_loss .*: its sign is wrong \(see",
    ),
    "squared error": (
        VAE_TRAINER,
        [losses(recon="F.mse_loss(recon, target, reduction='sum') / len(target)")],
        r"recon_loss .*: it is the squared error, not the cross entropy \(see",
    ),
    "target and recon swapped": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(target, recon, reduction='sum') / len(target)")],
        r"recon_loss .*: target and recon are in each other's place \(see",
    ),
    "half of the cross entropy": (
        VAE_TRAINER,
        [losses(recon="-(target * torch.log(recon + 1e-8)).sum() / len(target)")],
        r"recon_loss .*: the term of the dark pixels is left out \(see",
    ),
    "a Sigmoid too many": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy_with_logits(recon, target, reduction='sum') / len(target)")],
        r"recon_loss .*: recon goes through a Sigmoid once more \(see",
    ),
    "no guard": (
        VAE_TRAINER,
        [losses(recon="-(target * recon.log() + (1 - target) * (1 - recon).log()).sum() / len(target)")],
        r"recon_loss is nan where a reconstruction is exactly 0 or 1",
    ),
    "a guard that float32 rounds away": (
        VAE_TRAINER,
        [
            swap("# TODO START", "# TODO START\n        recon = recon.clamp(1e-9, 1 - 1e-9)"),
            swap(
                'F.binary_cross_entropy(recon, target, reduction="sum")',
                "-(target * recon.log() + (1 - target) * (1 - recon).log()).sum()",
            ),
        ],
        r"recon_loss is nan where a reconstruction is exactly 0 or 1",
    ),
    "a guard of 1e-4": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(recon.clamp(1e-4, 1 - 1e-4), target, reduction='sum') / len(target)")],
        r"recon_loss is 9\.21 a pixel .*: the guard inside the logarithms is larger than 1e-05",
    ),
    "a guard of 0.01": (
        VAE_TRAINER,
        [losses(recon="-((recon + 1e-2).log() * target + (1.01 - recon).log() * (1 - target)).sum() / len(target)")],
        r"recon_loss .*: a guard of 0\.01 inside the logarithms is too large",
    ),
    # GAN/model.py
    "no batch normalisation": (
        GAN_MODEL,
        [swap("            nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU(),", "            nn.ReLU(),")],
        r"Row 2 of the generator's table has BN \+ ReLU behind the layer; in your network there is ReLU\.",
    ),
    "no ReLU": (
        GAN_MODEL,
        [
            swap(
                "            nn.BatchNorm2d(hidden_dim),\n            nn.ReLU(),",
                "            nn.BatchNorm2d(hidden_dim),",
            )
        ],
        r"Row 3 of the generator's table .* in your network there is BN\.",
    ),
    "LeakyReLU in the generator": (
        GAN_MODEL,
        [swap("nn.ReLU()", "nn.LeakyReLU(0.2)")],
        r"Row 1 of the generator's table .* in your network there is BN \+ LeakyReLU\(0\.2\)\.",
    ),
    "ReLU before the batch normalisation": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(4 * hidden_dim),\n            nn.ReLU(),\n            nn.ConvT",
                "nn.ReLU(),\n            nn.BatchNorm2d(4 * hidden_dim),\n            nn.ConvT",
            )
        ],
        r"Row 1 of the generator's table .* in your network there is ReLU \+ BN\.",
    ),
    "no Tanh": (
        GAN_MODEL,
        [swap("            nn.Tanh(),\n", "")],
        r"Row 4 of the generator's table has Tanh behind the layer; in your network there is no activation\.",
    ),
    "Sigmoid for the Tanh": (
        GAN_MODEL,
        [swap("nn.Tanh()", "nn.Sigmoid()")],
        r"Row 4 of the generator's table .* in your network there is Sigmoid\.",
    ),
    "batch normalisation before the Tanh": (
        GAN_MODEL,
        [swap("nn.Tanh()", "nn.BatchNorm2d(num_channels),\n            nn.Tanh()")],
        r"Row 4 of the generator's table .* in your network there is BN \+ Tanh\.",
    ),
    "batch normalisation with eps 0.8": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU",
                "nn.BatchNorm2d(2 * hidden_dim, 0.8),\n            nn.ReLU",
            )
        ],
        r"A BatchNorm2d of the generator has eps 0\.8 where PyTorch's own 1e-05 is expected",
    ),
    "the generator's latent_dim is hard-coded": (
        GAN_MODEL,
        [swap("nn.ConvTranspose2d(latent_dim", "nn.ConvTranspose2d(100")],
        r"Row 1 of the generator's table .* right for latent_dim 100, but latent_dim 5 was given",
    ),
    "hidden_dim is hard-coded": (
        GAN_MODEL,
        [
            block(
                1,
                "self.decoder = nn.Sequential(",
                *(
                    f"    {line}"
                    for line in (
                        "nn.ConvTranspose2d(latent_dim, 64, 4, 1, 0), nn.BatchNorm2d(64), nn.ReLU(),",
                        "nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),",
                        "nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),",
                        "nn.ConvTranspose2d(16, num_channels, 4, 2, 1), nn.Tanh(),",
                    )
                ),
                ")",
            )
        ],
        r"Row 1 of the generator's table .* right for hidden_dim 16, but hidden_dim 3 was given",
    ),
    "the generator's first stride": (
        GAN_MODEL,
        [
            swap(
                "kernel_size=4, stride=1, padding=0, bias=False),\n            nn.B",
                "kernel_size=4, stride=2),\n            nn.B",
            )
        ],
        r"Row 1 of the generator's table asks for stride 1; yours has stride 2\.",
    ),
    # GAN/trainer.py
    "labels swapped": (
        GAN_TRAINER,
        [
            swap(
                "loss_D_real = BCE_criterion(D_real, torch.ones_like(D_real))",
                "loss_D_real = BCE_criterion(D_real, torch.zeros_like(D_real))",
            ),
            swap(
                "loss_D_fake = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
                "loss_D_fake = BCE_criterion(D_fake, torch.ones_like(D_fake))",
            ),
        ],
        r"The gradient that D is updated with is not the expected one: the labels of real and fake are swapped",
    ),
    "the real half has the wrong label": (
        GAN_TRAINER,
        [
            swap(
                "loss_D_real = BCE_criterion(D_real, torch.ones_like(D_real))",
                "loss_D_real = BCE_criterion(D_real, torch.zeros_like(D_real))",
            )
        ],
        r"The gradient that D is updated with .*: the real half has the label of fakes",
    ),
    "gradients cleared between the halves": (
        GAN_TRAINER,
        [
            swap(
                "        D_fake = self._netD(fake_imgs.detach())",
                "        self._netD.zero_grad()\n        D_fake = self._netD(fake_imgs.detach())",
            )
        ],
        r"The gradient that D is updated with .*: only the fake half is in it; the two halves are to be added up",
    ),
    "no backward pass of the fake half": (
        GAN_TRAINER,
        [swap("        loss_D_fake.backward()\n", "")],
        r"The gradient that D is updated with .*: only the real half is in it",
    ),
    "no backward pass for D": (
        GAN_TRAINER,
        [swap("        loss_D_fake.backward()\n", ""), swap("        loss_D_real.backward()\n", "")],
        r"The gradient that D is updated with .*: there is none, so no backward pass reaches it",
    ),
    "D's losses averaged": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real))", "torch.ones_like(D_real)) / 2"),
            swap("torch.zeros_like(D_fake))", "torch.zeros_like(D_fake)) / 2"),
        ],
        r"The gradient that D is updated with .*: the two halves are averaged, and should be added up",
    ),
    "one-sided label smoothing": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "torch.full_like(D_real, 0.9)")],
        r"The gradient that D is updated with .*: real images have a label of 0\.9, not 1",
    ),
    "fakes detached in block 3": (
        GAN_TRAINER,
        [
            swap("D_fake = self._netD(fake_imgs)\n", "D_fake = self._netD(fake_imgs.detach())\n"),
            swap("backward(inputs=list(self._netG.parameters()))", "backward()"),
        ],
        r"The gradient that G is updated with .*: there is none: in block 3 the fakes must not be detached",
    ),
    "fakes not detached in block 2": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs)")],
        r"GAN/trainer\.py:71: .* stops with RuntimeError: Trying to backward through the graph a second time.*\n"
        r"The backward pass of block 2 has used up G's graph",
    ),
    "block 2's judgement used in block 3": (
        GAN_TRAINER,
        [
            block(
                3,
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G.backward()",
                "D_G_z2 = D_fake.mean()",
            )
        ],
        r"GAN/trainer\.py:70: .* stops with RuntimeError: .*\nBlock 3 uses a judgement from before D's update",
    ),
    "block 2's judgement used in block 3, with its graph": (
        GAN_TRAINER,
        [
            block(
                2,
                "D_fake = self._netD(fake_imgs)",
                "loss_D_fake = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
                "loss_D_fake.backward(retain_graph=True)",
                "D_G_z1 = D_fake.mean()",
            ),
            block(
                3,
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G.backward()",
                "D_G_z2 = D_fake.mean()",
            ),
        ],
        r"Block 3 uses a judgement from before D's update: there D is to judge the fakes again \(see",
    ),
    "saturating loss": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = -BCE_criterion(D_fake, torch.zeros_like(D_fake))",
            )
        ],
        r"The gradient that G is updated with .*: it is the saturating form, and the non-saturating one is asked for",
    ),
    "G learns to be found out": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
            )
        ],
        r"The gradient that G is updated with .*: the fakes have the label of fakes, so that G learns to be found out",
    ),
    "no backward pass for G": (
        GAN_TRAINER,
        [swap("loss_G.backward(inputs=list(self._netG.parameters()))", "pass")],
        r"The gradient that G is updated with .*: there is none",
    ),
    "D updated twice": (
        GAN_TRAINER,
        [
            swap(
                "        D_x = D_real.detach().mean()",
                "        self._optimD.step()\n        D_x = D_real.detach().mean()",
            )
        ],
        r"In a training step D is updated 2 times, and should be once",
    ),
    "D_x summed": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach().sum()")],
        r"D_x is [\d.]+ where [\d.]+ is expected: it is summed over the batch, not averaged",
    ),
    "D_x for every image": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach()")],
        r"D_x should be one number, and is a tensor of shape \(5,\) \(see",
    ),
    "D_G_z2 from before": (
        GAN_TRAINER,
        [swap("D_G_z2 = D_fake.detach().mean()", "D_G_z2 = D_G_z1")],
        r"D_G_z2 .*: it is D's mean judgement of the fakes before its update",
    ),
    "D_x is forgotten": (
        GAN_TRAINER,
        [swap("        D_x = D_real.detach().mean()\n", "")],
        r"GAN/trainer\.py:\d+: block 1 of GAN/trainer\.py leaves 'D_x' without a value\.",
    ),
    "block 3 of the GAN is not filled in": (
        GAN_TRAINER,
        [unfill(GAN_TRAINER, 3)],
        r"GAN/trainer\.py:\d+: block 3 of GAN/trainer\.py is not filled in yet: G's step",
    ),
    "a wrong label, and block 3 is not filled in": (
        GAN_TRAINER,
        [swap("torch.zeros_like(D_fake)", "torch.ones_like(D_fake)"), unfill(GAN_TRAINER, 3)],
        r"The gradient that D is updated with .*: the fake half has the label of real images",
    ),
    # files that can't be used
    "a syntax error": (
        VAE_TRAINER,
        [swap("        recon_loss = F", "        recon_loss = = F")],
        r"VAE/trainer\.py:43 can't be read by Python, SyntaxError: invalid syntax\.",
    ),
    "a wrong indentation": (
        VAE_MODEL,
        [swap("        z = mu", "      z = mu")],
        r"VAE/model\.py:66 can't be read by Python, IndentationError: unindent does not match",
    ),
    "a class under another name": (
        VAE_MODEL,
        [swap("class VAE(", "class Vae(")],
        r"VAE/model\.py has no class VAE, which main\.py needs \(it has Vae\)\.",
    ),
    "a method that is gone": (
        VAE_TRAINER,
        [swap("def loss_fn(", "def loss(")],
        r"VAE/trainer\.py has a class Trainer without the method loss_fn\.",
    ),
    "a library that isn't there": (
        GAN_MODEL,
        [swap("from torch import nn", "import no_such_library\nfrom torch import nn")],
        r"GAN/model\.py:5 can't be imported, ModuleNotFoundError: No module named 'no_such_library'\.",
    ),
    "a data set that can't be read": (
        "GAN/dataset.py",
        [swap("VALUE_RANGE = (-1, 1)", "VALUE_RANGE = (-1, 1")],
        r"GAN/dataset\.py:\d+ can't be read by Python, SyntaxError: '\(' was never closed\.",
    ),
    "another signature": (
        VAE_MODEL,
        [
            swap("def __init__(self, num_channels, latent_dim)", "def __init__(self, latent_dim)"),
            swap("num_channels, 16", "1, 16"),
            swap("16, num_channels", "16, 1"),
        ],
        r"VAE\(1, 7\) stops with TypeError: .*takes 2 positional arguments but 3 were given\.",
    ),
}

# What is right in other words: name, file, and how it is changed.
VARIANTS: dict[str, tuple[str, list[Change]]] = {
    **{
        name: right_solutions.VARIANTS[name]
        for name in (
            "no bias",
            "two heads",
            "in-place activations",
            "the encoder run twice",
            "z drawn in forward",
            "lists",
            "one channel",
            "the generator's layers one by one",
            "judgements with their graph",
            "a list of five",
            "not detached, with the same update",
            "one backward pass of a sum",
            "extra passes of D, and no criterion",
        )
    },
    "bias in the generator": (
        GAN_MODEL,
        [
            swap(
                "padding=1, bias=False),\n            nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU",
                "padding=1),\n            nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU",
            )
        ],
    ),
    "layers under other names, functional activations": (
        VAE_MODEL,
        [
            block(
                1,
                "self.c1, self.c2 = nn.Conv2d(num_channels, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, 1)",
                "self.c3, self.c4 = nn.Conv2d(32, 32, 3, padding='same'), nn.Conv2d(32, 16, 3, 2, 1)",
                "self.f1, self.f2 = nn.LazyLinear(2 * latent_dim), nn.Linear(2 * latent_dim, 2 * latent_dim)",
                "self.f3, self.f4 = nn.Linear(latent_dim, latent_dim), nn.Linear(latent_dim, 1024)",
                "self.t3, self.t4 = nn.ConvTranspose2d(16, 32, 3, 2, 1, 1), nn.ConvTranspose2d(32, 32, 3, 1, 1)",
                "self.t5 = nn.ConvTranspose2d(32, 16, 3, 2, 1, 1)",
                "self.t6 = nn.ConvTranspose2d(16, num_channels, 3, 1, 1)",
                "self.unused = nn.Linear(3, 3)",
            ),
            block(
                3,
                "relu = torch.relu",
                "h = relu(self.c4(relu(self.c3(relu(self.c2(relu(self.c1(x))))))))",
                "h = self.f2(torch.clamp(self.f1(h.view(-1, 1024)), min=0))",
                "mu, log_sigma = h[:, : self.latent_dim], h[:, self.latent_dim :]",
                "recon_x = self(z=VAE.reparameterize(self, log_sigma=log_sigma, mu=mu))",
            ),
            block(
                4,
                "h = self.f4(nn.functional.relu(self.f3(z))).reshape(-1, 16, 8, 8)",
                "h = self.t5(self.t4(self.t3(h).relu()).relu()).relu()",
                "images = torch.sigmoid(self.t6(h))",
            ),
        ],
    ),
    "z from torch.distributions": (
        VAE_MODEL,
        [block(2, "z = torch.distributions.Normal(mu, log_sigma.exp()).rsample()")],
    ),
    "weights without layers": (
        VAE_MODEL,
        [
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap(
                "self.decoder = ",
                "self.W = nn.Parameter(torch.randn(2, 2 * latent_dim, latent_dim))\n        self.decoder = ",
            ),
            swap("self.encoder(x).chunk(2, dim=1)", "(self.encoder(x) @ torch.cat([*self.W], 1)).chunk(2, 1)"),
        ],
    ),
    "a warning": (
        VAE_MODEL,
        [
            block(
                2,
                "import warnings",
                "warnings.warn('old', DeprecationWarning)",
                "z = mu + torch.exp(log_sigma) * torch.randn_like(mu)",
            )
        ],
    ),
    "losses in a list, instance by instance": (
        VAE_TRAINER,
        [
            losses(
                "sum(F.binary_cross_entropy(r, t, reduction='sum') for r, t in zip(recon, target)) / len(target)",
                "sum((m @ m + s.exp() @ s.exp() - len(m)) / 2 - s.sum() for m, s in zip(mu, log_sigma)) / len(mu)",
            ),
            swap("return recon_loss, kl_loss", "return [recon_loss, kl_loss]"),
        ],
    ),
    "KL from torch.distributions": (
        VAE_TRAINER,
        [
            swap("class Trainer", "from torch.distributions import Normal, kl_divergence\n\n\nclass Trainer"),
            losses(kl="kl_divergence(Normal(mu, log_sigma.exp()), Normal(0, 1)).sum(-1).mean()"),
        ],
    ),
    "a guard of 1e-5": (
        VAE_TRAINER,
        [
            losses(
                recon="-((recon + 1e-5).log() * target + (1 - recon + 1e-5).log() * (1 - target)).sum() / len(target)"
            )
        ],
    ),
    "a clamp at 1e-5": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(recon.clamp(1e-5, 1 - 1e-5), target, reduction='sum') / len(target)")],
    ),
    "a clamp at 1e-7": (
        VAE_TRAINER,
        [losses(recon="F.binary_cross_entropy(recon.clamp(1e-7, 1 - 1e-7), target, reduction='sum') / len(target)")],
    ),
    "judgements as floats": (GAN_TRAINER, [swap(".detach().mean()", ".mean().item()")]),
    "G's gradients cleared more often": (
        GAN_TRAINER,
        [swap("        D_real = ", "        self._netG.zero_grad()\n        D_real = ")],
    ),
    "labels as full tensors": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real)", "torch.full((real_imgs.size(0),), 1.0)"),
            swap("self._netD(real_imgs)", "self._netD(real_imgs).view(-1)"),
        ],
    ),
    "another data set": (
        "GAN/dataset.py",
        [swap("VALUE_RANGE = (-1, 1)", "from model import Generator\n\nprint('hello')\nVALUE_RANGE = (-1, 1)")],
    ),
}
# The mistakes that show in two failures: a block that isn't filled in has its own.
TWO_FAILURES = {
    "Enc-5 is wrong, and the forward pass is not written yet",
    "Dec-2 is wrong, and the decoding is not written yet",
    "a wrong label, and block 3 is not filled in",
    "z has the shape of one instance",  # reparameterize's answer, and the forward pass that can't go on with it
}

REMARKS = {
    "one channel": r"Remark: your VAE ignores num_channels",
    "the generator's layers one by one": r"Remark: your generator ignores num_channels",
    "not detached, with the same update": r"Remark: block 2 of GAN/trainer\.py does not detach the fakes from G",
}


def write_copy(folder: Path, file: str, changes: list[Change]) -> None:
    """Copy the solution of one project, with a change."""
    write_codes(folder, solution({file: changes}, projects=[file.split("/")[0]]))


def check_copies(jobs: list[tuple[str, str, str]]) -> dict[str, dict]:
    """Run the checks on one folder after the other, in this process.

    Args:
        jobs: a name, the folder, and the project in it, each.
    Returns:
        name -> exit status, what every failed and every skipped check said, and pytest's output.
    """
    results = {}
    for name, folder, project in jobs:
        said = {"failed": {}, "skipped": {}}

        class Reports:
            def pytest_runtest_logreport(self, report, said=said):
                if report.failed:
                    said["failed"][report.nodeid] = report.longreprtext
                elif report.skipped:
                    said["skipped"][report.nodeid] = report.longrepr[2]

        options = [*OPTIONS, *NO_GARBAGE, "--codes_dir", folder, "-k", project]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = pytest.main([str(PUBLIC), *options], plugins=[Reports()])
        results[name] = {**said, "status": int(status), "output": output.getvalue()}
    return results


@pytest.fixture(scope="session")
def checked(tmp_path_factory) -> dict[str, dict]:
    """What the checks say of every changed copy. The two workers of `make test` share it."""
    alone = os.environ.get("PYTEST_XDIST_WORKER") is None
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    results = [shared / f"public-checks-{half}.json" for half in range(2)]
    with FileLock(shared / "public-checks.lock"):
        if not all(path.exists() for path in results):
            run_halves(tmp_path_factory.mktemp("copies"), results)
    return {name: result for path in results for name, result in json.loads(path.read_text()).items()}


def run_halves(folder: Path, results: list[Path]) -> None:
    """Write the copies, and check as many of them at a time as there are files for the results."""
    jobs = []
    for name, (file, changes, *_) in {**MISTAKES, **VARIANTS}.items():
        codes = folder / str(len(jobs)) / "codes"
        write_copy(codes, file, changes)
        jobs.append((name, str(codes), file.split("/")[0]))
    running = []
    for half, path in enumerate(results):
        to_do = path.with_suffix(".jobs")
        to_do.write_text(json.dumps(jobs[half :: len(results)]))
        command = [sys.executable, __file__, str(to_do), str(path)]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, env=student_environment()))
    for process in running:
        assert process.wait(timeout=240) == 0


def run_checks(*options: object, cwd: Path = REPOSITORY, **environment: str) -> tuple[int, str]:
    """Run the checks as a student does: pytest's exit status, and its output."""
    command = [sys.executable, "-m", "pytest", "tests/public", *OPTIONS, *map(str, options)]
    env = student_environment() | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


def student_environment() -> dict[str, str]:
    """This process's environment, without what its own pytest has in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_in_one_sentence(checked, name):
    result, (_, _, says) = checked[name], MISTAKES[name]
    said = list(result["failed"].values())
    assert result["status"] == 1
    assert any(re.search(says, sentence) for sentence in said), said
    # One mistake is one failure; what can't be checked because of it is skipped.
    assert len(said) == (2 if name in TWO_FAILURES else 1), said
    assert all(sentence.count("\n") <= 1 and len(sentence) < 500 for sentence in said), said
    assert not TRACEBACK.search(result["output"]), result["output"]


@pytest.mark.parametrize("name", VARIANTS)
def test_right_solution_passes_however_it_is_written(checked, name):
    result = checked[name]
    assert (result["failed"], result["skipped"], result["status"]) == ({}, {}, 0)
    remarks = re.findall(r"^Remark: .*", result["output"], re.MULTILINE)
    assert len(remarks) == (name in REMARKS)
    assert re.search(REMARKS.get(name, ""), "".join(remarks))


def test_reference_passes_every_check_in_a_handout(tmp_path):
    """In a folder as students have it, without this repository's settings; nothing is written into it."""
    shutil.copytree(PUBLIC, tmp_path / "tests" / "public", ignore=CACHES)
    shutil.copytree(REFERENCE, tmp_path / "codes", ignore=CACHES)
    before = sorted((tmp_path / "codes").rglob("*"))
    status, output = run_checks(cwd=tmp_path, PYTHONDONTWRITEBYTECODE="")
    assert status == 0, output
    assert re.search(r"= \d+ passed in ", output) and "Remark" not in output
    assert output.count("Passing these checks is not the grade") == 2  # before the checks and after them
    assert sorted((tmp_path / "codes").rglob("*")) == before


def test_empty_scaffold_is_told_every_block_once():
    status, output = run_checks()
    assert status == 1
    failures, summary = output.split(" FAILURES ")[1].split(" short test summary ")
    for number in (1, 2, 3, 4):
        assert re.search(
            rf"^codes/VAE/model\.py:\d+: block {number} of VAE/model\.py is not filled in yet: ", failures, re.M
        )
    assert re.search(r"^codes/VAE/trainer\.py:\d+: block 1 of VAE/trainer\.py is not filled in yet: ", failures, re.M)
    assert failures.count("is not filled in yet") == 5 == len(re.findall(r"^FAILED ", summary, re.M))
    assert "GAN" not in failures and "optional: no block of the GAN is filled in yet" in summary
    assert "waits for block 1 of VAE/model.py" in summary and "waits for block 1 of VAE/trainer.py" in summary
    assert not TRACEBACK.search(output)


def test_vae_alone_is_enough(tmp_path):
    shutil.copytree(REFERENCE / "VAE", tmp_path / "codes" / "VAE", ignore=CACHES)
    status, output = run_checks("--codes_dir", tmp_path / "codes", "-q")
    assert status == 0, output
    assert "Passing these checks is not the grade" in output
    assert "optional: there is nothing to check in codes/GAN" in output


def test_missing_file_is_one_failure_and_the_other_file_is_checked(tmp_path):
    write_copy(tmp_path / "codes", VAE_TRAINER, [MISTAKES["KL without the half"][1][0]])
    (tmp_path / "codes" / VAE_MODEL).unlink()
    status, output = run_checks("--codes_dir", tmp_path / "codes", "-k", "VAE")
    assert status == 1 and re.search(r"= 2 failed, ", output)
    assert "codes/VAE/model.py is missing." in output and "the ½ is missing" in output
    assert "waits for VAE/model.py, which can't be imported" in output
    assert not TRACEBACK.search(output)


def test_wrong_folder_is_one_line(tmp_path):
    status, output = run_checks("--codes_dir", tmp_path / "cods")
    assert status == 4
    assert (
        output.strip()
        == f"ERROR: {tmp_path / 'cods'}: no such folder; --codes_dir names the one that holds VAE and GAN"
    )


def test_checks_import_nothing_that_students_do_not_have():
    allowed = {*sys.stdlib_module_names, "numpy", "pytest", "torch"}
    for path in PUBLIC.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] in allowed, path


def test_every_check_is_a_sentence_and_every_module_says_what_passing_means():
    for path in PUBLIC.glob("test_*.py"):
        tree = ast.parse(path.read_text())
        assert "Passing these checks is not the grade" in ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert re.fullmatch(r"[^\n]+\.", ast.get_docstring(node) or ""), node.name


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(check_copies(json.loads(Path(sys.argv[1]).read_text()))))
