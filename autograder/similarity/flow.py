"""Canonical data flow: what a block computes from what, whatever it is called and however it is spelt.

A block is evaluated on symbols instead of numbers. Every value is a node of an operation and its operands, so
temporaries and names are gone; helpers are called with their arguments, as Python would; code that nothing depends on
is never reached from an output. Equal nodes are one object (hash-consing, Ershov 1958), so the work grows with the
text and not with the value. Nothing of it is executed.
"""

import ast
import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from autograder.similarity.nodes import MAX_OPERANDS, Node, forget_many, make, num, order, power, product, total
from autograder.similarity.operations import RULES
from autograder.similarity.spelling import (
    ACTIVATIONS,
    ALIASES,
    DEFAULTS,
    IDEMPOTENT,
    IDENTITIES,
    IGNORED,
    LOSSES,
    SIGNATURES,
)

MAX_STEPS = 20_000  # expressions and statements of a block, with what helpers repeat
MAX_CALLS = 12  # helpers within helpers


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


class _TooMuch(Exception):
    """The block is larger than anybody's homework."""


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
        helpers: functions that the student has defined outside the blocks.
    """
    forget_many()
    walker = _Walker(place, attributes or {})
    for name, function in (helpers or {}).items():
        walker.env[name] = Closure(function.args, function.body, walker.env)
    # Too much, too deep, or what no rule was made for: what was found so far counts.
    with contextlib.suppress(Exception):
        walker.run(body)
    return walker.flow()


def _children(node: ast.AST) -> Iterable[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


class _Walker:
    """One walk through a block: what every name stands for at this point, and what was done."""

    def __init__(self, place: Place, attributes: Mapping[str, Node]):
        self.place = place
        self.env: dict[str, object] = {}
        self.known = dict(attributes)
        self.effects: list[Node] = []
        self.lines: dict[Node, tuple[int, int]] = {}
        self.attributes: dict[str, Node] = {}
        self.returned: list[Node] = []
        self.conditions: list[Node] = []
        self.steps = self.calls = 0

    # ---- statements
    def run(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, s: ast.stmt) -> None:
        self._step()
        kind = type(s)
        if kind is ast.Assign:
            value = self.expr(s.value)
            for target in s.targets:
                self.assign(target, value)
        elif kind is ast.AnnAssign:
            if s.value is not None:
                self.assign(s.target, self.expr(s.value))
        elif kind is ast.AugAssign:
            load = _as_load(s.target)
            self.assign(s.target, self.binary(s.op, self.value(load), self.value(s.value), s))
        elif kind is ast.Expr:
            self.expression_statement(s.value)
        elif kind is ast.For or kind is ast.AsyncFor:
            self.loop(s.target, self.value(s.iter), s.body, s.orelse)
        elif kind is ast.While:
            count = self._count(s)
            if count is not None:
                times, step = count
                self.loop(s.test.left, make("range", times), [b for b in s.body if b is not step], s.orelse)
            else:
                self.carried(s.body, make("while", self.value(s.test)), s.orelse)
        elif kind is ast.If:
            self.branch(s)
        elif kind in (ast.With, ast.AsyncWith):
            self.with_(s)
        elif kind in (ast.FunctionDef, ast.AsyncFunctionDef):
            self.env[s.name] = Closure(s.args, s.body, self.env)
        elif kind is ast.Return:
            self.returned.append(self.value(s.value) if s.value is not None else make("None"))
        elif kind in (ast.Import, ast.ImportFrom):
            for alias in s.names:
                name = (alias.asname or alias.name).split(".")[0]
                self.env[name] = make(
                    "api:" + (alias.name.split(".")[-1] if alias.asname or kind is ast.ImportFrom else name)
                )
        elif kind is ast.Try or kind.__name__ == "TryStar":
            self.run(s.body)
            self.run(s.orelse)
            self.run(s.finalbody)
        elif kind is ast.Delete or kind in (ast.Pass, ast.Assert, ast.Global, ast.Nonlocal, ast.Raise):
            pass  # guards and markers compute nothing
        elif kind in (ast.Break, ast.Continue):
            self.effect(make(kind.__name__.lower()), s)
        elif kind is ast.ClassDef:
            self.env[s.name] = make("class", *(self._uncalled(f) for f in s.body if isinstance(f, ast.FunctionDef)))
        else:
            for child in ast.iter_child_nodes(s):
                if isinstance(child, ast.expr):
                    self.expr(child)
                elif isinstance(child, ast.stmt):
                    self.statement(child)

    def expression_statement(self, e: ast.expr) -> None:
        if isinstance(e, ast.Constant):
            return  # a docstring, an ellipsis
        if isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and self.mutation(e):
            return
        before = len(self.effects)
        value = self.expr(e)
        if isinstance(value, Node) and value.args and len(self.effects) == before:
            if value.op == "list":
                return
            self.effect(value, e)

    def mutation(self, e: ast.Call) -> bool:
        """A call that changes a variable in place, as far as that is known: lists, Sequentials, tensors' `add_`."""
        method, target = e.func.attr, e.func.value
        if method in ("append", "extend", "add_module", "insert", "register_module", "add") and e.args:
            root, chained = target, [e]
            while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute) and root.func.attr == method:
                chained.append(root)
                root = root.func.value
            if not _is_place(root):
                return False
            attribute = root.attr if isinstance(root, ast.Attribute) else None
            old = self.known.get(attribute) or self.value(root)
            for call in reversed(chained):
                if not call.args:
                    return False
                old = self._appended(old, method, self.value(call.args[-1]), call)
            self.assign(root, old)
            return old.op in ("list", "new:sequential", "new:modulelist", "append", "extend", "map")
        if method.endswith("_") and not method.endswith("__") and _is_place(target) and method != "requires_grad_":
            self.assign(target, self.value(e))
            return isinstance(target, ast.Name) and target.id not in self.place.given
        return False

    def _appended(self, old: Node, method: str, item: Node, where: ast.AST) -> Node:
        items = item.args if method == "extend" and item.op == "list" else (item,)
        if method == "extend" and item.op != "list":
            items = (make("star", item),)
        if old.op in ("list", "new:sequential", "new:modulelist", "map") and len(old.args) < MAX_OPERANDS:
            return self.at(make(old.op, *old.args, *items), where)
        return self.at(make("append", old, *items), where)

    def assign(self, target: ast.expr, value: object) -> None:
        if isinstance(target, ast.Name):
            self.env[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            value = self._node(value)
            starred = any(isinstance(t, ast.Starred) for t in target.elts)
            for index, part in enumerate(target.elts):
                if starred:
                    self.assign(part.value if isinstance(part, ast.Starred) else part, make("part", value))
                else:
                    self.assign(part, self.item(value, num(index)))
        elif isinstance(target, ast.Attribute):
            value = self._node(value)
            if isinstance(target.value, ast.Name) and target.value.id == "self":
                self.known[target.attr] = self.attributes[target.attr] = value
            else:
                self.effect(make("set:" + target.attr, self.value(target.value), value), target)
        elif isinstance(target, ast.Subscript):
            value, index = self._node(value), self.value(target.slice)
            if _is_place(target.value):
                new = self.at(make("put", self.value(target.value), index, value), target)
                self.assign(target.value, new)
            else:
                self.effect(make("put", self.value(target.value), index, value), target)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)

    def effect(self, node: Node, where: ast.AST) -> None:
        for condition in reversed(self.conditions):
            node = make("when", condition, node)
        self.at(node, where)
        self.effects.append(node)

    def loop(self, target: ast.expr, over: Node, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt]) -> None:
        targets = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
        self.assign(target, self.element(over))
        self.carried(body, over, orelse, targets)

    def carried(
        self, body: Sequence[ast.stmt], over: Node, orelse: Sequence[ast.stmt], targets: Set[str] = frozenset()
    ) -> None:
        """A loop's body, once: what it finds of an earlier round is `carry`, what it leaves behind is `loop`."""
        names = _stored(body)
        before = {name: self.env[name] for name in names if name in self.env and name not in targets}
        grown = {}
        for name, value in before.items():
            if isinstance(value, Node):
                if value.op == "list":  # a list that grows by `append` is a comprehension
                    grown[name] = value
                    self.env[name] = make("list")
                else:
                    self.env[name] = make("carry", value)
        self.run(body)
        for name in names:
            value = self.env.get(name)
            if not isinstance(value, Node) or value is before.get(name):
                continue
            if name in grown:
                if value.op == "list":
                    each = make("map", over, *value.args) if value.args else None
                    old = grown[name]
                    new = old if each is None else each if not old.args else make("list", *old.args, make("star", each))
                    self.env[name] = new
                    if each is not None and each not in self.lines and value in self.lines:
                        self.lines[each] = self.lines[value]
            elif name in before:
                self.env[name] = make("loop", over, value)
        self.run(orelse)

    def _count(self, s: ast.While) -> tuple[Node, ast.stmt] | None:
        """n and the step where a loop is `i = 0; while i < n: ...; i += 1`, which is `for i in range(n): ...`."""
        test = s.test
        if not (isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and isinstance(test.ops[0], ast.Lt)):
            return None
        name = test.left.id
        start = self.env.get(name)
        steps = [statement for statement in s.body if name in _stored([statement])]
        if not isinstance(start, Node) or start.value != 0 or len(steps) != 1:
            return None
        step = steps[0]
        if isinstance(step, ast.AugAssign) and isinstance(step.op, ast.Add):
            by = step.value
        elif isinstance(step, ast.Assign) and isinstance(step.value, ast.BinOp) and isinstance(step.value.op, ast.Add):
            by = step.value.right
        else:
            return None
        if not (isinstance(by, ast.Constant) and by.value == 1):
            return None
        return self.value(test.comparators[0]), step

    def branch(self, s: ast.If) -> None:
        test = self.value(s.test)
        truth = _truth(test)
        if truth is not None:
            self.run(s.body if truth else s.orelse)
            return
        if _is_guard(s.body) and not s.orelse:
            return
        saved = dict(self.env)
        self.conditions.append(test)
        self.run(s.body)
        then = self.env
        self.env = dict(saved)
        self.conditions[-1] = make("not", test)
        self.run(s.orelse)
        self.conditions.pop()
        other = self.env
        merged = dict(saved)
        for name in {**then, **other}:
            a, b = then.get(name), other.get(name)
            if a is b or (isinstance(a, Node) and isinstance(b, Node) and a.hash == b.hash):
                merged[name] = a
            elif isinstance(a, Node) and isinstance(b, Node):
                merged[name] = self.at(make("if", test, a, b), s.test)
            else:
                merged[name] = a if a is not None else b
        self.env = merged

    def with_(self, s: ast.With) -> None:
        contexts = []
        for item in s.items:
            value = self.value(item.context_expr)
            contexts.append(value.op)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        before = dict(self.env)
        self.run(s.body)
        if any("nograd" in op or "inferencemode" in op for op in contexts):
            for name, value in self.env.items():
                if isinstance(value, Node) and before.get(name) is not value:
                    self.env[name] = self._op("detach", [value], {}, s)

    # ---- expressions
    def value(self, e: ast.expr) -> Node:
        return self._node(self.expr(e))

    def expr(self, e: ast.expr) -> object:
        self._step()
        handler = _HANDLERS.get(type(e))
        result = handler(self, e) if handler else make(type(e).__name__, *map(self.value, _children(e)))
        if isinstance(result, Node) and result.args:
            self.at(result, e)
        return result

    def _constant(self, e: ast.Constant) -> Node:
        v = e.value
        if isinstance(v, bool) or v is None or v is Ellipsis:
            return make(str(v), value=float(v) if isinstance(v, bool) else None)
        if isinstance(v, (int, float)):
            try:
                return num(v)
            except OverflowError:
                return make("#huge")
        return make(f"{type(v).__name__}:{v!r:.200}")

    def _name(self, e: ast.Name) -> object:
        value = self.env.get(e.id)
        if value is not None:
            return value
        return make(("api:" if e.id in self.place.modules else "") + e.id)

    def _attribute(self, e: ast.Attribute) -> object:
        if isinstance(e.value, ast.Name) and e.value.id == "self" and "self" not in self.env:
            return self._self_attribute(e.attr)
        base = self.value(e.value)
        if base.op.startswith("api:"):
            return make("api:" + e.attr)
        if e.attr in ("T", "mT"):
            return self._op("transpose", [base], {}, e)
        if e.attr == "data":
            return self._op("detach", [base], {}, e)
        return make("shape" if e.attr == "shape" else "." + e.attr, base)

    def _self_attribute(self, attribute: str) -> Node:
        if attribute in self.place.aliases:
            return make(self.place.aliases[attribute])
        value = self.known.get(attribute)
        if value is not None:
            if value.op.startswith("new:") and value.op[4:] not in ACTIVATIONS | LOSSES:
                return make("layer:" + value.op[4:])
            return value if value.depth <= 4 else make("self.?")
        return make("self." + (attribute if attribute in self.place.given else "?"))

    def _call(self, e: ast.Call) -> object:
        func = e.func
        if isinstance(func, ast.Attribute) and not self._is_self(func.value):
            base = self.expr(func.value)
            if isinstance(base, Node) and not base.op.startswith("api:"):
                args, kwargs = self._arguments(e)
                return self._method(base, func.attr, args, kwargs, e)
        target = self.expr(func)
        if isinstance(target, Closure):
            return self._inline(target, e)
        args, kwargs = self._arguments(e)
        op = target.op
        if op.startswith("api:"):
            return self._op(op[4:], args, kwargs, e)
        if op.startswith("new:"):
            name = op[4:]
            if name in ACTIVATIONS or name in LOSSES:
                settings = {a.op[1:]: a.args[0] for a in target.args if a.op.startswith("=")}
                positional = [a for a in target.args if not a.op.startswith("=")]
                return self._op(name, args + positional, {**settings, **kwargs}, e)
            return make("apply", target, *args, *_keywords(kwargs))
        if not target.args and op in self.place.parameters:
            names = self.place.parameters[op]
            for name, arg in zip(names, args, strict=False):
                kwargs.setdefault(name, arg)
            return make("call:" + op, *_keywords(kwargs))
        if not target.args and not op.startswith(("layer:", "self.")):
            return self._builtin(op, args, kwargs, e)
        return make("apply", target, *args, *_keywords(kwargs))

    def _builtin(self, name: str, args: list[Node], kwargs: dict[str, Node], e: ast.Call) -> Node:
        if name == "len" and len(args) == 1:
            return self._length(args[0])
        if name in ("list", "tuple", "iter") and len(args) == 1:
            return args[0]
        if name == "list" and not args:
            return make("list")
        if name == "dict":
            return make("dict", *_keywords(kwargs))
        if name == "map" and len(args) == 2 and len(e.args) == 2:
            function = self.expr(e.args[0])
            if isinstance(function, Closure):
                return make("map", args[1], self._apply(function, [self.element(args[1])], {}))
            return make("map", args[1], make("apply", function, self.element(args[1])))
        if name in ("range", "enumerate", "zip", "reversed", "print", "isinstance", "getattr", "super", "setattr"):
            if name == "range" and len(args) == 2 and args[0].value == 0:
                args = args[1:]
            return make(name, *args, *_keywords(kwargs))
        if name == "float" and len(args) == 1:
            return args[0]
        if name[:1].isupper() or name.startswith(("call:", "elem")):
            return make("call:" + name, *args, *_keywords(kwargs))
        return self._op(name, args, kwargs, e)

    def _length(self, of: Node) -> Node:
        if of.op == "list" and not any(a.op == "star" for a in of.args):
            return num(len(of.args))
        return make("item", make("shape", of), num(0))

    def _method(self, base: Node, name: str, args: list[Node], kwargs: dict[str, Node], e: ast.Call) -> Node:
        if base.op in ("self", "layer", "super") or base.op.startswith(("layer:", "self.")):
            return make("." + name, base, *args, *_keywords(kwargs))
        if name in ("append", "extend", "add_module") and args:
            return self._appended(base, name, args[-1], e)
        return self._op(name, [base, *args], kwargs, e)

    def _op(self, name: str, args: list[Node], kwargs: dict[str, Node], e: ast.AST) -> Node:
        """An operation of a library in its one spelling: module, function and method are the same."""
        is_class = name[:1].isupper()
        op = name.lower().replace("_", "")
        op = ALIASES.get(op, op)
        kwargs = {k: v for k, v in kwargs.items() if k not in IGNORED}
        if is_class and op not in ("size", "tensor"):
            return self._constructor(op, args, kwargs)
        if args and (op in IDENTITIES or (op in IDEMPOTENT and args[0].op == op)):
            return args[0]
        names = SIGNATURES.get(op)
        if names:
            positional = list(args)
            for position, key in enumerate(names):
                if key in kwargs and position == len(positional):
                    positional.append(kwargs.pop(key))
            args = positional
            for position in range(len(args) - 1, 0, -1):  # "dim" and the like by name, from the second on
                if position < len(names) and names[position] in _BY_NAME:
                    kwargs[names[position]] = args.pop(position)
                elif position >= len(names):
                    continue
        kwargs = {k: v for k, v in kwargs.items() if DEFAULTS.get((op, k), DEFAULTS.get(("", k))) != v.op}
        rule = RULES.get(op)
        if rule:
            result = rule(args, kwargs)
            if result is not None:
                return result
        return make(op, *args[:MAX_OPERANDS], *_keywords(kwargs))

    def _constructor(self, op: str, args: list[Node], kwargs: dict[str, Node]) -> Node:
        if op in ("sequential", "modulelist"):
            items: list[Node] = []
            for arg in args:
                if arg.op == "list" and op == "modulelist":
                    items += arg.args
                elif arg.op in ("ordereddict", "dict", "new:ordereddict"):
                    items += [v for a in arg.args for v in _second(a)]
                else:
                    items.append(arg)
            return make("new:" + op, *items[:MAX_OPERANDS])
        names = SIGNATURES.get("new:" + op)
        if names:
            for key, arg in zip(names, args, strict=False):
                kwargs.setdefault(key, arg)
            args = args[len(names) :]
            kwargs = {k: _same(v) for k, v in kwargs.items()}
        kwargs = {k: v for k, v in kwargs.items() if DEFAULTS.get(("new:" + op, k), DEFAULTS.get(("", k))) != v.op}
        return make("new:" + op, *args, *_keywords(kwargs))

    def _arguments(self, e: ast.Call) -> tuple[list[Node], dict[str, Node]]:
        args: list[Node] = []
        for arg in e.args:
            if isinstance(arg, ast.Starred):
                value = self.value(arg.value)
                args += value.args if value.op == "list" else (make("star", value),)
            else:
                args.append(self.value(arg))
        kwargs: dict[str, Node] = {}
        for keyword in e.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif value.op == "dict":
                kwargs.update({a.op[1:]: a.args[0] for a in value.args if a.op.startswith("=")})
            else:
                kwargs["**"] = value
        return args[:MAX_OPERANDS], kwargs

    def _inline(self, closure: Closure, e: ast.Call) -> Node:
        args: list[object] = []
        for arg in e.args:
            if isinstance(arg, ast.Starred):
                value = self.value(arg.value)
                args += value.args if value.op == "list" else (make("star", value),)
            else:
                args.append(self.expr(arg))
        kwargs = {k.arg: self.expr(k.value) for k in e.keywords if k.arg}
        return self._apply(closure, args, kwargs)

    def _apply(self, closure: Closure, args: Sequence[object], kwargs: Mapping[str, object]) -> Node:
        if self.calls >= MAX_CALLS:
            return make("recursion")
        self.calls += 1
        spec = closure.arguments
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        env = dict(closure.env)
        for name, default in zip(reversed(names), reversed(spec.defaults), strict=False):
            env[name] = self.value(default)
        for parameter, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            if default is not None:
                env[parameter.arg] = self.value(default)
        env.update(zip(names, args, strict=False))
        if spec.vararg:
            env[spec.vararg.arg] = make("list", *(self._node(a) for a in args[len(names) :]))
        env.update(kwargs)
        outer, returned = self.env, self.returned
        self.env, self.returned = env, []
        try:
            if isinstance(closure.body, ast.expr):
                result = self.value(closure.body)
            else:
                self.run(closure.body)
                result = self.returned[0] if len(self.returned) == 1 else make("returns", *self.returned)
        finally:
            self.env, self.returned = outer, returned
            self.calls -= 1
        return result

    def _uncalled(self, function: ast.FunctionDef) -> Node:
        names = [a.arg for a in function.args.args]
        return self._apply(
            Closure(function.args, function.body, self.env), [make(f"param:{i}") for i in range(len(names))], {}
        )

    def _node(self, value: object) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, Closure):
            count = len(value.arguments.posonlyargs) + len(value.arguments.args)
            return make("function", self._apply(value, [make(f"param:{i}") for i in range(count)], {}))
        return make("None")

    def _binop(self, e: ast.BinOp) -> Node:
        # A chain of a thousand additions is deep on the left: walk down it instead of recursing.
        chain = []
        node: ast.expr = e
        while isinstance(node, ast.BinOp):
            chain.append(node)
            node = node.left
        value = self.value(node)
        for part in reversed(chain):
            self._step()
            value = self.at(self.binary(part.op, value, self.value(part.right), part), part)
        return value

    def binary(self, op: ast.operator, a: Node, b: Node, where: ast.AST) -> Node:
        kind = type(op)
        if kind is ast.Add:
            if a.op == "list" and b.op == "list":
                return make("list", *(a.args + b.args)[:MAX_OPERANDS])
            if a.op == "list":
                return make("list", *a.args[:MAX_OPERANDS], make("star", b))
            return total([a, b])
        if kind is ast.Sub:
            return total([a, product([num(-1), b])])
        if kind is ast.Mult:
            return product([a, b])
        if kind is ast.Div:
            if b.value:
                return product([a, num(1 / b.value)])
            return product([a, make("inverse", b)])
        if kind is ast.Pow:
            return power(a, b)
        if kind is ast.FloorDiv and a.value is not None and b.value:
            return num(a.value // b.value)
        return make(kind.__name__, a, b)

    def _unary(self, e: ast.UnaryOp) -> Node:
        value = self.value(e.operand)
        if isinstance(e.op, ast.USub):
            return product([num(-1), value])
        if isinstance(e.op, ast.UAdd):
            return value
        return make("not" if isinstance(e.op, ast.Not) else "~", value)

    def _compare(self, e: ast.Compare) -> Node:
        left, op, right = self.value(e.left), type(e.ops[0]).__name__, self.value(e.comparators[0])
        if op in ("Gt", "GtE"):
            left, right, op = right, left, {"Gt": "Lt", "GtE": "LtE"}[op]
        elif op in ("Eq", "NotEq", "Is", "IsNot"):
            left, right = sorted((left, right), key=order)
        return make(op, left, right, *map(self.value, e.comparators[1:]))

    def _boolean(self, e: ast.BoolOp) -> Node:
        return make(type(e.op).__name__.lower(), *sorted(map(self.value, e.values), key=order))

    def _conditional(self, e: ast.IfExp) -> Node:
        test, a, b = self.value(e.test), self.value(e.body), self.value(e.orelse)
        truth = _truth(test)
        return a if a.hash == b.hash or truth else b if truth is False else make("if", test, a, b)

    def _sequence(self, e: ast.Tuple | ast.List | ast.Set) -> Node:
        items: list[Node] = []
        for part in e.elts:
            if isinstance(part, ast.Starred):
                value = self.value(part.value)
                items += value.args if value.op == "list" else (make("star", value),)
            else:
                items.append(self.value(part))
        return make("list", *items[:MAX_OPERANDS])

    def _dict(self, e: ast.Dict) -> Node:
        items = []
        for key, value in zip(e.keys, e.values, strict=True):
            if key is None:
                items += self.value(value).args
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                items.append(make("=" + key.value[:80], self.value(value)))
            else:
                items.append(make("pair", self.value(key), self.value(value)))
        return make("dict", *sorted(items, key=order))

    def _subscript(self, e: ast.Subscript) -> Node:
        return self.item(self.value(e.value), self.value(e.slice))

    def item(self, base: Node, index: Node) -> Node:
        """One element of a value."""
        if index.value is not None and base.op in ("list", "new:sequential", "new:modulelist"):
            position = int(index.value)
            if not any(a.op == "star" for a in base.args) and -len(base.args) <= position < len(base.args):
                return base.args[position]
        if index.op == "str" or index.op.startswith("str:"):
            return make("item:" + index.op[4:], base)
        if base.op == "elem" and index.value is not None:
            over = base.args[0]
            if over.op == "enumerate" and over.args:
                inner = over.args[0]
                return self.element(inner) if index.value == 1 else make("elem", make("range", self._length(inner)))
            if over.op == "zip" and 0 <= index.value < len(over.args):
                return self.element(over.args[int(index.value)])
        if index.op == "elem" and index.args[0].op == "range" and index.args[0].args[0].hash == self._length(base).hash:
            return self.element(base)
        return make("item", base, index)

    def element(self, over: Node) -> Node:
        """Each element of what a loop runs over."""
        return make("elem", over)

    def _comprehension(self, e: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Node:
        outer, self.env = self.env, dict(self.env)
        overs = []
        for part in e.generators:
            over = self.value(part.iter)
            self.assign(part.target, self.element(over))
            for test in part.ifs:
                over = make("filter", over, self.value(test))
            overs.append(over)
        value = self.value(e.elt)
        self.env = outer
        for over in reversed(overs):
            value = make("map", over, value)
        return value

    def _lambda(self, e: ast.Lambda) -> Closure:
        return Closure(e.args, e.body, self.env)

    def _walrus(self, e: ast.NamedExpr) -> object:
        value = self.expr(e.value)
        self.assign(e.target, value)
        return value

    def _format(self, e: ast.JoinedStr) -> Node:
        parts = [v.value if isinstance(v, ast.FormattedValue) else v for v in e.values]
        return make("format", *map(self.value, parts))

    def _slice(self, e: ast.Slice) -> Node:
        return make("slice", *(self.value(p) if p is not None else make("") for p in (e.lower, e.upper, e.step)))

    def _starred(self, e: ast.Starred) -> Node:
        return make("star", self.value(e.value))

    # ---- bookkeeping
    def _is_self(self, e: ast.expr) -> bool:
        return isinstance(e, ast.Name) and e.id == "self" and "self" not in self.env

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise _TooMuch

    def at(self, node: Node, where: ast.AST) -> Node:
        """Remember which lines made a node."""
        if node not in self.lines and hasattr(where, "lineno"):
            self.lines[node] = (where.lineno - 1, (where.end_lineno or where.lineno) - 1)
        return node

    def flow(self) -> Flow:
        roots: list[tuple[str, Node]] = []
        for name in sorted(self.place.outputs):
            value = self.env.get(name)
            if isinstance(value, Node):
                roots.append((name, value))
        roots += [("self", value) for value in dict.fromkeys(self.attributes.values())]
        roots += [("return", value) for value in self.returned]
        if not roots and not self.effects:
            roots = [("any", value) for value in self.env.values() if isinstance(value, Node)]
        return Flow(roots, self.effects, self.lines, self.attributes)


_BY_NAME = frozenset({"dim", "start_dim", "reduction", "keepdim", "min", "max", "weight", "negative_slope"})
_HANDLERS: dict[type, Callable] = {
    ast.Constant: _Walker._constant,
    ast.Name: _Walker._name,
    ast.Attribute: _Walker._attribute,
    ast.Call: _Walker._call,
    ast.BinOp: _Walker._binop,
    ast.UnaryOp: _Walker._unary,
    ast.Compare: _Walker._compare,
    ast.BoolOp: _Walker._boolean,
    ast.IfExp: _Walker._conditional,
    ast.Tuple: _Walker._sequence,
    ast.List: _Walker._sequence,
    ast.Set: _Walker._sequence,
    ast.Dict: _Walker._dict,
    ast.Subscript: _Walker._subscript,
    ast.ListComp: _Walker._comprehension,
    ast.SetComp: _Walker._comprehension,
    ast.GeneratorExp: _Walker._comprehension,
    ast.Lambda: _Walker._lambda,
    ast.NamedExpr: _Walker._walrus,
    ast.JoinedStr: _Walker._format,
    ast.Slice: _Walker._slice,
    ast.Starred: _Walker._starred,
}


def _keywords(kwargs: Mapping[str, Node]) -> list[Node]:
    return [make("=" + key, kwargs[key]) for key in sorted(kwargs)]


def _second(node: Node) -> tuple[Node, ...]:
    """The values of a dictionary's or an OrderedDict's items."""
    if node.op == "list":
        return tuple(part.args[1] if part.op == "list" and len(part.args) == 2 else part for part in node.args)
    return node.args[-1:]


def _same(node: Node) -> Node:
    """(4, 4) as 4, which is what layers take it for."""
    return node.args[0] if node.op == "list" and node.args and len({arg.hash for arg in node.args}) == 1 else node


def _truth(test: Node) -> bool | None:
    return bool(test.value) if test.value is not None and not test.args else False if test.op == "None" else None


def _is_guard(body: Sequence[ast.stmt]) -> bool:
    return all(isinstance(s, (ast.Raise, ast.Pass, ast.Assert)) for s in body)


def _is_place(e: ast.expr) -> bool:
    return isinstance(e, ast.Name) or (
        isinstance(e, ast.Attribute) and isinstance(e.value, ast.Name) and e.value.id == "self"
    )


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)
    if isinstance(target, ast.Attribute):
        return ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target)
    if isinstance(target, ast.Subscript):
        return ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
    return target


def _stored(body: Sequence[ast.stmt]) -> list[str]:
    """Names that a loop's body may change, in the order in which they stand there."""
    names: dict[str, None] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = None
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if isinstance(node.func.value, ast.Name) and node.func.attr in ("append", "extend", "insert"):
                    names[node.func.value.id] = None
            elif (
                isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
            ):
                names[node.value.id] = None
    return list(names)
