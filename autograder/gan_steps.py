"""The steps that the `gan_step` probe saw, each explained: which images D judged in which way, and what was minimised.

What one check finds wrong is taken as it is by the others: D's update is judged by the gradient that D had, G's
gradient by the D that was made of it, and so on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from torch import Tensor

from autograder.checks import close
from autograder.evidence import Findings, NotSeen
from autograder.gan_gradients import (
    FAKE,
    REAL,
    Judgement,
    Way,
    images_of,
    judge,
    judge_mixed,
    right_gradient_of_D,
    right_gradient_of_G,
)
from autograder.gan_losses import MISSING, Loss, loss_of, seen_slopes
from autograder.probe.players import REPORTED, WIDE, widened

MOST_UPDATES = 4  # of a player in one step that were noted
EXPLAINED = 3e-3  # of a gradient
NOTHING = 0.01  # of the larger part of a gradient
ROUNDED = 1e-6  # of a gradient
BETA2, ADAMS_EPSILON = 0.999, 1e-8
# Ways to judge that are another check's matter, or come to the same.
PAID_ELSEWHERE = ("", "changed weights", "left in evaluation mode")


@dataclass
class Half:
    """One part of a gradient: what was judged how, and the loss of that, None where it is none that is known."""

    judgement: Judgement
    loss: Loss | None

    @property
    def way(self) -> str:
        """What is not as it should be in the way of judging, "" where nothing is."""
        return self.judgement.way.name

    def values(self, right: float) -> list[float | None]:
        """What may be returned as its loss: the right one's value, or that of what was minimised."""
        plain = Loss("", 1.0, right)
        minimised = [] if self.loss is MISSING else [self.loss and self.loss.value(self.judgement.probabilities)]
        if self.loss and self.loss.name == "judgements":
            minimised.append(minimised[0] + abs(self.loss.weight))  # 1 - D(x), where nobody is sure of more than 1
        return [plain.value(self.judgement.probabilities), *minimised]


@dataclass
class Update:
    """One update of a player: the gradient, (weights,) with NaN where there is none, and the weights around it."""

    gradient: np.ndarray
    found: np.ndarray
    after: np.ndarray
    settings: np.ndarray

    @property
    def has_gradient(self) -> bool:
        """Whether any reached the player."""
        return not np.isnan(self.gradient).all()


@dataclass
class ExplainedD:
    """D's gradient: its two halves, how much of an earlier step's is in it, and whether large numbers are cut."""

    real: Half
    fake: Half
    leftover: float
    is_cut: bool = False


@dataclass
class ExplainedG:
    """G's gradient: what it is told, how much of D's step and of an earlier one is in it, whether it is cut."""

    told: Half
    leak: float
    leftover: float
    is_cut: bool = False


