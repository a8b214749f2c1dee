"""`python -m lakehouse.stack.one_shot lake|airflow`: what the containers need before they start, safe to do again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lakehouse.audit.migrate import migrate
from lakehouse.errors import LakehouseError, SettingsError
from lakehouse.settings import Settings, read_settings
from lakehouse.stack.airflow import POOL, migrate_airflow, write_passwords
from lakehouse.stack.environment import need_secrets
from lakehouse.stack.minio import prepare_lake
from lakehouse.stack.parts import DATABASES
from lakehouse.stack.postgres import create_databases

PASSWORDS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"


def lake(settings: Settings) -> None:
    """Make the buckets and the jobs' user in the MinIO that `s3_endpoint` names."""
    need_secrets(settings, "minio_root_password", "s3_access_key", "s3_secret_key")
    prepare_lake(settings, urlsplit(settings.s3_endpoint).netloc)


def airflow(settings: Settings) -> None:
    """Make the databases, bring the audit's and Airflow's to this version, and write Airflow's login."""
    need_secrets(settings, "airflow_password")
    if PASSWORDS not in os.environ:
        raise SettingsError(f"{PASSWORDS} is not set.", remedy="docker-compose.yaml sets it for Airflow's containers.")
    url = settings.need_audit_url()
    create_databases(database_url(url, "postgres"), DATABASES)
    migrate(url, settings.path(Path("warehouse/migrations")))
    pool = ["pools", "set", str(POOL["name"]), str(POOL["slots"]), str(POOL["description"])]
    migrate_airflow(database_url(url, "airflow"), [["db", "migrate"], pool], os.environ)
    write_passwords(settings, Path(os.environ[PASSWORDS]))


def database_url(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def main() -> None:
    """Do the job that the first argument names; an error is one line, and the end of the container."""
    job = {"lake": lake, "airflow": airflow}[sys.argv[1]]
    try:
        job(read_settings())
    except LakehouseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
