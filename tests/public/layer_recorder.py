"""Which layers a network runs, and what stands between them, seen from the arithmetic.

Neither names nor spelling matter: nn.ReLU, F.relu and clamp come to the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from .layer_tables import CONV, FC, NO_ACTIVATION, TRANSPOSED
from .student_code import CodeStopped

# What may stand between two layers, as a student would name it.
ACTIVATIONS = {
    NO_ACTIVATION: lambda x: x,
    "ReLU": F.relu,
    "LeakyReLU": F.leaky_relu,
    "LeakyReLU(0.2)": lambda x: F.leaky_relu(x, 0.2),
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "ReLU + Sigmoid": lambda x: F.relu(x).sigmoid(),
    "ReLU + Tanh": lambda x: F.relu(x).tanh(),
    "ELU": F.elu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "Softplus": F.softplus,
}
# Those that are looked for beside batch normalisation, and how exactly its weight can be told from what came out.
BESIDE_BN = {NO_ACTIVATION: 1e-3, "ReLU": 1e-3, "LeakyReLU": 1e-3, "LeakyReLU(0.2)": 1e-3, "Sigmoid": 0.1, "Tanh": 0.1}


@dataclass
class Layer:
    """A convolution or a fully connected layer that ran.

    Attributes:
        geometry: kernel, stride and so on; a pair where the two directions differ.
        taken, given: what went in and what came out; nothing came out where it stopped there.
        weights: the weights and, where there is one, the bias; they share their memory with the student's parameters.
    """

    kind: str
    inputs: int
    outputs: int
    geometry: dict[str, object]
    taken: Tensor
    given: Tensor | None
    weights: list[Tensor]

    @property
    def turns(self) -> tuple[str, int, int]:
        """What the layer is, what goes in and what comes out."""
        return self.kind, self.inputs, self.outputs


class Recorder(TorchDispatchMode):
    """Inside `with Recorder(model) as recorder`, every layer that runs is added to `recorder.layers`.

    Fully connected layers and convolutions come down to few operations, whatever they are called with. A layer that
    runs a second time is noted once.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.layers: list[Layer] = []
        self._model = model
        self._newest: int | None = None  # where the output of the layer that ran last lies

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """See one operation pass."""
        layer = _layer(operation, args, self._is_weight)
        if layer is None or any(memory(layer.weights[0]) == memory(other.weights[0]) for other in self.layers):
            given = operation(*args, **(kwargs or {}))
            if operation in (torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor):
                self._take_bias(args, given)
            return given
        self.layers.append(layer)  # before it runs: where it stops, it is of interest
        given = operation(*args, **(kwargs or {}))
        self._newest = memory(given)
        rows = given
        if layer.kind == FC:
            rows = given.reshape(given.shape[-2:])
            rows = rows.T if _weights_come_first(args, self._is_weight) else rows
        layer.given = rows.clone()  # an in-place ReLU would change it
        return given

    def _is_weight(self, tensor: Tensor) -> bool:
        """Whether a tensor is a parameter of the model, or a view of one."""
        return any(memory(tensor) == memory(one) for one in self._model.parameters() if not is_lazy(one))

    def _take_bias(self, operands: tuple, total: Tensor) -> None:
        """Count a bias that is added by itself to the layer that ran last."""
        for output, bias in (operands, operands[::-1]):
            if isinstance(output, Tensor) and isinstance(bias, Tensor) and memory(output) == self._newest:
                layer = self.layers[-1]
                if len(layer.weights) == 1 and bias.shape == (layer.outputs,) and self._is_weight(bias):
                    layer.weights.append(bias)
                    layer.given = total.clone()


def run_recorded(model: nn.Module, run: Callable[[], object]) -> tuple[object, list[Layer], CodeStopped | None]:
    """Run student code: what it gives, the layers of the model that ran, and what stopped it."""
    with Recorder(model) as recorder:
        try:
            return run(), recorder.layers, None
        except CodeStopped as stopped:
            return None, recorder.layers, stopped


def memory(tensor: Tensor) -> int:
    """Where a tensor's numbers lie; the same for all views of a parameter."""
    return tensor.untyped_storage().data_ptr()


