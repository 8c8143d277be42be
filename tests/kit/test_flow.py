"""Derivatives by autograd against those by moving the weights, on models whose derivatives are known."""

import numpy as np
import pytest
import torch
from mistake_pairs import hidden
from torch import nn

from autograder.checks import Wrong
from autograder.evidence import Findings
from autograder.probe.flow import note_flow
from autograder.probe.record import Record

judge_flow, judge_gradients = (getattr(hidden("test_vae_step"), name) for name in ("judge_flow", "judge_gradients"))


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


def products_of(times_kl, size_of_kl):
    """What a step of training notes whose optimizer is given recon's gradient and so many times the KL's."""
    recon, kl = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    kl *= np.float32(size_of_kl)
    rows = np.stack([recon + np.float32(times_kl) * kl, recon, kl, np.full_like(kl, 0.3)]).astype(np.float64)
    return rows @ rows.T


def test_a_gradient_that_is_lost_in_the_rounding_of_another_is_not_judged():
    table = products_of(1, 1e-7)
    judge_gradients(table, np.stack([table, table]) / 2, "in step 2")


@pytest.mark.parametrize(("times", "said"), [(0, "kl_loss has no part"), (0.5, "kl_loss counts 0.5 times")])
def test_a_small_gradient_is_judged(times, said):
    table = products_of(times, 0.02)
    with pytest.raises(Wrong, match=said):
        judge_gradients(table, np.stack([table, table]) / 2, "in step 2")
