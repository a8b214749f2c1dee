"""Settings: what is refused, what is never shown, and the files made from the class."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from lakehouse.errors import SettingsError
from lakehouse.settings import Settings, load_settings
from lakehouse.stack.environment import init
from lakehouse.stack.job_environment import job_environment
from lakehouse.stack.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No settings but those of the test: an empty folder, no LAKEHOUSE_ variable."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def assignments(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_env_example_is_what_the_class_says():
    command = [sys.executable, "-m", "lakehouse.settings_example"]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / ".env.example").read_text() == written, "run `make settings`"


def test_env_example_names_every_setting_once_and_sets_none():
    text = (ROOT / ".env.example").read_text()
    for name in Settings.model_fields:
        assert text.count(f"\n# LAKEHOUSE_{name.upper()}") == 1, name
    assert assignments(ROOT / ".env.example") == {}


def test_init_makes_every_secret_that_the_class_says_it_makes(tmp_path):
    init(tmp_path / ".env")
    values = assignments(tmp_path / ".env")
    said = {
        f"LAKEHOUSE_{n.upper()}" for n, f in Settings.model_fields.items() if "`make init`" in (f.description or "")
    }
    assert said <= set(values)
    assert all(len(values[name]) >= 16 for name in said)
    assert len({values[name] for name in said}) == len(said)


def test_every_secret_is_made_by_init_or_belongs_to_someone_else():
    theirs = {"discord_webhook_url"}
    secrets = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    made = {name for name in secrets if "`make init`" in (Settings.model_fields[name].description or "")}
    assert secrets - made == theirs


def test_init_again_changes_nothing(tmp_path):
    first = init(tmp_path / ".env")
    before = (tmp_path / ".env").read_text()
    assert first
    assert init(tmp_path / ".env") == []
    assert (tmp_path / ".env").read_text() == before


def test_init_keeps_what_a_person_wrote_and_adds_what_is_new(tmp_path):
    (tmp_path / ".env").write_text("MINE=1\nLAKEHOUSE_POSTGRES_PASSWORD=chosen-by-hand\nLAKEHOUSE_AIRFLOW_PASSWORD=\n")
    init(tmp_path / ".env")
    values = assignments(tmp_path / ".env")
    assert values["MINE"] == "1"
    assert values["LAKEHOUSE_POSTGRES_PASSWORD"] == "chosen-by-hand"
    assert len(values["LAKEHOUSE_AIRFLOW_PASSWORD"]) >= 16
    assert load_settings().need_audit_url() == "postgresql://lakehouse:chosen-by-hand@127.0.0.1:55432/audit"


def test_the_secrets_are_readable_by_their_owner_only(tmp_path):
    (tmp_path / ".env").write_text("MINE=1\n")
    (tmp_path / ".env").chmod(0o644)
    init(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_port_changed_in_one_place_moves_the_urls_with_it(tmp_path):
    init(tmp_path / ".env")
    text = (tmp_path / ".env").read_text()
    (tmp_path / ".env").write_text(text.replace("# LAKEHOUSE_POSTGRES_PORT=55432", "LAKEHOUSE_POSTGRES_PORT=5999"))
    settings = load_settings()
    assert ":5999/audit" in settings.need_audit_url()
    assert ":5999/source" in settings.connection_url("source")


REFUSED = [
    ("LAKEHOUSE_AUDIT_URL", "postgresql://u:canary-77@h:99999/d", "port is no number from 1 to 65535; correct it"),
    ("LAKEHOUSE_AUDIT_URL", "postgresql://u:canary-77@h:0/d", "port is no number from 1 to 65535; correct it"),
    ("LAKEHOUSE_CONNECTIONS__SOURCE", "postgresql://u:canary-77@h:port/d", "port is no number from 1 to 65535"),
    ("LAKEHOUSE_CONNECTIONS__SOURCE", "postgresql://u:ChangeMe@h/d", "`make init` writes a random one"),
    ("LAKEHOUSE_S3_ENDPOINT", "127.0.0.1:59000", "begin it with its scheme"),
    ("LAKEHOUSE_S3_ENDPOINT", "minio:59000", "begin it with its scheme"),
    ("LAKEHOUSE_S3_ENDPOINT", "http://minio:99999", "of the form http://host:port"),
    ("LAKEHOUSE_POSTGRES_PASSWORD", "changeme", "`make init` writes a random one"),
    ("LAKEHOUSE_MINIO_ROOT_PASSWORD", "changeme\n", "`make init` writes a random one"),
    ("LAKEHOUSE_S3_SECRET_KEY", "changeme", "`make init` writes a random one"),
    ("LAKEHOUSE_AIRFLOW_PASSWORD", "changeme", "`make init` writes a random one"),
    ("LAKEHOUSE_SPARK_DRIVER_MEMORY", "0m", "a whole number above 0 with m or g"),
    ("LAKEHOUSE_STREAM_DRIVER_MEMORY", "00g", "a whole number above 0 with m or g"),
    ("LAKEHOUSE_SPARK_EXECUTOR_MEMORY", "512m\n", "a whole number above 0 with m or g"),
    ("LAKEHOUSE_LAKE", "s3a://{layer}/{pipeline}", "no other braces, such as s3a://{layer}"),
    ("LAKEHOUSE_LAKE", "s3a://{layer}/{", "no other braces, such as s3a://{layer}"),
    ("LAKEHOUSE_LAKE", "s3a://{layer!r}", "must hold {layer}"),
]


@pytest.mark.parametrize(("name", "value", "told"), REFUSED)
def test_what_is_allowed_and_what_to_do_next_is_told_with_a_bad_value(monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(told)):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAKEHOUSE_MINIO_PORT", "99999"),
        ("LAKEHOUSE_MINIO_PORT", ""),
        ("LAKEHOUSE_KAFKA_BOOTSTRAP", "localhost"),
        ("LAKEHOUSE_KAFKA_BOOTSTRAP", "a:9092,b:port"),
        ("LAKEHOUSE_SPARK_UI", "Falsch"),
        ("LAKEHOUSE_LAKE", "s3a://bronze"),
        ("LAKEHOUSE_AUDIT_URL", "postgresql://u:changeme@h/d"),
        ("LAKEHOUSE_AUDIT_URL", "mysql://u:canary-77@h/d"),
        ("LAKEHOUSE_CONNECTIONS__SOURCE", "not a url canary-77"),
        ("LAKEHOUSE_SPARK_DRIVER_MEMORY", "lots"),
        ("LAKEHOUSE_AUDIT_URL", "postgresql://u:canary-77@[::1/d"),
        *((name, value) for name, value, _ in REFUSED),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_shown(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_trailing_line_break_is_no_part_of_a_url(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_AUDIT_URL", "postgresql://u:p@h/d\n")
    monkeypatch.setenv("LAKEHOUSE_S3_ENDPOINT", "http://127.0.0.1:59000\n")
    assert load_settings().need_audit_url() == "postgresql://u:p@h/d"
    assert load_settings().s3_endpoint == "http://127.0.0.1:59000"


def test_secrets_do_not_show_in_the_text_of_settings(monkeypatch):
    for name, field in Settings.model_fields.items():
        if field.annotation is SecretStr:
            shape = "https://discord.com/api/webhooks/1/" if name == "discord_webhook_url" else ""
            monkeypatch.setenv(f"LAKEHOUSE_{name.upper()}", f"{shape}canary-{name}")
    monkeypatch.setenv("LAKEHOUSE_CONNECTIONS__SOURCE", "postgresql://u:canary-url@h/d")
    assert "canary" not in repr(load_settings())


def test_a_job_is_told_absolute_folders_the_lake_and_no_administrator(tmp_path, monkeypatch):
    init(tmp_path / ".env")
    told = job_environment(
        Settings(home=tmp_path, discord_webhook_url="https://discord.com/api/webhooks/1/x"),
        PostgresServer(tmp_path, tmp_path, 1, "p"),
    )
    assert told["LAKEHOUSE_HOME"] == str(tmp_path)
    assert told["LAKEHOUSE_JARS"] == str(tmp_path / "spark" / "jars")
    assert told["LAKEHOUSE_LAKE"] == "s3a://{layer}"
    withheld = {name for name in told if "MINIO_ROOT" in name or "AIRFLOW_" in name.replace("AIRFLOW_PORT", "")}
    assert withheld == set()
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").unlink()
    job = load_settings()
    assert job.need_audit_url().endswith("@127.0.0.1:55432/audit")
    assert job.connection_url("source").endswith("@127.0.0.1:55432/source")
    assert job.discord_webhook_url.get_secret_value() == "https://discord.com/api/webhooks/1/x"


def test_a_job_without_urls_in_the_settings_is_told_those_of_the_native_postgres():
    told = job_environment(Settings(), PostgresServer(Path("/h"), Path("/d"), 5999, "p@ss"))
    assert told["LAKEHOUSE_AUDIT_URL"] == "postgresql://lakehouse:p%40ss@127.0.0.1:5999/audit"
    assert told["LAKEHOUSE_CONNECTIONS__SOURCE"] == "postgresql://lakehouse:p%40ss@127.0.0.1:5999/source"
