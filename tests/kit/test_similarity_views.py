"""What each view of a block takes for the same, and what it doesn't: pairs of snippets written by hand."""

import ast
import re
import textwrap
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.similarity import flow
from autograder.similarity.model import (
    FLOW,
    SLIP_COMMENT,
    SLIP_KINDS,
    SLIP_NAME,
    SLIP_NUMBER,
    SLIP_STRING,
    SLIP_TYPO,
    SLIP_WORD,
    SLIPS,
    STATEMENTS,
    TEXT,
    TOKENS,
    VIEWS,
)
from autograder.similarity.tokens import lex
from autograder.similarity.views import features

PLACE = flow.Place(
    given=frozenset(
        [
            "x",
            "mu",
            "logvar",
            "z",
            "loss",
            "images",
            "steps",
            "model",
            "loader",
            "optimizer",
            "device",
            "beta",
            "self",
            "criterion",
            "torch",
            "nn",
            "F",
            "latent_dim",
        ]
    ),
    parameters={"criterion": ("prediction", "target", "weight")},
    aliases={"latent_dim": "latent_dim"},
    outputs=frozenset({"z", "loss", "images", "self"}),
    owner="Net",
)


def seen(code: str, view: str) -> set[int]:
    found, _, _ = features(textwrap.dedent(code).strip("\n") + "\n", PLACE, frozenset())
    return {hash_ for hash_, _, _ in found[view]}


def alike(a: str, b: str, view: str = FLOW) -> float:
    one, other = seen(a, view), seen(b, view)
    return len(one & other) / max(len(one | other), 1)


