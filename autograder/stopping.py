"""Being stopped: by Ctrl-C, by a batch system (SIGTERM), or by a terminal that is closed (SIGHUP)."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from coursekit.errors import Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_stop() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop this process as Ctrl-C does, so that it leaves nothing behind.

    A second one changes nothing. A signal that is ignored, as nohup has it, stays so.

    Raises:
        Stopped: such a signal came.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for other in previous:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    previous: dict[int, object] = {}
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # not the main thread: signals are not ours to handle
                previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
