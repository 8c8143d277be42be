"""Watching a tree of processes: how much CPU time, memory and processes it takes, by /proc."""

import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autograder.sandbox.limits import KB

# Memory that a process has to itself; what lies in files is counted where the files are.
_PRIVATE = (b"RssAnon:", b"VmSwap:", b"VmPTE:", b"HugetlbPages:")
_SHARED_FAIRLY = (b"Pss_Anon:", b"SwapPss:")
_INODE = 2 * KB  # about what an empty file in a tmpfs costs the kernel
# What the kernel keeps for a process and counts nowhere. Looking at it closely takes long, and is done only where there
# are so many processes that together they might have more of it than a small share of the limit.
_MAPPING = 224  # bytes: struct vm_area_struct and its place in the tree of them
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PIPE, _SMALL_PIPE = 16 * _PAGE, 2 * _PAGE  # the latter are made where a user has many
_MOST_UNSEEN = 65_530 * _MAPPING + 128 * _PIPE  # in one process: vm.max_map_count, and RLIMIT_NOFILE
_LITTLE = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """What a tree takes at one moment (memory in bytes, processes with threads) and has taken (CPU time)."""

    cpu_s: float = 0.0
    memory: int = 0
    processes: int = 0


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    threads: int
    own_cpu: int
    reaped_cpu: int
    is_headless: bool  # its first thread has ended and others have not


class Tree:
    """The processes that one /proc shows, and the tmpfs that they write to.

    Args:
        proc: a descriptor of the sandbox's own /proc, whose process 1 is the sandbox's and not the command's; or of
            the machine's, with `root`.
        tmpfs: descriptors of folders in tmpfs file systems of the tree's own.
        root: the process that the tree starts at; None where everything that `proc` shows is the tree's.
    """

    def __init__(self, proc: int, tmpfs: Iterable[int] = (), root: int | None = None):
        self.proc = proc
        self.tmpfs = tuple(tmpfs)
        self.root = root
        self.seen: dict[tuple[int, int], int] = {}  # (pid, when it started) -> its own CPU time

    def measure(self, memory_limit: int) -> Usage:
        """Add up what the tree takes.

        Memory that processes share after a fork counts for each of them, unless that is more than memory_limit: then
        it is counted again, fairly, which takes longer.
        """
        processes = self.processes()
        for process in processes:
            self.seen[process.pid, process.started] = process.own_cpu
        # A parent that ignores SIGCHLD never gets its children's time; one that waits has it twice in the other sum.
        waited_for = sum(process.own_cpu + process.reaped_cpu for process in processes)
        cpu_s = max(waited_for, sum(self.seen.values())) / _TICKS
        not_private = sum(map(_tmpfs_use, self.tmpfs))
        processes = [process for process in processes if self.root is not None or process.pid != 1]
        if len(processes) * _MOST_UNSEEN > _LITTLE * memory_limit:
            not_private += self._mappings(processes) + self._pipes(processes)
        memory = not_private + self._sum(processes, "status", _PRIVATE)
        if memory > memory_limit:
            fair = self._sum(processes, "smaps_rollup", _SHARED_FAIRLY)
            if fair > 0:  # 0: not ours to read
                memory = not_private + fair + self._sum(processes, "status", (b"VmPTE:", b"HugetlbPages:"))
        return Usage(cpu_s, memory, sum(process.threads for process in processes))

    def processes(self) -> list[_Process]:
        """List the tree's processes; those whose parents have ended stay in the tree once they were seen."""
        found = [process for name in os.listdir(self.proc) if name.isdigit() and (process := self._read(name))]
        if self.root is None:
            return found
        tree = {process.pid for process in found if (process.pid, process.started) in self.seen} | {self.root}
        before = 0
        while len(tree) != before:
            before = len(tree)
            tree |= {process.pid for process in found if process.parent in tree}
        return [process for process in found if process.pid in tree]

    def _read(self, name: str) -> _Process | None:
        text = self._content(f"{name}/stat")
        fields = text[text.rfind(b")") + 2 :].split()  # from the third on: a process may be called ") R 1"
        if len(fields) < 20:
            return None
        own, reaped = (int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))
        threads = int(fields[17])
        is_headless = fields[0] == b"Z" and threads > 1
        return _Process(int(name), int(fields[1]), int(fields[19]), threads, own, reaped, is_headless)

    def _sum(self, processes: list[_Process], file: str, names: tuple[bytes, ...]) -> int:
        total = 0
        for process in processes:
            for line in self._content(f"{self._alive(process)}/{file}").splitlines():
                if line.startswith(names):
                    total += int(line.split()[1])
        return total * KB

    def _mappings(self, processes: list[_Process]) -> int:
        count = 0
        for process in processes:
            with contextlib.suppress(OSError):  # it has ended
                file = os.open(f"{self._alive(process)}/maps", os.O_RDONLY, dir_fd=self.proc)
                with open(file, "rb") as lines:
                    count += sum(1 for _ in lines)
        return _MAPPING * count

    def _pipes(self, processes: list[_Process]) -> int:
        """How much memory all pipes hold that the processes have open, each of them full."""
        pipes = set()
        for process in processes:
            with contextlib.suppress(OSError):  # it has ended
                folder = os.open(f"{process.pid}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.proc)
                try:
                    pipes |= {os.readlink(name, dir_fd=folder) for name in os.listdir(folder)}
                finally:
                    os.close(folder)
        count = sum(target.startswith("pipe:") for target in pipes)
        large = min(count, _most_large_pipes())
        return large * _PIPE + (count - large) * _SMALL_PIPE

    def _alive(self, process: _Process) -> str:
        """Name a thread that shows the process's memory: where the first one has ended, it doesn't."""
        if not process.is_headless:
            return str(process.pid)
        try:
            threads = os.listdir(task := os.open(f"{process.pid}/task", os.O_RDONLY, dir_fd=self.proc))
        except OSError:
            return str(process.pid)
        os.close(task)
        others = [thread for thread in threads if thread != str(process.pid)]
        return f"{process.pid}/task/{others[0]}" if others else str(process.pid)

    def _content(self, path: str) -> bytes:
        try:
            file = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        except OSError:  # it has ended
            return b""
        try:
            return os.read(file, 1 << 16)
        except OSError:
            return b""
        finally:
            os.close(file)


@cache
def _most_large_pipes() -> int:
    """How many pipes of the usual size one user may have."""
    pages = int(Path("/proc/sys/fs/pipe-user-pages-soft").read_text())
    return pages * _PAGE // _PIPE if pages > 0 else sys.maxsize


def _tmpfs_use(folder: int) -> int:
    """How much memory a tmpfs takes: its files, and that there are files at all."""
    space = os.fstatvfs(folder)
    return (space.f_blocks - space.f_bfree) * space.f_frsize + (space.f_files - space.f_ffree) * _INODE
