"""Ends commands without a traceback: faults are one line that names the remedy.

Exit codes: 1 for a fault, 143 after SIGTERM, 130 after Ctrl-C, 129 after SIGHUP, as in shells. DVC
records a stage as done only when its exit code is zero.
"""

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Stops: Ctrl-C, `kill`, and a terminal that is closed. Windows lacks the last.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
SMALLER = "-S train.accumulate=2 -S vqgan.accumulate=2 divides batches (docs/choose-a-preset.md)"


class UserError(Exception):
    """A fault that the user can correct; the message is shown without a traceback."""


class Stopped(SystemExit):
    """Raised when the command is stopped by one of SIGNALS."""

    def __init__(self, signum: int, message: str = "stopped"):
        super().__init__(128 + signum)
        self.message = message


def disk_is_full(error: BaseException) -> bool:
    """Returns whether the disk, a quota or a limit on file sizes caused the error."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.errno in full


def out_of_memory(error: BaseException) -> bool:
    """Returns whether Python, NumPy, Pillow, OpenCV or PyTorch had too little memory."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "Insufficient memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def printable(text: str) -> str:
    """Returns the text in one line, with control characters, such as in file names, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_file(name: str) -> str:
    """Returns the name of a file, `printable`, and no formula in a spreadsheet."""
    return printable(f"./{name}" if name.startswith(("=", "+", "-", "@")) else name)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Runs a command so that a fault or a stop prints one line on stderr.

    Faults are a UserError, a file that cannot be read or written, a full disk, full memory, and a
    device that is not there. Stops raise Stopped, so that every `finally` runs and no partial files
    are left. Characters that the terminal's encoding lacks, as in file names, are
    printed escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
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
    except (ValueError, RuntimeError, MemoryError) as error:
        from maskgit.device import NoSuchDevice  # here, since torch takes seconds to import

        if isinstance(error, NoSuchDevice):
            sys.exit(f"error: {error}")
        if out_of_memory(error):
            sys.exit(f"error: out of memory; for a training, {SMALLER}")
        raise


def stop_now(signum: int, frame: FrameType | None) -> None:
    """Handles a signal by raising Stopped."""
    raise Stopped(signum)


def outlives(signum: signal.Signals) -> bool:
    """Returns whether the command is to outlive this signal: that of its terminal, by nohup."""
    return signum.name == "SIGHUP" and signal.getsignal(signum) is signal.SIG_IGN


@contextmanager
def handled_signals(handler) -> Iterator[None]:
    """Handles SIGNALS by `handler`; outside the main thread, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS if not outlives(signum)}
    for signum in before:
        signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


class StopRequest:
    """Records a stop, for a loop to check between steps; a second signal raises Stopped at once."""

    signum: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            raise Stopped(signum)
        self.signum = signum


@contextmanager
def stop_later() -> Iterator[StopRequest]:
    """Yields a request that records SIGNALS instead of stopping."""
    request = StopRequest()
    with handled_signals(request):
        yield request
