"""What a model may keep beside its layers: a counter, a constant, an average of the weights; but no images."""

import base64
import random
import re

import numpy as np
import pytest
from changed_solutions import GAN_MODEL, REFERENCE, VAE_MODEL, VAE_TRAINER, swap
from hand_ins import solution, write_codes

from autograder.evidence import Ran, keep, load, results_of
from autograder.kept_numbers import (
    MOST_CODE,
    MOST_OF_ALL,
    SLACK,
    count_numbers,
    table_numbers,
    what_is_too_much,
    what_is_too_much_code,
    what_is_too_much_in,
)
from autograder.probe.forked import run_in_fork
from autograder.probing import inputs_by_probe, read_codes

PROBE = {"VAE": "vae_layers", "GAN": "gan_generator"}
NOISE = base64.b85encode(random.Random(0).randbytes(400_000)).decode()  # as images, it can't be packed
KEEPS = "beside the layers that run, your model and its files keep"


def told(tmp_path, codes: dict[str, bytes], project: str = "VAE") -> str:
    """What the check of a project's state says."""
    write_codes(tmp_path / "codes", codes)
    probe, out = PROBE[project], tmp_path / "out"
    out.mkdir()
    inputs = tmp_path / "inputs.npz"
    inputs.write_bytes(inputs_by_probe(0)[probe])
    stopped = run_in_fork(probe, tmp_path / "codes", inputs, out, wall_s=60)
    keep(tmp_path / "seen", {probe: Ran(stopped, {n: (out / n).read_bytes() for n in results_of(probe)})})
    seen = load(tmp_path / "seen", [probe])[probe]
    layers = [layer for run in ("0.x", "0.z") for layer in seen.facts.get(run, ())]
    return what_is_too_much(seen.fact("kept"), layers, project)


def in_init(*lines: str) -> list:
    """Lines at the end of the VAE's first block."""
    text = "".join(f"        {line}\n" for line in lines)
    return [swap("            nn.Sigmoid(),\n        )\n", f"            nn.Sigmoid(),\n        )\n{text}")]


def beside(*lines: str) -> list:
    """Lines above the VAE's class."""
    return [swap("class VAE(nn.Module):", "\n".join([*lines, "", "", "class VAE(nn.Module):"]))]


def wider(text: str) -> str:
    """Twice as many channels in the middle."""
    return re.sub(r"\b(16|32)(?=, | \* 8)", lambda found: str(2 * int(found[0])), text)


HONEST = {
    "the solution": [],
    "a counter": in_init('self.register_buffer("seen", torch.zeros((), dtype=torch.int64))'),
    "constants": beside("WIDTHS = {'encoder': [16, 32, 32, 16], 'decoder': [32, 32, 16, 1]}", "HALF = 0.5"),
    "a small layer that is not used": in_init("self.unused = nn.Linear(256, 256)"),
    "a moving average of the weights": in_init(
        "import copy",
        "self.average = copy.deepcopy(nn.ModuleList([self.encoder, self.decoder])).requires_grad_(False)",
    ),
    "a kernel of 5": [swap("32, 32, kernel_size=3, stride=1, padding=1", "32, 32, kernel_size=5, stride=1, padding=2")],
    "wider layers": [wider],
    "talk": [
        swap(
            '"""A VAE for 32x32',
            '"""' + "Ein Wort zu jeder Zeile, die ich geschrieben habe. " * 300 + "\nA VAE for 32x32",
        )
    ],
    "lazy layers": [swap("nn.Linear(16 * 8 * 8, 2 * latent_dim)", "nn.LazyLinear(2 * latent_dim)")],
    "a sparse tensor": in_init("self.eye = torch.eye(3).to_sparse()"),
    "the weights under two names": in_init("self.also = self.decoder"),
}
IMAGES = 500
STORED = {
    "a buffer": in_init(f'self.register_buffer("images", torch.zeros({IMAGES}, 1, 32, 32))'),
    "a buffer of bytes": in_init(
        f'self.register_buffer("images", torch.zeros({IMAGES}, 1, 32, 32, dtype=torch.uint8))'
    ),
    "a buffer that is not saved": in_init(f'self.register_buffer("i", torch.zeros({IMAGES}, 1024), persistent=False)'),
    "a sparse buffer": in_init(f"self.images = torch.ones({IMAGES}, 1024).to_sparse()"),
    "an attribute of a parameter": in_init(f"self.decoder[0].weight.images = torch.zeros({IMAGES}, 1024)"),
    "a view of few of many numbers": in_init(f"self.images = torch.zeros({IMAGES}, 1024)[:1]"),
    "parameters": in_init(
        f"self.images = nn.ParameterList([nn.Parameter(torch.zeros(1024)) for _ in range({IMAGES})])"
    ),
    "a wide layer that is not used": in_init(f"self.unused = nn.Linear({IMAGES}, 1024)"),
    "a list of tensors": in_init(f"self.images = [torch.zeros(1024) for _ in range({IMAGES})]"),
    "a list of numbers": in_init(f"self.images = [float(i) for i in range({IMAGES} * 1024)]"),
    "a dict of arrays": in_init(
        f"import numpy as np\n        self.images = {{i: np.zeros(1024) for i in range({IMAGES})}}"
    ),
    "bytes": in_init(f"self.images = bytes({IMAGES} * 1024)"),
    "one large number": in_init(f"self.images = 1 << (8 * 4 * {IMAGES} * 1024)"),
    "a layer's attribute": in_init(f"self.decoder[0].images = bytearray({IMAGES} * 1024)"),
    "a closure": in_init(
        f"images = torch.zeros({IMAGES}, 1024)",
        "def paint(i):",
        "    return images[i]",
        "self.paint = paint",
    ),
    "a default": [
        swap(
            "class VAE(nn.Module):",
            f"def paint(i, images=torch.zeros({IMAGES}, 1024)):\n    pass\n\n\nclass VAE(nn.Module):",
        )
    ],
    "a partial function": in_init(
        "import functools", f"self.paint = functools.partial(torch.add, torch.zeros({IMAGES}, 1024))"
    ),
    "an object of an own class": [
        *beside("class Store:", f"    def __init__(self):\n        self.images = torch.zeros({IMAGES}, 1024)"),
        *in_init("self.store = Store()"),
    ],
    "an attribute of the class": [
        swap("    def reparameterize(", f"    images = torch.zeros({IMAGES}, 1024)\n\n    def reparameterize(")
    ],
    "a global": beside(f"IMAGES = torch.zeros({IMAGES}, 1024)"),
    "a literal": beside(f"IMAGES = {'0123456789' * (IMAGES * 104)!r}"),
    "a literal of bytes": beside(f"IMAGES = {b'0123456789' * (IMAGES * 104)!r}"),
    "a literal in a function": [
        swap("        return z\n", f"        images = {'0123456789' * (IMAGES * 104)!r}\n        return z\n")
    ],
    "a docstring": [swap('"""A VAE for 32x32', '"""' + "0123456789" * (IMAGES * 104) + "\nA VAE for 32x32")],
}


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_models_keep(tmp_path, name):
    assert told(tmp_path, solution({VAE_MODEL: HONEST[name]}, ["VAE"])) == ""


