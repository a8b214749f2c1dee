"""The benchmark: this platform, a plain Spark script and DuckDB do the same work on the same source, in turn.

All three load the source (a full load each); the platform then runs with nothing changed; then a day is simulated
once, and all three take the same changes. What each costs is measured by `measure.py`; `report.py` prints it beside
the targets. The platform's load and increment are run once more with Spark's event log on, to tell where the time goes.
With the CSVs in raw/ it also writes the table of docs/performance.md. Nothing outlives a run but the figures in
.run/bench.

Run: python bench/run.py [--only a,b,c] [--repeat N] [--raw DIR | --scale S] [--ten-times]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import sql

from lakehouse.audit.migrate import migrate
from lakehouse.settings import Settings
from lakehouse.source.load import setup_source
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.ports import free_port
from lakehouse.stack.postgres import PostgresServer, create_databases, start, stop

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = {"a": "this platform", "b": "plain PySpark + Delta", "c": "DuckDB + deltalake"}
EVENT_LOG = """\
spark.eventLog.enabled true
spark.eventLog.dir {folder}
spark.eventLog.rolling.enabled false
spark.eventLog.compress false
"""
SCRIPTS = {"b": HERE / "plain_spark.py", "c": HERE / "duck.py"}


@dataclass
class Bench:
    """One server, one folder for everything, and the figures so far."""

    server: PostgresServer
    server_pid: int
    work: Path
    lock: Path | None
    seed: int
    figures: list[dict[str, Any]] = field(default_factory=list)

    def lake(self, program: str) -> Path:
        return self.work / "lakes" / program

    def start_over(self, raw: Path) -> dict[str, int]:
        """Make the source anew from CSV files, empty the lakes and the audit; return the rows of each source table."""
        shutil.rmtree(self.work / "lakes", ignore_errors=True)
        with closing(psycopg2.connect(self.server.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for name in ("source", "audit"):
                    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        create_databases(self.server.url(), ["source", "audit"])
        migrate(self.server.url("audit"), ROOT / "warehouse" / "migrations")
        return {table.name: table.rows for table in setup_source(self.server.url("source"), raw)}

    def measure(self, program: str, step: str, **about: Any) -> None:
        """Run one step of one program; an error of the program ends the benchmark."""
        words = self._command(program, step)
        lake = self.lake(program)
        lake.mkdir(parents=True, exist_ok=True)
        before, figures = versions(lake), self.work / "figures.json"
        watch = [sys.executable, str(HERE / "measure.py"), "--out", str(figures), "--beside", str(self.server_pid)]
        lock = ["--lock", str(self.lock)] if self.lock else []
        print(f"{PROGRAMS[program]}: {step} …", file=sys.stderr, flush=True)
        printed = self._run([*watch, *lock, "--", *words], self._environment(program))
        after = versions(lake)
        new = sum(version - before.get(table, -1) for table, version in after.items())
        result = {"new_versions": new, "phases": phases(printed), **json.loads(figures.read_text())}
        self.figures.append({"program": program, "step": step, **about, **result})

    def profile(self, step: str) -> dict[str, float]:
        """Run one step of the platform with Spark's event log on; return the seconds by kind of work."""
        print(f"{PROGRAMS['a']}: {step}, with an event log …", file=sys.stderr, flush=True)
        events = self.work / f"events-{step}"
        events.mkdir()
        (events / "spark-defaults.conf").write_text(EVENT_LOG.format(folder=events.as_uri()))
        printed = self._run(self._command("a", step), self._environment("a") | {"SPARK_CONF_DIR": str(events)})
        (log,) = events.glob("local-*")
        words = [sys.executable, str(HERE / "spark_time.py"), str(log)]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return kinds(phases(printed), json.loads(told))

    def _run(self, words: list[str], environment: dict[str, str]) -> str:
        """Return what a program prints; an error of it ends the benchmark, with the database's last words."""
        out = self.work / "out.txt"
        code = run_to_its_end(words, environment, out)
        if code:
            server = (self.work / "postgres.log").read_text()[-2000:]
            raise SystemExit(f"{' '.join(words)} ended with {code}:\n{out.read_text()[-2000:]}\nPostgres:\n{server}")
        return out.read_text()

    def _command(self, program: str, step: str) -> list[str]:
        if program == "a":
            return [str(ROOT / ".venv" / "bin" / "lakehouse"), "run", "olist", "--json"]
        mode = "load" if step == "load" else "increment"
        return [sys.executable, str(SCRIPTS[program]), "--lake", str(self.lake(program)), "--mode", mode]

    def _environment(self, program: str) -> dict[str, str]:
        source = self.server.url("source")
        if program != "a":
            return {"BENCH_SOURCE_URL": source}
        return {
            "LAKEHOUSE_HOME": str(ROOT),
            "LAKEHOUSE_LAKE": f"{self.lake('a')}/{{layer}}",
            "LAKEHOUSE_STATE": str(self.work / "state"),
            "LAKEHOUSE_CONNECTIONS__SOURCE": source,
            "LAKEHOUSE_AUDIT_URL": self.server.url("audit"),
        }


