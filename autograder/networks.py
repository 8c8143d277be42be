"""The layers that a probe saw, row by row of a table: which is which, and what stands behind each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from autograder.evidence import Failure, Findings, NotSeen
from autograder.tables import CONNECTED, NORM, SEEN, Row, align, vae_decoder, vae_encoder

STILL_ALIKE = 0.7  # the correlation of something with itself and noise
NO_ACTIVATION, SOMETHING_ELSE = "no activation", "something else"


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# As a student would name them; the more usual first.
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    NO_ACTIVATION: lambda x: x,
    "ReLU": _relu,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "LeakyReLU(0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "ReLU + Sigmoid": lambda x: _sigmoid(_relu(x)),
    "ReLU + Tanh": lambda x: np.tanh(_relu(x)),
    "Sigmoid twice": lambda x: _sigmoid(_sigmoid(x)),
    "Tanh twice": lambda x: np.tanh(np.tanh(x)),
    "(Tanh + 1) / 2": lambda x: (np.tanh(x) + 1) / 2,
    "2 Sigmoid - 1": lambda x: 2 * _sigmoid(x) - 1,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SiLU": lambda x: x * _sigmoid(x),
    "Softplus": lambda x: np.logaddexp(x, 0),
    "GELU": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
}


@dataclass
class Network:
    """One table, and what ran in its place.

    Attributes:
        rows: the table.
        layers: convolutions and fully connected layers that ran, as the probe describes them.
        behind: for each of them what stands behind it, None where that was not seen.
        normed: for each of them the batch normalisations behind it.
        failure: what stopped the network, if anything did.
        idle: the shapes of weights that are there and did not run -> in which branch of forward.
    """

    rows: list[Row]
    layers: list[dict]
    behind: list[str | None]
    normed: list[list[dict]]
    failure: Failure | None = None
    idle: Mapping[tuple[int, ...], str] = field(default_factory=dict)

    def __post_init__(self):
        self._found = align(self.rows, self.layers)

    def differences(self, index: int) -> list[str]:
        """What the layer of a row has that the row doesn't ask for, what stands behind it left aside.

        Raises:
            NotSeen: the row's layer is missing, or did not run, because the network stopped before.
        """
        row, found = self.rows[index], self._found[index]
        if found is None:
            if self.failure is not None and not any(later is not None for later in self._found[index + 1 :]):
                raise NotSeen(row.name, self.failure)
            if branch := self.idle.get(row.weight_shape()):
                return [f"asks for {row.kind}; yours has one of its size, and {branch} does not run it"]
            return [f"asks for {row.kind}; there is none of its size in your network"]
        layer = self.layers[found]
        differences = row.differences(layer)
        if index and found and layer["inputs"] == self.layers[found - 1]["outputs"]:
            # It takes what the layer before gives: should that be wrong, or another one, it is the row before's fault.
            before = self._found[index - 1]
            if before != found - 1 or self.layers[before]["outputs"] != self.rows[index - 1].outputs:
                differences = [one for one in differences if " in; " not in one]
        if not differences and not layer.get(SEEN, True):
            if not layer["ran"]:
                raise NotSeen(row.name, self.failure)
            return [f"asks for {row.kind}; what yours gives is not what such a layer computes"]
        return differences

    def stands_behind(self, index: int) -> str:
        """What stands behind the layer of a row.

        Raises:
            NotSeen: the network stopped before that.
        """
        found = self._found[index]
        behind = None if found is None else self.behind[found]
        if behind is None and found is not None and self.failure is None and self.layers[found].get(SEEN, True):
            return SOMETHING_ELSE  # the network ran through, with something there that has another form
        if behind is None or not self.layers[found].get(SEEN, True):
            raise NotSeen(self.rows[index].name, self.failure)
        return behind

    def layer(self, index: int) -> dict | None:
        """The layer of a row, as the probe describes it."""
        found = self._found[index]
        return None if found is None else self.layers[found]

    def norms(self, index: int) -> list[dict]:
        """The batch normalisations behind the layer of a row."""
        found = self._found[index]
        return [] if found is None else self.normed[found]

    def is_as_asked(self, with_last: bool = True) -> bool:
        """Whether all rows are there as they should be, with what stands behind them, and nothing else.

        Args:
            with_last: whether what stands behind the last row counts.
        """
        for index, row in enumerate(self.rows):
            try:
                if self.differences(index):
                    return False
                if row.after and (with_last or index < len(self.rows) - 1) and self.stands_behind(index) != row.after:
                    return False
            except NotSeen:
                return False
        return not self.left_over()

    def row_of(self, index: int) -> str:
        """The name of the row that a layer is found in the place of, "" for a layer that no row has."""
        return next((row.name for row, found in zip(self.rows, self._found, strict=True) if found == index), "")

    def is_idle(self, index: int) -> bool:
        """Whether there are weights of the size of a row's that did not run."""
        return self.rows[index].weight_shape() in self.idle

    def has(self, index: int) -> bool:
        """Whether there is a layer in the place of a row, right or wrong, that was seen to compute what it says."""
        found = self._found[index]
        return found is not None and self.layers[found].get(SEEN, True)

    def is_right(self, index: int) -> bool:
        """Whether the layer of a row is there, and as the row asks."""
        try:
            return self._found[index] is not None and not self.differences(index)
        except NotSeen:
            return False

    def left_over(self) -> list[dict]:
        """Layers that no row has."""
        return [layer for index, layer in enumerate(self.layers) if index not in self._found]


