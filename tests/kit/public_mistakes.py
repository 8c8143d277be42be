"""Wrong solutions that the public checks are to name, and right ones that they are to pass."""

import right_solutions
from changed_solutions import (
    GAN_MODEL,
    GAN_TRAINER,
    VAE_MODEL,
    VAE_TRAINER,
    Change,
    block,
    kl,
    recon,
    swap,
    unfill,
)


def losses(
    recon: str = "F.binary_cross_entropy(recon, target, reduction='sum') / len(target)",
    kl: str = "0.5 * (mu**2 + torch.exp(log_sigma) ** 2 - 2 * log_sigma - 1).sum(1).mean()",
) -> Change:
    """Write the VAE's losses anew, right except for what is given."""
    return block(1, f"recon_loss = {recon}", f"kl_loss = {kl}")


def insert(before: str, *lines: str) -> Change:
    """Put lines before the first one that begins so; that one goes into their last, where it ends in a colon."""

    def change(source: str) -> str:
        old = next(line for line in source.splitlines(keepends=True) if line.lstrip().startswith(before))
        margin = " " * (len(old) - len(old.lstrip()))
        deeper = "    " if lines[-1].endswith(":") else ""
        return source.replace(old, "".join(f"{margin}{line}\n" for line in lines) + deeper + old, 1)

    return change


