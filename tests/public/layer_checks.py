"""The layers that a network ran, held against the rows of a table."""

from collections.abc import Callable

from torch import Tensor, nn

from .layer_recorder import Layer, stands_between
from .layer_tables import FC, Row, difference, in_words
from .mistakes import complain
from .student_code import CodeStopped


def compare_layers(
    layers: list[Layer], stopped: CodeStopped | None, table: Callable[..., list[Row]], **sizes: int
) -> None:
    """Compare the layers that ran with a table.

    Args:
        layers: in the order in which they ran.
        stopped: what stopped the network, or None.
        table: a function of `layer_tables`, which takes `sizes`.
    Raises:
        CodeStopped: a row has another layer, or none.
    """
    # A wrong layer is very often what stopped the network, and says more than the exception.
    causes = stopped.causes if stopped else ()
    different, why = difference(layers, table, **sizes)
    if different:
        raise CodeStopped(different, *causes, *filter(None, [why]))
    rows = table(**sizes)
    complete = sum(layer.given is not None for layer in layers)
    if complete < len(rows):
        raise stopped or CodeStopped(f"{rows[complete]} has a layer that never ran.")
    if len(layers) > len(rows):
        raise CodeStopped(f"{rows[-1]} is the last one, and {layers[len(rows)].kind} ran after it.", *causes)


def complain_about_activations(rows: list[Row], layers: list[Layer], reached: list[Tensor]) -> None:
    """Fail where something else stands behind a layer than its row has.

    Args:
        rows, layers: as many of one as of the other.
        reached: for each layer, what came to the next one, or out of the network.
    """
    for row, layer, taken in zip(rows, layers, reached, strict=True):
        found = stands_between(layer.given, taken)
        if row.after not in found:
            yours = found[0] if found else "something else"
            complain(f"{row} has {row.after} behind the layer; in your network there is {yours}.")


def complain_about_missing_weights(model: nn.Module, rows: list[Row]) -> None:
    """Fail where a network that can't run yet has no weights of the shape that a row asks for."""
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    for row in rows:
        wanted = [row.weight_shape]
        if row.kind == FC and row.weight_shape not in shapes:
            wanted = [(row.outputs // 2, row.inputs)] * 2  # mu and log sigma may have a layer each
        for shape in wanted:
            if shape not in shapes:
                complain(f"{row} asks for {in_words(*row.turns)}, and your network has no weights of that shape.")
            shapes.remove(shape)