SAME_FLOW = {
    "names": ("std = torch.exp(logvar)\nz = mu + std", "q = torch.exp(logvar)\nz = mu + q"),
    "a temporary": ("z = torch.exp(logvar * 2) + mu", "a = logvar * 2\nb = torch.exp(a)\nz = b + mu"),
    "operands": ("z = mu + 0.5 * logvar", "z = logvar * 0.5 + mu"),
    "a constant": ("z = x * (64 * 7 * 7)", "z = 3136 * x"),
    "halving": ("z = logvar / 2", "z = 0.5 * logvar"),
    "square by product": ("z = mu ** 2", "z = mu * mu"),
    "square by function": ("z = torch.square(mu)", "z = mu.pow(2)"),
    "square by torch.pow": ("z = torch.pow(mu, 2)", "z = mu ** 2.0"),
    "root": ("z = logvar.exp().sqrt()", "z = torch.exp(logvar) ** 0.5"),
    "method": ("z = logvar.exp()", "z = torch.exp(logvar)"),
    "in place": ("s = torch.exp(logvar)\nz = s * mu", "s = logvar.exp_()\nz = s.mul(mu)"),
    "activation": ("z = F.relu(x)", "z = nn.ReLU()(x)"),
    "activation as a clamp": ("z = torch.relu(x)", "z = x.clamp(min=0)"),
    "activation kept in a variable": ("act = nn.LeakyReLU(0.2)\nz = act(x)", "z = F.leaky_relu(x, negative_slope=0.2)"),
    "loss": ("loss = F.mse_loss(x, z)", "loss = nn.MSELoss()(x, z)"),
    "loss with a setting": (
        "loss = F.binary_cross_entropy(z, x, reduction='sum')",
        "bce = nn.BCELoss(reduction='sum')\nloss = bce(z, x)",
    ),
    "softplus": ("loss = F.softplus(x)", "loss = torch.log(1 + torch.exp(x))"),
    "flatten": ("z = x.view(x.size(0), -1)", "z = torch.flatten(x, start_dim=1)"),
    "reshape": ("z = x.reshape(x.shape[0], 64, 7, 7)", "z = x.view(-1, 64, 7, 7)"),
    "unflatten": ("z = x.unflatten(1, (64, 7, 7))", "z = x.view(len(x), 64, 7, 7)"),
    "size": ("z = mu / x.size(0)", "z = mu / x.shape[0]"),
    "len": ("z = mu / len(x)", "n = x.size()[0]\nz = mu / n"),
    "noise": ("z = torch.randn_like(mu)", "z = torch.randn(mu.shape, device=mu.device)"),
    "ones": ("z = torch.ones_like(x)", "z = torch.full_like(x, 1.0)"),
    "dimension by position": ("z = x.sum(1)", "z = torch.sum(x, dim=1)"),
    "library's keywords": ("z = nn.Linear(3, 4)(x)", "z = nn.Linear(out_features=4, in_features=3)(x)"),
    "scaffold's keywords": ("loss = criterion(x, z)", "loss = criterion(target=z, prediction=x)"),
    "kernel as a tuple": ("self.c = nn.Conv2d(1, 8, (4, 4))", "self.conv = nn.Conv2d(1, 8, kernel_size=4)"),
    "layers in a list": (
        "self.n = nn.Sequential(nn.Linear(3, 4), nn.ReLU())",
        "parts = []\nparts.append(nn.Linear(3, 4))\nparts += [nn.ReLU()]\nself.net = nn.Sequential(*parts)",
    ),
    "layers added": (
        "self.n = nn.Sequential(nn.Linear(3, 4), nn.ReLU())",
        "self.n = nn.Sequential()\nself.n.add_module('a', nn.Linear(3, 4))\nself.n.append(nn.ReLU())",
    ),
    "comprehension": (
        "images = [model(t) for t in range(steps)]",
        "out = []\nfor k in range(steps):\n    out.append(model(k))\nimages = out",
    ),
    "map": ("images = [model(t) for t in x]", "images = list(map(lambda t: model(t), x))"),
    "counting loop": (
        "out = []\nfor k in range(steps):\n    out.append(model(k))\nimages = out",
        "out = []\nk = 0\nwhile k < steps:\n    out.append(model(k))\n    k = k + 1\nimages = out",
    ),
    "a loop written out": (
        "z = x\nfor k in range(3):\n    z = z * mu + k",
        "z = x * mu + 0\nz = z * mu + 1\nz = z * mu + 2",
    ),
    "layers in a loop": (
        "z = x\nfor f in (nn.Linear(3, 4), nn.ReLU()):\n    z = f(z)",
        "z = F.relu(nn.Linear(3, 4)(x))",
    ),
    "a sequence of layers": (
        "z = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2))(x)",
        "z = F.leaky_relu(nn.Linear(3, 4)(x), 0.2)",
    ),
    "enumerate": ("z = x\nfor k, m in enumerate([mu, logvar]):\n    z = z * m + k", "z = (x * mu) * logvar + 1"),
    "unpacking in the loop": (
        "t = 0\nfor a, _ in loader:\n    t += model(a)\nloss = t",
        "t = 0\nfor pair in loader:\n    a, _ = pair\n    t = t + model(a)\nloss = t",
    ),
    "helper": ("z = torch.exp(logvar) + mu", "def f(a):\n    b = torch.exp(a)\n    return b\nz = f(logvar) + mu"),
    "lambda": ("z = torch.exp(logvar) + mu", "f = lambda a, m: a.exp() + m\nz = f(logvar, m=mu)"),
    "dead code": ("z = mu + x", "flag = False\nold = x\nif flag:\n    print(old)\nassert mu is not None\nz = mu + x"),
    "guard": ("z = mu + x", "if mu is None:\n    raise ValueError('no mu')\nz = mu + x"),
    "no_grad": ("z = model(x).detach()", "with torch.no_grad():\n    z = model(x)"),
    "pair": ("a, b = model(x)\nz = a + b", "pair = model(x)\nz = pair[0] + pair[1]"),
    "comparison": ("z = x if steps > 3 else mu", "if 3 < steps:\n    z = x\nelse:\n    z = mu"),
    "order": ("a = torch.exp(x)\nb = torch.log(mu)\nz = a - b", "b = torch.log(mu)\na = torch.exp(x)\nz = a - b"),
    "moved to a device": ("z = model(x.to(device))", "x = x.to(device, non_blocking=True)\nz = model(x)"),
}
OTHER_FLOW = {
    "a sign": ("z = mu + logvar", "z = mu - logvar"),
    "an operand": ("z = mu * logvar", "z = mu * x"),
    "a constant": ("z = 0.5 * logvar", "z = 0.25 * logvar"),
    "order of a difference": ("z = mu - x", "z = x - mu"),
    "reduction": ("loss = F.mse_loss(x, z)", "loss = F.mse_loss(x, z, reduction='sum')"),
    "the loss": ("loss = F.mse_loss(x, z)", "loss = F.l1_loss(x, z)"),
    "a dimension": ("z = x.sum(1)", "z = x.sum(2)"),
    "a layer's size": ("self.c = nn.Linear(3, 4)", "self.c = nn.Linear(4, 3)"),
    "order of steps": (
        "optimizer.zero_grad()\nloss.backward()\noptimizer.step()",
        "loss.backward()\noptimizer.zero_grad()\noptimizer.step()",
    ),
    "what is detached": ("z = model(x).detach()", "z = model(x)"),
}


