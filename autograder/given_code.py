"""What a student changed outside the blocks, where it might change training with no check of ours seeing it.

The checks run the blocks, and what the blocks call. They do not run all of the code that is given with them: not the
GAN's loop, nor its discriminator. So that has to be the scaffold's, statement by statement. What stands beside it and
does nothing by itself (an import, a function, a class, a constant, all of new names) matters only where a block uses
it, and then the checks see it. Layout, comments, docstrings and annotations don't matter.
"""

import ast
import builtins
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import PurePosixPath

from code_analyze.blocks import find_blocks, find_markers
from code_analyze.markers import MatchedMarkers
from code_analyze.source import split_lines
from code_analyze.tree import decode_python

Span = tuple[int, int]  # the lines of a block's TODO START and TODO END

_PLAIN = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Set, ast.Dict),
    *(ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.JoinedStr, ast.FormattedValue, ast.Starred),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
_DECORATORS = {"staticmethod", "classmethod", "property", "torch.no_grad()", "dataclass", "dataclasses.dataclass"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def has_unseen_changes(given: Mapping[str, bytes], codes: Mapping[str, bytes]) -> bool:
    """Whether code outside the blocks was changed that may change training without a check seeing it.

    Args:
        given: the scaffold's files, "VAE/model.py" -> content.
        codes: a project's Python files as they are run, likewise.
    """
    try:
        return any(_has_changes(given.get(name), codes[name]) for name in _those_that_run(given, codes))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True


def _those_that_run(given: Mapping[str, bytes], codes: Mapping[str, bytes]) -> Sequence[str]:
    """The scaffold's files, and those of the student's own that they import, or that such a file does."""
    by_module = {PurePosixPath(name).stem: name for name in codes}
    running = [name for name in codes if name in given]
    for name in running:
        imported = {target.partition(".")[0] for _, target in _imports(ast.walk(_parse(codes[name])))}
        running += [by_module[one] for one in sorted(imported & by_module.keys()) if by_module[one] not in running]
    return running


def _has_changes(given: bytes | None, theirs: bytes) -> bool:
    """Whether a file has more than additions; `given` is None for one of the student's own."""
    if given is None:
        return any(not _is_harmless(statement, frozenset()) for statement in _parse(theirs).body)
    old, new = _text(given), _text(theirs)
    matched = MatchedMarkers(split_lines(old), find_blocks(old, "the scaffold"), split_lines(new), find_markers(new))
    spans = list(matched.blocks())
    if any(span is None for _, span in spans):
        return True
    old_tree, new_tree = _parse(given), _parse(theirs)
    taken = _names_in(old_tree) | set(dir(builtins))
    given_body = _Outside([span for span, _ in spans]).visit(old_tree).body
    return not _are_additions(given_body, _Outside([span for _, span in spans]).visit(new_tree).body, taken)


def _are_additions(given: Sequence[ast.stmt], theirs: Sequence[ast.stmt], taken: Set[str]) -> bool:
    """Whether the statements of a module or a class are those that are given, in their order, and harmless ones."""
    wanted, imports = [one for one in given if not _is_import(one)], set(_imports(given))
    if not imports <= set(_imports(theirs)):
        return False
    for statement in theirs:
        if _is_import(statement):
            if any(pair not in imports and pair[0] in taken | {"*"} for pair in _imports([statement])):
                return False
        elif wanted and _is_given(wanted[0], statement, taken):
            wanted.pop(0)
        elif not _is_harmless(statement, taken):
            return False
    return not wanted


def _is_given(given: ast.stmt, theirs: ast.stmt, taken: Set[str]) -> bool:
    """Whether a statement is the one that is given; a class may have more in it."""
    if isinstance(given, ast.ClassDef) and isinstance(theirs, ast.ClassDef) and given.name == theirs.name:
        heads = [[*map(ast.dump, (*one.bases, *one.keywords, *one.decorator_list))] for one in (given, theirs)]
        return heads[0] == heads[1] and _are_additions(given.body, theirs.body, taken | _inherited())
    return ast.dump(given) == ast.dump(theirs)


def _inherited() -> Set[str]:
    """The names that a network has from PyTorch, and any object from Python."""
    from torch import nn  # only here: it takes seconds to load

    return set(dir(nn.Module)) | set(vars(nn.Module())) | set(dir(object))


def _is_harmless(statement: ast.stmt, taken: Set[str]) -> bool:
    """Whether a statement of a module or a class does nothing but to bind new names."""
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
        case ast.Import() | ast.ImportFrom():
            return not any(name in taken | {"*"} for name, _ in _imports([statement]))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            arguments = statement.args
            run_now = [*arguments.defaults, *filter(None, arguments.kw_defaults), *_annotations(statement)]
            return statement.name not in taken and _is_decorated_harmlessly(statement) and all(map(_is_plain, run_now))
        case ast.ClassDef():
            return (
                statement.name not in taken
                and not statement.keywords
                and _is_decorated_harmlessly(statement)
                and all(map(_is_plain, statement.bases))
                and all(_is_harmless(one, frozenset()) for one in statement.body)
            )
        case ast.Assign():
            return all(map(_new_name(taken), statement.targets)) and _is_plain(statement.value)
        case ast.AnnAssign():
            value = statement.value or ast.Constant(None)
            return _new_name(taken)(statement.target) and _is_plain(value) and _is_plain(statement.annotation)
        case ast.If(ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]), orelse=[]):
            return True  # it is imported, never run as a program
    return False


