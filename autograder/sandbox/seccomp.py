"""The system calls that code in the sandbox can make, as a filter that the kernel runs: an allow-list.

What Python, NumPy and PyTorch were seen to make, and their neighbours that other C libraries and kernels use instead.
What is refused above all are the ways to hold memory that no watcher sees (it must lie in a process or in the sandbox's
own tmpfs, which is limited in size), the ways to talk to another sandbox, and what kernels have had holes in.
"""

import errno
import platform
import struct
from collections.abc import Iterable, Iterator

from coursekit.errors import CourseError

_MACHINES = ("x86_64", "aarch64")  # the order of the numbers below
_AUDIT_ARCHITECTURES = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_* of linux/audit.h

# Name, its number on x86-64 (asm/unistd_64.h) and on AArch64 (asm-generic/unistd.h).
_ALLOWED = """
access 21 -, chdir 80 49, chmod 90 -, close 3 57, close_range 436 436, creat 85 -, dup 32 23, dup2 33 -,
dup3 292 24, faccessat 269 48, faccessat2 439 439, fadvise64 221 223, fallocate 285 47, fchdir 81 50,
fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, fdatasync 75 83, fgetxattr 193 10, flistxattr 196 13,
fstat 5 80, fstatfs 138 44, fsync 74 82, ftruncate 77 46, getcwd 79 17, getdents 78 -, getdents64 217 61,
getxattr 191 8, lgetxattr 192 9, link 86 -, linkat 265 37, listxattr 194 11, llistxattr 195 12, lseek 8 62,
lstat 6 -, mkdir 83 -, mkdirat 258 34, newfstatat 262 79, open 2 -, openat 257 56, openat2 437 437,
pread64 17 67, preadv 295 69, pwrite64 18 68, pwritev 296 70, read 0 63, readlink 89 -, readlinkat 267 78,
readv 19 65, rename 82 -, renameat 264 38, renameat2 316 276, rmdir 84 -, stat 4 -, statfs 137 43,
statx 332 291, symlink 88 -, symlinkat 266 36, truncate 76 45, umask 95 166, unlink 87 -, unlinkat 263 35,
utime 132 -, utimensat 280 88, utimes 235 -, write 1 64, writev 20 66,
eventfd2 290 19, pipe 22 -, pipe2 293 59, poll 7 -, ppoll 271 73, pselect6 270 72, select 23 -,
brk 12 214, madvise 28 233, mbind 237 235, membarrier 324 283, mprotect 10 226, mremap 25 216, msync 26 227,
munmap 11 215, get_mempolicy 239 236, map_shadow_stack 453 453, mseal 462 462,
arch_prctl 158 -, capget 125 90, execve 59 221, execveat 322 281, exit 60 93, exit_group 231 94, fork 57 -,
futex 202 98, futex_requeue 456 456, futex_wait 455 455, futex_waitv 449 449, futex_wake 454 454,
getcpu 309 168, getegid 108 177, geteuid 107 175, getgid 104 176, getgroups 115 158, getpgid 121 155,
getpgrp 111 -, getpid 39 172, getppid 110 173, getpriority 140 141, getresgid 120 150, getresuid 118 148,
getrlimit 97 163, getrusage 98 165, getsid 124 156, gettid 186 178, getuid 102 174, kill 62 129,
pidfd_open 434 434, pidfd_send_signal 424 424, prlimit64 302 261, rseq 334 293,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, sched_getaffinity 204 123,
sched_getattr 315 275, sched_getparam 143 121, sched_getscheduler 145 120, sched_rr_get_interval 148 127,
sched_setaffinity 203 122, sched_yield 24 124, set_robust_list 273 99, set_tid_address 218 96,
setpgid 109 154, setpriority 141 140, setrlimit 160 164, setsid 112 157, tgkill 234 131, tkill 200 130,
vfork 58 -, wait4 61 260, waitid 247 95,
alarm 37 -, getitimer 36 102, pause 34 -, restart_syscall 219 128, rt_sigpending 127 136,
rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigsuspend 130 133, rt_sigtimedwait 128 137, setitimer 38 103,
sigaltstack 131 132,
clock_getres 229 114, clock_gettime 228 113, clock_nanosleep 230 115, getrandom 318 278, gettimeofday 96 169,
nanosleep 35 101, sysinfo 99 179, time 201 -, times 100 153, uname 63 160
"""
# Before a student's code runs: descriptors are sent over a socket, and the fork server makes namespaces.
_OF_SETUP = """
capset 126 91, getpeername 52 205, getsockname 51 204, getsockopt 55 209, mount 165 40, move_mount 429 429,
open_tree 428 428, prctl 157 167, recvfrom 45 207, recvmsg 47 212, rt_sigaction 13 134, seccomp 317 277,
sendmsg 46 211, sendto 44 206, setsockopt 54 208, shutdown 48 210, unshare 272 97
"""

