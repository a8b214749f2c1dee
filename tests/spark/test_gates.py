"""What stops a run, and that tables, quarantine and readers are then as they should be."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from lakehouse.errors import AuditUnavailable, GateFailed, QuarantineLimitExceeded, StateError
from lakehouse.publish.store import current

SCHEMA = "id string, amount int, at timestamp"
COLUMNS = ["id string key", "amount int", "at timestamp required"]
T = [datetime(2018, 1, day, tzinfo=UTC) for day in range(1, 10)]


def thing(build, *rules, **block):
    said = {"source": "shop.thing", "watermark": "at", "latest_by": ["at"], "deletes": "key-scan"}
    return build.contract(COLUMNS, [build.rule("not_negative", "amount >= 0"), *rules], **said | block)


def total(build, sql: str, *rules):
    columns = ["id string key", "amount int"]
    block = {"kind": "incremental", "rebuild_by": "id", "inputs": {"thing": {"column": "id"}}}
    return build.contract(columns, list(rules), **block), sql


def silver(house):
    return house.rows("silver", "thing", "id, amount")


def held(house):
    return house.rows("quarantine", "thing", "key, status")


def published(house):
    manifest = current(house.settings, "shop")
    return manifest and (manifest.number, manifest.tables)


def test_above_the_limit_the_run_stops_with_the_rejects_kept_and_all_else_as_it_was(house, build):
    lake = house({"silver.thing": thing(build, quarantine_limit="50%")})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", publish=True)
    before, seen = lake.versions()["silver/shop/thing"], published(lake)
    lake.bring("thing", SCHEMA, [("a", -1, T[1], "upsert"), ("b", -1, T[1], "upsert"), ("c", 3, T[1], "upsert")])
    for _ in range(2):
        outcome = lake.run("silver", publish=True)
        error = outcome.failures["shop.silver.thing"]
        assert isinstance(error, QuarantineLimitExceeded)
        assert "2 of 3 rows were rejected (66.7%); most by not_negative (2)" in str(error)
        assert held(lake) == [("a", "quarantined"), ("b", "quarantined")]
        assert lake.versions()["silver/shop/thing"] == before
        assert published(lake) == seen
    lenient = thing(build, quarantine_limit="50%")
    lenient["quality"] = [build.rule("below_three", "amount < 3")]
    lake.write("silver.thing", lenient, "1.1.0")
    lake.ok("silver", publish=True)
    assert silver(lake) == [("a", -1), ("b", -1)]
    assert ("c", "quarantined") in held(lake), "a second judgement is no repeat of the first"
    lake.write("silver.thing", thing(build, quarantine_limit="50%"), "1.2.0")
    lake.bring("thing", SCHEMA, [("a", 2, T[2], "upsert"), ("d", 4, T[1], "upsert")])
    lake.ok("silver", publish=True)
    assert silver(lake) == [("a", 2), ("b", -1), ("d", 4)]
    assert published(lake) != seen


BOTH_ROADS = pytest.mark.parametrize(
    "small", [2_000_000, pytest.param(0, marks=pytest.mark.daily)], ids=["driver", "spark"]
)


def stopped(lake):
    error = lake.run("silver").failures["shop.silver.thing"]
    assert isinstance(error, QuarantineLimitExceeded)
    return str(error)


@BOTH_ROADS
@pytest.mark.parametrize("loaded", [True, pytest.param(False, marks=pytest.mark.daily)], ids=["later", "first load"])
def test_rejects_that_the_source_has_corrected_stop_no_run_any_more(house, build, small, loaded):
    lake = house({"silver.thing": thing(build, quarantine_limit="20%", quarantine_floor=1)}, small_batch_rows=small)
    good, bad = [f"g{n}" for n in range(6)], ["b0", "b1", "b2", "b3"]
    if loaded:
        lake.bring("thing", SCHEMA, [("old", 1, T[0], "upsert")])
        lake.ok("silver")
    lake.bring("thing", SCHEMA, [*[(k, 1, T[1], "upsert") for k in good], *[(k, -1, T[1], "upsert") for k in bad]])
    assert "4 of 10 rows were rejected (40.0%); most by not_negative (4). Allowed" in stopped(lake)
    lake.bring("thing", SCHEMA, [("b0", 5, T[2], "upsert"), ("b1", None, T[2], "delete"), ("b2", -5, T[2], "upsert")])
    told = stopped(lake)
    assert "3 of 10 rows were rejected (30.0%); most by not_negative (3). 2 more count no longer" in told
    lake.bring("thing", SCHEMA, [("b2", 6, T[3], "upsert")])
    ledger = lake.ok("silver")["silver.thing"].ledger
    assert (ledger.rows_in, ledger.quarantined) == (14, 5), "they are kept and counted as ever"
    old = [("old", 1)] if loaded else []
    assert silver(lake) == sorted([("b0", 5), ("b2", 6), *[(k, 1) for k in good], *old])
    assert [key for key, _ in held(lake)] == ["b0", "b1", "b2", "b2", "b3"]


@BOTH_ROADS
def test_a_reject_that_no_row_has_corrected_counts(house, build, small):
    """A valid row that is older, another key's, or of a reject without a key or a moment; and one that came first."""
    columns = ["id int key", "part string key", "amount int", "at timestamp required"]
    said = {"source": "shop.thing", "watermark": "at", "latest_by": ["at"], "quarantine_limit": "0%"}
    contract = build.contract(columns, [build.rule("not_negative", "amount >= 0")], **said)
    lake = house({"silver.thing": contract}, small_batch_rows=small)
    schema = "id string, part string, amount int, at timestamp"
    good = [("1", "a", 1, T[1]), ("2", "a", 1, T[3]), ("3", "a", 1, T[1])]
    bad = [("1", "a", -1, T[2]), ("2", "b", -1, T[2]), ("x", "a", -1, T[2]), (None, "a", -1, T[2]), ("3", "a", 1, None)]
    lake.bring("thing", schema, [(*row, "upsert") for row in [*good, *bad]])
    lake.bring("thing", schema, [("9", "a", 1, T[8], "upsert")])
    assert "5 of 9 rows were rejected (55.6%); most by" in stopped(lake)
    assert "no longer:" not in stopped(lake)
    lake.bring("thing", schema, [("3", "a", 1, T[4], "upsert"), ("2", "b", 2, T[2], "upsert")])
    assert "3 of 9 rows were rejected (33.3%); most by not_negative (3). 2 more count no longer" in stopped(lake)


