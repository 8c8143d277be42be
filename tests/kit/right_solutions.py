"""Right solutions of the VAE and the GAN in other words than the reference's, as students write them."""

# ruff: noqa: E501  # texts that are looked for stand on one line, as in the solution

from changed_solutions import GAN_MODEL, GAN_TRAINER, VAE_MODEL, VAE_TRAINER, Change, block, kl, recon, swap, z

# Right in other words: name, file, and how it is changed.
VARIANTS: dict[str, tuple[str, list[Change]]] = {
    "no bias": (
        VAE_MODEL,
        [swap("padding=1)", "padding=1, bias=False)"), swap("2 * latent_dim)", "2 * latent_dim, bias=False)")],
    ),
    "two heads": (
        VAE_MODEL,
        [
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap(
                "self.decoder = ",
                "self.spread, self.mean = (nn.Linear(2 * latent_dim, latent_dim) for _ in range(2))\n        self.decoder = ",
            ),
            block(
                3,
                "h = self.encoder(x)",
                "log_sigma, mu = self.spread(h), self.mean(h)",
                "recon_x = self.decoder(self.reparameterize(mu, log_sigma))",
            ),
        ],
    ),
    "two heads in order": (
        VAE_MODEL,
        [
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap(
                "self.decoder = ",
                "self.spread, self.mean = (nn.Linear(2 * latent_dim, latent_dim) for _ in range(2))\n        self.decoder = ",
            ),
            block(
                3,
                "h = self.encoder(x)",
                "mu, log_sigma = self.mean(h), self.spread(h)",
                "recon_x = self.decoder(self.reparameterize(mu, log_sigma))",
            ),
        ],
    ),
    "in-place activations": (VAE_MODEL, [swap("nn.ReLU()", "nn.ReLU(inplace=True)")]),
    "functional": (
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
    "the encoder run twice": (
        VAE_MODEL,
        [
            swap(
                "mu, log_sigma = self.encoder(x).chunk(2, dim=1)",
                "d = self.latent_dim\n            mu, log_sigma = self.encoder(x)[:, :d], self.encoder(x)[:, d:]",
            )
        ],
    ),
    "z drawn in forward": (
        VAE_MODEL,
        [swap("self.reparameterize(mu, log_sigma)", "mu + torch.exp(log_sigma) * torch.randn(mu.shape)")],
    ),
    "rsample": (VAE_MODEL, z("z = torch.distributions.Normal(mu, log_sigma.exp()).rsample()")),
    "torch.normal of zeros": (VAE_MODEL, z("z = mu + log_sigma.exp() * torch.normal(torch.zeros_like(mu), 1.0)")),
    "normal_": (VAE_MODEL, z("z = mu + log_sigma.exp() * torch.empty_like(mu).normal_()")),
    "numpy's noise": (
        VAE_MODEL,
        z("import numpy", "z = mu + log_sigma.exp() * torch.from_numpy(numpy.random.randn(*mu.shape)).float()"),
    ),
    "W as a parameter": (
        VAE_MODEL,
        [
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap(
                "self.decoder = ",
                "self.W = nn.Parameter(torch.randn(2 * latent_dim, 2 * latent_dim) / 9)\n        self.decoder = ",
            ),
            swap("self.encoder(x).chunk(2, dim=1)", "(self.encoder(x) @ self.W).chunk(2, 1)"),
        ],
    ),
    "lists": (VAE_MODEL, [swap("return recon_x, mu, log_sigma", "return [recon_x, mu, log_sigma]")]),
    "one channel": (VAE_MODEL, [swap("num_channels, 16", "1, 16"), swap("16, num_channels", "16, 1")]),
    "a warning and prints": (
        VAE_MODEL,
        z(
            "import warnings",
            "warnings.warn('old', DeprecationWarning)",
            "print('z')",
            "z = mu + torch.exp(log_sigma) * torch.randn_like(mu)",
        ),
    ),
    "losses one by one": (
        VAE_TRAINER,
        [
            *recon("sum(F.binary_cross_entropy(r, t, reduction='sum') for r, t in zip(recon, target)) / len(target)"),
            *kl("sum((m @ m + s.exp() @ s.exp() - len(m)) / 2 - s.sum() for m, s in zip(mu, log_sigma)) / len(mu)"),
            swap("return recon_loss, kl_loss", "return [recon_loss, kl_loss]"),
        ],
    ),
    "KL from torch.distributions": (
        VAE_TRAINER,
        kl(
            "torch.distributions.kl_divergence(torch.distributions.Normal(mu, log_sigma.exp()), torch.distributions.Normal(0, 1)).sum(-1).mean()"
        ),
    ),
    "a guard of 1e-5": (
        VAE_TRAINER,
        recon("-((recon + 1e-5).log() * target + (1 - recon + 1e-5).log() * (1 - target)).sum() / batch_size"),
    ),
    "a clamp at 1e-5": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon.clamp(1e-5, 1 - 1e-5), target, reduction='sum') / batch_size"),
    ),
    "view and mean": (
        VAE_TRAINER,
        recon("F.binary_cross_entropy(recon.view(-1, 1024), target.view(-1, 1024), reduction='none').sum(1).mean()"),
    ),
    "losses of shape (1,)": (
        VAE_TRAINER,
        [
            swap("return recon_loss, kl_loss", "return recon_loss.view(1), kl_loss.view(1)"),
            swap("loss.backward()", "loss.sum().backward()"),
        ],
    ),
    "bias in the generator": (GAN_MODEL, [swap(", bias=False", "")]),
    "the generator's layers one by one": (
        GAN_MODEL,
        [
            block(
                1,
                "h, layer, norm = hidden_dim, nn.ConvTranspose2d, nn.BatchNorm2d",
                "self.t1, self.t2 = layer(latent_dim, 4 * h, 4), layer(4 * h, 2 * h, 4, 2, 1)",
                "self.t3, self.t4 = layer(2 * h, h, 4, 2, 1), layer(h, 1, 4, 2, 1)",
                "self.b1, self.b2, self.b3 = norm(4 * h), norm(2 * h), norm(h)",
            ),
            swap(
                "return self.decoder(z)",
                "z = self.b2(self.t2(self.b1(self.t1(z)).relu())).relu()\n        return self.t4(self.b3(self.t3(z)).relu()).tanh()",
            ),
        ],
    ),
    "in-place activations in the generator": (GAN_MODEL, [swap("nn.ReLU()", "nn.ReLU(True)")]),
    "judgements as floats": (GAN_TRAINER, [swap(".detach().mean()", ".mean().item()")]),
    "judgements with their graph": (GAN_TRAINER, [swap(".detach().mean()", ".mean()")]),
    "a list of five": (
        GAN_TRAINER,
        [
            swap(
                "return loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2",
                "return [loss_D_real + loss_D_fake, loss_G, D_x, D_G_z1, D_G_z2]",
            )
        ],
    ),
    "not detached, with the same update": (
        GAN_TRAINER,
        [
            swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs)"),
            swap("loss_D_fake.backward()", "loss_D_fake.backward(retain_graph=True)"),
        ],
    ),
    "one backward pass of a sum": (
        GAN_TRAINER,
        [
            swap("        loss_D_real.backward()\n", ""),
            swap("loss_D_fake.backward()", "(loss_D_real + loss_D_fake).backward()"),
        ],
    ),
    "extra passes of D, and no criterion": (
        GAN_TRAINER,
        [
            block(
                1,
                "loss_D_real = -self._netD(real_imgs).log().mean()",
                "loss_D_real.backward()",
                "D_x = float(self._netD(real_imgs).mean())",
            ),
            block(
                3,
                "loss_G = -torch.log(self._netD(fake_imgs)).mean()",
                "loss_G.backward()",
                "D_G_z2 = self._netD(fake_imgs).mean().item()",
            ),
        ],
    ),
    "labels as full tensors": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real)", "torch.full((real_imgs.size(0),), 1.0)"),
            swap("self._netD(real_imgs)", "self._netD(real_imgs).view(-1)"),
        ],
    ),
}
# One remark is made about these; no fault.
REMARKED = {"one channel", "numpy's noise", "the generator's layers one by one", "not detached, with the same update"}
