"""Canonical data flow: what a block computes from what, whatever it is called and however it is spelt.

A block is evaluated on symbols instead of numbers. Every value is a node of an operation and its operands, so
temporaries and names are gone; helpers are called with their arguments, as Python would; code that nothing depends on
is never reached from an output. Equal nodes are one object (hash-consing, Ershov 1958), so the work grows with the
text and not with the value. Nothing of it is executed.
"""

import ast
import contextlib
import warnings
from collections.abc import Mapping, Sequence

from autograder.similarity.flow.nodes import Node, forget_many
from autograder.similarity.flow.scope import Closure, Flow, Place
from autograder.similarity.flow.statements import Walker

__all__ = ["Flow", "Node", "Place", "evaluate", "parse"]


def parse(text: str) -> list[ast.stmt] | None:
    """Parse a block as it is indented; None where it is no Python. Line 1 of the text is line 1 of the nodes."""
    lines = text.expandtabs(8).split("\n")
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    indented = first[:1] in (" ", "\f")
    source = ("if 1:\n" if indented else "\n") + "\n".join(lines) + "\n"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    body = tree.body
    if indented:
        if len(body) != 1 or not isinstance(body[0], ast.If) or body[0].orelse:
            return None
        body = body[0].body
    return body


def evaluate(
    body: Sequence[ast.stmt],
    place: Place,
    attributes: Mapping[str, Node] | None = None,
    helpers: Mapping[str, ast.FunctionDef] | None = None,
) -> Flow:
    """Follow the data through a block.

    Args:
        body: from `parse`.
        place: where it stands.
        attributes: attribute of self -> its value, from the other blocks of the class.
        helpers: functions that the student has defined outside the blocks, by name or as "module.name".
    """
    forget_many()
    walker = Walker(place, attributes or {})
    for name, function in (helpers or {}).items():
        walker.env[name] = Closure(function.args, function.body, walker.env)
    # Too much, too deep, or what no rule was made for: what was found so far counts.
    with contextlib.suppress(Exception):
        walker.run(body)
    return walker.flow()
