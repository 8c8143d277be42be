"""Wrong solutions of the VAE and the GAN, one mistake each, and the check that must find it."""

from changed_solutions import (
    GAN_MODEL,
    GAN_TRAINER,
    VAE_MODEL,
    VAE_TRAINER,
    Change,
    before,
    behind,
    block,
    kl,
    recon,
    swap,
    unfill,
    z,
)
from wrong_vaes import ALSO_IN_VAES, WRONG_VAES

G_BACKWARD = "loss_G.backward(inputs=list(self._netG.parameters()))"
FRESH_NOISE = "torch.randn(len(fake_imgs), self._netG.latent_dim, 1, 1)"
COUNT = "self.calls = getattr(self, 'calls', -1) + 1"

# name: file, how it is changed, the check that must fail, words that its message must hold
MUTANTS: dict[str, tuple[str, list[Change], str, str]] = {
    # the rows of the VAE's table
    "Enc-1 has kernel 5": (
        VAE_MODEL,
        [
            swap(
                "nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1)",
                "nn.Conv2d(num_channels, 16, kernel_size=5, stride=1, padding=2)",
            )
        ],
        "vae.enc_1",
        "kernel 3; yours has kernel 5",
    ),
    "Enc-1 has no ReLU": (
        VAE_MODEL,
        [
            swap(
                "nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),",
                "nn.Conv2d(num_channels, 16, kernel_size=3, stride=1, padding=1),",
            )
        ],
        "vae.enc_1",
        "there is no activation",
    ),
    "Enc-2 has stride 1": (
        VAE_MODEL,
        [swap("nn.Conv2d(16, 32, kernel_size=3, stride=2", "nn.Conv2d(16, 32, kernel_size=3, stride=1")],
        "vae.enc_2",
        "stride 2; yours has stride 1",
    ),
    "Enc-3 has no padding": (
        VAE_MODEL,
        [swap("nn.Conv2d(32, 32, kernel_size=3, stride=1, padding=1)", "nn.Conv2d(32, 32, kernel_size=3)")],
        "vae.enc_3",
        "padding 1; yours has padding 0",
    ),
    "Enc-3 narrows": (
        VAE_MODEL,
        [
            swap("nn.Conv2d(32, 32", "nn.Conv2d(32, 16"),
            swap("nn.Conv2d(32, 16, kernel_size=3, stride=2", "nn.Conv2d(16, 16, kernel_size=3, stride=2"),
        ],
        "vae.enc_3",
        "32 channels out; yours has 16",
    ),
    "Enc-3 is missing": (
        VAE_MODEL,
        [swap("            nn.Conv2d(32, 32, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),\n", "")],
        "vae.enc_3",
        "none of its size",
    ),
    "Enc-2 has batch normalisation": (
        VAE_MODEL,
        [
            swap(
                "nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),",
                "nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),\n            nn.BatchNorm2d(32),",
            )
        ],
        "vae.enc_2",
        "there is BN + ReLU",
    ),
    "Enc-4 has LeakyReLU": (
        VAE_MODEL,
        [swap("nn.ReLU(),\n            nn.Flatten()", "nn.LeakyReLU(0.2),\n            nn.Flatten()")],
        "vae.enc_4",
        "LeakyReLU(0.2)",
    ),
    "Enc-5 is narrow": (
        VAE_MODEL,
        [
            swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.Linear(16 * 8 * 8, latent_dim)"),
            swap("nn.Linear(2 * latent_dim, 2", "nn.Linear(latent_dim, 2"),
        ],
        "vae.enc_5",
        "128 features out; yours has 64",
    ),
    "Enc-5 takes other features": (
        VAE_MODEL,
        [swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.Linear(8 * 8 * 8, 2 * latent_dim)")],
        "vae.enc_5",
        "1024 features in; yours has 512",
    ),
    "Enc-6 has half of its outputs": (
        VAE_MODEL,
        [swap("nn.Linear(2 * latent_dim, 2 * latent_dim)", "nn.Linear(2 * latent_dim, latent_dim)")],
        "vae.enc_6",
        "128 features out; yours has 64",
    ),
    "Enc-6 has a ReLU": (
        VAE_MODEL,
        [
            swap(
                "nn.Linear(2 * latent_dim, 2 * latent_dim),",
                "nn.Linear(2 * latent_dim, 2 * latent_dim),\n            nn.ReLU(),",
            )
        ],
        "vae.posterior_split",
        "ReLU behind Enc-6",
    ),
    "Dec-1 is missing": (
        VAE_MODEL,
        [swap("            nn.Linear(latent_dim, latent_dim),\n            nn.ReLU(),\n", "")],
        "vae.dec_1",
        "none of its size",
    ),
    "Dec-1 has a Tanh": (
        VAE_MODEL,
        [
            swap(
                "nn.Linear(latent_dim, latent_dim),\n            nn.ReLU()",
                "nn.Linear(latent_dim, latent_dim),\n            nn.Tanh()",
            )
        ],
        "vae.dec_1",
        "there is Tanh",
    ),
    "Dec-2 has a ReLU": (
        VAE_MODEL,
        [swap("nn.Unflatten", "nn.ReLU(),\n            nn.Unflatten")],
        "vae.dec_2",
        "no activation behind the layer; in your network there is ReLU",
    ),
    "Dec-3 has kernel 4": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1, output_padding=1)",
                "nn.ConvTranspose2d(16, 32, 4, 2, 1)",
            )
        ],
        "vae.dec_3",
        "kernel 3; yours has kernel 4",
    ),
    "Dec-3 has no output padding": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(16, 32, kernel_size=3, stride=2, padding=1, output_padding=1)",
                "nn.ConvTranspose2d(16, 32, 3, 2, 1)",
            )
        ],
        "vae.dec_3",
        "output padding 1; yours has output padding 0",
    ),
    "Dec-4 has no padding": (
        VAE_MODEL,
        [swap("nn.ConvTranspose2d(32, 32, kernel_size=3, stride=1, padding=1)", "nn.ConvTranspose2d(32, 32, 3)")],
        "vae.dec_4",
        "padding 1; yours has padding 0",
    ),
    "Dec-4 is a convolution": (
        VAE_MODEL,
        [swap("nn.ConvTranspose2d(32, 32", "nn.Conv2d(32, 32")],
        "vae.dec_4",
        "asks for a transposed convolution; yours is a convolution",
    ),
    "Dec-5 has no output padding": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(32, 16, kernel_size=3, stride=2, padding=1, output_padding=1)",
                "nn.ConvTranspose2d(32, 16, kernel_size=3, stride=2, padding=1)",
            )
        ],
        "vae.dec_5",
        "output padding 1; yours has output padding 0",
    ),
    "Dec-5 has no ReLU": (
        VAE_MODEL,
        [
            swap(
                "output_padding=1),\n            nn.ReLU(),\n            nn.ConvTranspose2d(16, num",
                "output_padding=1),\n            nn.ConvTranspose2d(16, num",
            )
        ],
        "vae.dec_5",
        "there is no activation",
    ),
    "Dec-6 has no Sigmoid": (
        VAE_MODEL,
        [swap("            nn.Sigmoid(),\n", "")],
        "vae.dec_6",
        "there is no activation",
    ),
    "Dec-6 has a Tanh": (VAE_MODEL, [swap("nn.Sigmoid()", "nn.Tanh()")], "vae.dec_6", "there is Tanh"),
    "Dec-6 has two Sigmoids": (
        VAE_MODEL,
        [swap("nn.Sigmoid()", "nn.Sigmoid(),\n            nn.Sigmoid()")],
        "vae.dec_6",
        "there is Sigmoid twice",
    ),
    "a head of two has a ReLU": (
        VAE_MODEL,
        [
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap(
                "self.decoder = ",
                "self.mean = nn.Linear(2 * latent_dim, latent_dim)\n"
                "        self.spread = nn.Linear(2 * latent_dim, latent_dim)\n        self.decoder = ",
            ),
            swap("self.encoder(x).chunk(2, dim=1)", "(f(self.encoder(x)) for f in (self.mean, self.spread))"),
            swap("            recon_x = ", "            log_sigma = log_sigma.relu()\n            recon_x = "),
        ],
        "vae.posterior_split",
        "log σ can't be negative",
    ),
    "latent_dim is hard-coded": (
        VAE_MODEL,
        [
            swap("2 * latent_dim", "128"),
            swap("nn.Linear(latent_dim, latent_dim)", "nn.Linear(64, 64)"),
            swap("nn.Linear(latent_dim, 16", "nn.Linear(64, 16"),
        ],
        "vae.latent_dim",
        "latent_dim is written into the code",
    ),
    "dropout": (
        VAE_MODEL,
        [swap("nn.Flatten(),", "nn.Dropout(0.3),\n            nn.Flatten(),")],
        "vae.enc_4",
        "ReLU and dropout",
    ),
    # block 2
    "log sigma as sigma": (
        VAE_MODEL,
        z("z = mu + log_sigma * torch.randn_like(mu)"),
        "vae.z_distribution",
        "log σ itself is taken for σ",
    ),
    "log sigma as the log of the variance": (
        VAE_MODEL,
        z("z = mu + torch.exp(0.5 * log_sigma) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "taken for log σ²",
    ),
    "the noise times the variance": (
        VAE_MODEL,
        z("z = mu + torch.exp(2 * log_sigma) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "multiplied by σ²",
    ),
    "uniform noise": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma) * torch.rand_like(mu)"),
        "vae.z_distribution",
        "uniform",
    ),
    "uniform noise of the right spread": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma) * (torch.rand_like(mu) - 0.5) * 12**0.5"),
        "vae.z_distribution",
        "not normal",
    ),
    "sigma is left out": (VAE_MODEL, z("z = mu + torch.randn_like(mu)"), "vae.z_distribution", "σ is left out"),
    "mu is left out": (
        VAE_MODEL,
        z("z = log_sigma.exp() * torch.randn_like(mu)"),
        "vae.z_distribution",
        "μ is left out",
    ),
    "no noise": (VAE_MODEL, z("z = mu"), "vae.z_distribution", "the noise is missing"),
    "one noise for the batch": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * torch.randn(mu.shape[1])"),
        "vae.z_distribution",
        "all instances",
    ),
    "one noise for all dimensions": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * torch.randn(len(mu), 1)"),
        "vae.z_distribution",
        "all dimensions",
    ),
    "no noise in evaluation mode": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * torch.randn_like(mu) if self.training else mu"),
        "vae.z_fresh_noise",
        "in evaluation mode z is μ itself",
    ),
    "noise that is drawn once and kept": (
        VAE_MODEL,
        z(
            "if getattr(self, 'epsilon', mu[:0]).shape != mu.shape:",
            "    self.epsilon = torch.randn_like(mu)",
            "z = mu + log_sigma.exp() * self.epsilon",
        ),
        "vae.z_fresh_noise",
        "two calls give the same z",
    ),
    "noise from the same seed": (
        VAE_MODEL,
        z("torch.manual_seed(0)", "z = mu + log_sigma.exp() * torch.randn_like(mu)"),
        "vae.z_fresh_noise",
        "two calls give the same z",
    ),
    "torch.normal": (VAE_MODEL, z("z = torch.normal(mu, log_sigma.exp())"), "vae.z_gradients", "no gradient flows"),
    "sigma is detached": (
        VAE_MODEL,
        z("z = mu + log_sigma.detach().exp() * torch.randn_like(mu)"),
        "vae.z_gradients",
        "to log σ",
    ),
    "mu is detached": (
        VAE_MODEL,
        z("z = mu.detach() + log_sigma.exp() * torch.randn_like(mu)"),
        "vae.z_gradients",
        "to μ",
    ),
    "z of one instance": (
        VAE_MODEL,
        z("z = (mu + log_sigma.exp() * torch.randn_like(mu))[0]"),
        "vae.z_distribution",
        "should have shape",
    ),
    "a name that is not there": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * epsilon"),
        "vae.z_distribution",
        "VAE/model.py:65 (block 2): your code stops with NameError",
    ),
    # blocks 3 and 4
    "mu and log sigma exchanged": (
        VAE_MODEL,
        [swap("mu, log_sigma = self.encoder(x)", "log_sigma, mu = self.encoder(x)")],
        "vae.posterior_split",
        "the other way round",
    ),
    "even and odd numbers": (
        VAE_MODEL,
        [swap("self.encoder(x).chunk(2, dim=1)", "self.encoder(x).unflatten(1, (-1, 2)).unbind(2)")],
        "vae.posterior_split",
        "even numbers",
    ),
    "sigma is returned": (
        VAE_MODEL,
        [swap(".chunk(2, dim=1)", ".chunk(2, dim=1)\n            log_sigma = log_sigma.exp()")],
        "vae.posterior_split",
        "exponentiated",
    ),
    "mu is decoded": (
        VAE_MODEL,
        [swap("self.decoder(self.reparameterize(mu, log_sigma))", "self.decoder(mu)")],
        "vae.reconstruction",
        "decodes μ itself",
    ),
    "the wrong order": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(log_sigma, mu)")],
        "vae.reconstruction",
        "wrong order",
    ),
    "sigma is given": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(mu, log_sigma.exp())")],
        "vae.reconstruction",
        "σ in place of log σ",
    ),
    "noise is decoded": (
        VAE_MODEL,
        [swap("self.decoder(self.reparameterize(mu, log_sigma))", "self.decoder(torch.randn_like(mu))")],
        "vae.reconstruction",
        "nothing to do with",
    ),
    "z is detached": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma))", "self.reparameterize(mu, log_sigma).detach())")],
        "vae.training_step",
        "no gradient flows from recon_x to the encoder",
    ),
    "another z is decoded": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(torch.randn_like(z))")],
        "vae.generation",
        "decodes",
    ),
    "images without channels": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z).squeeze(1)")],
        "vae.generation",
        "should have shape",
    ),
    "an exception in block 3": (
        VAE_MODEL,
        [swap("chunk(2, dim=1)", "chunk(3, dim=1)")],
        "vae.posterior_split",
        "VAE/model.py:83 (block 3): your code stops with ValueError",
    ),
    "block 4 is not filled in": (
        VAE_MODEL,
        [unfill(VAE_MODEL, 4)],
        "vae.generation",
        "block 4 of VAE/model.py is not filled in yet",
    ),
    "one answer of three": (
        VAE_MODEL,
        [swap("return recon_x, mu, log_sigma", "return recon_x")],
        "vae.posterior_split",
        "should return 3 things",
    ),
    # the losses
    "KL summed over the batch": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum()"),
        "vae.kl_average",
        "summed over the batch",
    ),
    "KL averaged over everything": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).mean()"),
        "vae.kl_sum",
        "averaged over the latent dimensions",
    ),
    "KL without the half": (
        VAE_TRAINER,
        kl("(mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "the ½ is missing",
    ),
    "KL with the wrong sign": (
        VAE_TRAINER,
        kl("-0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "wrong sign",
    ),
    "KL of log variance": (
        VAE_TRAINER,
        kl("-0.5 * (1 + log_sigma - mu**2 - log_sigma.exp()).sum() / batch_size"),
        "vae.kl_closed_form",
        "log σ is taken for log σ²",
    ),
    "KL with sigma": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + log_sigma.exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "σ stands where σ² should",
    ),
    "KL without the constant": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma).sum() / batch_size"),
        "vae.kl_closed_form",
        "constant",
    ),
    "KL with mu not squared": (
        VAE_TRAINER,
        kl("0.5 * (mu + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "μ is not squared",
    ),
    "KL for every instance": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)"),
        "vae.losses_are_scalars",
        "kl_loss should be one number",
    ),
    "KL as a float": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum().item() / batch_size"),
        "vae.kl_gradients",
        "carries no graph",
    ),
    "KL with sigma detached": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma.detach()).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_gradients",
        "σ is detached",
    ),
    "reconstruction averaged over everything": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target)"),
        "vae.recon_sum",
        "averaged over the pixels",
    ),
    "reconstruction summed over the batch": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='sum')"),
        "vae.recon_average",
        "summed over the batch",
    ),
    "reconstruction averaged over the batch twice": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='sum') / batch_size**2"),
        "vae.recon_average",
        "divided by the number of instances twice",
    ),
    "reconstruction as a float": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='sum').item() / batch_size"),
        "vae.recon_gradients",
        "no graph",
    ),
    "reconstruction with the wrong sign": (
        VAE_TRAINER,
        recon("-F.binary_cross_entropy(recon, target, reduction='sum') / batch_size"),
        "vae.recon_closed_form",
        "wrong sign",
    ),
    "squared error": (
        VAE_TRAINER,
        recon("F.mse_loss(recon, target, reduction='sum') / batch_size"),
        "vae.recon_closed_form",
        "squared error",
    ),
    "target and recon exchanged": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(target, recon, reduction='sum') / batch_size"),
        "vae.recon_closed_form",
        "each other's place",
    ),
    "half of the cross entropy": (
        VAE_TRAINER,
        recon("-(target * torch.log(recon + 1e-8)).sum() / batch_size"),
        "vae.recon_closed_form",
        "(1 − x) log(1 − x') is left out",
    ),
    "a Sigmoid too many": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy_with_logits(recon, target, reduction='sum') / batch_size"),
        "vae.recon_closed_form",
        "Sigmoid once more",
    ),
    "no guard": (
        VAE_TRAINER,
        recon("-(target * recon.log() + (1 - target) * (1 - recon).log()).sum() / batch_size"),
        "vae.recon_finite",
        "nan",
    ),
    "a guard of 1e-4": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon.clamp(1e-4, 1 - 1e-4), target, reduction='sum') / batch_size"),
        "vae.recon_finite",
        "guard",
    ),
    "recon is detached": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon.detach(), target, reduction='sum') / batch_size"),
        "vae.recon_gradients",
        "no graph",
    ),
    "one loss": (
        VAE_TRAINER,
        [swap("return recon_loss, kl_loss", "return recon_loss + kl_loss")],
        "vae.losses_are_scalars",
        "should return 2 things",
    ),
    "KL counts a tenth in train": (
        VAE_TRAINER,
        [swap("loss = recon_loss + kl_loss", "loss = recon_loss + 0.1 * kl_loss")],
        "vae.training_step",
        "kl_loss counts 0.1 times",
    ),
    "no step of the optimizer": (
        VAE_TRAINER,
        [swap("            self.optimizer.step()\n", "")],
        "vae.training_step",
        "0 steps",
    ),
    "another optimizer": (
        VAE_TRAINER,
        [
            swap(
                "torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)",
                "torch.optim.SGD(model.parameters(), lr=learning_rate)",
            )
        ],
        "vae.training_step",
        "what Adam's step changes",
    ),
    # files that can't be used, and processes that end
    "a class under another name": (
        VAE_MODEL,
        [swap("class VAE(", "class Vae(")],
        "vae.z_distribution",
        "VAE/model.py has no class VAE (it has Vae)",
    ),
    "a syntax error": (
        VAE_TRAINER,
        [swap("        recon_loss = F", "        recon_loss = = F")],
        "vae.losses_are_scalars",
        "VAE/trainer.py:43 (block 1): your code stops with SyntaxError",
    ),
    "the process ends itself": (
        VAE_TRAINER,
        [swap("        batch_size = target", "        __import__('os')._exit(0)\n        batch_size = target")],
        "vae.losses_are_scalars",
        "it left no results",
    ),
    # GAN/model.py
    "the generator's first row has stride 2": (
        GAN_MODEL,
        [
            swap(
                "kernel_size=4, stride=1, padding=0, bias=False),\n            nn.B",
                "kernel_size=4, stride=2),\n            nn.B",
            )
        ],
        "gan.gen_1",
        "stride 1; yours has stride 2",
    ),
    "the generator's second row is narrow": (
        GAN_MODEL,
        [
            swap("nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim", "nn.ConvTranspose2d(4 * hidden_dim, hidden_dim"),
            swap("nn.BatchNorm2d(2 * hidden_dim)", "nn.BatchNorm2d(hidden_dim)"),
            swap("nn.ConvTranspose2d(2 * hidden_dim, hidden_dim", "nn.ConvTranspose2d(hidden_dim, hidden_dim"),
        ],
        "gan.gen_2",
        "32 channels out; yours has 16",
    ),
    "the generator's second row has no padding": (
        GAN_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim, kernel_size=4, stride=2, padding=1, bias=False)",
                "nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim, 4, 2)",
            )
        ],
        "gan.gen_2",
        "padding 1; yours has padding 0",
    ),
    "the generator's third row has an output padding": (
        GAN_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(2 * hidden_dim, hidden_dim, kernel_size=4, stride=2, padding=1, bias=False)",
                "nn.ConvTranspose2d(2 * hidden_dim, hidden_dim, 4, 2, 1, 1)",
            )
        ],
        "gan.gen_3",
        "output padding 0; yours has output padding 1",
    ),
    "no batch normalisation": (
        GAN_MODEL,
        [swap("            nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU(),", "            nn.ReLU(),")],
        "gan.gen_2",
        "there is ReLU",
    ),
    "no ReLU": (
        GAN_MODEL,
        [
            swap(
                "            nn.BatchNorm2d(hidden_dim),\n            nn.ReLU(),",
                "            nn.BatchNorm2d(hidden_dim),",
            )
        ],
        "gan.gen_3",
        "there is BN",
    ),
    "LeakyReLU": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(4 * hidden_dim),\n            nn.ReLU()",
                "nn.BatchNorm2d(4 * hidden_dim),\n            nn.LeakyReLU(0.2)",
            )
        ],
        "gan.gen_1",
        "BN + LeakyReLU(0.2)",
    ),
    "ReLU before batch normalisation": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(4 * hidden_dim),\n            nn.ReLU()",
                "nn.ReLU(),\n            nn.BatchNorm2d(4 * hidden_dim)",
            )
        ],
        "gan.gen_1",
        "ReLU + BN",
    ),
    "no Tanh": (GAN_MODEL, [swap("            nn.Tanh(),\n", "")], "gan.output_range", "there is no activation"),
    "two Tanhs": (
        GAN_MODEL,
        [swap("nn.Tanh()", "nn.Tanh(),\n            nn.Tanh()")],
        "gan.output_range",
        "there is Tanh twice",
    ),
    "Sigmoid for the Tanh": (GAN_MODEL, [swap("nn.Tanh()", "nn.Sigmoid()")], "gan.output_range", "there is Sigmoid"),
    "batch normalisation before the Tanh": (
        GAN_MODEL,
        [swap("nn.Tanh()", "nn.BatchNorm2d(num_channels),\n            nn.Tanh()")],
        "gan.output_range",
        "BN + Tanh",
    ),
    "images in [0, 1]": (
        GAN_MODEL,
        [swap("return self.decoder(z)", "return (self.decoder(z) + 1) / 2")],
        "gan.output_range",
        "(Tanh + 1) / 2",
    ),
    "batch normalisation with eps 0.8": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU",
                "nn.BatchNorm2d(2 * hidden_dim, 0.8),\n            nn.ReLU",
            )
        ],
        "gan.batch_norm",
        "eps 0.8",
    ),
    "batch normalisation that learns nothing": (
        GAN_MODEL,
        [
            swap("nn.BatchNorm2d(hidden_dim)", "nn.BatchNorm2d(hidden_dim, affine=False)"),
            swap("isinstance(module, nn.BatchNorm2d)", "isinstance(module, nn.BatchNorm2d) and module.affine"),
        ],
        "gan.batch_norm",
        "learns False",
    ),
    "batch normalisation that can't be initialised": (
        GAN_MODEL,
        [swap("nn.BatchNorm2d(hidden_dim)", "nn.BatchNorm2d(hidden_dim, affine=False)")],
        "gan.batch_norm",
        "no weights that the given weights_init could set",
    ),
    "batch normalisation without statistics": (
        GAN_MODEL,
        [swap("nn.BatchNorm2d(hidden_dim)", "nn.BatchNorm2d(hidden_dim, track_running_stats=False)")],
        "gan.batch_norm",
        "keeps statistics False",
    ),
    "the generator in evaluation mode": (
        GAN_MODEL,
        [swap("return self.decoder(z)", "return self.eval().decoder(z)")],
        "gan.train_numbers",
        "in training mode",
    ),
    "the generator in training mode": (
        GAN_MODEL,
        [swap("return self.decoder(z)", "return self.train().decoder(z)")],
        "gan.eval_numbers",
        "in evaluation mode the images are those of training mode",
    ),
    "batch normalisation with another momentum": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU",
                "nn.BatchNorm2d(2 * hidden_dim, momentum=0.9),\n            nn.ReLU",
            )
        ],
        "gan.batch_norm",
        "momentum 0.9",
    ),
    "the generator's latent_dim is hard-coded": (
        GAN_MODEL,
        [swap("nn.ConvTranspose2d(latent_dim", "nn.ConvTranspose2d(100")],
        "gan.sizes",
        "latent_dim is written",
    ),
    "hidden_dim is hard-coded": (
        GAN_MODEL,
        [
            swap("4 * hidden_dim", "64"),
            swap("2 * hidden_dim", "32"),
            swap("nn.ConvTranspose2d(32, hidden_dim", "nn.ConvTranspose2d(32, 16"),
            swap("BatchNorm2d(hidden_dim)", "BatchNorm2d(16)"),
            swap("nn.ConvTranspose2d(hidden_dim, num", "nn.ConvTranspose2d(16, num"),
        ],
        "gan.sizes",
        "hidden_dim is written",
    ),
    "dropout in the generator": (
        GAN_MODEL,
        [
            swap(
                "nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU(),",
                "nn.BatchNorm2d(2 * hidden_dim),\n            nn.ReLU(),\n            nn.Dropout(0.3),",
            )
        ],
        "gan.gen_2",
        "dropout",
    ),
    "noise drawn inside the generator": (
        GAN_MODEL,
        [
            swap("from torch import nn", "import torch\nfrom torch import nn"),
            swap("self.decoder(z)", "self.decoder(torch.randn_like(z))"),
        ],
        "gan.train_numbers",
        "what the first layer takes, against z,",
    ),
    "noise added to z": (
        GAN_MODEL,
        [
            swap("from torch import nn", "import torch\nfrom torch import nn"),
            swap("self.decoder(z)", "self.decoder(z + 0.1 * torch.randn_like(z))"),
        ],
        "gan.train_numbers",
        "z after an addition of noise",
    ),
    "z has a length of 1": (
        GAN_MODEL,
        [swap("self.decoder(z)", "self.decoder(F.normalize(z, dim=1))")],
        "gan.train_numbers",
        "a scaling of each instance",
    ),
    "an instance normalisation": (
        GAN_MODEL,
        [swap("nn.BatchNorm2d(2 * hidden_dim)", "nn.InstanceNorm2d(2 * hidden_dim)")],
        "gan.gen_2",
        "there is something else",
    ),
    "the generator ignores z": (
        GAN_MODEL,
        [swap("self.decoder(z)", "self.decoder(0 * z + 1)")],
        "gan.train_numbers",
        "takes the same whatever z is",
    ),
    "z halved": (
        GAN_MODEL,
        [swap("self.decoder(z)", "self.decoder(z / 2)")],
        "gan.train_numbers",
        "z after a multiplication by 0.5",
    ),
    "upsampling and a convolution": (
        GAN_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(2 * hidden_dim, hidden_dim, kernel_size=4, stride=2, padding=1, bias=False)",
                "nn.Upsample(scale_factor=2),\n            nn.Conv2d(2 * hidden_dim, hidden_dim, 3, 1, 1)",
            )
        ],
        "gan.gen_3",
        "asks for a transposed convolution; yours is a convolution",
    ),
    "a spectral norm in the generator": (
        GAN_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim, kernel_size=4, stride=2, padding=1, bias=False)",
                "nn.utils.spectral_norm(nn.ConvTranspose2d(4 * hidden_dim, 2 * hidden_dim, 4, 2, 1))",
            )
        ],
        "gan.train_numbers",
        "weights of its own",
    ),
    "a row is missing": (
        GAN_MODEL,
        [
            swap(
                "            nn.ConvTranspose2d(2 * hidden_dim, hidden_dim, kernel_size=4, stride=2, padding=1, "
                "bias=False),\n            nn.BatchNorm2d(hidden_dim),\n            nn.ReLU(),\n",
                "",
            ),
            swap("nn.ConvTranspose2d(hidden_dim, num_channels", "nn.ConvTranspose2d(2 * hidden_dim, num_channels"),
        ],
        "gan.gen_3",
        "Row 3 asks for 16 channels out",
    ),
    "no batch normalisation at all": (
        GAN_MODEL,
        [
            swap("            nn.BatchNorm2d(4 * hidden_dim),\n", ""),
            swap("            nn.BatchNorm2d(2 * hidden_dim),\n", ""),
            swap("            nn.BatchNorm2d(hidden_dim),\n", ""),
        ],
        "gan.gen_1",
        "there is ReLU",
    ),
    "block 1 of the generator is not filled in": (
        GAN_MODEL,
        [unfill(GAN_MODEL, 1)],
        "gan.gen_1",
        "block 1 of GAN/model.py is not filled in yet",
    ),
    # GAN/trainer.py
    "the real half has the label of fakes": (
        GAN_TRAINER,
        [
            swap(
                "loss_D_real = BCE_criterion(D_real, torch.ones_like(D_real))",
                "loss_D_real = BCE_criterion(D_real, torch.zeros_like(D_real))",
            )
        ],
        "gan.d_real_half",
        "the real batch has the label of fakes",
    ),
    "the fake half has the label of real images": (
        GAN_TRAINER,
        [
            swap(
                "loss_D_fake = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
                "loss_D_fake = BCE_criterion(D_fake, torch.ones_like(D_fake))",
            )
        ],
        "gan.d_fake_half",
        "the fakes have the label of real images",
    ),
    "both labels of D are swapped": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real)", "torch.zeros_like(D_real)"),
            swap("s_like(D_fake))\n        loss_D", "s_like(D_fake) + 1)\n        loss_D"),
        ],
        "gan.d_real_half",
        "the real batch has the label of fakes",
    ),
    "a loss of D as a float": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real))", "torch.ones_like(D_real)).item()")],
        "gan.d_accumulates",
        "(block 1): your code stops with AttributeError",
    ),
    "gradients cleared between the halves": (
        GAN_TRAINER,
        [
            swap(
                "        D_fake = self._netD(fake_imgs.detach())",
                "        self._netD.zero_grad()\n        D_fake = self._netD(fake_imgs.detach())",
            )
        ],
        "gan.d_real_half",
        "the real half is not in D's gradient",
    ),
    "no backward pass of the fake half": (
        GAN_TRAINER,
        [swap("        loss_D_fake.backward()\n", "")],
        "gan.d_fake_half",
        "the fake half is not in D's gradient",
    ),
    "no backward pass for D": (
        GAN_TRAINER,
        [swap("        loss_D_fake.backward()\n", ""), swap("        loss_D_real.backward()\n", "")],
        "gan.d_real_half",
        "the real half is not in D's gradient",
    ),
    "D's losses averaged": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real))", "torch.ones_like(D_real)) / 2"),
            swap("torch.zeros_like(D_fake))", "torch.zeros_like(D_fake)) / 2"),
        ],
        "gan.d_accumulates",
        "averaged",
    ),
    "the real half counts twice": (
        GAN_TRAINER,
        [swap("loss_D_real.backward()", "(2 * loss_D_real).backward()")],
        "gan.d_accumulates",
        "the real half counts twice",
    ),
    "label smoothing": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "torch.full_like(D_real, 0.9)")],
        "gan.d_real_half",
        "the real batch has the label 0.9",
    ),
    "one batch of both": (
        GAN_TRAINER,
        [
            block(
                1,
                "both = self._netD(torch.cat([real_imgs, fake_imgs.detach()]))",
                "D_real, D_fake = both.chunk(2)",
                "loss_D_real = BCE_criterion(D_real, torch.ones_like(D_real))",
                "D_x = self._netD(real_imgs).mean()",
            ),
            block(
                2,
                "loss_D_fake = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
                "(loss_D_real + loss_D_fake).backward()",
                "D_G_z1 = self._netD(fake_imgs).mean()",
            ),
        ],
        "gan.d_accumulates",
        "one batch",
    ),
    "D's gradients are not cleared": (
        GAN_TRAINER,
        [swap("        self._netD.zero_grad()\n\n", "\n")],
        "gan.d_accumulates",
        "earlier step",
    ),
    "D updated twice": (
        GAN_TRAINER,
        [
            swap(
                "        D_x = D_real.detach().mean()",
                "        self._optimD.step()\n        D_x = D_real.detach().mean()",
            )
        ],
        "gan.one_step_each",
        "D is updated 2 times",
    ),
    "D in evaluation mode": (
        GAN_TRAINER,
        [swap("        D_real = ", "        self._netD.eval()\n        D_real = ")],
        "gan.d_accumulates",
        "in evaluation mode",
    ),
    "summed losses": (
        GAN_TRAINER,
        [
            swap(
                "        self._netD.zero_grad()\n\n",
                "        self._netD.zero_grad()\n        BCE_criterion = nn.BCELoss(reduction='sum')\n\n",
            )
        ],
        "gan.d_accumulates",
        "summed over the batch",
    ),
    "fakes not detached in block 2": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs)")],
        "gan.one_step_each",
        "detached from G",
    ),
    "block 2's judgement in block 3": (
        GAN_TRAINER,
        [
            block(
                3,
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G.backward()",
                "D_G_z2 = D_fake.mean()",
            )
        ],
        "gan.one_step_each",
        "judge",
    ),
    "G updated twice": (
        GAN_TRAINER,
        [swap("        D_G_z2 = ", "        self._optimG.step()\n        D_G_z2 = ")],
        "gan.one_step_each",
        "G is updated 2 times",
    ),
    "D left in evaluation mode": (
        GAN_TRAINER,
        [swap("        self._optimG.step()\n", "        self._optimG.step()\n        self._netD.eval()\n")],
        "gan.one_step_each",
        "leaves D in evaluation mode",
    ),
    "G left in evaluation mode": (
        GAN_TRAINER,
        [swap("        D_G_z2 = ", "        self._netG.eval()\n        D_G_z2 = ")],
        "gan.one_step_each",
        "leaves G in evaluation mode",
    ),
    "a leak into G": (
        GAN_TRAINER,
        [
            swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs)"),
            swap("loss_D_fake.backward()", "loss_D_fake.backward(retain_graph=True)"),
            swap("        self._netG.zero_grad()\n", ""),
            swap(
                "        self._netD.zero_grad()\n", "        self._netD.zero_grad()\n        self._netG.zero_grad()\n"
            ),
        ],
        "gan.no_leak",
        "detach the fakes",
    ),
    "G's gradients are not cleared": (
        GAN_TRAINER,
        [swap("        self._netG.zero_grad()\n", "")],
        "gan.no_leak",
        "earlier step",
    ),
    "fakes detached in block 3": (
        GAN_TRAINER,
        [
            swap("D_fake = self._netD(fake_imgs)\n", "D_fake = self._netD(fake_imgs.detach())\n"),
            swap("backward(inputs=list(self._netG.parameters()))", "backward()"),
        ],
        "gan.g_gradient",
        "no gradient reaches G",
    ),
    "saturating loss": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = -BCE_criterion(D_fake, torch.zeros_like(D_fake))",
            )
        ],
        "gan.g_gradient",
        "saturating",
    ),
    "D in evaluation mode for G": (
        GAN_TRAINER,
        [
            swap(
                "        D_fake = self._netD(fake_imgs)\n",
                "        self._netD.eval()\n        D_fake = self._netD(fake_imgs)\n",
            ),
            swap("        self._optimG.step()\n", "        self._optimG.step()\n        self._netD.train()\n"),
        ],
        "gan.g_gradient",
        "D judges in evaluation mode",
    ),
    "G learns to be found out": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, torch.zeros_like(D_fake))",
            )
        ],
        "gan.g_gradient",
        "found out",
    ),
    "no backward pass for G": (
        GAN_TRAINER,
        [swap("loss_G.backward(inputs=list(self._netG.parameters()))", "pass")],
        "gan.g_gradient",
        "no gradient reaches G",
    ),
    "G's loss doubled": (
        GAN_TRAINER,
        [swap("loss_G.backward(", "(2 * loss_G).backward(")],
        "gan.g_gradient",
        "counts twice",
    ),
    "D with another optimizer": (
        GAN_TRAINER,
        [
            swap(
                "self._optimD = torch.optim.Adam(netD.parameters(), **settings)",
                "self._optimD = torch.optim.SGD(netD.parameters(), lr=learning_rate)",
            )
        ],
        "gan.d_update",
        "what the update changes in D",
    ),
    "G at half the learning rate": (
        GAN_TRAINER,
        [
            swap(
                "self._optimG = torch.optim.Adam(netG.parameters(), **settings)",
                "self._optimG = torch.optim.Adam(netG.parameters(), **{**settings, 'lr': learning_rate / 2})",
            )
        ],
        "gan.g_update",
        "0.5 times the learning rate",
    ),
    "only one loss of D": (
        GAN_TRAINER,
        [swap("return loss_D_real + loss_D_fake,", "return loss_D_real,")],
        "gan.loss_D",
        "of the real half only",
    ),
    "loss of G summed": (
        GAN_TRAINER,
        [
            swap(
                "        return loss_D_real + loss_D_fake, loss_G,",
                "        return loss_D_real + loss_D_fake, loss_G * len(real_imgs),",
            )
        ],
        "gan.loss_G",
        "summed over the batch",
    ),
    "D_x summed": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach().sum()")],
        "gan.D_x",
        "summed over the batch",
    ),
    "D_x for every image": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach()")],
        "gan.D_x",
        "D_x should be one number",
    ),
    "D_x of the fakes": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = self._netD(fake_imgs.detach()).mean()")],
        "gan.D_x",
        "of the fakes",
    ),
    "D_x from after": (
        GAN_TRAINER,
        [swap("        D_G_z2 = ", "        D_x = self._netD(real_imgs).mean()\n        D_G_z2 = ")],
        "gan.D_x",
        "after D's update",
    ),
    "D_G_z1 from after": (
        GAN_TRAINER,
        [
            swap(
                "return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2",
                "return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z2, D_G_z2",
            )
        ],
        "gan.D_G_z1",
        "after D's update",
    ),
    "D_G_z2 from before": (
        GAN_TRAINER,
        [swap("D_G_z2 = D_fake.detach().mean()", "D_G_z2 = D_G_z1")],
        "gan.D_G_z2",
        "before D's update",
    ),
    "D_x is forgotten": (
        GAN_TRAINER,
        [swap("        D_x = D_real.detach().mean()\n", "")],
        "gan.one_step_each",
        "block 1 of GAN/trainer.py does not set D_x",
    ),
    "block 3 is not filled in": (
        GAN_TRAINER,
        [unfill(GAN_TRAINER, 3)],
        "gan.one_step_each",
        "block 3 of GAN/trainer.py is not filled in yet",
    ),
    "block 2 is not filled in": (
        GAN_TRAINER,
        [unfill(GAN_TRAINER, 2)],
        "gan.d_accumulates",
        "block 2 of GAN/trainer.py is not filled in yet",
    ),
    # GAN/trainer.py, from step to step
    "D frozen for G's half and never freed": (
        GAN_TRAINER,
        [
            before(3, "for w in self._netD.parameters():\n    w.requires_grad_(False)"),
            swap(G_BACKWARD, "loss_G.backward()"),
        ],
        "gan.one_step_each",
        "frozen",
    ),
    "G updated every fifth call": (
        GAN_TRAINER,
        [before(3, COUNT), swap(f"        {G_BACKWARD}", f"        if self.calls % 5 == 0:\n            {G_BACKWARD}")],
        "gan.g_gradient",
        "from the second step on: no gradient reaches G",
    ),
    "G updated every second call": (
        GAN_TRAINER,
        [before(3, COUNT), swap(f"        {G_BACKWARD}", f"        if self.calls % 2 == 0:\n            {G_BACKWARD}")],
        "gan.g_gradient",
        "in the second and fourth step",
    ),
    "G updated every third call": (
        GAN_TRAINER,
        [before(3, COUNT), swap(f"        {G_BACKWARD}", f"        if self.calls % 3 == 0:\n            {G_BACKWARD}")],
        "gan.g_gradient",
        "in the second and third step",
    ),
    "D learns from real images only every second call": (
        GAN_TRAINER,
        [
            before(1, COUNT),
            swap(
                "        loss_D_real.backward()", "        if self.calls % 2 == 0:\n            loss_D_real.backward()"
            ),
        ],
        "gan.d_real_half",
        "in the second and fourth step",
    ),
    "D skipped where D_x is high": (
        GAN_TRAINER,
        [swap("        loss_D_real.backward()", "        if D_real.mean() < 0.8:\n            loss_D_real.backward()")],
        "gan.d_real_half",
        "in the second step of 4 (with 5 images, D(x) 0.9",
    ),
    "D skipped where D_x is low": (
        GAN_TRAINER,
        [swap("        loss_D_real.backward()", "        if D_real.mean() > 0.3:\n            loss_D_real.backward()")],
        "gan.d_real_half",
        "in the third step of 4",
    ),
    "D's fake half skipped where it knows the fakes": (
        GAN_TRAINER,
        [swap("        loss_D_fake.backward()", "        if D_fake.mean() > 0.2:\n            loss_D_fake.backward()")],
        "gan.d_fake_half",
        "in the second step",
    ),
    "G skipped where its loss is low": (
        GAN_TRAINER,
        [swap(f"        {G_BACKWARD}", f"        if loss_G > 0.5:\n            {G_BACKWARD}")],
        "gan.g_gradient",
        "in the third step",
    ),
    "D's learning rate decays in the step": (
        GAN_TRAINER,
        [behind(3, "for g in self._optimD.param_groups:\n    g['lr'] *= 0.999")],
        "gan.d_update",
        "from the second step on: D is updated with 0.999 times",
    ),
    "G's learning rate decays in the step": (
        GAN_TRAINER,
        [behind(1, "self._optimG.param_groups[0]['lr'] *= 0.9999")],
        "gan.g_update",
        "0.9999 times",
    ),
    "a scheduler inside the step": (
        GAN_TRAINER,
        [
            behind(
                3,
                "from torch.optim.lr_scheduler import ExponentialLR\n"
                "self.schedule = getattr(self, 'schedule', None) or ExponentialLR(self._optimD, 0.99)\n"
                "self.schedule.step()",
            )
        ],
        "gan.d_update",
        "from the second step on: D is updated with 0.99 times",
    ),
    "betas changed in the step": (
        GAN_TRAINER,
        [before(1, "self._optimD.param_groups[0]['betas'] = (0.9, 0.999)")],
        "gan.d_update",
        "betas 0.9 and 0.999",
    ),
    "labels cached on the Trainer": (
        GAN_TRAINER,
        [
            before(1, "if not hasattr(self, 'ones'):\n    self.ones = torch.ones(len(real_imgs))"),
            swap("BCE_criterion(D_real, torch.ones_like(D_real))", "BCE_criterion(D_real, self.ones)"),
        ],
        "gan.any_batch",
        "a step of 3 images stops",
    ),
    "labels cached in a global": (
        GAN_TRAINER,
        [
            swap("NUM_SHOWN = 32", "LABELS = {}\nNUM_SHOWN = 32"),
            swap(
                "BCE_criterion(D_real, torch.ones_like(D_real))",
                "BCE_criterion(D_real, LABELS.setdefault('real', torch.ones_like(D_real)))",
            ),
        ],
        "gan.any_batch",
        "labels",
    ),
    "labels cached on the class": (
        GAN_TRAINER,
        [
            before(3, "Trainer.ones = getattr(Trainer, 'ones', torch.ones(len(fake_imgs)))"),
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, Trainer.ones)",
            ),
        ],
        "gan.any_batch",
        "labels",
    ),
    "labels cached in a default argument": (
        GAN_TRAINER,
        [
            swap(
                "    def train_step(self, real_imgs, fake_imgs, BCE_criterion):",
                "    def train_step(self, real_imgs, fake_imgs, BCE_criterion, cache={}):",
            ),
            swap(
                "BCE_criterion(D_real, torch.ones_like(D_real))",
                "BCE_criterion(D_real, cache.setdefault('ones', torch.ones(len(real_imgs))))",
            ),
        ],
        "gan.any_batch",
        "a step of 3 images",
    ),
    "labels of a fixed batch": (
        GAN_TRAINER,
        [swap("BCE_criterion(D_real, torch.ones_like(D_real))", "BCE_criterion(D_real, torch.ones(64))")],
        "gan.any_batch",
        "a step of 5 images stops, and one of 64 doesn't",
    ),
    "squeeze that breaks a batch of one": (
        GAN_TRAINER,
        [
            swap("D_real = self._netD(real_imgs)\n", "D_real = self._netD(real_imgs).squeeze()\n"),
            swap("BCE_criterion(D_real, torch.ones_like(D_real))", "BCE_criterion(D_real, torch.ones(len(real_imgs)))"),
        ],
        "gan.any_batch",
        "a step of a single image stops",
    ),
    "D's weights clipped in block 2": (
        GAN_TRAINER,
        [behind(2, "for w in self._netD.parameters():\n    w.data.clamp_(-0.01, 0.01)")],
        "gan.d_update",
        "cut to [-0.01, 0.01] before its update",
    ),
    "D's weights clipped in block 1": (
        GAN_TRAINER,
        [behind(1, "for w in self._netD.parameters():\n    w.data.clamp_(-0.1, 0.1)")],
        "gan.d_update",
        "cut to [-0.1, 0.1] before its update",
    ),
    "D's weights clipped in block 3": (
        GAN_TRAINER,
        [before(3, "for w in self._netD.parameters():\n    w.data.clamp_(-0.1, 0.1)")],
        "gan.d_update",
        "cut to [-0.1, 0.1] after its update",
    ),
    "D initialised anew in block 2": (
        GAN_TRAINER,
        [
            swap("from dataset import VALUE_RANGE", "from dataset import VALUE_RANGE\nfrom model import weights_init"),
            behind(2, "for w in self._netD.parameters():\n    nn.init.normal_(w, 0, 0.02)"),
        ],
        "gan.d_update",
        "set anew before its update",
    ),
    "G initialised anew in block 3": (
        GAN_TRAINER,
        [behind(3, "with torch.no_grad():\n    for w in self._netG.parameters():\n        w.normal_(0, 0.02)")],
        "gan.g_update",
        "set anew before its update",
    ),
    "more updates of D": (
        GAN_TRAINER,
        [behind(2, "for _ in range(4):\n    self._optimD.step()")],
        "gan.one_step_each",
        "D is updated 5 times",
    ),
    "fresh fakes in block 2": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", f"self._netD(self._netG({FRESH_NOISE}).detach())")],
        "gan.d_accumulates",
        "other images than the step was given",
    ),
    "fresh fakes in block 3": (
        GAN_TRAINER,
        [swap("D_fake = self._netD(fake_imgs)\n", f"D_fake = self._netD(self._netG({FRESH_NOISE}))\n")],
        "gan.g_gradient",
        "other images than the step was given",
    ),
    "fresh fakes for both": (
        GAN_TRAINER,
        [before(1, f"fake_imgs = self._netG({FRESH_NOISE})")],
        "gan.d_accumulates",
        "other images than the step was given",
    ),
    "D_G_z1 of fresh noise": (
        GAN_TRAINER,
        [swap("D_G_z1 = D_fake.detach().mean()", f"D_G_z1 = self._netD(self._netG({FRESH_NOISE})).mean()")],
        "gan.D_G_z1",
        "other images than the step was given",
    ),
    "D_G_z2 of fresh noise": (
        GAN_TRAINER,
        [swap("D_G_z2 = D_fake.detach().mean()", f"D_G_z2 = self._netD(self._netG({FRESH_NOISE})).mean()")],
        "gan.D_G_z2",
        "other images than the step was given",
    ),
    "D_x of noise": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = self._netD(torch.rand_like(real_imgs)).mean()")],
        "gan.D_x",
        "other images than the step was given",
    ),
    "D's losses divided by the batch once more": (
        GAN_TRAINER,
        [behind(2, "for w in self._netD.parameters():\n    w.grad /= len(real_imgs)")],
        "gan.d_accumulates",
        "once more",
    ),
    "loss_D_real divided by the batch": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real))\n", "torch.ones_like(D_real)) / len(real_imgs)\n")],
        "gan.d_accumulates",
        "the real half counts 1/5 times",
    ),
    "G's loss divided by the batch": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake)) / len(D_fake)",
            )
        ],
        "gan.g_gradient",
        "once more",
    ),
    "G's loss divided by 64": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake)) / 64",
            )
        ],
        "gan.g_gradient",
        "0.0156 times",
    ),
    "loss_D_fake times the batch": (
        GAN_TRAINER,
        [swap("torch.zeros_like(D_fake))\n", "torch.zeros_like(D_fake)) * len(D_fake)\n")],
        "gan.d_accumulates",
        "the fake half counts 5 times",
    ),
    "BCE on logits for the real half": (
        GAN_TRAINER,
        [
            swap(
                "BCE_criterion(D_real, torch.ones_like(D_real))",
                "nn.BCEWithLogitsLoss()(D_real, torch.ones_like(D_real))",
            )
        ],
        "gan.d_real_half",
        "for logits",
    ),
    "BCE on logits for the fake half": (
        GAN_TRAINER,
        [
            swap(
                "BCE_criterion(D_fake, torch.zeros_like(D_fake))",
                "nn.BCEWithLogitsLoss()(D_fake, torch.zeros_like(D_fake))",
            )
        ],
        "gan.d_fake_half",
        "for logits",
    ),
    "BCE on logits for G": (
        GAN_TRAINER,
        [swap("loss_G = BCE_criterion(", "loss_G = nn.functional.binary_cross_entropy_with_logits(")],
        "gan.g_gradient",
        "for logits",
    ),
    "BCE's arguments exchanged in block 1": (
        GAN_TRAINER,
        [swap("BCE_criterion(D_real, torch.ones_like(D_real))", "BCE_criterion(torch.ones_like(D_real), D_real)")],
        "gan.d_real_half",
        "exchanged",
    ),
    "BCE's arguments exchanged in block 2": (
        GAN_TRAINER,
        [swap("BCE_criterion(D_fake, torch.zeros_like(D_fake))", "BCE_criterion(torch.zeros_like(D_fake), D_fake)")],
        "gan.d_fake_half",
        "exchanged",
    ),
    "BCE's arguments exchanged in block 3": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(torch.ones_like(D_fake), D_fake)",
            )
        ],
        "gan.g_gradient",
        "exchanged",
    ),
    "fakes with the label 0.1": (
        GAN_TRAINER,
        [swap("torch.zeros_like(D_fake)", "torch.full_like(D_fake, 0.1)")],
        "gan.d_fake_half",
        "the fakes have the label 0.1",
    ),
    "smoothing for G": (
        GAN_TRAINER,
        [
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = BCE_criterion(D_fake, torch.full_like(D_fake, 0.9))",
            )
        ],
        "gan.g_gradient",
        "the fakes have the label 0.9",
    ),
    "noisy labels": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "torch.empty_like(D_real).uniform_(0.7, 1.2).clamp(max=1)")],
        "gan.d_real_half",
        "labels from 0.",
    ),
    "labels flipped now and then": (
        GAN_TRAINER,
        [swap("torch.ones_like(D_real)", "(torch.arange(len(D_real)) % 3 > 0).float()")],
        "gan.d_real_half",
        "labels from",
    ),
    "noise added to the real images": (
        GAN_TRAINER,
        [swap("self._netD(real_imgs)\n", "self._netD(real_imgs + 0.1 * torch.randn_like(real_imgs))\n")],
        "gan.d_accumulates",
        "noise is added to the real images",
    ),
    "noise added to the fakes": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs)\n", "self._netD(fake_imgs + 0.1 * torch.randn_like(fake_imgs))\n")],
        "gan.g_gradient",
        "noise is added to the fakes",
    ),
    "real images in [0, 1]": (
        GAN_TRAINER,
        [swap("self._netD(real_imgs)\n", "self._netD((real_imgs + 1) / 2)\n")],
        "gan.d_accumulates",
        "the real images are brought into another range",
    ),
    "tanh of the fakes": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", "self._netD(torch.tanh(fake_imgs.detach()))")],
        "gan.d_accumulates",
        "another tanh",
    ),
    "tanh of the fakes for G": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs)\n", "self._netD(torch.tanh(fake_imgs))\n")],
        "gan.g_gradient",
        "another tanh",
    ),
    "D's gradient clipped by its length": (
        GAN_TRAINER,
        [behind(2, "nn.utils.clip_grad_norm_(self._netD.parameters(), 0.1)")],
        "gan.d_accumulates",
        "cut to a length of 0.1",
    ),
    "G's gradient clipped by its length": (
        GAN_TRAINER,
        [behind(3, "nn.utils.clip_grad_norm_(self._netG.parameters(), 0.1)")],
        "gan.g_gradient",
        "cut to a length of 0.1",
    ),
    "D's gradient clipped by its numbers": (
        GAN_TRAINER,
        [behind(2, "nn.utils.clip_grad_value_(self._netD.parameters(), 0.001)")],
        "gan.d_accumulates",
        "cut to [-0.001, 0.001]",
    ),
    "G's gradient clipped by its numbers": (
        GAN_TRAINER,
        [behind(3, "nn.utils.clip_grad_value_(self._netG.parameters(), 0.001)")],
        "gan.g_gradient",
        "cut to [-0.001, 0.001]",
    ),
    "the optimizers exchanged": (
        GAN_TRAINER,
        [
            swap(
                "self._optimG = torch.optim.Adam(netG.parameters(), **settings)",
                "self._optimG = torch.optim.Adam(netD.parameters(), **settings)",
            ),
            swap(
                "self._optimD = torch.optim.Adam(netD.parameters(), **settings)",
                "self._optimD = torch.optim.Adam(netG.parameters(), **settings)",
            ),
        ],
        "gan.one_step_each",
        "exchanged",
    ),
    "G's optimizer steps in block 2": (
        GAN_TRAINER,
        [behind(2, "self._optimG.step()")],
        "gan.one_step_each",
        "G is updated 2 times",
    ),
    "D is never updated": (
        GAN_TRAINER,
        [swap("        self._optimD.step()\n", "")],
        "gan.one_step_each",
        "D is never updated",
    ),
    "G is never updated": (
        GAN_TRAINER,
        [swap("        self._optimG.step()\n", "")],
        "gan.one_step_each",
        "G is never updated",
    ),
    "a hinge loss for the real half": (
        GAN_TRAINER,
        [swap("BCE_criterion(D_real, torch.ones_like(D_real))", "(1 - D_real).clamp(min=0).mean()")],
        "gan.d_real_half",
        "as of a Wasserstein GAN",
    ),
    "a block left pass": (GAN_TRAINER, [block(3, "pass")], "gan.one_step_each", "loss_G"),
    "block 1 left pass": (GAN_TRAINER, [block(1, "pass")], "gan.one_step_each", "loss_D_real"),
    "D_x as a list": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = [float(D_real.mean())]")],
        "gan.D_x",
        "of type list",
    ),
    "D_x as a string": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = f'{D_real.mean():.3f}'")],
        "gan.D_x",
        "of type str",
    ),
    "D_G_z1 as None": (
        GAN_TRAINER,
        [swap("D_G_z1 = D_fake.detach().mean()", "D_G_z1 = None")],
        "gan.D_G_z1",
        "of type NoneType",
    ),
    "four values": (
        GAN_TRAINER,
        [
            swap(
                "return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2",
                "return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1",
            )
        ],
        "gan.loss_D",
        "should return 5 things",
    ),
    "nothing returned": (
        GAN_TRAINER,
        [swap("        return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2\n", "")],
        "gan.loss_D",
        "a `return` is missing",
    ),
    "D's judgements clamped": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs.detach()).clamp(0.1, 0.9)")],
        "gan.d_fake_half",
        "cut to a smaller range",
    ),
    "D's judgements clamped for G": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs)\n", "self._netD(fake_imgs).clamp(0.1, 0.9)\n")],
        "gan.g_gradient",
        "cut to a smaller range",
    ),
    "a least-squares GAN's D": (
        GAN_TRAINER,
        [swap("BCE_criterion(D_real, torch.ones_like(D_real))", "((D_real - 1) ** 2).mean()")],
        "gan.d_real_half",
        "mean of squares",
    ),
    "a Wasserstein GAN's G": (
        GAN_TRAINER,
        [swap("loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))", "loss_G = -D_fake.mean()")],
        "gan.g_gradient",
        "Wasserstein",
    ),
    "D_x over the batch twice": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach().mean() / len(D_real)")],
        "gan.D_x",
        "D_x is",
    ),
    "D_x is the median": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach().median()")],
        "gan.D_x",
        "D_x is",
    ),
    "D_x of the first image": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = D_real.detach()[0]")],
        "gan.D_x",
        "D_x is",
    ),
    "D_x as an accuracy": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "D_x = (D_real > 0.5).float().mean()")],
        "gan.D_x",
        "D_x is",
    ),
    "D's judgement from before its update": (
        GAN_TRAINER,
        [
            before(1, "D_now = self._netD(fake_imgs)"),
            swap("D_fake = self._netD(fake_imgs)\n        loss_G", "D_fake = D_now\n        loss_G"),
        ],
        "gan.g_gradient",
        "before its update",
    ),
    "both learning rates decay": (
        GAN_TRAINER,
        [behind(3, "for o in (self._optimG, self._optimD):\n    for g in o.param_groups:\n        g['lr'] *= 0.999")],
        "gan.d_update",
        "0.999 times",
    ),
    "D's gradient penalised": (
        GAN_TRAINER,
        [
            swap(
                "torch.ones_like(D_real))\n",
                "torch.ones_like(D_real)) + 0.01 * sum((w ** 2).sum() for w in self._netD.parameters())\n",
            )
        ],
        "gan.d_accumulates",
        "not made of",
    ),
    "zero_grad of D between": (
        GAN_TRAINER,
        [before(2, "self._optimD.zero_grad()")],
        "gan.d_real_half",
        "cleared between the halves",
    ),
    "loss_D of another batch": (
        GAN_TRAINER,
        [swap("return loss_D_real + loss_D_fake,", "return loss_D_real - loss_D_fake,")],
        "gan.loss_D",
        "loss_D is",
    ),
    "D_x of the first step": (
        GAN_TRAINER,
        [swap("D_x = D_real.detach().mean()", "self.first = D_x = getattr(self, 'first', D_real.detach().mean())")],
        "gan.D_x",
        "from the second step on",
    ),
    "BCE averaged over the first batch": (
        GAN_TRAINER,
        [
            before(1, "self.n = getattr(self, 'n', len(real_imgs))"),
            swap("BCE_criterion(D_real, torch.ones_like(D_real))", "-D_real.log().sum() / self.n"),
        ],
        "gan.d_accumulates",
        "in the third and fourth step",
    ),
    "D left frozen by a flag of the module": (
        GAN_TRAINER,
        [before(3, "self._netD.requires_grad_(False)"), swap(G_BACKWARD, "loss_G.backward()")],
        "gan.one_step_each",
        "frozen",
    ),
    "G frozen in block 1": (
        GAN_TRAINER,
        [before(1, "self._netG.requires_grad_(False)")],
        "gan.one_step_each",
        "switched off",
    ),
    "a graph kept from step to step": (
        GAN_TRAINER,
        [
            before(1, "self.total = getattr(self, 'total', 0)"),
            swap(
                "        loss_D_real.backward()\n",
                "        self.total = self.total + loss_D_real\n        self.total.backward()\n",
            ),
        ],
        "gan.one_step_each",
        "is kept together with its graph",
    ),
    # what is kept beside the layers
    "a buffer with room for images": (
        VAE_MODEL,
        [
            swap(
                "            nn.Sigmoid(),\n        )\n",
                '            nn.Sigmoid(),\n        )\n        self.register_buffer("kept", torch.zeros(500, 1024))\n',
            )
        ],
        "vae.state",
        "keep 51",
    ),
    "a generator with room for images": (
        GAN_MODEL,
        [
            swap(
                "            nn.Tanh(),\n        )\n",
                "            nn.Tanh(),\n        )\n        self.images = nn.Embedding(300, 1024)\n",
            )
        ],
        "gan.state",
        "keep 3",
    ),
}
MUTANTS |= WRONG_VAES

# One change of the text is two mistakes here, or one that shows in two places: what else fails.
ALSO = {
    "summed losses": {"gan.g_gradient"},
    "both labels of D are swapped": {"gan.d_fake_half"},
    "no backward pass for D": {"gan.d_fake_half"},
    "D in evaluation mode": {"gan.one_step_each"},
    "a block left pass": {"gan.g_gradient"},
    "block 1 left pass": {"gan.d_real_half"},
    "block 2's judgement in block 3": {"gan.D_G_z2"},
    "fresh fakes for both": {"gan.g_gradient"},
    "both learning rates decay": {"gan.g_update"},
    "no batch normalisation at all": {"gan.gen_2", "gan.gen_3"},
    **ALSO_IN_VAES,
}
