"""Whole runs without a JVM, by the command line's way and by Airflow's parts, and the verbs of `lakehouse alerts`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse import cli
from lakehouse.cli.runs import catalog_of
from lakehouse.engine.app import Request, run
from lakehouse.errors import LeaseHeld, SourceUnavailable
from lakehouse.settings import Settings
from lakehouse.specs import Layer

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]
NOBODY = "postgresql://u:canary-source@127.0.0.1:9/source"


@pytest.fixture
def environment(audit_url, discord, tmp_path, monkeypatch) -> dict[str, str]:
    """Settings of this test alone: Bronze finds no source, so that a run fails before a JVM is needed."""
    told = {
        "HOME": ROOT,
        "STATE": tmp_path,
        "LAKE": f"{tmp_path}/lake/{{layer}}",
        "AUDIT_URL": audit_url,
        "CONNECTIONS__SOURCE": NOBODY,
        "DISCORD_HOSTS": discord.hosts,
        "DISCORD_WEBHOOK_URL": discord.url,
    }
    monkeypatch.chdir(tmp_path)
    for name, value in told.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    return {f"LAKEHOUSE_{name}": str(value) for name, value in told.items()}


@pytest.fixture
def settings(environment) -> Settings:
    return Settings(_env_file=None)


def bad_run(settings: Settings, run_id: str) -> None:
    with pytest.raises(SourceUnavailable):
        run(settings, catalog_of(settings, "olist"), Request(run_id, layers=(Layer.BRONZE,), publish=False))


def good_run(settings: Settings, run_id: str, **more) -> None:
    """A whole run of a pipeline without tables; any database is a source for it."""
    settings = settings.model_copy(update={"connections": {"source": settings.audit_url}})
    run(settings, replace(catalog_of(settings, "olist"), tables={}), Request(run_id, **more))


def titles(discord) -> list[str]:
    return [each["title"] for each in discord.shown()]


def test_a_run_is_told_from_its_start_to_its_end_in_one_message(settings, discord):
    good_run(settings, "r1")
    assert titles(discord) == ["🟢 olist succeeded"]
    assert discord.methods()[0] == "POST"
    assert set(discord.methods()[1:]) <= {"PATCH"}


def test_a_failed_run_is_told_with_its_cause_within_seconds_of_its_end(settings, discord, ask):
    bad_run(settings, "r1")
    (embed,) = discord.shown()
    assert embed["title"] == "🔴 olist failed"
    (told,) = [each["value"] for each in embed["fields"] if each["name"] == "Failed"]
    assert "127.0.0.1" in told
    assert "canary" not in str([body for _, _, body, _ in discord.requests])
    ((ended_at,),) = ask("SELECT extract(epoch FROM ended_at)::float FROM audit.runs")
    latency = discord.requests[-1][3] - ended_at
    print(f"\nend of the failed run to its message: {latency:.3f} s")
    assert latency < 5


def test_good_news_off_means_nothing_until_something_fails(settings, discord):
    quiet = settings.model_copy(update={"discord_success": False})
    good_run(quiet, "r1")
    assert discord.requests == []
    bad_run(quiet, "r2")
    good_run(quiet, "r3")
    good_run(quiet, "r4")
    assert titles(discord) == ["🔴 olist failed", "🟢 olist recovered"]


@pytest.mark.parametrize("way", ["hang", 503])
def test_a_webhook_that_is_down_changes_no_runs_end_and_the_next_run_tells(settings, discord, fake_discord, ask, way):
    discord.always = fake_discord.hang if way == "hang" else fake_discord.status(way)
    began = time.monotonic()
    bad_run(settings, "r1")
    assert time.monotonic() - began < 6
    assert ask("SELECT status FROM audit.runs") == [("FAILED",)]
    assert discord.messages == {}
    discord.always = None
    discord.released.set()
    time.sleep(3.0 if way == "hang" else 1.5)  # the back-off after one or two failures
    good_run(settings, "r2")
    assert sorted(titles(discord)) == ["🔴 olist failed", "🟢 olist recovered"]


def test_a_run_that_is_refused_because_another_is_at_work_is_a_failed_one_that_names_it(settings, audit_url, ask):
    from lakehouse.audit.lease import hold

    with hold(audit_url, ["olist"], "other", 1), pytest.raises(LeaseHeld):
        good_run(settings, "r1")
    ((status, error),) = ask("SELECT status, error FROM audit.runs WHERE run_id = 'r1'")
    assert (status, "other" in error) == ("FAILED", True)


PARTS = """
import importlib.util, json, sys
from types import SimpleNamespace
from lakehouse.alerts import address, webhook
port, certificate, way = sys.argv[1:]
address.public_addresses = lambda host, port: ["127.0.0.1"]
webhook.tls = lambda: webhook.ssl.create_default_context(cafile=certificate)
from lakehouse.dags.part import give_up, part_of_run
dag_run = SimpleNamespace(run_type="manual", logical_date=None)
context = {"run_id": "manual__2026-01-02T03:04:05+00:00", "params": {}, "dag_run": dag_run}
context["dag"] = SimpleNamespace(dag_id="medallion_pipeline")
context["task_instance"] = SimpleNamespace(task_id="bronze_ingestion")
for turn in () if way == "never begun" else (1, 2):
    try:
        with part_of_run("olist", context) as part:
            if way == "fails":
                raise ValueError("no such thing")
            part.end() if turn == 1 else part.succeed()
    except ValueError:
        pass
