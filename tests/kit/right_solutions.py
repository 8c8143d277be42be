"""Right solutions of the VAE and the GAN in other words than the reference's, as students write them."""

# ruff: noqa: E501  # texts that are looked for stand on one line, as in the solution

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
    z,
)

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
    "in-place activations": (VAE_MODEL, [swap("nn.ReLU()", "nn.ReLU(inplace=True)")]),
    "functional": (
        VAE_MODEL,
        [
            block(
                1,
                "self.c1, self.c2 = nn.Conv2d(num_channels, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, 1)",
                "self.c3, self.c4 = nn.Conv2d(32, 32, 3, padding='same'), nn.Conv2d(32, 16, 3, 2, 1)",
                "self.f1, self.f2 = nn.Linear(1024, 2 * latent_dim), nn.Linear(2 * latent_dim, 2 * latent_dim)",
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
    "a generator of numpy's, in forward": (
        VAE_MODEL,
        [
            swap("from torch import nn", "from torch import nn\nimport numpy as np"),
            swap(
                "self.reparameterize(mu, log_sigma)",
                "mu + torch.exp(log_sigma) * torch.from_numpy(np.random.default_rng().normal(size=mu.shape)).to(mu)",
            ),
        ],
    ),
    "noise of Python's own": (
        VAE_MODEL,
        z(
            "import random",
            "noise = [[random.gauss(0, 1) for _ in row] for row in mu]",
            "z = mu + log_sigma.exp() * torch.tensor(noise).to(mu)",
        ),
    ),
    "a clamp beyond what training reaches": (
        VAE_MODEL,
        z("z = mu + torch.exp(log_sigma.clamp(-10, 10)) * torch.randn_like(mu)"),
    ),
    "probabilities kept a millionth from 0 and 1": (
        VAE_MODEL,
        [
            swap(
                "self.decoder(self.reparameterize(mu, log_sigma))",
                "self.decoder(self.reparameterize(mu, log_sigma)).clamp(1e-6, 1 - 1e-6)",
            )
        ],
    ),
    "a helper beside the class": (
        VAE_MODEL,
        [
            swap(
                "class VAE(nn.Module):",
                "def noise_like(values):\n    return torch.randn_like(values)\n\n\nclass VAE(nn.Module):",
            ),
            *z("z = mu + log_sigma.exp() * noise_like(mu)"),
        ],
    ),
    "weights in one list, and a batch of one kept": (
        VAE_MODEL,
        [
            swap(
                "self.encoder(x).chunk(2, dim=1)",
                "self.encoder(x).squeeze().reshape(len(x), -1).split([self.latent_dim] * 2, -1)",
            )
        ],
    ),
    "the run's device": (
        VAE_TRAINER,
        [
            swap(
                "batch_size = target.shape[0]",
                "batch_size = torch.tensor(float(target.shape[0]), device=self.run.device)",
            )
        ],
    ),
    "losses kept on self, and a list of all": (
        VAE_TRAINER,
        [
            swap(
                "        return recon_loss, kl_loss\n",
                "        self.last = [recon_loss.item(), kl_loss.item()]\n        return recon_loss, kl_loss\n",
            ),
        ],
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
    "judgements with their graph": (GAN_TRAINER, [swap(".detach().mean()", ".mean()")]),
    "labels on the run's device, made anew": (
        GAN_TRAINER,
        [
            swap("torch.ones_like(D_real)", "torch.ones(len(D_real), device=self.run.device)"),
            swap("torch.zeros_like(D_fake)", "torch.full((D_fake.shape[0],), 0.0, device=self.run.device)"),
            swap("BCE_criterion(D_fake, torch.ones_like", "BCE_criterion(D_fake.view(-1), torch.ones_like"),
        ],
    ),
    "what main.py gives a Trainer is used": (
        GAN_TRAINER,
        [
            before(1, "size, steps = self.data.train.batch_size, self.run.args.num_train_steps"),
            behind(3, "self.progress = (size, steps, self.run.settings['model'], self.run.args.beta1)"),
        ],
    ),
    "D frozen by a flag, and free again": (
        GAN_TRAINER,
        [
            before(3, "self._netD.requires_grad_(False)"),
            swap("loss_G.backward(inputs=list(self._netG.parameters()))", "loss_G.backward()"),
            behind(3, "self._netD.requires_grad_(True)"),
        ],
    ),
    "fakes from a block without gradients": (
        GAN_TRAINER,
        [
            before(2, "with torch.no_grad():\n    given = fake_imgs * 1"),
            swap("self._netD(fake_imgs.detach())", "self._netD(given)"),
        ],
    ),
    "fakes detached by numpy": (
        GAN_TRAINER,
        [swap("self._netD(fake_imgs.detach())", "self._netD(torch.from_numpy(fake_imgs.detach().cpu().numpy()))")],
    ),
    "losses kept, and a count of the steps": (
        GAN_TRAINER,
        [
            before(1, "self.count = getattr(self, 'count', 0) + 1"),
            behind(2, "self.losses = getattr(self, 'losses', []) + [(loss_D_real.item(), loss_D_fake.item())]"),
            behind(3, "self.last_loss_G, self.last_fakes = loss_G, fake_imgs"),
        ],
    ),
    "gradients set to zero": (
        GAN_TRAINER,
        [
            before(1, "self._optimD.zero_grad(set_to_none=False)"),
            before(3, "self._optimG.zero_grad(set_to_none=False)"),
        ],
    ),
    "cross entropies by formula, with guards": (
        GAN_TRAINER,
        [
            swap("BCE_criterion(D_real, torch.ones_like(D_real))", "-(D_real + 1e-8).log().mean()"),
            swap("BCE_criterion(D_fake, torch.zeros_like(D_fake))", "-(1 - D_fake + 1e-5).log().mean()"),
            swap(
                "loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))",
                "loss_G = -D_fake.clamp(1e-5, 1 - 1e-5).log().mean()",
            ),
        ],
    ),
    "the batch's mean by a sum": (
        GAN_TRAINER,
        [
            swap("D_x = D_real.detach().mean()", "D_x = float(sum(D_real.tolist()) / real_imgs.size(0))"),
            swap("D_G_z1 = D_fake.detach().mean()", "D_G_z1 = D_fake.sum().item() / D_fake.numel()"),
        ],
    ),
    "the modes set in the step": (
        GAN_TRAINER,
        [before(1, "self._netD.train()\nself._netG.train()"), before(3, "self._netD.train(True)")],
    ),
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
    "lists of modules, and loops": (
        VAE_MODEL,
        [
            block(
                1,
                """
                channels, strides = [num_channels, 16, 32, 32, 16], [1, 2, 1, 2]
                self.enc_convs = nn.ModuleList()
                for i in range(4):
                    self.enc_convs.append(nn.Conv2d(channels[i], channels[i + 1], 3, stride=strides[i], padding=1))
                self.enc_fcs = nn.ModuleList([nn.Linear(1024, 2 * latent_dim), nn.Linear(2 * latent_dim, 2 * latent_dim)])
                self.dec_fcs = nn.ModuleList([nn.Linear(latent_dim, latent_dim), nn.Linear(latent_dim, 1024)])
                self.dec_convs = nn.ModuleList(
                    nn.ConvTranspose2d(i, o, 3, stride=s, padding=1, output_padding=s - 1)
                    for i, o, s in [(16, 32, 2), (32, 32, 1), (32, 16, 2), (16, num_channels, 1)]
                )
                """,
            ),
            block(
                2,
                "std = torch.exp(log_sigma)",
                "eps = torch.randn(std.size()).to(std.device)",
                "z = eps * std + mu",
            ),
            block(
                3,
                """
                h = x
                for conv in self.enc_convs:
                    h = nn.functional.relu(conv(h))
                h = torch.flatten(h, start_dim=1)
                h = self.enc_fcs[1](nn.functional.relu(self.enc_fcs[0](h)))
                mu, log_sigma = torch.split(h, self.latent_dim, dim=-1)
                recon_x = self.forward(z=self.reparameterize(mu, log_sigma))
                """,
            ),
            block(
                4,
                """
                h = self.dec_fcs[1](nn.functional.relu(self.dec_fcs[0](z)))
                h = h.view(z.size(0), 16, 8, 8)
                for i, conv in enumerate(self.dec_convs):
                    h = conv(h)
                    h = nn.functional.relu(h) if i < 3 else nn.functional.sigmoid(h)
                images = h
                """,
            ),
        ],
    ),
    "a class for each half, with type hints": (
        VAE_MODEL,
        [
            swap(
                "class VAE(nn.Module):",
                """class ConvEncoder(nn.Module):
    def __init__(self, in_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.fc_log_sigma = nn.Linear(2 * latent_dim, latent_dim)
        self.fc_mu = nn.Linear(2 * latent_dim, latent_dim)
        self.hidden = nn.Linear(in_features=1024, out_features=2 * latent_dim)
        self.features = nn.Sequential(
            self._layer(in_channels, 16), self._layer(16, 32, 2), self._layer(32, 32), self._layer(32, 16, 2)
        )

    @staticmethod
    def _layer(i: int, o: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(i, o, kernel_size=(3, 3), stride=(stride, stride), padding=(1, 1)), nn.ReLU())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h: torch.Tensor = torch.relu(self.hidden(self.features(x).flatten(1)))
        return self.fc_mu(h), self.fc_log_sigma(h)


class ConvDecoder(nn.Module):
    def __init__(self, out_channels: int, latent_dim: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(latent_dim, latent_dim), nn.ReLU(), nn.Linear(latent_dim, 1024))
        self.deconv = nn.Sequential(
            nn.ConvTranspose2d(16, 32, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 3, 1, 1, 0), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(16, out_channels, 3, 1, 1, 0), nn.Sigmoid(),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.deconv(self.fc(z).reshape(-1, 16, 8, 8))


class VAE(nn.Module):""",
            ),
            swap("(self, num_channels, latent_dim):", "(self, num_channels: int, latent_dim: int) -> None:"),
            block(
                1,
                "self.enc = ConvEncoder(num_channels, latent_dim)",
                "self.dec = ConvDecoder(num_channels, latent_dim)",
            ),
            block(
                2,
                "std: torch.Tensor = log_sigma.exp()",
                "eps: torch.Tensor = torch.distributions.Normal(0.0, 1.0).sample(mu.shape).type_as(mu)",
                "z: torch.Tensor = mu + std * eps",
            ),
            block(3, "mu, log_sigma = self.enc(x)", "z = self.reparameterize(mu, log_sigma)", "recon_x = self.dec(z)"),
            block(4, "images: torch.Tensor = self.dec(z)"),
        ],
    ),
    "helper methods, and comments in Chinese": (
        VAE_MODEL,
        [
            block(
                1,
                """
                # 编码器：四个卷积层和两个全连接层
                self.act = nn.ReLU()  # 所有层共用一个激活函数
                self.conv1 = nn.Conv2d(num_channels, 16, 3, padding=1)
                self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
                self.conv3 = nn.Conv2d(32, 32, 3, padding=1)
                self.conv4 = nn.Conv2d(32, 16, 3, stride=2, padding=1)
                self.fc1 = nn.Linear(8 * 8 * 16, latent_dim * 2)
                self.fc2 = nn.Linear(latent_dim * 2, latent_dim * 2)
                # 解码器
                self.fc3 = nn.Linear(latent_dim, latent_dim)
                self.fc4 = nn.Linear(latent_dim, 8 * 8 * 16)
                self.deconv1 = nn.ConvTranspose2d(16, 32, 3, stride=2, padding=1, output_padding=1)
                self.deconv2 = nn.ConvTranspose2d(32, 32, 3, padding=1)
                self.deconv3 = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
                self.deconv4 = nn.ConvTranspose2d(16, num_channels, 3, padding=1)
                """,
            ),
            swap(
                "    def forward(self, x=None",
                '''    def _编码(self, x):
        """图像 -> (均值, 对数标准差)"""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = self.act(conv(x))
        h = self.fc2(self.act(self.fc1(x.view(x.shape[0], -1))))
        return h.view(-1, 2, self.latent_dim).unbind(dim=1)

    def _解码(self, z):
        h = self.fc4(self.act(self.fc3(z))).view(-1, 16, 8, 8)
        for deconv in (self.deconv1, self.deconv2, self.deconv3):
            h = self.act(deconv(h))
        return torch.sigmoid(self.deconv4(h))

    def forward(self, x=None''',
            ),
            block(
                2,
                "# 方差的对数是标准差的对数的两倍",
                "log_var = 2 * log_sigma",
                "z = torch.addcmul(mu, torch.exp(0.5 * log_var), torch.randn_like(log_var))  # 重参数化",
            ),
            block(
                3,
                "mu, log_sigma = self._编码(x)  # 前一半是均值",
                "recon_x = self._解码(self.reparameterize(mu, log_sigma))",
            ),
            block(4, "images = self._解码(z)"),
        ],
    ),
    "the decoder first, and its last layer before its first": (
        VAE_MODEL,
        [
            block(
                1,
                """
                from collections import OrderedDict

                shapes = {"dec6": (16, num_channels, 1), "dec5": (32, 16, 2), "dec4": (32, 32, 1), "dec3": (16, 32, 2)}
                deconvs = {n: nn.ConvTranspose2d(i, o, 3, s, 1, s // 2) for n, (i, o, s) in shapes.items()}
                dec = [("dec2", nn.Linear(latent_dim, 1024)), ("dec1", nn.Linear(latent_dim, latent_dim))]
                dec = [*deconvs.items(), ("image", nn.Unflatten(1, (16, 8, 8))), *dec]
                self.decoder = nn.Sequential(OrderedDict(reversed(dec)))
                enc = nn.Sequential()
                enc.add_module("enc1", nn.Conv2d(num_channels, 16, 3, 1, 1))
                enc.add_module("enc2", nn.Conv2d(16, 32, 3, 2, 1))
                enc.add_module("enc3", nn.Conv2d(32, 32, 3, 1, 1))
                enc.add_module("enc4", nn.Conv2d(32, 16, 3, 2, 1))
                enc.add_module("row", nn.Flatten())
                enc.add_module("enc5", nn.Linear(1024, 2 * latent_dim))
                setattr(self, "enc6", nn.Linear(2 * latent_dim, 2 * latent_dim))
                self.encoder = enc
                """,
            ),
            *z("z = mu + log_sigma.exp() * torch.empty_like(mu).normal_()"),
            block(
                3,
                """
                for layer in self.encoder:
                    x = layer(x)
                    if not isinstance(layer, nn.Flatten):
                        x = x.relu_()
                x = getattr(self, "enc6")(x)
                mu, log_sigma = x.narrow(1, 0, self.latent_dim), x.narrow(1, self.latent_dim, self.latent_dim)
                recon_x = self.forward(None, self.reparameterize(mu, log_sigma))
                """,
            ),
            block(
                4,
                """
                images = z
                for name, layer in self.decoder.named_children():
                    images = layer(images)
                    if name in ("dec1", "dec3", "dec4", "dec5"):
                        images = images.clamp_(min=0)
                images = images.sigmoid_()
                """,
            ),
        ],
    ),
    "einsum, and activations by hand": (
        VAE_MODEL,
        [
            swap(
                "            nn.Linear(16 * 8 * 8, 2 * latent_dim),\n            nn.ReLU(),\n            nn.Linear(2 * latent_dim, 2 * latent_dim),\n",
                "",
            ),
            swap(
                "            nn.Linear(latent_dim, latent_dim),\n            nn.ReLU(),\n            nn.Linear(latent_dim, 16 * 8 * 8),\n",
                "",
            ),
            swap("            nn.Sigmoid(),\n", ""),
            swap(
                "self.encoder = ",
                """sizes = [(1024, 2 * latent_dim), (2 * latent_dim,) * 2, (latent_dim,) * 2, (latent_dim, 1024)]
        self.W = nn.ParameterList([torch.randn(o, i) / i**0.5 for i, o in sizes])
        self.b = nn.ParameterList([0.1 * torch.randn(o) for _, o in sizes])
        self.encoder = """,
            ),
            block(
                3,
                """
                def relu(x):
                    return x * (x > 0)

                h = self.encoder(x)
                h = relu(torch.einsum("oi,bi->bo", self.W[0], h) + self.b[0])
                h = self.b[1] + torch.einsum("bi,oi->bo", h, self.W[1])
                mu, log_sigma = h.tensor_split(2, dim=1)
                recon_x = self(z=self.reparameterize(mu, log_sigma))
                """,
            ),
            block(
                4,
                """
                h = (self.W[2] @ z.T).T + self.b[2]
                h = torch.where(h > 0, h, torch.zeros_like(h))
                h = torch.addmm(self.b[3], h, self.W[3].T)
                images = 1 / (1 + torch.exp(-self.decoder(h)))
                """,
            ),
        ],
    ),
    "a Linear of one's own, and other initial weights": (
        VAE_MODEL,
        [
            swap(
                "class VAE(nn.Module):",
                """class Linear(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.w = nn.Parameter(nn.init.xavier_normal_(torch.empty(n_in, n_out)))
        self.b = nn.Parameter(torch.full((n_out,), 0.01))

    def forward(self, x):
        return torch.matmul(x, self.w) + self.b


def init(layer):
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)


class VAE(nn.Module):""",
            ),
            swap("nn.Linear(", "Linear("),
            swap(
                "        # TODO END\n\n    def reparameterize",
                "        self.apply(init)\n        # TODO END\n\n    def reparameterize",
            ),
            *z("z = torch.randn(mu.shape, dtype=mu.dtype, device=mu.device).mul(torch.e**log_sigma).add(mu)"),
        ],
    ),
    "convolutions as functions of parameters": (
        VAE_MODEL,
        [
            block(
                1,
                """
                def weight(*shape):
                    return nn.Parameter(0.1 * torch.randn(shape))

                self.weights = nn.ParameterDict({
                    "e1": weight(16, num_channels, 3, 3), "e2": weight(32, 16, 3, 3), "e3": weight(32, 32, 3, 3),
                    "e4": weight(16, 32, 3, 3), "d3": weight(16, 32, 3, 3), "d4": weight(32, 32, 3, 3),
                    "d5": weight(32, 16, 3, 3), "d6": weight(16, num_channels, 3, 3),
                    "e5": weight(2 * latent_dim, 1024), "e6": weight(2 * latent_dim, 2 * latent_dim),
                    "d1": weight(latent_dim, latent_dim), "d2": weight(1024, latent_dim),
                })
                self.biases = nn.ParameterDict({
                    name: weight(w.shape[1] if name in ("d3", "d4", "d5", "d6") else w.shape[0])
                    for name, w in self.weights.items()
                })
                """,
            ),
            block(
                3,
                """
                F, w, b = nn.functional, self.weights, self.biases
                h = F.relu(F.conv2d(x, w["e1"], b["e1"], padding="same"))
                h = F.relu(F.conv2d(h, w["e2"], b["e2"], stride=2, padding=1))
                h = F.relu(F.conv2d(h, w["e3"], b["e3"], padding=1))
                h = F.relu(F.conv2d(h, w["e4"], b["e4"], stride=2, padding=1))
                h = F.relu(F.linear(h.flatten(1), w["e5"], b["e5"]))
                mu, log_sigma = F.linear(h, w["e6"], b["e6"]).chunk(2, -1)
                recon_x = self(z=self.reparameterize(mu, log_sigma))
                """,
            ),
            block(
                4,
                """
                F, w, b = nn.functional, self.weights, self.biases
                h = F.linear(F.relu(F.linear(z, w["d1"], b["d1"])), w["d2"], b["d2"]).unflatten(1, (16, 8, 8))
                h = F.relu(F.conv_transpose2d(h, w["d3"], b["d3"], stride=2, padding=1, output_padding=1))
                h = F.relu(F.conv_transpose2d(h, w["d4"], b["d4"], padding=1))
                h = F.relu(F.conv_transpose2d(h, w["d5"], b["d5"], stride=2, padding=1, output_padding=1))
                images = F.conv_transpose2d(h, w["d6"], b["d6"], padding=1).sigmoid()
                """,
            ),
        ],
    ),
    "lazy layers that run once, and heads by name": (
        VAE_MODEL,
        [
            swap("nn.Conv2d(num_channels, 16", "nn.LazyConv2d(16"),
            swap("nn.Conv2d(16, 32", "nn.LazyConv2d(32"),
            swap("nn.Conv2d(32, 32", "nn.LazyConv2d(32"),
            swap("nn.Conv2d(32, 16", "nn.LazyConv2d(16"),
            swap("nn.ConvTranspose2d(16, 32", "nn.LazyConvTranspose2d(32"),
            swap("nn.ConvTranspose2d(32, 32", "nn.LazyConvTranspose2d(32"),
            swap("nn.ConvTranspose2d(32, 16", "nn.LazyConvTranspose2d(16"),
            swap("nn.ConvTranspose2d(16, num_channels", "nn.LazyConvTranspose2d(num_channels"),
            swap("            nn.Linear(2 * latent_dim, 2 * latent_dim),\n", ""),
            swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.LazyLinear(2 * latent_dim)"),
            swap("nn.Linear(latent_dim, latent_dim)", "nn.LazyLinear(latent_dim)"),
            swap("nn.Linear(latent_dim, 16 * 8 * 8)", "nn.LazyLinear(16 * 8 * 8)"),
            swap(
                "self.decoder = ",
                'self.heads = nn.ModuleDict({"log_sigma": nn.LazyLinear(latent_dim), "mu": nn.LazyLinear(latent_dim)})\n        self.decoder = ',
            ),
            swap(
                "        # TODO END\n\n    def reparameterize",
                "        self(torch.zeros(1, num_channels, 32, 32))\n        # TODO END\n\n    def reparameterize",
            ),
            block(
                3,
                """
                hidden = self.encoder(x)
                answers = {name: head(hidden) for name, head in self.heads.items()}
                mu, log_sigma = answers["mu"], answers["log_sigma"]
                recon_x = self.decoder(self.reparameterize(**answers))
                """,
            ),
        ],
    ),
    "channels last, and noise changed in place": (
        VAE_MODEL,
        [
            swap(
                "        # TODO END\n\n    def reparameterize",
                "        self.to(memory_format=torch.channels_last)\n        # TODO END\n\n    def reparameterize",
            ),
            *z("z = torch.randn_like(mu)", "z *= log_sigma.exp()", "z += mu"),
            swap(
                "mu, log_sigma = self", "x = x.to(memory_format=torch.channels_last)\n            mu, log_sigma = self"
            ),
        ],
    ),
    "unused attributes, and a guard in the model": (
        VAE_MODEL,
        [
            swap(
                "        # TODO END\n\n    def reparameterize",
                """        self.num_channels, self.beta, self.history = num_channels, 1.0, []
        self.register_buffer("zero", torch.zeros(latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bn = nn.BatchNorm2d(16)
        self.spare = nn.Sequential(nn.Linear(latent_dim, latent_dim), nn.ReLU())
        # TODO END

    def reparameterize""",
            ),
            block(
                3,
                """
                assert x.dim() == 4, f"expected images, got {tuple(x.shape)}"
                self.mu, self.log_sigma = mu, log_sigma = self.encoder(x).chunk(2, dim=1)
                self.z = z = self.reparameterize(mu, log_sigma)
                self.history.append(mu.mean().item())
                recon_x = self.decoder(z).clamp(1e-7, 1 - 1e-7)
                """,
            ),
            block(4, "images = self.decoder(z).clamp(1e-7, 1 - 1e-7)"),
        ],
    ),
    "a multivariate normal distribution": (
        VAE_MODEL,
        z(
            "from torch.distributions import MultivariateNormal",
            "z = MultivariateNormal(mu, scale_tril=torch.diag_embed(log_sigma.exp())).rsample()",
        ),
    ),
    "cross entropy of logits, and KL number by number": (
        VAE_TRAINER,
        [
            *recon(
                "F.binary_cross_entropy_with_logits(torch.logit(recon, eps=1e-6), target, reduction='sum') / target.size(0)"
            ),
            *kl(
                "sum(((2 * log_sigma[:, j]).expm1() + mu[:, j].square()).mean() / 2 - log_sigma[:, j].mean() for j in range(mu.size(1)))"
            ),
        ],
    ),
    "Bernoulli's likelihood, and independent normals": (
        VAE_TRAINER,
        [
            swap("class Trainer", "import torch.distributions as D\n\n\nclass Trainer"),
            block(
                1,
                """
                likelihood = D.Independent(D.Bernoulli(recon, validate_args=False), 3, validate_args=False)
                posterior = D.Independent(D.Normal(mu, torch.exp(log_sigma)), 1)
                prior = D.Independent(D.Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
                recon_loss = -likelihood.log_prob(target).mean(dim=0)
                kl_loss = D.kl_divergence(posterior, prior).mean(dim=0)
                """,
            ),
        ],
    ),
    "means times the size of an image": (
        VAE_TRAINER,
        [
            swap("        self.run = run\n", "        self.run = run\n        self.criterion = nn.BCELoss()\n"),
            swap("import torch\n", "import torch\nfrom torch import nn\n"),
            block(
                1,
                """
                pixels = target[0].numel()
                recon_loss = self.criterion(recon, target) * pixels
                log_var = log_sigma.mul(2)
                kl_loss = -0.5 * torch.mean(1 + log_var - mu.pow(2) - log_var.exp()) * mu.shape[-1]
                """,
            ),
        ],
    ),
    "losses in double precision": (
        VAE_TRAINER,
        [
            block(
                1,
                """
                x, p = target.double(), recon.double().clamp(1e-10, 1 - 1e-10)
                recon_loss = -torch.einsum("bchw->b", x * p.log() + (1 - x) * torch.log1p(-p)).mean()
                mu, sigma = mu.double(), log_sigma.double().exp()
                kl_loss = (mu**2 / 2 + sigma**2 / 2 - torch.log(sigma) - 0.5).sum(dim=-1).mean()
                """,
            )
        ],
    ),
    "static methods, and two backward passes": (
        VAE_TRAINER,
        [
            swap(
                "    def train(self",
                """    @staticmethod
    def _bce(x: torch.Tensor, x_hat: torch.Tensor, eps: float = 1e-8) -> torch.Tensor:
        return -x * (x_hat + eps).clamp(min=1e-7).log() - (1 - x) * (1 - x_hat + eps).clamp(min=1e-7).log()

    @staticmethod
    def _kl(mu: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
        sigma_squared = torch.exp(log_sigma) ** 2
        return (mu * mu + sigma_squared - torch.log(sigma_squared) - 1) / 2

    def train(self""",
            ),
            block(
                1,
                "recon_loss = self._bce(target, recon).sum(dim=(1, 2, 3)).mean()",
                "kl_loss = self._kl(mu, log_sigma).sum(dim=1).mean()",
            ),
            swap("loss.backward()", "recon_loss.backward(retain_graph=True)\n            kl_loss.backward()"),
        ],
    ),
    "a function that makes a block of the generator": (
        GAN_MODEL,
        [
            block(
                1,
                """
                def up(in_channels: int, out_channels: int, *geometry: int) -> nn.Sequential:
                    # 转置卷积 + 批归一化 + 激活
                    return nn.Sequential(
                        nn.ConvTranspose2d(in_channels, out_channels, *geometry),
                        nn.BatchNorm2d(out_channels, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True),
                        nn.ReLU(inplace=True),
                    )

                widths = [hidden_dim * 2**i for i in (2, 1, 0)]
                layers = nn.ModuleList([up(latent_dim, widths[0], 4, 1, 0)])
                layers.extend(up(before, after, 4, 2, 1) for before, after in zip(widths, widths[1:]))
                self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], num_channels, 4, 2, 1), nn.Tanh())
                """,
            )
        ],
    ),
    "the generator's last layer before its first": (
        GAN_MODEL,
        [
            swap("from torch import nn", "import torch\nimport torch.nn.functional as F\nfrom torch import nn"),
            block(
                1,
                """
                self.unused = nn.Linear(2, 2)
                self.out = nn.ConvTranspose2d(hidden_dim, num_channels, (4, 4), (2, 2), (1, 1), (0, 0))
                for i in (3, 2, 1):
                    width = hidden_dim * 2 ** (3 - i)
                    conv = nn.ConvTranspose2d(latent_dim if i == 1 else 2 * width, width, 4, 1 + (i > 1), int(i > 1))
                    setattr(self, f"bn{i}", nn.BatchNorm2d(width))
                    setattr(self, f"conv{i}", conv)
                """,
            ),
            swap(
                "return self.decoder(z)",
                """h = z.view(-1, self.latent_dim, 1, 1)
        for i in range(1, 4):
            h = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h)), inplace=True)
        return torch.tanh(self.out(h))""",
            ),
        ],
    ),
    "as PyTorch's tutorial has it": (
        GAN_TRAINER,
        [
            block(
                1,
                """
                real_label, fake_label = 1.0, 0.0
                b_size = real_imgs.size(0)
                label = torch.full((b_size,), real_label, dtype=torch.float, device=real_imgs.device)
                output = self._netD(real_imgs).view(-1)
                loss_D_real = BCE_criterion(output, label)
                loss_D_real.backward()
                D_x = output.mean().item()
                """,
            ),
            block(
                2,
                """
                label.fill_(fake_label)
                output = self._netD(fake_imgs.detach()).view(-1)
                loss_D_fake = BCE_criterion(output, label)
                loss_D_fake.backward()
                D_G_z1 = output.mean().item()
                """,
            ),
            block(
                3,
                """
                label.fill_(real_label)  # fake labels are real for generator cost
                output = self._netD(fake_imgs).view(-1)
                loss_G = BCE_criterion(output, label)
                loss_G.backward()
                D_G_z2 = output.mean().item()
                """,
            ),
        ],
    ),
    "cross entropies by hand, and losses as floats": (
        GAN_TRAINER,
        [
            block(
                1,
                """
                D_real = self._netD(real_imgs)
                loss_D_real = -torch.mean(torch.log(D_real + 1e-8))
                loss_D_real.backward()
                loss_D_real, D_x = float(loss_D_real), float(D_real.mean())
                """,
            ),
            block(
                2,
                """
                D_fake = self._netD(fake_imgs.data)
                loss_D_fake = -torch.log((1 - D_fake).clamp(min=1e-8)).sum() / len(D_fake)
                loss_D_fake.backward()
                loss_D_fake, D_G_z1 = loss_D_fake.item(), D_fake.mean().item()
                """,
            ),
            block(
                3,
                """
                score = self._netD(fake_imgs)
                loss_G = sum(-s.log() for s in score) / len(score)
                loss_G.backward()
                loss_G, D_G_z2 = loss_G.detach().cpu().numpy(), score.detach().cpu().numpy().mean()
                """,
            ),
        ],
    ),
    "D frozen in G's step": (
        GAN_TRAINER,
        [
            swap(
                "        self._netD.zero_grad()\n",
                "        self._netG.train()\n        self._netD.train()\n        self._netD.zero_grad()\n",
            ),
            swap("self._netD(fake_imgs.detach())", "self._netD(fakes)"),
            swap(
                "        D_real = self._netD(real_imgs)",
                "        self._optimD.zero_grad(set_to_none=False)\n        with torch.no_grad():\n            fakes = fake_imgs.clone()\n        D_real = self._netD(real_imgs)",
            ),
            block(
                3,
                """
                self._optimG.zero_grad()
                for p in self._netD.parameters():
                    p.requires_grad_(False)
                D_fake = self._netD(fake_imgs)
                loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))
                loss_G.backward()
                for p in self._netD.parameters():
                    p.requires_grad_(True)
                with torch.no_grad():
                    D_G_z2 = self._netD(fake_imgs).mean()
                """,
            ),
        ],
    ),
    "gradients from torch.autograd.grad": (
        GAN_TRAINER,
        [
            swap("        loss_D_real.backward()\n", ""),
            swap("loss_D_fake.backward()", "torch.autograd.backward([loss_D_real, loss_D_fake])"),
            swap(
                "loss_G.backward(inputs=list(self._netG.parameters()))",
                """params = list(self._netG.parameters())
        for p, g in zip(params, torch.autograd.grad(loss_G, params)):
            p.grad = g""",
            ),
        ],
    ),
    "one method for all three judgements": (
        GAN_TRAINER,
        [
            swap(
                "    def train_step(",
                '''    def _judge(self, imgs: torch.Tensor, label: float, criterion: nn.Module, **options) -> tuple[torch.Tensor, float]:
        """判别器对一批图像打分，并反向传播。"""
        scores = self._netD(imgs)
        loss = criterion(scores, scores.new_full(scores.shape, label))
        loss.backward(**options)
        return loss, scores.mean().item()

    def train_step(''',
            ),
            block(1, "loss_D_real, D_x = self._judge(real_imgs, 1.0, BCE_criterion)"),
            block(2, "loss_D_fake, D_G_z1 = self._judge(fake_imgs.detach(), 0.0, BCE_criterion)  # 不更新生成器"),
            block(3, "loss_G, D_G_z2 = self._judge(fake_imgs, 1.0, BCE_criterion)"),
        ],
    ),
    "the fake half first, and columns of labels": (
        GAN_TRAINER,
        [
            block(
                1,
                """
                real, fake = self._netD(real_imgs).unsqueeze(1), self._netD(fake_imgs.detach()).unsqueeze(1)
                ones, zeros = torch.ones(len(real), 1), torch.FloatTensor(len(fake), 1).fill_(0)
                loss_D_fake = nn.BCELoss()(fake, zeros)
                loss_D_fake.backward()
                D_x = real.detach().mean()
                """,
            ),
            block(
                2,
                """
                loss_D_real = nn.functional.binary_cross_entropy(real, ones.to(real), reduction="sum") / ones.numel()
                loss_D_real.backward()
                D_G_z1 = fake.detach().mean()
                """,
            ),
        ],
    ),
    "not detached, with gradients for D alone": (
        GAN_TRAINER,
        [
            swap("self._netD(fake_imgs.detach())", "self._netD(fake_imgs)"),
            swap(
                "loss_D_fake.backward()", "loss_D_fake.backward(retain_graph=True, inputs=[*self._netD.parameters()])"
            ),
            swap("torch.zeros_like(D_fake)", "D_fake.new_zeros(D_fake.shape)"),
            swap("torch.ones_like(D_real)", "D_real.new_ones(D_real.shape)"),
        ],
    ),
}
# One remark is made about these; no fault.
REMARKED = {"one channel", "the generator's layers one by one", "not detached, with the same update"}
