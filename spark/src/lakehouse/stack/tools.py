"""Programs that the machine brings, and how they are run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.stack.errors import MissingTool, StackError

JDK = "install a JDK 17 or newer (Debian: `apt-get install openjdk-17-jdk-headless`) or set JAVA_HOME."


def need_tool(name: str, remedy: str) -> str:
    """Return the path of a program on PATH, or raise `MissingTool` with the remedy."""
    found = shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not on PATH.", remedy=remedy)
    return found


def run_tool(
    command: Sequence[str], *, what: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program to its end and return what it printed; `StackError` says `what` failed, with its last lines."""
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise StackError(f"{what} failed (exit {done.returncode}): {' | '.join(lines[-4:])}", where=command[0])
    return done.stdout


def last_line(log: Path) -> str:
    """Return the last line of a log, for the end of an error; empty where there is none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else ""


def end(process: subprocess.Popen[Any], number: int, timeout: float) -> None:
    """Send a signal to a process that runs still; it is killed when it has not ended `timeout` seconds later."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