@lru_cache(maxsize=16)  # many checks ask for the same one
def vae_networks(findings: Findings, run: int, channels: int, latent_dim: int) -> tuple[Network, Network]:
    """The encoder and the decoder of one of the runs that `vae_layers` made."""
    x, z = _layers(findings, f"{run}.x"), _layers(findings, f"{run}.z")
    if not x and not z and f"{run}.x" not in findings.facts:
        raise NotSeen(f"{run}.make", findings.failure(f"{run}.make"))
    if x and _takes_one_z(findings, f"{run}.z"):
        z = []  # nothing is seen of layers that are given the same twice
    keys = {layer["key"] for layer in z}
    sampled_at = findings.facts.get(f"{run}.x.sampled_at")
    if not isinstance(sampled_at, int) and z:  # without reparameterize: the decoder begins where it does in block 4
        sampled_at = next((index for index, layer in enumerate(x) if layer["key"] == z[0]["key"]), None)
    encoder = [layer for layer in x if layer["key"] not in keys]
    if isinstance(sampled_at, int):
        encoder = x[:sampled_at]  # block 4 may not run, may leave a layer out, or have weights of the encoder
    if z:
        decoder, source, output = z, f"{run}.z", f"{run}.z.images"
    else:  # block 4 does not run, or all z are one to it: the decoder is seen behind the encoder
        at = sampled_at if isinstance(sampled_at, int) else len(x)
        encoder, decoder, source, output = x[:at], x[at:], f"{run}.x", f"{run}.x.recon_x"
    rows = vae_encoder(channels, latent_dim), vae_decoder(channels, latent_dim)
    stopped = findings.failures.get(f"{run}.x"), findings.failures.get(source)
    if not z and not decoder:
        stopped = (stopped[0], findings.failures.get(f"{run}.z") or stopped[0])
    return (
        _network(findings, f"{run}.x", _joined(encoder, latent_dim), x, "", rows[0], stopped[0]),
        _network(findings, source, decoder, z or x, output, rows[1], stopped[1]),
    )


def _takes_one_z(findings: Findings, name: str) -> bool:
    """Whether the first layer of a run takes the same of every instance."""
    if f"{name}.0.taken" not in findings:
        return False
    taken = findings[f"{name}.0.taken"]
    return bool((taken == taken[:1]).all())


