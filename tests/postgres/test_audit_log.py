"""The run log, read back by plain SQL."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg2
import pytest
from structlog.testing import capture_logs

from lakehouse.audit.alerts import Alert, store_alert
from lakehouse.audit.log import Audit
from lakehouse.audit.result import CheckResult, Drift, Ledger, RuleResult, TableResult
from lakehouse.errors import AuditUnavailable, LedgerUnbalanced, ParameterError, StateError
from lakehouse.log import secrets_of
from lakehouse.publish.manifest import Manifest
from lakehouse.settings import Settings

pytestmark = pytest.mark.postgres
ORDERS = "olist.silver.orders"
WINDOW = (datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))


def result(**changes) -> TableResult:
    whole = TableResult(
        table=ORDERS,
        layer="silver",
        status="SUCCESS",
        ledger=Ledger(28, 1, 2, 3, 4, 5, 6, 7),
        rows_out=3,
        versions_read={"olist.bronze.orders": 4},
        version_written=9,
        phases={"read": 1.5, "merge": 2.0},
        contract_version="1.2.0",
        window_from=WINDOW[0],
        window_to=WINDOW[1],
        rules=[RuleResult("price_not_negative", "price", "error", 27, 1), RuleResult("some_rows", "", "error", 1, 0)],
        drift=[Drift("channel", "added", "", "string", "evolved")],
        note="first load",
    )
    return dataclasses.replace(whole, **changes)


@pytest.fixture
def begun(audit: Audit) -> Audit:
    """The run log with run r1 of olist begun."""
    audit.start_run("r1", "olist", 1, "cli", {"tables": ["orders"]})
    return audit


def test_a_tables_result_is_stored_figure_by_figure(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    assert ask("SELECT status, ended_at FROM audit.run_logs") == [("RUNNING", None)]
    begun.table_finished("r1", 1, result())
    figures = "input_rows, inserted, updated, unchanged, stale, duplicate, quarantined, deleted, output_rows"
    assert ask(f"SELECT status, {figures} FROM audit.run_logs") == [("SUCCESS", 28, 1, 2, 3, 4, 5, 6, 7, 3)]
    assert ask(
        "SELECT table_name, layer, versions_read, version_written, phases, contract_version, window_from, window_to,"
        " note, error, ended_at >= started_at FROM audit.run_logs"
    ) == [
        (
            *(ORDERS, "silver", {"olist.bronze.orders": 4}, 9, {"read": 1.5, "merge": 2.0}, "1.2.0"),
            *(*WINDOW, "first load", None, True),
        )
    ]
    assert ask("SELECT rule, column_name, severity, passed, failed FROM audit.quality_results ORDER BY rule") == [
        ("price_not_negative", "price", "error", 27, 1),
        ("some_rows", "", "error", 1, 0),
    ]
    assert ask("SELECT column_name, kind, before, after, action FROM audit.drift") == [
        ("channel", "added", "", "string", "evolved")
    ]


def test_the_same_result_twice_is_one_row(begun, ask):
    begun.table_finished("r1", 1, result())
    begun.table_finished("r1", 1, result(note="again", rules=[RuleResult("other", "", "warning", 1, 0)]))
    assert ask("SELECT note FROM audit.run_logs") == [("again",)]
    assert ask("SELECT rule FROM audit.quality_results") == [("other",)]
    assert ask("SELECT count(*) FROM audit.drift") == [(1,)]


def test_a_result_without_a_start_began_as_long_ago_as_its_phases_took(begun, ask):
    begun.table_finished("r1", 1, result())
    assert ask("SELECT extract(epoch FROM ended_at - started_at)::float BETWEEN 3.4 AND 3.6 FROM audit.run_logs") == [
        (True,)
    ]


def test_a_result_and_its_details_are_one_transaction(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    twice = [RuleResult("a", "b", "error", 1, 0)] * 2
    with pytest.raises(StateError, match="quality_results"):
        begun.table_finished("r1", 1, result(rules=twice))
    assert ask("SELECT status FROM audit.run_logs") == [("RUNNING",)]


def test_an_unbalanced_ledger_is_refused_before_it_is_written(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    with pytest.raises(LedgerUnbalanced, match=ORDERS):
        begun.table_finished("r1", 1, result(ledger=Ledger(2, 1)))
    assert ask("SELECT status FROM audit.run_logs") == [("RUNNING",)]


@pytest.mark.parametrize("figure", ["inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted"])
def test_the_database_itself_refuses_a_success_that_does_not_balance(begun, ask, figure):
    begun.table_finished("r1", 1, result())
    with pytest.raises(psycopg2.errors.CheckViolation, match="run_logs_ledger_balances"):
        ask(f"UPDATE audit.run_logs SET {figure} = {figure} + 1")


@pytest.mark.parametrize(
    "change",
    [
        "status = 'DONE'",
        "status = 'RUNNING'",
        "ended_at = NULL",
        "status = 'FAILED'",
        "input_rows = NULL",
        "inserted = -1, updated = updated + inserted + 1",
    ],
)
def test_the_database_refuses_rows_that_contradict_themselves(begun, ask, change):
    begun.table_finished("r1", 1, result())
    with pytest.raises(psycopg2.IntegrityError):
        ask(f"UPDATE audit.run_logs SET {change}")


def test_a_table_with_nothing_to_do_does_not_hide_what_its_attempt_did_before(begun, ask):
    begun.table_finished("r1", 1, result())
    begun.table_started("r1", 1, "silver", ORDERS)
    begun.table_finished("r1", 1, TableResult(ORDERS, "silver", "SKIPPED"))
    assert ask("SELECT status, version_written FROM audit.run_logs") == [("SUCCESS", 9)]
    assert ask("SELECT count(*) FROM audit.quality_results") == [(2,)]


def test_a_skipped_table_has_its_row(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    begun.table_finished("r1", 1, TableResult(ORDERS, "silver", "SKIPPED", note="nothing new"))
    assert ask("SELECT status, input_rows, version_written, note FROM audit.run_logs") == [
        ("SKIPPED", 0, None, "nothing new")
    ]


def test_a_failed_table_says_why_and_may_succeed_later(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    begun.table_failed("r1", 1, "silver", ORDERS, "the source went away")
    assert ask("SELECT status, error, ended_at IS NULL FROM audit.run_logs") == [
        ("FAILED", "the source went away", False)
    ]
    begun.table_finished("r1", 1, result())
    assert ask("SELECT status, error FROM audit.run_logs") == [("SUCCESS", None)]


def test_a_table_that_fails_before_it_began_has_its_row_too(begun, ask):
    begun.table_failed("r1", 1, "silver", ORDERS, "refused")
    assert ask("SELECT status, error FROM audit.run_logs") == [("FAILED", "refused")]


def test_a_later_attempt_ends_the_row_of_the_one_it_replaces(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    begun.table_started("r1", 1, "gold", "olist.gold.x")
    begun.start_run("r1", "olist", 2, "dag")
    begun.table_started("r1", 2, "silver", ORDERS)
    assert ask("SELECT attempt, layer, status, error FROM audit.run_logs ORDER BY attempt, layer") == [
        (1, "gold", "RUNNING", None),
        (1, "silver", "FAILED", "replaced by attempt 2"),
        (2, "silver", "RUNNING", None),
    ]


def test_errors_are_cut_to_4000_characters_after_redaction(audit_url, ask):
    secret = "canary-of-the-cut"
    with Audit(audit_url, [secret]) as audit:
        audit.start_run("r1", "olist", 1, "cli")
        audit.table_failed("r1", 1, "silver", ORDERS, "x" * 3_995 + secret + "y" * 9_000)
    ((error,),) = ask("SELECT error FROM audit.run_logs")
    assert len(error) == 4_000
    assert error.startswith("x" * 3_995 + "***")
    assert "canar" not in error


def test_text_that_postgres_cannot_hold_is_stored_all_the_same(begun, ask):
    begun.table_failed("r1", 1, "silver", ORDERS, "a\x00b \ud800 c")
    begun.start_run("r2", "olist", 1, "cli", {"odd": "a\x00b", "literal": "\\u0000"})
    assert ask("SELECT error FROM audit.run_logs") == [("a\ufffdb ? c",)]
    assert ask("SELECT params FROM audit.runs WHERE run_id = 'r2'") == [({"odd": "a\ufffdb", "literal": "\\u0000"},)]


def test_no_secret_reaches_any_row(audit_url, ask):
    url = "postgresql://loader:canary-p%40ss-source@db/shop"
    settings = Settings(
        _env_file=None,
        connections={"source": url},
        s3_secret_key="canary-s3",
        discord_webhook_url="https://discord.com/api/webhooks/1/canary-hook",
        minio_root_password="canary-minio",
        airflow_fernet_key="canary-fernet",
    )
    own = audit_url.split(":")[2].partition("@")[0]
    told = (
        f"{url} canary-p@ss-source canary-s3 canary-minio {settings.discord_webhook_url.get_secret_value()} "
        f"canary-fernet jdbc:postgresql://x/y?user=a&password=canary-unknown postgresql://u:canary-other@h/d {own}"
    )
    with Audit(audit_url, secrets_of(settings)) as audit:
        audit.start_run("r1", "olist", 1, "cli", {"conf": {"url": told, "list": [told]}})
        audit.table_finished("r1", 1, result(note=told, drift=[Drift("c", "changed", told, told, told)]))
        audit.table_failed("r1", 1, "gold", "olist.gold.x", told)
        audit.finish_run("r1", 1, "FAILED", told)
        store_alert(audit, Alert("k", "error", "olist", told, told, "r1"))
    stored = ""
    for table in ("runs", "run_logs", "quality_results", "drift", "publications", "alerts", "leases"):
        stored += "".join(row for (row,) in ask(f"SELECT t::text FROM audit.{table} AS t"))
    assert len(stored) > 1_000
    assert "canary" not in stored
    assert own not in stored


def test_a_runs_end_is_stored_and_a_failure_puts_one_alert_into_the_outbox(begun, ask):
    begun.finish_run("r1", 1, "FAILED", "silver: the source went away")
    begun.finish_run("r1", 1, "FAILED", "silver: the source went away")
    assert ask("SELECT status, error, ended_at IS NULL FROM audit.runs") == [
        ("FAILED", "silver: the source went away", False)
    ]
    assert ask("SELECT pipeline, run_id, severity, status, occurrences, body FROM audit.alerts") == [
        ("olist", "r1", "error", "PENDING", 2, "silver: the source went away")
    ]


def test_a_success_has_no_error_and_no_alert(begun, ask):
    begun.finish_run("r1", 1, "SUCCESS")
    assert ask("SELECT status, error FROM audit.runs") == [("SUCCESS", None)]
    assert ask("SELECT count(*) FROM audit.alerts") == [(0,)]


def test_a_later_process_of_the_same_attempt_carries_the_run_on(begun, ask):
    ((began,),) = ask("SELECT started_at FROM audit.runs")
    begun.finish_run("r1", 1, "FAILED", "x")
    begun.start_run("r1", "olist", 1, "dag")
    assert ask("SELECT status, error, ended_at, started_at = %s FROM audit.runs", began) == [
        ("RUNNING", None, None, True)
    ]


def test_a_run_that_never_began_cannot_be_ended(audit):
    with pytest.raises(StateError, match="r9"):
        audit.finish_run("r9", 1, "SUCCESS")


def test_a_publication_is_copied_once_and_follows_the_manifest(audit, ask):
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    audit.publication(Manifest(3, "olist", "r1", moment, {ORDERS: 4}))
    audit.publication(Manifest(3, "olist", "r2", moment, {ORDERS: 5}, 1))
    assert ask("SELECT pipeline, number, run_id, published_at, tables, rolled_back_to FROM audit.publications") == [
        ("olist", 3, "r2", moment, {ORDERS: 5}, 1)
    ]


# A crash between a table's commit and its row.


def test_a_version_is_recorded_only_by_a_success(begun):
    assert not begun.is_recorded(ORDERS, 9, "r1")
    begun.table_failed("r1", 1, "silver", ORDERS, "x")
    assert not begun.is_recorded(ORDERS, 9, "r1")
    begun.table_finished("r1", 1, result())
    assert begun.is_recorded(ORDERS, 9, "r1")
    assert not begun.is_recorded(ORDERS, 9, "r0"), "the same number of an earlier lake is another version"
    assert not begun.is_recorded(ORDERS, 8, "r1")
    assert not begun.is_recorded("olist.silver.order_items", 9, "r1")


def test_a_found_commit_gets_its_row_with_the_commits_own_time(begun, ask):
    begun.table_started("r1", 1, "silver", ORDERS)
    committed = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    note = result().as_json()
    begun.record_found("r1", 1, TableResult.from_json(note), committed, found_by="r2")
    begun.record_found("r1", 1, TableResult.from_json(note), committed, found_by="r3")
    assert ask("SELECT status, inserted, version_written, ended_at, left(note, 26) FROM audit.run_logs") == [
        ("SUCCESS", 1, 9, committed, "first load (found by run r")
    ]
    assert begun.is_recorded(ORDERS, 9, "r1")
    assert ask("SELECT count(*) FROM audit.quality_results") == [(2,)]


def test_a_lost_database_is_filled_again_from_what_commits_say(audit, ask):
    committed = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    audit.record_found("long-ago", 3, result(), committed, found_by="r2")
    assert ask("SELECT run_id, attempt, pipeline, trigger, status, started_at FROM audit.runs") == [
        ("long-ago", 3, "olist", "found", "UNKNOWN", committed)
    ]
    assert audit.is_recorded(ORDERS, 9, "long-ago")


# Connections.


def test_a_lost_connection_is_made_again_once(begun, ask):
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakehouse audit'")
    begun.table_started("r1", 1, "silver", ORDERS)
    assert ask("SELECT status FROM audit.run_logs") == [("RUNNING",)]


def test_a_database_that_went_away_is_said_and_not_waited_for(begun, ask, database, postgres):
    with psycopg2.connect(postgres) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            name = database.rpartition("/")[2]
            cursor.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    with pytest.raises(AuditUnavailable) as caught:
        begun.table_started("r1", 1, "silver", ORDERS)
    assert caught.value.heals
    assert caught.value.remedy


def test_a_failure_that_the_audit_cannot_take_is_logged_and_raises_nothing(postgres):
    gone = postgres.rpartition("/")[0] + "/no_such_database"
    with Audit(gone) as audit, capture_logs() as logged:
        audit.finish_failed("r1", 1, ValueError("the first cause"))
    (said,) = logged
    assert (said["log_level"], said["run"]) == ("warning", "r1")
    assert "no_such_database" in said["error"]


def test_a_failure_of_a_run_that_never_began_raises_nothing_either(audit):
    with capture_logs() as logged:
        audit.finish_failed("r9", 1, ValueError("the first cause"))
    assert "r9, attempt 1 is not in audit.runs" in logged[0]["error"]


def test_a_failure_says_its_kind_where_its_text_says_little(begun, ask):
    begun.finish_failed("r1", 1, KeyError("price"))
    assert ask("SELECT status, error FROM audit.runs") == [("FAILED", "KeyError('price')")]


def test_a_database_without_the_schema_names_the_command(database):
    with Audit(database) as audit, pytest.raises(AuditUnavailable, match="lakehouse migrate"):
        audit.start_run("r1", "olist", 1, "cli")


def test_a_wrong_password_is_said_without_showing_it(audit_url):
    wrong = audit_url.replace(audit_url.split(":")[2].partition("@")[0], "canary-wrong")
    with Audit(wrong) as audit, pytest.raises(AuditUnavailable, match="password authentication failed") as caught:
        audit.runs()
    assert "canary-wrong" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_threads_share_one_log_without_mixing_their_rows(begun, ask):
    def work(n: int) -> None:
        begun.table_started("r1", 1, "silver", f"olist.silver.t{n}")
        rules = [RuleResult(f"rule{n}", "", "error", n, 0)]
        begun.table_finished("r1", 1, result(table=f"olist.silver.t{n}", ledger=Ledger(n, n), rules=rules))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    rows = ask(
        "SELECT table_name, input_rows, rule, passed FROM audit.run_logs JOIN audit.quality_results USING (table_name)"
    )
    assert sorted(rows) == sorted((f"olist.silver.t{n}", n, f"rule{n}", n) for n in range(60))


# Reading back.


def test_runs_are_listed_newest_first_with_their_sums(begun):
    begun.table_finished("r1", 1, result())
    begun.table_failed("r1", 1, "gold", "olist.gold.x", "x")
    begun.finish_run("r1", 1, "FAILED", "x")
    begun.start_run("r2", "shop", 1, "dag")
    newest, oldest = begun.runs()
    assert (newest["run_id"], newest["status"], newest["tables"], newest["input_rows"]) == ("r2", "RUNNING", 0, 0)
    assert {key: oldest[key] for key in ("run_id", "tables", "tables_failed", "input_rows", "output_rows")} == {
        "run_id": "r1",
        "tables": 2,
        "tables_failed": 1,
        "input_rows": 28,
        "output_rows": 3,
    }
    assert oldest["quarantined"] == 6
    assert [row["run_id"] for row in begun.runs(pipeline="olist")] == ["r1"]
    assert [row["run_id"] for row in begun.runs(limit=1)] == ["r2"]


def test_a_run_is_shown_with_all_its_parts(begun):
    begun.table_finished("r1", 1, result())
    begun.publication(Manifest(1, "olist", "r1", WINDOW[0], {ORDERS: 9}))
    shown = begun.show("r1")
    assert {name: len(rows) for name, rows in shown.items()} == {
        "attempts": 1,
        "tables": 1,
        "rules_failed": 1,
        "checks_failed": 0,
        "drift": 1,
        "publications": 1,
        "sends": 0,
        "batches_summed": 0,
        "batches": 0,
    }
    assert shown["tables"][0]["window_to"] == WINDOW[1]
    assert shown["rules_failed"][0]["rule"] == "price_not_negative"


def test_what_checks_of_whole_tables_found_stands_beside_the_tables_newest_row(begun, ask):
    begun.table_finished("r1", 1, result())
    for attempt in (2, 3):
        begun.start_run("r1", "olist", attempt, "cli")
    begun.table_finished("r1", 2, result(status="SKIPPED", rules=[]))
    fresh, filled = (
        CheckResult(ORDERS, 9, "fresh", "warning", 30.5, False),
        CheckResult(ORDERS, 9, "n", "error", 3, True),
    )
    elsewhere = CheckResult("olist.silver.elsewhere", 1, "n", "error", 0, False)
    for _ in range(2):
        begun.checks_found("r1", [fresh, filled, elsewhere])
    found = "SELECT attempt, layer, rule, severity, passed, failed, value FROM audit.quality_results {} ORDER BY rule"
    assert ask(found.format("WHERE value IS NOT NULL")) == [
        (2, "silver", "fresh", "warning", 0, 1, 30.5),
        (2, "silver", "n", "error", 1, 0, 3.0),
    ]
    shown = begun.show("r1")
    assert [(row["check"], row["severity"], row["value"]) for row in shown["checks_failed"]] == [
        ("fresh", "warning", 30.5)
    ]
    assert [row["rule"] for row in shown["rules_failed"]] == ["price_not_negative"]


def test_an_unknown_run_gets_the_nearest_name(audit):
    audit.start_run("manual__2026-01-01", "olist", 1, "cli")
    with pytest.raises(ParameterError, match='Did you mean "manual__2026-01-01"'):
        audit.show("manual__2026-01-02")
