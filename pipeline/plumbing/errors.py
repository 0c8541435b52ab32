"""How a command ends: faults in one line with the mend, a stop without a traceback.

Exit codes: 1 for a fault, 143 after SIGTERM, 130 after Ctrl-C, as shells have it. DVC records a
stage's output as made only when its code is zero.
"""

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class UserError(Exception):
    """Something the person at the keyboard can mend; its message is all they need to see."""


class Stopped(SystemExit):
    """Somebody stopped us by Ctrl-C or SIGTERM."""

    def __init__(self, signum: int, message: str = "stopped"):
        super().__init__(128 + signum)
        self.message = message


def disk_is_full(error: BaseException) -> bool:
    """Also where a quota or a limit on the size of files was met."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.errno in full


def out_of_memory(error: BaseException) -> bool:
    """Of Python, NumPy and Pillow, of OpenCV, and of PyTorch on a processor or a GPU."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "Insufficient memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def printable(text: str) -> str:
    """One line that a terminal shows as it is: no control characters, whatever a file is called."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Around everything a command does: a fault or a stop is one line on stderr.

    Faults are a UserError, a file that cannot be read or written, and a full disk.

    Ctrl-C and SIGTERM raise Stopped, so that every `finally` runs and nothing half-written stays.
    """
    try:
        with handled_signals(stop_now):
            yield
    except UserError as error:
        sys.exit(f"error: {printable(str(error))}")
    except Stopped as stop:
        print(stop.message, file=sys.stderr)
        raise
    except OSError as error:
        if disk_is_full(error):
            where = f"{error.filename}: " if error.filename else ""
            fault = f"{where}the disk is full; make room and run the same command again"
        elif error.filename:
            fault = f"{error.filename}: {error.strerror}"
        else:
            raise
        sys.exit(f"error: {printable(fault)}")


def stop_now(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


@contextmanager
def handled_signals(handler) -> Iterator[None]:
    """Sends Ctrl-C and SIGTERM to `handler`; only a main thread can, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


class StopRequest:
    """Remembers a stop, so that a loop can end it at a good moment; a second one stops at once."""

    signum: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            raise Stopped(signum)
        self.signum = signum


@contextmanager
def stop_later() -> Iterator[StopRequest]:
    request = StopRequest()
    with handled_signals(request):
        yield request
