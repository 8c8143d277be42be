"""What is known where a block stands, and what comes out of a walk through it."""

import ast
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from autograder.similarity.flow.nodes import Node

MAX_STEPS = 20_000  # expressions and statements of a block, with what helpers repeat
MAX_CALLS = 12  # helpers within helpers
MAX_ROUNDS = 12  # of a loop that is written out


@dataclass(frozen=True)
class Closure:
    """A helper of the student's own, which is called by inserting it."""

    arguments: ast.arguments
    body: list[ast.stmt] | ast.expr
    env: dict


@dataclass(frozen=True)
class Place:
    """What the scaffold says of the place where a block stands.

    Attributes:
        given: names that exist there, and attributes of self.
        modules: names that stand for modules, such as "nn".
        parameters: function -> its parameters, for those that the scaffold defines.
        aliases: attribute of self -> the argument that it was set to.
        outputs: names that the scaffold's code reads after the block.
        owner: the class around the block; "" where there is none.
    """

    given: Set[str] = frozenset()
    modules: Set[str] = frozenset({"F", "math", "nn", "np", "torch"})
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    outputs: Set[str] = frozenset()
    owner: str = ""


@dataclass
class Flow:
    """What a block does.

    Attributes:
        roots: name of an output, "self" or "effect" -> nodes with it.
        effects: calls that do something, in order.
        lines: node -> first and last line of the block that made it.
        attributes: attribute of self -> its value, for the other blocks of the class.
    """

    roots: list[tuple[str, Node]]
    effects: list[Node]
    lines: dict[Node, tuple[int, int]]
    attributes: dict[str, Node]


class TooMuch(Exception):
    """The block is larger than anybody's homework."""
