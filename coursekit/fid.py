"""The Fréchet distance between the features of real and of generated images (FID when the extractor is Inception).

Heusel et al. 2017, arXiv:1706.08500, Eq. 6: the squared Wasserstein-2 distance of the two fitted Gaussians,

    |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2),

in float64 with unbiased covariances. The last term needs no matrix square root: with R^T R = S1, the eigenvalues of
S1 S2 are those of the symmetric R S2 R^T, and their roots are the singular values of R1 R2^T.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coursekit.errors import CourseError
from coursekit.files import write_atomically

Features = np.ndarray | torch.Tensor

CACHE_FORMAT = 1
TRACE_TOLERANCE = 1e-9  # relative; where the fast way may err by more, the singular values are computed
SMALLEST_PIVOT = 1e-10  # of the largest variance; below it a Cholesky factor holds mostly rounding errors
GRADED = 100  # the ratio of variances from which on the order of the features matters
BLOCK = 128


@dataclass(frozen=True)
class RealSide:
    """All that a distance needs to know of the real images, so that they are read once for many distances.

    Attributes:
        mean: (D,), the mean of every feature.
        columns: (L,), the features that vary at all, the largest variance first where variances differ much.
        factor: a matrix F with F^T F = S1[columns, columns]: (L, L) and upper triangular, or, with at most as many
            images as features, (num_images, L).
        variance: tr S1.
        norm: the largest eigenvalue of S1, roughly.
        num_images: how many images it was made from.
    """

    mean: np.ndarray
    columns: np.ndarray
    factor: np.ndarray
    variance: float
    norm: float
    num_images: int

    @property
    def is_triangular(self) -> bool:
        """Whether there were enough images for a square factor."""
        return self.num_images > len(self.columns)


def frechet_distance(x: Features, y: Features) -> float:
    """Measure how far generated images are from real ones, in the eyes of a feature extractor.

    Args:
        x: (N, D), the features of the real images; array or tensor, any float type, any device.
        y: (M, D), the features of the generated images; M and N may differ.
    Returns:
        Eq. 6 of arXiv:1706.08500: 0 for equal means and covariances, larger is worse. The two sides can be swapped.
    Raises:
        CourseError: features that no distance can be computed from (not finite, all the same, fewer than two, of
            different extractors).
    """
    return distance_to(real_side(x), y)


def real_side(features: Features) -> RealSide:
    """Summarise the features (N, D) of the real images; what `frechet_distance` does to its first argument."""
    moments = _moments(features, "real")
    columns = np.flatnonzero(moments.variances)
    variances = moments.variances[columns]
    if variances.max() > GRADED * variances.min():
        # The largest variance first makes the matrices graded, from large to small: LAPACK's tridiagonal reduction then
        # keeps small eigenvalues far more exactly than its worst case (sorted the other way, 7 digits are lost).
        columns = columns[np.argsort(-variances, kind="stable")]
    factor = _factor(moments.centred[:, columns])
    return RealSide(
        mean=moments.mean,
        columns=columns,
        factor=factor,
        variance=float(moments.variances.sum()),
        norm=_norm(lambda v: factor.T @ (factor @ v), len(columns)),
        num_images=len(moments.centred),
    )


def distance_to(real: RealSide, features: Features) -> float:
    """Compute the Fréchet distance between the real side and the features (M, D) of generated images."""
    fake = _moments(features, "generated")
    if fake.mean.shape != real.mean.shape:
        raise CourseError(
            f"{len(real.mean):,} features of each real image but {len(fake.mean):,} of each generated one: "
            "take both from the same extractor"
        )
    offset = real.mean - fake.mean
    total_variance = real.variance + float(fake.variances.sum())
    distance = float(offset @ offset) + total_variance - 2 * _trace_of_root(real, fake.centred)
    # Equal sides leave a difference of rounding errors, which may be negative. Anything beyond them is a bug.
    if distance < -TRACE_TOLERANCE * total_variance:
        raise ArithmeticError(f"Fréchet distance {distance} with total variance {total_variance}")
    return max(distance, 0.0)


def cached_real_side(path: Path | str, make_features: Callable[[], Features]) -> RealSide:
    """Read the real side from a file, or make it and leave it there for the next run.

    Several processes may do so at once: each writes a whole file or none. A file that is damaged is made anew.

    Args:
        path: the cache file, ending in .npz; it must name all that the features depend on (data set, split, extractor).
        make_features: gives the features (N, D) of the real images; called only where there is no file to read.
    Raises:
        CourseError: the features are unusable (see `frechet_distance`).
    """
    real = _load(Path(path))
    if real is None:
        real = real_side(make_features())
        with contextlib.suppress(CourseError):  # a cache that can't be written costs time, not the result
            _save(Path(path), real)
    return real


def _save(path: Path, real: RealSide) -> None:
    content = io.BytesIO()
    np.savez(content, format=CACHE_FORMAT, **vars(real))
    write_atomically(path, content.getvalue())


def _load(path: Path) -> RealSide | None:
    """Read what `_save` wrote; None for a file that is missing, damaged or not of this format."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if int(arrays["format"]) != CACHE_FORMAT:
                return None
            real = RealSide(
                mean=arrays["mean"],
                columns=arrays["columns"],
                factor=arrays["factor"],
                variance=float(arrays["variance"]),
                norm=float(arrays["norm"]),
                num_images=int(arrays["num_images"]),
            )
    except Exception:  # damaged bytes make zipfile, zlib and numpy fail in a dozen ways, all with the same remedy
        return None
    return real if _is_sound(real) else None


def _is_sound(real: RealSide) -> bool:
    rows = len(real.columns) if real.is_triangular else real.num_images
    return (
        real.mean.ndim == real.columns.ndim == 1
        and real.mean.dtype == real.factor.dtype == np.float64
        and real.columns.dtype.kind == "i"
        and 0 < len(np.unique(real.columns)) == len(real.columns) <= len(real.mean)
        and 0 <= real.columns.min() <= real.columns.max() < len(real.mean)
        and real.factor.shape == (rows, len(real.columns))
        and bool(np.isfinite(real.mean).all() and np.isfinite(real.factor).all())
        and 0 < real.norm <= 1.001 * real.variance
        and bool(np.isclose(np.vdot(real.factor, real.factor), real.variance, rtol=1e-9))
    )


@dataclass(frozen=True)
class _Moments:
    """One side's features, made ready: mean (D,), variances (D,), and centred (N, D), scaled by 1 / sqrt(N - 1)."""

    mean: np.ndarray
    variances: np.ndarray
    centred: np.ndarray


def _moments(features: Features, side: str) -> _Moments:
    if isinstance(features, torch.Tensor):
        features = features.detach().to("cpu", torch.float64).numpy()
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiu":
        raise CourseError(
            f"the features of the {side} images have shape {features.shape} and type {features.dtype}: "
            "give real numbers of shape (images, features)"
        )
    count = len(features)
    if count < 2:
        raise CourseError(f"a distance needs at least 2 {side} images, better thousands: there are {count}")
    # Everything relative to the first image: a feature that is the same everywhere becomes exactly 0, and a mean that
    # is large beside the spread costs no digits.
    first = features[0].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # reported below
        centred = np.subtract(features, first, dtype=np.float64)
        shift = centred.mean(axis=0)
        centred -= shift
        centred *= 1 / np.sqrt(count - 1)
        variances = np.einsum("ij,ij->j", centred, centred)
    if not np.isfinite(variances).all():
        raise CourseError(_not_finite(features, side))
    if not variances.any():
        raise CourseError(_ALL_THE_SAME[side].format(count=count))
    return _Moments(first + shift, variances, centred)


_ALL_THE_SAME = {
    "real": "all {count:,} real images look the same to the extractor: check how the images are loaded and scaled",
    "generated": "all {count:,} generated images look the same to the extractor: the generator has collapsed, or "
    "gives a constant image; look at the samples",
}


def _not_finite(features: np.ndarray, side: str) -> str:
    if np.isnan(features).any():
        what = f"the features of the {side} images contain NaN"
    elif np.isinf(features).any():
        what = f"the features of the {side} images contain infinity"
    else:
        what = f"the features of the {side} images are too large to square"
    if side == "real":
        return f"{what}: check how the images are loaded and scaled"
    return (
        f"{what}: the training has diverged; look at the losses, lower the learning rate, or take an earlier checkpoint"
    )


def _factor(centred: np.ndarray) -> np.ndarray:
    """Find F with F^T F = centred^T centred: upper triangular (L, L), or, for N <= L, the rows themselves (N, L)."""
    count, width = centred.shape
    if count <= width:
        return centred
    # Cholesky costs half of QR, and its error, of the size of the rounding of S, does no harm unless S is nearly
    # singular; QR never forms S.
    covariance = centred.T @ centred
    try:
        factor = np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:
        return np.linalg.qr(centred, mode="r")
    if np.diagonal(factor).min() ** 2 < SMALLEST_PIVOT * covariance.diagonal().max():
        return np.linalg.qr(centred, mode="r")
    return np.ascontiguousarray(factor)


def _trace_of_root(real: RealSide, centred: np.ndarray) -> float:
    """Compute tr (S1 S2)^(1/2), S2 = centred^T centred."""
    if real.is_triangular and len(centred) > len(real.columns):
        # numpy's product of a matrix with its own transpose does half the work of a general one (BLAS's syrk).
        covariance = centred.T @ centred
        if not np.array_equal(real.columns, np.arange(len(covariance))):
            covariance = covariance.take(real.columns, 0).take(real.columns, 1)
        trace = _trace_from_eigenvalues(real, covariance)
        if trace is not None:
            return trace
    other = _factor(centred[:, real.columns])
    return float(np.linalg.svd(real.factor @ other.T, compute_uv=False).sum())


def _trace_from_eigenvalues(real: RealSide, covariance: np.ndarray) -> float | None:
    """Sum the roots of the eigenvalues of R S2 R^T; None where rounding may have spoilt the small ones.

    Four times as fast as the singular values of R1 R2^T, but squaring halves the digits: an eigenvalue is known to
    about 1e-16 of the largest, its root then only to 1e-8 of it.
    """
    eigenvalues = np.linalg.eigvalsh(_congruence(real.factor, covariance), UPLO="L")
    smallest = eigenvalues[0]
    if smallest <= 0:
        return None
    roots = np.sqrt(eigenvalues)
    trace = float(roots.sum())
    # Weyl: a symmetric perturbation moves no eigenvalue further than its norm, here about eps |S1| |S2|, and so a root
    # no further than that over the root.
    noise = np.finfo(np.float64).eps * real.norm * _norm(covariance.__matmul__, len(covariance))
    if noise * (1 / roots).sum() <= TRACE_TOLERANCE * trace:
        return trace
    # That is far too dark for a graded matrix. Measure the noise instead: the determinant, known from the triangular
    # factors, is the product of the eigenvalues, and most sensitive to the smallest. The 10 is for luck in the signs.
    try:
        pivots = np.linalg.cholesky(covariance).diagonal()
    except np.linalg.LinAlgError:
        return None
    log_determinant = 2 * np.log(np.abs(real.factor.diagonal())).sum() + 2 * np.log(pivots).sum()
    noise = 10 * smallest * abs(np.log(eigenvalues).sum() - log_determinant)
    return trace if noise * (1 / roots).sum() <= TRACE_TOLERANCE * trace else None


def _congruence(factor: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Compute the lower half of R S R^T for an upper triangular R: a quarter of the work of two full products."""
    size = len(factor)
    product = np.zeros((size, size))
    for j in range(0, size, BLOCK):
        right = covariance[j:, j:] @ factor[j : j + BLOCK, j:].T
        for i in range(j, size, BLOCK):
            product[i : i + BLOCK, j : j + BLOCK] = factor[i : i + BLOCK, i:] @ right[i - j :]
    return product


def _norm(apply: Callable[[np.ndarray], np.ndarray], size: int) -> float:
    """Estimate the largest eigenvalue of a covariance by power iteration, from below, to some per cent."""
    vector = np.random.default_rng(0).standard_normal(size)
    for _ in range(8):
        vector = apply(vector / np.linalg.norm(vector))
    return float(np.linalg.norm(vector))
