"""One embedded Postgres: made, started, stopped, given databases; on the loopback address, with a password."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from lakehouse.stack.errors import StackError
from lakehouse.stack.ports import HOST, need_free
from lakehouse.stack.privileges import give, unprivileged
from lakehouse.stack.tools import end, last_line, run_tool

OWNER = "lakehouse"
INITDB = (
    "--auth=scram-sha-256",
    f"--username={OWNER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
)
PORT_SETTING = "LAKEHOUSE_POSTGRES_PORT"


@dataclass(frozen=True)
class PostgresServer:
    """A server by its data folder; `home` holds the programs, `options` are further `name=value` settings."""

    home: Path
    data: Path
    port: int
    password: str
    options: tuple[str, ...] = ()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, with the owner's password in it."""
        return f"postgresql://{OWNER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{database}"

    def command(self) -> list[str]:
        """Return the words that run the server in the foreground; as root they lower themselves to nobody."""
        settings = (f"listen_addresses={HOST}", f"port={self.port}", "unix_socket_directories=", *self.options)
        words = [f"{self.home}/bin/postgres", "-D", str(self.data)]
        return [*unprivileged(self.home / "bin", self.data), *words, *(w for s in settings for w in ("-c", s))]


def make_cluster(server: PostgresServer) -> None:
    """Make the data folder if it is not there yet; an interrupted attempt is never taken for one."""
    if server.data.exists():
        return
    making = server.data.with_name(f"{server.data.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700, parents=True)
    give(making)
    with tempfile.NamedTemporaryFile("w", suffix=".pw") as secret:
        secret.write(server.password)
        secret.flush()
        give(Path(secret.name))
        words = [f"{server.home}/bin/initdb", *INITDB, f"--pwfile={secret.name}", f"--pgdata={making}"]
        run_tool([*unprivileged(server.home / "bin", making, Path(secret.name)), *words], what="initdb", cwd=Path("/"))
    making.rename(server.data)


def start(server: PostgresServer, log: Path, *, timeout: float = 20) -> subprocess.Popen[bytes]:
    """Start a server on its data folder and return once it answers; `StackError` on a taken port or no answer in time.

    `timeout` is in seconds. Children of a server that was killed may hold its memory for a moment; that is waited out.
    """
    need_free(server.port, PORT_SETTING)
    make_cluster(server)
    deadline = time.monotonic() + timeout
    process = _launch(server, log)
    try:
        while not answers(server):
            _check(server, process, log, deadline)
            process = process if process.poll() is None else _launch(server, log)
            time.sleep(0.05)
    except BaseException:
        stop(process)
        raise
    return process


def _launch(server: PostgresServer, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            server.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/"
        )


def _check(server: PostgresServer, process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    """Raise `StackError` where waiting is of no use: only a lock file left behind is a reason to start once more."""
    if time.monotonic() > deadline:
        raise StackError("Postgres does not answer.", where=str(log), remedy=last_line(log))
    if process.poll() is not None and not (server.data / "postmaster.pid").exists():
        raise StackError(f"Postgres ended (exit {process.returncode}).", where=str(log), remedy=last_line(log))


def stop(process: subprocess.Popen[bytes], *, timeout: float = 20) -> None:
    """End a server that `start` returned: clients are cut off, committed data stays."""
    end(process, signal.SIGINT, timeout)


@contextmanager
def running(server: PostgresServer, log: Path) -> Iterator[PostgresServer]:
    """Hold a server for the length of a `with` block."""
    process = start(server, log)
    try:
        yield server
    finally:
        stop(process)


def answers(server: PostgresServer) -> bool:
    """Tell whether the server takes our password now; a refused password is a `StackError`, not a reason to wait."""
    try:
        psycopg2.connect(server.url(), connect_timeout=3).close()
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            raise StackError(
                "Postgres refuses the password.",
                where=f"{HOST}:{server.port}",
                remedy=f"put the password that {server.data} was made with back into .env, or remove that folder.",
            ) from None
        return False
    return True


def create_databases(url: str, names: Iterable[str]) -> None:
    """Create the databases that are not there yet; `url` names any database of the server."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in [name for name in names if name not in present]:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
