"""The Fréchet distance against what pytorch-fid does: np.cov of both sides, then scipy.linalg.sqrtm of the product.

    python benchmarks/fid_distance.py [--repeats N] [--json FILE]

Both sides start from the same features, run alternately in one process on one thread, and are judged by the median CPU
time. The full run takes a few minutes, nearly all of it scipy's.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg
import threadpoolctl

from coursekit.fid import distance_to, frechet_distance, real_side

FEATURES = 2048


def gaussian(images: int, seed: int) -> np.ndarray:
    """Independent standard normal features: a flat spectrum, the easiest case for the matrix square root."""
    return np.random.default_rng(seed).standard_normal((images, FEATURES))


def decaying(images: int, seed: int) -> np.ndarray:
    """Correlated features with variances from 1 down to 1e-6, closer to what an extractor gives for images."""
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((FEATURES, FEATURES)))[0]
    return (gaussian(images, seed) * np.logspace(0, -3, FEATURES)) @ axes


def peer_moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


def peer_distance(mean1: np.ndarray, sigma1: np.ndarray, mean2: np.ndarray, sigma2: np.ndarray) -> float:
    """`calculate_frechet_distance` of pytorch-fid 0.3.0, without the error estimate that scipy has since deprecated."""
    root = scipy.linalg.sqrtm(sigma1.dot(sigma2))
    if not np.isfinite(root).all():
        offset = np.eye(len(sigma1)) * 1e-6
        root = scipy.linalg.sqrtm((sigma1 + offset).dot(sigma2 + offset))
    offset = mean1 - mean2
    return float(offset.dot(offset) + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(root.real))


def alternate(peer: Callable[[], float], ours: Callable[[], float], repeats: int) -> dict:
    times: dict[str, list[float]] = {"peer_cpu": [], "peer_wall": [], "ours_cpu": [], "ours_wall": []}
    for _ in range(repeats):
        for name, function in (("peer", peer), ("ours", ours)):
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            times[f"{name}_cpu"].append(time.process_time() - cpu)
            times[f"{name}_wall"].append(time.perf_counter() - wall)
    return {f"{name}_s": statistics.median(values) for name, values in times.items()}


def errors(real: np.ndarray) -> dict:
    """Relative errors where the distance is known: for X2 = X1 T, T positive, tr (S1 S2)^(1/2) = tr (T S1)."""
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.standard_normal((FEATURES, FEATURES)))[0]
    transport = (axes * np.exp(rng.normal(0, 0.5, FEATURES))) @ axes.T
    fake = real @ (transport / 2 + transport.T / 2)
    centred = [side - side.mean(axis=0) for side in (real, fake)]
    variances = sum(np.vdot(side, side) for side in centred) - 2 * np.vdot(*centred)
    offset = real.mean(axis=0) - fake.mean(axis=0)
    exact = offset @ offset + variances / (len(real) - 1)
    return {
        "peer_relative_error": abs(peer_distance(*peer_moments(real), *peer_moments(fake)) / exact - 1),
        "ours_relative_error": abs(frechet_distance(real, fake) / exact - 1),
    }


def measure(
    images: int, make: Callable[[int, int], np.ndarray], cached: bool, repeats: int, claim: float | None
) -> dict:
    real, fake = make(images, 1), make(images, 2)
    if cached:
        moments, side = peer_moments(real), real_side(real)
        result = alternate(
            lambda: peer_distance(*moments, *peer_moments(fake)), lambda: distance_to(side, fake), repeats
        )
    else:
        result = alternate(
            lambda: peer_distance(*peer_moments(real), *peer_moments(fake)),
            lambda: frechet_distance(real, fake),
            repeats,
        )
    result |= {
        "images": images,
        "spectrum": make.__name__,
        "real_side_cached": cached,
        "repeats": repeats,
        "claim": claim,
    }
    result["cpu_ratio"] = result["peer_cpu_s"] / result["ours_cpu_s"]
    result["wall_ratio"] = result["peer_wall_s"] / result["ours_wall_s"]
    promised = f" (claim: >= {claim:g})" if claim else ""
    print(
        f"frechet_distance, {images:,} x {images:,} images, {FEATURES:,} {make.__name__} features, "
        f"real side {'cached' if cached else 'not cached'}, 1 thread, median of {repeats}\n"
        f"  scipy.linalg.sqrtm  {result['peer_cpu_s']:6.2f} s CPU {result['peer_wall_s']:6.2f} s wall   "
        f"coursekit  {result['ours_cpu_s']:6.3f} s CPU {result['ours_wall_s']:6.3f} s wall   "
        f"ratio {result['cpu_ratio']:.1f}{promised}",
        flush=True,
    )
    if not cached:
        result |= errors(real)
        print(
            f"  relative error where the distance is known: scipy {result['peer_relative_error']:.0e}, "
            f"coursekit {result['ours_relative_error']:.0e}",
            flush=True,
        )
    return result


def machine() -> dict:
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    blas = sorted(
        {f"{pool['internal_api']} {pool.get('architecture', '')}" for pool in threadpoolctl.threadpool_info()}
    )
    return {
        "cpu": cpu,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": ", ".join(blas),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    settings = parser.parse_args()
    about = machine()
    print("; ".join(f"{name} {value}" for name, value in about.items()))
    with threadpoolctl.threadpool_limits(1):
        results = [
            measure(1_000, gaussian, cached=False, repeats=settings.repeats, claim=40),
            measure(1_000, decaying, cached=False, repeats=settings.repeats, claim=40),
            measure(10_000, gaussian, cached=True, repeats=settings.repeats, claim=10),
            measure(10_000, decaying, cached=True, repeats=settings.repeats, claim=10),
            measure(10_000, gaussian, cached=False, repeats=settings.repeats, claim=None),
            measure(10_000, decaying, cached=False, repeats=settings.repeats, claim=None),
        ]
    if settings.json:
        settings.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
