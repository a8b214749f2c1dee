"""What the drills share: a shop of one table, run as a person runs it, and a forwarder that can make the store fail."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.audit.migrate import migrate

ROOT = Path(__file__).parents[2]
# What is about one connection, not about the request.
HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection", "te", "upgrade"}
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop.silver.words
name: Words
version: 1.0.0
status: active
domain: shop
description: {purpose: "One row a word."}
team: {name: shop, members: [{username: shop, role: owner}]}
schema:
  - name: words
    physicalType: table
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: word, logicalType: string, physicalType: string, required: true}
      - {name: updated_at, logicalType: timestamp, physicalType: timestamp, required: true}
customProperties:
  - property: lakehouse
    value: {source: shop.words, watermark: updated_at, latest_by: [updated_at], deletes: none}
"""


class Cut(Exception):
    """Raised by a forwarder's hooks: the client's connection is cut without an answer."""


def nothing(method: str, path: str) -> int | None:
    """Let a request pass."""


def no_matter(method: str, path: str, status: int) -> None:
    """Let an answer pass."""


class Forwarder:
    """Passes HTTP requests on to one address; a status that `before` returns is answered instead.

    `after` is told of each answer ahead of the client.
    """

    def __init__(self, target: str) -> None:
        self.before: Callable[[str, str], int | None] = nothing
        self.after: Callable[[str, str, int], None] = no_matter
        forwarder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.body()
                try:
                    refusal = forwarder.before(self.command, self.path)
                    if refusal:
                        self.refuse(refusal)
                    else:
                        self.forward(body)
                except (Cut, BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            @property
            def is_chunked(self) -> bool:
                return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

            def body(self) -> bytes:
                if not self.is_chunked:
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():  # trailers
                    pass
                return body

            def refuse(self, status: int) -> None:
                body = b"" if self.command == "HEAD" else b"<Error><Code>SlowDown</Code><Message>no</Message></Error>"
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def forward(self, body: bytes) -> None:
                upstream = http.client.HTTPConnection(target, timeout=60)
                # The signature covers the Host header as the client sent it.
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP:
                        upstream.putheader(name, value)
                if self.is_chunked:
                    upstream.putheader("Transfer-Encoding", "chunked")
                upstream.endheaders([body] if self.is_chunked else body, encode_chunked=self.is_chunked)
                answer = upstream.getresponse()
                forwarder.after(self.command, self.path, answer.status)
                self.relay(answer, b"" if self.command == "HEAD" else answer.read())
                upstream.close()

            def relay(self, answer: http.client.HTTPResponse, body: bytes) -> None:
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP | {"content-length"}:
                        self.send_header(name, value)
                told = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", told or "0")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        for verb in ("GET", "PUT", "POST", "HEAD", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler.handle_any)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Disk:
    """A file system of a few megabytes."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"x" * 4096)

    def make_room(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Disk]:
    """Hold a disk of this size at a folder; the test is skipped where this user may mount none."""
    place.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place]
    mount = subprocess.run(words, capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mount.stderr.strip()}")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


class Shop:
    """A pipeline of one table on databases of its own; its lake is where `lake` says."""

    def __init__(self, folder: Path, source: str, audit: str, lake: dict[str, str]) -> None:
        self.folder, self.source, self.audit_url, self.lake = folder, source, audit, lake
        silver = folder / "pipelines" / "shop" / "silver"
        silver.mkdir(parents=True)
        (silver / "words.odcs.yaml").write_text(CONTRACT)
        (silver.parent / "pipeline.yaml").write_text("name: shop\ndescription: A shop.\nowner: someone\n")
        migrate(audit, ROOT / "warehouse" / "migrations")
        self.ask(
            source,
            "CREATE SCHEMA shop; CREATE TABLE shop.words (id bigint PRIMARY KEY, word text NOT NULL,"
            " updated_at timestamptz NOT NULL DEFAULT now())",
        )

    @property
    def environment(self) -> dict[str, str]:
        told = {"HOME": ROOT, "PIPELINES": self.folder / "pipelines", "STATE": self.folder / "run"}
        told |= {"CONNECTIONS__SOURCE": self.source, "AUDIT_URL": self.audit_url, "SPARK_DRIVER_MEMORY": "700m"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        return clean | {f"LAKEHOUSE_{name}": str(value) for name, value in (told | self.lake).items()}

    def run(self, *words: str, limit: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
        """`lakehouse run shop`; it has to end within `limit` seconds."""
        command = [str(Path(sys.executable).with_name("lakehouse")), "run", "shop", *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )

    def say(self, words: dict[int, str]) -> None:
        """Insert or change rows of the source, by id."""
        for number, word in words.items():
            self.ask(
                self.source,
                "INSERT INTO shop.words VALUES (%s, %s) ON CONFLICT (id) DO UPDATE"
                " SET word = excluded.word, updated_at = now()",
                number,
                word,
            )

    def ask(self, url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []

    def errors(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        """The errors in front of the person: each is one line, with what to do next in the line after it."""
        lines = done.stderr.splitlines()
        found = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        assert all(lines[number + 1].startswith("  next: ") for number in found), done.stderr
        assert "Traceback" not in done.stderr
        return [lines[number] for number in found]

    def runs(self) -> list[tuple[str, str]]:
        """Status and error of every run, oldest first."""
        return self.ask(self.audit_url, "SELECT status, coalesce(error, '') FROM audit.runs ORDER BY started_at")

    def table(self, layer: str, options: dict[str, str] | None = None, version: int | None = None) -> dict[int, str]:
        """What a reader of another make sees of a layer's table."""
        place = self.lake.get("LAKE", f"{self.folder}/run/lake/{{layer}}").format(layer=layer) + "/shop/words"
        table = DeltaTable(place.replace("s3a://", "s3://"), version=version, storage_options=options)
        rows = pa.table(table.scan(columns=["id", "word"]))
        return {row["id"]: row["word"] for row in rows.to_pylist()}