@pytest.fixture
def ask_audit(audit_url):
    """Runs one query on the audit database and returns its rows."""

    def run(query, *parameters):
        with closing(psycopg2.connect(audit_url)) as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    return run


def test_the_limit_that_was_passed_is_told_in_the_audit(house, build, audit_url):
    lake = house({"silver.thing": thing(build, quarantine_limit="0%")})
    lake.bring("thing", SCHEMA, [("a", -1, T[0], "upsert")])
    run_id = lake.run("silver").run_id
    with closing(psycopg2.connect(audit_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT status, error FROM audit.run_logs WHERE run_id = %s", [run_id])
        ((status, error),) = cursor.fetchall()
    assert (status, "not_negative" in error) == ("FAILED", True)
    assert "silver/shop/thing" not in lake.versions()


def test_a_corrected_contract_brings_quarantined_rows_back_by_a_replay(house, build):
    lake = house({"silver.thing": thing(build, quarantine_limit="100%")})
    rows = [("a", 1, T[0], "upsert"), ("a", -2, T[1], "upsert"), ("b", -2, T[1], "upsert"), ("c", None, T[1], "upsert")]
    lake.bring("thing", SCHEMA, rows)
    lake.bring("thing", SCHEMA, [("b", 5, T[2], "upsert")])
    assert lake.ok("silver")["silver.thing"].ledger.quarantined == 3
    lenient = thing(build, quarantine_limit="100%")
    lenient["quality"] = [build.rule("not_negative", "amount >= -2")]
    lake.write("silver.thing", lenient, "1.1.0")
    assert lake.ok("silver")["silver.thing"].status == "SKIPPED"
    ledger = lake.ok("silver", replay=True)["silver.thing"].ledger
    # a's newer version is taken, b's is older than what Silver holds, c still has no amount.
    assert (ledger.rows_in, ledger.updated, ledger.stale, ledger.quarantined) == (3, 1, 1, 1)
    assert silver(lake) == [("a", -2), ("b", 5)]
    assert held(lake) == [("a", "released"), ("b", "released"), ("c", "quarantined")]
    ((reasons, version),) = lake.rows("quarantine", "thing", "[r.rule FOR r IN reasons], contract_version", "key")[2:]
    assert (reasons, version) == (["not_negative"], "1.1.0")
    before = lake.versions()["silver/shop/thing"]
    assert lake.ok("silver", replay=True)["silver.thing"].ledger.rows_in == 1
    assert (lake.versions()["silver/shop/thing"], silver(lake)) == (before, [("a", -2), ("b", 5)])


@pytest.mark.parametrize("small", [2_000_000, pytest.param(0, marks=pytest.mark.daily)])
def test_rows_that_another_version_of_the_contract_has_judged_are_said_to_stay(house, build, capsys, small):
    lake = house({"silver.thing": thing(build)}, small_batch_rows=small)
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    assert lake.ok("silver")["silver.thing"].note == ""
    lake.write("silver.thing", thing(build, build.rule("not_one", "amount <> 1"), quarantine_limit="100%"), "1.1.0")
    left = "the contract was 1.0.0: rows judged before stay as they are: --full-refresh judges them again"
    capsys.readouterr()
    result = lake.ok("silver")["silver.thing"]
    assert (result.status, result.note) == ("SKIPPED", f"Bronze has nothing new; {left}")
    assert left in "".join(capsys.readouterr())
    lake.bring("thing", SCHEMA, [("b", 2, T[1], "upsert")])
    assert lake.ok("silver")["silver.thing"].note == left
    assert silver(lake) == [("a", 1), ("b", 2)]
    assert lake.ok("silver")["silver.thing"].note == "Bronze has nothing new"
    assert left not in lake.ok("silver", full_refresh=True)["silver.thing"].note
    assert silver(lake) == [("b", 2)]


def test_a_broken_rule_of_a_gold_table_stops_its_commit(house, build):
    gold = total(build, "SELECT id, amount FROM thing", build.rule("at_most_ten", "amount <= 10"))
    lake = house({"silver.thing": thing(build), "gold.total": gold})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", "gold", publish=True)
    before, seen = lake.versions()["gold/shop/total"], published(lake)
    lake.bring("thing", SCHEMA, [("a", 2, T[1], "upsert"), ("b", 11, T[1], "upsert")])
    error = lake.run("silver", "gold", publish=True).failures["shop.gold.total"]
    assert isinstance(error, GateFailed)
    assert "rule at_most_ten fails for id=b" in str(error)
    assert (lake.versions()["gold/shop/total"], published(lake)) == (before, seen)
    assert lake.rows("gold", "total", "id, amount") == [("a", 1)]
    lake.bring("thing", SCHEMA, [("b", 10, T[2], "upsert")])
    lake.ok("silver", "gold", publish=True)
    assert lake.rows("gold", "total", "id, amount") == [("a", 2), ("b", 10)]


def test_sql_that_multiplies_rows_is_stopped_before_readers_see_it(house, build):
    lake = house({"silver.thing": thing(build), "gold.total": total(build, "SELECT id, amount FROM thing")})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", "gold", publish=True)
    seen, before = published(lake), lake.versions()["gold/shop/total"]
    doubling = "SELECT t.id, t.amount FROM thing AS t CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2 AS n) AS twice"
    lake.write("gold.total", total(build, doubling), "1.1.0")
    error = lake.run("silver", "gold", publish=True).failures["shop.gold.total"]
    assert "several rows for one key (id)" in str(error)
    assert (published(lake), lake.versions()["gold/shop/total"]) == (seen, before)
    other = house({"silver.thing": thing(build), "gold.total": total(build, doubling)})
    other.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    error = other.run("silver", "gold", publish=True).failures["shop.gold.total"]
    assert "several rows for one key (id)" in str(error)
    assert published(other) is None
    assert "gold/shop/total" not in other.versions()


TWICE = "CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2 AS n) AS twice"


@pytest.mark.parametrize("small", [pytest.param(0, marks=pytest.mark.daily), 20000])
def test_sql_that_multiplies_rows_is_stopped_where_the_contract_gets_a_column_too(house, build, small):
    gold = total(build, "SELECT id, amount FROM thing")
    lake = house({"silver.thing": thing(build), "gold.total": gold}, small_batch_rows=small)
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert"), ("b", 2, T[0], "upsert")])
    lake.ok("silver", "gold", publish=True)
    seen, before = published(lake), lake.versions()["gold/shop/total"]
    wider, sql = total(build, f"SELECT t.id, t.amount, t.amount AS more FROM thing AS t {TWICE}")
    wider["columns"].append(build.column_of("more int"))
    lake.write("gold.total", (wider, sql), "1.1.0")
    error = lake.run("silver", "gold", publish=True).failures["shop.gold.total"]
    assert isinstance(error, GateFailed)
    assert "shop.gold.total: the SQL makes several rows for one key (id): 2 for id=a." in str(error)
    assert (published(lake), lake.versions()["gold/shop/total"]) == (seen, before)


@pytest.mark.parametrize("small", [pytest.param(0, marks=pytest.mark.daily), 20000])
def test_a_second_row_of_a_key_is_refused_though_the_first_is_as_it_was(house, build, small):
    gold = total(build, "SELECT id, amount FROM thing")
    lake = house({"silver.thing": thing(build), "gold.total": gold}, small_batch_rows=small)
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", "gold", publish=True)
    seen, before = published(lake), lake.versions()["gold/shop/total"]
    lake.write("gold.total", total(build, f"SELECT t.id, t.amount * n AS amount FROM thing AS t {TWICE}"), "1.1.0")
    error = lake.run("silver", "gold", publish=True).failures["shop.gold.total"]
    assert "several rows for one key (id): 2 for id=a" in str(error)
    assert (published(lake), lake.versions()["gold/shop/total"]) == (seen, before)


def test_rows_multiplied_by_the_first_run_of_all_make_no_table_by_either_road(house, build):
    sql = f"SELECT t.id, t.amount FROM thing AS t {TWICE}"
    lake = house({"silver.thing": thing(build), "gold.total": total(build, sql)}, small_batch_rows=0)
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    error = lake.run("silver", "gold").failures["shop.gold.total"]
    assert "several rows for one key (id): 2 for id=a" in str(error)
    assert "gold/shop/total" not in lake.versions()


def test_a_run_of_one_table_does_not_publish_what_a_failed_run_has_left(house, build):
    gold = total(build, "SELECT id, amount FROM thing")
    other = build.contract(COLUMNS, source="shop.other", watermark="at", latest_by=["at"], quarantine_limit="0%")
    other["quality"] = [build.rule("not_negative", "amount >= 0")]
    lake = house({"silver.thing": thing(build), "silver.other": other, "gold.total": gold})
    for table in ("thing", "other"):
        lake.bring(table, SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", "gold", publish=True)
    _, before = published(lake)
    lake.bring("thing", SCHEMA, [("a", 2, T[1], "upsert")])
    lake.bring("other", SCHEMA, [("a", -1, T[1], "upsert")])
    assert set(lake.run("silver", "gold", publish=True).failures) == {"shop.silver.other"}
    assert lake.versions()["silver/shop/thing"] == before["shop.silver.thing"] + 1
    lake.ok("silver", "gold", tables=["total"], publish=True)
    _, after = published(lake)
    assert after == before | {"shop.gold.total": before["shop.gold.total"] + 1}


def test_a_check_that_only_warns_is_told_in_the_audit_and_the_log(house, build, ask_audit, capsys):
    said = thing(build)
    said["quality"].append(
        {"name": "many", "type": "library", "metric": "rowCount", "mustBeGreaterThan": 5, "severity": "warning"}
    )
    lake = house({"silver.thing": said})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    outcome = lake.run("silver", publish=True)
    assert outcome.manifest.tables == {"shop.silver.thing": 0}
    assert ask_audit(
        "SELECT table_name, rule, severity, passed, failed, value FROM audit.quality_results"
        " WHERE run_id = %s AND value IS NOT NULL",
        outcome.run_id,
    ) == [("shop.silver.thing", "many", "warning", 0, 1, 1.0)]
    assert "check failed" in capsys.readouterr().out


def test_a_run_whose_audit_is_away_touches_nothing(house, build):
    lake = house({"silver.thing": thing(build)})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    before, settings = lake.versions(), lake.settings
    lake.settings = settings.model_copy(
        update={"audit_url": type(settings.audit_url)("postgresql://u:p@127.0.0.1:1/a")}
    )
    with pytest.raises(AuditUnavailable) as away:
        lake.run("silver")
    assert away.value.heals
    assert lake.versions() == before


@pytest.mark.parametrize("layer", ["silver", "gold"])
def test_a_table_put_back_to_an_older_version_is_noticed_and_mended_by_a_full_refresh(house, build, layer):
    gold = total(build, "SELECT id, amount FROM thing")
    lake = house({"silver.thing": thing(build), "gold.total": gold})
    for day in (0, 1):
        lake.bring("thing", SCHEMA, [("a", day, T[day], "upsert"), (f"b{day}", 1, T[day], "upsert")])
        lake.ok("silver", "gold")
    table = {"silver": "thing", "gold": "total"}[layer]
    expected = lake.rows(layer, table, "id, amount")
    lake.delta(layer, table).restore(0)
    assert lake.rows(layer, table, "id, amount") != expected
    before = lake.versions()
    error = lake.run("silver", "gold").failures[f"shop.{layer}.{table}"]
    assert isinstance(error, StateError)
    assert "full_refresh" in str(error)
    assert lake.versions() == before
    lake.ok("silver", "gold", full_refresh=True)
    assert lake.rows(layer, table, "id, amount") == expected
    assert {result.status for result in lake.ok("silver", "gold").values()} == {"SKIPPED"}


def test_a_bronze_table_put_back_to_an_older_version_is_noticed_by_silver(house, build):
    lake = house({"silver.thing": thing(build)})
    for day in (0, 1):
        lake.bring("thing", SCHEMA, [("a", day, T[day], "upsert")])
        lake.ok("silver")
    lake.delta("bronze", "thing").restore(0)
    error = lake.run("silver").failures["shop.silver.thing"]
    assert isinstance(error, StateError)


def test_a_log_that_cannot_be_read_is_never_taken_for_a_new_table(house, build):
    lake = house({"silver.thing": thing(build)})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver")
    uri = lake.lake.uri("silver", "thing")
    (log,) = list(Path(uri, "_delta_log").glob("*.json"))
    log.write_text(log.read_text()[:40])
    error = lake.run("silver").failures["shop.silver.thing"]
    assert isinstance(error, StateError)
    assert "_delta_log" in str(error)


def test_a_change_that_gold_does_not_show_is_taken_in_once(house, build):
    lake = house({"silver.thing": thing(build), "gold.total": total(build, "SELECT id, amount FROM thing")})
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert")])
    lake.ok("silver", "gold")
    lake.bring("thing", SCHEMA, [("a", 1, T[1], "upsert")])
    results = lake.ok("silver", "gold")
    assert (results["silver.thing"].ledger.updated, results["gold.total"].ledger.unchanged) == (1, 1)
    before = lake.versions()
    assert {result.status for result in lake.ok("silver", "gold").values()} == {"SKIPPED"}
    assert lake.versions() == before


@pytest.mark.parametrize("again", [("lost", 2), ("another", 1)])
def test_a_row_that_a_crash_kept_from_the_audit_is_written_by_the_next_attempt(house, build, monkeypatch, again):
    lake = house({"silver.thing": thing(build, quarantine_limit="50%")})
    run_id = uuid.uuid4().hex
    lost, next_run = f"{run_id}-lost", f"{run_id}-{again[0]}"
    lake.bring("thing", SCHEMA, [("a", 1, T[0], "upsert"), ("b", 2, T[0], "upsert"), ("c", -1, T[0], "upsert")])
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("lakehouse.audit.log.Audit.table_finished", lambda *_: 1 / 0)
        lake.run("silver", attempt=(lost, 1))
    assert lake.ok("silver", attempt=(next_run, again[1]))["silver.thing"].status == "SKIPPED"
    rows = "SELECT status, input_rows, inserted, quarantined, version_written FROM audit.run_logs WHERE {}"
    of_lost = rows.format("run_id = %s AND attempt = 1 AND table_name = 'shop.silver.thing'")
    with closing(psycopg2.connect(lake.settings.need_audit_url())) as connection, connection.cursor() as cursor:
        cursor.execute(of_lost, [lost])
        assert cursor.fetchall() == [("SUCCESS", 3, 2, 1, 0)]


def test_everything_judged_again_leaves_nothing_that_the_contract_rejects(house, build):
    lenient = thing(build, history=True, quarantine_limit="100%")
    lenient["quality"] = []
    lake = house({"silver.thing": lenient})
    rows = [("a", 1, T[0], "upsert"), ("a", -1, T[1], "upsert"), ("b", -2, T[0], "upsert"), ("c", 3, T[0], "upsert")]
    lake.bring("thing", SCHEMA, rows)
    lake.ok("silver")
    assert silver(lake) == [("a", -1), ("b", -2), ("c", 3)]
    lake.write("silver.thing", thing(build, history=True, quarantine_limit="100%"), "1.1.0")
    result = lake.ok("silver", full_refresh=True)["silver.thing"]
    assert "rejects now" in result.note
    assert silver(lake) == lake.rows("silver", "thing_history", "id, amount") == [("a", 1), ("c", 3)]
    assert held(lake) == [("a", "quarantined"), ("b", "quarantined")]
    before = lake.ok("silver", full_refresh=True)["silver.thing"]
    assert (before.ledger.unchanged, before.note) == (2, "")


def test_everything_judged_again_leaves_no_older_version_that_the_contract_rejects(house, build):
    lenient = thing(build, history=True, quarantine_limit="100%")
    lenient["quality"] = []
    lake = house({"silver.thing": lenient})
    lake.bring("thing", SCHEMA, [("a", -1, T[0], "upsert"), ("b", 2, T[0], "upsert")])
    lake.bring("thing", SCHEMA, [("a", 1, T[1], "upsert"), ("b", None, T[2], "delete")])
    lake.ok("silver")
    before = lake.rows("silver", "thing_history", "id, amount, _deleted")
    assert lake.ok("silver", full_refresh=True)["silver.thing"].note == ""
    assert lake.rows("silver", "thing_history", "id, amount, _deleted") == before
    lake.write("silver.thing", thing(build, history=True, quarantine_limit="100%"), "1.1.0")
    assert "rejects now" in lake.ok("silver", full_refresh=True)["silver.thing"].note
    assert silver(lake) == [("a", 1)]
    assert lake.rows("silver", "thing_history", "id, amount, _deleted") == [row for row in before if row[1] != -1]


def test_what_is_accepted_when_everything_is_judged_again_is_held_no_more(house, build):
    lake = house({"silver.thing": thing(build, quarantine_limit="100%")})
    rows = [("a", -1, T[0], "upsert"), ("b", -9, T[0], "upsert"), ("c", -2, T[0], "upsert"), ("c", 2, T[1], "upsert")]
    lake.bring("thing", SCHEMA, rows)
    lake.ok("silver")
    lenient = thing(build, quarantine_limit="100%")
    lenient["quality"] = [build.rule("not_negative", "amount >= -2")]
    lake.write("silver.thing", lenient, "1.1.0")
    for _ in range(2):
        lake.ok("silver", full_refresh=True)
        assert silver(lake) == [("a", -1), ("c", 2)]
        assert held(lake) == [("a", "released"), ("b", "quarantined"), ("c", "released")]
    lake.ok("silver", replay=True)
    assert held(lake) == [("a", "released"), ("b", "quarantined"), ("c", "released")]


@pytest.mark.parametrize("small", [2_000_000, 0])
def test_a_derived_value_that_does_not_fit_is_rejected_with_it(house, build, small):
    said = thing(build, quarantine_limit="100%")
    said["columns"][1] |= {"transformLogic": "trim(amount)", "physicalType": "smallint"}
    lake = house({"silver.thing": said}, small_batch_rows=small)
    values = {"a": " 7 ", "b": "seven", "c": "", "d": "99999", "e": "8"}
    lake.bring("thing", "id string, amount string, at timestamp", [(k, v, T[0], "upsert") for k, v in values.items()])
    assert lake.ok("silver")["silver.thing"].ledger.quarantined == 3
    assert silver(lake) == [("a", 7), ("e", 8)]
    told = lake.rows("quarantine", "thing", "key, reasons[1].rule, reasons[1].value")
    assert told == [("b", "amount_type", "seven"), ("c", "amount_type", ""), ("d", "amount_type", "99999")]
