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
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from lakehouse.audit.migrate import migrate
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
def bench_on(lake: str, work: Path, server: PostgresServer) -> Iterator[Any]:
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
        urls = server.url("source"), audit_url
        watching = beside("watched").watching
        bench = beside("stream_lake").Bench(lake, settings.model_copy(update=told), folder, *urls, watching)
        stack.callback(bench.close)
        say(f"lake: {lake}, its tables …")
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


if __name__ == "__main__":
    sys.exit(main())
