"""What the scaffold gives at the place of each block: names, parameters, the class around it."""

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from autograder.similarity.flow import Place
from autograder.similarity.model import ELSEWHERE, BlockKey
from code_analyze.blocks import Block

_WORD = re.compile(r"[^\W\d]\w*")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Places:
    """The places of all blocks and of what stands elsewhere, and every word of the scaffold."""

    by_block: Mapping[BlockKey, Place]
    vocabulary: frozenset[str]


def find_places(files: Mapping[str, str], blocks: Mapping[str, list[Block]]) -> Places:
    """Read the scaffold around its blocks.

    Args:
        files: path -> text.
        blocks: path -> the file's blocks.
    """
    places = {}
    words: set[str] = set()
    for path, text in files.items():
        words.update(_WORD.findall(text))
        words.update(word.lower() for word in _WORD.findall(text))
        tree = _parsed(text, blocks[path])
        for block in blocks[path]:
            places[BlockKey(path, block.number)] = _place(tree, block, text)
    modules = Place().modules.union(*(place.modules for place in places.values()))
    places[ELSEWHERE] = Place(given=modules, modules=modules)
    return Places(places, frozenset(words))


def _parsed(text: str, blocks: list[Block]) -> ast.Module | None:
    """Parse a scaffold's file with `pass` in its blocks, so that what stands there gives no names."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for block in blocks:
        for number in range(block.start, block.end - 1):
            lines[number] = block.indent + "pass" if number == block.start else ""
        if block.end == block.start + 1:
            lines[block.start - 1] = block.indent + "pass"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _place(tree: ast.Module | None, block: Block, text: str) -> Place:
    if tree is None:
        return Place(given=frozenset(_WORD.findall(text)))
    given: set[str] = set()
    modules: set[str] = set()
    parameters: dict[str, tuple[str, ...]] = {}
    aliases: dict[str, str] = {}
    outputs: set[str] = set()
    owner = ""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
            given.update(names)
            if isinstance(node, ast.Import) or any(a.name in ("functional", "nn", "init") for a in node.names):
                modules.update(names)
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            given.add(node.name)
            if not isinstance(node, ast.ClassDef):
                parameters[node.name] = tuple(a.arg for a in node.args.args)
        else:
            given.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    scope: ast.AST = tree
    while inner := _around(scope, block):
        scope = inner
        if isinstance(inner, ast.ClassDef):
            owner = inner.name
            for node in ast.walk(inner):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                    given.add(node.attr)
                elif isinstance(node, _FUNCTIONS):
                    given.add(node.name)
                elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                    target = node.targets[0]
                    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                        aliases[target.attr] = node.value.id
        elif isinstance(inner, _FUNCTIONS):
            given.update(
                a.arg for n in ast.walk(inner) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)
            )
            names = [n for n in ast.walk(inner) if isinstance(n, ast.Name)]
            given.update(n.id for n in names)
            outputs.update(n.id for n in names if isinstance(n.ctx, ast.Load))
    return Place(
        frozenset(given), frozenset(modules) or Place().modules, parameters, aliases, frozenset(outputs), owner
    )


def _around(scope: ast.AST, block: Block) -> ast.AST | None:
    """The function or class straight below a scope, at any depth of other statements, that holds a block."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.stmt) and node.lineno <= block.start <= (node.end_lineno or node.lineno) + 1:
            end = max((n.end_lineno or 0 for n in ast.walk(node) if hasattr(n, "end_lineno")), default=0)
            if block.start + 1 > end:
                continue
            return node if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) else _around(node, block)
    return None
