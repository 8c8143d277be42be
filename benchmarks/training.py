"""Training speed: our loop against a starter-style one, image for image, in CPU time and in wall time.

    python benchmarks/training.py --data_dir DIR [--models VAE GAN] [--levers] [--layers] [--json FILE]

The peer is the loop that a first solution of this assignment is: torchvision's MNIST, PIL transforms, a DataLoader
with two workers (whose CPU time counts), default Adam, contiguous tensors. Ours is the reference solution, trained by
its own Trainer with curves and progress bar. Every run is a process of its own, the two sides take turns, and both
have one thread. `--levers` takes away one of our settings at a time; `--layers` compares a step with the sum of its
layers.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = {"VAE": 2.2, "GAN": 1.7}
BATCH_SIZE = {"VAE": 32, "GAN": 64}
LATENT_DIM = 100
WARM_UP = 30
LOGGING_STEPS = 10
FIFTHS = 5
PEER_THREADS = "peer-threads"
LEVERS = {
    "data": "DataLoader with PIL and 2 workers in place of batches from memory",
    "memory": "glibc's malloc as it is",
    "layout": "contiguous weights",
    "fused": "Adam parameter by parameter",
    "denormals": "denormal numbers kept",
    "one_pass": "element-wise losses, then sums and means",
}


def cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pil_loader(model: str, data_dir: str, seed: int):
    """Torchvision's MNIST as a starter loads it: (real images, labels) in shuffled batches."""
    import torch
    from torchvision import datasets, transforms

    steps = [transforms.Resize(32), transforms.ToTensor()]
    if model == "GAN":
        steps.append(transforms.Normalize((0.5,), (0.5,)))
    dataset = datasets.MNIST(data_dir, train=True, transform=transforms.Compose(steps))
    generator = torch.Generator().manual_seed(seed)
    return torch.utils.data.DataLoader(
        dataset, BATCH_SIZE[model], shuffle=True, num_workers=2, drop_last=True, generator=generator
    )


class Stopwatch:
    """Counts the steps of a loop, and their CPU and wall time after the warm-up."""

    def __init__(self, steps: int):
        self.steps = steps
        self.count = 0

    def tick(self) -> bool:
        """Called before each step; False once enough have been made."""
        if self.count == WARM_UP:
            self.cpu, self.wall = cpu_s(), time.perf_counter()
        if self.count == WARM_UP + self.steps:
            self.wall = time.perf_counter() - self.wall
            return False
        self.count += 1
        return True