def stands_between(given: Tensor, taken: Tensor) -> list[str]:
    """What may have happened to a layer's output on the way to the next layer's input, in the words of the tables.

    More than one answer is possible: without a negative number, nothing and a ReLU are the same.
    """
    if given.numel() != taken.numel() or len(given) != len(taken):
        return []
    found = [name for name, function in ACTIVATIONS.items() if _same(function(given), taken)]
    if found:
        return found
    taken = taken.reshape(given.shape)
    for name, tolerance in BESIDE_BN.items():
        if _same_normalised(_normalise(given), taken, name, tolerance):
            found.append("BN" if name == NO_ACTIVATION else f"BN + {name}")
        if (
            _same_normalised(_normalise(ACTIVATIONS[name](given)), taken, NO_ACTIVATION, tolerance)
            and name != NO_ACTIVATION
        ):
            found.append(f"{name} + BN")
    return found


def _layer(operation, args: tuple, is_weight: Callable[[Tensor], bool]) -> Layer | None:
    """The layer that an operation is, if it is one."""
    aten = torch.ops.aten
    if operation is aten.convolution.default:
        taken, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args
        names = ("kernel", "stride", "padding", "output padding", "dilation")
        pairs = (weight.shape[2:], stride, padding, output_padding, dilation)
        geometry = {name: _number(pair) for name, pair in zip(names, pairs, strict=True)} | {"groups": groups}
        first, second = weight.shape[:2]  # PyTorch has a transposed convolution's inputs first
        inputs, outputs = (first, second * groups) if transposed else (second * groups, first)
        kind = TRANSPOSED if transposed else CONV
        weights = [weight] if bias is None else [weight, bias]
        return Layer(kind, inputs, outputs, geometry, taken.clone(), None, weights)
    if operation in (aten.addmm.default, aten.mm.default, aten.bmm.default):
        *bias, taken, weight = args
        if weight.dim() == 3:  # einsum's way
            if len(weight) > 1:
                return None
            taken, weight = taken[0], weight[0]
        if _weights_come_first(args, is_weight):
            taken, weight = weight.T, taken.T
        return Layer(FC, *weight.shape, {}, taken.clone(), None, [weight, *bias])
    return None


def _weights_come_first(args: tuple, is_weight: Callable[[Tensor], bool]) -> bool:
    """Whether a product is W x, with an instance in each column, and not x W."""
    *_, one, other = args
    return is_weight(one) and not is_weight(other)


def _number(pair) -> object:
    values = tuple(pair)
    return values[0] if len(set(values)) == 1 else values


def _same(expected: Tensor, found: Tensor) -> bool:
    """Equal up to the order within an instance: how an image is laid out in a row is the student's choice."""
    pair = [values.flatten(start_dim=1) for values in (expected, found)]
    if expected.shape != found.shape and not torch.allclose(*pair, rtol=1e-3, atol=1e-6):
        pair = [values.sort(dim=1).values for values in pair]
    return torch.allclose(*pair, rtol=1e-3, atol=1e-6)


def _normalise(values: Tensor) -> Tensor:
    """Batch normalisation without its two parameters."""
    std, mean = torch.std_mean(values, dim=_all_but_channels(values), keepdim=True, correction=0)
    return (values - mean) / (std + 1e-12)


def _same_normalised(normal: Tensor, found: Tensor, activation: str, tolerance: float) -> bool:
    """Whether `found` is the activation of batch-normalised numbers, for some weight of every channel."""
    weight = 1.0
    if activation not in ("Sigmoid", "Tanh"):
        # The others keep what is positive, so the weight is a slope there. Normalised numbers have both signs.
        kept = normal * (normal > 0)
        dims = _all_but_channels(normal)
        weight = (kept * found).sum(dims, keepdim=True) / (kept * normal).sum(dims, keepdim=True)
    difference = ACTIVATIONS[activation](normal * weight) - found
    return bool(difference.abs().max() <= tolerance * found.abs().max())


def _all_but_channels(values: Tensor) -> list[int]:
    return [0, *range(2, values.dim())]
