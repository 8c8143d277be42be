"""Mistakes of the person at the keyboard: one clear line and a non-zero exit, never a traceback."""

import os
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
_NOT_A_PROBABILITY = "all elements of input should be between 0 and 1"  # how torch's binary cross entropy says it


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
    except RuntimeError as error:
        if not is_about_probabilities(error):
            raise
        traceback.print_exc()  # it may be a block's mistake, so show where
        _end(program, NO_PROBABILITIES, 1)
    except BrokenPipeError:
        # The reader of a pipe has gone (`python main.py | head`): keep Python's last flush from complaining too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def is_about_probabilities(error: RuntimeError) -> bool:
    """Whether torch's binary cross entropy raised this; NO_PROBABILITIES says what it means."""
    return _NOT_A_PROBABILITY in str(error)


def _end(program: str, message: object, status: int) -> None:
    line = " ".join(str(message).split())
    print(f"{program}: {line}", file=sys.stderr)
    sys.exit(status)
