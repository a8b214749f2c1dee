"""DAGs run by Airflow's own test run in a process of their own, watched through the run log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lakehouse.audit.history import Row
from lakehouse.audit.log import Audit
from lakehouse.log import secrets_of
from lakehouse.settings import Settings
from lakehouse.stack.airflow import airflow_environment
from lakehouse.stack.errors import StackError
from lakehouse.stack.layout import Layout
from lakehouse.stack.part import MARK
from lakehouse.stack.postgres import PostgresServer
from lakehouse.stack.tools import last_line

LOG = "demo"
PIPELINE = "olist"
_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0
# What is told while it works: a line, or a table's finished row of the run log.
Tell = Callable[[str | Row], None]


@dataclass(frozen=True)
class Ran:
    """A pipeline's run: its id, a row of the run log for each table, and what its tasks returned."""

    run_id: str
    tables: list[Row]
    returned: dict[str, Any]


def run_dags(settings: Settings, place: Layout, server: PostgresServer, dags: Sequence[str], tell: Tell) -> Ran:
    """Run DAGs one after another, the pipeline's last; raises `StackError` with what the failed task said."""
    log = place.log(LOG)
    with (
        TemporaryDirectory(prefix="lakehouse-") as folder,
        Audit(settings.need_audit_url(), secrets_of(settings)) as audit,
    ):
        report = Path(folder) / "report"
        watch = Watch(audit, tell)
        tell(f"Airflow: {', '.join(dags)} (log: {log})")
        with log.open("w") as out:
            command = [sys.executable, "-m", "lakehouse.dags.in_process", str(report), *dags]
            environment = dag_environment(settings, place, server)
            child = subprocess.Popen(
                command, env=environment, cwd=place.state, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        follow(child, watch)
        told = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        check(told, dags, child.returncode, log)
        return Ran(watch.run_id, watch.tables(), told[-1]["returned"])


def dag_environment(settings: Settings, place: Layout, server: PostgresServer) -> dict[str, str]:
    """Return the environment of Airflow in one process: its own SQLite database, and the lake of the settings."""
    home = place.data(LOG)
    home.mkdir(exist_ok=True)
    return {
        **airflow_environment(settings, place, server),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "LAKEHOUSE_LAKE": settings.lake,
        "LAKEHOUSE_S3_ENDPOINT": settings.s3_endpoint,
        MARK: str(place.state),
    }


class Watch:
    """The run that began since this was made, followed through the run log: each finished table is told once."""

    def __init__(self, audit: Audit, tell: Tell) -> None:
        self.audit, self.tell = audit, tell
        self._before = self._newest()
        self._told: set[tuple[Any, ...]] = set()
        self.run_id = ""

    def _newest(self) -> str:
        rows = self.audit.runs(1, PIPELINE)
        return str(rows[0]["run_id"]) if rows else ""

    def look(self) -> None:
        """Tell what has finished since the last look."""
        if not self.run_id and (newest := self._newest()) != self._before:
            self.run_id = newest
        for row in self._rows():
            name = (row["attempt"], row["layer"], row["table_name"])
            if row["status"] != "RUNNING" and name not in self._told:
                self._told.add(name)
                self.tell(row)

    def tables(self) -> list[Row]:
        """Return the row of each table's last attempt."""
        return list({(row["layer"], row["table_name"]): row for row in self._rows()}.values())

    def _rows(self) -> list[Row]:
        return self.audit.show(self.run_id)["tables"] if self.run_id else []


def follow(child: subprocess.Popen[bytes], watch: Watch) -> None:
    """Look until a process has ended; where we are interrupted it is ended with us."""
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PAUSE_SECONDS)
            watch.look()
            if child.returncode is not None:
                return
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE_SECONDS)
            child.kill()
            child.wait()


def check(told: Sequence[dict[str, Any]], dags: Sequence[str], code: int, log: Path) -> None:
    """Raise `StackError` unless every DAG ended well."""
    for each in told:
        if each["state"] != "success":
            why = "; ".join(f"{task}: {error}" for task, error in each["failed"].items())
            raise StackError(f"{each['dag']} failed: {why or each['state']}", remedy=f"the whole log is {log}.")
    if code or len(told) < len(dags):
        raise StackError(f"Airflow ended (exit {code}): {last_line(log)}", remedy=f"the whole log is {log}.")