class Step:
    """One step that a probe saw.

    Args:
        name: "0", "1", …, with WIDE before it where it has many images.
        found: all that was seen.
        inputs: of the probe, without its name.
        before: the step before it, of the same Trainer; None for its first one.
    """

    def __init__(self, name: str, found: Findings, inputs: Mapping[str, np.ndarray], before: "Step | None"):
        self.name, self.found, self.before = name, found, before
        self._given = _given(name, inputs)
        self.learning_rate, self.beta1 = float(inputs["learning_rate"]), float(inputs["beta1"])
        self._leftover = float(inputs["leftover"])

    @property
    def batch(self) -> int:
        """How many images it has."""
        return len(self._given.real)

    def __getitem__(self, name: str) -> np.ndarray:
        """An array of this step.

        Raises:
            NotSeen: it isn't there.
        """
        return self.found[f"{self.name}.{name}"]

    def __contains__(self, name: str) -> bool:
        return f"{self.name}.{name}" in self.found

    def fact(self, name: str) -> object:
        """A fact of this step.

        Raises:
            NotSeen: it isn't there.
        """
        return self.found.fact(f"{self.name}.{name}")

    def weights(self, player: str) -> np.ndarray:
        """What a player's weights are before the step."""
        return self._given.weights[player]

    def updates(self, player: str) -> list[Update]:
        """Those that were noted."""
        names = [f"{player}.{number}" for number in range(MOST_UPDATES)]
        parts = ("gradient", "found", "after", "settings")
        return [Update(*(self[f"{at}.{part}"] for part in parts)) for at in names if f"{at}.after" in self]

    def gradient(self, player: str) -> np.ndarray:
        """What it has at its last update, or at the step's end where there is none; zeros where none reaches it.

        Raises:
            NotSeen: it isn't there.
        """
        updates = self.updates(player)
        return np.nan_to_num(
            updates[-1].gradient if updates else self[f"{player}.0.gradient"], nan=0, posinf=np.inf, neginf=-np.inf
        )

    def is_finite(self, player: str) -> bool:
        """Whether its gradient is, as far as that was seen."""
        return f"{player}.0.gradient" not in self or bool(np.isfinite(self.gradient(player)).all())

    @property
    def is_D_first(self) -> bool:
        """Whether D is updated before G, as far as that was seen."""
        return self.found.facts.get(f"{self.name}.D first") is not False

    def updated_D(self) -> np.ndarray:
        """D's weights after its last update, if that comes before G's."""
        updates = self.updates("D")
        return updates[-1].after if updates and self.is_D_first else self.weights("D")

    @cached_property
    def D(self) -> ExplainedD | None:
        """D's gradient; None where it is not made of D's judgements.

        Raises:
            NotSeen: it isn't there.
        """
        got, right = self.gradient("D"), self._given
        is_right = close(got, right.gradient_of_D)
        if is_right or _is_cut(got, right.gradient_of_D):
            halves = (Half(right.judged_real, Loss("", 1.0, REAL)), Half(right.judged_fake, Loss("", 1.0, FAKE)))
            return ExplainedD(*halves, 0.0, is_cut=not is_right)
        if not np.isfinite(got).all():
            return self._exchanged_in_D()
        if not got.any():
            return ExplainedD(Half(right.judged_real, MISSING), Half(right.judged_fake, MISSING), 0.0)
        for real, fake in self._ways_of_D():
            factors = _explain(got, real.to_D, fake.to_D, np.ones((len(got), 1)))
            if factors is not None:
                like = self.before.D if self.before else None
                slopes = [
                    seen_slopes(one, half.probabilities) for one, half in zip(factors, (real, fake), strict=False)
                ]
                least = NOTHING * max(np.abs(one).max() for one in slopes)
                of_real = loss_of(factors[0], real.probabilities, REAL, like and like.real.loss, least)
                of_fake = loss_of(factors[1], fake.probabilities, FAKE, like and like.fake.loss, least)
                return ExplainedD(Half(real, of_real), Half(fake, of_fake), factors[2][0] / self._leftover)
        return None

    @cached_property
    def G(self) -> ExplainedG | None:
        """G's gradient; None where it comes through no judgement of D's.

        Raises:
            NotSeen: it isn't there.
        """
        got, right = self.gradient("G"), self.judged_after
        known = right_gradient_of_G(right)
        is_right = close(got, known)
        if got.any() and (is_right or _is_cut(got, known)):
            return ExplainedG(Half(right, Loss("", 1.0, REAL)), 0.0, 0.0, is_cut=not is_right)
        if not np.isfinite(got).all():
            exchanged = Half(right, Loss("exchanged", 1.0, REAL))
            is_so = "loss_G" in self and close(self["loss_G"], exchanged.loss.value(right.probabilities))
            return ExplainedG(exchanged, 0.0, 0.0) if is_so else None
        if not got.any():
            return ExplainedG(Half(right, MISSING), 0.0, 0.0)
        in_D = self.D.fake if self.D else Half(self._given.judged_fake, Loss("", 1.0, FAKE))
        slopes = in_D.loss.slopes(in_D.judgement.probabilities) if in_D.loss and in_D.loss.name == "" else None
        like = self.before.G if self.before else None
        for told in self._ways_of_G():
            leaking = [in_D.judgement.to_G] if in_D.judgement.G and told.way.name != BEFORE else []
            if leaking and close(in_D.judgement.to_G, told.to_G, 1e-6):
                leaking = []
            factors = _explain(got, told.to_G, *leaking, np.ones((len(got), 1)))
            if factors is None:
                continue
            parts = [
                np.abs(seen_slopes(one, half.probabilities)).max()
                for one, half in zip(factors[:-1], (told, in_D.judgement), strict=False)
            ]
            least = NOTHING * max(parts)
            loss = loss_of(factors[0], told.probabilities, REAL, like and like.told.loss, least)
            leak = 0.0
            if leaking and parts[1] > least:
                if loss is MISSING and not _are_parallel(factors[1], slopes):
                    continue  # nothing of D after its update: it may have judged before that
                leak = 1.0
            return ExplainedG(Half(told, loss), leak, factors[-1][0] / self._leftover)
        return None

    def explained(self, player: str) -> "ExplainedD | ExplainedG | None":
        """Its gradient; None where it is not understood, or none was seen as the step stopped before."""
        return getattr(self, player) if f"{player}.0.gradient" in self else None

    @property
    def has_learned(self) -> bool:
        """Whether any gradient reaches either player."""
        return any(f"{player}.0.gradient" in self and self.gradient(player).any() for player in ("D", "G"))

    @cached_property
    def judged_after(self) -> Judgement:
        """What D says of the fakes once it is updated."""
        return judge(Way("", self.updated_D()), self._given.fakes, self._given.G_in_fakes)

    @property
    def judged_real(self) -> Judgement:
        """What D says of the real images before its update."""
        return self._given.judged_real

    @property
    def judged_fake(self) -> Judgement:
        """What D says of the fakes before its update."""
        return self._given.judged_fake

    def real_after(self) -> Judgement:
        """What D says of the real images once it is updated."""
        return judge(Way("", self.updated_D()), self._given.real)

    def others(self) -> Iterator[tuple[str, Tensor]]:
        """Other images that D was given, each with what they are."""
        for number in range(len(self.found.arrays)):
            if f"judged.{number}" not in self:
                return
            images = torch.from_numpy(self[f"judged.{number}"])
            if images.isfinite().all():
                yield _what_are(images, self._given.real, self._given.fakes.detach()), images

    def _exchanged_in_D(self) -> ExplainedD | None:
        """What explains a gradient that is infinite: a cross entropy of labels with judgements for labels."""
        halves = [
            [Half(judged, Loss(name, 1.0, label)) for name in ("", "exchanged")]
            for judged, label in ((self.judged_real, REAL), (self.judged_fake, FAKE))
        ]
        for real, fake in product(*halves):
            values = [half.loss.value(half.judgement.probabilities) for half in (real, fake)]
            if (
                "loss_D" in self
                and "exchanged" in (real.loss.name, fake.loss.name)
                and close(self["loss_D"], sum(values))
            ):
                return ExplainedD(real, fake, 0.0)
        return None

    def _found_in_evaluation(self) -> bool:
        facts = self.found.facts.get(f"{self.before.name}.training") if self.before else None
        return bool(facts) and not facts["D"]

    def _ways_of_D(self) -> Iterator[tuple[Judgement, Judgement]]:
        """The two halves in every way in which they may be judged; what is wrong with one only comes first."""
        given, weights = self._given, [Way("", self.weights("D"))]
        updates = self.updates("D")
        if updates and not np.array_equal(updates[-1].found, self.weights("D")):
            weights.append(Way("changed weights", updates[-1].found))
        if "D.statistics" in self:
            name = "left in evaluation mode" if self._found_in_evaluation() else "in evaluation mode"
            weights.append(Way(name, self.weights("D"), self["D.statistics"]))
        images = {"real": [("", given.real)], "fake": [("", given.fakes)]}
        for kind, one in self.others():
            for half in images:
                if not kind.endswith(("real", "fake")) or kind.endswith(half):
                    images[half].append((kind, one))
        ways = {
            half: [
                judge(
                    Way(kind or way.name, way.weights, way.kept), one, given.G_in_fakes if one is given.fakes else None
                )
                for kind, one in found
                for way in weights
                if not (kind and way.name)
            ]
            for half, found in images.items()
        }
        pairs = [(i, j) for i in range(len(ways["real"])) for j in range(len(ways["fake"]))]
        for i, j in sorted(pairs, key=sum):
            yield ways["real"][i], ways["fake"][j]
        yield judge_mixed(Way("mixed", self.weights("D")), given.real, given.fakes.detach())

    def _ways_of_G(self) -> Iterator[Judgement]:
        given, after = self._given, self.updated_D()
        yield self.judged_after
        if "G.D" in self and not np.array_equal(self["G.D"], after):
            yield judge(Way("changed weights", self["G.D"]), given.fakes, given.G_in_fakes)
        if not np.array_equal(after, self.weights("D")):
            yield judge(Way(BEFORE, self.weights("D")), given.fakes, given.G_in_fakes)
            yield judge(Way(BEFORE, self.weights("D")), given.fakes, given.G_in_fakes).updated_meanwhile(after)
        if "G.statistics" in self:
            is_left = self._found_in_evaluation() or (self.D and self.D.fake.way.endswith("in evaluation mode"))
            name = "left in evaluation mode" if is_left else "in evaluation mode"
            yield judge(Way(name, after, self["G.statistics"]), given.fakes, given.G_in_fakes)
        for number in range(len(self.found.arrays)):
            if f"painted.{number}" not in self:
                break
            images, weights = images_of(self.weights("G"), self[f"painted.{number}"])
            yield judge(Way("other images", after), images, weights)
        for kind, images in self.others():
            if kind.endswith("fake") and len(images) == len(given.fakes):
                yield judge(Way(kind, after), _redone(kind, images, given.fakes), given.G_in_fakes)


