"""The layers that a network runs, in the order in which it runs them, and weights carried into them.

Seen from the operations that PyTorch carries out, so that neither a layer's name nor its spelling matters.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.probe.record import Record
from autograder.probe.weights import drawn_weights

CONVOLUTION, TRANSPOSED = "a convolution", "a transposed convolution"
CONNECTED, NORM = "a fully connected layer", "batch normalisation"
ALL_KINDS = (CONVOLUTION, TRANSPOSED, CONNECTED, NORM)
_ATEN = torch.ops.aten
_PRODUCTS = (_ATEN.addmm.default, _ATEN.mm.default, _ATEN.bmm.default)
_ADDITIONS = (_ATEN.add.Tensor, _ATEN.add_.Tensor)


@dataclass
class Layer:
    """A layer that ran, with what went in and, unless it stopped there, what came out.

    Attributes:
        facts: kind, inputs, outputs, and the geometry or the settings that its kind has.
        weight, bias, mean, var: they share their memory with the student's; the last two are batch normalisation's.
        turned: the student multiplies the other way round, W @ x, so that the instances are columns.
    """

    facts: dict[str, object]
    weight: Tensor | None
    bias: Tensor | None
    taken: Tensor
    given: Tensor | None = None
    mean: Tensor | None = None
    var: Tensor | None = None
    turned: bool = False

    @property
    def is_product(self) -> bool:
        """Whether it is a product of matrices."""
        return self.facts["kind"] == CONNECTED

    @property
    def key(self) -> int:
        """Where the weights lie: the same for a layer that runs twice."""
        return memory(self.weight) if self.weight is not None else id(self)


class Watch(TorchDispatchMode):
    """Inside `with Watch(model) as watch`, every layer that runs for the first time is added to `watch.layers`.

    Args:
        model: its parameters tell the weights of a product from what it takes.
        seed: of the weights that each layer is given before it runs; None where it keeps its own.
    """

    def __init__(self, model: nn.Module, seed: int | None = None):
        super().__init__()
        self.layers: list[Layer] = []
        self._model = model
        self._seed = seed
        self._result: Tensor | None = None  # of the last layer: as long as it is kept, its memory is no other's

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Carry one operation out, and note it where it is a layer."""
        layer = _layer(operation, args, self._model)
        if layer is not None and layer.key not in {one.key for one in self.layers}:
            if self._seed is not None and layer.facts["kind"] != NORM:
                _draw(layer, self._seed, len(self.layers))
            self.layers.append(layer)
        else:
            layer = None
        result = operation(*args, **(kwargs or {}))
        if layer is not None:
            self._result = result[0] if isinstance(result, tuple) else result
            layer.given = _in_rows(self._result, layer.turned).clone() if layer.is_product else self._result.clone()
        elif operation in _ADDITIONS and not kwargs:
            self._note_bias(args, result)
        return result

    def _note_bias(self, terms: tuple, result: Tensor) -> None:
        """Note a parameter that is added to what the last layer gave, a product alone, as its bias."""
        last = self.layers[-1] if self.layers else None
        if last is None or last.given is None or last.bias is not None or not last.is_product:
            return
        if not all(isinstance(one, Tensor) for one in terms):
            return
        term, bias = terms if memory(terms[0]) == memory(self._result) else terms[::-1]
        if memory(term) != memory(self._result) or sizes_of(self._model).get(memory(bias)) != last.facts["outputs"]:
            return
        for turned in (False, True):
            given = _in_rows(term, turned)
            if given.shape == last.given.shape and torch.equal(given, last.given):  # nothing has changed it in place
                last.bias, last.given = bias, _in_rows(result, turned).clone()
                return


def _draw(layer: Layer, seed: int, index: int) -> None:
    values = drawn_weights(seed, index, layer.weight.shape, layer.facts["outputs"])
    with torch.no_grad(), suppress(RuntimeError):  # weights that lie upon each other can't be overwritten
        layer.weight.copy_(torch.from_numpy(values))


def memory(values: Tensor) -> int:
    """Where a tensor's numbers lie."""
    return values.untyped_storage().data_ptr()


def sizes_of(model: nn.Module) -> dict[int, int]:
    """Where the parameters' numbers lie, and how many they are; lazy layers have none before they run."""
    made = [one for one in model.parameters() if not isinstance(one, nn.parameter.UninitializedParameter)]
    return {memory(parameter): parameter.numel() for parameter in made}


