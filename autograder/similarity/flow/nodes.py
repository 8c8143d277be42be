"""Values as nodes of an operation and its operands, equal ones one object, and the arithmetic that is done at once."""

import hashlib
import math

MAX_OPERANDS = 400
_KEPT_NODES = 400_000  # in the table of nodes, which many students' blocks share


class Node:
    """A value: an operation, its operands, a stable hash of it all, and one that looks two levels deep only."""

    __slots__ = ("args", "depth", "hash", "op", "shallow", "value")

    def __init__(self, op: str, args: tuple["Node", ...], value: float | None):
        self.op, self.args, self.value = op, args, value
        self.depth = 1 + max((arg.depth for arg in args), default=0)
        self.hash = _hash(f"{op}({','.join(format(arg.hash, 'x') for arg in args)})")
        inner = (f"{a.op}({','.join(b.op for b in a.args)})" for a in args)
        self.shallow = _hash(f"{op}[{';'.join(inner)}]")


_nodes: dict[tuple, Node] = {}


def make(op: str, *args: Node, value: float | None = None) -> Node:
    """The one node of an operation and its operands."""
    key = (op, args)
    node = _nodes.get(key)
    if node is None:
        node = _nodes[key] = Node(op, args, value)
    return node


def num(value: float) -> Node:
    """A number; 1 and 1.0 are the same."""
    return make(f"#{float(value):.12g}", value=float(value))


def forget_many() -> None:
    """Empty the table of nodes where it has grown large; nodes that are in use stay as they are."""
    if len(_nodes) > _KEPT_NODES:
        _nodes.clear()


def order(node: Node) -> int:
    """A key to sort operands by, where their order means nothing."""
    return node.hash


def total(parts: list[Node]) -> Node:
    """A sum: sums in it are taken apart, constants added up, the rest sorted."""
    terms, constant = [], 0.0
    for part in parts:
        for term in part.args if part.op == "+" else (part,):
            if term.value is not None:
                constant += term.value
            else:
                terms.append(term)
    if not terms:
        return num(constant) if math.isfinite(constant) else make("#huge")
    if constant:
        terms.append(num(constant))
    return terms[0] if len(terms) == 1 else make("+", *sorted(terms[:MAX_OPERANDS], key=order))


def product(parts: list[Node]) -> Node:
    """A product, likewise; x * x is a square."""
    factors, constant = [], 1.0
    for part in parts:
        for factor in part.args if part.op == "*" else (part,):
            if factor.value is not None:
                constant *= factor.value
            else:
                factors.append(factor)
    if not math.isfinite(constant):
        return make("#huge")
    if not factors or constant == 0:
        return num(constant)
    if len(factors) == 2 and factors[0].hash == factors[1].hash:
        factors = [power(factors[0], num(2))]
    if constant != 1:
        factors.append(num(constant))
    return factors[0] if len(factors) == 1 else make("*", *sorted(factors[:MAX_OPERANDS], key=order))


def power(a: Node, b: Node) -> Node:
    """A power: a number where both are, a root where the exponent is a half."""
    if a.value is not None and b.value is not None and abs(b.value) <= 16 and abs(a.value) < 1e6 and a.value > 0:
        return num(a.value**b.value)
    if b.value == 0.5:
        return make("sqrt", a)
    return make("pow", a, b)


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