def peer(model: str, data_dir: str, steps: int, seed: int, threads: int | None) -> tuple[Stopwatch, dict]:
    """The starter-style loop, written from the assignment's tables alone; `threads` None is torch's default."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    watch, losses = Stopwatch(steps), {}
    writer = SummaryWriter(tempfile.mkdtemp())
    loader = pil_loader(model, data_dir, seed)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
            self.conv3, self.conv4 = nn.Conv2d(32, 32, 3, 1, 1), nn.Conv2d(32, 16, 3, 2, 1)
            self.fc1 = nn.Linear(16 * 8 * 8, 2 * LATENT_DIM)
            self.fc2 = nn.Linear(2 * LATENT_DIM, 2 * LATENT_DIM)

        def forward(self, x):
            x = F.relu(self.conv4(F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))))
            x = self.fc2(F.relu(self.fc1(x.view(x.size(0), -1))))
            return x[:, :LATENT_DIM], x[:, LATENT_DIM:]

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(LATENT_DIM, LATENT_DIM), nn.Linear(LATENT_DIM, 16 * 8 * 8)
            self.deconv1 = nn.ConvTranspose2d(16, 32, 3, 2, 1, 1)
            self.deconv2 = nn.ConvTranspose2d(32, 32, 3, 1, 1)
            self.deconv3 = nn.ConvTranspose2d(32, 16, 3, 2, 1, 1)
            self.deconv4 = nn.ConvTranspose2d(16, 1, 3, 1, 1)

        def forward(self, z):
            x = self.fc2(F.relu(self.fc1(z))).view(-1, 16, 8, 8)
            x = F.relu(self.deconv3(F.relu(self.deconv2(F.relu(self.deconv1(x))))))
            return torch.sigmoid(self.deconv4(x))

    def vae_steps():
        encoder, decoder = Encoder(), Decoder()
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
        for images in epochs():
            mu, log_sigma = encoder(images)
            recon = decoder(mu + torch.exp(log_sigma) * torch.randn_like(mu))
            recon_loss = F.binary_cross_entropy(recon, images, reduction="none").sum(dim=(1, 2, 3)).mean()
            kl = 0.5 * (mu**2 + torch.exp(log_sigma) ** 2 - 2 * log_sigma - 1)
            loss = recon_loss + kl.sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield {"loss": loss, "reconstruction_loss": recon_loss, "KL_divergence": loss - recon_loss}

    def gan_steps():
        h = 16

        def block(conv, channels_in, channels_out, *shape):
            return [conv(channels_in, channels_out, *shape, bias=False), nn.BatchNorm2d(channels_out)]

        def init(layer):
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)
                nn.init.zeros_(layer.bias)

        deconv, conv = nn.ConvTranspose2d, nn.Conv2d
        generator = nn.Sequential(
            *[*block(deconv, LATENT_DIM, 4 * h, 4, 1, 0), nn.ReLU()],
            *[*block(deconv, 4 * h, 2 * h, 4, 2, 1), nn.ReLU()],
            *[*block(deconv, 2 * h, h, 4, 2, 1), nn.ReLU()],
            *[deconv(h, 1, 4, 2, 1, bias=False), nn.Tanh()],
        ).apply(init)
        discriminator = nn.Sequential(
            *[conv(1, h, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)],
            *[*block(conv, h, 2 * h, 4, 2, 1), nn.LeakyReLU(0.2)],
            *[*block(conv, 2 * h, 4 * h, 4, 2, 1), nn.LeakyReLU(0.2)],
            *[conv(4 * h, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0)],
        ).apply(init)
        optim_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        optim_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        criterion = nn.BCELoss()
        for real in epochs():
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            fake = generator(torch.randn(len(real), LATENT_DIM, 1, 1))
            discriminator.zero_grad()
            on_real = discriminator(real)
            loss_real = criterion(on_real, ones)
            loss_real.backward()
            loss_fake = criterion(discriminator(fake.detach()), zeros)
            loss_fake.backward()
            optim_d.step()
            generator.zero_grad()
            loss_g = criterion(discriminator(fake), ones)
            loss_g.backward()
            optim_g.step()
            yield {"discriminator_loss": loss_real + loss_fake, "generator_loss": loss_g, "D(x)": on_real.mean()}

    def epochs():
        while True:
            for images, _ in loader:
                if not watch.tick():
                    return
                yield images

    for step, curves in enumerate({"VAE": vae_steps, "GAN": gan_steps}[model](), start=1):
        if step % LOGGING_STEPS == 0:
            for name, value in curves.items():
                losses.setdefault(name, []).append(value.item())
                writer.add_scalar(name, value.item(), step)
    return watch, losses


def ours(model: str, data_dir: str, steps: int, seed: int, without: str | None) -> tuple[Stopwatch, dict]:
    """The reference solution under its own Trainer, stopped after enough steps; `without` takes one lever away."""
    sys.path.insert(0, str(ROOT / "reference_solution" / model))
    import torch
    import torch.nn.functional as F

    from coursekit import speed
    from coursekit.run import Run
    from dataset import Dataset
    from trainer import Trainer

    if without == "memory":
        speed.keep_freed_memory = lambda: None
    if without == "layout":
        speed.to_fast_layout = lambda module, device: module.to(device)
    folder = Path(tempfile.mkdtemp())
    args = argparse.Namespace(
        **dict(dataset="mnist", latent_dim=LATENT_DIM, batch_size=BATCH_SIZE[model], seed=seed, no_cuda=True),
        **dict(num_train_steps=10**6, num_threads=1, ckpt_dir=folder / "results", log_dir=folder / "runs"),
    )
    run = Run(model, args)
    if without == "denormals":
        torch.set_flush_denormal(False)
    data = Dataset("mnist", data_dir, args.batch_size, seed, run.device)
    trainer = make_trainer(model, Trainer, run, data)
    if without == "fused":
        for optimizer in vars(trainer).values():
            if isinstance(optimizer, torch.optim.Adam):
                for group in optimizer.param_groups:
                    group["fused"] = False

    def element_wise(target, recon, mu, log_sigma):
        recon_loss = F.binary_cross_entropy(recon, target, reduction="none").sum(dim=(1, 2, 3)).mean()
        kl = 0.5 * (mu**2 + torch.exp(log_sigma) ** 2 - 2 * log_sigma - 1)
        return recon_loss, kl.sum(dim=1).mean()

    if without == "one_pass":
        trainer.loss_fn = element_wise
    watch, losses = Stopwatch(steps), {}

    class Enough(Exception):
        pass

    class Watched:
        """The batches, with the stopwatch ticking before each step."""

        def __init__(self, batches):
            self.batches = batches

        def __getitem__(self, step):
            if not watch.tick():
                raise Enough
            return next(self.batches) if without == "data" else self.batches[step]

    def endless(loader):
        while True:
            for images, _ in loader:
                yield images

    data.train = Watched(endless(pil_loader(model, data_dir, seed)) if without == "data" else data.train)
    log_scalars = run.log_scalars

    def remember(step, values):
        for name, value in values.items():
            losses.setdefault(name, []).append(float(value.detach()))
        log_scalars(step, values)

    run.log_scalars = remember
    with contextlib.suppress(Enough):
        trainer.train(10**6, LOGGING_STEPS, 10**6)
    data.train.batches = None  # ends the workers, whose time then counts
    return watch, losses


def make_trainer(model, Trainer, run, data):
    """The reference's model under its Trainer, as its main.py makes them."""
    if model == "VAE":
        from model import VAE

        return Trainer(run.to_device(VAE(1, LATENT_DIM)), 1e-3, data, run)
    from model import Discriminator, Generator

    networks = run.to_device(Generator(1, LATENT_DIM, 16)), run.to_device(Discriminator(1, 16))
    return Trainer(*networks, 2e-4, 0.5, data, run)