@lru_cache(maxsize=16)
def _idle(findings: Findings, name: str) -> tuple[tuple[int, ...], ...]:
    shapes = findings[f"{name}.idle"] if f"{name}.idle" in findings else np.empty((0, 4))
    return tuple(tuple(int(size) for size in shape) for shape in shapes)


def gan_network(findings: Findings, run: int, rows: list[Row]) -> Network:
    """The generator of one of the runs that `gan_generator` made."""
    name = f"{run}.z"
    layers = _layers(findings, name)
    if not layers and name not in findings.facts:
        raise NotSeen(f"{run}.make", findings.failure(f"{run}.make"))
    return _network(findings, name, layers, layers, f"{name}.images", rows, findings.failures.get(name))


def _layers(findings: Findings, name: str) -> list[dict]:
    layers = findings.facts.get(name, [])
    return [{**layer, "index": index} for index, layer in enumerate(layers)]


def _joined(layers: list[dict], latent_dim: int) -> list[dict]:
    """The encoder's layers, with two heads for mu and log sigma as one."""
    real = [layer for layer in layers if layer["kind"] != NORM]
    if len(real) >= 2:
        one, other = real[-2:]
        are_heads = all(
            layer["kind"] == CONNECTED and layer["outputs"] == latent_dim and layer["inputs"] == one["inputs"]
            for layer in (one, other)
        )
        if are_heads and one["inputs"] != latent_dim:
            return [
                {**layer, "outputs": 2 * latent_dim} if layer is one else layer for layer in layers if layer != other
            ]
    return layers


def _network(
    findings: Findings,
    name: str,
    layers: list[dict],
    ran: Sequence[dict],
    output: str,
    rows: list[Row],
    failure: Failure | None,
) -> Network:
    """Find what stands behind each layer, where the arrays of the run were noted."""
    real = [layer for layer in layers if layer["kind"] != NORM]
    behind, normed = [], []
    for layer in real:
        names, norms = [], []
        given, at = f"{name}.{layer['index']}.given", layer["index"] + 1
        while at < len(ran) and ran[at]["kind"] == NORM:
            is_one = ran[at].get(SEEN, True)
            names += [between(findings, given, f"{name}.{at}.taken"), "BN" if is_one else SOMETHING_ELSE]
            norms += [ran[at]] * is_one
            given, at = f"{name}.{at}.given", at + 1
        names.append(between(findings, given, f"{name}.{at}.taken" if at < len(ran) else output))
        behind.append(None if None in names else _in_words(names))
        normed.append(norms)
    # Of the fully connected layers no two rows have the same shape, so that what one branch does not run can be told.
    idle = {shape: "forward(z=z)" for shape in _idle(findings, name) if shape[2:] == (1, 1)}
    idle |= dict.fromkeys(_idle(findings, name.replace("z", "x")), "forward")
    return Network(rows, real, behind, normed, failure, idle)


def _in_words(names: list[str]) -> str:
    return " + ".join(one for one in names if one != NO_ACTIVATION) or NO_ACTIVATION


def between(findings: Findings, given: str, taken: str) -> str | None:
    """What stands between what one layer gives and what the next one takes, in words; None where it was not seen."""
    if given not in findings or taken not in findings:
        return None
    given, taken = findings[given], findings[taken]
    if given.size != taken.size or len(given) != len(taken):
        return SOMETHING_ELSE
    same_shape = given.shape == taken.shape
    given, taken = given.reshape(len(given), -1), taken.reshape(len(taken), -1)
    for name, function in ACTIVATIONS.items():
        expected = function(given)
        # How an image is laid out in a row is the student's choice.
        pairs = [(expected, taken)] + ([] if same_shape else [(np.sort(expected), np.sort(taken))])
        if any(_alike(one, other) for one, other in pairs):
            return name
    for name in sorted(ACTIVATIONS, key=lambda name: name == NO_ACTIVATION):  # of a ReLU some numbers are zero, too
        if words := _changed(name, ACTIVATIONS[name](given), taken):
            return words
    return SOMETHING_ELSE


