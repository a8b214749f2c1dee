"""What a job that Airflow starts is told of the settings: by its environment, and no more than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from lakehouse.settings import Settings
from lakehouse.stack.ports import HOST
from lakehouse.stack.postgres import PostgresServer

# A job has no business with the administrators of the parts.
WITHHELD = {
    "minio_root_user",
    "minio_root_password",
    "postgres_password",
    "airflow_user",
    "airflow_password",
    "airflow_secret",
    "airflow_jwt_secret",
    "airflow_fernet_key",
    "spark_secret",
}


def job_environment(settings: Settings, server: PostgresServer) -> dict[str, str]:
    """Return `LAKEHOUSE_*` variables: the settings, with absolute paths, and the lake of `jobs_lake`.

    Databases that the settings do not name are those of the native Postgres.
    """
    told = {"AUDIT_URL": server.url("audit"), "CONNECTIONS__SOURCE": server.url("source")}
    for name in Settings.model_fields.keys() - WITHHELD - {"connections"}:
        told[name.upper()] = _text(settings, getattr(settings, name)) or told.get(name.upper(), "")
    for name, url in settings.connections.items():
        told[f"CONNECTIONS__{name.upper()}"] = url.get_secret_value()
    told |= {name.upper(): value for name, value in jobs_lake(settings).items()}
    return {f"LAKEHOUSE_{name}": value for name, value in told.items() if value}


def jobs_lake(settings: Settings) -> dict[str, str]:
    """Return `lake` and `s3_endpoint` of jobs: those of the settings where these name a lake, else the native MinIO."""
    if settings.lake:
        return {"lake": settings.lake, "s3_endpoint": settings.s3_endpoint}
    return {"lake": "s3a://{layer}", "s3_endpoint": f"http://{HOST}:{settings.minio_port}"}


def _text(settings: Settings, value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(settings.path(value))
    return "" if value is None else str(value)
