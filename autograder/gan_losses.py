"""Which loss a step has minimised, told from how its gradient depends on each of D's judgements."""

from dataclasses import dataclass

import numpy as np

EXACT = 0.02  # how well the derivatives of single judgements are known
MOST_GUARDED = 1.1e-5  # a guard of 1e-5 in a logarithm is right
SMALLEST = 1e-12


@dataclass(frozen=True)
class Loss:
    """A loss of D's judgements of some images, averaged over them.

    Attributes:
        name: "" for the binary cross entropy with one label; else one of FORMS, "labels" or "clamped".
        weight: how often it counts.
        label: that of the cross entropy.
        labels: the least and the largest, where each image has its own.
    """

    name: str
    weight: float
    label: float
    labels: tuple[float, float] | None = None

    @property
    def is_missing(self) -> bool:
        """Whether nothing was minimised."""
        return self.weight == 0

    def value(self, probabilities: np.ndarray) -> float | None:
        """What it is; None where that is not known."""
        p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
        if self.name == "":
            return float(self.weight * np.mean(-self.label * np.log(p) - (1 - self.label) * np.log(1 - p)))
        if self.name == "logits":
            return float(self.weight * np.mean(np.logaddexp(0, p) - self.label * p))
        if self.name == "squares":
            return float(self.weight * np.mean((p - self.label) ** 2))
        if self.name == "judgements":
            return float(self.weight * np.mean((1 - 2 * self.label) * p))
        return None

    def slopes(self, probabilities: np.ndarray) -> np.ndarray:
        """Its derivative by each judgement, (n,)."""
        p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
        return self.weight * FORMS[self.name](p, self.label) / len(p)


FORMS = {
    "": lambda p, label: -label / p + (1 - label) / (1 - p),
    "logits": lambda p, label: 1 / (1 + np.exp(-p)) - label,
    "squares": lambda p, label: 2 * (p - label),
    "judgements": lambda p, label: np.full_like(p, 1 - 2 * label),
}
MISSING = Loss("", 0.0, 0.0)


def loss_of(slopes: np.ndarray, probabilities: np.ndarray, right: float, like: Loss | None = None) -> Loss | None:
    """Tell the loss that has these derivatives.

    Args:
        slopes: (n,), by each judgement.
        probabilities: (n,), the judgements.
        right: the label that is the right one.
        like: the loss of an earlier step, which a batch of one image can't tell from others.
    Returns:
        None where no known loss has.
    """
    p, num = np.clip(probabilities, SMALLEST, 1 - SMALLEST), len(slopes)
    seen = slopes * num * p * (1 - p)  # p - label of a cross entropy
    if np.abs(seen).max() < EXACT:
        return MISSING
    plain = Loss("", 1.0, right)
    for known in (plain, like):
        if known is not None and known.name in FORMS and _fit(seen, known.slopes(p) * num * p * (1 - p)):
            return known
    if num > 1 and np.ptp(p) > EXACT:
        (weight, labelled), *_ = np.linalg.lstsq(np.stack([p, -np.ones(num)], axis=1), seen, rcond=None)
        if _fit(seen, weight * p - labelled) and -EXACT < labelled / (weight or 1) < 1 + EXACT:
            return Loss("", float(weight), float(labelled / weight))
    for name, form in FORMS.items():
        for label in (right, 1 - right):
            shape = form(p, label) * p * (1 - p)
            weight = (shape @ seen) / (shape @ shape)
            if _fit(seen, weight * shape):
                return Loss(name, float(weight), label)
    is_left_out, expected = np.abs(seen) < EXACT, p - right
    if num > 1 and is_left_out.any() and _fit(seen, np.where(is_left_out, 0, expected)):
        return Loss("clamped", 1.0, right)
    labels = p - seen
    if (labels > -EXACT).all() and (labels < 1.3).all():
        return Loss("labels", 1.0, float(labels.mean()), (float(labels.min()), float(labels.max())))
    return None


def _fit(seen: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(seen - expected).max() <= EXACT * max(np.abs(expected).max(), np.abs(seen).max()))
