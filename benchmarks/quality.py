"""FID of the reference solution on real MNIST at the default settings, over seeds: what the thresholds rest on.

    python benchmarks/quality.py --data_dir DIR --out DIR [--steps 25000] [--seeds 3] [--jobs 2] [--json FILE]

Every run is `main.py --do_train` of the reference solution, so a stopped benchmark goes on where it stopped, and one
that is done only scores again. Hours on one core: 25,000 steps of one VAE take about seven minutes, of one GAN nine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODELS = [("VAE", 3), ("VAE", 10), ("VAE", 100), ("GAN", 100)]


def train(model: str, latent_dim: int, seed: int, options: argparse.Namespace) -> dict:
    """Train (or finish) one run; returns its fid.json."""
    command = [sys.executable, "main.py", "--do_train", "--latent_dim", latent_dim, "--seed", seed]
    command += ["--num_train_steps", options.steps, "--fid_extractor", options.fid_extractor]
    command += [
        "--data_dir",
        options.data_dir,
        "--ckpt_dir",
        options.out / "results",
        "--log_dir",
        options.out / "runs",
    ]
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT / "reference_solution" / model, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    line = next(line for line in done.stdout.splitlines() if "generated against" in line)
    print(f"{model}, latent {latent_dim}, seed {seed}: {line}", file=sys.stderr)
    (run,) = (options.out / "results").glob(f"{model}-mnist-latent{latent_dim}-*-steps{options.steps}-seed{seed}")
    return json.loads((run / "fid.json").read_text())


def main() -> None:
    """Train every model with every seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, default=os.environ.get("COURSEKIT_DATA_DIR", "data"))
    parser.add_argument("--out", type=Path, required=True, help="for checkpoints and curves")
    parser.add_argument("--steps", type=int, default=25000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--fid_extractor", default="lenet")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    options.data_dir, options.out = options.data_dir.resolve(), options.out.resolve()

    runs = [(model, latent_dim, seed) for seed in range(options.seeds) for model, latent_dim in MODELS]
    with ThreadPoolExecutor(options.jobs) as pool:
        scores = dict(zip(runs, pool.map(lambda run: train(*run, options), runs), strict=True))

    print(
        f"| model | latent_dim | batch_size | steps | FID, mean ± standard deviation of {options.seeds} seeds | each |"
    )
    print("|---|---|---|---|---|---|")
    figures = []
    for model, latent_dim in MODELS:
        of_model = [scores[model, latent_dim, seed] for seed in range(options.seeds)]
        fids = [score["fid"] for score in of_model]
        spread = statistics.stdev(fids) if len(fids) > 1 else 0.0
        batch_size = of_model[0]["settings"]["batch_size"]
        each = ", ".join(f"{fid:.2f}" for fid in fids)
        mean = statistics.mean(fids)
        print(f"| {model} | {latent_dim} | {batch_size} | {options.steps:,} | {mean:.2f} ± {spread:.2f} | {each} |")
        figures.append({"model": model, "latent_dim": latent_dim, "mean": mean, "stdev": spread, "runs": of_model})
    one = next(iter(scores.values()))
    print(
        f"\n{one['extractor']} {one['extractor_weights_sha256'][:8]}, {one['generated_images']:,} images against",
        end=" ",
    )
    print(f"{one['real_images']:,}; floor (real against real) {one['floor']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
