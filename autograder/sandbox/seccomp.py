"""The system calls that code in the sandbox can't make, as a filter that bubblewrap loads.

Above all the ways to hold memory that no watcher sees: memory-backed files outside the sandbox's own tmpfs, which is
limited in size. What no assignment needs and kernels have had holes in goes with them.
"""

import errno
import platform
import struct

from coursekit.errors import CourseError

# The numbers: asm/unistd_64.h for x86-64, asm-generic/unistd.h for AArch64.
_CALLS = {
    "x86_64": {
        "memfd_create": 319,
        "memfd_secret": 447,
        "shmget": 29,
        "msgget": 68,
        "mq_open": 240,
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "pidfd_getfd": 438,
        "io_uring_setup": 425,
        "userfaultfd": 323,
        "bpf": 321,
        "perf_event_open": 298,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
    },
    "aarch64": {
        "memfd_create": 279,
        "memfd_secret": 447,
        "shmget": 194,
        "msgget": 186,
        "mq_open": 180,
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "pidfd_getfd": 438,
        "io_uring_setup": 425,
        "userfaultfd": 282,
        "bpf": 280,
        "perf_event_open": 241,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
    },
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_* of linux/audit.h
_MMAP = {"x86_64": 9, "aarch64": 222}
_MAP_SHARED_ANONYMOUS = 0x21  # memory that stays when it is no longer mapped, and so in no process's account
_X32 = 0x40000000  # x86-64's calls once more, under other numbers

# Offsets in struct seccomp_data, operations of linux/bpf_common.h, results of linux/seccomp.h.
_NUMBER, _ARCHITECTURE, _MMAP_FLAGS = 0, 4, 16 + 3 * 8
_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000


def refused_calls() -> bytes:
    """Make the filter for this machine.

    Returns:
        a classic BPF program: what is refused gives EPERM.
    Raises:
        CourseError: a machine whose system calls aren't known here.
    """
    machine = platform.machine()
    if machine not in _CALLS:
        raise CourseError(f"the sandbox knows {' and '.join(_CALLS)}, not {machine}; grade on such a machine")
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_IF_EQUAL, _ARCHITECTURES[machine], skip_if=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_IF_AT_LEAST, _X32, skip_else=1),
        _step(_RETURN, _REFUSE),
    ]
    for number in _CALLS[machine].values():
        program += [_step(_IF_EQUAL, number, skip_else=1), _step(_RETURN, _REFUSE)]
    program += [
        _step(_IF_EQUAL, _MMAP[machine], skip_else=4),
        _step(_LOAD, _MMAP_FLAGS),
        _step(_AND, _MAP_SHARED_ANONYMOUS),
        _step(_IF_EQUAL, _MAP_SHARED_ANONYMOUS, skip_else=1),
        _step(_RETURN, _REFUSE),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def _step(operation: int, value: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, skip_if, skip_else, value)