BLOCK_3 = "D_fake = self._netD(fake_imgs)\n"  # its first line, in the solution

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
        r"Trainer\.train_step updates D 2 times; it should do so once, in every step alike\.",
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
    # GAN/trainer.py, from one step to the next
    "D frozen and never freed": (
        GAN_TRAINER,
        [insert(BLOCK_3, "for w in self._netD.parameters():", "    w.requires_grad_(False)")],
        r"Trainer\.train_step, in step 2, with a batch of 3 images, stops with RuntimeError: .*\n"
        r"D was frozen in the step before \(requires_grad is False\) and never freed: free it again in block 3\.",
    ),
    "a part of D frozen and never freed": (
        GAN_TRAINER,
        [insert(BLOCK_3, "next(self._netD.parameters()).requires_grad_(False)")],
        r"The gradient that D is updated with is right in the first step and not in step 2, .*: a part of D is frozen",
    ),
    "G updated every fifth call": (
        GAN_TRAINER,
        [insert("loss_G.backward(", "self.calls = getattr(self, 'calls', -1) + 1", "if self.calls % 5 == 0:")],
        r"The gradient that G is updated with is right in the first step and not in step 2, .*: there is none",
    ),
    "G left out of every fifth call": (
        GAN_TRAINER,
        [insert("loss_G.backward(", "self.calls = getattr(self, 'calls', 0) + 1", "if self.calls % 5:")],
        r"The gradient that G is updated with is right in the first step and not in step 5, .*: there is none",
    ),
    "D updated twice in every third call": (
        GAN_TRAINER,
        [
            insert(
                "loss_D_real.backward(",
                "self.calls = getattr(self, 'calls', 0) + 1",
                "if self.calls % 3 == 0:",
                "    self._optimD.step()",
            )
        ],
        r"Trainer\.train_step, in step 3, with a batch of 1 image, updates D 2 times; it should do so once",
    ),
    "an early return where D is fooled": (
        GAN_TRAINER,
        [insert(BLOCK_3, "if D_G_z1 > 0.8:", "    return loss_D_real, loss_D_fake, D_x, D_G_z1, D_G_z1")],
        r"Trainer\.train_step, in step 3, with a batch of 1 image, updates G 0 times; it should do so once",
    ),
    "D left alone where it is too good": (
        GAN_TRAINER,
        [insert("loss_D_real.backward(", "if D_real.mean() < 0.8:")],
        r"The gradient that D is updated with is right in the first step and not in step 2, with a batch of 3, "
        r"D\(x\) 0\.9\d and D\(G\(z\)\) 0\.0\d: only the fake half is in it",
    ),
    "G left alone where D is fooled": (
        GAN_TRAINER,
        [insert("loss_G.backward(", "if D_fake.mean() < 0.8:")],
        r"The gradient that G is updated with is right in the first step and not in step 3, .*: there is none",
    ),
    "D's real half counted twice where D is fooled": (
        GAN_TRAINER,
        [swap("loss_D_real.backward()", "(loss_D_real * (2 if D_real.mean() < 0.2 else 1)).backward()")],
        r"The gradient that D is updated with is right in .* not in step 3, .*: the real half counts twice",
    ),
    "a learning rate that decays": (
        GAN_TRAINER,
        [
            insert(
                BLOCK_3,
                "for optimizer in (self._optimG, self._optimD):",
                "    for group in optimizer.param_groups:",
                "        group['lr'] *= 0.999",
            )
        ],
        r"Trainer\.train_step changes the learning rate of G's optimizer from 0\.02 to 0\.01998",
    ),
    "a scheduler in the step": (
        GAN_TRAINER,
        [
            insert(
                BLOCK_3,
                "if not hasattr(self, 'schedule'):",
                "    self.schedule = torch.optim.lr_scheduler.StepLR(self._optimD, step_size=3, gamma=0.5)",
                "self.schedule.step()",
            )
        ],
        r"Trainer\.train_step, in step 3, .* changes the learning rate of D's optimizer from 0\.02 to 0\.01\.",
    ),
    "labels of the first batch": (
        GAN_TRAINER,
        [
            insert("loss_D_real = ", "if not hasattr(self, 'ones'):", "    self.ones = torch.ones_like(D_real)"),
            swap("BCE_criterion(D_real, torch.ones_like(D_real))", "BCE_criterion(D_real, self.ones)"),
        ],
        r"Trainer\.train_step, in step 2, with a batch of 3 images, stops with ValueError: Using a target size .*\n"
        r"There are to be as many labels as images in the batch, here 3",
    ),
    "labels as many as the flag says": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "torch.ones(self.run.args.batch_size)")],
        r"stops with ValueError: Using a target size .*\nThere are to be as many labels as images in the batch, here 5",
    ),
    "a batch of one squeezed away": (
        GAN_TRAINER,
        [insert("D_x = ", "D_real = torch.stack([judged for judged in D_real.squeeze()])")],
        r"Trainer\.train_step, in step 3, with a batch of 1 image, stops with TypeError: .*\n"
        r"Does a squeeze\(\) without a dimension take the batch of a single image away too\?",
    ),
    "D left in evaluation mode": (
        GAN_TRAINER,
        [insert(BLOCK_3, "self._netD.eval()")],
        r"Trainer\.train_step leaves D in evaluation mode, which it was not in before\.",
    ),
    "gradients left switched off by the step": (
        GAN_TRAINER,
        [insert("D_G_z2 = ", "torch.set_grad_enabled(False)")],
        r"Trainer\.train_step switches gradients off for good; 'with torch\.no_grad\(\):' ends by itself\.",
    ),
    "an optimizer made anew": (
        GAN_TRAINER,
        [insert("D_real = ", "self._optimD = torch.optim.Adam(self._netD.parameters(), lr=2e-4)")],
        r"Trainer\.train_step puts another optimizer in the place of D's\.",
    ),
    "a batch size in a view": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z).view(4, 1, 32, 32)")],
        r"stops with RuntimeError: shape '\[4, 1, 32, 32\]' is invalid .*\nThat is with a batch of one",
    ),
    "G frozen": (
        GAN_TRAINER,
        [insert("D_G_z1 = ", "self._netG.requires_grad_(False)")],
        r"\.\nG is frozen \(requires_grad is False\) where it is to learn\.",
    ),
    "D's weights clipped": (
        GAN_TRAINER,
        [insert("D_G_z1 = ", "for w in self._netD.parameters():", "    w.data.clamp_(-0.01, 0.01)")],
        r"Trainer\.train_step clips D's weights to ±0\.01\.",
    ),
    "D's weights clipped after its update": (
        GAN_TRAINER,
        [insert(BLOCK_3, "for w in self._netD.parameters():", "    w.data.clamp_(-0.01, 0.01)")],
        r"Trainer\.train_step clips D's weights to ±0\.01\.",
    ),
    "D initialised anew": (
        GAN_TRAINER,
        [insert("D_G_z1 = ", "from model import weights_init", "self._netD.apply(weights_init)")],
        r"Trainer\.train_step overwrites D's weights \(are they initialised anew\?\)\.",
    ),
    "G's weights decayed by hand": (
        GAN_TRAINER,
        [insert(BLOCK_3, "with torch.no_grad():", "    for w in self._netG.parameters():", "        w.mul_(0.999)")],
        r"Trainer\.train_step overwrites G's weights",
    ),
    "a running mean of D_x": (
        GAN_TRAINER,
        [swap("D_x = D_real", "D_x = self.mean = getattr(self, 'mean', D_real.detach().mean()) / 2 + 0.5 * D_real")],
        r"D_x is [\d.]+ in step 2, where [\d.]+ is expected; in the first step it was right",
    ),
    "other fakes in block 3": (
        GAN_TRAINER,
        [insert(BLOCK_3, "fake_imgs = self._netG(torch.randn(len(real_imgs), self._netG.latent_dim, 1, 1))")],
        r"The gradient that G is updated with .*: other fakes are generated for it, and fake_imgs are meant",
    ),
    "a GPU asked for by name in the GAN": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "torch.ones(len(D_real)).cuda()")],
        r"^codes/GAN/trainer\.py:\d+: your code asks for a GPU \(.cuda\(\) or device='cuda'\) where there is none; use",
    ),
    "a GPU asked for while importing": (
        GAN_TRAINER,
        [insert("NUM_SHOWN = 32", "ONE = torch.ones(1, device='cuda')")],
        r"^codes/GAN/trainer\.py:\d+ can't be imported, since your code asks for a GPU",
    ),
    # the VAE, from one step to the next
    "evaluation mode left on by forward": (
        VAE_MODEL,
        [insert("images = self.decoder(z)", "self.eval()")],
        r"VAE\.forward\(z=z\) leaves the VAE in evaluation mode, which it was not in before: it is to leave all of it",
    ),
    "gradients left switched off by forward": (
        VAE_MODEL,
        [insert("images = self.decoder(z)", "torch.set_grad_enabled(False)")],
        r"VAE\.forward\(z=z\) switches gradients off for good; 'with torch\.no_grad\(\):' ends by itself: it is",
    ),
    "training mode left on by forward": (
        VAE_MODEL,
        [insert("mu, log_sigma = self.enc", "self.train()")],
        r"VAE\.forward\(x\) leaves the VAE in training mode, which it was not in before",
    ),
    "weights clipped by forward": (
        VAE_MODEL,
        [insert("mu, log_sigma = self.enc", "for w in self.parameters():", "    w.data.clamp_(-0.01, 0.01)")],
        r"VAE\.forward\(x\) clips the VAE's weights to ±0\.01: it is to leave all of it as it was",
    ),
    "squeeze in reparameterize": (
        VAE_MODEL,
        [block(2, "z = (mu + log_sigma.exp() * torch.randn_like(mu)).squeeze()")],
        r"What VAE\.reparameterize returns has shape \(7,\) where a tensor of shape \(1, 7\) is expected .*\n"
        r"That is with a batch of one: does a squeeze\(\) without a dimension take the batch away too\?",
    ),
    "squeeze of mu": (
        VAE_MODEL,
        [insert("recon_x = self.decoder(", "mu = mu.squeeze()")],
        r"\(7,\) where a tensor of shape \(1, 7\) is expected .*\nThat is with a batch of one",
    ),
    "squeeze in the decoder": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z.squeeze())")],
        r"VAE\.forward\(z=z\) stops with .*\nThat is with a batch of one",
    ),
    "a GPU asked for by name in the VAE": (
        VAE_MODEL,
        [block(2, "z = mu + log_sigma.exp() * torch.randn(mu.shape).cuda()")],
        r"^codes/VAE/model\.py:65: your code asks for a GPU \(.cuda\(\) or device='cuda'\) where there is none",
    ),
    "losses divided by the first batch's size": (
        VAE_TRAINER,
        [swap("batch_size = target.shape[0]", "batch_size = self.count = getattr(self, 'count', len(target))")],
        r"recon_loss is right for a first batch of 3, and then, for one of 5, .*: it is divided by 3, as the first",
    ),
    "losses divided by the flag": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='sum') / self.run.args.batch_size"),
        r"recon_loss .*: it is divided by 32, not by how many instances the batch has",
    ),
    "squeeze in the loss": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).squeeze().sum(1).mean()"),
        r"Trainer\.loss_fn, given a batch of 1, stops with IndexError",
    ),
    "KL warmed up": (
        VAE_TRAINER,
        [
            insert("return recon_loss", "self.calls = getattr(self, 'calls', 0) + 1"),
            swap("return recon_loss, kl_loss", "return recon_loss, kl_loss / self.calls"),
        ],
        r"kl_loss is right for a first batch of 3, and then, for one of 5, [\d.]+ where [\d.]+ is expected \(see",
    ),
    "a learning rate that decays in the loss": (
        VAE_TRAINER,
        [insert("batch_size = ", "self.optimizer.param_groups[0]['lr'] *= 0.999")],
        r"Trainer\.loss_fn changes the learning rate of the VAE's optimizer from 0\.001 to 0\.000999: it is to leave",
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
    **right_solutions.VARIANTS,
    "lazy layers": (VAE_MODEL, [swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.LazyLinear(2 * latent_dim)")]),
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
    "a clamp at 1e-7": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon.clamp(1e-7, 1 - 1e-7), target, reduction='sum') / batch_size"),
    ),
    "the run's device, for zeros of the VAE's losses": (
        VAE_TRAINER,
        [swap(".sum() / batch_size", ".sum() / batch_size + torch.zeros((), device=self.run.device)")],
    ),
    "judgements as floats": (GAN_TRAINER, [swap(".detach().mean()", ".mean().item()")]),
    "G's gradients cleared more often": (
        GAN_TRAINER,
        [swap("        D_real = ", "        self._netG.zero_grad()\n        D_real = ")],
    ),
    "labels on the run's device": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real)", "torch.full((real_imgs.size(0),), 1.0, device=self.run.device)"),
            swap("self._netD(real_imgs)", "self._netD(real_imgs).view(-1)"),
        ],
    ),
    "the data and the settings of the run": (
        GAN_TRAINER,
        [
            insert(
                "D_real = ",
                "assert len(self.data.train[1]) == self.run.args.batch_size == self.run.settings['batch_size']",
                "self.run.log_scalars(1, {'batch': len(real_imgs)})",
            )
        ],
    ),
    "labels cached, as many as may be needed": (
        GAN_TRAINER,
        [
            insert("D_real = ", "if not hasattr(self, 'ones'):", "    self.ones = torch.ones(999)"),
            swap("torch.ones_like(D_real)", "self.ones[: len(D_real)]"),
        ],
    ),
    "a squeeze that changes nothing": (GAN_TRAINER, [swap("self._netD(real_imgs)", "self._netD(real_imgs).squeeze()")]),
    "D frozen until the next step": (
        GAN_TRAINER,
        [insert("D_real = ", "self._netD.requires_grad_(True)"), insert(BLOCK_3, "self._netD.requires_grad_(False)")],
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
    "D frozen until the next step": r"Remark: block 3 of GAN/trainer\.py leaves a player frozen",
}
