"""Changes of the reference solution's text, from which wrong solutions and other right ones are made."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

from code_analyze.blocks import empty_blocks, fill_blocks, find_blocks

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = REPOSITORY / "reference_solution"
VAE_MODEL, VAE_TRAINER = "VAE/model.py", "VAE/trainer.py"
GAN_MODEL, GAN_TRAINER = "GAN/model.py", "GAN/trainer.py"

Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    """Put another text in the place of one that is there."""
    return lambda source: source.replace(old, new)


def block(number: int, *lines: str) -> Change:
    """Put other lines into a block, one by one or as one text."""
    text = dedent("\n".join(lines)).strip("\n") + "\n"

    def change(source: str) -> str:
        blocks = find_blocks(source, "the reference")
        bodies = [one.body for one in blocks]
        bodies[number - 1] = indent(text, blocks[number - 1].indent)
        return fill_blocks(source, bodies, "the reference")

    return change


def before(number: int, lines: str) -> Change:
    """Put lines at a block's beginning."""
    return _added(number, lambda body, added: added + body, lines)


def behind(number: int, lines: str) -> Change:
    """Put lines at a block's end."""
    return _added(number, lambda body, added: body + added, lines)


def _added(number: int, put: Callable[[str, str], str], lines: str) -> Change:
    def change(source: str) -> str:
        blocks = find_blocks(source, "the reference")
        bodies = [one.body for one in blocks]
        bodies[number - 1] = put(bodies[number - 1], indent(lines, blocks[number - 1].indent) + "\n")
        return fill_blocks(source, bodies, "the reference")

    return change


def unfill(file: str, *numbers: int) -> Change:
    """Empty some of the blocks, as in the scaffold."""

    def change(source: str) -> str:
        emptied = find_blocks(empty_blocks(source, file), "the scaffold")
        bodies = [one.body for one in find_blocks(source, "the reference")]
        for number in numbers:
            bodies[number - 1] = emptied[number - 1].body
        return fill_blocks(source, bodies, "the reference")

    return change


def kl(formula: str) -> list[Change]:
    """Another kl_loss."""
    return [
        swap(
            "kl_loss = 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size",
            f"kl_loss = {formula}",
        )
    ]


def recon(formula: str) -> list[Change]:
    """Another recon_loss."""
    return [
        swap(
            'recon_loss = F.binary_cross_entropy(recon, target, reduction="sum") / batch_size',
            f"recon_loss = {formula}",
        )
    ]


def z(*lines: str) -> list[Change]:
    """Another block 2."""
    return [block(2, *lines)]
