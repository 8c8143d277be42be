"""Weights that layers are given while they are watched: whoever knows the seed can draw them again.

So the judge can see whether a layer's numbers are those that such a layer computes.
"""

from collections.abc import Sequence

import numpy as np


def drawn_weights(seed: int, index: int, shape: Sequence[int], outputs: int) -> np.ndarray:
    """The weights of one layer, of a size at which it neither shrinks nor swells what goes through it.

    Args:
        seed: one of the probe's inputs.
        index: the layer's number in its run.
        shape: as PyTorch's convolutions keep their weights; (inputs, outputs) for a fully connected layer.
        outputs: its channels or features out.
    """
    values = np.random.default_rng([seed, index]).standard_normal(tuple(shape), dtype=np.float32)
    return values * np.float32(np.sqrt(2 * outputs / max(values.size, 1)))
