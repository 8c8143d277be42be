"""Whether gradients flow through a model as its numbers do: derivatives by autograd, and by moving the weights.

Whatever the network is, right or wrong, the two are the same, unless something on the way is detached.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autograder.probe.record import Record
from autograder.probe.repeatable import SEED, repeatable

SHIFTS = {torch.float32: 1e-3, torch.float64: 1e-8}  # how far weights are moved, in parts of their size
LEAST = 0.05  # the size that weights are taken for which are all zero


def note_flow(
    record: Record, model: nn.Module, run: Callable[[], Sequence[Tensor]], in_decoder: Sequence[bool]
) -> None:
    """Note derivatives of a model's answers along one direction in the encoder's weights and one in the decoder's.

    As arrays: "flow.automatic", (answers, 2); "flow.numeric", (2, answers, 2), to either side, since a ReLU may be at
    its corner; "flow.again", how far the answers of two runs differ; and "flow.is_double", whether the model runs in
    double precision, and the two agree in several digits.

    Args:
        run: gives the answers.
        in_decoder: for each of the model's parameters whether it is the decoder's.
    """
    drawn = torch.Generator().manual_seed(SEED)
    parameters = list(model.parameters())
    directions = [torch.randn(one.shape, generator=drawn).to(one) * _size(one) for one in parameters]
    # Biases that are all zero would leave ReLUs at the very point where they have no derivative.
    zeros = [(one, direction) for one, direction in zip(parameters, directions, strict=True) if not one.any()]
    with _shifted(zeros, 1.0):
        _note(record, run, parameters, directions, in_decoder)


def _note(
    record: Record,
    run: Callable[[], Sequence[Tensor]],
    parameters: Sequence[Tensor],
    directions: Sequence[Tensor],
    in_decoder: Sequence[bool],
) -> None:
    with repeatable():
        answers = list(run())
    with repeatable(), torch.no_grad():
        again = max(float((one - other).abs().max()) for one, other in zip(answers, run(), strict=True))
    shift = SHIFTS[answers[0].dtype]
    drawn = torch.Generator().manual_seed(SEED + 1)
    towards = [torch.randn(answer.shape, generator=drawn) for answer in answers]
    halves = [[is_in == half for is_in in in_decoder] for half in (False, True)]
    automatic = torch.zeros(len(answers), 2, dtype=torch.float64)
    numeric = torch.zeros(2, len(answers), 2, dtype=torch.float64)
    for row, (answer, along) in enumerate(zip(answers, towards, strict=True)):
        gradients = _gradients((answer * along).sum(), parameters)
        for column, half in enumerate(halves):
            for gradient, direction, is_in in zip(gradients, directions, half, strict=True):
                if is_in and gradient is not None:
                    automatic[row, column] += (gradient.double() * direction.double()).sum()
    for column, half in enumerate(halves):
        moved = [(one, direction) for one, direction, is_in in zip(parameters, directions, half, strict=True) if is_in]
        for side, sign in enumerate((1, -1)):
            with _shifted(moved, sign * shift), repeatable(), torch.no_grad():
                ends = run()
            for row, (answer, end) in enumerate(zip(answers, ends, strict=True)):
                change = end.double() - answer.detach().double()
                numeric[side, row, column] = (change * towards[row]).sum() / (sign * shift)
    record.array("flow.again", torch.tensor([again]))
    record.array("flow.automatic", automatic)
    record.array("flow.numeric", numeric)
    record.array("flow.is_double", torch.tensor([answers[0].dtype == torch.float64]))


def _size(parameter: Tensor) -> float:
    return float(parameter.detach().square().mean().sqrt()) or LEAST


def _gradients(output: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
    wanted = [one for one in parameters if one.requires_grad]
    if not output.requires_grad or not wanted:
        return [None] * len(parameters)
    found = dict(zip(wanted, torch.autograd.grad(output, wanted, retain_graph=True, allow_unused=True), strict=True))
    return [found.get(one) for one in parameters]


@contextmanager
def _shifted(moved: Sequence[tuple[Tensor, Tensor]], by: float) -> Iterator[None]:
    kept = [parameter.detach().clone() for parameter, _ in moved]
    with torch.no_grad():
        for parameter, direction in moved:
            parameter.add_(direction, alpha=by)
    try:
        yield
    finally:
        with torch.no_grad():
            for (parameter, _), values in zip(moved, kept, strict=True):
                parameter.copy_(values)
