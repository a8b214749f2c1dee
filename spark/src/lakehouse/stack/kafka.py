"""One Kafka broker that is its own controller: formatted, started, stopped; on the loopback address."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import Settings
from lakehouse.stack.errors import StackError
from lakehouse.stack.kafka_jars import kafka_home
from lakehouse.stack.layout import Layout
from lakehouse.stack.part import Part, inherited
from lakehouse.stack.ports import HOST, need_free
from lakehouse.stack.tools import JDK, end, last_line, need_tool, run_tool

PORT_SETTING, CONTROLLER_SETTING = "LAKEHOUSE_KAFKA_PORT", "LAKEHOUSE_KAFKA_CONTROLLER_PORT"
# The compiler's first stage alone: a broker on one machine spends its time on start-up, not on messages.
JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC")
LOGGING = Path(__file__).with_name("kafka.log4j2.properties").as_uri()
PROPERTIES = Path(__file__).with_name("kafka.server.properties")


@dataclass(frozen=True)
class KafkaServer:
    """A broker by its data folder; `jars` holds its class path, which may not have been fetched yet."""

    jars: Path
    data: Path
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        """Return the address that clients are given, host:port."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Return the words that run the broker in the foreground."""
        return [*self.java(), "kafka.Kafka", str(self.data / "server.properties")]

    def java(self) -> list[str]:
        """Return the words that run a program of its jars, whose name and arguments follow."""
        home = os.environ.get("JAVA_HOME")
        java = f"{home}/bin/java" if home else "java"
        return [java, *JVM, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{self.jars}/*"]


def native_kafka(settings: Settings, place: Layout) -> KafkaServer:
    """Return the broker of the settings."""
    jars = kafka_home(settings.path(settings.cache), pom(settings))
    return KafkaServer(jars, place.data("kafka"), settings.kafka_port, settings.kafka_controller_port)


def pom(settings: Settings) -> Path:
    """Return the file that names the version of Kafka."""
    return settings.path(Path("kafka/pom.xml"))


def kafka_part(server: KafkaServer) -> Part:
    """Return Kafka as a part."""
    return Part(
        name="kafka",
        address=server.bootstrap,
        command=server.command(),
        answers=lambda: answers(server),
        environment=inherited(),
        ports={PORT_SETTING: server.port, CONTROLLER_SETTING: server.controller_port},
        before=lambda: prepare(server),
    )


def answers(server: KafkaServer) -> bool:
    """Tell whether the broker answers now, as a member of its cluster."""
    from lakehouse.streaming import broker  # Kafka's client takes 0.15 s to import

    return broker.answers(server.bootstrap)


def prepare(server: KafkaServer) -> None:
    """Write the configuration, and format the data folder if it is not there yet.

    An interrupted attempt is never taken for a folder; a folder keeps the cluster id that it was made with.
    """
    if not server.data.exists():
        making = server.data.with_name(f"{server.data.name}.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        _format(server, making)
        making.rename(server.data)
    _write_properties(server, server.data)


def _format(server: KafkaServer, folder: Path) -> None:
    if not os.environ.get("JAVA_HOME"):
        need_tool("java", JDK)
    properties = _write_properties(server, folder)
    (folder / "cluster-id").write_text(_new_cluster_id())
    words = ["kafka.tools.StorageTool", "format", "-c", str(properties), "-t", (folder / "cluster-id").read_text()]
    run_tool([*server.java(), *words], what="Formatting Kafka's storage")


def _new_cluster_id() -> str:
    """Return 22 characters as Kafka writes a UUID; one that begins with - would be read as an option."""
    text = "-"
    while text.startswith("-"):
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text


def _write_properties(server: KafkaServer, folder: Path) -> Path:
    told = {"host": HOST, "port": server.port, "controller_port": server.controller_port, "logs": folder / "log"}
    file = folder / "server.properties"
    file.write_text(PROPERTIES.read_text().format(**told))
    return file


def start(server: KafkaServer, log: Path, *, timeout: float = 60) -> subprocess.Popen[bytes]:
    """Start a broker on its data folder and return once it answers; `StackError` on a taken port or no answer in time.

    `timeout` is in seconds. What a killed broker had acknowledged is there again.
    """
    need_free(server.port, PORT_SETTING)
    need_free(server.controller_port, CONTROLLER_SETTING)
    prepare(server)
    with log.open("ab") as out:
        process = subprocess.Popen(
            server.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait(server, process, log, time.monotonic() + timeout)
    except BaseException:
        stop(process)
        raise
    return process


def _wait(server: KafkaServer, process: subprocess.Popen[bytes], log: Path, deadline: float) -> None:
    while not answers(server):
        if process.poll() is not None:
            raise StackError(f"Kafka ended (exit {process.returncode}).", where=str(log), remedy=last_line(log))
        if time.monotonic() > deadline:
            raise StackError("Kafka does not answer.", where=str(log), remedy=last_line(log))
        time.sleep(0.1)


def stop(process: subprocess.Popen[bytes], *, timeout: float = 20) -> None:
    """End a broker that `start` returned; `timeout` is in seconds, then it is killed. Messages stay."""
    end(process, signal.SIGTERM, timeout)


@contextmanager
def running(server: KafkaServer, log: Path) -> Iterator[KafkaServer]:
    """Hold a broker for the length of a `with` block."""
    process = start(server, log)
    try:
        yield server
    finally:
        stop(process)
