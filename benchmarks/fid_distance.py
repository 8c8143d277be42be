"""The Fréchet distance against what pytorch-fid does: np.cov of both sides, then scipy.linalg.sqrtm of the product.

    python benchmarks/fid_distance.py [--repeats N] [--json FILE]

Both sides start from the same features, run alternately in one process on one thread, and are judged by the median CPU
time. pytorch-fid computes both sides' statistics at every call; it can be given the real side's from a file, and so can
we, so both are timed both ways. The full run takes several minutes, nearly all of it scipy's.

OpenBLAS 0.3.31 takes some new processors for a Haswell, without AVX-512; OPENBLAS_CORETYPE=SkylakeX in the environment
mends that for both sides alike. The first line that is printed names the kernels.
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

FEATURES = 2048  # of Inception-v3's pool3; --features changes it for a quick look


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


def alternate(functions: dict[str, Callable[[], float]], repeats: int) -> dict[str, dict[str, float]]:
    """Median CPU and wall seconds of each function, the functions taking turns."""
    times = {name: ([], []) for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            times[name][0].append(time.process_time() - cpu)
            times[name][1].append(time.perf_counter() - wall)
    return {
        name: {"cpu_s": statistics.median(cpu), "wall_s": statistics.median(wall)}
        for name, (cpu, wall) in times.items()
    }


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


def measure(images: int, make: Callable[[int, int], np.ndarray], repeats: int, claims: dict[str, float]) -> dict:
    """Time both ways of both sides on one kind of features; print and return the figures.

    Args:
        claims: the least ratio promised, by the name of our way.
    """
    real, fake = make(images, 1), make(images, 2)
    moments, side = peer_moments(real), real_side(real)
    times = alternate(
        {
            "scipy": lambda: peer_distance(*peer_moments(real), *peer_moments(fake)),
            "scipy, real side cached": lambda: peer_distance(*moments, *peer_moments(fake)),
            "coursekit": lambda: frechet_distance(real, fake),
            "coursekit, real side cached": lambda: distance_to(side, fake),
        },
        repeats,
    )
    print(
        f"frechet_distance, {images:,} x {images:,} images, {real.shape[1]:,} {make.__name__} features, 1 thread, "
        f"median of {repeats}"
    )
    ratios = {}
    for name, taken in times.items():
        line = f"  {name:28} {taken['cpu_s']:7.3f} s CPU {taken['wall_s']:7.3f} s wall"
        for peer in ("scipy", "scipy, real side cached"):
            if name.startswith("coursekit"):
                ratios[f"{peer} / {name}"] = ratio = times[peer]["cpu_s"] / taken["cpu_s"]
                line += f"   {ratio:5.1f} times {peer}"
        if name in claims:
            line += f"   (claim: >= {claims[name]:g})"
        print(line, flush=True)
    known = errors(real)
    print(
        f"  relative error where the distance is known: scipy {known['peer_relative_error']:.0e}, "
        f"coursekit {known['ours_relative_error']:.0e}",
        flush=True,
    )
    about = {"images": images, "spectrum": make.__name__, "repeats": repeats, "claims": claims}
    return {**about, "times": times, "cpu_ratios": ratios, **known}


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
    global FEATURES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--features", type=int, default=FEATURES, help="length of a feature vector")
    settings = parser.parse_args()
    FEATURES = settings.features
    about = machine()
    print("; ".join(f"{name} {value}" for name, value in about.items()))
    with threadpoolctl.threadpool_limits(1):
        results = [
            measure(images, make, settings.repeats, claims)
            for images, claims in ((1_000, {"coursekit": 40}), (10_000, {"coursekit, real side cached": 10}))
            for make in (gaussian, decaying)
        ]
    if settings.json:
        settings.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