@pytest.mark.parametrize("name", STORED)
def test_what_could_be_images(tmp_path, name):
    assert told(tmp_path, solution({VAE_MODEL: STORED[name]}, ["VAE"])).startswith(KEEPS)


def test_an_own_file_of_literals(tmp_path):
    codes = solution({VAE_MODEL: beside("from data import IMAGES")}, ["VAE"])
    digits = ", ".join(["0.25"] * (IMAGES * 1024))
    assert told(tmp_path, {**codes, "VAE/data.py": f"IMAGES = [{digits}]\n".encode()}).startswith(KEEPS)


@pytest.mark.parametrize(
    "text", [f"# {NOISE}\n", f'IMAGES = "{NOISE[:60000]}"\n', f"def paint():\n    return '''{NOISE[:60000]}'''\n"]
)
def test_code_that_holds_more_than_code(tmp_path, text):
    """In a file that is imported only where images are drawn, or in its comments."""
    codes = {**solution(projects=["VAE"]), "VAE/data.py": text.encode()}
    assert "bytes when packed" in told(tmp_path, codes)
    assert "bytes when packed" in what_is_too_much_code(codes)


def test_the_generator(tmp_path):
    images = [
        swap(
            "        # TODO END\n        self.apply",
            "        self.images = torch.zeros(300, 1024)\n        # TODO END\n        self.apply",
        )
    ]
    images.append(swap("from torch import nn\n", "import torch\nfrom torch import nn\n"))
    (tmp_path / "right").mkdir()
    assert told(tmp_path / "right", solution(projects=["GAN"]), "GAN") == ""
    assert told(tmp_path, solution({GAN_MODEL: images}, ["GAN"]), "GAN").startswith(KEEPS)


def test_what_the_trainer_keeps_does_not_count(tmp_path):
    """Nothing of it gets to where images are drawn."""
    changes = {
        VAE_TRAINER: [swap("        self.run = run\n", "        self.run = run\n        self.all = [0.0] * 10**6\n")]
    }
    assert told(tmp_path, solution(changes, ["VAE"])) == ""


# On the host: what one process gives to the next.


def test_the_table_s_numbers_are_the_reference_s(vae, gan):
    count = sum(values.numel() for values in vae["model"].VAE(1, 64).state_dict().values())
    assert table_numbers("VAE") == count == 255_761
    count = sum(values.numel() for values in gan["model"].Generator(1, 100, 16).state_dict().values())
    assert table_numbers("GAN") - (64 + 32 + 16 + 1) == count  # the reference has no biases before batch normalisation


def test_a_trained_state_has_an_upper_bound():
    most = MOST_OF_ALL * table_numbers("VAE") + SLACK
    assert not what_is_too_much_in(count_numbers({"w": np.zeros(most - 1, np.float32)}), "VAE")
    assert "787,284 numbers" in what_is_too_much_in(count_numbers({"w": np.zeros(most, np.float32)}), "VAE")
    assert what_is_too_much_in(count_numbers({"w": np.zeros(most // 2 + 1)}), "VAE")  # each of twice the size
    assert what_is_too_much_in(count_numbers({"w" * most: np.zeros(1, np.float32)}), "VAE")  # in a name
    assert what_is_too_much_in(count_numbers({"images": np.zeros((500, 1, 32, 32), np.float32)}), "GAN")


def test_the_solution_s_code_is_far_from_too_much():
    codes = read_codes(REFERENCE)
    for project in ("VAE", "GAN"):
        own = {name: content for name, content in codes.items() if name.startswith(project)}
        assert not what_is_too_much_code(own)
        assert not what_is_too_much_code(
            {name: content * 5 + NOISE[: MOST_CODE // 8].encode() for name, content in own.items()}
        )