@pytest.mark.parametrize("name", SAME_FLOW)
def test_what_computes_the_same_has_the_same_flow(name):
    assert seen(SAME_FLOW[name][0], FLOW), "there is something to compare"
    assert alike(*SAME_FLOW[name]) == 1


@pytest.mark.parametrize("name", OTHER_FLOW)
def test_what_computes_something_else_has_another_flow(name):
    assert alike(*OTHER_FLOW[name]) < 1


def test_text_sees_names_and_comments_and_not_white_space():
    assert alike("z = mu+x  # a note", "z  =  mu + x    #  A   note", TEXT) == 1
    assert alike("z = mu + y", "z = mu + why", TEXT) == 0
    assert alike("z = mu + x  # one thing", "z = mu + x  # another thing", TEXT) < 1


def test_tokens_see_no_names_and_no_layout():
    assert alike("std = torch.exp(logvar)\nz = mu + std", "s = torch.exp(\n    logvar,\n)\nz = (mu + s)", TOKENS) == 1
    assert alike("z = torch.exp(logvar) + mu", "z = torch.log(logvar) + mu", TOKENS) < 1


def test_statements_see_no_order():
    assert alike("a = x * 2\nb = mu * 3\nz = a + b", "c = mu * 3\nd = x * 2\nz = d + c", STATEMENTS) == 1


def test_slips_are_names_numbers_strings_and_words_of_ones_own():
    code = "recontsruction = x * 0.4999\nprint('finnished')  # teh loss\nz = recontsruction"
    kinds = Counter(SLIP_KINDS[found & 7] for found in seen(code, SLIPS))
    assert kinds == {SLIP_NAME: 1, SLIP_NUMBER: 1, SLIP_STRING: 1, SLIP_WORD: 2, SLIP_TYPO: 2}
    assert SLIP_COMMENT in {SLIP_KINDS[found & 7] for found in seen("z = mu  # the code of the images", SLIPS)}
    assert seen("z = mu", SLIPS) == set()


def test_code_that_is_no_python_falls_back_to_tokens():
    broken = "z = mu + torch.exp(logvar\nloss = = 3\n"
    assert not seen(broken, FLOW)
    assert seen(broken, TOKENS) and seen(broken, STATEMENTS)


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "(" * 5_000,
        "x = " + "-" * 50_000 + "1",
        "x = " + "+".join("a" * 20_000),
        "x = " + "a" + ".b" * 20_000,
        "x = " + "[" * 60 + "]" * 60,
        "if a:\n x = 1\n" + "elif a:\n x = 2\n" * 3_000,
        "a = b + b\n" + "a = a * a\n" * 1_000,
        "x = 9 ** 9 ** 9 ** 9\nz = 10 ** 400 * 1e308 * 1e308",
        "def f(a):\n    return f(a) + f(a)\nz = f(x)",
        "f = lambda a: f(f(a))\nz = f(f(x))",
        "\n".join(" " * n + "if a:" for n in range(90)) + "\n" + " " * 91 + "pass",
        '"""' * 20_000 + "\\",
        "z = 1" + "\\\n" * 20_000,
        "x = '" + "\\" * 50_000,
        "\0\x01\ud800 = 3",
        "z = x[" * 40 + "0" + "]" * 40,
        "# " + "a" * 90_000,
        "# " + " ".join(f"calcualte{n} wieghts" for n in range(9_000)),
        "z = x\n" + "".join("    " * n + f"for a{n} in range(12):\n" for n in range(6)) + "    " * 6 + "z = z * x + z",
        "z = x\nfor k in range(10 ** 18):\n    z = z + k",
        "z = x\nfor k in range(1e999 - 1e999):\n    z = z + k",
        "s = nn.Sequential()\ns.append(s)\nz = s(x)",
    ],
    ids=range(22),
)
def test_hostile_code_costs_little_and_breaks_nothing(code):
    began = time.process_time()
    found, _, _ = features(code, PLACE, frozenset())
    assert set(found) == set(VIEWS)
    assert time.process_time() - began < 20  # CPU time, of what takes a second


