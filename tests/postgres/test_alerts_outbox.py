"""The outbox against a local Discord: one message a run, nothing lost, nothing doubled, nobody held up."""

from __future__ import annotations

import random
import re
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pytest

from lakehouse.alerts import courier, outbox, resident, webhook
from lakehouse.alerts.courier import follows, sending
from lakehouse.alerts.send import Drained, Sender
from lakehouse.alerts.webhook import webhook_of
from lakehouse.audit.alerts import Alert, store_alert
from lakehouse.audit.log import Audit
from lakehouse.audit.result import Drift, Ledger, RuleResult, TableResult
from lakehouse.errors import WebhookRefused, WebhookUnavailable
from lakehouse.log import configure, secrets_of
from lakehouse.publish.manifest import Manifest
from lakehouse.settings import Settings

pytestmark = pytest.mark.postgres
ORDERS = "olist.silver.orders"


@pytest.fixture
def settings(audit_url, discord) -> Settings:
    return Settings(_env_file=None, audit_url=audit_url, discord_hosts=discord.hosts, discord_webhook_url=discord.url)


@pytest.fixture
def sender(settings) -> Sender:
    return Sender(settings, webhook_of(settings), secrets_of(settings))


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Timeouts as a test can wait for them."""
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.6)
    monkeypatch.setattr(outbox, "BACK_OFF", (0.05, 0.1, 0.2))


def fail(audit: Audit, run_id: str, why: str = "the source went away") -> None:
    audit.start_run(run_id, "olist", 1, "cli")
    audit.finish_run(run_id, 1, "FAILED", why)


def result(layer: str, rows: int, quarantined: int = 0, **more) -> TableResult:
    ledger = Ledger(rows_in=rows, inserted=rows - quarantined, quarantined=quarantined)
    return TableResult(f"olist.{layer}.orders", layer, "SUCCESS", ledger, rows_out=rows - quarantined, **more)


def states(ask) -> list[tuple]:
    return ask("SELECT run_id, status, attempts FROM audit.alerts WHERE kind <> 'group' ORDER BY alert_id")


def fields(embed: dict) -> dict[str, str]:
    return {each["name"]: each["value"] for each in embed["fields"]}


# One message a run.


def test_a_run_is_one_message_that_is_edited_as_it_goes_on(audit, sender, discord, ask):
    audit.start_run("r1", "olist", 1, "cli")
    audit.follow_run("r1", "olist", 1)
    assert sender.drain(1) == Drained(posted=1)
    assert discord.shown()[0]["title"] == "🔵 olist is running"
    audit.table_finished("r1", 1, result("bronze", 1000))
    audit.table_started("r1", 1, "silver", ORDERS)
    audit.tell_progress("r1", "olist", 1)
    assert sender.drain(1) == Drained(edited=1)
    assert re.search(r"bronze +1,000 +1,000 +0 +1\n", discord.shown()[0]["description"])
    rules = [RuleResult("price_positive", "price", "error", 993, 7), RuleResult("odd", "city", "warn", 0, 999)]
    drift = [Drift("note", "added", "", "text", "evolve")]
    audit.table_finished("r1", 1, result("silver", 1000, 7, rules=rules, drift=drift))
    audit.publication(Manifest(3, "olist", "r1", datetime(2026, 1, 2, tzinfo=UTC), {ORDERS: 1}))
    audit.finish_run("r1", 1, "SUCCESS")
    assert sender.drain(1) == Drained(edited=1)
    (embed,) = discord.shown()
    assert discord.methods() == ["POST", "PATCH", "PATCH"]
    assert (embed["title"], embed["color"]) == ("🟠 olist succeeded", 0xF59E0B)
    assert re.search(r"silver +1,000 +993 +7 +1\n", embed["description"])
    assert "publication 3" in embed["description"]
    assert fields(embed) == {
        "Quarantined, by rule": r"olist.silver.orders · price\_positive (price): 7",
        "Drift": "olist.silver.orders.note: added, evolve",
    }
    assert states(ask) == [("r1", "SENT", 3)]


def test_what_would_look_the_same_is_not_sent_again(audit, sender, discord, ask):
    audit.start_run("r1", "olist", 1, "cli")
    audit.follow_run("r1", "olist", 1)
    sender.drain(1)
    audit.tell_progress("r1", "olist", 1)
    assert sender.drain(1) == Drained()
    assert discord.methods() == ["POST"]
    assert states(ask) == [("r1", "SENT", 2)]


def test_a_part_that_is_done_is_told_before_the_next_one_begins(audit, sender, discord):
    attempt = audit.begin_part("r1", "olist", "airflow", link="/dags/d/runs/x")
    audit.follow_run("r1", "olist", attempt)
    sender.drain(1)
    audit.table_finished("r1", attempt, result("bronze", 10))
    audit.end_part("r1", attempt)
    assert sender.drain(1) == Drained(edited=1)
    assert re.search(r"bronze +10 ", discord.shown()[0]["description"])
    airflow = "http://127.0.0.1:58080"
    links = f"[Airflow run]({airflow}/dags/d/runs/x) · [Dashboard]({airflow}/lakehouse/runs/r1)"
    assert fields(discord.shown()[0]) == {"Links": links}


def test_what_changes_while_its_message_is_on_the_way_is_told_next(audit, sender, discord):
    audit.start_run("r1", "olist", 1, "cli")
    audit.follow_run("r1", "olist", 1)

    def end_meanwhile(handler) -> None:
        audit.finish_run("r1", 1, "FAILED", "the store is full")
        handler.behave(discord.requests[-1][2])

    discord.answers.append(end_meanwhile)
    assert sender.drain(1) == Drained(posted=1, edited=1)
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed"]


def test_a_run_that_touches_its_alert_is_not_waited_for_when_alerts_are_grouped(audit, audit_url, sender, discord):
    for number in range(7):
        fail(audit, f"r{number}")
    with closing(psycopg2.connect(audit_url)) as busy, busy.cursor() as cursor:
        cursor.execute("UPDATE audit.alerts SET body = body WHERE run_id = 'r6'")
        began = time.monotonic()
        done = sender.drain(1)
        assert (done.posted, done.left, done.error) == (6, 1, None)
        assert time.monotonic() - began < 2
    assert discord.shown()[-1]["title"].startswith("🔴 1 alerts at once")
    assert sender.drain(1) == Drained(edited=1)
    assert discord.shown()[-1]["title"].startswith("🔴 2 alerts at once")


def test_a_run_that_recovers_in_its_next_attempt_says_so_in_its_message(audit, sender, discord):
    audit.start_run("r1", "olist", 1, "airflow")
    audit.table_finished("r1", 1, result("bronze", 10))
    audit.table_failed("r1", 1, "silver", ORDERS, f"{ORDERS}: the store is away.")
    audit.finish_run("r1", 1, "FAILED", f"{ORDERS}: the store is away.")
    sender.drain(1)
    assert fields(discord.shown()[0])["Failed"] == f"**{ORDERS}**: the store is away."
    audit.start_run("r1", "olist", 2, "airflow")
    sender.drain(1)
    assert discord.shown()[0]["title"] == "🔵 olist is running"
    audit.table_finished("r1", 2, result("silver", 10))
    audit.finish_run("r1", 2, "SUCCESS")
    sender.drain(1)
    (embed,) = discord.shown()
    assert embed["title"] == "🟢 olist recovered"
    assert re.search(r"bronze +10 +10 +0 +1\nsilver +10 +10 +0 +1\n", embed["description"])
    assert fields(embed) == {"Recovered": "An earlier attempt had failed; attempt 2 went well."}


def test_good_news_can_be_off_failures_and_their_recovery_not(audit, sender, discord, ask):
    for number, end in enumerate(["SUCCESS", "FAILED", "SUCCESS", "SUCCESS"]):
        audit.start_run(f"r{number}", "olist", 1, "cli")
        audit.finish_run(f"r{number}", 1, end, "why")
    sender.drain(1)
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed", "🟢 olist recovered"]
    assert fields(discord.shown()[1])["Recovered"] == "The run before it, `r1`, had failed."


def test_a_process_that_stays_sends_what_no_run_is_there_to_send(audit, sender, discord, fake_discord, monkeypatch):
    monkeypatch.setattr(resident, "PAUSE_SECONDS", 0.05)
    stop = threading.Event()
    staying = threading.Thread(target=resident.send_on, args=(sender, stop))
    staying.start()
    try:
        discord.always = fake_discord.status(503)
        fail(audit, "r1")
        eventually(lambda: len(discord.requests) > 1)
        assert discord.messages == {}
        discord.always = None
        eventually(lambda: len(discord.messages) == 1)
        fail(audit, "r2")
        eventually(lambda: len(discord.messages) == 2)
    finally:
        stop.set()
        staying.join()


def eventually(holds) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_repairs_nothing_is_no_recovery_and_hides_none(audit, sender, discord, ask):
    runs = [
        ("failed", "airflow", {"tables": None}, "FAILED"),
        ("upkeep", "maintenance", {}, "SUCCESS"),
        ("asked", "airflow", {"tables": [], "dry_run": True}, "SUCCESS"),
        ("part", "airflow", {"tables": ["orders"], "dry_run": False}, "SUCCESS"),
        ("layer", "cli", {"tables": [], "layers": ["gold"]}, "SUCCESS"),
        ("stretch", "cli", {"tables": [], "window_from": "2018-01-01 00:00:00+00:00"}, "SUCCESS"),
        ("up to", "airflow", {"tables": None, "window_from": None, "window_to": "2018-01-02"}, "SUCCESS"),
        ("date", "airflow", {"tables": None, "window_from": "", "backfill": "2018-01-01"}, "SUCCESS"),
        ("repaired", "cli", {"tables": [], "layers": ["bronze", "silver", "gold"]}, "SUCCESS"),
        ("next", "airflow", {"tables": None, "dry_run": None}, "SUCCESS"),
    ]
    for run_id, trigger, params, end in runs:
        audit.start_run(run_id, "olist", 1, trigger, params)
        audit.finish_run(run_id, 1, end, "why")
    sender.drain(1)
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed", "🟢 olist recovered"]
    assert fields(discord.shown()[1])["Recovered"] == "The run before it, `failed`, had failed."
    assert states(ask) == [("failed", "SENT", 1), ("repaired", "SENT", 1)]


def test_a_run_that_was_refused_beside_another_is_nothing_to_recover_from(audit, sender, discord):
    audit.start_run("at work", "olist", 1, "airflow")
    fail(audit, "refused")
    audit.finish_run("at work", 1, "SUCCESS")
    audit.start_run("next", "olist", 1, "airflow")
    audit.finish_run("next", 1, "SUCCESS")
    sender.drain(1)
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed"]


def test_maintenance_recovers_from_its_own_failures(audit, sender, discord):
    for run_id, trigger, end in (
        ("m0", "maintenance", "FAILED"),
        ("run", "airflow", "SUCCESS"),
        ("m1", "maintenance", "SUCCESS"),
    ):
        audit.start_run(run_id, "olist", 1, trigger)
        audit.finish_run(run_id, 1, end, "why")
    sender.drain(1)
    assert fields(discord.shown()[1])["Recovered"] == "The run before it, `m0`, had failed."
    assert len(discord.shown()) == 2


def test_another_pipelines_failure_is_no_reason_to_tell_of_a_success(audit, sender, discord):
    fail(audit, "r1")
    audit.start_run("s1", "shop", 1, "cli")
    audit.finish_run("s1", 1, "SUCCESS")
    sender.drain(1)
    assert len(discord.messages) == 1


@pytest.mark.parametrize(
    ("more", "on_success", "told"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"discord_success": False}, True, False),
        ({"discord_webhook_url": ""}, True, False),
    ],
)
def test_a_run_is_told_of_from_its_start_only_where_nobody_switched_that_off(settings, more, on_success, told):
    assert (
        follows(settings.model_copy(update={k: type(getattr(settings, k))(v) for k, v in more.items()}), on_success)
        is told
    )


def test_a_note_is_counted_and_its_message_edited(audit, sender, discord):
    for _ in range(3):
        store_alert(audit, Alert("holidays/stale", "warning", "olist", "holidays are stale", "the API answers 500"))
    sender.drain(1)
    store_alert(audit, Alert("holidays/stale", "warning", "olist", "holidays are stale", "the API answers 500"))
    sender.drain(1)
    (embed,) = discord.shown()
    assert embed["description"] == "the API answers 500\nSeen 4 times."
    assert discord.methods() == ["POST", "PATCH"]


# Down, slow, limiting, redirecting.


@pytest.mark.parametrize("way", ["hang", "drip", "cut_off", 500, 503, 302, 401, 404])
def test_what_cannot_be_sent_stays_and_is_sent_when_the_webhook_is_back(audit, sender, discord, fake_discord, ask, way):
    discord.always = (
        fake_discord.status(way, {}, Location="https://127.0.0.1/")
        if isinstance(way, int)
        else getattr(fake_discord, way)
    )
    fail(audit, "r1")
    done = sender.drain(1)
    assert (done.posted, done.left) == (0, 1)
    assert isinstance(done.error, WebhookUnavailable | WebhookRefused)
    ((status, error),) = ask("SELECT status, last_error FROM audit.alerts")
    assert status == "PENDING"
    assert error
    discord.always = None
    assert sender.drain(1, at_once=True) == Drained(posted=1)
    assert states(ask) == [("r1", "SENT", 2)]
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed"]


def test_a_channel_that_fails_is_left_alone_for_longer_and_longer(
    audit, sender, discord, fake_discord, monkeypatch, ask
):
    monkeypatch.setattr(outbox, "BACK_OFF", (100.0, 200.0, 400.0))
    discord.always = fake_discord.status(503)
    fail(audit, "r1")
    assert sender.drain(1).retry_in == pytest.approx(100, abs=2)
    assert sender.drain(1).retry_in == pytest.approx(100, abs=2)
    assert len(discord.requests) == 1
    assert sender.drain(1, at_once=True).retry_in == pytest.approx(200, abs=2)
    assert sender.drain(1, at_once=True).retry_in == pytest.approx(400, abs=2)
    assert sender.drain(1, at_once=True).retry_in == pytest.approx(400, abs=2)
    discord.always = None
    assert sender.drain(1, at_once=True) == Drained(posted=1)
    assert ask("SELECT failures, limited, closed_until, last_error FROM audit.alert_channels") == [(0, False, None, "")]


def test_the_pause_that_discord_asks_for_is_kept_by_everybody(audit, sender, settings, discord, fake_discord):
    discord.answers.append(fake_discord.limited(1))
    fail(audit, "r1")
    done = sender.drain(0)
    assert (done.left, done.retry_in) == (1, pytest.approx(1, abs=0.2))
    other = Sender(settings, webhook_of(settings), ())
    assert other.drain(0, at_once=True).left == 1
    assert len(discord.requests) == 1
    assert other.drain(3) == Drained(posted=1)
    first, second = (moment for *_, moment in discord.requests)
    assert second - first >= 0.99


def test_a_message_that_somebody_removed_is_posted_anew(audit, sender, discord, ask):
    fail(audit, "r1")
    sender.drain(1)
    discord.messages.clear()
    audit.start_run("r1", "olist", 2, "cli")
    assert sender.drain(1) == Drained(posted=1)
    assert discord.methods() == ["POST", "PATCH", "POST"]


def test_content_that_discord_refuses_is_told_in_bare_words_and_holds_up_no_other(
    audit, sender, discord, fake_discord, ask
):
    for name in ("r1", "r2", "r3"):
        fail(audit, name)
    refused = fake_discord.status(400, {"code": 50035})
    discord.answers += [refused, lambda handler: handler.behave(discord.requests[-1][2]), refused, refused]
    assert sender.drain(1).posted == 2
    assert states(ask) == [("r1", "SENT", 1), ("r2", "GIVEN_UP", 1), ("r3", "SENT", 1)]
    bare, rich = discord.messages.values()
    assert bare["content"].startswith("🔴 olist failed\nRun `r1`")
    assert rich["embeds"]


def test_whatever_the_weather_every_failure_is_told_once_it_has_passed(audit, sender, discord, fake_discord, ask):
    chance = random.Random(4)
    bad = [fake_discord.status(500), fake_discord.status(502), fake_discord.cut_off, fake_discord.limited(0.05), None]
    discord.always = lambda handler: (chance.choice(bad) or (lambda h: h.behave(discord.requests[-1][2])))(handler)
    for number in range(12):
        fail(audit, f"r{number}")
        sender.drain(0.1)
    discord.always = None
    assert sender.drain(3, at_once=True).left == 0
    told = str([each for each in discord.shown() if "alerts at once" not in each["title"]])
    single = {f"r{number}" for number in range(12) if f"`r{number}`" in told}
    grouped = {run for (run,) in ask("SELECT run_id FROM audit.alerts WHERE status = 'GROUPED'")}
    assert single | grouped == {f"r{number}" for number in range(12)}
    if grouped:
        assert any(each["title"].startswith(f"🔴 {len(grouped)} alerts at once") for each in discord.shown())


# Many at once.


def test_two_hundred_failures_in_a_minute_are_few_messages_that_name_them_all(audit, sender, discord, ask):
    for number in range(200):
        fail(audit, f"r{number}", "the source went away" if number % 2 else "the store is full")
    assert sender.drain(1) == Drained(posted=6)
    assert [each["title"] for each in discord.shown()[:5]] == ["🔴 olist failed"] * 5
    group = discord.shown()[5]
    assert group["title"] == "🔴 195 alerts at once, 195 of failures"
    assert re.search(r"olist +FAILED +195", group["description"])
    assert sorted(fields(group)["Causes"].splitlines()) == [
        "97 x the source went away",
        "98 x the store is full",
    ] or sorted(fields(group)["Causes"].splitlines()) == ["97 x the store is full", "98 x the source went away"]
    assert ask("SELECT status, count(*) FROM audit.alerts WHERE kind = 'run' GROUP BY 1 ORDER BY 1") == [
        ("GROUPED", 195),
        ("SENT", 5),
    ]
    assert len(discord.requests) == 6


def test_what_fails_later_in_that_minute_and_what_recovers_is_told_in_the_same_message(audit, sender, discord):
    for number in range(8):
        fail(audit, f"r{number}")
    sender.drain(1)
    fail(audit, "r8")
    assert sender.drain(1) == Drained(edited=1)
    assert discord.shown()[-1]["title"] == "🔴 4 alerts at once, 4 of failures"
    audit.start_run("r8", "olist", 2, "cli")
    audit.finish_run("r8", 2, "SUCCESS")
    assert sender.drain(1) == Drained(edited=1)
    assert len(discord.messages) == 6
    assert discord.shown()[-1]["title"] == "🔴 4 alerts at once, 3 of failures"
    assert re.search(r"olist +SUCCESS +1", discord.shown()[-1]["description"])


def test_a_run_at_work_waits_for_a_full_minute_and_its_failure_rings_all_the_same(audit, sender, discord, ask):
    for number in range(5):
        fail(audit, f"r{number}")
    audit.start_run("late", "olist", 1, "airflow")
    audit.follow_run("late", "olist", 1)
    done = sender.drain(0)
    assert (done.posted, done.left, done.error) == (5, 1, None)
    assert 50 < done.retry_in <= 60
    assert ask("SELECT status FROM audit.alerts WHERE run_id = 'late'") == [("PENDING",)]
    ask("UPDATE audit.alerts SET first_sent_at = first_sent_at - interval '1 minute' RETURNING 1")
    assert sender.drain(0) == Drained(posted=1)
    assert discord.shown()[-1]["title"] == "🔵 olist is running"


def test_a_minute_later_failures_are_told_one_by_one_again(audit, sender, discord, ask):
    for number in range(8):
        fail(audit, f"r{number}")
    sender.drain(1)
    ask("UPDATE audit.alerts SET first_sent_at = first_sent_at - interval '61 s'")
    fail(audit, "late")
    sender.drain(1)
    assert "`late`" in discord.shown()[-1]["description"]


def test_senders_at_once_tell_everything_once(audit, settings, discord):
    for number in range(5):
        fail(audit, f"r{number}")
    senders = [Sender(settings, webhook_of(settings), ()) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda each: each.drain(5), senders))
    assert sum(each.posted for each in done) == 5
    assert discord.methods() == ["POST"] * 5


def test_runs_that_end_while_alerts_are_sent_wait_for_nothing_and_are_told(audit_url, sender, discord, fake_discord):
    def slow(handler) -> None:
        time.sleep(0.02)
        handler.behave(discord.requests[-1][2])

    discord.always = slow
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            sender.drain(1)

    def work(worker: int) -> float:
        longest = 0.0
        with Audit(audit_url) as audit:
            for number in range(15):
                began = time.monotonic()
                fail(audit, f"w{worker}-{number}")
                longest = max(longest, time.monotonic() - began)
        return longest

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            longest = max(pool.map(work, range(4)))
    finally:
        stop.set()
        thread.join()
    assert longest < 2
    assert sender.drain(2).left == 0
    title = discord.shown()[5]["title"]
    assert title == "🔴 55 alerts at once, 55 of failures"


# Beside a run.


def test_a_run_beside_a_working_webhook_is_told_within_a_moment_of_its_failure(
    audit, settings, discord, ask, record_property
):
    latencies = []
    for number in range(5):
        with sending(settings) as beside:
            fail(audit, f"r{number}")
            beside.nudge()
        (_, _, _, told_at) = discord.requests[-1]
        ((stored_at,),) = ask(
            "SELECT extract(epoch FROM created_at)::float FROM audit.alerts WHERE run_id = %s", f"r{number}"
        )
        latencies.append(told_at - stored_at)
    record_property("stored_to_sent_s", latencies)
    print(f"\nstored to sent: median {statistics.median(latencies):.3f} s, worst {max(latencies):.3f} s")
    assert max(latencies) < 1


@pytest.mark.parametrize("way", ["hang", 503, 302, "nobody"])
def test_a_run_is_not_held_up_by_a_webhook_that_is_down_and_the_next_run_tells(
    audit, settings, discord, fake_discord, monkeypatch, way
):
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 5.0)
    monkeypatch.setattr(courier, "LAST_SECONDS", 1.0)
    asked = settings
    if way == "nobody":
        asked = settings.model_copy(
            update={
                "discord_hosts": "discord.com:9",
                "discord_webhook_url": type(settings.discord_webhook_url)("https://discord.com:9/api/webhooks/1/x"),
            }
        )
    discord.always = fake_discord.hang if way == "hang" else fake_discord.status(way if isinstance(way, int) else 500)
    began = time.monotonic()
    with sending(asked) as beside:
        fail(audit, "r1")
        beside.nudge()
        assert time.monotonic() - began < 0.5
    assert time.monotonic() - began < 1.8
    discord.always = None
    discord.released.set()
    deadline = time.monotonic() + 8
    while not discord.messages and time.monotonic() < deadline:
        with sending(settings) as beside:
            beside.nudge()
        time.sleep(0.1)
    assert [each["title"] for each in discord.shown()] == ["🔴 olist failed"]


def test_a_webhook_that_comes_back_during_a_run_is_told_then(audit, settings, discord, fake_discord):
    discord.answers += [fake_discord.status(503)] * 2
    with sending(settings) as beside:
        fail(audit, "r1")
        beside.nudge()
        deadline = time.monotonic() + 5
        while not discord.messages and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(discord.messages) == 1
    assert len(discord.requests) == 3


def test_without_a_webhook_a_failure_is_stored_and_nothing_is_sent(audit, audit_url, discord, ask):
    with sending(Settings(_env_file=None, audit_url=audit_url)) as beside:
        fail(audit, "r1")
        beside.nudge()
    assert states(ask) == [("r1", "PENDING", 0)]
    assert discord.requests == []


def test_an_audit_database_that_is_away_leaves_the_run_its_own_error(settings, discord, capfd):
    configure(secrets_of(settings))
    away = settings.model_copy(update={"audit_url": type(settings.audit_url)("postgresql://u:canary-pw@127.0.0.1:9/d")})
    with pytest.raises(ZeroDivisionError), sending(away) as beside:
        beside.nudge()
        raise ZeroDivisionError
    told = capfd.readouterr().err
    assert "alerts are not sent now" in told
    assert "canary" not in told


def test_a_sender_that_was_killed_in_the_middle_leaves_its_alert_to_the_next(audit, audit_url, sender, discord, ask):
    """The lock goes with its session, and the row is due until an answer has been written."""
    fail(audit, "r1")
    from lakehouse.audit.database import connect

    dead = connect(audit_url, "killed", "")
    dead.autocommit = True
    with dead.cursor() as cursor:
        assert outbox.try_lock(cursor)
    assert sender.drain(0.2).left == 1
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'killed'")
    assert sender.drain(2) == Drained(posted=1)
    dead.close()


@pytest.mark.parametrize("way", ["hang", "cut_off", 500, 404, 400, 429, 302])
def test_the_url_stands_in_no_row_no_log_and_no_message(audit_url, settings, discord, fake_discord, ask, capfd, way):
    configure(secrets_of(settings))
    token = fake_discord.TOKEN
    fail(Audit(audit_url, secrets_of(settings)), "r1", f"cannot post to {discord.url} with {token}")
    if isinstance(way, int):
        discord.answers += [
            fake_discord.status(way, {"message": discord.url, "retry_after": 0.1}, Location=discord.url)
        ] * 2
    else:
        discord.answers.append(getattr(fake_discord, way))
    with sending(settings) as beside:
        beside.nudge()
        time.sleep(0.8)
    Sender(settings, webhook_of(settings), secrets_of(settings)).drain(1, at_once=True)
    rows = ask("SELECT t::text FROM audit.alerts AS t") + ask("SELECT t::text FROM audit.alert_channels AS t")
    told = capfd.readouterr()
    shown = str(rows) + told.out + told.err + str([body for _, _, body, _ in discord.requests])
    assert "r1" in shown
    assert token not in shown
    assert re.search(r"/webhooks/4", shown) is None