BEFORE = "before its update"


class _Given:
    """What a step is given, and what a right one does with it; the same for all submissions."""

    def __init__(self, real: np.ndarray, z: np.ndarray, D: np.ndarray, G: np.ndarray):
        self.weights = {"D": D.astype(np.float64), "G": G.astype(np.float64)}
        self.real = torch.from_numpy(real.astype(np.float64))
        self.fakes, self.G_in_fakes = images_of(G, z)

    @cached_property
    def judged_real(self) -> Judgement:
        return judge(Way("", self.weights["D"]), self.real)

    @cached_property
    def judged_fake(self) -> Judgement:
        return judge(Way("", self.weights["D"]), self.fakes, self.G_in_fakes)

    @cached_property
    def gradient_of_D(self) -> np.ndarray:
        return right_gradient_of_D(self.judged_real, self.judged_fake)


_KNOWN: dict[tuple[str, bytes], _Given] = {}  # one process judges many submissions
_MOST_KNOWN = 20


def _given(name: str, inputs: Mapping[str, np.ndarray]) -> _Given:
    key = name, inputs["z.0"].tobytes()
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        step = int(name.removeprefix(WIDE))
        real, z = inputs[f"real.{step}"], inputs[f"z.{step}"]
        if name.startswith(WIDE):
            real, z = (widened(torch.from_numpy(one)).numpy() for one in (real, z))
        _KNOWN[key] = _Given(real, z, inputs["D"][step], inputs["G"][step])
    return _KNOWN[key]