def note_layers(record: Record, name: str, layers: Sequence[Layer], kinds: Sequence[str]) -> None:
    """Write down layers as the fact `name`, and what went into those of some kinds and what came out."""
    record.fact(name, [{**layer.facts, "key": str(layer.key), "ran": layer.given is not None} for layer in layers])
    for index, layer in enumerate(layers):
        if layer.facts["kind"] in kinds:
            record.array(f"{name}.{index}.taken", layer.taken)
            if layer.given is not None:
                record.array(f"{name}.{index}.given", layer.given)


def is_in_mode(model: nn.Module, training: bool) -> bool:
    """Whether all of a model is in training mode, or all in evaluation mode."""
    return all(bool(one.training) == training for one in model.modules())


def watch(model: nn.Module, run: Callable[[], object]) -> tuple[object, list[Layer]]:
    """Run student code: what it gives, and the layers that ran."""
    with Watch(model) as seen:
        return run(), seen.layers


class NotCarried(Exception):
    """Weights can't be carried into the student's layers: they are of other shapes, or computed from others."""


def carry(model: nn.Module, layers: Sequence[Layer], rows: Sequence[dict[str, Tensor]]) -> None:
    """Overwrite the weights of layers that ran; biases become zero, unless the row has one.

    Args:
        model: whose layers they are.
        layers, rows: one row for each layer; a row has "weight" and, for batch normalisation, "bias".
    Raises:
        NotCarried: there are more or fewer layers, other shapes, or weights that are no parameters.
    """
    if len(layers) != len(rows):
        raise NotCarried(f"{len(layers)} layers ran, where there are weights for {len(rows)}")
    sizes = sizes_of(model)
    with torch.no_grad():
        for number, (layer, row) in enumerate(zip(layers, rows, strict=True), 1):
            if layer.weight is None or sizes.get(layer.key) != layer.weight.numel():
                raise NotCarried(f"the weights of layer {number} are no parameters of the network")
            weight = as_row(layer, layer.weight)
            if weight.shape != row["weight"].shape:
                shapes = f"{tuple(weight.shape)}, not {tuple(row['weight'].shape)}"
                raise NotCarried(f"the weights of layer {number} have shape {shapes}")
            weight.copy_(row["weight"])
            if layer.bias is not None:
                layer.bias.copy_(row.get("bias", torch.zeros_like(layer.bias)))
            if layer.mean is not None:
                layer.mean.zero_()
                layer.var.fill_(1)


def as_row(layer: Layer, values: Tensor) -> Tensor:
    """Numbers that lie as a layer's weights do, in the shape in which PyTorch's own layers keep them.

    A student may have written x @ W, and then W lies the other way round.
    """
    values = values.as_strided(layer.weight.shape, layer.weight.stride())
    return values.t() if layer.facts["kind"] == CONNECTED else values


def _in_rows(result: Tensor, turned: bool) -> Tensor:
    """What a product gives, with one row for each instance."""
    rows = result.reshape(result.shape[-2:])
    return rows.t() if turned else rows


def _layer(operation, args: tuple, model: nn.Module) -> Layer | None:
    if operation is _ATEN.convolution.default:
        taken, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
        inputs, outputs = weight.shape[1] * groups, weight.shape[0]
        if transposed:
            inputs, outputs = weight.shape[0], weight.shape[1] * groups
        facts = {
            "kind": TRANSPOSED if transposed else CONVOLUTION,
            "inputs": inputs,
            "outputs": outputs,
            "kernel": list(weight.shape[2:]),
            "stride": list(stride),
            "padding": list(padding),
            "output padding": list(output_padding),
            "dilation": list(dilation),
            "groups": [groups],
        }
        return Layer(facts, weight.detach(), bias, taken.clone())
    if operation in _PRODUCTS:
        taken, weight = args[-2:]
        if taken.dim() == 3:
            if len(taken) != 1:
                return None
            taken, weight = taken[0], weight[0]
        sizes = sizes_of(model)
        turned = memory(taken) in sizes and memory(weight) not in sizes
        if turned:
            taken, weight = weight.t(), taken.t()
        facts = {"kind": CONNECTED, "inputs": weight.shape[0], "outputs": weight.shape[1]}
        bias = args[0] if operation is _ATEN.addmm.default else None
        return Layer(facts, weight.detach(), bias, taken.clone(), turned=turned)
    if operation is _ATEN.native_batch_norm.default:
        taken, weight, bias, mean, var, _, momentum, eps = args
        facts = {
            "kind": NORM,
            "inputs": taken.shape[1],
            "outputs": taken.shape[1],
            "eps": eps,
            "momentum": momentum,
            "learns": weight is not None and bias is not None,
            "keeps statistics": mean is not None and var is not None,
        }
        return Layer(facts, weight, bias, taken.clone(), mean=mean, var=var)
    return None
