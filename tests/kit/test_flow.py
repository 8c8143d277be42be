"""Derivatives by autograd against those by moving the weights, on models whose derivatives are known."""

import pytest
import torch
from mistake_pairs import hidden
from torch import nn

from autograder.checks import Wrong
from autograder.evidence import Findings
from autograder.probe.flow import note_flow
from autograder.probe.record import Record

judge_flow = hidden("test_vae_step").judge_flow


class Kept(Record):
    """A record that can be read at once."""

    def __init__(self):
        super().__init__()
        self.noted = {}

    def array(self, name, values):
        self.noted[name] = torch.as_tensor(values).detach().numpy()


class AtTheCorner(nn.Module):
    """Gives numbers that hang on a ReLU whose input is 0, where autograd's slope is 0 and the other side's is 1."""

    def __init__(self):
        super().__init__()
        self.one, self.same, self.decoder = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(3))

    def forward(self, is_detached):
        corner = (self.one - self.same).relu()
        code = self.one.detach() if is_detached else self.one
        return self.decoder * (code * self.same + corner), self.one + corner, self.same * 2


def seen(is_detached):
    model, record = AtTheCorner(), Kept()
    note_flow(record, model, lambda: model(is_detached), [False, False, True])
    return record.noted


def test_a_relu_at_its_corner_is_right_from_one_side():
    noted = seen(is_detached=False)
    forward, back = noted["flow.numeric"][:, 0, 0]
    assert abs(forward - back) > 0.1  # else this would show nothing
    assert min(abs(noted["flow.automatic"][0, 0] - one) for one in (forward, back)) < 1e-5
    judge_flow(Findings("vae_step", noted))


def test_what_is_detached_is_told_at_the_corner_too():
    with pytest.raises(Wrong, match="only a part of the gradient flows from recon_x to the encoder"):
        judge_flow(Findings("vae_step", seen(is_detached=True)))
