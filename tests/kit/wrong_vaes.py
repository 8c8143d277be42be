"""More wrong solutions of the VAE, one mistake each, whose feedback must name it (see wrong_solutions.py)."""

from changed_solutions import VAE_MODEL, VAE_TRAINER, Change, block, kl, recon, swap, z

ENCODED = "mu, log_sigma = self.encoder(x).chunk(2, dim=1)"
VIA_BLOCK_4 = "recon_x = self(z=self.reparameterize(mu, log_sigma))"
DECODED = "recon_x = self.decoder(self.reparameterize(mu, log_sigma))"
RETURNED = "return recon_x, mu, log_sigma"
TIED = "        self.decoder[6].weight = self.encoder[4].weight\n        # TODO END\n\n    def reparam"
STEP = "            self.optimizer.step()\n"

# name: file, how it is changed, the check that must fail, words that its message must hold
WRONG_VAES: dict[str, tuple[str, list[Change], str, str]] = {
    # the layers
    "Dec-4 has the weights of Enc-3": (
        VAE_MODEL,
        [swap("        # TODO END\n\n    def reparam", TIED)],
        "vae.no_other_layers",
        "Row Dec-4 has the weights of Row Enc-3",
    ),
    "dropout in the decoder": (
        VAE_MODEL,
        [
            swap(
                "nn.ConvTranspose2d(32, 32, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),",
                "nn.ConvTranspose2d(32, 32, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),\n"
                "            nn.Dropout(0.2),",
            )
        ],
        "vae.dec_4",
        "ReLU and dropout",
    ),
    "Dec-6's probabilities are clamped": (
        VAE_MODEL,
        [swap("nn.Sigmoid()", "nn.Sigmoid(),\n            nn.Hardtanh(0.01, 0.99)")],
        "vae.dec_6",
        "Sigmoid, and a clamp to [0.01, 0.99]",
    ),
    "Dec-6's probabilities are rounded": (
        VAE_MODEL,
        [
            block(
                3,
                "mu, log_sigma = self.encoder(x).chunk(2, dim=1)",
                "recon_x = self(z=self.reparameterize(mu, log_sigma))",
            ),
            swap("images = self.decoder(z)", "images = self.decoder(z).round()"),
        ],
        "vae.dec_6",
        "rounding to 0 or 1",
    ),
    "a reshape mixes the batch": (
        VAE_MODEL,
        [
            block(
                3,
                "mu, log_sigma = self.encoder(x).chunk(2, dim=1)",
                "recon_x = self(z=self.reparameterize(mu, log_sigma))",
            ),
            block(4, "h = self.decoder[:3](z).view(16, -1, 8, 8).transpose(0, 1)", "images = self.decoder[4:](h)"),
        ],
        "vae.dec_2",
        "mixes the instances of the batch",
    ),
    "Dec-1 is skipped": (
        VAE_MODEL,
        [
            block(
                3,
                "mu, log_sigma = self.encoder(x).chunk(2, dim=1)",
                "recon_x = self(z=self.reparameterize(mu, log_sigma))",
            ),
            block(4, "images = self.decoder[2:](z)"),
        ],
        "vae.dec_1",
        "forward does not run it",
    ),
    "x is stretched to [-1, 1]": (
        VAE_MODEL,
        [swap("self.encoder(x)", "self.encoder(2 * x - 1)")],
        "vae.enc_1",
        "Row Enc-1 takes 2 x -1",
    ),
    "x is rounded": (
        VAE_MODEL,
        [swap("self.encoder(x)", "self.encoder(x.round())")],
        "vae.enc_1",
        "rounded",
    ),
    # block 2
    "uniform noise on [-1, 1]": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * (2 * torch.rand_like(mu) - 1)"),
        "vae.z_distribution",
        "the noise is uniform, not normal",
    ),
    "Laplace's noise": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * torch.distributions.Laplace(0.0, 0.5**0.5).sample(mu.shape)"),
        "vae.z_distribution",
        "not normal",
    ),
    "two samples are averaged": (
        VAE_MODEL,
        z("z = mu + log_sigma.exp() * (torch.randn_like(mu) + torch.randn_like(mu)) / 2"),
        "vae.z_distribution",
        "the average of two samples",
    ),
    "noise of half its size": (
        VAE_MODEL,
        z("z = mu + 0.5 * log_sigma.exp() * torch.randn_like(mu)"),
        "vae.z_distribution",
        "the noise counts 0.5 times",
    ),
    "a softplus for the exponential": (
        VAE_MODEL,
        z("z = mu + nn.functional.softplus(log_sigma) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "softplus",
    ),
    "mu is changed in place": (
        VAE_MODEL,
        [
            *z("mu += log_sigma.exp() * torch.randn_like(mu)", "z = mu"),
            swap(".chunk(2, dim=1)", ".clone().split(self.latent_dim, dim=1)"),
        ],
        "vae.z_distribution",
        "changes μ in place",
    ),
    "log sigma is clamped": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma.clamp(-2, 2)) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "σ is clamped: values below 0.14",
    ),
    "log sigma is clamped far out": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma.clamp(-5, 2)) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "σ is clamped",
    ),
    "sigma has a least value": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma).clamp(min=0.1) * torch.randn_like(mu)"),
        "vae.z_distribution",
        "σ is clamped: values below 0.1",
    ),
    "block 2 left pass": (VAE_MODEL, z("pass"), "vae.z_distribution", "block 2 of VAE/model.py does not set z"),
    "z is not returned": (VAE_MODEL, [swap("        return z\n", "")], "vae.z_distribution", "a `return` is missing"),
    "z loses a batch of one": (
        VAE_MODEL,
        z("z = (mu + log_sigma.exp() * torch.randn_like(mu)).squeeze()"),
        "vae.z_distribution",
        "should have shape (1, 7) and has (7,)",
    ),
    "block 2 is no Python": (
        VAE_MODEL,
        z("z = mu + (log_sigma.exp() * torch.randn_like(mu)"),
        "vae.z_distribution",
        "(block 2): your code stops with SyntaxError",
    ),
    # blocks 3 and 4
    "forward runs without gradients": (
        VAE_MODEL,
        [swap("    def forward(", "    @torch.no_grad()\n    def forward(")],
        "vae.training_step",
        "no gradient flows through forward(x)",
    ),
    "recon_x is made without gradients": (
        VAE_MODEL,
        [swap(DECODED, f"with torch.no_grad():\n                {DECODED}")],
        "vae.training_step",
        "no gradient flows from recon_x to any weight",
    ),
    "the returned mu is detached": (
        VAE_MODEL,
        [swap(RETURNED, "return recon_x, mu.detach(), log_sigma")],
        "vae.training_step",
        "the μ that forward(x) returns is detached",
    ),
    "mu and log sigma are detached": (
        VAE_MODEL,
        [swap(RETURNED, "return recon_x, mu.detach(), log_sigma.detach()")],
        "vae.training_step",
        "the μ and the log σ that forward(x) returns are detached",
    ),
    "mu is detached on its way to z": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(mu.detach(), log_sigma)")],
        "vae.training_step",
        "only a part of the gradient flows from recon_x to the encoder",
    ),
    "noise is decoded, by an encoder with another kernel": (
        VAE_MODEL,
        [
            swap("self.decoder(self.reparameterize(mu, log_sigma))", "self.decoder(torch.randn_like(mu))"),
            swap(
                "16, kernel_size=3, stride=1, padding=1),\n            nn.ReLU(),\n            nn.Conv2d(16, 32",
                "16, kernel_size=5, stride=1, padding=2),\n            nn.ReLU(),\n            nn.Conv2d(16, 32",
            ),
        ],
        "vae.reconstruction",
        "nothing to do with",
    ),
    "logits in place of a reconstruction": (
        VAE_MODEL,
        [swap("recon_x = self.decoder(", "recon_x = self.decoder[:-1](")],
        "vae.same_decoder",
        "forward(x) returns what Dec-6 gives without its Sigmoid",
    ),
    "logits in place of samples": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder[:-1](z)")],
        "vae.same_decoder",
        "forward(z=z) returns what Dec-6 gives without its Sigmoid",
    ),
    "log sigma is clamped in forward": (
        VAE_MODEL,
        [swap(".chunk(2, dim=1)\n", ".chunk(2, dim=1)\n            log_sigma = log_sigma.clamp(-5, 5)\n")],
        "vae.encoder_numbers",
        "a clamp to [-5, 5]",
    ),
    "mu goes through a Tanh": (
        VAE_MODEL,
        [swap(".chunk(2, dim=1)\n", ".chunk(2, dim=1)\n            mu = mu.tanh()\n")],
        "vae.posterior_split",
        "the first half of what Enc-6 gives after Tanh",
    ),
    "log sigma bends": (
        VAE_MODEL,
        [swap(".chunk(2, dim=1)\n", ".chunk(2, dim=1)\n            log_sigma = 5 * (log_sigma / 5).tanh()\n")],
        "vae.posterior_split",
        "after another activation",
    ),
    "dropout on x": (
        VAE_MODEL,
        [swap("self.encoder(x)", "self.encoder(F.dropout(x, 0.1, self.training))")],
        "vae.enc_1",
        "x after dropout",
    ),
    "dropout on z": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(F.dropout(z, 0.2, self.training))")],
        "vae.generation",
        "z after dropout",
    ),
    "z is clamped": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z.clamp(-2, 2))")],
        "vae.generation",
        "z after a clamp to [-2, 2]",
    ),
    "generation draws its own z": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(torch.randn(len(z), self.latent_dim))")],
        "vae.generation",
        "noise of its own",
    ),
    "generation leaves Dec-1 out": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder[2:](z)")],
        "vae.dec_1",
        "forward(z=z) does not run it",
    ),
    "a reconstruction leaves Dec-1 out": (
        VAE_MODEL,
        [swap("self.decoder(self.reparam", "self.decoder[2:](self.reparam")],
        "vae.same_decoder",
        "forward(x) does not run the layer of Row Dec-1",
    ),
    "block 4 leaves evaluation mode on": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "self.eval()\n        images = self.decoder(z)")],
        "vae.generation",
        "nothing in it may call",
    ),
    "a batch of one is squeezed in block 4": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z.squeeze())")],
        "vae.generation",
        "With a batch of one it stops",
    ),
    "sigma has something added": (
        VAE_MODEL,
        [swap("log_sigma.exp() * epsilon", "(log_sigma.exp() + 0.1) * epsilon")],
        "vae.z_distribution",
        "more than exp(log σ)",
    ),
    "free bits": (
        VAE_TRAINER,
        [
            swap(
                "0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum()",
                "(0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1)).clamp(min=0.1).sum()",
            )
        ],
        "vae.kl_closed_form",
        "something keeps it from going to 0",
    ),
    "mu is clamped in the KL": (
        VAE_TRAINER,
        [swap("mu**2", "mu.clamp(-3, 3) ** 2")],
        "vae.kl_closed_form",
        "right but for μ",
    ),
    "recon is rounded in the loss": (
        VAE_TRAINER,
        [swap("F.binary_cross_entropy(recon,", "F.binary_cross_entropy(recon.round(),")],
        "vae.recon_closed_form",
        "recon is rounded",
    ),
    "a target that is above a half": (
        VAE_TRAINER,
        [swap("(recon, target, ", "(recon, (target > 0.5).float(), ")],
        "vae.recon_closed_form",
        "the target is rounded",
    ),
    "the learning rate decays slowly": (
        VAE_TRAINER,
        [
            swap(
                "            self.optimizer.step()\n",
                "            self.optimizer.step()\n            self.optimizer.param_groups[0]['lr'] *= 0.999\n",
            )
        ],
        "vae.training_step",
        "0.999 times what the learning rate asks for",
    ),
    "generation ignores z": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z * 0)")],
        "vae.generation",
        "decodes zeros, whatever z it is given",
    ),
    "samples are clamped": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z).clamp(0.01, 0.99)")],
        "vae.same_decoder",
        "forward(z=z) clamps to [0.01, 0.99]",
    ),
    "samples are rounded": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = self.decoder(z).round()")],
        "vae.same_decoder",
        "forward(z=z) rounds",
    ),
    "samples are drawn from the probabilities": (
        VAE_MODEL,
        [swap("images = self.decoder(z)", "images = torch.bernoulli(self.decoder(z))")],
        "vae.same_decoder",
        "forward(z=z) draws 0 or 1",
    ),
    "reconstructions are clamped": (
        VAE_MODEL,
        [swap(DECODED, f"{DECODED}.clamp(0.01, 0.99)")],
        "vae.same_decoder",
        "forward(x) clamps recon_x to [0.01, 0.99]",
    ),
    "two decoded samples are averaged": (
        VAE_MODEL,
        [
            swap(
                DECODED,
                "z1, z2 = self.reparameterize(mu, log_sigma), self.reparameterize(mu, log_sigma)\n"
                "            recon_x = self.decoder((z1 + z2) / 2)",
            )
        ],
        "vae.reconstruction",
        "the average of several samples",
    ),
    "2 log sigma is given": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "self.reparameterize(mu, 2 * log_sigma)")],
        "vae.reconstruction",
        "2 log σ, which is log σ²",
    ),
    "block 4 left pass": (
        VAE_MODEL,
        [block(4, "pass")],
        "vae.generation",
        "block 4 of VAE/model.py does not set images",
    ),
    "a squeeze loses a batch of one": (
        VAE_MODEL,
        [swap("self.encoder(x).chunk(2, dim=1)", "self.encoder(x).squeeze().chunk(2, dim=-1)")],
        "vae.training_step",
        "in step 2, with a batch of one image",
    ),
    "samples lose a batch of one": (
        VAE_MODEL,
        [
            swap(
                "images = self.decoder(z)",
                "images = self.decoder(z.squeeze()).squeeze(0).reshape(-1, 1, 32, 32)[:len(z)]",
            )
        ],
        "vae.generation",
        "(block 4): your code stops with",
    ),
    "forward leaves evaluation mode on": (
        VAE_MODEL,
        [swap("        if x is not None:\n", "        self.eval()\n        if x is not None:\n")],
        "vae.training_step",
        "leaves the model in evaluation mode",
    ),
    # the losses
    "KL times a quarter": (
        VAE_TRAINER,
        kl("0.125 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "your KL is 0.25 times the expected one",
    ),
    "KL a pixel": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size / 1024"),
        "vae.kl_closed_form",
        "divided by the number of pixels",
    ),
    "the logarithm counts twice": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() - 4 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "log σ counts 2 times",
    ),
    "two mistakes of sign": (
        VAE_TRAINER,
        kl("0.5 * (mu**2 + (2 * log_sigma).exp() + 2 * log_sigma + 1).sum() / batch_size"),
        "vae.kl_closed_form",
        "log σ has the wrong sign, the constant has the wrong sign",
    ),
    "one term of KL is summed over the batch": (
        VAE_TRAINER,
        kl("0.5 * (mu**2).sum() + 0.5 * ((2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
        "vae.kl_average",
        "of your KL μ² is summed over the batch",
    ),
    "KL by Monte Carlo": (
        VAE_TRAINER,
        [
            swap(
                "        kl_loss = ",
                "        q, p = torch.distributions.Normal(mu, log_sigma.exp()), torch.distributions.Normal(0.0, 1.0)\n"
                "        drawn = q.rsample()\n        kl_loss = ",
            ),
            *kl("(q.log_prob(drawn) - p.log_prob(drawn)).sum() / batch_size"),
        ],
        "vae.kl_closed_form",
        "for the same inputs",
    ),
    "KL is warmed up": (
        VAE_TRAINER,
        [
            swap("        kl_loss = ", "        self.calls = getattr(self, 'calls', 0) + 1\n        kl_loss = "),
            swap("kl_loss = 0.5 *", "kl_loss = min(1, self.calls / 1000) * 0.5 *"),
        ],
        "vae.kl_closed_form",
        "a weight that changes from call to call",
    ),
    "log sigma is clamped in KL": (
        VAE_TRAINER,
        [
            swap("        kl_loss = ", "        log_sigma = log_sigma.clamp(-4, 4)\n        kl_loss = "),
        ],
        "vae.kl_closed_form",
        "something is clamped",
    ),
    "the losses in the other order": (
        VAE_TRAINER,
        [swap("return recon_loss, kl_loss", "return kl_loss, recon_loss")],
        "vae.losses_are_scalars",
        "kl_loss first",
    ),
    "the target is rounded": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target.round(), reduction='sum') / batch_size"),
        "vae.recon_closed_form",
        "the target is rounded",
    ),
    "one term counts three times": (
        VAE_TRAINER,
        [
            swap(
                "        recon_loss = ",
                "        lit, dark = recon.clamp(min=1e-7).log(), (1 - recon).clamp(min=1e-7).log()\n"
                "        recon_loss = ",
            ),
            *recon("-(3 * target * lit + (1 - target) * dark).sum() / batch_size"),
        ],
        "vae.recon_closed_form",
        "x log x' counts 3 times",
    ),
    "a reconstruction loss for every instance": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='none').flatten(1).sum(1)"),
        "vae.losses_are_scalars",
        "recon_loss should be one number",
    ),
    "a reconstruction loss for every pixel": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon, target, reduction='none')"),
        "vae.losses_are_scalars",
        "recon_loss should be one number",
    ),
    "the batch is 32": (
        VAE_TRAINER,
        [swap("batch_size = target.shape[0]", "batch_size = 32")],
        "vae.kl_average",
        "divided by 32, whatever the size of the batch",
    ),
    "block 1 left pass in the trainer": (
        VAE_TRAINER,
        [block(1, "pass")],
        "vae.losses_are_scalars",
        "block 1 of VAE/trainer.py does not set recon_loss",
    ),
    "the losses are not returned": (
        VAE_TRAINER,
        [swap("        return recon_loss, kl_loss\n", "")],
        "vae.losses_are_scalars",
        "a `return` is missing",
    ),
    # the loop
    "gradients are not cleared": (
        VAE_TRAINER,
        [swap("            self.optimizer.zero_grad()\n", "")],
        "vae.training_step",
        "what an earlier step left is still in the gradients",
    ),
    "the learning rate decays": (
        VAE_TRAINER,
        [swap(STEP, f"{STEP}            self.optimizer.param_groups[0]['lr'] *= 0.9\n")],
        "vae.training_step",
        "is 0.9 times what the learning rate asks for in step 2",
    ),
    "gradients are clipped": (
        VAE_TRAINER,
        [swap(STEP, f"            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)\n{STEP}")],
        "vae.training_step",
        "cut to a length of 1",
    ),
    "two updates": (VAE_TRAINER, [swap(STEP, STEP + STEP)], "vae.training_step", "makes 2 steps"),
    "KL counts from the second step on": (
        VAE_TRAINER,
        [swap("loss = recon_loss + kl_loss", "loss = recon_loss + (kl_loss if step > 1 else 0 * kl_loss)")],
        "vae.training_step",
        "kl_loss has no part in the loss that is minimised in step 1",
    ),
}

# What else fails (see wrong_solutions.ALSO).
ALSO_IN_VAES = {
    "recon is rounded in the loss": {"vae.recon_gradients"},
    "noise is decoded, by an encoder with another kernel": {"vae.enc_1"},
    "the batch is 32": {"vae.recon_average"},
    "the losses are not returned": set(),
}
