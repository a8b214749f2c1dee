"""The embedded Postgres: authentication, address, and what comes back after a kill."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

from lakehouse.settings import Settings
from lakehouse.stack.binaries import fetch_postgres
from lakehouse.stack.errors import StackError
from lakehouse.stack.ports import free_port
from lakehouse.stack.postgres import PostgresServer, create_databases, running, start, stop

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test's own that has not been made yet, in a folder that only root can enter when we are root."""
    settings = Settings(_env_file=None, home=ROOT)
    home = fetch_postgres(settings.path(settings.cache), ROOT / "spark" / "pom.xml")
    folder = Path(tempfile.mkdtemp())
    yield PostgresServer(home, folder / "data", free_port(), password="p@ss/w:rd%")
    shutil.rmtree(folder)


def query(url: str, statement: str) -> list[tuple]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


def test_asks_for_the_password_and_listens_on_loopback_only(server, tmp_path):
    with running(server, tmp_path / "log"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(server.url().replace("p%40ss", "wrong"))
        listening = {c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == server.port}
        assert listening == {"127.0.0.1"}
        assert query(server.url(), "SHOW password_encryption") == [("scram-sha-256",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lower itself")
def test_does_not_run_as_root(server, tmp_path):
    process = start(server, tmp_path / "log")
    assert psutil.Process(process.pid).uids().real == 65534
    stop(process)


def test_committed_rows_survive_a_kill_of_all_its_processes(server, tmp_path):
    process = start(server, tmp_path / "log")
    create_databases(server.url(), ["audit"])
    query(server.url("audit"), "CREATE TABLE t AS SELECT 7 AS n")
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
    for member in family:
        with suppress(psutil.NoSuchProcess):  # those after the first may end with it
            member.send_signal(signal.SIGKILL)
    process.wait()
    with running(server, tmp_path / "log"):
        assert query(server.url("audit"), "SELECT n FROM t") == [(7,)]


def test_starts_again_while_children_of_a_killed_server_linger(server, tmp_path):
    process = start(server, tmp_path / "log")
    lingering = psycopg2.connect(server.url())
    process.kill()
    process.wait()
    with running(server, tmp_path / "log"):
        assert query(server.url(), "SELECT 1") == [(1,)]
    lingering.close()


def test_databases_are_made_once(server, tmp_path):
    with running(server, tmp_path / "log"):
        create_databases(server.url(), ["source", "audit"])
        create_databases(server.url(), ["source", "audit", "airflow"])
        names = {name for (name,) in query(server.url(), "SELECT datname FROM pg_database")}
        assert {"source", "audit", "airflow"} <= names


def test_a_taken_port_names_its_setting(server, tmp_path, postgres):
    port = int(re.search(r":(\d+)/", postgres)[1])
    taken = PostgresServer(server.home, server.data, port, server.password)
    with pytest.raises(StackError, match=rf"LAKEHOUSE_POSTGRES_PORT: Port {port} is taken"):
        start(taken, tmp_path / "log")


def test_another_password_than_the_folder_was_made_with_is_said_at_once(server, tmp_path):
    with running(server, tmp_path / "log"):
        pass
    other = PostgresServer(server.home, server.data, server.port, password="canary-2f81")
    with pytest.raises(StackError, match="refuses the password") as caught:
        start(other, tmp_path / "log")
    assert "canary" not in str(caught.value)


def test_a_database_is_fresh_for_each_test(database):
    assert query(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
