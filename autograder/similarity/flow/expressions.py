"""What an expression computes, as a node: one method for each kind of expression."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence

from autograder.similarity.flow.nodes import MAX_OPERANDS, Node, make, num, order, power, product, total
from autograder.similarity.flow.operations import RULES
from autograder.similarity.flow.scope import MAX_CALLS, MAX_STEPS, Closure, Place, TooMuch
from autograder.similarity.flow.spelling import (
    ACTIVATIONS,
    ALIASES,
    DEFAULTS,
    IDEMPOTENT,
    IDENTITIES,
    IGNORED,
    LOSSES,
    SETTINGS,
    SIGNATURES,
    STRINGS,
)

# What has items that can be told apart.
SEQUENCES = frozenset(["list", "new:sequential", "new:modulelist", "layer:sequential", "layer:modulelist"])


class Expressions:
    """A walk through a block: what every name stands for at this point, and what an expression is there."""

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

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Walk through statements, such as a helper's."""
        raise NotImplementedError

    def value(self, e: ast.expr) -> Node:
        """The node of an expression."""
        return self._node(self.expr(e))

    def expr(self, e: ast.expr) -> object:
        """The node of an expression, or the closure."""
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
        return make(f"{type(v).__name__}:{v!r:.200}" if v in STRINGS else type(v).__name__)

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
            return _as_layer(value)
        return make("self." + (attribute if attribute in self.place.given else "?"))

    def _call(self, e: ast.Call) -> object:
        func = e.func
        if isinstance(func, ast.Attribute) and not self._is_self(func.value):
            helper = self.env.get(f"{func.value.id}.{func.attr}") if isinstance(func.value, ast.Name) else None
            if isinstance(helper, Closure):
                return self._inline(helper, e)
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
        if op.startswith(("new:", "layer:")):
            return self._through(target, args, kwargs, e)
        if not target.args and op in self.place.parameters:
            names = self.place.parameters[op]
            for name, arg in zip(names, args, strict=False):
                kwargs.setdefault(name, arg)
            return make("call:" + op, *_keywords(kwargs))
        if not target.args and not op.startswith(("layer:", "self.")):
            return self._builtin(op, args, kwargs, e)
        return make("apply", target, *args, *_keywords(kwargs))

    def _through(self, module: Node, args: list[Node], kwargs: dict[str, Node], e: ast.Call) -> Node:
        """What a module makes of its input: a sequence of them is one after the other."""
        name = module.op.partition(":")[2]
        if name == "sequential" and module.args and len(args) == 1 and not kwargs:
            for part in module.args:
                args = [self._through(part, args, {}, e)]
            return args[0]
        if name in ACTIVATIONS or name in LOSSES:
            settings = {a.op[1:]: a.args[0] for a in module.args if a.op.startswith("=")}
            positional = [a for a in module.args if not a.op.startswith("=")]
            return self._op(name, args + positional, {**settings, **kwargs}, e)
        return make("apply", module, *args, *_keywords(kwargs))

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
        kwargs = {SETTINGS.get(k, k): v for k, v in kwargs.items() if k not in IGNORED}
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
        """The node of an operation on two."""
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
        known = truth(test)
        return a if a.hash == b.hash or known else b if known is False else make("if", test, a, b)

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
        if index.value is not None and base.op in SEQUENCES:
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

    def _is_self(self, e: ast.expr) -> bool:
        return isinstance(e, ast.Name) and e.id == "self" and "self" not in self.env

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooMuch

    def at(self, node: Node, where: ast.AST) -> Node:
        """Remember which lines made a node."""
        if node not in self.lines and hasattr(where, "lineno"):
            self.lines[node] = (where.lineno - 1, (where.end_lineno or where.lineno) - 1)
        return node


_BY_NAME = frozenset({"dim", "start_dim", "reduction", "keepdim", "min", "max", "weight", "negative_slope"})
_HANDLERS: dict[type, Callable] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.Call: Expressions._call,
    ast.BinOp: Expressions._binop,
    ast.UnaryOp: Expressions._unary,
    ast.Compare: Expressions._compare,
    ast.BoolOp: Expressions._boolean,
    ast.IfExp: Expressions._conditional,
    ast.Tuple: Expressions._sequence,
    ast.List: Expressions._sequence,
    ast.Set: Expressions._sequence,
    ast.Dict: Expressions._dict,
    ast.Subscript: Expressions._subscript,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.Lambda: Expressions._lambda,
    ast.NamedExpr: Expressions._walrus,
    ast.JoinedStr: Expressions._format,
    ast.Slice: Expressions._slice,
    ast.Starred: Expressions._starred,
}


def _children(node: ast.AST) -> Iterable[ast.expr]:
    return (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _as_layer(value: Node) -> Node:
    """What another block has set an attribute of self to, as far as it matters where it is used."""
    if value.op in ("new:sequential", "new:modulelist"):
        return make("layer:" + value.op[4:], *map(_as_layer, value.args))
    if value.op.startswith("new:") and value.op[4:] not in ACTIVATIONS | LOSSES:
        return make("layer:" + value.op[4:])
    return value if value.depth <= 4 else make("self.?")


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


def truth(test: Node) -> bool | None:
    """What a condition is, where that is known."""
    return bool(test.value) if test.value is not None and not test.args else False if test.op == "None" else None
