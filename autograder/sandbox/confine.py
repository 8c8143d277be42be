"""What the programs share that stand between the sandbox and a student's code: its last steps into confinement.

They run as `python -c`, with nothing of the kit to import from; `program_text` puts this module before them.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Mapping

PR_SET_SECCOMP, PR_SET_THP_DISABLE, SECCOMP_MODE_FILTER = 22, 41, 2

libc = ctypes.CDLL(None, use_errno=True)


def lower_limits(limits: Mapping[str, int]) -> None:
    """Lower this process's own limits, names of `resource` -> values, as far as they are not lower already."""
    for name, value in limits.items():
        if hasattr(resource, name):
            number = getattr(resource, name)
            most = resource.getrlimit(number)[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(number, (value, value))


def refuse_huge_pages() -> None:
    """Have memory in small pages, here and in all children: of a huge page, what is unmapped again is not counted."""
    check(libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "small pages")


def refuse_calls(program: bytes) -> None:
    """Load a filter of system calls, see `seccomp`; there is no way back, for children neither."""
    steps = ctypes.create_string_buffer(program)
    described = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0), "the filter of system calls")


def check(result: int, what: str) -> None:
    """Raise OSError where a function of the C library has failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
