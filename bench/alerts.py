"""How soon a failure is told: from the failed run's end, as its audit row says, to the message at Discord.

Each run is a real one that fails in Bronze because nobody is at its source; no JVM is needed for that. Discord is the
local server of the tests, answering after `--delay` seconds as a far one does. Settings cannot lead there: this
program replaces the look-up of the name and the authority of the certificate in its own process.

Run: python bench/alerts.py [--runs 30] [--delay 0.25]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2

from lakehouse.audit.migrate import migrate
from lakehouse.cli.runs import catalog_of
from lakehouse.engine.app import Request, run
from lakehouse.errors import SourceUnavailable
from lakehouse.settings import Settings
from lakehouse.specs import Layer
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.ports import free_port
from lakehouse.stack.postgres import PostgresServer, running

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--delay", type=float, default=0.25, help="seconds until Discord answers")
    asked = parser.parse_args()
    discord = local_discord()
    scratch = tempfile.TemporaryDirectory(prefix="lakehouse-bench-")
    with scratch as folder, audit_database() as url, discord.running() as server:
        discord.let_in(server, setattr)
        server.always = slowly(asked.delay)
        settings = Settings(
            _env_file=None,
            home=ROOT,
            state=folder,
            lake=f"{folder}/{{layer}}",
            audit_url=url,
            connections={"source": "postgresql://u:p@127.0.0.1:9/source"},
            discord_hosts=server.hosts,
            discord_webhook_url=server.url,
        )
        told = [fail_once(settings, server, url, number) for number in range(asked.runs)]
    print(json.dumps({"runs": asked.runs, "delay_s": asked.delay, **figures(told)}, indent=2))


def local_discord() -> ModuleType:
    """Return the tests' module."""
    spec = importlib.util.spec_from_file_location("fake_discord", ROOT / "tests" / "fake_discord.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("tests/fake_discord.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def slowly(delay: float) -> Any:
    """Answer as Discord does, after a while."""

    def answer(handler: Any) -> None:
        body = handler.discord.requests[-1][2]
        time.sleep(delay)
        handler.behave(body)

    return answer


@contextmanager
def audit_database() -> Iterator[str]:
    """Give the URL of an audit database on a Postgres of its own."""
    settings = Settings(_env_file=None, home=ROOT)
    home = fetch_postgres(settings.path(settings.cache), ROOT / "spark" / "pom.xml")
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-postgres-"))
    folder.chmod(0o755)
    try:
        with running(
            PostgresServer(home, folder / "data", free_port(), password=secrets.token_hex(8)), folder / "log"
        ) as server:
            migrate(server.url(), ROOT / "warehouse" / "migrations")
            yield server.url()
    finally:
        shutil.rmtree(folder)


def fail_once(settings: Settings, server: Any, url: str, number: int) -> tuple[float, float]:
    """Return the seconds from a run's end to its message as failed, and from its end to its process going on."""
    request = Request(f"run-{number}", layers=(Layer.BRONZE,), publish=False)
    try:
        run(settings, catalog_of(settings, "olist"), request)
    except SourceUnavailable:
        gone_on = time.time()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM ended_at)::float FROM audit.runs WHERE run_id = %s", [request.run_id])
        ((ended_at,),) = cursor.fetchall()
        # Each run is one of another minute: else the sixth and those after it would be told together.
        cursor.execute("UPDATE audit.alerts SET first_sent_at = first_sent_at - interval '61 s'")
    (told_at,) = [at for *_, body, at in server.requests if body["embeds"][0]["title"] == "🔴 olist failed"]
    server.requests.clear()
    return told_at - ended_at, gone_on - ended_at


def figures(told: list[tuple[float, float]]) -> dict[str, float]:
    """Return medians and worst values, seconds."""
    arrived, held = [sorted(column) for column in zip(*told, strict=True)]
    return {
        "end_to_message_median_s": round(statistics.median(arrived), 3),
        "end_to_message_worst_s": round(arrived[-1], 3),
        "process_goes_on_median_s": round(statistics.median(held), 3),
        "process_goes_on_worst_s": round(held[-1], 3),
    }


if __name__ == "__main__":
    main()
