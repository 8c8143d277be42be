"""What was changed outside the blocks: additions that do nothing by themselves, and all else, which is trained."""

import pytest
from changed_solutions import GAN_MODEL, GAN_TRAINER, REFERENCE, VAE_MODEL, VAE_TRAINER, block, swap

from autograder.given_code import has_unseen_changes
from autograder.probing import read_codes
from autograder.scaffold import build_scaffold

GIVEN = build_scaffold(REFERENCE)
RIGHT = read_codes(REFERENCE)
IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
FUNCTION = "def widths():\n    return 16, 32, 32, 16\n\n\n"
VAE_CLASS, TRAINER_CLASS = "class VAE(nn.Module):\n", "class Trainer:\n"


def changed(file: str, *changes, **others: str) -> dict[str, bytes]:
    """The right solution of a file's project, with changes of that file, and files of the student's own."""
    project = file.split("/")[0]
    codes = {name: content for name, content in RIGHT.items() if name.startswith(f"{project}/")}
    text = codes[file].decode()
    for change in changes:
        assert change(text) != text, "a change that changes nothing"
        text = change(text)
    return {**codes, file: text.encode(), **{f"{project}/{name}.py": other.encode() for name, other in others.items()}}


ENCODE = "    def encode(self, x):\n        return self.encoder(x).chunk(2, dim=1)\n\n"
LAYER = '''class Down(nn.Module):
    """A convolution that halves."""

    kernel = 3

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, self.kernel, 2, 1)

    def forward(self, x):
        return self.layer(x)


'''
OWN_FILE = f'"""Layers."""\n\nimport torch.nn as nn\n\nWIDTHS = (16, 32)\n\n\n{LAYER}'

ADDITIONS = {
    "as handed out and filled in": changed(VAE_MODEL, block(4, "images = self.decoder(z.float())")),
    "an import": changed(GAN_MODEL, swap(IMPORTS, f"{IMPORTS}import math\n")),
    "an import, together with one that is given": changed(GAN_MODEL, swap("import nn\n", "import Tensor, nn\n")),
    "the given imports in another order, and spelling": changed(
        VAE_MODEL, swap(IMPORTS, "import torch.nn as nn\nimport math, torch\nfrom torch.nn import functional as F\n")
    ),
    "a function": changed(VAE_MODEL, swap(VAE_CLASS, FUNCTION + VAE_CLASS)),
    "a function behind the class": changed(VAE_TRAINER, lambda text: f"{text}\n\n{FUNCTION}".rstrip() + "\n"),
    "a class": changed(VAE_MODEL, swap(VAE_CLASS, LAYER + VAE_CLASS)),
    "a dataclass": changed(
        GAN_TRAINER,
        swap(
            TRAINER_CLASS,
            f"from dataclasses import dataclass\n\n\n@dataclass\nclass Sizes:\n    a: int = 1\n\n\n{TRAINER_CLASS}",
        ),
    ),
    "a method": changed(VAE_MODEL, swap("    def reparameterize(", f"{ENCODE}    def reparameterize(")),
    "a method that is static": changed(
        GAN_TRAINER,
        swap(
            "    def train_step(", "    @staticmethod\n    def bce(p):\n        return -p.log()\n\n    def train_step("
        ),
    ),
    "a method inside the block": changed(
        VAE_MODEL,
        swap(
            "        # TODO END\n\n    def reparameterize(", f"\n{ENCODE}        # TODO END\n\n    def reparameterize("
        ),
    ),
    "constants": changed(VAE_MODEL, swap(VAE_CLASS, f"KERNEL, PADDING = 3, 1\nDOUBLE = 2 * KERNEL\n\n\n{VAE_CLASS}")),
    "annotations and docstrings": changed(
        VAE_MODEL,
        swap(
            "def forward(self, x=None, z=None):", "def forward(self, x: torch.Tensor | None = None, z=None) -> tuple:"
        ),
        swap('        """Reconstruct images, or generate new ones.\n', '        """My own words.\n'),
    ),
    "comments and layout": changed(
        VAE_TRAINER,
        swap(
            "            loss.backward()\n",
            "            # now the gradients\n            (loss\n                .backward())\n",
        ),
    ),
    "Windows' line ends and a byte-order mark": changed(
        GAN_TRAINER, lambda text: "\ufeff" + text.replace("\n", "\r\n")
    ),
    "what runs as a program": changed(
        VAE_MODEL,
        lambda text: text + '\n\nif __name__ == "__main__":\n    torch.manual_seed(0)\n    print(VAE(1, 64))\n',
    ),
    "a file with layers": changed(VAE_MODEL, swap(IMPORTS, f"{IMPORTS}from layers import Down\n"), layers=OWN_FILE),
    "a file that nothing imports": changed(
        VAE_MODEL, block(4, "images = self.decoder(z * 1)"), plots="import torch\n\ntorch.manual_seed(0)\nprint(1)\n"
    ),
}

