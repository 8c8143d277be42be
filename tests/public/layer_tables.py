"""The assignment's tables of layers, as data: what each row asks for, and how a layer that ran differs from it."""

from collections.abc import Callable
from dataclasses import dataclass

VAE, GENERATOR = "the VAE's table", "the generator's table"
CONV, TRANSPOSED, FC = "a convolution", "a transposed convolution", "a fully connected layer"
GEOMETRY = {"kernel": 1, "stride": 1, "padding": 0, "output padding": 0, "dilation": 1, "groups": 1}
LARGEST_SIZE = 512  # of latent_dim and hidden_dim, when looking for the one that is written into the code
IMAGE_CHANNELS = 1
NO_ACTIVATION = "no activation"


@dataclass(frozen=True)
class Row:
    """What a row of a table asks for.

    Attributes:
        name: such as "Enc-1".
        after: what stands between this layer and the next one.
        geometry: kernel, stride and so on, where they are not those of GEOMETRY.
    """

    table: str
    name: str
    kind: str
    inputs: int
    outputs: int
    after: str
    geometry: dict[str, int]

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """How PyTorch lays out the weights of such a layer."""
        pair = (self.inputs, self.outputs) if self.kind == TRANSPOSED else (self.outputs, self.inputs)
        return pair if self.kind == FC else (*pair, self.geometry["kernel"], self.geometry["kernel"])

    def __str__(self) -> str:
        return f"Row {self.name} of {self.table}"

    @property
    def turns(self) -> tuple[str, int, int]:
        """What the layer is, what goes in and what comes out."""
        return self.kind, self.inputs, self.outputs


def in_words(kind: str, inputs: int, outputs: int) -> str:
    """Name a layer as a student would."""
    return f"{kind} from {inputs} to {outputs} {'features' if kind == FC else 'channels'}"


def vae_encoder(latent_dim: int) -> list[Row]:
    """Enc-1 to Enc-6, with Enc-6 as one layer."""
    return [
        _conv("Enc-1", IMAGE_CHANNELS, 16, stride=1),
        _conv("Enc-2", 16, 32, stride=2),
        _conv("Enc-3", 32, 32, stride=1),
        _conv("Enc-4", 32, 16, stride=2),
        Row(VAE, "Enc-5", FC, 16 * 8 * 8, 2 * latent_dim, "ReLU", {}),
        Row(VAE, "Enc-6", FC, 2 * latent_dim, 2 * latent_dim, NO_ACTIVATION, {}),
    ]


def vae_decoder(latent_dim: int) -> list[Row]:
    """Dec-1 to Dec-6."""
    return [
        Row(VAE, "Dec-1", FC, latent_dim, latent_dim, "ReLU", {}),
        Row(VAE, "Dec-2", FC, latent_dim, 16 * 8 * 8, NO_ACTIVATION, {}),
        _transposed(VAE, "Dec-3", 16, 32, "ReLU", kernel=3, stride=2, padding=1, output_padding=1),
        _transposed(VAE, "Dec-4", 32, 32, "ReLU", kernel=3, stride=1, padding=1),
        _transposed(VAE, "Dec-5", 32, 16, "ReLU", kernel=3, stride=2, padding=1, output_padding=1),
        _transposed(VAE, "Dec-6", 16, IMAGE_CHANNELS, "Sigmoid", kernel=3, stride=1, padding=1),
    ]


def generator(latent_dim: int, hidden_dim: int) -> list[Row]:
    """Rows 1 to 4 of the generator."""
    return [
        _transposed(GENERATOR, "1", latent_dim, 4 * hidden_dim, "BN + ReLU", kernel=4, stride=1, padding=0),
        _transposed(GENERATOR, "2", 4 * hidden_dim, 2 * hidden_dim, "BN + ReLU", kernel=4, stride=2, padding=1),
        _transposed(GENERATOR, "3", 2 * hidden_dim, hidden_dim, "BN + ReLU", kernel=4, stride=2, padding=1),
        _transposed(GENERATOR, "4", hidden_dim, IMAGE_CHANNELS, "Tanh", kernel=4, stride=2, padding=1),
    ]


def difference(layers: list, table: Callable[..., list[Row]], **sizes: int) -> tuple[str, str]:
    """Compare layers, in the order in which they ran, with the rows of a table.

    Args:
        layers: layer_recorder.Layer each; they may be fewer than the rows, or more.
        table: one of the functions above.
        sizes: the table's latent_dim and hidden_dim.
    Returns:
        One sentence about the first row that a layer differs from, and the part of it that says why, if that is known;
        "" for each where there is nothing to say.
    """
    for index, (row, layer) in enumerate(zip(table(**sizes), layers, strict=False)):
        asks = f"{row} asks for"
        if layer.turns != row.turns:
            why = _written_into_the_code(layer, index, table, sizes)
            return f"{asks} {in_words(*row.turns)}; yours is {in_words(*layer.turns)}{why}.", why
        for what, usual in GEOMETRY.items():
            wanted, found = row.geometry.get(what, usual), layer.geometry.get(what, usual)
            if found != wanted:
                return f"{asks} {what} {wanted}; yours has {what} {found}.", ""
    return "", ""


def _conv(name: str, inputs: int, outputs: int, stride: int) -> Row:
    return Row(VAE, name, CONV, inputs, outputs, "ReLU", {"kernel": 3, "stride": stride, "padding": 1})


def _transposed(
    table: str,
    name: str,
    inputs: int,
    outputs: int,
    after: str,
    kernel: int,
    stride: int,
    padding: int,
    output_padding: int = 0,
) -> Row:
    geometry = {"kernel": kernel, "stride": stride, "padding": padding, "output padding": output_padding}
    return Row(table, name, TRANSPOSED, inputs, outputs, after, geometry)


def _written_into_the_code(layer, index: int, table: Callable[..., list[Row]], sizes: dict[str, int]) -> str:
    """Whether the layer would be the right one for another latent_dim or hidden_dim."""
    for size, given in sizes.items():
        for other in range(1, LARGEST_SIZE + 1):
            if table(**{**sizes, size: other})[index].turns == layer.turns:
                return f", which would be right for {size} {other}, but {size} {given} was given"
    return ""