def made_of(given: np.ndarray, taken: np.ndarray) -> str:
    """How one array was made of another of the same shape, in words: "Tanh", "a clamp to [-2, 2]"; "" if not known."""
    if given.shape != taken.shape or not (np.isfinite(given).all() and np.isfinite(taken).all()):
        return ""
    words = between(Findings("", {"given": given, "taken": taken}), "given", "taken")
    if words != SOMETHING_ELSE:
        for nothing in (NO_ACTIVATION, "ReLU") if given.min() >= 0 else (NO_ACTIVATION,):
            words = words.removeprefix(nothing)
        words = words.removeprefix(",").removeprefix(" and ").strip()
        return words.replace("times ", "a multiplication by ").replace("plus ", "an addition of ")
    low, high = taken.min(), taken.max()
    if low < high and _alike(given.clip(low, high), taken):
        return f"a clamp to [{low:.3g}, {high:.3g}]"
    if _alike(np.round(given), taken):
        return "rounding"
    one, other = given.reshape(len(given), -1), taken.reshape(len(taken), -1)
    factors = (one * other).sum(axis=1, keepdims=True) / np.maximum((one**2).sum(axis=1, keepdims=True), 1e-12)
    if _alike(one * factors, other):
        return "a scaling of each instance by itself"
    in_order = other.ravel()[np.argsort(one, axis=None)]
    if (np.diff(in_order) >= -1e-5 * np.ptp(in_order)).all() and np.ptp(in_order) > 0:
        return "another activation"
    alike = np.corrcoef(one.ravel(), other.ravel())[0, 1] if one.std() and other.std() else 0
    return "an addition of noise" if alike > STILL_ALIKE else ""


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return np.allclose(one, other, rtol=1e-3, atol=1e-5)


def _changed(name: str, expected: np.ndarray, taken: np.ndarray) -> str:
    """Usual ways to change what an activation gives, (instances, numbers), in words; "" where it is none of them."""
    if _alike(np.sort(expected, axis=None), np.sort(taken, axis=None)):
        return f"{name}, and a reshape that mixes the instances of the batch"
    low, high = taken.min(), taken.max()
    if name != NO_ACTIVATION and low < high and _alike(expected.clip(low, high), taken):
        return f"{name}, and a clamp to [{low:.3g}, {high:.3g}]"
    if set(np.unique(taken)) == {0, 1} and expected.min() >= 0 and expected.max() <= 1:
        is_rounded = np.array_equal(taken, np.round(expected))
        return f"{name}, and {'rounding to' if is_rounded else 'a random choice of'} 0 or 1"
    if _is_dropout(expected, taken):
        return f"{name} and dropout"
    return _scaled(name, expected, taken)


def _is_dropout(expected: np.ndarray, taken: np.ndarray) -> bool:
    """Whether some of the numbers are zero, and all others the expected ones times something above 1."""
    there, left = np.abs(expected) > 1e-4, np.abs(taken) > 1e-5
    if (left & ~there).any() or left.all() or not (there & left).any() or not (there & ~left).any():
        return False
    factors = taken[there & left] / expected[there & left]
    return bool(factors[0] > 0.99 and np.allclose(factors, factors[0], rtol=1e-2))


def _scaled(name: str, expected: np.ndarray, taken: np.ndarray) -> str:
    """The same, for a multiple of what an activation gives and a constant added to it."""
    spread = expected.std()
    if spread < 1e-6:
        return ""
    factor = ((expected - expected.mean()) * (taken - taken.mean())).mean() / spread**2
    shift = taken.mean() - factor * expected.mean()
    if factor == 0 or not _alike(factor * expected + shift, taken):
        return ""
    times = "" if abs(factor - 1) < 1e-3 else f" times {factor:.3g}"
    plus = "" if abs(shift) < 1e-4 else f" plus {shift:.3g}"
    return f"{name}{times}{plus}"
