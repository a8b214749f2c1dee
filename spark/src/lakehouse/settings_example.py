"""`.env.example`, written from the settings class: `make settings`."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import fill
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from lakehouse.settings import Settings

HEAD = """\
# Settings of the platform. `make init` copies this to .env and fills in random secrets; `make settings` writes it anew.
# What stands behind a # is the default. A variable of the environment wins over .env.
"""
# The native Postgres, by its own settings: its port and its password stand in one place.
NATIVE = (
    "postgresql://lakehouse:${{LAKEHOUSE_POSTGRES_PASSWORD}}@127.0.0.1:${{LAKEHOUSE_POSTGRES_PORT:-{port}}}/{database}"
)
DATABASES = {"audit_url": "audit", "connections": "source"}
# Variables of docker-compose.yaml that are no settings of a process: name, default, what it is.
CONTAINERS = (
    ("IMAGE_PYTHON", "python:3.11.14-slim-bookworm", "Containers: what our images are built on."),
    ("IMAGE_POSTGRES", "postgres:17.11", "Containers: image of Postgres."),
    ("IMAGE_MINIO", "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", "Containers: image of MinIO."),
    ("IMAGE_KAFKA", "apache/kafka:4.2.1", "Containers: image of Kafka, profile streaming."),
    ("IMAGE_KAFKA_UI", "ghcr.io/kafbat/kafka-ui:v1.5.0", "Containers: image of Kafka's page, profile streaming."),
    ("IMAGE_TAG", "local", "Containers: tag of our own images."),
    ("CLUSTER_PORT", "58081", "Containers: Spark's pages."),
    ("CLUSTER_CORES", "4", "Containers: cores that the worker hands out."),
    ("CLUSTER_MEMORY", "1g", "Containers: memory that the worker hands out, for executors' heaps."),
    ("KAFKA_UI_PORT", "58083", "Containers: Kafka's page, profile streaming."),
    ("BUILD_PIP", "/dev/null", "Containers: a pip.conf for the build alone, where packages come from a mirror."),
    ("BUILD_MAVEN", "/dev/null", "Containers: a Maven settings.xml for the build alone, where jars do."),
)


def variable(name: str) -> str:
    """Return the variable that sets a field; of a mapping, the variable of its first entry."""
    return "LAKEHOUSE_CONNECTIONS__SOURCE" if name == "connections" else f"LAKEHOUSE_{name.upper()}"


def example() -> str:
    """Return the text of `.env.example`: each setting with its description and its default, commented out."""
    settings = (_entry(name, field) for name, field in Settings.model_fields.items())
    containers = (f"# {comment}\n# LAKEHOUSE_{name}={value}\n" for name, value, comment in CONTAINERS)
    return "\n".join([HEAD, *settings, *containers])


def native_url(database: str) -> str:
    """Return the URL of a database of the native Postgres, as .env writes it: by reference to other settings."""
    return NATIVE.format(port=Settings.model_fields["postgres_port"].default, database=database)


def _entry(name: str, field: FieldInfo) -> str:
    comment = fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    value = native_url(DATABASES[name]) if name in DATABASES else _text(field.default)
    return f"{comment}\n# {variable(name)}={value}\n"


def _text(default: Any) -> str:
    if isinstance(default, SecretStr):
        return ""
    if isinstance(default, Path):
        return "" if default == Path() else str(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


if __name__ == "__main__":
    sys.stdout.write(example())
