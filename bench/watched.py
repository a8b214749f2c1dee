"""What a process tree takes while something else is measured: its memory by time, and its CPU seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

SAMPLE_SECONDS, MEBIBYTE = 1.0, 1024 * 1024


@dataclass
class Watched:
    """The memory (PSS, bytes) of a process tree by seconds since its first sample, and CPU seconds at both ends."""

    tree: psutil.Process
    memory: list[tuple[float, int]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def sample(self) -> None:
        used, memory = 0.0, 0
        for process in [self.tree, *self.tree.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used, memory = used + times.user + times.system, memory + process.memory_full_info().pss
        self.cpu.append(used)
        self.memory.append((time.monotonic(), memory))

    def figures(self) -> dict[str, Any]:
        """Return peak memory, that of each half of the time, and CPU seconds."""
        began, ended = self.memory[0][0], self.memory[-1][0]
        halves = [[m for at, m in self.memory if (at > (began + ended) / 2) == late] for late in (False, True)]
        first, second = (round(max(half, default=0) / MEBIBYTE) for half in halves)
        series = [(round(at - began), round(memory / MEBIBYTE)) for at, memory in self.memory[::10]]
        return {
            "peak_mib": max(first, second), "first_half_mib": first, "second_half_mib": second, "memory_mib": series,
            "cpu_s": self.cpu[-1] - self.cpu[0], "wall_s": ended - began,
        }  # fmt: skip


@contextmanager
def watching(pid: int) -> Iterator[Watched]:
    """Sample a process tree until the block ends."""
    watched, done = Watched(psutil.Process(pid)), threading.Event()
    watched.sample()

    def loop(sample: Callable[[], None]) -> None:
        while not done.wait(SAMPLE_SECONDS):
            sample()

    thread = threading.Thread(target=loop, args=(watched.sample,), daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        done.set()
        thread.join()
    watched.sample()
