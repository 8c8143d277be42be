"""What an optimizer is given and what it changes, step by step, whatever the model and its losses are."""

from collections.abc import Sequence

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's own, in PyTorch


class Adam:
    """Adam (arXiv:1412.6980, Algorithm 1), in double precision: what each step should change.

    Args:
        learning_rate: its step size.
    """

    def __init__(self, learning_rate: float):
        self._learning_rate = learning_rate
        self._count = 0
        self._first: list[Tensor] = []
        self._second: list[Tensor] = []

    def change(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """What the next step adds to the weights that have these gradients."""
        gradients = [gradient.double() for gradient in gradients]
        if not self._count:
            self._first = [torch.zeros_like(one) for one in gradients]
            self._second = [torch.zeros_like(one) for one in gradients]
        self._count += 1
        changes = []
        for gradient, first, second in zip(gradients, self._first, self._second, strict=True):
            first.mul_(BETA1).add_(gradient, alpha=1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            mean = first / (1 - BETA1**self._count)
            size = (second / (1 - BETA2**self._count)).sqrt()
            changes.append(-self._learning_rate * mean / (size + EPSILON))
        return changes


def products(vectors: Sequence[Sequence[Tensor]], halves: Sequence[Sequence[bool]]) -> Tensor:
    """Sums of products of vectors that lie in pieces, one for each parameter.

    Args:
        vectors: each a list of pieces.
        halves: which pieces count, for each of several results.
    Returns:
        (halves, vectors, vectors), float64.
    """
    rows = [[piece.double().flatten() for piece in vector] for vector in vectors]
    result = torch.zeros(len(halves), len(rows), len(rows), dtype=torch.float64)
    for half, is_in in enumerate(halves):
        for i, one in enumerate(rows):
            for j, other in enumerate(rows[: i + 1]):
                total = sum(float(a @ b) for a, b, there in zip(one, other, is_in, strict=True) if there)
                result[half, i, j] = result[half, j, i] = total
    return result