if way == "never begun":
    give_up("olist", context | {"exception": ValueError("its specs are broken")})
    give_up("olist", context | {"reason": "task_failure"})
if way == "given up":
    with part_of_run("olist", context) as part:
        part.end()
    give_up("olist", context | {"reason": "timed_out"})
"""


@pytest.mark.parametrize(
    ("way", "title"),
    [
        ("well", "🟢 olist succeeded"),
        ("fails", "🔴 olist failed"),
        ("given up", "🔴 olist failed"),
        ("never begun", "🔴 olist failed"),
    ],
)
def test_the_parts_of_a_run_in_airflow_are_one_message_that_leads_there(environment, discord, tmp_path, way, title):
    (tmp_path / "ca.pem").write_text(discord.certificate)
    done = subprocess.run(
        [sys.executable, "-c", PARTS, str(discord.port), str(tmp_path / "ca.pem"), way],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert titles(discord) == [title]
    told = {each["name"]: each["value"] for each in discord.shown()[0]["fields"]}
    if way != "well":
        assert "task bronze" in told["Failed"]
    links = told["Links"]
    path = "/dags/medallion_pipeline/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00"
    airflow, page = links.split(" · ")
    assert airflow == f"[Airflow run](http://127.0.0.1:58080{path})"
    assert page.startswith("[Dashboard](http://127.0.0.1:58080/lakehouse/runs/olist-manual-2026-01-02T03-04-05-00-00-")


def lakehouse(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Run a verb in this process; return its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["lakehouse", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return ended.value.code or 0, told.out, told.err


def test_alerts_test_posts_and_edits_one_message(environment, discord, monkeypatch, capsys):
    code, out, _ = lakehouse(monkeypatch, capsys, "alerts", "test", "--json")
    assert code == 0
    assert json.loads(out).keys() == {"message_id", "post_s", "edit_s"}
    assert discord.methods() == ["POST", "PATCH"]
    assert titles(discord) == ["🔵 A test of the alerts"]
    assert lakehouse(monkeypatch, capsys, "alerts", "test")[1].startswith("posted in")


@pytest.mark.parametrize(("way", "code"), [(404, 1), (302, 1), (503, 75), ("cut_off", 75)])
def test_alerts_test_says_what_is_wrong_and_never_the_url(
    environment, discord, fake_discord, monkeypatch, capsys, way, code
):
    discord.always = fake_discord.status(way) if isinstance(way, int) else fake_discord.cut_off
    ended, out, err = lakehouse(monkeypatch, capsys, "alerts", "test")
    assert ended == code
    assert err.startswith("error: discord.com: ")
    assert "next: " in err
    assert fake_discord.TOKEN not in out + err


def test_alerts_test_without_a_webhook_and_with_a_wrong_one_says_where_to_get_one(environment, monkeypatch, capsys):
    monkeypatch.setenv("LAKEHOUSE_DISCORD_WEBHOOK_URL", "")
    code, _, err = lakehouse(monkeypatch, capsys, "alerts", "test")
    assert (code, "is not set" in err, "Integrations" in err) == (2, True, True)
    monkeypatch.setenv("LAKEHOUSE_DISCORD_WEBHOOK_URL", "https://127.0.0.1/api/webhooks/1/canary-token")
    code, _, err = lakehouse(monkeypatch, capsys, "alerts", "test")
    assert (code, "LAKEHOUSE_DISCORD_WEBHOOK_URL" in err, "canary" in err) == (2, True, False)


def test_alerts_send_and_show(environment, settings, discord, fake_discord, monkeypatch, capsys):
    discord.always = fake_discord.status(503)
    bad_run(settings, "r1")
    code, out, err = lakehouse(monkeypatch, capsys, "alerts", "send", "--json")
    assert code == 75
    assert json.loads(out)["left"] == 1
    assert "503" in err
    (shown,) = json.loads(lakehouse(monkeypatch, capsys, "alerts", "show", "--pending", "--json")[1])
    assert (shown["run_id"], shown["status"], shown["attempts"] >= 1) == ("r1", "PENDING", True)
    discord.always = None
    code, out, _ = lakehouse(monkeypatch, capsys, "alerts", "send")
    assert (code, out) == (0, "posted 1, edited 0, left 0\n")
    assert json.loads(lakehouse(monkeypatch, capsys, "alerts", "show", "--pending", "--json")[1]) == []
    assert "SENT" in lakehouse(monkeypatch, capsys, "alerts", "show")[1]


def test_alerts_send_waits_for_the_pause_that_discord_asks_for(
    environment, settings, discord, fake_discord, monkeypatch, capsys
):
    discord.always = fake_discord.status(503)
    bad_run(settings, "r1")
    discord.always = None
    discord.answers.append(fake_discord.limited(1))
    assert lakehouse(monkeypatch, capsys, "alerts", "send", "--wait", "5")[:2] == (0, "posted 1, edited 0, left 0\n")
    assert lakehouse(monkeypatch, capsys, "alerts", "send", "--json")[0] == 0