@given(st.text(max_size=300))
@settings(max_examples=80, deadline=None)
def test_any_text_survives(text):
    found, _, weights = features(text, PLACE, frozenset())
    assert set(found) == set(VIEWS) and min(weights) >= 0
    assert all(1 <= first <= last <= len(weights) for view in VIEWS for _, first, last in found[view])


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_bytes_survive(data):
    features(data.decode("utf-8", "backslashreplace"), PLACE, frozenset())


# ---- properties: programs of a small grammar, and changes that a copier makes
NAMES = ["alpha", "bee", "cat_", "dog"]
WORD = re.compile(r"\w+")
LEAVES = ["x", "mu", "logvar", "0.5", "2", "3"]


@st.composite
def programs(draw):
    """Lines that each compute one new name from what is there, the last one the output."""
    lines, known = [], list(LEAVES)
    for name in NAMES[: draw(st.integers(1, 4))]:
        a, b = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        form = draw(st.sampled_from(["{} + {}", "{} * {}", "{} - {}", "torch.exp({}) + {}", "torch.maximum({}, {})"]))
        lines.append(f"{name} = {form.format(a, b)}")
        known.append(name)
    return [*lines, "z = " + " + ".join(["mu", *[line.split(" ")[0] for line in lines]])]


def renamed(lines, names):
    class Renamer(ast.NodeTransformer):
        def visit_Name(self, node):
            node.id = names.get(node.id, node.id)
            return node

    return ast.unparse(Renamer().visit(ast.parse("\n".join(lines))))


@given(programs(), st.permutations(["q1", "other", "tmp_", "result"]))
@settings(max_examples=40, deadline=None)
def test_renaming_changes_no_flow(lines, fresh):
    other = renamed(lines, dict(zip(NAMES, fresh, strict=True)))
    for view in (FLOW, TOKENS, STATEMENTS):
        assert alike("\n".join(lines), other, view) == 1


@given(programs(), st.data())
@settings(max_examples=40, deadline=None)
def test_comments_and_layout_change_no_flow(lines, data):
    noise = ["", "# a comment", "    ", "'''a string'''"]
    other = [part for line in lines for part in (data.draw(st.sampled_from(noise)), line + "  # here")]
    for view in (FLOW, TOKENS, STATEMENTS):
        assert alike("\n".join(lines), "\n".join(part.strip() if part.isspace() else part for part in other), view) == 1


@given(programs(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_independent_statements_changes_no_flow(lines, random):
    left, other, known = list(lines), [], set(LEAVES)
    while left:
        ready = [line for line in left if {*WORD.findall(line)[1:]} & {*NAMES} <= known]
        line = random.choice(ready)
        left.remove(line)
        other.append(line)
        known.add(line.split(" ")[0])
    for view in (FLOW, STATEMENTS):
        assert alike("\n".join(lines), "\n".join(other), view) == 1


def test_lines_are_counted_as_python_counts_them():
    tokens = lex("a = 1\r\nb = '''\nq'''; c = 2\rd = 3\n")
    assert [(t.text, t.line) for t in tokens if t.text in "abcd"] == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
