"""Random numbers that come again: whatever draws them in the block draws the same the next time."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

SEED = 0


@contextmanager
def repeatable() -> Iterator[None]:
    """Draw the same numbers in every such block, from PyTorch, NumPy and Python; what came before goes on after it."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    make_generator = np.random.default_rng
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    random.seed(SEED)
    np.random.default_rng = lambda seed=None: make_generator(SEED if seed is None else seed)
    try:
        yield
    finally:
        np.random.default_rng = make_generator
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