def steps_seen(found: Findings, inputs: Mapping[str, np.ndarray]) -> list[Step]:
    """The steps of which something was seen, in their order.

    Args:
        found: what the `gan_step` probe saw.
        inputs: those of all probes.
    Raises:
        NotSeen: nothing was.
    """
    own = {name.removeprefix("gan_step."): values for name, values in inputs.items() if name.startswith("gan_step.")}
    for form in (WIDE, ""):
        steps: list[Step] = []
        for number in range(len(own["D"])):
            name = f"{form}{number}"
            if not any(f"{name}.{one}" in found for one in ("D.0.gradient", "G.0.gradient", *REPORTED)):
                continue
            before = steps[-1] if steps and f"stopped again.{name}" not in found.failures else None
            if before and f"stopped anew.{before.name}" in found.failures:
                before = None
            steps.append(Step(name, found, own, before))
        if steps and (not form or f"stopped.{steps[0].name}" not in found.failures):
            return steps
    raise NotSeen("0.D.0.gradient", found.failure("0.D.0.gradient"))


def _is_cut(got: np.ndarray, right: np.ndarray) -> bool:
    """Whether a gradient is the right one cut to a range on both sides of 0, by more than a rounding."""
    most = np.abs(got).max(initial=0)
    return 0 < most < (1 - NOTHING) * np.abs(right).max() and close(got, right.clip(-most, most))


