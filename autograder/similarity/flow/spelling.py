"""Spellings of one thing in PyTorch: a table, so that one more is one more line.

Operations are written in lower case without underscores ("leakyrelu" for `F.leaky_relu` and `nn.LeakyReLU`), which
already makes one of most of them.
"""

# Another name of the same operation.
ALIASES = {
    "absolute": "abs",
    "bceloss": "binarycrossentropy",
    "bcewithlogitsloss": "binarycrossentropywithlogits",
    "clampmin": "clamp",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "crossentropyloss": "crossentropy",
    "divide": "div",
    "expit": "sigmoid",
    "kldivloss": "kldiv",
    "l1loss": "l1",
    "multiply": "mul",
    "mseloss": "mse",
    "negative": "neg",
    "permute": "transpose",
    "smoothl1loss": "smoothl1",
    "subtract": "sub",
    "truedivide": "div",
    "view": "reshape",
    "viewas": "reshapeas",
}
# Another name of the same setting.
SETTINGS = {"axis": "dim", "keepdims": "keepdim"}
# Modules without weights: `nn.ReLU()(x)` is `F.relu(x)`.
ACTIVATIONS = frozenset(
    [
        "relu",
        "leakyrelu",
        "sigmoid",
        "tanh",
        "softplus",
        "elu",
        "gelu",
        "silu",
        "selu",
        "softmax",
        "logsoftmax",
        "logsigmoid",
        "flatten",
        "unflatten",
        "identity",
        "hardtanh",
        "dropout",
        "relu6",
    ]
)
LOSSES = frozenset(
    ["binarycrossentropy", "binarycrossentropywithlogits", "mse", "l1", "crossentropy", "kldiv", "smoothl1"]
)
# What gives its argument back, as far as the data goes.
IDENTITIES = frozenset(["to", "cpu", "cuda", "contiguous", "float", "clone", "identity", "double", "requiresgrad"])
# What changes nothing the second time.
IDEMPOTENT = frozenset({"detach", "flatten", "relu"})
# Settings of how something is computed, not of what.
IGNORED = frozenset(
    [
        "inplace",
        "device",
        "dtype",
        "non_blocking",
        "set_to_none",
        "requires_grad",
        "layout",
        "pin_memory",
        "generator",
        "out",
    ]
)
# Strings that are a library's; any other is a student's own, as a name is.
STRINGS = frozenset(
    """
    sum mean none batchmean reflect replicate circular zeros border constant same valid full relu leaky_relu tanh
    sigmoid linear conv2d conv_transpose2d fan_in fan_out nearest bilinear bicubic area cpu cuda mps fro nuc ij xy
    floor trunc max min high medium highest strict train test r w a rb wb
    """.split()  # noqa: SIM905  # read more easily than 50 strings
)
_CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
_REDUCE = ("input", "dim", "keepdim")
# Parameters by position. "new:" is a class.
SIGNATURES = {
    "new:linear": ("in_features", "out_features", "bias"),
    "new:conv1d": _CONV,
    "new:conv2d": _CONV,
    "new:conv3d": _CONV,
    "new:convtranspose2d": (*_CONV, "output_padding"),
    "new:batchnorm1d": ("num_features",),
    "new:batchnorm2d": ("num_features",),
    "new:leakyrelu": ("negative_slope", "inplace"),
    "new:relu": ("inplace",),
    "new:flatten": ("start_dim", "end_dim"),
    "new:unflatten": ("dim", "unflattened_size"),
    "new:dropout": ("p", "inplace"),
    "new:normal": ("loc", "scale"),
    "new:softmax": ("dim",),
    "sum": _REDUCE,
    "mean": _REDUCE,
    "std": _REDUCE,
    "var": _REDUCE,
    "cat": ("tensors", "dim"),
    "stack": ("tensors", "dim"),
    "chunk": ("input", "chunks", "dim"),
    "split": ("input", "split_size", "dim"),
    "flatten": ("input", "start_dim", "end_dim"),
    "unflatten": ("input", "dim", "unflattened_size"),
    "squeeze": ("input", "dim"),
    "unsqueeze": ("input", "dim"),
    "softmax": ("input", "dim"),
    "clamp": ("input", "min", "max"),
    "leakyrelu": ("input", "negative_slope"),
    "binarycrossentropy": ("input", "target", "weight", "size_average", "reduce", "reduction"),
    "binarycrossentropywithlogits": ("input", "target", "weight", "size_average", "reduce", "reduction"),
    "mse": ("input", "target", "size_average", "reduce", "reduction"),
    "linspace": ("start", "end", "steps"),
    "lerp": ("input", "end", "weight"),
}
# (operation, setting) -> its default, as a node is written; "" is any operation.
DEFAULTS = {
    ("", "reduction"): "str:'mean'",
    ("", "keepdim"): "False",
    ("", "bias"): "True",
    ("cat", "dim"): "#0",
    ("stack", "dim"): "#0",
    ("flatten", "end_dim"): "#-1",
    ("new:flatten", "start_dim"): "#1",
    ("new:flatten", "end_dim"): "#-1",
    ("new:conv2d", "stride"): "#1",
    ("new:conv2d", "padding"): "#0",
    ("new:convtranspose2d", "stride"): "#1",
    ("new:convtranspose2d", "padding"): "#0",
    ("new:convtranspose2d", "output_padding"): "#0",
    ("new:conv2d", "dilation"): "#1",
    ("new:conv2d", "groups"): "#1",
}
