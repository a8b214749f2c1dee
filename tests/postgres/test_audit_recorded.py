"""What fails before it is a run of a pipeline is a FAILED row in the audit all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lakehouse.audit.lease import hold
from lakehouse.audit.recorded import SOURCE, failure_recorded
from lakehouse.cli.app import app
from lakehouse.dags import source
from lakehouse.errors import AuditUnavailable, LakehouseError, LeaseHeld, SourceError, SpecError, StateError
from lakehouse.maintenance.run import maintain
from lakehouse.settings import Settings
from lakehouse.source.sample import write_sample
from lakehouse.specs import load_catalog

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]
ROWS = "SELECT pipeline, attempt, status, trigger, error FROM audit.runs"


@pytest.fixture
def settings(audit_url, database, tmp_path, monkeypatch) -> Settings:
    """Settings in the environment, whose pipelines may be spoilt."""
    shutil.copytree(ROOT / "spark" / "pipelines", tmp_path / "pipelines")
    told = {"STATE": tmp_path, "RAW": tmp_path, "PIPELINES": tmp_path / "pipelines", "AUDIT_URL": audit_url}
    told |= {"CONNECTIONS__SOURCE": database, "LAKE": f"{tmp_path}/lake/{{layer}}"}
    monkeypatch.chdir(tmp_path)
    for name, value in told.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    return Settings(_env_file=None)


def command(*words: str) -> None:
    app(list(words), standalone_mode=False)


def test_a_file_that_cannot_be_loaded(settings, tmp_path, ask):
    (tmp_path / "olist_sellers_dataset.csv").write_text("seller_id,seller_city\n")
    with pytest.raises(SourceError):
        command("setup-source")
    ((*told, error),) = ask(ROWS)
    assert told == [SOURCE, 1, "FAILED", "cli"]
    assert "olist_sellers_dataset.csv" in error


def test_a_source_that_is_filled_again_says_so_and_only_then(settings, tmp_path, ask):
    write_sample(tmp_path, scale=0.001)
    command("setup-source")
    assert ask(ROWS) == []
    sellers = tmp_path / "olist_sellers_dataset.csv"
    whole = sellers.read_text()
    sellers.write_text("seller_id,seller_city\n")
    with pytest.raises(SourceError):
        command("setup-source")
    sellers.write_text(whole)
    command("setup-source")
    command("setup-source")
    assert ask("SELECT pipeline, status, error FROM audit.runs WHERE status <> 'FAILED'") == [(SOURCE, "SUCCESS", None)]
    assert ask("SELECT title LIKE '%succeeded%' FROM audit.alerts ORDER BY alert_id") == [(False,), (True,)]


def test_maintenance_that_is_refused(settings, audit_url, ask):
    catalog = load_catalog(settings.path(settings.pipelines) / "olist")
    with hold(audit_url, ["olist"], "other", 1), pytest.raises(LeaseHeld):
        maintain(settings, catalog, "m1", lambda _: 0)
    ((*told, error),) = ask(ROWS)
    assert told == ["olist", 1, "FAILED", "maintenance"]
    assert "run other" in error


def test_the_same_by_its_task_in_airflow(settings, tmp_path, ask, monkeypatch):
    (tmp_path / "olist_sellers_dataset.csv").write_text("seller_id,seller_city\n")

    class Try:
        try_number = 2

    monkeypatch.setattr(source, "get_current_context", lambda: {"run_id": "manual__1", "ti": Try(), "params": {}})
    with pytest.raises(Exception, match=r"olist_sellers_dataset\.csv"):
        source.source_task()
    ((*told, error),) = ask(ROWS)
    assert told == [SOURCE, 2, "FAILED", "airflow"]
    assert "olist_sellers_dataset.csv" in error


def test_a_contract_that_cannot_be_run(settings, tmp_path, ask):
    contract = tmp_path / "pipelines" / "olist" / "silver" / "sellers.odcs.yaml"
    contract.write_text(contract.read_text().replace("watermark: updated_at", "watermark: no_such"))
    with pytest.raises(SpecError):
        command("run", "olist")
    ((*told, error),) = ask(ROWS)
    assert told == ["olist", 1, "FAILED", "cli"]
    assert "sellers.odcs.yaml" in error


def test_a_stream_that_does_not_hold_what_was_sent(settings, ask):
    with pytest.raises(StateError):
        command("stream", "reconcile", "sent-1")
    ((*told, error),) = ask(ROWS)
    assert told == ["olist.stream.order_reviews", 1, "FAILED", "cli"]
    assert "sent-1 has not handed over" in error
    assert ask("SELECT run_id, pipeline, severity FROM audit.alerts") == [
        ("sent-1-reconcile", "olist.stream.order_reviews", "error")
    ]


@pytest.mark.parametrize("raised", [LakehouseError("no."), AuditUnavailable("away.")])
def test_an_audit_that_is_away_hides_no_error(settings, raised):
    away = settings.model_copy(update={"audit_url": type(settings.audit_url)("postgresql://u:p@127.0.0.1:1/a")})
    with pytest.raises(type(raised)) as caught, failure_recorded(away, "r", "olist", 1, "test"):
        raise raised
    assert caught.value is raised
