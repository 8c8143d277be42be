"""The assignment's tables of layers, and how the layers that a student's network ran differ from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

CONVOLUTION, TRANSPOSED = "a convolution", "a transposed convolution"
CONNECTED, NORM = "a fully connected layer", "batch normalisation"
SEEN = "seen"  # of a layer: whether it was seen to compute what it says
USUAL = {"stride": 1, "padding": 0, "output padding": 0, "dilation": 1, "groups": 1}
GAP = 3  # what a missing or an extra layer weighs, in differences of a layer that is there


@dataclass(frozen=True)
class Row:
    """One row of a table: the layer, and what stands behind it.

    Attributes:
        geometry: kernel, stride and so on, where they are not those of USUAL.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    after: str
    geometry: dict[str, int] = field(default_factory=dict)

    def weight_shape(self) -> tuple[int, int, int, int]:
        """The shape in which PyTorch's own layer keeps its weights; a fully connected one's with 1 and 1 behind it."""
        sizes = (self.inputs, self.outputs) if self.kind == TRANSPOSED else (self.outputs, self.inputs)
        kernel = self.geometry.get("kernel", 1)
        return (*sizes, kernel, kernel)

    def differences(self, layer: dict) -> list[str]:
        """What a layer, as a probe describes it, has that this row doesn't ask for, each as half a sentence."""
        unit = "features" if self.kind == CONNECTED else "channels"
        if layer["kind"] != self.kind:
            return [f"asks for {self.kind}; yours is {layer['kind']}"]
        found = []
        for what in ("inputs", "outputs"):
            if layer[what] != getattr(self, what):
                direction = "in" if what == "inputs" else "out"
                found.append(f"asks for {getattr(self, what)} {unit} {direction}; yours has {layer[what]}")
        if self.kind != CONNECTED:
            for what in ("kernel", *USUAL):
                wanted = self.geometry.get(what, USUAL.get(what))
                if set(layer[what]) != {wanted}:
                    yours = "×".join(map(str, dict.fromkeys(layer[what])))
                    found.append(f"asks for {what} {wanted}; yours has {what} {yours}")
        return found


def vae_encoder(channels: int, latent_dim: int) -> list[Row]:
    """Enc-1 to Enc-6."""
    convolutions = [(channels, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2)]
    return [
        *(
            Row(f"Enc-{n}", CONVOLUTION, inputs, outputs, "ReLU", {"kernel": 3, "stride": stride, "padding": 1})
            for n, (inputs, outputs, stride) in enumerate(convolutions, 1)
        ),
        Row("Enc-5", CONNECTED, 1024, 2 * latent_dim, "ReLU"),
        Row("Enc-6", CONNECTED, 2 * latent_dim, 2 * latent_dim, ""),
    ]


def vae_decoder(channels: int, latent_dim: int) -> list[Row]:
    """Dec-1 to Dec-6."""
    convolutions = [(16, 32, 2), (32, 32, 1), (32, 16, 2), (16, channels, 1)]
    return [
        Row("Dec-1", CONNECTED, latent_dim, latent_dim, "ReLU"),
        Row("Dec-2", CONNECTED, latent_dim, 1024, "no activation"),
        *(
            Row(
                f"Dec-{n}",
                TRANSPOSED,
                inputs,
                outputs,
                "Sigmoid" if n == 6 else "ReLU",
                {"kernel": 3, "stride": stride, "padding": 1, "output padding": stride - 1},
            )
            for n, (inputs, outputs, stride) in enumerate(convolutions, 3)
        ),
    ]


def generator(channels: int, latent_dim: int, hidden_dim: int) -> list[Row]:
    """Rows 1 to 4 of the generator."""
    widths = [latent_dim, 4 * hidden_dim, 2 * hidden_dim, hidden_dim, channels]
    geometry = {"kernel": 4, "stride": 2, "padding": 1}
    return [
        Row(
            str(n),
            TRANSPOSED,
            widths[n - 1],
            widths[n],
            "Tanh" if n == 4 else "BN + ReLU",
            {"kernel": 4} if n == 1 else geometry,
        )
        for n in range(1, 5)
    ]


def align(rows: Sequence[Row], layers: Sequence[dict]) -> list[int | None]:
    """Pair the rows with the layers that ran, so that as little as possible differs.

    Returns:
        for each row the index of its layer, None where it is missing; layers that no row has are left over.
    """
    best: dict[tuple[int, int], tuple[float, list[int | None]]] = {(0, 0): (0, [])}
    for r in range(len(rows) + 1):
        for c in range(len(layers) + 1):
            ways = []  # of equal ones the first: a network that stopped has its last rows missing
            if r:
                cost, pairs = best[r - 1, c]
                ways.append((cost + GAP, [*pairs, None]))
            if c:
                cost, pairs = best[r, c - 1]
                ways.append((cost + GAP, pairs))
            if r and c:
                cost, pairs = best[r - 1, c - 1]
                ways.append((cost + _weight(rows[r - 1], layers[c - 1]), [*pairs, c - 1]))
            if ways:
                best[r, c] = min(ways, key=lambda way: way[0])
    return best[len(rows), len(layers)][1]


def _weight(row: Row, layer: dict) -> float:
    if layer["kind"] != row.kind and CONNECTED in (layer["kind"], row.kind):
        return 2.5 * GAP  # rather one missing and another one too many
    return len(row.differences(layer))
