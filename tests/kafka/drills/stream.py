"""A stream of review events as a person runs it: every part a process, on a lake and databases of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import psycopg2

ROOT = Path(__file__).parents[3]
KILL_AT = Path(__file__).with_name("kill_at.py")
LAKEHOUSE = str(Path(sys.executable).with_name("lakehouse"))


class Stream:
    """One drill: `folder` has the pipeline, the logs, and the lake unless `tables` are elsewhere; what was started is
    killed by `close`.
    """

    def __init__(
        self,
        folder: Path,
        topic: str,
        urls: tuple[str, str],
        variables: dict[str, str],
        count: ModuleType,
        tables: Any = None,
    ) -> None:
        self.folder, self.topic, self.count = folder, topic, count
        self.source_url, self.audit_url = urls
        told = {"HOME": ROOT, "STATE": folder / "run", "RAW": folder / "raw", "PIPELINES": folder / "pipelines"}
        told |= {"LAKE": "", "CONNECTIONS__SOURCE": self.source_url, "AUDIT_URL": self.audit_url, **variables}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        self.environment = clean | {f"LAKEHOUSE_{name}": str(value) for name, value in told.items()}
        self.tables = tables or count.Tables(f"{folder}/run/lake/{{layer}}")
        # What Silver has beside the stream, and the orders that a review may be of.
        self.others, self.orders = self.tables.answers(), self.tables.orders()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, program: tuple[str, ...] = (LAKEHOUSE,)) -> subprocess.Popen[str]:
        """A process in a group of its own; what it says goes to the folder's log."""
        with (self.folder / f"{len(self.started)}.log").open("w") as out:
            process = subprocess.Popen(
                [*program, *words], cwd=self.folder, env=self.environment, text=True, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def said(self, process: subprocess.Popen[str]) -> str:
        return (self.folder / f"{self.started.index(process)}.log").read_text()

    def produce(self, rate: int, count: int = 1_000_000) -> subprocess.Popen[str]:
        """Send events with trouble among them; the run's id is `sent`."""
        sizes = ("--count", str(count), "--rate", str(rate), "--trouble-share", "0.1")
        where = ("--topic", self.topic, "--run-id", "sent", "--log", str(self.folder / "sent.ndjson"))
        process = self.start("stream", "produce", *sizes, *where)
        self.until(lambda: self.ask("SELECT 1 FROM audit.stream_sends"), process)
        return process

    def stop(self, producer: subprocess.Popen[str]) -> None:
        """Tell the producer to end: it hands over what it has sent."""
        producer.send_signal(signal.SIGTERM)
        assert producer.wait(90) in (0, 128 + signal.SIGTERM), self.said(producer)

    def consume(self, *words: str, kill_at: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Take the events in, up to all that was sent unless told otherwise."""
        program = (sys.executable, str(KILL_AT), *kill_at) if kill_at else (LAKEHOUSE,)
        return self.start("stream", "run", "olist.order_reviews", *(words or ("--until-sent", "sent")), program=program)

    def run_batch(self) -> None:
        """`lakehouse run` of the reviews alone."""
        words = ("--tables", "order_reviews", "--wait", "60")
        self.ends(self.start("run", "olist", "--layers", "bronze,silver", "--no-publish", *words))

    def ends(self, process: subprocess.Popen[str], code: int = 0, seconds: float = 240) -> None:
        assert process.wait(seconds) == code, self.said(process)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a process and its JVM as a power cut does."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_jvm(self, process: subprocess.Popen[str]) -> None:
        """End the JVM of a process alone, as a machine without memory does."""
        (jvm,) = [each for each in psutil.Process(process.pid).children(recursive=True) if each.name() == "java"]
        jvm.kill()

    def until(self, is_so: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 180) -> None:
        """Wait for something to be so while a process runs."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert process.poll() is None, self.said(process)
            assert time.monotonic() < deadline, self.said(process)
            time.sleep(0.01)

    def until_merged(self, process: subprocess.Popen[str]) -> None:
        """Wait for the next version of Silver."""
        before = self.tables.version("silver", "order_reviews")
        self.until(lambda: self.tables.version("silver", "order_reviews") > before, process)

    def ask(self, statement: str, url: str = "", *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url or self.audit_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

    def lines(self) -> list[Any]:
        """What was acknowledged, in the order of its offsets."""
        lines = self.count.lines_of(self.folder / "sent.ndjson")
        return sorted(lines, key=lambda line: (line.partition, line.offset))

    def close(self) -> None:
        for process in self.started:
            self.kill(process)
