"""Which lake a command works on: the one that is named, else the running stack's, else a local folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lakehouse.cli.demo import closing
from lakehouse.errors import SettingsError
from lakehouse.settings import Settings, load_settings, read_settings
from lakehouse.stack.demo import Demo
from lakehouse.stack.job_environment import job_environment
from lakehouse.stack.postgres import PostgresServer

MINIO = {"lake": "s3a://{layer}", "s3_endpoint": "http://127.0.0.1:59000"}
SERVER = PostgresServer(Path("/h"), Path("/d"), 1, "p")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    """The current folder, without settings."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack(folder) -> Path:
    """What a running stack leaves in the state folder."""
    (folder / ".run").mkdir()
    file = folder / ".run" / "running-lake.json"
    file.write_text(json.dumps(MINIO))
    return file


def lake() -> tuple[str, str]:
    settings = load_settings()
    return settings.table_uri("gold", "olist"), settings.s3_endpoint


def test_where_nothing_runs_it_is_a_local_folder(folder):
    assert lake() == (f"{folder}/.run/lake/gold/olist", "")


def test_while_a_stack_runs_it_is_the_stacks(stack):
    assert lake() == ("s3a://gold/olist", "http://127.0.0.1:59000")
    stack.unlink()
    assert lake()[1] == ""


def test_a_named_lake_wins_and_nothing_of_the_stacks_is_mixed_in(stack, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_LAKE", "s3a://cloud/{layer}")
    assert lake() == ("s3a://cloud/gold/olist", "")


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_lake_set_to_nothing_is_the_local_folder(stack, folder, monkeypatch, where):
    if where == ".env":
        (folder / ".env").write_text("LAKEHOUSE_LAKE=\n")
    else:
        monkeypatch.setenv("LAKEHOUSE_LAKE", "")
    assert lake() == (f"{folder}/.run/lake/gold/olist", "")


def test_what_starts_a_stack_or_the_demo_does_not_follow_one(stack):
    assert (read_settings().lake, read_settings().s3_endpoint) == ("", "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lake": "s3a://{layer}"}'])
def test_a_damaged_note_is_told_and_never_taken_for_none(stack, text):
    stack.write_text(text)
    with pytest.raises(SettingsError, match=r"running-lake\.json: .*make up"):
        load_settings()


@pytest.mark.parametrize(("lake", "hint"), [("/here/{layer}", "  lake"), ("s3a://{layer}", "  LAKEHOUSE_LAKE= lake")])
def test_the_demos_hint_finds_the_demos_lake_beside_a_running_stack(lake, hint):
    demo = Demo("r1", [], publication=1, is_new=True, lake="/here/{layer}", log="/here/log", seconds=1)
    assert f"{hint}house publications olist" in closing(demo, lake)


def test_jobs_and_commands_agree_on_a_lake_that_is_named():
    told = job_environment(Settings(lake="/data/{layer}"), SERVER)
    assert told["LAKEHOUSE_LAKE"] == "/data/{layer}"
    assert "LAKEHOUSE_S3_ENDPOINT" not in told
    told = job_environment(Settings(minio_port=7), SERVER)
    assert (told["LAKEHOUSE_LAKE"], told["LAKEHOUSE_S3_ENDPOINT"]) == ("s3a://{layer}", "http://127.0.0.1:7")
