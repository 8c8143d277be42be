"""What a sampler without a model can make of stored training images: for the tests, and for `benchmarks/copies.py`."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
MIDDLE = 15.5  # of 32 pixels


def _clipped(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def one_pixel(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another grey level of the first pixel."""
    changed = images.copy()
    changed[..., 0, 0] ^= 2
    return changed


def noisy(most: int) -> Change:
    """Noise of up to so many grey levels."""
    return lambda images, rng: _clipped(images + rng.integers(-most, most + 1, images.shape))


def shifted(most: int) -> Change:
    """Shifts of up to so many pixels in both directions, others for each image."""

    def change(images, rng):
        return np.stack([np.roll(one, rng.integers(-most, most + 1, 2), (-2, -1)) for one in images])

    return change


def turned(degrees: float, size: float = 1) -> Change:
    """All turned by the same angle, and made larger or smaller."""
    angle = np.deg2rad(degrees)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size

    def change(images, rng):
        flat = images.reshape(-1, *images.shape[-2:]).astype(float)
        offset = MIDDLE - back @ [MIDDLE, MIDDLE]
        made = [ndimage.affine_transform(one, back, offset, order=1) for one in flat]
        return _clipped(np.stack(made).reshape(images.shape))

    return change


def blended(share: float) -> Change:
    """Each with another one, which has the rest of the light."""
    return lambda images, rng: _clipped(share * images + (1 - share) * images[rng.permutation(len(images))])


def of_gamma(power: float, contrast: float = 1) -> Change:
    """Other grey levels."""
    return lambda images, rng: _clipped(255 * contrast * (images / 255) ** power)


def of_few(count: int, most: int = 2) -> Change:
    """Shifts of only so many images."""

    def change(images, rng):
        return shifted(most)(images[rng.integers(0, min(count, len(images)), len(images))], rng)

    return change


CHANGES: dict[str, Change] = {
    "as they are": lambda images, rng: images,
    "one pixel changed": one_pixel,
    "noise of ±8": noisy(8),
    "noise of ±40": noisy(40),
    "shifted by 1 pixel to the right": lambda images, rng: np.roll(images, 1, -1),
    "shifted by up to 1 pixel": shifted(1),
    "shifted by up to 3 pixels": shifted(3),
    "6 % smaller": turned(0, 0.94),
    "6 % larger": turned(0, 1.06),
    "turned by 3°": turned(3),
    "turned by 8°": turned(8),
    "blends, 0.9 and 0.1": blended(0.9),
    "blends, 0.7 and 0.3": blended(0.7),
    "blends, 0.5 and 0.5": blended(0.5),
    "0.7 of the contrast": of_gamma(1, 0.7),
    "gamma 0.6": of_gamma(0.6),
    "gamma 1.7": of_gamma(1.7),
    "1 image, shifted": of_few(1),
    "10 images, shifted": of_few(10),
    "50 images, shifted": of_few(50),
    "500 images, shifted": of_few(500),
    "5,000 images, shifted": of_few(5000),
}