# Calls of which only some uses are allowed, by an argument.
_CLONE, _CLONE3, _FCNTL, _IOCTL = (56, 220), (435, 435), (72, 25), (16, 29)
_MMAP, _PRCTL, _SIGACTION = (9, 222), (157, 167), (13, 134)

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW* of linux/sched.h
_MAP_SHARED_ANONYMOUS = 0x21  # memory that stays when it is no longer mapped, and so in no process's account
_FCNTLS = (0, 1, 2, 3, 4, 1030, 1032)  # descriptors, their flags, the size of pipes: no locks, leases, larger pipes
_IOCTLS = (0x5401, 0x540F, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)  # terminal or not, FIONREAD, flags
_PRCTLS = (1, 2, 3, 15, 16, 21, 23, 38, 39, 0x53564D41)  # parent's death, names, what may be known by anybody
_SIGCHLD = 17  # who ignores it has children whose CPU time nobody ever learns
_NEWEST = 462  # of the calls that were known when this was written

# Offsets in struct seccomp_data, operations of linux/bpf_common.h, results of linux/seccomp.h.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_REFUSE, _UNKNOWN = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS


def job_filter() -> bytes:
    """Make the filter for students' code on this machine.

    Returns:
        a classic BPF program. What is refused gives EPERM; clone3, whose flags can't be seen, and calls newer than this
        table give ENOSYS, upon which the C library does without.
    Raises:
        CourseError: a machine whose system calls aren't known here.
    """
    return _filter(_ALLOWED, [(_PRCTL, _only(0, _PRCTLS)), (_SIGACTION, _unless_set(_SIGCHLD))])


def setup_filter() -> bytes:
    """Make the filter for what runs in a sandbox before a student's code does; see `job_filter`."""
    return _filter(f"{_ALLOWED}, {_OF_SETUP}", [])


def _filter(allowed: str, more_rules: Iterable[tuple[tuple[int, int], Iterable[bytes]]]) -> bytes:
    if platform.machine() not in _MACHINES:
        raise CourseError(
            f"the sandbox knows {' and '.join(_MACHINES)}, not {platform.machine()}; grade on such a machine"
        )
    machine = _MACHINES.index(platform.machine())
    rules = [
        (_CLONE, _unless_any(0, _NEW_NAMESPACES)),
        (_CLONE3, [_step(_RETURN, _UNKNOWN)]),
        (_FCNTL, _only(1, _FCNTLS)),
        (_IOCTL, _only(1, _IOCTLS)),
        (_MMAP, _unless_all(3, _MAP_SHARED_ANONYMOUS)),
        *more_rules,
    ]
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_IF_EQUAL, _AUDIT_ARCHITECTURES[machine], skip_if=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_IF_AT_LEAST, _NEWEST + 1, skip_else=1),  # among them x86-64's calls once more, as x32 has them
        _step(_RETURN, _UNKNOWN),
    ]
    for numbers, rule in rules:
        steps = list(rule)
        program += [_step(_IF_EQUAL, numbers[machine], skip_else=len(steps)), *steps]
    for number in _numbers(allowed, machine):
        program += [_step(_IF_EQUAL, number, skip_else=1), _step(_RETURN, _ALLOW)]
    return b"".join([*program, _step(_RETURN, _REFUSE)])


def _numbers(table: str, machine: int) -> list[int]:
    entries = (entry.split() for entry in table.split(","))
    return [int(numbers[machine]) for _, *numbers in entries if numbers[machine] != "-"]


# Rules: what is done with one call. Each ends it, and so may leave whatever it likes in the accumulator.


def _only(argument: int, values: Iterable[int]) -> Iterator[bytes]:
    """Allow some values of a 32-bit argument."""
    yield _step(_LOAD, _low(argument))
    for value in values:
        yield from (_step(_IF_EQUAL, value, skip_else=1), _step(_RETURN, _ALLOW))
    yield _step(_RETURN, _REFUSE)


def _unless_any(argument: int, flags: int) -> Iterator[bytes]:
    """Refuse an argument that has any of some flags."""
    yield from (_step(_LOAD, _low(argument)), _step(_IF_ANY, flags, skip_else=1))
    yield from (_step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW))


def _unless_all(argument: int, flags: int) -> Iterator[bytes]:
    """Refuse an argument that has all of some flags."""
    yield from (_step(_LOAD, _low(argument)), _step(_AND, flags), _step(_IF_EQUAL, flags, skip_else=1))
    yield from (_step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW))


def _unless_set(signal: int) -> Iterator[bytes]:
    """Refuse to set what a signal does; to ask is allowed, where the second argument, a pointer, is null."""
    yield from (_step(_LOAD, _low(0)), _step(_IF_EQUAL, signal, skip_else=5))
    yield from (_step(_LOAD, _low(1)), _step(_IF_EQUAL, 0, skip_else=2))
    yield from (_step(_LOAD, _low(1) + 4), _step(_IF_EQUAL, 0, skip_if=1))
    yield from (_step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW))


def _low(argument: int) -> int:
    """Where the low half of an argument lies; both machines are little-endian."""
    return _ARGUMENTS + 8 * argument


def _step(operation: int, value: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, skip_if, skip_else, value)
