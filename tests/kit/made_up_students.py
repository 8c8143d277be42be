"""Honest students of this assignment, made up: each has habits, and writes what is alike in a GAN's steps alike.

The three blocks of GAN/trainer.py are one pattern three times. Everybody draws the pattern, and the names in it, from a
handful that are taught, and keeps to it.
"""

import random
from collections.abc import Collection, Mapping
from pathlib import Path

from code_analyze.blocks import fill_blocks

CODES = Path(__file__).parents[2] / "codes"
FILES = tuple(f"{project}/{file}.py" for project in ("GAN", "VAE") for file in ("model", "trainer"))
COMMON = 0.45  # how often somebody does as the lecture does

# Blocks as nobody else writes them.
SAMPLE = """
        scatter = torch.normal(torch.zeros_like(mu), 1.0)
        z = torch.addcmul(mu, scatter, log_sigma.exp())
"""
PASSES = """
            halves = self.encoder(x)
            mu = halves.narrow(1, 0, self.latent_dim)
            log_sigma = halves.narrow(1, self.latent_dim, self.latent_dim)
            recon_x = self.decoder(self.reparameterize(mu, log_sigma)).clamp(1e-6, 1 - 1e-6)
"""
LOSSES = """
        certain = target * recon.log() + (1 - target) * (1 - recon).log()
        recon_loss = -certain.flatten(1).sum(1).mean()
        variance = torch.exp(log_sigma + log_sigma)
        kl_loss = (variance + mu * mu - variance.log() - 1).sum(1).mean() / 2
"""

Blocks = dict[str, list[str]]  # file -> its blocks' texts


