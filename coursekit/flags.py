"""The command line that VAE and GAN share. Nothing heavy is imported here: `--help` answers at once."""

import argparse
from pathlib import Path

from coursekit.extractors import EXTRACTOR_NAMES

DATASET_NAMES = ("mnist", "fashion_mnist", "digits")


def positive(text: str) -> int:
    """A whole number of at least 1, as an argparse type."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def not_negative(text: str) -> int:
    """A whole number of at least 0, as an argparse type."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is a negative number")
    return number


def rate(text: str) -> float:
    """A finite number above 0, as an argparse type."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def decay(text: str) -> float:
    """A number in [0, 1), as an argparse type."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie in [0, 1)")
    return number


def existing_file(text: str) -> str:
    """The path of a file that is there, as an argparse type: better said before hours of training than after."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return text


def run_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags that say what a run does, on which data, and where it puts things."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    group = parser.add_argument_group("the run")
    group.add_argument("--do_train", action="store_true", help="train, from the newest checkpoint where there is one")
    group.add_argument(
        "--num_train_steps", "--num_training_steps", type=positive, default=25000, metavar="N", help="length"
    )
    group.add_argument(
        "--logging_steps", type=positive, default=10, metavar="N", help="a point of the curves every N steps"
    )
    group.add_argument("--saving_steps", type=positive, default=1000, metavar="N", help="a checkpoint every N steps")
    group.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of weights, batches and samples")
    group.add_argument("--no_cuda", action="store_true", help="stay on the CPU where there is a GPU")
    group.add_argument(
        "--num_threads", type=positive, default=1, metavar="N", help="CPU threads; 1 is best for these models"
    )

    group = parser.add_argument_group("data and folders")
    group.add_argument("--dataset", choices=DATASET_NAMES, default="mnist", help="digits needs no download")
    group.add_argument("--data_dir", default="data", metavar="DIR", help="where data sets lie or are downloaded to")
    group.add_argument("--ckpt_dir", default="results", metavar="DIR", help="for checkpoints, pictures and fid.json")
    group.add_argument("--log_dir", default="./runs", metavar="DIR", help="for TensorBoard")

    group = parser.add_argument_group("FID")
    group.add_argument(
        "--fid_extractor", choices=EXTRACTOR_NAMES, default="auto", help="auto: inception where it can be had"
    )
    group.add_argument(
        "--fid_samples", type=positive, metavar="N", help="images on each side (inception 3000, lenet 10000)"
    )
    group.add_argument(
        "--inception_weights", type=existing_file, metavar="PATH", help="Inception-v3 weights on this machine"
    )
    return parser
