"""Operations that have several spellings beyond their names: `x.view(len(x), -1)` and `x.flatten(1)`."""

from collections.abc import Callable

from autograder.similarity.flow.nodes import Node, make, num, power, product, total


def _reshape(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    if not args:
        return None
    x, dims = args[0], args[1:]
    if "shape" in kwargs:
        dims = [kwargs["shape"]]
    if len(dims) == 1 and dims[0].op == "list":
        dims = list(dims[0].args)
    dims = [num(-1) if i == 0 and _is_batch(d) else d for i, d in enumerate(dims)]
    if len(dims) == 2 and dims[0].value == -1:
        return make("flatten", x)
    return make("reshape", x, *dims)


def _is_batch(node: Node) -> bool:
    return node.op == "item" and node.args[0].op == "shape" and node.args[1].value == 0


def _flatten(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    start = kwargs.get("start_dim")
    return make("flatten", args[0]) if args and start is not None and start.value == 1 else None


def _unflatten(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    if len(args) == 2 and args[1].op == "list" and kwargs.get("dim", num(0)).value in (1, -1):
        return make("reshape", args[0], num(-1), *args[1].args)
    return None


def _size(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    if len(args) == 1 and args[0].op == "list":
        return args[0]
    shape = make("shape", args[0]) if args else None
    index = args[1] if len(args) > 1 else kwargs.get("dim")
    return shape if index is None else make("item", shape, index)


def _clamp(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    low = kwargs.get("min")
    if args and "max" not in kwargs and low is not None and low.value == 0:
        return make("relu", args[0])
    return None


def _maximum(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    others = [a for a in args if not (a.value == 0 or a.op == "zeroslike")]
    return make("relu", others[0]) if len(args) == 2 and len(others) == 1 else None


def _like(name: str) -> Callable:
    """`ones(x.shape)` is `ones_like(x)`."""

    def rule(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
        shape = kwargs.get("size", args[0] if args else None)
        if len(args) <= 1 and shape is not None and shape.op == "shape":
            return make(name, shape.args[0])
        if len(args) == 1 and shape is not None and shape.op == "list":
            return make(name.removesuffix("like"), *shape.args)
        return None

    return rule


def _full(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    """`full(size, 1)` is `ones(size)`."""
    size, fill = args[0] if args else kwargs.get("size"), args[1] if len(args) > 1 else kwargs.get("fill_value")
    if size is None or fill is None or fill.value not in (0, 1):
        return None
    name = "ones" if fill.value else "zeros"
    return _like(name + "like")([size], {}) or make(name, size)


def _full_like(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    """`full_like(x, 1)` is `ones_like(x)`."""
    fill = args[1] if len(args) > 1 else kwargs.get("fill_value")
    if args and fill is not None and fill.value in (0, 1):
        return make("oneslike" if fill.value else "zeroslike", args[0])
    return None


def _normal(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    mean, std, size = (kwargs.get(k, args[i] if len(args) > i else None) for i, k in enumerate(("mean", "std", "size")))
    if mean is not None and std is not None and mean.value == 0 and std.value == 1 and size is not None:
        return make("randnlike", size.args[0]) if size.op == "shape" else make("randn", size)
    return None


def _log(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    if len(args) != 1:
        return None
    x = args[0]
    if x.op == "sigmoid":
        return make("logsigmoid", *x.args)
    others = [a for a in x.args if a.value != 1]
    if x.op == "+" and len(x.args) == 2 and len(others) == 1:
        other = others[0]
        return make("softplus", other.args[0]) if other.op == "exp" else make("log1p", other)
    return None


def _log1p(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    return make("softplus", args[0].args[0]) if len(args) == 1 and args[0].op == "exp" else None


def _arithmetic(kind: Callable[[Node, Node], Node]) -> Callable:
    def rule(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
        return kind(*args) if len(args) == 2 and not kwargs else None

    return rule


def _shape_of(args: list[Node], kwargs: dict[str, Node]) -> Node | None:
    return make("shape", args[0]) if len(args) == 1 else None


RULES: dict[str, Callable] = {
    "reshape": _reshape,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "size": _size,
    "clamp": _clamp,
    "maximum": _maximum,
    "randn": _like("randnlike"),
    "rand": _like("randlike"),
    "ones": _like("oneslike"),
    "zeros": _like("zeroslike"),
    "full": _full,
    "fulllike": _full_like,
    "normal": _normal,
    "log": _log,
    "log1p": _log1p,
    "add": _arithmetic(lambda a, b: total([a, b])),
    "sub": _arithmetic(lambda a, b: total([a, product([num(-1), b])])),
    "mul": _arithmetic(lambda a, b: product([a, b])),
    "div": _arithmetic(lambda a, b: product([a, num(1 / b.value)]) if b.value else product([a, make("inverse", b)])),
    "pow": _arithmetic(power),
    "square": lambda args, kwargs: power(args[0], num(2)) if len(args) == 1 else None,
    "neg": lambda args, kwargs: product([num(-1), args[0]]) if len(args) == 1 else None,
    "reciprocal": lambda args, kwargs: make("inverse", args[0]) if len(args) == 1 else None,
}