def _new_name(taken: Set[str]):
    """A test of what is assigned to: a name, or several, that nothing else has."""

    def test(target: ast.expr) -> bool:
        if isinstance(target, (ast.Tuple, ast.List)):
            return all(map(test, target.elts))
        return isinstance(target, ast.Name) and target.id not in taken

    return test


def _is_plain(value: ast.expr) -> bool:
    """Whether an expression calls nothing."""
    return isinstance(value, ast.Lambda) or all(isinstance(part, _PLAIN) for part in ast.walk(value))


def _is_decorated_harmlessly(statement: ast.stmt) -> bool:
    return all(ast.unparse(one) in _DECORATORS for one in statement.decorator_list)


def _annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    parts = function.args
    ones = [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, parts.vararg, parts.kwarg]
    yield from (one.annotation for one in ones if one is not None and one.annotation is not None)
    if function.returns is not None:
        yield function.returns


def _is_import(statement: ast.AST) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def _imports(nodes: Iterator[ast.AST] | Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """The name that each import binds, "*" for all, and what that stands for: ("nn", "torch.nn") for both spellings."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"


def _names_in(tree: ast.AST) -> set[str]:
    """All names that code uses or binds, those of attributes among them."""
    names = {name for name, _ in _imports(ast.walk(tree))}
    for node in ast.walk(tree):
        names |= {getattr(node, field) for field in ("id", "attr", "name", "arg") if hasattr(node, field)}
    return names - {None}


class _Outside(ast.NodeTransformer):
    """Leaves what lies outside the blocks: a block's statements go, where they stand in a function.

    Docstrings go too, and annotations that call nothing. What a block adds to a class or a module stays.

    Args:
        blocks: the lines of their TODO lines.
    """

    def __init__(self, blocks: Sequence[Span]):
        self._blocks = blocks
        self._depth = 0  # in functions

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Go through a node's parts, without the statements of blocks."""
        is_function = isinstance(node, _FUNCTIONS)
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if is_function and all(map(_is_plain, _annotations(node))):
            node.returns = None
        if isinstance(node, ast.arg) and node.annotation is not None and _is_plain(node.annotation):
            node.annotation = None
        self._depth += is_function
        for field in ("body", "orelse", "finalbody") if self._depth else ():
            suite = getattr(node, field, None)
            if isinstance(suite, list):
                setattr(node, field, [one for one in suite if not self._is_in_a_block(one)])
        super().generic_visit(node)
        self._depth -= is_function
        return node

    def _is_in_a_block(self, statement: ast.stmt) -> bool:
        first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))])
        return any(start < first and statement.end_lineno < end for start, end in self._blocks)


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's "\d" is not ours to complain about
        return ast.parse(_text(source))


def _text(source: bytes) -> str:
    return decode_python(source)[0].removeprefix("\ufeff")