def run_to_its_end(words: list[str], environment: dict[str, str], out: Path) -> int:
    """Run a command with its output in a file and return its exit code; what ends this program ends it too."""
    with out.open("wb") as stdout:
        running = subprocess.Popen(words, stdout=stdout, env=os.environ | environment, start_new_session=True)
        try:
            return running.wait()
        except BaseException:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait()
            raise


def versions(lake: Path) -> dict[str, int]:
    """Return the newest version of each Delta table below a folder."""
    found: dict[str, int] = {}
    for commit in lake.rglob("_delta_log/*.json"):
        if commit.stem.isdigit():
            table = str(commit.parent.parent)
            found[table] = max(found.get(table, -1), int(commit.stem))
    return found


def phases(output: str) -> dict[str, float]:
    """Return seconds by phase from the JSON that a program prints last; none where it prints none.

    Phases on the outermost object are the whole run's; those further inside, one set a table, are added up by layer.
    """
    start = output.find("{")
    if start < 0:
        return {}
    printed, _ = json.JSONDecoder().raw_decode(output[start:])
    return _phases_of(printed)


def _phases_of(value: Any) -> dict[str, float]:
    if isinstance(value, dict) and isinstance(value.get("phases"), dict):
        layer = f"{value['layer']}: " if "layer" in value else ""
        return {f"{layer}{name}": float(seconds) for name, seconds in value["phases"].items()}
    total: dict[str, float] = {}
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        for name, seconds in _phases_of(inner).items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def kinds(ours: dict[str, float], sparks: dict[str, float]) -> dict[str, float]:
    """Return seconds by kind of work: what only the driver does, by its phases, and what Spark does, by its events."""

    def driver(*names: str) -> float:
        return sum(seconds for phase, seconds in ours.items() if phase.rpartition(": ")[2] in names)

    return {
        "session start": driver("session"),
        "windows, versions, Delta logs read by the driver": driver("plan"),
        "rows of the source, by COPY": driver("read"),
        "Spark: reading Delta logs": sparks["log reading"],
        "Spark: planning": sparks["planning"],
        "Spark: shuffle": sparks["shuffle"],
        "Spark: the rest of its jobs": sparks["jobs without shuffle"],
        "driver: what becomes of each row": driver("decide", "history"),
        "commit": driver("write") + sparks["commit"],
    }


def compare(bench: Bench, raw: Path, programs: list[str], changes: float, days: int, **about: Any) -> dict[str, int]:
    """Take the programs through the load, a run with nothing changed and so many days; return the source's rows."""
    rows = bench.start_over(raw)
    for program in programs:
        bench.measure(program, "load", **about)
    if "a" in programs:
        bench.measure("a", "nothing", **about)
    for day in range(days):
        simulate(bench.server.url("source"), changes=changes, seed=bench.seed + day)
        for program in programs:
            bench.measure(program, "increment", **about)
    return rows


