"""A part of the stack, and the program that becomes it.

`python -m lakehouse.stack.part FILE` reads what a part is started with and becomes that program: secrets reach it by
its environment, and stand in no command line and in no configuration of the supervisor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.stack.leftovers import PART, end_leftovers

# In the environment of every process of a stack; its value is the state folder.
MARK = "LAKEHOUSE_STACK"


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Part:
    """One long-running program: how it is started, where it is reached, and whether it answers.

    `ports` are those that it listens on, by the setting that names each; `before` is done before it is started,
    `after` once it answers.
    """

    name: str
    address: str
    command: Sequence[str]
    answers: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing


def write_part(part: Part, folder: Path, state: Path) -> None:
    """Write what a part is started with, readable by its owner only."""
    told = {"command": part.command, "environment": {**part.environment, MARK: str(state)}, "folder": str(state)}
    file = folder / f"{part.name}.json"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(told, out)


def inherited() -> dict[str, str]:
    """Return this process's environment without settings: a part is told those that it needs, and no others."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHOUSE_", "AIRFLOW_"))}


def become(file: Path) -> None:
    """Replace this process by the part that a file describes.

    What an earlier process of a part has started and left behind when it was killed is killed first: its end would be
    told to nobody, and whoever is started now does its work again.
    """
    told = json.loads(file.read_text())
    os.chdir(told["folder"])
    if PART in told["environment"]:
        end_leftovers({name: told["environment"][name] for name in (MARK, PART)})
    os.execvpe(told["command"][0], told["command"], told["environment"])  # noqa: S606


if __name__ == "__main__":
    become(Path(sys.argv[1]))
