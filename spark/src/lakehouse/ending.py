"""A program that is told to end finishes what it has begun; one that does not get there ends all the same."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress

import psutil  # type: ignore[import-untyped]

from lakehouse.log import get_logger

log = get_logger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SECONDS = 60.0


def stop_on_signals(seconds: float = _SECONDS) -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set; this process, and all it has started, is killed so long after.

    Whoever told it to end may be gone by then: a task that Airflow cancels is killed before its program has ended.
    """
    stop = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    # A handler waits for the main thread, which may hang in a library; the byte is written at once.
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_after, args=(told, tell, seconds), name="ending", daemon=True).start()
    return stop


def _end_after(told: socket.socket, tell: socket.socket, seconds: float) -> None:
    while told.recv(1)[0] not in _SIGNALS:
        pass
    threading.Event().wait(seconds)
    log.error("killed: it has not ended since it was told to", seconds=seconds)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    os.kill(os.getpid(), signal.SIGKILL)