def child(side: str, model: str, data_dir: str, steps: int, seed: int) -> None:
    """One measured run; prints its figures as JSON."""
    if side.startswith("peer"):
        watch, losses = peer(model, data_dir, steps, seed, threads=None if side == PEER_THREADS else 1)
    else:
        watch, losses = ours(model, data_dir, steps, seed, side.partition("-")[2] or None)
    print(json.dumps({"cpu_s": cpu_s() - watch.cpu, "wall_s": watch.wall, "losses": losses}))


def measure(side: str, options, model: str, seed: int) -> dict:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--child", side, "--models", model, "--data_dir", options.data_dir]
    command += ["--steps", str(options.steps), "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:  # for the checkpoints and curves of the run
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": folder})
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def layers_alone(model: str) -> float:
    """Milliseconds of CPU that a step's layers take when each is timed alone."""
    sys.path.insert(0, str(ROOT / "reference_solution" / model))
    import torch

    from coursekit import speed

    speed.tune_process(1)
    speed.keep_freed_memory()
    batch = BATCH_SIZE[model]
    # Each network with its input, and how often a step goes through it forward and backward: without a gradient of the
    # input (the encoder, G, and D in its own step), and with one (the decoder, and D in G's step).
    if model == "VAE":
        from model import VAE

        vae = VAE(1, LATENT_DIM)
        networks = [
            (vae.encoder, torch.rand(batch, 1, 32, 32), 1, 0),
            (vae.decoder, torch.randn(batch, LATENT_DIM), 0, 1),
        ]
    else:
        from model import Discriminator, Generator

        networks = [
            (Generator(1, LATENT_DIM, 16).decoder, torch.randn(batch, LATENT_DIM, 1, 1), 1, 0),
            (Discriminator(1, 16).layers, torch.rand(batch, 1, 32, 32), 2, 1),
        ]
    total = 0.0
    for network, x, passes_plain, passes_to_input in networks:
        speed.to_fast_layout(network, "cpu")
        for index, layer in enumerate(network):
            x = x.detach().requires_grad_(index > 0)
            out = layer(x)
            grad = torch.randn_like(out)
            wanted = [*layer.parameters(), *([x] if index > 0 else [])]
            forward = median_ms(lambda layer=layer, x=x: layer(x))
            total += (passes_plain + passes_to_input) * forward
            if wanted:
                plain = median_ms(lambda out=out, w=wanted, g=grad: torch.autograd.grad(out, w, g, retain_graph=True))
                total += passes_plain * plain
            if passes_to_input:
                x = x.detach().requires_grad_()
                out = layer(x)
                wanted = [*layer.parameters(), x]
                if model == "GAN":  # G's step takes no gradients of D's weights
                    wanted = [x]
                full = median_ms(lambda out=out, w=wanted, g=grad: torch.autograd.grad(out, w, g, retain_graph=True))
                total += passes_to_input * full
            x = out
    return total


def median_ms(function, repeats: int = 100) -> float:
    """Median CPU milliseconds of a call."""
    for _ in range(10):
        function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append((time.process_time() - start) * 1e3)
    return statistics.median(times)


def windows(losses: list[float], count: int = FIFTHS) -> list[float]:
    """Means over consecutive parts of a loss curve."""
    size = len(losses) // count
    return [statistics.mean(losses[i * size : (i + 1) * size]) for i in range(count)]


def compare(options, model: str) -> dict:
    """Peer and ours in turn; prints and returns the figures."""
    runs: dict[str, list[dict]] = {"peer": [], "ours": []}
    if options.levers:
        runs[PEER_THREADS] = []
        runs |= {f"ours-{lever}": [] for lever in LEVERS if lever != "one_pass" or model == "VAE"}
    for repeat in range(options.repeats):
        for side in runs:
            runs[side].append(measure(side, options, model, seed=repeat))
            print(f"  {model} {side} {runs[side][-1]['cpu_s'] / options.steps * 1e3:.1f} ms CPU", file=sys.stderr)
    images = options.steps * BATCH_SIZE[model]
    cpu = {side: statistics.median(run["cpu_s"] for run in done) for side, done in runs.items()}
    wall = {side: statistics.median(run["wall_s"] for run in done) for side, done in runs.items()}
    ratio = cpu["peer"] / cpu["ours"]
    print(f"training {model}, MNIST, latent {LATENT_DIM}, batch {BATCH_SIZE[model]}, float32, 1 thread,", end=" ")
    print(f"{options.steps} steps, median of {options.repeats}")
    print(
        f"  starter-style {images / cpu['peer']:,.0f} images/CPU s      coursekit {images / cpu['ours']:,.0f}", end=" "
    )
    print(f"images/CPU s      ratio {ratio:.2f} (claim: >= {CLAIMS[model]})")
    print(f"  in wall time: ratio {wall['peer'] / wall['ours']:.2f}")
    curves = {}
    name = "loss" if model == "VAE" else "generator_loss"
    for side in ("peer", "ours"):
        parts = [windows(run["losses"][name]) for run in runs[side]]
        curves[side] = [(statistics.mean(part), statistics.pstdev(part)) for part in zip(*parts, strict=True)]
        shown = "  ".join(f"{mean:.2f} ± {spread:.2f}" for mean, spread in curves[side])
        print(f"  {name} in fifths of the run, {side}: {shown}")
    for lever, what in LEVERS.items():
        side = f"ours-{lever}"
        if side in cpu:
            print(f"  without {lever} ({what}): {cpu[side] / options.steps * 1e3:.1f} ms CPU a step,", end=" ")
            print(f"{cpu[side] / cpu['ours']:.2f} times")
    if PEER_THREADS in cpu:
        taken = f"{cpu[PEER_THREADS] / options.steps * 1e3:.1f} ms CPU"
        print(f"  starter-style with torch's default threads: {taken} a step,", end=" ")
        print(f"{cpu[PEER_THREADS] / cpu['ours']:.2f} times ours in CPU time and", end=" ")
        print(f"{wall[PEER_THREADS] / wall['ours']:.2f} times in wall time")
    print(f"  a step: starter-style {cpu['peer'] / options.steps * 1e3:.1f} ms CPU, coursekit", end=" ")
    print(f"{cpu['ours'] / options.steps * 1e3:.1f} ms CPU")
    return {"cpu_s": cpu, "wall_s": wall, "ratio_cpu": ratio, "loss_windows": curves, "claim": CLAIMS[model]}


def main() -> None:
    """Measure what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default=os.environ.get("COURSEKIT_DATA_DIR", "data"), help="holds MNIST/raw")
    parser.add_argument("--models", nargs="+", choices=CLAIMS, default=list(CLAIMS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--levers", action="store_true", help="also without each of our settings")
    parser.add_argument("--layers", action="store_true", help="also the sum of the layers timed alone")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if WARM_UP + options.steps < FIFTHS * LOGGING_STEPS:
        parser.error(
            f"--steps {options.steps}: at least {FIFTHS * LOGGING_STEPS - WARM_UP}, for a loss curve in fifths"
        )
    if options.child:
        with contextlib.redirect_stderr(io.StringIO()):  # the progress bar
            child(options.child, options.models[0], options.data_dir, options.steps, options.seed)
        return
    import torch

    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    figures = {}
    for model in options.models:
        figures[model] = compare(options, model)
        if options.layers:
            alone = subprocess.run(
                [sys.executable, "-c", f"import training; print(training.layers_alone({model!r}))"],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                check=True,
            )
            figures[model]["layers_alone_ms"] = float(alone.stdout)
            print(f"  its layers timed alone: {float(alone.stdout):.1f} ms CPU")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
