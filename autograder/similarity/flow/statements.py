"""What statements do to what names stand for: assignments, loops, branches, and calls that do something."""

import ast
from collections.abc import Sequence, Set

from autograder.similarity.flow.expressions import SEQUENCES, Expressions, truth
from autograder.similarity.flow.nodes import MAX_OPERANDS, Node, make, num
from autograder.similarity.flow.scope import MAX_ROUNDS, Closure, Flow


class Walker(Expressions):
    """One walk through a block, statement by statement."""

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Walk through statements in their order."""
        for statement in body:
            self.statement(statement)

    def statement(self, s: ast.stmt) -> None:
        """Walk through one statement."""
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
                helper = self.env.get(alias.name)
                if isinstance(helper, Closure):  # from a file of the student's own
                    self.env[name] = helper
                    continue
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
        """A call that does something, or a value that nobody takes."""
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
        """Let a target stand for a value."""
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
        """Note a call that does something."""
        for condition in reversed(self.conditions):
            node = make("when", condition, node)
        self.at(node, where)
        self.effects.append(node)

    def loop(self, target: ast.expr, over: Node, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt]) -> None:
        """A loop over a value; over a few known ones it is what it does with one after the other."""
        each = _few(over)
        if each and not any(isinstance(node, (ast.Break, ast.Continue)) for s in body for node in ast.walk(s)):
            for element in each:
                self.assign(target, element)
                self.run(body)
            self.run(orelse)
            return
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
        """Both ways of a condition, and what each name stands for behind it."""
        test = self.value(s.test)
        known = truth(test)
        if known is not None:
            self.run(s.body if known else s.orelse)
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
        """A context; without gradients, what is computed in it is detached."""
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

    def flow(self) -> Flow:
        """What the whole block does."""
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


def _few(over: Node) -> Sequence[Node]:
    """What a loop runs over, where that is known and not many."""
    if over.op in SEQUENCES and not any(part.op == "star" for part in over.args):
        found = over.args
    elif over.op == "range" and len(over.args) == 1 and over.args[0].value is not None:
        found = [num(number) for number in range(min(int(over.args[0].value), MAX_ROUNDS + 1))]
    elif over.op == "enumerate" and len(over.args) == 1:
        found = [make("list", num(number), part) for number, part in enumerate(_few(over.args[0]))]
    elif over.op == "zip":
        columns = [_few(part) for part in over.args]
        found = [make("list", *parts) for parts in zip(*columns, strict=False)] if all(columns) else ()
    else:
        return ()
    return found if len(found) <= MAX_ROUNDS else ()


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