SNEAKY = {
    "GAN's loop: noise of another law": changed(GAN_TRAINER, swap("z = torch.randn(", "z = torch.rand(")),
    "GAN's loop: two steps a batch": changed(
        GAN_TRAINER,
        swap(
            "            if step % logging",
            "            self.train_step(real_imgs, fake_imgs, BCE_criterion)\n            if step % logging",
        ),
    ),
    "GAN's loop: a player in evaluation mode": changed(GAN_TRAINER, swap("_netD.train()", "_netD.eval()")),
    "GAN's loop: other modes after the pictures": changed(
        GAN_TRAINER, swap("VALUE_RANGE)\n        self._netG.train()", "VALUE_RANGE)\n        self._netG.eval()")
    ),
    "GAN's optimizers": changed(GAN_TRAINER, swap("(beta1, 0.999)", "(beta1, 0.9)")),
    "the discriminator": changed(GAN_MODEL, swap("nn.LeakyReLU(0.2)", "nn.LeakyReLU(0.1)")),
    "the initial weights": changed(GAN_MODEL, swap("nn.init.normal_(module.weight, 0.0, 0.02)", "pass")),
    "no initial weights": changed(GAN_MODEL, swap("        self.apply(weights_init)\n", "")),
    "VAE's loop": changed(
        VAE_TRAINER, swap("loss = recon_loss + kl_loss", "loss = recon_loss + step / 25000 * kl_loss")
    ),
    "VAE's pictures": changed(
        VAE_TRAINER, swap("curves.items()})\n        self.model.train()\n", "curves.items()})\n")
    ),
    "VAE's optimizer": changed(VAE_TRAINER, swap("lr=learning_rate, fused", "lr=learning_rate, eps=1e-3, fused")),
    "the range of the images": changed("GAN/dataset.py", swap("(-1, 1)", "(0, 1)")),
    "the batches": changed("VAE/dataset.py", swap("self.images.train, ", "self.images.train[:1000], ")),
    "main.py": changed("VAE/main.py", swap("default=64", "default=3")),
    "a method put in the place of one": changed(
        VAE_TRAINER, lambda text: text + "\n\nTrainer.train = lambda *_: None\n"
    ),
    "a class of the same name below": changed(
        GAN_TRAINER, lambda text: text + "\n\nclass Trainer(Trainer):\n    def train(self, *_):\n        pass\n"
    ),
    "a function of PyTorch's changed": changed(VAE_MODEL, lambda text: text + "\n\ntorch.randn = torch.rand\n"),
    "a seed": changed(VAE_MODEL, swap(VAE_CLASS, f"torch.manual_seed(0)\n\n\n{VAE_CLASS}")),
    "a seed in a decorator": changed(
        VAE_MODEL, swap(VAE_CLASS, f"@torch.manual_seed(0).set_state\ndef own():\n    pass\n\n\n{VAE_CLASS}")
    ),
    "a seed in a default": changed(
        VAE_MODEL, swap(VAE_CLASS, f"def own(a=torch.manual_seed(0)):\n    pass\n\n\n{VAE_CLASS}")
    ),
    "a seed in an annotation": changed(
        VAE_MODEL, swap(VAE_CLASS, f"def own(a: torch.manual_seed(0)):\n    pass\n\n\n{VAE_CLASS}")
    ),
    "a seed in an annotation of what is given": changed(
        VAE_MODEL, swap("def reparameterize(self, mu,", "def reparameterize(self, mu: torch.manual_seed(0),")
    ),
    "a seed in a class's body": changed(
        VAE_MODEL, swap(VAE_CLASS, f"class Own:\n    torch.manual_seed(0)\n\n\n{VAE_CLASS}")
    ),
    "a seed in the class's body": changed(
        VAE_MODEL, swap("    def reparameterize(", "    torch.manual_seed(0)\n\n    def reparameterize(")
    ),
    "a loop": changed(VAE_MODEL, swap(VAE_CLASS, f"for one in range(3):\n    pass\n\n\n{VAE_CLASS}")),
    "a name of Python's": changed(
        GAN_TRAINER, swap(TRAINER_CLASS, f"def len(images):\n    return 1\n\n\n{TRAINER_CLASS}")
    ),
    "a name of the kit's": changed(
        GAN_TRAINER, swap(TRAINER_CLASS, f"from contextlib import nullcontext as fixed_noise\n\n\n{TRAINER_CLASS}")
    ),
    "a constant anew": changed(GAN_TRAINER, swap(TRAINER_CLASS, f"VALUE_RANGE = 0, 1\n\n\n{TRAINER_CLASS}")),
    "all names of a file": changed(
        GAN_TRAINER, swap(TRAINER_CLASS, f"from own import *\n\n\n{TRAINER_CLASS}"), own="VALUE_RANGE = 0, 1\n"
    ),
    "an own file that does something": changed(
        VAE_MODEL, swap(IMPORTS, f"{IMPORTS}import own\n"), own="import torch\n\ntorch.randn = torch.rand\n"
    ),
    "an own file that imports such a one": changed(
        VAE_MODEL,
        swap(IMPORTS, f"{IMPORTS}import own\n"),
        own="import more\n",
        more="import torch\n\ntorch.randn = torch.rand\n",
    ),
    "a method that PyTorch has": changed(
        VAE_MODEL,
        swap(
            "    def reparameterize(", "    def train(self, mode=True):\n        return self\n\n    def reparameterize("
        ),
    ),
    "such a method, inside the block": changed(
        VAE_MODEL,
        swap(
            "        # TODO END\n\n    def reparameterize(",
            "\n    def train(self, mode=True):\n        return self\n        # TODO END\n\n    def reparameterize(",
        ),
    ),
    "another base": changed(VAE_MODEL, swap(VAE_CLASS, "class VAE(nn.Sequential):\n")),
    "a decorator": changed(GAN_TRAINER, swap("    def train(", "    @torch.no_grad()\n    def train(")),
    "a default": changed(VAE_MODEL, swap("x=None, z=None", "x=None, z=0")),
    "a statement behind a return": changed(
        VAE_MODEL, swap("        return z\n", "        return z\n        print(z)\n")
    ),
    "a given import that is gone": changed(VAE_TRAINER, swap("from coursekit.run import fixed_noise\n", "")),
    "no TODO lines": changed(VAE_MODEL, swap("        # TODO END\n        return images", "        return images")),
    "no Python": changed("VAE/main.py", lambda text: text + "\nprint 'done'\n"),
    "too deep to be read": changed("VAE/main.py", lambda text: text + "\nx = " + "-" * 50_000 + "1\n"),
}


def test_the_solution_itself_has_none():
    assert not has_unseen_changes(GIVEN, RIGHT)
    assert not has_unseen_changes(GIVEN, {name: text for name, text in GIVEN.items() if name.endswith(".py")})


@pytest.mark.parametrize("name", ADDITIONS)
def test_additions_that_do_nothing_by_themselves(name):
    assert not has_unseen_changes(GIVEN, ADDITIONS[name])


@pytest.mark.parametrize("name", SNEAKY)
def test_what_no_check_would_see(name):
    assert has_unseen_changes(GIVEN, SNEAKY[name])
