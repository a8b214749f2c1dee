"""A program of its own that is told to end, and does, or hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

PROGRAM = """
import ctypes, subprocess, sys
from lakehouse.ending import stop_on_signals
from lakehouse.log import configure
configure()
stop = stop_on_signals(1.0)
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
{then}
"""
WELL = "stop.wait(); child.terminate(); child.wait(); sys.exit(0)"
# A mutex of the C library, taken twice: the main thread waits for it for ever, and runs no handler meanwhile.
HANGING = (
    "lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64); lock(mutex); lock(mutex)"
)


def started(then):
    words = [sys.executable, "-c", PROGRAM.format(then=then)]
    program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return program, int(program.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_ends_when_it_is_told_ends_well(number):
    program, child = started(WELL)
    program.send_signal(number)
    assert program.wait(10) == 0
    assert not psutil.pid_exists(child)
    program.communicate()


def test_one_that_hangs_is_killed_with_all_that_it_has_started():
    program, child = started(HANGING)
    began = time.monotonic()
    program.terminate()
    _, said = program.communicate(timeout=10)
    assert program.returncode == -signal.SIGKILL
    assert 1.0 <= time.monotonic() - began < 8
    assert "it has not ended since it was told to" in said
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
