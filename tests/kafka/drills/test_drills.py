"""A stream of real processes, killed and disturbed while events flow: every event is in the tables once, whatever."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from random import Random

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.slow]
KILLED = -signal.SIGKILL
LEDGER = "inserted + updated + unchanged + stale + duplicate + quarantined + deleted"
# Where the consumer ends, in the order of a micro-batch: at which call of what.
POINTS = {
    "events written, no log entry": ("lakehouse.changes.write", "create_entry", "before", "1"),
    "events in Bronze": ("lakehouse.engine.stream_run", "keep_events", "after", "1"),
    "rejects in the quarantine": ("lakehouse.engine.silver_small", "keep_rejects", "after", "2"),
    "Silver written, no log entry": ("lakehouse.engine.silver_small", "commit_change", "before", "2"),
    "Silver has its commit": ("lakehouse.engine.silver_small", "commit_change", "after", "2"),
    "the audit has the micro-batch": ("lakehouse.audit.log", "Audit.write_batch", "after", "2"),
    "the audit has the table's row": ("lakehouse.audit.log", "Audit.table_finished", "after", "2"),
    "compacted files written, no log entry": ("lakehouse.changes.compact", "create_entry", "before", "1"),
    "a compaction has its commit": ("lakehouse.changes.compact", "create_entry", "after", "1"),
}
# Between two commits of a micro-batch.
AT_COMMITS = pytest.param(
    ["events in Bronze", "Silver written, no log entry", "Silver has its commit", "a compaction has its commit"],
    id="between commits",
)


def need_every_event_once(drill, lines=None) -> None:
    """Compare every table, and the audit, with what the producer wrote down."""
    lines = lines or drill.lines()
    kept = [(line.partition, line.offset, line.key, line.value, line.headers) for line in lines]
    events = drill.tables.events()
    assert (Counter(events) - Counter(kept), Counter(kept) - Counter(events)) == (Counter(), Counter())
    assert events == kept
    rejected = [line for line in lines if line.is_rejected(drill.orders)]
    good = [line.answer for line in lines if not line.is_rejected(drill.orders)]
    held = drill.tables.answers()
    assert len({answer.key for answer in held}) == len(held)
    have, want = {answer.key: answer.score for answer in held}, drill.count.newest([*drill.others, *good])
    assert {key: (have.get(key), want.get(key)) for key in have | want if have.get(key) != want.get(key)} == {}
    payloads = {line.place: (line.key, line.value) for line in rejected}
    assert sorted(map(payloads.get, drill.tables.rejected()), key=repr) == sorted(set(payloads.values()), key=repr)
    ledger = drill.ask(f"SELECT sum(received), sum({LEDGER}), sum(quarantined) FROM audit.stream_batches")
    assert ledger == [(len(lines), len(lines), len(rejected))]
    runs = "run_id IN (SELECT run_id FROM audit.stream_batches) AND table_name = 'olist.silver.order_reviews'"
    assert drill.ask(f"SELECT sum(input_rows), sum(quarantined) FROM audit.run_logs WHERE {runs}") == [ledger[0][::2]]
    drill.ends(drill.start("stream", "reconcile", "sent"))


@pytest.mark.parametrize("points", [AT_COMMITS, pytest.param([*POINTS], marks=pytest.mark.daily, id="all")])
def test_a_consumer_killed_at_any_point_of_a_micro_batch(drill, points):
    producer = drill.produce(rate=100)
    for name in points:
        be_killed(drill, name)
    drill.stop(producer)
    drill.ends(drill.consume())
    need_every_event_once(drill)
    assert drill.tables.compactions()


def be_killed(drill, point: str) -> None:
    consumer = drill.consume("--continuous", kill_at=POINTS[point])
    assert consumer.wait(180) == KILLED, f"{point}: {drill.said(consumer)}"


@pytest.mark.daily
def test_in_an_object_store_that_is_killed_too(drill_in_store, store):
    drill = drill_in_store
    producer = drill.produce(rate=300)
    for name in ("Silver written, no log entry", "Silver has its commit", "compacted files written, no log entry"):
        be_killed(drill, name)
    consumer = drill.consume("--continuous", "--run-id", "without-store", "--patience", "20")
    drill.until_merged(consumer)
    store.kill()
    time.sleep(5)
    store.start()
    drill.until_merged(consumer)
    store.kill()
    drill.ends(consumer, code=75, seconds=90)
    assert "see that the store runs" in drill.said(consumer)
    assert dict(drill.ask("SELECT run_id, status FROM audit.runs"))["without-store"] == "FAILED"
    store.start()
    drill.stop(producer)
    drill.ends(drill.consume())
    need_every_event_once(drill)


@pytest.mark.daily
def test_a_consumer_killed_at_random_moments(drill):
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    rng, producer = Random(seed), drill.produce(rate=500)
    for _ in range(3):
        consumer = drill.consume()
        drill.until_merged(consumer)
        time.sleep(rng.uniform(0, 1.5))
        drill.kill(consumer)
    drill.stop(producer)
    drill.ends(drill.consume())
    need_every_event_once(drill)


@pytest.mark.daily
def test_a_broker_killed_twice_while_events_flow(drill, broker):
    producer, consumer = drill.produce(rate=500), drill.consume()
    for _ in range(2):
        drill.until_merged(consumer)
        broker.kill()
        time.sleep(1)
        broker.start()
    drill.until_merged(consumer)
    drill.stop(producer)
    drill.ends(consumer)
    need_every_event_once(drill, drill.count.with_unanswered(drill.lines(), broker.messages(drill.topic)))


@pytest.mark.daily
def test_a_jvm_that_is_killed_is_told_and_another_try_goes_on(drill):
    producer = drill.produce(rate=500)
    consumer = drill.consume("--continuous", "--run-id", "without-jvm")
    drill.until_merged(consumer)
    drill.kill_jvm(consumer)
    drill.ends(consumer, code=75, seconds=60)
    assert "the JVM that does Spark's work is gone" in drill.said(consumer)
    told = drill.ask("SELECT status, error FROM audit.runs WHERE run_id = 'without-jvm'")
    assert [(status, "the JVM" in error) for status, error in told] == [("FAILED", True)]
    drill.stop(producer)
    drill.ends(drill.consume())
    need_every_event_once(drill)


@pytest.mark.daily
def test_a_second_consumer_is_refused_and_the_first_one_stops_when_it_is_told(drill):
    producer = drill.produce(rate=500)
    first = drill.consume("--continuous", "--run-id", "the-first")
    drill.until_merged(first)
    second = drill.consume("--continuous", "--run-id", "the-second")
    drill.ends(second, code=75)
    assert "the-first" in drill.said(second)
    assert "Traceback" not in drill.said(second)
    drill.until_merged(first)
    first.send_signal(signal.SIGTERM)
    drill.ends(first, seconds=30)
    drill.stop(producer)
    statuses = dict(drill.ask("SELECT run_id, status FROM audit.runs"))
    assert (statuses["the-first"], statuses["the-second"]) == ("SUCCESS", "FAILED")
    drill.ends(drill.consume())
    need_every_event_once(drill)


def test_a_batch_run_of_the_same_table_in_the_middle(drill):
    producer, consumer = drill.produce(rate=500), drill.consume()
    drill.until_merged(consumer)
    changed = drill.ask(
        "UPDATE olist.order_reviews SET review_score = 6 - review_score, updated_at = now() "
        "WHERE ctid IN (SELECT ctid FROM olist.order_reviews ORDER BY md5(review_id) LIMIT 200) "
        "RETURNING review_id, order_id, updated_at, review_score",
        drill.source_url,
    )
    drill.others += [drill.count.Answer((review, order), at, -1, score) for review, order, at, score in changed]
    drill.run_batch()
    drill.until_merged(consumer)
    drill.stop(producer)
    drill.ends(consumer)
    need_every_event_once(drill)