def profile(bench: Bench, raw: Path, changes: float) -> dict[str, dict[str, float]]:
    """Return where the platform's time goes, by step and kind of work."""
    bench.start_over(raw)
    load = bench.profile("load")
    simulate(bench.server.url("source"), changes=changes, seed=bench.seed)
    return {"load": load, "increment": bench.profile("increment")}


@contextmanager
def server(work: Path) -> Iterator[tuple[PostgresServer, int]]:
    """Hold an embedded Postgres for the length of a `with` block."""
    settings = Settings(home=ROOT)
    home = fetch_postgres(settings.path(settings.cache), ROOT / "spark" / "pom.xml")
    postgres = PostgresServer(home, work / "postgres", free_port(), secrets.token_hex(16), options=("fsync=off",))
    process = start(postgres, work / "postgres.log")
    try:
        yield postgres, process.pid
    finally:
        stop(process)


def sample(work: Path, scale: float, seed: int) -> Path:
    """Return a folder with made data."""
    print(f"made data, scale {scale:g} …", file=sys.stderr, flush=True)
    folder = work / f"sample-{scale:g}"
    write_sample(folder, scale=scale, seed=seed)
    return folder


def machine() -> dict[str, Any]:
    memory = psutil.virtual_memory().total / 1e9
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"cores": os.cpu_count(), "memory_gb": round(memory), "commit": commit.stdout.strip()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--raw", type=Path, default=ROOT / "raw", help="folder with the source's CSV files")
    data.add_argument("--scale", type=float, help="made data of this scale instead of CSV files")
    parser.add_argument("--only", default="a,b,c", help="programs to run, of " + ", ".join(PROGRAMS))
    parser.add_argument("--repeat", type=int, default=1, help="repetitions; the median is reported")
    parser.add_argument(
        "--changes", type=float, default=0.01, help="share of the source that the simulated day changes"
    )
    parser.add_argument(
        "--days", type=int, default=3, help="days to simulate one after another; the median is reported"
    )
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--ten-times", nargs="?", const="a", help="programs (default a) to give the same batch at scale 10"
    )
    parser.add_argument("--lock", type=Path, help="file whose lock is held while a program is measured")
    return parser.parse_args()


def run(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return everything that was measured."""
    with server(work) as (postgres, pid):
        bench = Bench(postgres, pid, work, options.lock, options.seed)
        raw = sample(work, options.scale, options.seed) if options.scale else options.raw
        for repetition in range(options.repeat):
            rows = compare(bench, raw, options.only.split(","), options.changes, options.days, repetition=repetition)
        kinds_of_work = profile(bench, raw, options.changes) if "a" in options.only else {}
        if options.ten_times:
            for scale in (1, 10):  # the same number of changes against both
                folder = sample(work, scale, options.seed)
                compare(bench, folder, options.ten_times.split(","), options.changes / scale, options.days, scale=scale)
                shutil.rmtree(folder)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": f"made data, scale {options.scale:g}" if options.scale else "the CSV files in raw/",
        "rows": rows,
        "changes": options.changes,
        "repeat": options.repeat,
        "days": options.days,
        "machine": machine(),
        "kinds": kinds_of_work,
        "runs": bench.figures,
    }


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is open is closed
    work = Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    work.chmod(0o755)  # the server lowers itself to another user
    try:
        measured = run(options, work)
    finally:
        shutil.rmtree(work)
    kept = ROOT / ".run" / "bench" / f"{measured['at'].replace(':', '')}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(measured, indent=1) + "\n")
    page = [] if options.scale else ["--page", str(ROOT / "docs" / "performance.md")]
    return subprocess.run([sys.executable, str(HERE / "report.py"), str(kept), *page], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
