"""Samples that are training images: as they are, shifted, noisy, of another size or contrast, or two blended into one.

An honest model's sample has several training images about as near as the nearest one; a copy has one that is much
nearer than the others. So what counts is the ratio of two distances, as in Lowe's test of matches (section 7.1 of
"Distinctive image features from scale-invariant keypoints", 2004), which needs no scale of its own for ones and for
eights. Distances are taken between features, and between pixels after centring. A blend is known by what is left of it:
next to nothing once two training images are taken out, but much after one.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from coursekit.data import ImageSet
from coursekit.extractors import Extractor, lenet

LOOKED_AT = 1_000  # samples
# Share of the samples looked at; with more copies an FID says nothing of the model. Where held-out images look like
# copies themselves, as in a small set with several images of one hand, twice their share comes on top.
MOST_COPIED = 0.01
NEIGHBOUR = 5  # the training image that the nearest one is compared with
MUCH_NEARER = 0.5  # of held-out images and honest models' samples one in a thousand is as near as that
EXPLAINED = 0.3  # what two images leave of a blend, as a part of what one leaves
FIRST_GUESSES = 4  # for the first of two blended images
ALIKE = 0.95  # two training images whose cosine is above this don't make a blend
BLOCK = 250
SMALL = 16  # pixels, the side of an image that is compared by them


@dataclass(frozen=True)
class Copies:
    """How many of the samples that were looked at are copies.

    Attributes:
        most: with more, an FID says nothing of the model.
    """

    copied: int
    looked_at: int
    most: int

    @property
    def are_too_many(self) -> bool:
        """Whether the samples' FID is none of the model's."""
        return self.copied > self.most


@dataclass(frozen=True)
class _Known:
    """The training images: features, and pixels as they are and centred, (N, D) each."""

    features: Tensor
    pixels: Tensor
    centred: Tensor


def count_copies(samples: np.ndarray, images: ImageSet) -> Copies:
    """Count the copies of training images among samples.

    Args:
        samples: (N, channels, height, width), uint8; where there are more than LOOKED_AT, as many drawn at random.
        images: the data set that the model was trained on.
    """
    found = _find(samples, images)
    held_out = _usual_share(images)
    return Copies(int(found.sum()), len(found), int((MOST_COPIED + 2 * held_out) * len(found)))


@cache
def _usual_share(images: ImageSet) -> float:
    """The share of held-out images that look like copies."""
    return float(_find(images.validation.numpy(), images).mean())


def _find(samples: np.ndarray, images: ImageSet) -> np.ndarray:
    """Whether each of the samples that are looked at is a copy."""
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(samples)).digest()[:8], "big")  # nobody can plan for it
    chosen = np.random.default_rng(seed).permutation(len(samples))[:LOOKED_AT]
    known, own = _known(images), _views(torch.from_numpy(samples[np.sort(chosen)]))
    found = _are_much_nearer(own.features, known.features) | _are_much_nearer(own.centred, known.centred)
    return found | _are_blends(own.pixels, known.pixels)


def _are_much_nearer(queries: Tensor, known: Tensor) -> np.ndarray:
    """Whether the nearest of the known vectors is much nearer than the one that is NEIGHBOUR-th nearest."""
    squares, found = (known * known).sum(1), []
    for part in queries.split(BLOCK):
        distances = torch.addmm(squares, part, known.T, alpha=-2)
        nearest = distances.topk(min(NEIGHBOUR, len(known)), largest=False).values + (part * part).sum(1, keepdim=True)
        first, last = nearest[:, 0].clamp_min(0), nearest[:, -1]
        found.append(first < MUCH_NEARER**2 * last)
    return torch.cat(found).numpy()


def _are_blends(queries: Tensor, known: Tensor) -> np.ndarray:
    """Whether two of the known vectors together explain what one of them leaves open; all of length 1."""
    return torch.cat([_what_is_left(part, known) < EXPLAINED for part in queries.split(BLOCK)]).numpy()


def _what_is_left(queries: Tensor, known: Tensor) -> Tensor:
    """What the best two of the known vectors leave of each query, as a part of what the best one leaves."""
    cosines = queries @ known.T
    guesses = cosines.topk(min(FIRST_GUESSES, len(known)), dim=1)
    left = torch.ones(len(queries))
    for first, number in zip(guesses.values.T.unsqueeze(2), guesses.indices.T, strict=True):
        between = known[number] @ known.T
        explained = (cosines - first * between).clamp_min(0)  # along what the second has of its own
        explained = explained.square_().div_(1 - between.square()).masked_fill_(between > ALIKE, 0)
        left = torch.minimum(left, 1 - first.square().squeeze(1) - explained.max(1).values)
    alone = (1 - guesses.values[:, 0].square()).clamp_min(1e-6)
    return (left.clamp_min(0) / alone).sqrt()


@cache
def _known(images: ImageSet) -> _Known:
    return _views(images.train)


def _views(images: Tensor) -> _Known:
    """Look at images, (N, channels, height, width) and uint8, in three ways."""
    grey = images.float().mean(1)
    features = _extractor().features(images, "features of images that may be copies").float()
    return _Known(features, _small(grey), _small(_centred(grey)))


@cache
def _extractor() -> Extractor:
    return lenet.load()  # whichever one the FID is measured with: this one is quick


def _centred(images: Tensor) -> Tensor:
    """Shift images, (N, height, width), by whole pixels, so that their centres of mass lie in the middle."""
    for axis in (1, 2):
        places, size = torch.arange(images.shape[axis]), images.shape[axis]
        mass = images.sum(3 - axis)
        centre = (mass * places).sum(1) / mass.sum(1).clamp_min(1)
        taken = (places + (centre - (size - 1) / 2).round().long().unsqueeze(1)) % size
        taken = taken.unsqueeze(3 - axis).expand_as(images)
        images = images.gather(axis, taken)
    return images


def _small(images: Tensor) -> Tensor:
    """Give images, (N, height, width), as vectors of length 1 of the means of their parts."""
    vectors = torch.nn.functional.adaptive_avg_pool2d(images.unsqueeze(1), SMALL).flatten(1)
    return torch.nn.functional.normalize(vectors)
