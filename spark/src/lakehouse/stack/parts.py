"""The parts of the stack, in the order of their start."""

from __future__ import annotations

from pathlib import Path

from lakehouse.settings import Settings
from lakehouse.stack.airflow import airflow_parts
from lakehouse.stack.binaries import postgres_home
from lakehouse.stack.kafka import kafka_part, native_kafka
from lakehouse.stack.layout import Layout
from lakehouse.stack.minio import minio_part
from lakehouse.stack.part import Part, inherited
from lakehouse.stack.ports import HOST
from lakehouse.stack.postgres import PORT_SETTING, PostgresServer, answers, create_databases, make_cluster

DATABASES = ("source", "audit", "airflow")


def all_parts(settings: Settings, place: Layout) -> list[Part]:
    """Return Postgres, MinIO, Kafka and the four of Airflow."""
    server = native_postgres(settings, place)
    return [
        postgres_part(server),
        minio_part(settings, place),
        kafka_part(native_kafka(settings, place)),
        *airflow_parts(settings, place, server),
    ]


def postgres_part(server: PostgresServer) -> Part:
    """Return Postgres as a part, with the databases that jobs and Airflow need."""
    return Part(
        name="postgres",
        address=f"{HOST}:{server.port} (databases {', '.join(DATABASES)})",
        command=server.command(),
        answers=lambda: answers(server),
        environment=inherited(),
        ports={PORT_SETTING: server.port},
        before=lambda: make_cluster(server),
        after=lambda: create_databases(server.url(), DATABASES),
    )


def native_postgres(settings: Settings, place: Layout) -> PostgresServer:
    """Return the Postgres of the settings; its programs may not have been fetched yet."""
    home = postgres_home(settings.path(settings.cache), pom(settings))
    return PostgresServer(
        home, place.data("postgres"), settings.postgres_port, settings.postgres_password.get_secret_value()
    )


def pom(settings: Settings) -> Path:
    """Return the file that names the version of Postgres."""
    return settings.path(Path("spark/pom.xml"))
