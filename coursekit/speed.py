"""Settings of the process that make small models train fast on a CPU.

None of them changes what is computed by more than rounding: they change where memory comes from, how it is laid out and
how many threads look at it. `benchmarks/training.py` measures each one alone.
"""

import ctypes
import platform

import numpy as np
import torch
from torch import nn

# One thread is the default: a step of these models lasts about 15 ms, too little to share out, and on a machine that
# is busy with something else threads wait for each other many times longer than they work.
DEFAULT_NUM_THREADS = 1

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEEP_BYTES = 1 << 30


def tune_process(num_threads: int = DEFAULT_NUM_THREADS) -> None:
    """Set this process up for small models: few threads, and no denormal numbers."""
    torch.set_num_threads(num_threads)
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # numpy before 2.3 measures denormal numbers at the first look, and warns where there are none
    # A number below 1e-38 takes the processor many times longer than one above it and is worth nothing to Adam.
    torch.set_flush_denormal(True)


def to_fast_layout(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Move a module to a device with its convolutions' weights in channels-last order.

    The kernels for that order are faster on CPUs and GPUs alike, and activations follow the weights by themselves. From
    then on `Tensor.view` copies where the order in memory asks for it: `x.view(len(x), -1)` behind a convolution is
    right code, and is not to stop because of where we keep its numbers.
    """
    torch.Tensor.view = _view_or_copy
    return module.to(device=device, memory_format=torch.channels_last)


_VIEW = torch.Tensor.view


def _view_or_copy(self: torch.Tensor, *shape: object) -> torch.Tensor:
    try:
        return _VIEW(self, *shape)
    except RuntimeError as error:
        if "not compatible with input tensor's size and stride" not in str(error):
            raise
        return _VIEW(self.contiguous(), *shape)


def keep_freed_memory() -> None:
    """Have malloc reuse freed memory from now on, in place of handing it back to the system and asking again.

    Called when training begins, since what loading the data needed for a moment is better handed back. By default
    glibc gives each large activation pages of its own, which the system clears at first touch: thousands of page
    faults a step, which can take as long as the arithmetic. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