class Student:
    """Somebody's habits."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def pick(self, *ways: str) -> str:
        """One of several ways, the first of which is the lecture's."""
        return ways[0] if self.random.random() < COMMON else self.random.choice(ways)

    def blocks(self) -> Blocks:
        """All that the student writes."""
        return {
            "GAN/model.py": [indented(self.generator())],
            "GAN/trainer.py": [indented(block) for block in self.steps()],
            "VAE/model.py": [
                indented(self.layers()),
                indented(self.sample()),
                indented(self.passes(), 12),
                indented(self.pick("images = self.decoder(z)", "# no encoder here\nimages = self.decoder(z)")),
            ],
            "VAE/trainer.py": [indented(self.losses())],
        }

    def steps(self) -> list[str]:
        """One pattern three times."""
        out = self.pick("output", "pred", "D_out", "logits", "prob", "score", "d")
        label = self.pick("label", "target", "real_label", "y", "labels")
        flat = self.pick("", ".view(-1)", ".squeeze()", ".reshape(-1)")
        ones = self.pick(
            "torch.ones_like({out})",
            "torch.ones({out}.shape, device={out}.device)",
            "torch.full_like({out}, {one}.)",
            "torch.full(({images}.size(0),), {one}.)",
            "torch.ones({images}.size(0))",
        )
        mean = self.pick("{out}.mean()", "{out}.mean().item()", "torch.mean({out})", "{out}.detach().mean()")
        has_label, is_mean_first = self.random.random() < 0.5, self.random.random() < 0.4
        says = self.pick("", "# {what}", "# {what} images")
        parts = []
        for images, loss, says_mean, one, what in (
            ("real_imgs", "loss_D_real", "D_x", 1, "real"),
            ("fake_imgs", "loss_D_fake", "D_G_z1", 0, "fake"),
            ("fake_imgs", "loss_G", "D_G_z2", 1, "G wants D to say that they are real"),
        ):
            given = "fake_imgs.detach()" if loss == "loss_D_fake" else images
            wanted = ones.format(out=out, images=images, one=one)
            wanted = wanted if one else wanted.replace("ones", "zeros")
            lines = [says.format(what=what)] if says else []
            lines.append(f"{out} = self._netD({given}){flat}")
            if has_label:
                lines.append(f"{label} = {wanted}")
            last = [f"{loss} = BCE_criterion({out}, {label if has_label else wanted})", f"{loss}.backward()"]
            value = f"{says_mean} = {mean.format(out=out)}"
            lines += [value, *last] if is_mean_first else [*last, value]
            parts.append("\n".join(lines))
        return parts

    def generator(self) -> str:
        sizes = ["latent_dim", "4 * hidden_dim", "2 * hidden_dim", "hidden_dim", "num_channels"]
        if self.random.random() < 0.3:
            sizes = [size.replace(" * ", "*") if size[0] in "24" else size for size in sizes]
        way = self.pick("kernel_size=4, stride={s}, padding={p}", "4, {s}, {p}", "4, stride={s}, padding={p}")
        bias = self.pick(", bias=False", "")
        relu = self.pick("nn.ReLU()", "nn.ReLU(True)", "nn.ReLU(inplace=True)")
        layers = []
        for n in range(4):
            shape = way.format(s=1 if n == 0 else 2, p=0 if n == 0 else 1)
            layers.append(f"nn.ConvTranspose2d({sizes[n]}, {sizes[n + 1]}, {shape}{bias}),")
            layers += [f"nn.BatchNorm2d({sizes[n + 1]}),", f"{relu},"] if n < 3 else ["nn.Tanh(),"]
        return self._stacked("decoder", layers)

    def layers(self) -> str:
        way = self.pick("kernel_size=3, stride={s}, padding=1", "3, {s}, 1", "3, stride={s}, padding=1")
        relu = self.pick("nn.ReLU()", "nn.ReLU(True)", "nn.ReLU(inplace=True)")
        flat = self.pick("16 * 8 * 8", "1024", "16*8*8")
        layers = []
        for a, b, s in (("num_channels", 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2)):
            layers += [f"nn.Conv2d({a}, {b}, {way.format(s=s)}),", f"{relu},"]
        layers += ["nn.Flatten(),", f"nn.Linear({flat}, 2 * latent_dim),", f"{relu},"]
        first = self._stacked("encoder", [*layers, "nn.Linear(2 * latent_dim, 2 * latent_dim),"])
        up = ["nn.Linear(latent_dim, latent_dim),", f"{relu},", f"nn.Linear(latent_dim, {flat}),"]
        up.append(self.pick("nn.Unflatten(1, (16, 8, 8)),", "nn.Unflatten(dim=1, unflattened_size=(16, 8, 8)),"))
        for a, b, s in ((16, 32, 2), (32, 32, 1), (32, 16, 2), (16, "num_channels", 1)):
            more = ", output_padding=1" if s == 2 else ""
            up += [f"nn.ConvTranspose2d({a}, {b}, {way.format(s=s)}{more}),", f"{relu},"]
        return first + "\n" + self._stacked("decoder", [*up[:-1], "nn.Sigmoid(),"])

    def _stacked(self, name: str, layers: list[str]) -> str:
        inside = "\n".join("    " + layer for layer in layers)
        if self.random.random() < 0.8:
            return f"self.{name} = nn.Sequential(\n{inside}\n)"
        own = self.pick("layers", "modules", "net", "blocks")
        return f"{own} = [\n{inside}\n]\nself.{name} = nn.Sequential(*{own})"

    def sample(self) -> str:
        noise = self.pick("epsilon", "eps", "noise", "e")
        std = self.pick("log_sigma.exp()", "torch.exp(log_sigma)", "std")
        draws = self.pick(
            "torch.randn_like(mu)", "torch.randn_like(log_sigma)", "torch.randn(mu.shape, device=mu.device)"
        )
        lines = [f"{noise} = {draws}"]
        if std == "std":
            lines.insert(self.random.randrange(2), "std = torch.exp(log_sigma)")
        return "\n".join(
            [*lines, self.pick(f"z = mu + {std} * {noise}", f"z = mu + {noise} * {std}", f"z = {noise} * {std} + mu")]
        )

    def passes(self) -> str:
        out = self.pick("h", "out", "encoded", "stats", "hidden")
        split = self.pick(
            "mu, log_sigma = {out}.chunk(2, dim=1)",
            "mu, log_sigma = torch.chunk({out}, 2, dim=1)",
            "mu = {out}[:, :self.latent_dim]\nlog_sigma = {out}[:, self.latent_dim:]",
            "mu, log_sigma = torch.split({out}, self.latent_dim, dim=1)",
        ).format(out=out)
        last = self.pick(
            "z = self.reparameterize(mu, log_sigma)\nrecon_x = self.decoder(z)",
            "recon_x = self.decoder(self.reparameterize(mu, log_sigma))",
        )
        return f"{out} = self.encoder(x)\n{split}\n{last}"

    def losses(self) -> str:
        batch = self.pick("target.shape[0]", "target.size(0)", "len(target)")
        own = self.pick("batch_size", "B", "n", "")
        recon = self.pick(
            'F.binary_cross_entropy(recon, target, reduction="sum") / {n}',
            "F.binary_cross_entropy(recon, target, reduction='none').sum(dim=(1, 2, 3)).mean()",
            "F.binary_cross_entropy(recon.view({n}, -1), target.view({n}, -1), reduction='sum') / {n}",
        )
        kl = self.pick(
            "0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / {n}",
            "-0.5 * torch.sum(1 + 2 * log_sigma - mu.pow(2) - torch.exp(2 * log_sigma)) / {n}",
            "(-0.5 * (1 + 2 * log_sigma - mu ** 2 - (2 * log_sigma).exp())).sum(dim=1).mean()",
            "0.5 * torch.sum(mu.pow(2) + log_sigma.exp().pow(2) - 1 - 2 * log_sigma, dim=1).mean()",
        )
        lines = [f"{own} = {batch}"] if own else []
        lines += [f"recon_loss = {recon.format(n=own or batch)}", f"kl_loss = {kl.format(n=own or batch)}"]
        return "\n".join(lines)


def indented(text: str, by: int = 8) -> str:
    """A block's text as it stands in the file."""
    return "".join(" " * by + line + "\n" if line else "\n" for line in text.split("\n"))


def files(blocks: Mapping[str, list[str]], projects: Collection[str] = ("GAN", "VAE")) -> dict[str, str]:
    """A hand-in, path below `codes` -> text, with the blocks of some projects filled in; the rest is not there."""
    return {
        name: fill_blocks((CODES / name).read_text(), blocks[name], name)
        for name in FILES
        if name.split("/")[0] in projects
    }


def honest(count: int, seed: int, projects: Collection[str] = ("GAN", "VAE")) -> dict[str, dict[str, str]]:
    """A class in which nobody copied, student -> files."""
    return {f"20{seed:02}{n:06}": files(Student(1_000 * seed + n).blocks(), projects) for n in range(count)}


def write(folder: Path, students: Mapping[str, Mapping[str, str]]) -> Path:
    """Write hand-ins; return their folder."""
    for student, texts in students.items():
        for name, text in texts.items():
            path = folder / student / "codes" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder
