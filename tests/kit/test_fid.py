"""The Fréchet distance: closed forms, independent oracles, every rank, bad features, and the cache."""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import threadpoolctl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid

import coursekit.fid
from coursekit.errors import CourseError
from coursekit.fid import cached_real_side, distance_to, frechet_distance, real_side

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices of this size gain nothing from threads, and lose much where other work shares the cores."""
    with threadpoolctl.threadpool_limits(1):
        yield


def draw(count, width, seed=0, decades=0.0):
    """Features with a rotated spectrum whose variances fall over `decades` decades."""
    rng = np.random.default_rng(seed)
    scales = np.logspace(0, -decades / 2, width)
    axes = np.linalg.qr(np.random.default_rng(99).standard_normal((width, width)))[0]
    return (rng.standard_normal((count, width)) * scales) @ axes


def with_moments(mean, covariance, count=200, seed=0):
    """Features whose sample mean and unbiased covariance are exactly the given ones."""
    width = len(mean)
    rows = np.random.default_rng(seed).standard_normal((count, width))
    rows -= rows.mean(axis=0)
    white = np.linalg.qr(rows)[0] * np.sqrt(count - 1)
    values, axes = np.linalg.eigh(covariance)
    return mean + white @ (axes * np.sqrt(np.maximum(values, 0))).T


def trace_of_root(x, y):
    """What the distance leaves after means and variances: tr (S1 S2)^(1/2)."""
    offset = x.mean(axis=0) - y.mean(axis=0)
    return (offset @ offset + x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum() - frechet_distance(x, y)) / 2


def trace_by_qr(x, y):
    factors = [np.linalg.qr((side - side.mean(axis=0)) / np.sqrt(len(side) - 1), mode="r") for side in (x, y)]
    return np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()


def positive_transport(width, spread=0.4, seed=5):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((width, width)))[0]
    transport = (axes * np.exp(rng.normal(0, spread, width))) @ axes.T
    return (transport + transport.T) / 2


# Closed forms


def test_one_dimension():
    x, y = with_moments(np.array([1.0]), np.array([[4.0]])), with_moments(np.array([-2.0]), np.array([[9.0]]), seed=1)
    assert frechet_distance(x, y) == pytest.approx((1 + 2) ** 2 + (2 - 3) ** 2, rel=1e-12)


def test_diagonal_covariances():
    mean1, mean2 = np.arange(5.0), np.ones(5)
    spread1, spread2 = np.array([1, 2, 3, 4, 5.0]), np.array([5, 1, 0.1, 2, 3.0])
    x, y = with_moments(mean1, np.diag(spread1**2)), with_moments(mean2, np.diag(spread2**2), seed=1)
    expected = ((mean1 - mean2) ** 2).sum() + ((spread1 - spread2) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances():
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    spread1, spread2 = np.linspace(0.5, 3, 6), np.linspace(4, 0.2, 6)
    x = with_moments(np.zeros(6), (axes * spread1**2) @ axes.T)
    y = with_moments(np.zeros(6), (axes * spread2**2) @ axes.T, seed=1)
    assert frechet_distance(x, y) == pytest.approx(((spread1 - spread2) ** 2).sum(), rel=1e-12)


def test_two_images_a_side():
    x, y = np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 0], [0, 4]])
    # Means (1, 0) and (0, 2); variances 2 and 8 along orthogonal axes.
    assert frechet_distance(x, y) == pytest.approx(5 + 10, rel=1e-12)


def test_a_shift_costs_its_square():
    x = draw(300, 20)
    assert frechet_distance(x, x + 0.5) == pytest.approx(20 * 0.25, rel=1e-9)


# Oracles


@pytest.mark.parametrize("decades", [0, 4, 6, 8, 10, 12])
@pytest.mark.parametrize("count", [100, 257, 1000], ids="N={}".format)
def test_positive_transport_is_exact(count, decades):
    """For X2 = X1 T with T symmetric and positive, tr (S1 S2)^(1/2) = tr (T S1), whatever the rank."""
    x = draw(count, 256, decades=decades)
    transport = positive_transport(256)
    centred = x - x.mean(axis=0)
    expected = np.vdot(centred @ transport, centred) / (count - 1)
    assert trace_of_root(x, x @ transport + 2) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("order", ["falling", "rising"])
def test_accuracy_does_not_hang_on_the_order_of_the_features(order):
    x = np.random.default_rng(0).standard_normal((1000, 256)) * np.logspace(0, -5, 256)
    x = x if order == "falling" else x[:, ::-1].copy()
    transport = positive_transport(256)
    centred = x - x.mean(axis=0)
    expected = np.vdot(centred @ transport, centred) / 999
    assert trace_of_root(x, x @ transport) == pytest.approx(expected, rel=1e-9)


def columns_linearly_dependent(x):
    x = x.copy()
    x[:, 1], x[:, 5] = 3 * x[:, 0], x[:, 6] + x[:, 7]
    return x


def columns_dead(x):
    x = x.copy()
    x[:, ::7] = 4.3
    return x


RANK_CASES = {
    "full rank": (draw(500, 64, 1), draw(700, 64, 2)),
    "fewer images than features": (draw(20, 64, 1), draw(30, 64, 2)),
    "N1 < D < N2": (draw(20, 64, 1), draw(300, 64, 2)),
    "N2 < D < N1": (draw(300, 64, 1), draw(20, 64, 2)),
    "N = D": (draw(64, 64, 1), draw(64, 64, 2)),
    "N = D + 1": (draw(65, 64, 1), draw(65, 64, 2)),
    "2 images": (draw(2, 64, 1), draw(300, 64, 2)),
    "one feature": (draw(50, 1, 1), draw(60, 1, 2)),
    "dead features, real": (columns_dead(draw(300, 64, 1)), draw(300, 64, 2)),
    "dead features, generated": (draw(300, 64, 1), columns_dead(draw(300, 64, 2))),
    "dead features, both": (columns_dead(draw(300, 64, 1)), columns_dead(draw(300, 64, 2))),
    "dead features, few images": (columns_dead(draw(30, 64, 1)), columns_dead(draw(20, 64, 2))),
    "dependent features, real": (columns_linearly_dependent(draw(300, 64, 1)), draw(300, 64, 2)),
    "dependent features, generated": (draw(300, 64, 1), columns_linearly_dependent(draw(300, 64, 2))),
    "dependent features, both": (columns_linearly_dependent(draw(300, 64, 1)),) * 2,
    "decaying against flat": (draw(300, 64, 1, decades=12), draw(300, 64, 2)),
    "flat against decaying": (draw(300, 64, 1), draw(300, 64, 2, decades=14)),
    "decaying along other axes": (draw(300, 64, 1, decades=10), draw(300, 64, 2, decades=10) @ positive_transport(64)),
    "mostly zero": (np.maximum(draw(2000, 64, 1) - 2.5, 0), np.maximum(draw(2000, 64, 2) - 2.4, 0)),
    "columns of many scales": tuple(
        draw(300, 64, seed) * np.exp(8 * np.random.default_rng(seed).standard_normal(64)) for seed in (1, 2)
    ),
    "large mean, small spread": (draw(300, 64, 1) * 1e-3 + 1e5, draw(300, 64, 2) * 1e-3 + 1e5),
    "almost constant": (draw(300, 64, 1), 1 + 1e-7 * draw(300, 64, 2)),
}


@pytest.mark.parametrize("case", RANK_CASES)
def test_every_rank_against_qr(case):
    x, y = RANK_CASES[case]
    assert trace_of_root(x, y) == pytest.approx(
        trace_by_qr(x, y), rel=1e-8, abs=1e-13 * (x.var() + y.var()) * x.shape[1]
    )
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)


@pytest.mark.parametrize("case", [case for case in RANK_CASES if case != "columns of many scales"])
def test_equal_sides_are_at_distance_zero(case):
    for features in RANK_CASES[case]:
        assert -1e-6 <= frechet_distance(features, features) <= 1e-6


def test_the_slow_way_takes_over_where_rounding_spoils_the_fast_one():
    x, y = RANK_CASES["dependent features, generated"]
    real = real_side(x)
    centred = y - y.mean(axis=0)
    covariance = (centred.T @ centred)[np.ix_(real.columns, real.columns)] / 299
    assert coursekit.fid._trace_from_eigenvalues(real, covariance) is None


def test_a_large_negative_distance_is_never_hidden(monkeypatch):
    monkeypatch.setattr(coursekit.fid, "_trace_of_root", lambda real, centred: 1e6)
    with pytest.raises(ArithmeticError):
        frechet_distance(draw(50, 4, 1), draw(50, 4, 2))


# Peers


def torchmetrics_distance(x, y):
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    return float(_compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)))


@pytest.mark.parametrize("decades", [0, 3])
def test_agrees_with_torchmetrics(decades):
    x, y = draw(400, 96, 1, decades), draw(500, 96, 2, decades) * 1.3 + 0.1
    assert frechet_distance(x, y) == pytest.approx(torchmetrics_distance(x, y), rel=1e-6)


class Pixels(torch.nn.Module):
    """An extractor whose features are the pixels."""

    num_features = 48

    def forward(self, images):
        return images.flatten(1)


def test_agrees_with_the_metric_of_torchmetrics():
    x, y = draw(200, 48, 1), draw(150, 48, 2) + 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics' own, about extractors that it did not make
        metric = FrechetInceptionDistance(Pixels(), input_img_size=(3, 4, 4), normalize=True).set_dtype(torch.float64)
        metric.update(torch.from_numpy(x).view(-1, 3, 4, 4), real=True)
        metric.update(torch.from_numpy(y).view(-1, 3, 4, 4), real=False)
    assert frechet_distance(x, y) == pytest.approx(float(metric.compute()), rel=1e-6)


@pytest.mark.parametrize("decades", [0, 3])
def test_agrees_with_scipy(decades):
    x, y = draw(400, 64, 1, decades), draw(500, 64, 2, decades) * 1.3 + 0.1
    root = scipy.linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False))
    assert trace_of_root(x, y) == pytest.approx(np.trace(root).real, rel=1e-8)


# Properties


sides = st.tuples(st.integers(2, 40), st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(sides)
def test_properties(sizes):
    count1, count2, width, seed = sizes
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((count1, width)), rng.standard_normal((count2, width)) * 2 + 1
    scale = x.var(axis=0).sum() + y.var(axis=0).sum() + 1
    distance = frechet_distance(x, y)
    near = pytest.approx(distance, abs=1e-9 * scale)
    assert distance >= 0
    assert frechet_distance(y, x) == near
    assert frechet_distance(x + 7, y + 7) == near
    assert frechet_distance(x * 4, y * 4) / 16 == near
    assert frechet_distance(x[::-1], rng.permutation(y)) == near
    axes = np.linalg.qr(rng.standard_normal((width, width)))[0]
    assert frechet_distance(x @ axes, y @ axes) == near
    assert frechet_distance(np.hstack([x, np.ones((count1, 2))]), np.hstack([y, np.ones((count2, 2))])) == near


# What features may be


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, torch.float16, torch.bfloat16, torch.float32])
def test_any_float_type(kind):
    x, y = draw(100, 8, 1), draw(90, 8, 2)
    if isinstance(kind, torch.dtype):
        x, y = torch.from_numpy(x).to(kind).requires_grad_(), torch.from_numpy(y).to(kind)
        exact = [side.detach().double().numpy() for side in (x, y)]
    else:
        x, y = x.astype(kind), y.astype(kind)
        exact = [side.astype(np.float64) for side in (x, y)]
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(*exact), rel=1e-12)


def test_the_features_are_left_alone():
    x, y = draw(100, 8, 1), draw(90, 8, 2)
    x.flags.writeable = y.flags.writeable = False
    before = x.copy()
    frechet_distance(x, y)
    assert isinstance(frechet_distance(np.asfortranarray(x), y[::2]), float)
    np.testing.assert_array_equal(x, before)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_tensors_on_a_gpu():
    x, y = torch.from_numpy(draw(100, 8, 1)), torch.from_numpy(draw(90, 8, 2))
    assert frechet_distance(x.cuda(), y.cuda()) == frechet_distance(x, y)


def one_value(features, value):
    features = features.copy()
    features[3, 2] = value
    return features


BAD_FEATURES = {
    "nan": (one_value(draw(50, 8), np.nan), "contain NaN: the training has diverged", "contain NaN: check how"),
    "infinity": (one_value(draw(50, 8), np.inf), "contain infinity: the training has div", "contain infinity: check"),
    "huge": (draw(50, 8) * 1e200, "too large to square: the training has diverged", "too large to square: check"),
    "nan first": (np.full((50, 8), np.nan), "contain NaN: the training has diverged", "contain NaN: check how"),
    "constant": (
        np.full((3000, 8), 0.1),
        "all 3,000 generated images look the same to the extractor: the generator has collapsed",
        "all 3,000 real images look the same",
    ),
    "one image": (draw(1, 8), "at least 2 generated images, better thousands: there are 1", "at least 2 real images"),
    "no image": (np.zeros((0, 8)), "there are 0", "there are 0"),
    "images": (
        np.zeros((5, 1, 2, 4)),
        "generated images have shape (5, 1, 2, 4)",
        "real images have shape (5, 1, 2, 4)",
    ),
    "one axis": (np.zeros(8), "(images, features)", "(images, features)"),
    "complex": (np.zeros((9, 8), complex), "real numbers", "real numbers"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_bad_features_are_one_clear_line(case):
    features, generated, real = BAD_FEATURES[case]
    good = draw(60, 8)
    for message, pair in ((generated, (good, features)), (real, (features, good))):
        with pytest.raises(CourseError) as error:
            frechet_distance(*pair)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_different_extractors():
    with pytest.raises(CourseError, match="64 features of each real image but 48 of each generated one"):
        frechet_distance(draw(100, 64), draw(100, 48))


def test_a_single_image_that_differs_is_no_collapse():
    features = np.full((300, 8), 0.1)
    features[17, 3] += 1e-6
    assert frechet_distance(draw(300, 8), features) > 0


# The cache


def never():
    raise AssertionError("made anew although the cache was good")


@pytest.mark.parametrize("count", [20, 200])
def test_the_cache_gives_the_same_distance(tmp_path, count):
    x, y = columns_dead(draw(count, 32, 1)), draw(150, 32, 2)
    path = tmp_path / "real" / "digits.npz"
    made = cached_real_side(path, lambda: x)
    read = cached_real_side(path, never)
    assert distance_to(made, y) == distance_to(read, y) == frechet_distance(x, y)
    assert [file.name for file in path.parent.iterdir()] == ["digits.npz"]


def rewrite(path, **changes):
    with np.load(path) as arrays:
        content = dict(arrays) | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a flipped byte": lambda path: path.write_bytes(
        path.read_bytes()[:3000] + bytes([path.read_bytes()[3000] ^ 255]) + path.read_bytes()[3001:]
    ),
    "no archive": lambda path: path.write_text("not an archive"),
    "a bare array": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "other format": lambda path: rewrite(path, format=0),
    "a key missing": lambda path: rewrite(path, factor=None),
    "wrong shape": lambda path: rewrite(path, factor=np.zeros((3, 3))),
    "wrong mean": lambda path: rewrite(path, mean=np.zeros((2, 3))),
    "wrong type": lambda path: rewrite(path, mean=np.zeros(32, np.float32)),
    "columns out of range": lambda path: rewrite(path, columns=np.arange(1, 33)),
    "not finite": lambda path: rewrite(path, mean=np.full(32, np.nan)),
    "wrong values": lambda path: rewrite(path, factor=np.ones((32, 32))),
    "pickled": lambda path: rewrite(path, mean=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    x, y, path = draw(200, 32, 1), draw(150, 32, 2), tmp_path / "real.npz"
    cached_real_side(path, lambda: x)
    DAMAGE[damage](path)
    calls = []
    again = cached_real_side(path, lambda: calls.append(1) or x)
    assert calls == [1]
    assert distance_to(again, y) == frechet_distance(x, y)
    cached_real_side(path, never)


def test_bad_real_features_leave_no_cache(tmp_path):
    with pytest.raises(CourseError, match="real images look the same"):
        cached_real_side(tmp_path / "real.npz", lambda: np.ones((50, 4)))
    assert list(tmp_path.iterdir()) == []


FILL = """
import sys, time
import numpy as np
from pathlib import Path
from coursekit.fid import cached_real_side, distance_to
path, mine, other = map(Path, sys.argv[1:])
rng = np.random.default_rng(0)
x, y = rng.standard_normal((400, 128)), rng.standard_normal((300, 128))
def make():
    mine.touch()
    for _ in range(1000):  # both are past the look at the cache before either writes
        if other.exists():
            return x
        time.sleep(0.02)
    sys.exit("the other process never came")
made = cached_real_side(path, make)
read = [cached_real_side(path, lambda: sys.exit("torn")) for _ in range(5)]
print(*{distance_to(side, y) for side in [made, *read]})
"""


def test_two_processes_fill_the_cache_at_once(tmp_path):
    flags = [tmp_path / "first", tmp_path / "second"]
    path = tmp_path / "cache" / "real.npz"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FILL, path, mine, other],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for mine, other in (flags, flags[::-1])
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(outputs[0][0].split()) == 1
    assert [file.name for file in path.parent.iterdir()] == ["real.npz"]


# What the module may lean on


def test_no_scipy():
    source = ast.parse(Path(coursekit.fid.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(source) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module.split(".")[0] for node in ast.walk(source) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"contextlib", "io", "collections", "dataclasses", "pathlib", "numpy", "torch", "coursekit"}
    look = "print('scipy' in sys.modules)"
    code = f"import sys, torch; {look}; import coursekit.fid; {look}"
    before, after = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert before == after


@pytest.mark.slow
@pytest.mark.parametrize("decades", [0, 6, 12])
@pytest.mark.parametrize("count", [1000, 10000])
def test_accuracy_at_full_size(count, decades):
    x = draw(count, 2048, decades=decades)
    transport = positive_transport(2048)
    centred = x - x.mean(axis=0)
    expected = np.vdot(centred @ transport, centred) / (count - 1)
    assert trace_of_root(x, x @ transport) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(x, x) <= 1e-6


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("")
    features = np.random.default_rng(0).normal(size=(20, 3))
    real = cached_real_side(tmp_path / "file" / "below.npz", lambda: features)
    assert distance_to(real, features) == pytest.approx(0, abs=1e-6)
