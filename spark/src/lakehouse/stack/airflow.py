"""Airflow: four processes on Postgres, tasks as processes of the scheduler, a login from the settings."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import requests

from lakehouse.settings import Settings
from lakehouse.stack.errors import StackError
from lakehouse.stack.job_environment import job_environment
from lakehouse.stack.layout import Layout
from lakehouse.stack.leftovers import PART
from lakehouse.stack.part import Part, inherited
from lakehouse.stack.ports import HOST
from lakehouse.stack.postgres import PostgresServer
from lakehouse.stack.tools import run_tool
from lakehouse.stack.web import ask

BIN = Path(sys.executable).parent
# Its name in the answer to a health request, for each process beside the API server.
OTHERS = {"airflow-scheduler": "scheduler", "airflow-dag-processor": "dag_processor", "airflow-triggerer": "triggerer"}
FLAGS = {"airflow-scheduler": ("--skip-serve-logs",), "airflow-triggerer": ("--skip-serve-logs",)}
# A scheduler of which nothing was heard this long is taken for dead, and what it had running is begun again.
SILENCE_SECONDS = 30
POOL = {"name": "spark", "slots": 1, "description": "One Spark driver at a time.", "include_deferred": False}


def airflow_parts(settings: Settings, place: Layout, server: PostgresServer) -> list[Part]:
    """Return the API server, with what has to be done before and after its start, and the three beside it."""
    environment = airflow_environment(settings, place, server)
    base = f"http://{HOST}:{settings.airflow_port}"
    api = Part(
        name="airflow-api-server",
        address=f"{base} (login {settings.airflow_user})",
        command=[f"{BIN}/airflow", "api-server"],
        environment=environment,
        answers=lambda: "metadatabase" in _healthy(base),
        ports={"LAKEHOUSE_AIRFLOW_PORT": settings.airflow_port},
        before=lambda: _prepare(settings, place, server, environment),
        after=lambda: _make_pool(settings, base),
    )
    return [api, *(_beside(name, environment, partial(_healthy, base)) for name in OTHERS)]


def _beside(name: str, environment: Mapping[str, str], healthy: Callable[[], set[str]]) -> Part:
    command = [f"{BIN}/airflow", name.removeprefix("airflow-"), *FLAGS.get(name, ())]
    return Part(name, "", command, lambda: OTHERS[name] in healthy(), {**environment, PART: name})


def airflow_environment(settings: Settings, place: Layout, server: PostgresServer) -> dict[str, str]:
    """Return the whole environment of Airflow's processes, and so of the jobs that its tasks start."""
    home = place.data("airflow")
    spark = find_spec("pyspark")
    return {
        **inherited(),
        **_sections(_core(settings, home), _api(settings), _lean(settings, place, server)),
        **job_environment(settings, server),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": settings.spark_master}),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SPARK_HOME": str(Path(spark.origin).parent) if spark and spark.origin else "",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONSAFEPATH": "1",
    }


def _sections(*parts: Mapping[str, object]) -> dict[str, str]:
    return {f"AIRFLOW__{name.upper()}": str(value) for part in parts for name, value in part.items()}


def _core(settings: Settings, home: Path) -> dict[str, object]:
    return {
        "core__executor": "LocalExecutor",
        "core__parallelism": 4,
        "core__dags_folder": settings.path(Path("airflow/dags")),
        "core__plugins_folder": settings.path(Path("airflow/plugins")),
        "core__load_examples": False,
        "core__fernet_key": settings.airflow_fernet_key.get_secret_value(),
        "core__auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "core__simple_auth_manager_users": f"{settings.airflow_user}:admin",
        "core__simple_auth_manager_passwords_file": home / "passwords.json",
        "core__execution_api_server_url": f"http://{HOST}:{settings.airflow_port}/execution/",
    }


def _api(settings: Settings) -> dict[str, object]:
    return {
        "api__host": HOST,
        "api__port": settings.airflow_port,
        "api__base_url": f"http://{HOST}:{settings.airflow_port}",
        "api__workers": 1,
        "api__secret_key": settings.airflow_secret.get_secret_value(),
        "api_auth__jwt_secret": settings.airflow_jwt_secret.get_secret_value(),
    }


def _lean(settings: Settings, place: Layout, server: PostgresServer) -> dict[str, object]:
    return {
        "database__sql_alchemy_conn": server.url("airflow").replace("postgresql://", "postgresql+psycopg2://", 1),
        "logging__base_log_folder": place.logs / "tasks",
        "logging__dag_processor_child_process_log_directory": place.logs / "dags",
        "dag_processor__parsing_processes": 1,
        # At the default of 5 s a deferred task was once taken for dead.
        "workers__min_heartbeat_interval": 1,
        # A task outlives an API server that is away for a minute; at the default of 3 it was ended after some 30 s.
        "workers__max_failed_heartbeats": 10,
        "scheduler__scheduler_health_check_threshold": SILENCE_SECONDS,
        "scheduler__orphaned_tasks_check_interval": 10,
        # Twice as long for a task: an API server that starts anew hears nothing for 25 s.
        "scheduler__task_instance_heartbeat_timeout": 2 * SILENCE_SECONDS,
        "usage_data_collection__enabled": False,
    }


def _prepare(settings: Settings, place: Layout, server: PostgresServer, environment: Mapping[str, str]) -> None:
    home = place.data("airflow")
    home.mkdir(exist_ok=True)
    write_passwords(settings, home / "passwords.json")
    migrate_airflow(server.url("airflow"), [["db", "migrate"]], environment)


def write_passwords(settings: Settings, file: Path) -> None:
    """Write the login of the settings where Airflow's SimpleAuthManager reads it, for its owner's eyes only."""
    file.touch(mode=0o600)
    file.write_text(json.dumps({settings.airflow_user: settings.airflow_password.get_secret_value()}))


def migrate_airflow(url: str, verbs: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
    """Bring the database to this Airflow's version by verbs of `airflow`.

    `db migrate` alone takes 8 s, so what was done is noted at the database itself, and not done again.
    """
    done = f"migrated by Airflow {version('apache-airflow-core')}"
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'")
        if cursor.fetchone() == (done,):
            return
        for verb in verbs:
            run_tool([f"{BIN}/airflow", *verb], what=f"airflow {' '.join(verb[:2])}", env=environment)
        cursor.execute("COMMENT ON DATABASE airflow IS %s", (done,))
        connection.commit()


def _healthy(base: str) -> set[str]:
    """Return what Airflow says is healthy, such as scheduler; empty while its API server does not answer."""
    try:
        answer = ask("GET", f"{base}/api/v2/monitor/health")
    except requests.RequestException:
        return set()
    return {name for name, told in answer.json().items() if told["status"] == "healthy"} if answer.ok else set()


def log_in(settings: Settings) -> str:
    """Return a token for Airflow's REST API, got with the login of the settings."""
    login = {"username": settings.airflow_user, "password": settings.airflow_password.get_secret_value()}
    answer = ask("POST", f"http://{HOST}:{settings.airflow_port}/auth/token", json=login)
    if not answer.ok:
        raise StackError(f"Airflow refuses the login ({answer.status_code}).", where=f"user {settings.airflow_user}")
    return str(answer.json()["access_token"])


def _make_pool(settings: Settings, base: str) -> None:
    token = log_in(settings)
    if ask("GET", f"{base}/api/v2/pools/{POOL['name']}", token=token).status_code == requests.codes.not_found:
        answer = ask("POST", f"{base}/api/v2/pools", json=POOL, token=token)
        if not answer.ok:
            raise StackError(f"Airflow refuses the pool: {answer.status_code} {answer.text[:200]}", where=base)
