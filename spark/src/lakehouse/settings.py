"""One validated settings object, made once at the edge and handed in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lakehouse.alerts.url import allowed, webhook_problem
from lakehouse.database_url import allowed_parameters, is_port, problem, unknown_parameters
from lakehouse.errors import SettingsError

LAYERS = ("bronze", "silver", "gold", "quarantine", "ops")
# In the state folder while `make up` runs: the lake of its jobs.
RUNNING_LAKE = "running-lake.json"
Port = Annotated[int, Field(ge=1, le=65535)]


def _postgres_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value().strip()
    if wrong := problem(url):
        raise ValueError(wrong)
    _need_own_password(urlsplit(url).password)
    return SecretStr(url)


def _source_url(value: SecretStr) -> SecretStr:
    unknown = unknown_parameters(value.get_secret_value())
    if unknown:
        told = f"its parameters {', '.join(unknown)} are not known to both drivers that read a source"
        raise ValueError(f"{told}; allowed: {allowed_parameters()}; leave the others out")
    return value


def _need_own_password(password: str | None) -> None:
    if (password or "").strip().lower() in ("changeme", ""):
        raise ValueError("its password is empty or a placeholder; `make init` writes a random one")


def _memory(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[mg]", value, re.ASCII):
        raise ValueError("not a size; allowed: a whole number above 0 with m or g, such as 1500m or 2g")
    return value


Memory = Annotated[str, AfterValidator(_memory)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
SourceUrl = Annotated[PostgresUrl, AfterValidator(_source_url)]


class Settings(BaseSettings):
    """Settings of a process, read from `LAKEHOUSE_*` variables and then `.env`; see `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix="LAKEHOUSE_", env_file=".env", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Field(default=Path(), description="The checkout; relative folders below are taken from here.")
    pipelines: Path = Field(default=Path("spark/pipelines"), description="One folder a pipeline.")
    raw: Path = Field(default=Path("raw"), description="Where the source's CSV files are put.")
    state: Path = Field(default=Path(".run"), description="Data, logs and process ids of what runs natively.")
    jars: Path = Field(default=Path("spark/jars"), description="Jars gathered by Maven from spark/pom.xml.")
    cache: Path = Field(
        default=Path("~/.cache/lakehouse"), description="Downloads shared by checkouts: embedded Postgres, MinIO."
    )

    lake: str = Field(
        default="",
        description="Where tables live: a URI with {layer}, such as s3a://{layer}. Not set: MinIO while `make up` "
        "runs, else a local folder; set to nothing: that folder.",
    )
    s3_endpoint: str = Field(default="", description="URL of the object store, for s3a:// lakes.")
    s3_region: str = Field(default="us-east-1", description="Region sent to the object store.")
    s3_access_key: str = Field(default="", description="Name of the jobs' own user, made by `make init`.")
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="Its secret, made by `make init`.")

    # Before the URLs: .env writes them by reference to these two, and a reference reaches only what stands above it.
    postgres_port: Port = Field(default=55432, description="Native Postgres.")
    postgres_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the native Postgres owner, made by `make init`."
    )
    audit_url: PostgresUrl | None = Field(default=None, description="Audit database, postgresql://…")
    connections: dict[str, SourceUrl] = Field(
        default_factory=dict, description="Source databases by the name a pipeline uses: LAKEHOUSE_CONNECTIONS__SOURCE."
    )

    spark_master: str = Field(default="local[2]", description="Spark master: local[n], spark://… or k8s://…")
    spark_driver_memory: Memory = Field(default="1500m", description="Heap of the driver.")
    stream_driver_memory: Memory = Field(default="512m", description="Heap of the driver of a stream.")
    spark_driver_host: str = Field(
        default="127.0.0.1",
        description="Name by which executors reach a driver; with any but 127.0.0.1 it listens on every interface.",
    )
    spark_driver_port: int = Field(
        default=0,
        ge=0,
        le=65_503,
        description="On a cluster, the first of 32 ports of drivers: 16 for calls, then 16 for blocks; 0: any.",
    )
    spark_cores: int = Field(default=2, ge=1, description="Cores of a cluster that one driver takes at most.")
    spark_executor_memory: Memory = Field(default="512m", description="Heap of an executor of a cluster.")
    spark_ui: bool = Field(default=False, description="Whether a driver serves the Spark UI on loopback.")
    spark_jit: Literal["short", "long"] = Field(
        default="short", description="short: C1 compiler and serial collector; long: JVM defaults, for big machines."
    )
    small_batch_rows: int = Field(
        default=2_000_000, ge=0, description="A change set up to this size (and 24 MiB) is written by the driver alone."
    )

    # Before the URL, which is checked against it.
    discord_hosts: str = Field(
        default="discord.com,discordapp.com", description="Where a webhook may be: host or host:port, by commas."
    )
    discord_webhook_url: SecretStr = Field(default=SecretStr(""), description="Discord webhook; empty: no messages.")
    discord_success: bool = Field(
        default=True, description="Whether a run has its message from its start; false: from its failure on."
    )
    airflow_url: str = Field(
        default="", description="Where people open Airflow, for links in messages; empty: the native one on loopback."
    )
    dashboard_url: str = Field(
        default="",
        description="Where people look at a run, for links in messages: http(s)://…/{run_id}; empty: its page in the "
        "Airflow that ran it.",
    )
    minio_console_url: str = Field(
        default="", description="Where people open the MinIO console, for links; empty: the native one on loopback."
    )

    minio_port: Port = Field(default=59000, description="Native MinIO, S3.")
    minio_console_port: Port = Field(default=59001, description="Native MinIO, console.")
    kafka_port: Port = Field(default=59092, description="Native Kafka; in containers, Kafka of profile streaming.")
    kafka_controller_port: Port = Field(default=59093, description="Native Kafka, its own controller.")
    kafka_bootstrap: str = Field(
        default="", description="Brokers to begin with, host:port by commas; empty: the native one on loopback."
    )
    airflow_port: Port = Field(default=58080, description="Native Airflow, UI and REST API.")
    minio_root_user: str = Field(default="lakehouse-root", description="MinIO administrator; jobs never use it.")
    minio_root_password: SecretStr = Field(default=SecretStr(""), description="Its password, made by `make init`.")
    airflow_user: str = Field(default="admin", description="Login of the Airflow UI.")
    airflow_password: SecretStr = Field(default=SecretStr(""), description="Its password, made by `make init`.")
    airflow_secret: SecretStr = Field(
        default=SecretStr(""), description="Signs Airflow's sessions, made by `make init`."
    )
    airflow_jwt_secret: SecretStr = Field(
        default=SecretStr(""), description="Signs the tokens of Airflow's users and tasks, made by `make init`."
    )
    airflow_fernet_key: SecretStr = Field(
        default=SecretStr(""), description="Encrypts Airflow's stored connections, made by `make init`."
    )
    spark_secret: SecretStr = Field(
        default=SecretStr(""),
        description="What master, worker and drivers in containers know each other by, made by `make init`.",
    )

    @field_validator("lake")
    @classmethod
    def _lake_names_its_layer(cls, value: str) -> str:
        rest = value.replace("{layer}", "")
        if value and (rest == value or "{" in rest or "}" in rest):
            raise ValueError("must hold {layer}, and no other braces, such as s3a://{layer} or /data/lake/{layer}")
        return value.strip()

    @field_validator("s3_endpoint")
    @classmethod
    def _store_can_be_asked(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if value.strip() and (parts.scheme not in ("http", "https") or not parts.hostname or not is_port(parts)):
            raise ValueError("not an address of the form http://host:port or https://host; begin it with its scheme")
        return value.strip()

    @field_validator(
        "s3_secret_key", "postgres_password", "minio_root_password", "airflow_password", "airflow_secret",
        "airflow_jwt_secret", "airflow_fernet_key", "spark_secret",
    )  # fmt: skip
    @classmethod
    def _secret_is_no_placeholder(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().strip():
            _need_own_password(value.get_secret_value())
        return value

    @field_validator("discord_hosts")
    @classmethod
    def _hosts_are_names(cls, value: str) -> str:
        allowed(value)
        return value

    @field_validator("discord_webhook_url")
    @classmethod
    def _webhook_is_one(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        url = value.get_secret_value().strip()
        problem = webhook_problem(url, info.data.get("discord_hosts", "")) if url else ""
        if problem:
            raise ValueError(f"no webhook of Discord: {problem}")
        return SecretStr(url)

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers_have_ports(cls, value: str) -> str:
        brokers = [each.strip() for each in value.split(",")] if value.strip() else []
        for host, _, port in (each.rpartition(":") for each in brokers):
            if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
                raise ValueError("not of the form host:port, or several of it by commas")
        return ",".join(brokers)

    @field_validator("airflow_url", "dashboard_url", "minio_console_url")
    @classmethod
    def _link_can_be_opened(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None):
            raise ValueError("not an address of the form https://host/… without a user")
        return value.strip().rstrip("/")

    def path(self, folder: Path) -> Path:
        """Return a folder setting as an absolute path."""
        return (self.home / folder.expanduser()).resolve()

    def table_uri(self, layer: str, *parts: str) -> str:
        """Return the URI of what lies under `parts` in a layer, such as `s3a://silver/olist/orders`."""
        root = self.lake or f"{self.path(self.state)}/lake/{{layer}}"
        return "/".join([root.format(layer=layer).rstrip("/"), *parts])

    def brokers(self) -> str:
        """Return the brokers to begin with, host:port by commas."""
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    def need_audit_url(self) -> str:
        """Return the audit database's URL, or say which setting is missing."""
        if self.audit_url is None:
            raise SettingsError("LAKEHOUSE_AUDIT_URL is not set.", remedy="`make init` writes it into .env.")
        return self.audit_url.get_secret_value()

    def connection_url(self, name: str) -> str:
        """Return the URL of a source connection by its name."""
        if name not in self.connections:
            raise SettingsError(
                f'No connection is named "{name}".',
                allowed=", ".join(sorted(self.connections)) or "none is set",
                remedy=f"set LAKEHOUSE_CONNECTIONS__{name.upper()} in .env.",
            )
        return self.connections[name].get_secret_value()


def load_settings() -> Settings:
    """Read settings; where they name no lake and a stack of their state folder runs, its lake is taken.

    So a command in a shell works on the tables that the stack's DAGs write.
    """
    settings = read_settings()
    if "lake" in settings.model_fields_set:
        return settings
    return settings.model_copy(update=running_lake(settings))


def running_lake(settings: Settings) -> dict[str, str]:
    """Return `lake` and `s3_endpoint` of the running stack's jobs, or nothing; SettingsError if that is damaged."""
    file = settings.path(settings.state) / RUNNING_LAKE
    try:
        told = json.loads(file.read_text())
        return {"lake": str(told["lake"]), "s3_endpoint": str(told["s3_endpoint"])}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = f"it does not say which lake the stack works on ({type(error).__name__})."
        raise SettingsError(what, where=str(file), remedy="`make up` writes it anew; `make down` removes it.") from None


def read_settings() -> Settings:
    """Read settings from the environment and `.env` alone; every problem is named in one error, without its value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"LAKEHOUSE_{'__'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(problems, remedy="correct it in .env (see .env.example).") from None
