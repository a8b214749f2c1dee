"""The benchmark of the stream: events a second into Silver, how long an event waits, what it costs, on one machine.

Broker, Postgres, producer and consumer run here, the lake is a folder or a native MinIO. For each lake the tables are
made once, then for each rate a consumer is started, a few events are sent so that its JVM is up, and the producer
sends for some time. An event's latency is from its own timestamp (the producer's clock) to the end of the micro-batch
whose Silver commit shows it, of every event. At the end a consumer is killed at 1,000 events a second and started
again. `stream_report.py` writes the table of docs/streaming.md; figures are kept in .run/bench.

Run: python bench/stream.py [--rates 100,1000,5000] [--seconds 60] [--lake folder,minio] [--raw DIR | --scale S]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import psutil
import psycopg2
import pyarrow as pa

from lakehouse.audit.migrate import migrate
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.source.load import setup_source
from lakehouse.source.sample import write_sample
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.environment import init
from lakehouse.stack.kafka import KafkaServer
from lakehouse.stack.kafka import running as broker_running
from lakehouse.stack.kafka_jars import fetch_kafka
from lakehouse.stack.layout import layout, make_folders
from lakehouse.stack.minio import fetch_minio, minio_part
from lakehouse.stack.ports import HOST, free_port
from lakehouse.stack.postgres import PostgresServer, create_databases
from lakehouse.stack.postgres import running as postgres_running
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.topics import FILE, load_topics

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LAKEHOUSE = str(ROOT / ".venv" / "bin" / "lakehouse")
TABLES = "customers,orders,order_reviews"
WARM, RESTART_RATE = 200, 1_000
SAMPLE_SECONDS, MEBIBYTE = 1.0, 1024 * 1024


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is open is closed
    work = Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    work.chmod(0o755)  # the server lowers itself to another user
    try:
        measured = run(options, work)
    finally:
        shutil.rmtree(work)
    kept = ROOT / ".run" / "bench" / f"stream-{measured['at'].replace(':', '')}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(measured, indent=1) + "\n")
    page = ["--page", str(ROOT / "docs" / "streaming.md")] if options.page else []
    return subprocess.run([sys.executable, str(HERE / "stream_report.py"), str(kept), *page], check=False).returncode


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="100,1000,5000", help="events a second, by commas")
    parser.add_argument("--seconds", type=float, default=60, help="how long each rate is held")
    parser.add_argument("--lake", default="folder,minio", help="where tables are, by commas")
    parser.add_argument("--scale", type=float, default=1, help="made data of this scale (1: 99,000 reviews)")
    parser.add_argument("--trouble-share", type=float, default=0.01, help="share of events that are trouble")
    parser.add_argument("--no-page", dest="page", action="store_false", help="leave docs/streaming.md alone")
    return parser.parse_args()


def run(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return everything that was measured."""
    lakes = options.lake.split(",")
    runs, restarts = [], {}
    with postgres(work) as server:
        create_databases(server.url(), ["source", *(f"audit_{lake}" for lake in lakes)])
        say(f"made data, scale {options.scale:g} …")
        write_sample(work / "raw", scale=options.scale)
        setup_source(server.url("source"), work / "raw")
        for lake in lakes:
            with bench_on(lake, work, server) as bench:
                for rate in map(int, options.rates.split(",")):
                    say(f"lake: {lake}, {rate:,} events a second …")
                    runs.append(bench.measure(rate, options.seconds, options.trouble_share))
                restarts[lake] = bench.restart()
    about = beside("run").machine()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": about, "scale": options.scale,
        "seconds": options.seconds, "trouble_share": options.trouble_share, "runs": runs, "restart_s": restarts,
    }  # fmt: skip


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def beside(name: str) -> ModuleType:
    """Return a program of this folder as a module: the folder is on nobody's path."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"bench/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def postgres(work: Path) -> Iterator[PostgresServer]:
    """Hold an embedded Postgres as `make up` has it: what it says is written is on the disk."""
    settings = Settings(_env_file=None, home=ROOT)
    home = fetch_postgres(settings.path(settings.cache), ROOT / "spark" / "pom.xml")
    with postgres_running(
        PostgresServer(home, work / "postgres", free_port(), secrets.token_hex(16)), work / "postgres.log"
    ) as server:
        yield server


@contextmanager
def bench_on(lake: str, work: Path, server: PostgresServer) -> Iterator[Bench]:
    """Hold a broker and a lake whose tables are made."""
    folder = work / lake
    folder.mkdir()
    audit_url = server.url(f"audit_{lake}")
    migrate(audit_url, ROOT / "warehouse" / "migrations")
    with ExitStack() as stack:
        settings = stack.enter_context(minio(folder)) if lake == "minio" else Settings(_env_file=None, home=ROOT)
        jars = fetch_kafka(settings.path(settings.cache), ROOT / "kafka" / "pom.xml")
        broker = KafkaServer(jars, folder / "kafka", free_port(), free_port())
        stack.enter_context(broker_running(broker, folder / "kafka.log"))
        told = {"state": folder / "run", "raw": work / "raw", "lake": f"{folder}/lake/{{layer}}"}
        told |= {"kafka_bootstrap": broker.bootstrap}
        if lake == "minio":
            told |= {"lake": "s3a://{layer}", "s3_endpoint": f"http://{HOST}:{settings.minio_port}"}
        ensure_topics(broker.bootstrap, load_topics(ROOT / FILE))
        bench = Bench(lake, settings.model_copy(update=told), folder, server.url("source"), audit_url)
        stack.callback(bench.close)
        bench.make_tables()
        yield bench


@contextmanager
def minio(folder: Path) -> Iterator[Settings]:
    """Hold a native MinIO with the buckets of a lake and the jobs' user; give settings that name it."""
    init(folder / ".env")
    ports = {"minio_port": free_port(), "minio_console_port": free_port()}
    settings = Settings(_env_file=folder / ".env", home=ROOT, state=folder / "stack", **ports)
    place = layout(settings)
    make_folders(place)
    fetch_minio(settings.path(settings.cache))
    part = minio_part(settings, place)
    with (folder / "minio.log").open("w") as log:
        process = subprocess.Popen(part.command, env=part.environment, stdout=log, stderr=log)
    try:
        while not part.answers():
            if process.poll() is not None:
                raise SystemExit((folder / "minio.log").read_text())
            time.sleep(0.05)
        part.after()
        yield settings
    finally:
        process.terminate()
        process.wait()


@dataclass
class Bench:
    """One lake; `processes` are those that were started and may run still."""

    lake: str
    settings: Settings
    folder: Path
    source_url: str
    audit_url: str
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
        say(f"lake: {self.lake}, its tables …")
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
        with watching(consumer.pid) as watched:
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


if __name__ == "__main__":
    sys.exit(main())