def adams_change(step: Step, player: str) -> Iterator[tuple[Update, np.ndarray]]:
    """Each update of a step's with what Adam's step adds to the weights, by the gradients of its Trainer until then."""
    earlier, one = [], step
    while one is not None:
        earlier.insert(0, one)
        one = one.before
    mean = square = times = np.zeros_like(step.weights(player))
    for one in earlier:
        for update in one.updates(player):
            has = ~np.isnan(update.gradient)
            gradient = np.nan_to_num(np.where(has, update.gradient, 0), posinf=0, neginf=0)  # as the probe does
            mean = np.where(has, step.beta1 * mean + (1 - step.beta1) * gradient, mean)
            square = np.where(has, BETA2 * square + (1 - BETA2) * gradient**2, square)
            times = times + has
            if one is step:
                later = np.maximum(times, 1)
                unbiased = mean / (1 - step.beta1**later)
                size = np.sqrt(square / (1 - BETA2**later)) + ADAMS_EPSILON
                yield update, np.where(has, -step.learning_rate * unbiased / size, 0)


def _explain(got: np.ndarray, *parts: np.ndarray) -> list[np.ndarray] | None:
    """Of each part the factors with which they add up to a gradient; None where they can't.

    They are 0 for a part that is lost in the rounding of the others.
    """
    columns = np.concatenate(parts, axis=1)
    sizes = np.linalg.norm(columns, axis=0)
    factors = np.linalg.lstsq(columns / np.where(sizes, sizes, 1), got, rcond=None)[0] / np.where(sizes, sizes, 1)
    length = np.linalg.norm(got)
    if not np.linalg.norm(got - columns @ factors) <= EXPLAINED * length:
        return None
    found = np.split(factors, np.cumsum([part.shape[1] for part in parts])[:-1])
    return [one * (np.linalg.norm(part @ one) > ROUNDED * length) for part, one in zip(parts, found, strict=True)]


def _are_parallel(one: np.ndarray, other: np.ndarray | None) -> bool:
    if other is None or not other.any():
        return False
    return bool(abs(one @ other) > 0.99 * np.linalg.norm(one) * np.linalg.norm(other))


def _what_are(images: Tensor, real: Tensor, fake: Tensor) -> str:
    """Say what images are that are neither the real ones nor the fakes; it ends with what they were made of."""
    for name, own in (("real", real), ("fake", fake)):
        if images.shape != own.shape:
            continue
        if torch.allclose(images, torch.tanh(own), atol=1e-4):
            return f"tanh of the {name}"
        x, y = own.flatten() - own.mean(), images.flatten() - images.mean()
        alike = (x @ y) / (x.norm() * y.norm()).clamp(min=1e-9)
        if alike > 0.9999:
            return f"another range for the {name}"
        if alike > 0.3:
            return f"noise added to the {name}"
    return "other images"


def _redone(kind: str, images: Tensor, fakes: Tensor) -> Tensor:
    """The fakes changed as some images were, with the graph of the fakes."""
    if kind.startswith("tanh"):
        return torch.tanh(fakes)
    if kind.startswith("another range"):
        own, scale = fakes.detach(), images.std() / fakes.detach().std()
        return fakes * scale + (images.mean() - own.mean() * scale)
    return fakes + (images - fakes.detach())
