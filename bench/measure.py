"""What a command costs: wall seconds, CPU seconds and peak memory of its whole process tree.

CPU seconds are user + system. Two readings are taken and the larger is given: the kernel's own account of every
descendant that was waited for (`RUSAGE_CHILDREN`), and the last sample of each process ever seen in the tree. A
process whose parent ends becomes this program's child, so none leaves the tree. Memory is the sum of the proportional
set sizes (PSS: a shared page counts once), sampled every 0.2 s. `beside_cpu_s` is what one more tree spent meanwhile,
such as the database server that the command talks to.

Run: python bench/measure.py --out figures.json [--beside PID] [--lock FILE] -- command argument …
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.2
ORPHAN_SECONDS = 10
MEBIBYTE = 1024 * 1024
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Figures:
    """One measured command; memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    exit_code: int
    cpu_waited_s: float
    cpu_sampled_s: float
    beside_cpu_s: float


@dataclass
class Tree:
    """Every descendant of this program ever seen."""

    cpu: dict[psutil.Process, float] = field(default_factory=dict)
    peak: int = 0

    def sample(self) -> None:
        """Note the CPU time of every living member and the memory of all together."""
        memory = 0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                self.cpu[process] = times.user + times.system
                memory += process.memory_full_info().pss
        self.peak = max(self.peak, memory)


def adopt_orphans() -> None:
    """Make this program the parent of every descendant whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def wait_for_orphans() -> None:
    """Wait for adopted processes that are about to end, such as a JVM whose Python has gone; a daemon is left alone."""
    give_up = time.monotonic() + ORPHAN_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < give_up:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(SAMPLE_SECONDS)


def server_cpu(pid: int | None) -> float:
    """Return the CPU seconds of a server: its own, of its living children, and of those it has waited for."""
    if pid is None:
        return 0.0
    total = 0.0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + (times.children_user + times.children_system if process == root else 0)
    return total


@contextmanager
def sampling(tree: Tree) -> Iterator[None]:
    """Sample a tree until the block ends."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(SAMPLE_SECONDS):
            tree.sample()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def waited_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(command: list[str], beside: int | None = None) -> Figures:
    """Run a command to its end with this program's own output streams."""
    adopt_orphans()
    waited, served, start = waited_cpu(), server_cpu(beside), time.monotonic()
    with subprocess.Popen(command) as running:
        tree = Tree()
        tree.sample()
        with sampling(tree):
            exit_code = running.wait()
            wall = time.monotonic() - start
            wait_for_orphans()
    waited, sampled, served = waited_cpu() - waited, sum(tree.cpu.values()), server_cpu(beside) - served
    return Figures(wall, max(waited, sampled), tree.peak / MEBIBYTE, exit_code, waited, sampled, served)


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a file's lock, so that two measured commands of one machine never run at once."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--beside", type=int, help="process id of a server whose CPU is told apart")
    parser.add_argument("--lock", type=Path, help="file whose lock is held while the command runs")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    with held(options.lock):
        figures = measure(options.command, options.beside)
    options.out.write_text(json.dumps(asdict(figures), indent=1) + "\n")
    return figures.exit_code


if __name__ == "__main__":
    sys.exit(main())
