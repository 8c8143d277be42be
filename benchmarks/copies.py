"""Which samples are taken for copies of training images: stored ones in many disguises, and honest models' own.

    python benchmarks/copies.py --data_dir DIR [--samples FOLDER] [--count 10000] [--json FILE]

Stored images are drawn from the training split and changed (`tests/kit/copied_images.py`); all of these should be taken
for copies that have an FID which would give points. Validation images stand for a model that can't be bettered.
FOLDER/*.npy, (N, 1, 32, 32) and uint8, are samples of honest models, as `autograder.training.train` draws them; none
should be. FIDs are those of the lenet extractor.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "kit")]


def main() -> None:
    """Print a line for each kind of samples."""
    from copied_images import CHANGES

    from autograder.copies import count_copies
    from coursekit import extractors
    from coursekit.data import load_images
    from coursekit.evaluation import generated_features, training_side
    from coursekit.fid import distance_to

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--samples", type=Path, help="a folder with samples of honest models")
    parser.add_argument("--count", type=int, default=10_000, help="images of each kind that are stored")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images, extractor = load_images("mnist", options.data_dir), extractors.choose("lenet")
    real = training_side(extractor, images, extractor.protocol_images)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; MNIST, {options.count:,} images of each kind")
    rows = {}

    def judge(name: str, samples: np.ndarray) -> None:
        found = count_copies(samples, images)
        fid = distance_to(real, generated_features(extractor, torch.from_numpy(samples)))
        rows[name] = {"fid": fid, "copied": found.copied, "looked_at": found.looked_at, "flagged": found.are_too_many}
        flag = "copies" if found.are_too_many else ""
        print(f"{name:32} FID {fid:7.2f}   {found.copied:5,} of {found.looked_at:,}   {flag}", flush=True)

    judge("validation images", images.validation.numpy()[: options.count])
    for path in sorted(options.samples.glob("*.npy")) if options.samples else ():
        judge(path.stem, np.load(path))
    for name, change in CHANGES.items():
        rng = np.random.default_rng(0)
        judge(name, change(images.train.numpy()[rng.permutation(len(images.train))[: options.count]], rng))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
