"""Mistakes of the person at the keyboard: one clear line and a non-zero exit, never a traceback."""

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

UNFILLED = "TODO: "  # how the message of an unfilled block starts; code_analyze.blocks writes it

DIVERGED = "training has diverged; look at where the losses did, and train with a smaller --learning_rate"
NO_PROBABILITIES = (
    f"the loss was given something else than probabilities: NaN, in which case {DIVERGED}; or values outside [0, 1], "
    "in which case the last layer has no Sigmoid"
)
NO_GPU = (
    "your code asks for a GPU (.cuda() or device='cuda') where there is none; use self.run.device or x.device, so that "
    "it runs anywhere"
)
TWO_DEVICES = (
    "your code has some tensors on a GPU (.cuda() or device='cuda') and others on the CPU; use self.run.device or "
    "x.device, so that it runs anywhere"
)
NO_PROCESSES = (
    "this machine lets you start no more processes or threads ('ulimit -u' says how many you may have); end other "
    "programs, or do less at one time (--jobs, where there is one), and run the same command again: it goes on from "
    "what is kept"
)
_NOT_A_PROBABILITY = "all elements of input should be between 0 and 1"  # how torch's binary cross entropy says it

# How torch says that there is no GPU, depending on how it was built, on the driver and on the process.
_NO_GPU = re.compile(
    r"not compiled with \w+ enabled|not linked with support for mps|without MPS backend|from the 'CUDA' backend"
    r"|no NVIDIA driver|NVIDIA driver on your system is too old|driver version is insufficient|cudaGetDeviceCount"
    r"|no CUDA GPUs are available|no CUDA-capable device|CUDA driver initialization failed|re-initialize CUDA in forked"
    r"|torch\.cuda\.is_available\(\) is False|type torch\.cuda\.\w+ not available",
    re.IGNORECASE,
)
_TWO_DEVICES = re.compile(r"to be on the same device|on the expected device|torch\.cuda\.\w+\).* should be the same")


class CourseError(Exception):
    """Something the user can mend. The message says what is wrong, with what, and what to do, in one line."""


class Refused(CourseError):
    """Something that is not done for several reasons at once.

    Args:
        problems: one line for each reason.
        what: what was not done, such as "no zip was written".
        hint: what to do, or "".
    """

    def __init__(self, problems: list[str], what: str, hint: str = ""):
        reasons = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{what}: {reasons}" + (f"; {hint}" if hint else ""))
        self.problems = problems


class Interrupted(CourseError):
    """The user stopped a run; the message says how to go on.

    Args:
        number: the signal that stopped it.
    """

    def __init__(self, message: str, number: int = signal.SIGINT):
        super().__init__(message)
        self.number = number


class Stopped(KeyboardInterrupt):
    """A signal came that is to stop this process as Ctrl-C would."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Turn what the user can mend into one line on stderr and an exit status.

    Exit status 1 for a mistake, 130 after an interrupt (128 + SIGINT, as shells have it), 143 after SIGTERM. Every
    other exception is a bug, in the kit or in a student's block, and keeps its traceback.

    Args:
        program: the name that stands before the line, such as "main.py".
    """
    try:
        yield
    except Interrupted as stopped:
        _end(program, stopped, 128 + stopped.number)
    except KeyboardInterrupt as stopped:
        _end(program, "stopped", 128 + getattr(stopped, "number", signal.SIGINT))
    except CourseError as error:
        for problem in getattr(error, "problems", []):
            print(f"{program}: {problem}", file=sys.stderr)
        _end(program, error, 1)
    except NotImplementedError as error:
        if not str(error).startswith(UNFILLED):
            raise
        _end(program, error, 1)
    except BrokenPipeError:
        # The reader of a pipe has gone (`python main.py | head`): keep Python's last flush from complaining too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (RuntimeError, OSError, AssertionError, TypeError) as error:
        if is_about_processes(error):
            _end(program, NO_PROCESSES, 1)
        explanation = NO_PROBABILITIES if is_about_probabilities(error) else explain_cuda(error)
        if explanation is None:
            raise
        traceback.print_exc()  # it may be a block's mistake, so show where
        _end(program, explanation, 1)


def explain_cuda(error: BaseException) -> str | None:
    """Explain what torch raises where code asks for a GPU by name.

    Returns:
        one sentence, without a full stop, that says what to write instead; None for any other exception.
    """
    if _NO_GPU.search(str(error)):
        return NO_GPU
    return TWO_DEVICES if _TWO_DEVICES.search(str(error)) else None


def is_about_processes(error: Exception) -> bool:
    """Whether a fork, or the start of a thread of Python's or of a C++ library's, raised this."""
    return getattr(error, "errno", None) == errno.EAGAIN or any(
        said in str(error) for said in ("can't start new thread", os.strerror(errno.EAGAIN))
    )


def is_about_probabilities(error: Exception) -> bool:
    """Whether torch's binary cross entropy raised this; NO_PROBABILITIES says what it means."""
    return _NOT_A_PROBABILITY in str(error)


def _end(program: str, message: object, status: int) -> None:
    line = " ".join(str(message).split())
    print(f"{program}: {line}", file=sys.stderr)
    sys.exit(status)
