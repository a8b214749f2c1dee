"""One lake of the stream's benchmark: its tables, its producers and consumers, and what is measured of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa

from lakehouse.lake import Lake
from lakehouse.settings import Settings

LAKEHOUSE = str(Path(__file__).resolve().parents[1] / ".venv" / "bin" / "lakehouse")
TABLES = "customers,orders,order_reviews"
WARM, RESTART_RATE = 200, 1_000


@dataclass
class Bench:
    """One lake; `watching` holds a look at a process tree; `processes` were started and may run still."""

    lake: str
    settings: Settings
    folder: Path
    source_url: str
    audit_url: str
    watching: Callable[[int], AbstractContextManager[Any]]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        """Start `lakehouse` in a process group of its own; what it says is kept in two files of that name."""
        names = ("lake", "state", "raw", "home", "kafka_bootstrap", "s3_endpoint", "s3_access_key")
        told = {name: str(getattr(self.settings, name)) for name in names}
        told["s3_secret_key"] = self.settings.s3_secret_key.get_secret_value()
        told |= {"audit_url": self.audit_url, "connections__source": self.source_url}
        environment = os.environ | {f"LAKEHOUSE_{name.upper()}": value for name, value in told.items() if value}
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            process = subprocess.Popen(
                [LAKEHOUSE, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, text=True, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], name: str) -> str:
        """Wait for an end that is well, and return what was printed."""
        if process.wait():
            raise SystemExit(f"{name} ended with {process.returncode}:\n{(self.folder / f'{name}.err').read_text()}")
        return (self.folder / f"{name}.out").read_text()

    def make_tables(self) -> None:
        words = ("--layers", "bronze,silver", "--tables", TABLES, "--no-publish")
        self.finish(self.start("load", "run", "olist", *words), "load")

    def send(self, run_id: str, rate: float, count: int, share: float = 0) -> subprocess.Popen[str]:
        """Start a producer; its run's id is its name."""
        how = ("--rate", str(rate), "--count", str(count), "--trouble-share", str(share), "--json")
        return self.start(run_id, "stream", "produce", "--run-id", run_id, *how)

    def consume(self, run_id: str) -> subprocess.Popen[str]:
        """Start a consumer and return once it has taken some events in, so that its JVM is up."""
        consumer = self.start(run_id, "stream", "run", "--continuous", "--run-id", run_id, "--json")
        self.finish(self.send(f"{run_id}-warm", 0, WARM), f"{run_id}-warm")
        self.wait_for(f"{run_id}-warm", consumer)
        return consumer

    def wait_for(self, producer: str, consumer: subprocess.Popen[str], seconds: float = 300) -> None:
        """Wait until micro-batches have reached all that a producer's run has sent."""
        deadline = time.monotonic() + seconds
        while self.ask(BEHIND, producer)[0][0]:
            if consumer.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{producer} is not taken in; the consumer: {consumer.poll()}")
            time.sleep(0.2)

    def measure(self, rate: int, seconds: float, share: float) -> dict[str, Any]:
        """Hold one rate, and return its figures."""
        name = f"at-{rate}"
        consumer = self.consume(name)
        with self.watching(consumer.pid) as watched:
            producer = self.send(f"{name}-sent", rate, round(rate * seconds), share)
            sent = json.loads(self.finish(producer, f"{name}-sent"))
            self.wait_for(f"{name}-sent", consumer)
        consumer.send_signal(signal.SIGTERM)
        outcome = json.loads(self.finish(consumer, name))
        return {
            "lake": self.lake, "rate": rate, "produced_per_s": sent["acknowledged"] / sent["seconds"],
            **self.latencies(f"{name}-sent"), **watched.figures(), "ledger": outcome["result"]["ledger"],
            "batches": outcome["batches"], "phases": outcome["result"]["phases"],
        }  # fmt: skip

    def latencies(self, producer: str) -> dict[str, Any]:
        """Return seconds from each event's timestamp to the end of the micro-batch that took it in, and their rate."""
        lake = Lake(self.settings, "olist")
        table = lake.open(lake.uri("bronze", "order_reviews_events"))
        if table is None:
            raise SystemExit("there are no events")
        events = pa.table(table.scan(columns=["partition", "offset", "timestamp"]))
        with duckdb.connect() as con:
            con.register("events", events)
            for name, statement in (("sends", SENDS), ("batches", BATCHES)):
                con.register(name, as_table(self.ask(statement, producer)))
            names = ("events", "per_s", "p50_s", "p95_s", "p99_s", "max_s", "drained_s")
            return dict(zip(names, con.execute(LATENCIES).fetchall()[0], strict=True))

    def restart(self) -> float:
        """Return the seconds from a consumer's kill to the next micro-batch, while events flow."""
        consumer = self.consume("killed")
        producer = self.send("restart-sent", RESTART_RATE, 60 * RESTART_RATE)
        time.sleep(5)
        os.killpg(consumer.pid, signal.SIGKILL)
        killed = datetime.now(UTC)
        consumer.wait()
        again = self.start("restarted", "stream", "run", "--until-sent", "restart-sent", "--run-id", "restarted")
        first = "SELECT min(ended_at) FROM audit.stream_batches WHERE run_id = %s"
        while (found := self.ask(first, "restarted")[0][0]) is None and again.poll() is None:
            time.sleep(0.1)
        producer.terminate()
        producer.wait()
        self.finish(again, "restarted")
        return float((found - killed).total_seconds())

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.audit_url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall()

    def close(self) -> None:
        """Kill what runs still."""
        for process in self.processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


SENDS = "SELECT partition, first_offset AS first, next_offset AS upto FROM audit.stream_sends WHERE run_id = %s"
BATCHES = """
SELECT (o ->> 'partition')::int AS partition, (o ->> 'from')::bigint AS first, (o ->> 'to')::bigint AS upto,
       extract(epoch FROM ended_at)::float8 AS ended
FROM audit.stream_batches, jsonb_array_elements(offsets) AS o
WHERE ended_at >= (SELECT min(started_at) FROM audit.stream_sends WHERE run_id = %s)
"""
BEHIND = f"""
SELECT count(*) FROM ({SENDS}) AS s
WHERE upto > first AND NOT EXISTS (
    SELECT 1 FROM audit.stream_batches, jsonb_array_elements(offsets) AS o
    WHERE (o ->> 'partition')::int = s.partition AND (o ->> 'to')::bigint >= s.upto)
"""
LATENCIES = """
WITH waited AS (
    SELECT epoch_ms(e."timestamp") / 1000 AS sent, b.ended
    FROM events AS e
    JOIN sends AS s ON s.partition = e."partition" AND e."offset" >= s."first" AND e."offset" < s.upto
    JOIN batches AS b ON b.partition = e."partition" AND e."offset" >= b."first" AND e."offset" < b.upto
)
SELECT count(*), count(*) / (max(ended) - min(sent)), quantile_cont(ended - sent, 0.5),
       quantile_cont(ended - sent, 0.95), quantile_cont(ended - sent, 0.99), max(ended - sent), max(ended) - max(sent)
FROM waited
"""


def as_table(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows of partition, first, upto and perhaps ended."""
    names = ("partition", "first", "upto", "ended")
    return pa.Table.from_pylist([dict(zip(names, row, strict=False)) for row in rows])
