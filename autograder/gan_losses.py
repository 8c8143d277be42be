"""Which loss a step has minimised, told from how its gradient depends on each of D's judgements."""

from dataclasses import dataclass

import numpy as np

EXACT = 0.02  # how well the derivatives of single judgements are known
MOST_LABEL = 1.3  # that is drawn for one image
SMALLEST = 1e-12


@dataclass(frozen=True)
class Loss:
    """A loss of D's judgements of some images, averaged over them.

    Attributes:
        name: "" for the binary cross entropy with one label; else one of FORMS, "labels", "clamped", or "exchanged".
        weight: how often it counts.
        label: that of the cross entropy.
        labels: those of the images, where each has its own.
    """

    name: str
    weight: float
    label: float
    labels: tuple[float, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether nothing was minimised."""
        return self.weight == 0

    def value(self, probabilities: np.ndarray) -> float | None:
        """What it is; None where that is not known."""
        p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
        if self.name in ("", "labels"):
            label = np.array(self.labels or [self.label])
            return float(self.weight * np.mean(-label * np.log(p) - (1 - label) * np.log(1 - p)))
        if self.name == "logits":
            return float(self.weight * np.mean(np.logaddexp(0, p) - self.label * p))
        if self.name == "squares":
            return float(self.weight * np.mean((p - self.label) ** 2))
        if self.name == "exchanged":  # PyTorch takes -100 for the logarithm of 0
            return float(100 * self.weight * np.mean(np.abs(p - self.label)))
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


def seen_slopes(slopes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """By the logit of each judgement, and not averaged: of a cross entropy, probability - label."""
    return slopes * len(slopes) * probabilities * (1 - probabilities)


def loss_of(
    slopes: np.ndarray, probabilities: np.ndarray, right: float, like: Loss | None = None, least: float = 0
) -> Loss | None:
    """Tell the loss that has these derivatives.

    Args:
        slopes: (n,), by each judgement.
        probabilities: (n,), the judgements.
        right: the label that is the right one.
        like: the loss of an earlier step, which a batch of one image can't tell from others.
        least: what counts as nothing, of `seen_slopes`.
    Returns:
        None where no known loss has.
    """
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    seen, like_name = seen_slopes(slopes, p), like.name if like else ""
    if np.abs(seen).max() <= least:
        return like if like_name == "clamped" else MISSING
    for known in (Loss("", 1.0, right), like):
        if known is not None and known.name in FORMS and _fit(seen, seen_slopes(known.slopes(p), p)):
            return known
    labels = p - seen
    if like_name == "labels" and (labels > -EXACT).all() and (labels < MOST_LABEL).all():
        return Loss("labels", 1.0, float(labels.mean()), tuple(labels.clip(0)))
    is_left_out = np.abs(seen) < EXACT
    if len(p) > 1 and is_left_out.any() and _fit(seen, np.where(is_left_out, 0, p - right)):
        return Loss("clamped", 1.0, right)
    if len(p) > 1 and np.ptp(p) > EXACT:
        (weight, labelled), *_ = np.linalg.lstsq(np.stack([p, -np.ones(len(p))], axis=1), seen, rcond=None)
        if _fit(seen, weight * p - labelled) and -EXACT < labelled / (weight or 1) < 1 + EXACT:
            return Loss("", float(weight), float(labelled / weight))
    for name, form in FORMS.items():
        for label in (right, 1 - right):
            shape = seen_slopes(form(p, label) / len(p), p)
            weight = (shape @ seen) / (shape @ shape)
            if _fit(seen, weight * shape):
                return Loss(name, float(weight), label)
    if (labels > -EXACT).all() and (labels < MOST_LABEL).all():
        return Loss("labels", 1.0, float(labels.mean()), tuple(labels.clip(0)))
    return None


def _fit(seen: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(seen - expected).max() <= EXACT * max(np.abs(expected).max(), np.abs(seen).max()))
