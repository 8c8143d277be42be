"""Train the lenet extractor on MNIST: python -m coursekit.extractors.train_lenet --data_dir DIR.

One seed gives one file, bit for bit, on one machine with one version of torch: everything runs on one CPU thread and
every random number comes from the seed. Another processor or another torch may round differently and end in weights
that differ, with about the same accuracy. So lenet.pt is kept, not made anew, and FIDs name its hash.
"""

import argparse
import hashlib
import io
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import trange

from coursekit.data import Batches, ImageSet, load_images
from coursekit.errors import one_line_errors
from coursekit.extractors.lenet import WEIGHTS, LeNet, to_input
from coursekit.files import write_atomically

BATCH_SIZE = 128
NUM_EPOCHS = 6
PEAK_LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
PIXEL_STEP = (0.65, 1.15)  # old pixels for a new one: from 1.5 times as large to a little smaller
STRETCH = (0.85, 1.18)  # the same across, against down
SHIFT = (-0.125, 0.125)  # of half the image: 2 pixels
EVALUATION_BATCH = 500


def train(data: ImageSet, seed: int = 0, num_epochs: int = NUM_EPOCHS) -> LeNet:
    """Train a fresh network on the training split: AdamW, a one-cycle learning rate, varied images."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = LeNet().to(memory_format=torch.channels_last)
    images = Batches(data.train, BATCH_SIZE, seed)
    # Batches of the same seed go through the same order, and value_range (0, 255) keeps the labels as they are.
    labels = Batches(data.train_labels.to(torch.uint8).view(-1, 1, 1, 1), BATCH_SIZE, seed, value_range=(0, 255))
    num_steps = num_epochs * images.steps_per_epoch
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=num_steps)

    for step in trange(1, num_steps + 1, desc="training lenet", disable=None):
        logits = network(vary(images[step], generator))
        loss = F.cross_entropy(logits, labels[step].flatten().long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def vary(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Zoom, stretch and move every image of (N, 1, size, size) a little, black coming in at the edges.

    MNIST's digits leave a margin and scikit-learn's fill the frame: without the zoom, features made for the first
    tell the second badly apart.
    """

    def draw(lowest_highest: tuple[float, float], *shape: int) -> torch.Tensor:
        return torch.empty(len(images), *shape).uniform_(*lowest_highest, generator=generator)

    steps_down = draw(PIXEL_STEP)
    steps_right = steps_down * draw(STRETCH)
    transform = torch.zeros(len(images), 2, 3)  # from the place in the new image to the place in the old one
    transform[:, 0, 0], transform[:, 1, 1] = steps_right, steps_down
    transform[:, :, 2] = draw(SHIFT, 2)
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def accuracy(network: LeNet, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The fraction of (N, channels, height, width) uint8 images whose label the network names."""
    correct = 0
    for part, expected in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        correct += int((network(to_input(part)).argmax(dim=1) == expected).sum())
    return correct / len(images)


def main() -> None:
    """Train, measure on the test split, write the weights and the record beside them."""
    parser = argparse.ArgumentParser(prog="train_lenet", description="Train the lenet feature extractor on MNIST.")
    parser.add_argument("--data_dir", default="data", help="folder that holds MNIST/raw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every random number (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="weights file; the record goes beside it, as .json")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    data = load_images("mnist", args.data_dir)
    start = time.perf_counter()
    network = train(data, args.seed)
    seconds = time.perf_counter() - start

    buffer = io.BytesIO()
    torch.save({name: value.contiguous() for name, value in network.state_dict().items()}, buffer)
    record = {
        "command": f"python -m coursekit.extractors.train_lenet --data_dir DIR --seed {args.seed}",
        "data": "MNIST, resized to 32x32",
        "seed": args.seed,
        "epochs": NUM_EPOCHS,
        "steps": NUM_EPOCHS * (len(data.train) // BATCH_SIZE),
        "training_images": len(data.train),
        "test_images": len(data.validation),
        "test_accuracy": accuracy(network, data.validation, data.validation_labels),
        "torch": torch.__version__,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    write_atomically(args.out, buffer.getvalue())
    write_atomically(args.out.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    print(f"{args.out}: {record['test_accuracy']:.2%} of {record['test_images']} test images, {seconds:.0f} s")


if __name__ == "__main__":
    with one_line_errors("train_lenet"):
        main()
