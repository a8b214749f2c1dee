"""Events of a topic into Silver, each once, beside what the source brings."""

from __future__ import annotations

import json
import shutil
import threading
import time
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from lakehouse.audit.lease import hold
from lakehouse.audit.stream_rows import Sends
from lakehouse.changes import write
from lakehouse.engine import stream, stream_compact, stream_end, stream_run
from lakehouse.engine.compact import compaction
from lakehouse.engine.stream_end import Bounds
from lakehouse.errors import (
    LeaseHeld,
    OffsetsLost,
    ProducerFailed,
    StateError,
    StoreUnavailable,
    StreamStalled,
    StreamUnbalanced,
    TopicChanged,
)
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.facts import topic_facts
from lakehouse.streaming.reconcile import reconcile
from lakehouse.streaming.reset import reset
from lakehouse.streaming.topics import Topic

BOTH_ROADS = pytest.mark.parametrize("small_batch_rows", [2_000_000, pytest.param(0, marks=pytest.mark.daily)])


def ledger(outcome) -> dict[str, int]:
    """What is not zero of a run's ledger."""
    return {name: count for name, count in vars(outcome.result.ledger).items() if count}


def test_events_come_beside_the_sources_rows(shop, say):
    shop.send(say(1), say(2, 4), say(0, 1))
    outcome = shop.take()
    assert shop.silver() == [("r0", 1, "at 60"), ("r1", 5, "at 60"), ("r2", 4, "at 60")]
    assert ledger(outcome) == {"rows_in": 3, "inserted": 2, "updated": 1}
    assert ledger(shop.take()) == {}


def test_duplicates_and_late_events_are_counted_and_not_written(shop, say):
    shop.send(say(1), say(1), say(1, 2, minutes=30))
    assert ledger(shop.take()) == {"rows_in": 3, "inserted": 1, "duplicate": 2}
    shop.send(say(1), say(1, 1, minutes=10), say(0, 1, minutes=-10))
    assert ledger(shop.take()) == {"rows_in": 3, "duplicate": 1, "unchanged": 1, "stale": 1}
    assert shop.silver() == [("r0", 3, "from the source"), ("r1", 5, "at 60")]


@pytest.mark.parametrize("runs", [1, 2])
def test_of_one_moment_the_later_offset_wins(shop, say, runs):
    events = [say(1, 2), say(1, 4), say(1, 1)]
    for event in events[:-1] if runs == 2 else events:
        shop.send(event)
    shop.take()
    if runs == 2:
        shop.send(events[-1])
        shop.take()
    assert shop.silver("review_id, review_score")[1:] == [("r1", 1)]


def test_every_event_is_kept_as_it_came(shop, say):
    shop.send(say(1))
    shop.send((b"o2", b"\xff\x00 no JSON", [("trace", b"\x01"), ("empty", b"")]), (b"o3", None, []))
    outcome = shop.take()
    assert ledger(outcome) == {"rows_in": 3, "inserted": 1, "quarantined": 2}
    found = {row[1]: row for row in shop.events("key, value, headers, topic, broker, _run_id, _source")}
    assert found.keys() == {json.dumps(say(1)).encode(), b"\xff\x00 no JSON", None}
    key, _, headers, topic, broker, run, source = found[b"\xff\x00 no JSON"]
    assert (key, topic, broker, run) == (b"o2", shop.topic, 1, outcome.run_id)
    assert headers == [{"name": "trace", "value": b"\x01"}, {"name": "empty", "value": b""}]
    assert source.startswith(f"kafka:{shop.topic}/")


# Name of the trouble: key, the whole value or what is changed in a review, the rule that rejects it.
TROUBLE = {
    "not json": (b"o1", b"{", "message_is_json"),
    "an array": (b"o1", b"[1]", "message_is_json"),
    "not a number": (b"o1", b'{"review_score": NaN}', "message_is_json"),
    "a doubled field": (b"o1", b'{"order_id": "o1", "order_id": "o2"}', "message_is_json"),
    "nested deeply": (b"o1", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "message_is_json"),
    "nested less deeply": (b"o1", b'{"x":' + b"[" * 700 + b"]" * 700 + b"}", "message_is_json"),
    "no UTF-8": (b"o1", b'{"order_id": "\xff"}', "message_is_json"),
    "half a character": (b"o1", {"review_comment_message": "\ud800"}, "review_comment_message_type"),
    "an object for a text": (b"o1", {"review_comment_message": {}}, "review_comment_message_type"),
    "a number for a text": (b"o1", {"review_comment_message": 1}, "review_comment_message_type"),
    "a text for a number": (b"o1", {"review_score": "five"}, "review_score_type"),
    "a fraction for an integer": (b"o1", {"review_score": 4.5}, "review_score_type"),
    "another key than its own": (b"o2", {}, "message_key"),
    "no key": (None, {}, "message_key"),
    "no review_id": (b"o1", {"review_id": None}, "review_id_required"),
    "a score of 9": (b"o1", {"review_score": 9}, "score_from_1_to_5"),
    "an order that is not there": (b"o777", {"order_id": "o777"}, "orphan_order_id"),
    "from the future": (b"o1", {"updated_at": "2099-01-01T00:00:00Z"}, "updated_at_in_the_future"),
    "milliseconds for a moment": (b"o1", {"updated_at": 1700000000000}, "updated_at_type"),
}


def test_what_cannot_be_taken_in_goes_to_the_quarantine_and_the_stream_goes_on(shop, say):
    values = [
        said if isinstance(said, bytes) else json.dumps(say(1) | said).encode() for _, said, _ in TROUBLE.values()
    ]
    keys = [key for key, _, _ in TROUBLE.values()]
    shop.send(*[(key, value, []) for key, value in zip(keys, values, strict=True)], say(5), partition=0)
    outcome = shop.take()
    assert ledger(outcome) == {"rows_in": len(TROUBLE) + 1, "inserted": 1, "quarantined": len(TROUBLE)}
    found = {
        origin["source"]: {reason["rule"] for reason in reasons}
        for reasons, origin in shop.quarantine("reasons, origin")
    }
    for offset, (name, (_, _, rule)) in enumerate(TROUBLE.items()):
        assert rule in found[f"kafka:{shop.topic}/0/{offset}"], name
    failed = shop.ask("SELECT rule, failed FROM audit.quality_results WHERE run_id = %s AND failed > 0", outcome.run_id)
    assert dict(failed)["message_is_json"] == 7


def test_every_rule_counts_each_event_once(shop, say):
    shop.send(say(1), say(2, "five"), say(3, [5]), (b"o4", b"{", []), say(5))
    outcome = shop.take()
    found = shop.ask(
        "SELECT rule, passed, failed FROM audit.quality_results WHERE run_id = %s AND failed > 0", outcome.run_id
    )
    assert {("message_is_json", 4, 1), ("review_score_type", 3, 2)} <= set(found)


def test_unknown_fields_are_kept_and_told(shop, say):
    shop.send(say(1, channel="app", nested={"a": [1, 2.50]}), say(2))
    outcome = shop.take()
    assert shop.silver("review_id, _rescued")[1:] == [("r1", '{"channel":"app","nested":{"a":[1,2.5]}}'), ("r2", None)]
    drift = shop.ask("SELECT column_name, kind, action FROM audit.drift WHERE run_id = %s ORDER BY 1", outcome.run_id)
    assert drift == [("channel", "added", "rescued"), ("nested", "added", "rescued")]


def test_names_of_any_length_and_number_end_no_run_and_let_no_commit_grow(shop, say):
    for run in range(3):
        fields = {f"{name}{run}": name for name in range(60)}
        shop.send(say(run, **fields, **{f"{run}{'long' * 1_500}": 1}))
        outcome = shop.take()
        assert ledger(outcome)["rows_in"] == 1
        assert len(outcome.result.drift) == 61
    shop.send(*[say(4 + n, **{f"{n} {name}": 1 for name in range(60)}) for n in range(3)])
    assert len(shop.take(most=1).result.drift) == 100


def test_a_tombstone_deletes_and_what_is_older_stays_away(shop, say):
    shop.send(say(1), say(2))
    shop.take()
    shop.send((b"o1", None, [("review_id", b"r1")]), (b"o9", None, [("review_id", b"r9")]), (b"o2", None, []))
    assert ledger(shop.take()) == {"rows_in": 3, "deleted": 1, "stale": 1, "quarantined": 1}
    shop.send(say(1, 1, minutes=61))
    assert ledger(shop.take()) == {"rows_in": 1, "stale": 1}
    later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    shop.send(say(1, 2) | {"updated_at": later})
    assert ledger(shop.take()) == {"rows_in": 1, "inserted": 1}
    assert shop.silver("review_id, review_score") == [("r0", 3), ("r1", 2), ("r2", 5)]


@BOTH_ROADS
def test_a_row_of_the_source_that_is_older_than_a_tombstone_stays_away(shop, say, small_batch_rows):
    shop.send((b"o3", None, [("review_id", b"r3")]))
    shop.take()
    shop.house.settings = shop.house.settings.model_copy(update={"small_batch_rows": small_batch_rows})
    shop.bring_reviews(
        [("r3", "o3", "3", "late", None, "2026-01-02T00:00:00Z"), ("r4", "o4", "4", "", None, "2026-01-02T00:00:00Z")]
    )
    found = shop.house.ok("silver", tables=["reviews"])["silver.reviews"].ledger
    assert (found.inserted, found.stale) == (1, 1)
    assert shop.silver("review_id") == [("r0",), ("r4",)]


def test_a_tombstone_may_mean_nothing(new_shop, say):
    shop = new_shop(tombstones="ignore")
    shop.send(say(1), (b"o1", None, [("review_id", b"r1")]))
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 1, "unchanged": 1}


def test_source_and_stream_are_one_whoever_comes_first(shop, say):
    shop.send(say(1, 1, minutes=10), say(2, 2, minutes=30))
    shop.take()
    moment = "2026-01-01T00:20:00Z"
    shop.bring_reviews([("r1", "o1", "4", "newer", None, moment), ("r2", "o2", "4", "older", None, moment)])
    found = shop.house.ok("silver", tables=["reviews"])["silver.reviews"].ledger
    assert (found.updated, found.stale) == (1, 1)
    assert shop.silver() == [("r0", 3, "from the source"), ("r1", 4, "newer"), ("r2", 2, "at 30")]
    assert ledger(shop.take()) == {}


def test_a_run_that_ended_between_its_two_commits_goes_on_there(shop, say, monkeypatch):
    shop.send(say(1), say(2))
    with monkeypatch.context() as patch:
        patch.setattr(stream_run, "take_in", broken)
        with pytest.raises(OSError, match="the lights went out"):
            shop.take()
    assert len(shop.events()) == 2
    assert shop.silver("review_id") == [("r0",)]
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 2}
    assert len(shop.events()) == 2


# Airflow tries a run again under its own id.
@pytest.mark.parametrize("again", ["another", "lost"])
def test_a_micro_batch_whose_audit_row_was_lost_gets_it_by_the_next_attempt(shop, say, monkeypatch, again):
    shop.send(say(1), say(2), say(2))
    with monkeypatch.context() as patch:
        patch.setattr(stream_run.StreamRun, "_take", lost_after_commit(stream_run.take_in))
        with pytest.raises(OSError, match="the lights went out"):
            shop.take(run_id="lost")
    assert shop.ask("SELECT count(*) FROM audit.stream_batches WHERE run_id = 'lost'") == [(0,)]
    assert ledger(shop.take(run_id=again)) == {}
    told = shop.ask(
        "SELECT received, inserted, duplicate, offsets, version_written FROM audit.stream_batches WHERE run_id = 'lost'"
    )
    assert [row[:3] for row in told] == [(3, 2, 1)]
    assert sum(each["to"] - each["from"] for each in told[0][3]) == 3
    rows = "SELECT input_rows, inserted, duplicate FROM audit.run_logs WHERE run_id = 'lost' AND attempt = 1"
    assert shop.ask(rows) == [(3, 2, 1)]


def broken(*_: object) -> None:
    raise OSError("the lights went out")


def lost_after_commit(take_in):
    def take(run, found, context) -> None:
        take_in(run.table, run.block, context, found)
        raise OSError("the lights went out")

    return take


def away(step, times: int, *, after: bool):
    """A step at which the store goes away so often: before it, or `after` it, with its answer lost."""
    left = [times]

    def work(*words):
        left[0] -= 1
        done = step(*words) if after or left[0] < 0 else None
        if left[0] >= 0:
            raise StoreUnavailable("Connection refused.", where="s3://silver")
        return done

    return work


@pytest.mark.parametrize("after", [False, True], ids=["before it", "its answer lost"])
@pytest.mark.parametrize("step", ["keep_events", "take_in"])
def test_a_store_that_comes_back_ends_no_run_and_no_event_comes_twice(shop, say, monkeypatch, step, after):
    monkeypatch.setattr(stream_end, "_STORE", 0.1)
    monkeypatch.setattr(stream_run, step, away(getattr(stream_run, step), 2, after=after))
    shop.send(say(1), say(2), say(2))
    outcome = shop.take(run_id="patient")
    assert ledger(outcome) == {"rows_in": 3, "inserted": 2, "duplicate": 1}
    assert len(shop.events()) == 3
    assert [row[0] for row in shop.silver("review_id")] == ["r0", "r1", "r2"]
    told = shop.ask("SELECT sum(received), sum(inserted), sum(duplicate) FROM audit.stream_batches")
    assert told == [(3, 2, 1)]
    assert shop.ask("SELECT status, attempt FROM audit.runs WHERE run_id = 'patient'") == [("SUCCESS", 1)]
    rows = "SELECT status, input_rows, inserted, note FROM audit.run_logs WHERE run_id = 'patient'"
    assert shop.ask(rows)[0][:3] == ("SUCCESS", 3, 2)


def test_a_commit_that_was_given_up_and_lands_later_brings_no_event_twice(shop, say, monkeypatch):
    given_up, create_entry, positions = [], write.create_entry, stream_run.positions

    def create(*words):
        monkeypatch.setattr(write, "create_entry", create_entry)
        given_up.append(words)
        raise StoreUnavailable("Connection refused.", where="s3://bronze")

    def read_before_it_lands(*words):
        found = positions(*words)
        if given_up:
            create_entry(*given_up.pop())
            shop.send(say(3))
        return found

    monkeypatch.setattr(write, "create_entry", create)
    monkeypatch.setattr(stream_run, "positions", read_before_it_lands)
    monkeypatch.setattr(stream_end, "_STORE", 0.1)
    shop.send(say(1), say(2), say(2))
    assert ledger(shop.take(Bounds("stopped", minutes=0.15))) == {"rows_in": 4, "inserted": 3, "duplicate": 1}
    assert len(shop.events()) == 4


def test_a_maintenance_of_the_events_ends_no_run(shop, say, monkeypatch):
    shop.send(say(1))
    shop.take()
    shop.send(say(2))
    shop.take()
    uri, commit_change = table_uri(shop), stream.commit_change

    def compacted_meanwhile(*words):
        monkeypatch.setattr(stream, "commit_change", commit_change)
        with compaction(shop.house.settings, shop.house.catalog, shop.house.spark) as compact:
            compact(uri)
        return commit_change(*words)

    monkeypatch.setattr(stream, "commit_change", compacted_meanwhile)
    shop.send(say(3), say(3))
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 1, "duplicate": 1}
    assert len(shop.events()) == 4


@pytest.mark.parametrize("told", ["never", "while it waits", "while it tries again"])
def test_a_store_that_stays_away_ends_a_run_without_an_end_too(shop, say, monkeypatch, told):
    monkeypatch.setattr(stream_end, "_STORE", 0.1)
    monkeypatch.setattr(stream_run, "take_in", away(stream_run.take_in, 1_000, after=False))
    stop = threading.Event()
    if told == "while it waits":
        monkeypatch.setattr(stop, "wait", lambda seconds: stop.set() or True)
    if told == "while it tries again":
        monkeypatch.setattr(stop, "wait", lambda seconds: stop.set() or False)
    shop.send(say(1))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        shop.take(Bounds("stopped", patience=2 if told == "never" else 60), stop=stop, run_id="in-vain")
    assert time.monotonic() - began < 30
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'in-vain'") == [("FAILED",)]
    assert len(shop.events()) == 1


def test_a_topic_that_was_made_anew_is_told_and_read_only_when_that_is_accepted(shop, say, broker):
    shop.send(say(1), say(2))
    shop.take()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.delete_topics([shop.topic])
    ensure_topics(broker.bootstrap, [Topic(name=shop.topic, partitions=3, retention="1d")])
    shop.send(say(3))
    with pytest.raises(TopicChanged, match="made anew") as caught:
        shop.take(run_id="anew")
    assert "up to" in str(caught.value)
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'anew'") == [("FAILED",)]
    assert shop.ask("SELECT count(*) FROM audit.alerts WHERE run_id = 'anew'") == [(1,)]
    assert ledger(shop.take(accept_loss=True)) == {"rows_in": 1, "inserted": 1}
    assert ledger(shop.take()) == {}


def test_offsets_that_aged_out_are_told_with_their_range(shop, say, broker):
    shop.send(*[say(n) for n in range(1, 4)], partition=1)
    shop.take()
    shop.send(*[say(n) for n in range(4, 9)], partition=1)
    KafkaAdminClient(bootstrap_servers=broker.bootstrap).delete_records({TopicPartition(shop.topic, 1): 6})
    with pytest.raises(OffsetsLost, match=r"3 offsets are gone .* partition 1, 3 to 5"):
        shop.take()
    outcome = shop.take(accept_loss=True)
    assert outcome.lost == {1: (3, 6)}
    assert ledger(outcome) == {"rows_in": 2, "inserted": 2}
    told = shop.ask("SELECT note FROM audit.run_logs WHERE run_id = %s AND layer = 'silver'", outcome.run_id)
    assert told == [("accepted as lost: partition 1, 3 to 5",)]


def test_what_was_gone_before_the_first_read_is_told_and_no_producers_events_are_missed(shop, say, broker):
    shop.send(*[say(n) for n in range(1, 6)], partition=1)
    KafkaAdminClient(bootstrap_servers=broker.bootstrap).delete_records({TopicPartition(shop.topic, 1): 3})
    sent(shop, "all-sent", {0: 0, 1: 5}, {0: 0, 1: 1})
    sent(shop, "sent-later", {0: 0, 1: 5}, {0: 0, 1: 4})
    with pytest.raises(OffsetsLost, match="partition 1, 1 to 2"):
        shop.take(Bounds("producer", "all-sent"))
    outcome = shop.take(Bounds("producer", "sent-later"))
    assert ledger(outcome) == {"rows_in": 2, "inserted": 2}
    told = shop.ask("SELECT note FROM audit.run_logs WHERE run_id = %s AND layer = 'silver'", outcome.run_id)
    assert told == [("gone before the first read: partition 1, 0 to 2",)]


def test_a_producers_events_that_were_gone_before_the_first_read_are_left_where_that_is_accepted(shop, say, broker):
    shop.send(say(1), say(2), partition=1)
    KafkaAdminClient(bootstrap_servers=broker.bootstrap).delete_records({TopicPartition(shop.topic, 1): 1})
    sent(shop, "all-sent", {1: 2})
    assert ledger(shop.take(Bounds("producer", "all-sent"), accept_loss=True)) == {"rows_in": 1, "inserted": 1}


def test_a_transaction_that_was_aborted_at_the_end_is_nothing_to_wait_for(shop, say):
    shop.send(say(1), partition=0)
    producer = KafkaProducer(bootstrap_servers=shop.bootstrap, acks="all", transactional_id=f"t-{shop.topic}")
    producer.init_transactions()
    producer.begin_transaction()
    key, value = b"o2", json.dumps(say(2)).encode()
    producer.send(shop.topic, key=key, value=value, partition=0).get(10)
    producer.abort_transaction()
    producer.close()
    assert ledger(shop.take(Bounds(patience=5))) == {"rows_in": 1, "inserted": 1}


def test_offsets_of_a_new_partition_that_aged_out_are_told_too(shop, say, broker):
    shop.send(say(1), partition=1)
    shop.take()
    ensure_topics(broker.bootstrap, [Topic(name=shop.topic, partitions=5, retention="1d")])
    shop.send(say(2), say(3), say(4), partition=4)
    KafkaAdminClient(bootstrap_servers=broker.bootstrap).delete_records({TopicPartition(shop.topic, 4): 2})
    with pytest.raises(OffsetsLost, match="partition 4, 0 to 1"):
        shop.take()


def test_a_new_partition_is_read_from_its_beginning(shop, say, broker):
    shop.send(say(1))
    shop.take()
    ensure_topics(broker.bootstrap, [Topic(name=shop.topic, partitions=5, retention="1d")])
    shop.send(say(2), say(3), partition=4)
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 2}


def test_a_partition_that_comes_while_a_run_goes_on_is_read_and_the_topic_opened_once_more(
    shop, say, broker, monkeypatch
):
    monkeypatch.setattr(stream_end, "_TOPIC", 0.5)
    opened = []
    consumer = stream_run.Consumer
    monkeypatch.setattr(stream_run, "Consumer", lambda *words: opened.append(words) or consumer(*words))
    stop = threading.Event()

    def widen() -> None:
        while not opened:
            time.sleep(0.1)
        ensure_topics(broker.bootstrap, [Topic(name=shop.topic, partitions=4, retention="1d")])
        shop.send(say(1), partition=3)
        time.sleep(4)
        stop.set()

    widening = threading.Thread(target=widen)
    widening.start()
    outcome = shop.take(Bounds("stopped"), stop=stop)
    widening.join()
    assert ledger(outcome) == {"rows_in": 1, "inserted": 1}
    assert [sorted(offsets) for _, _, offsets in opened] == [[0, 1, 2], [0, 1, 2, 3]]


def test_a_stall_fails_with_what_is_missing(shop, say):
    shop.send(say(1))
    audit = stream_run.Audit(shop.house.settings.need_audit_url())
    audit.sends_began("producer-1", shop.topic, topic_id(shop), {0: 0, 1: 0, 2: 0})
    with pytest.raises(StreamStalled, match="producer-1 has not handed over"):
        shop.take(Bounds("producer", "producer-1", patience=1), run_id="stalled")
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'stalled'") == [("FAILED",)]
    ends = [Sends(0, 0, 900, 900), Sends(1, 0, 0), Sends(2, 0, 0)]
    audit.sends_finished("producer-1", shop.topic, ends)
    with pytest.raises(StreamStalled, match=r"missing: partition 0, .* to 899"):
        shop.take(Bounds("producer", "producer-1", patience=1))


def test_what_a_failed_producer_sent_is_taken_in_and_the_run_says_that_it_failed(shop, say):
    shop.send(say(1), say(2), partition=0)
    audit = stream_run.Audit(shop.house.settings.need_audit_url())
    audit.sends_began("producer-1", shop.topic, topic_id(shop), {0: 0, 1: 0})
    audit.sends_finished("producer-1", shop.topic, [Sends(0, 0, 2, 2), Sends(1, 0, 0)], "Kafka cannot be used.")
    with pytest.raises(ProducerFailed, match=r"producer-1 failed before .* Kafka cannot be used"):
        shop.take(Bounds("producer", "producer-1"), run_id="half")
    assert [row[0] for row in shop.silver("review_id")] == ["r0", "r1", "r2"]
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'half'") == [("FAILED",)]
    assert shop.ask("SELECT count(*) FROM audit.alerts WHERE run_id = 'half'") == [(1,)]


def test_who_writes_on_keeps_no_run_from_its_end(shop, say):
    over = threading.Event()

    def write_on() -> None:
        number = 10
        while not over.is_set():
            number += 1
            shop.send(say(number % 80))

    shop.send(say(1), say(2))
    writing = threading.Thread(target=write_on)
    writing.start()
    try:
        began = time.monotonic()
        outcome = shop.take(Bounds(patience=60))
        assert time.monotonic() - began < 30
    finally:
        over.set()
        writing.join()
    assert outcome.result.ledger.rows_in >= 2


@pytest.mark.parametrize(("ended", "told"), [(True, "missing: partition 0, 0 to 899"), (False, "has not handed over")])
def test_a_stall_is_seen_though_others_write(shop, say, ended, told):
    audit = stream_run.Audit(shop.house.settings.need_audit_url())
    audit.sends_began("producer-1", shop.topic, topic_id(shop), {0: 0, 1: 0, 2: 0})
    if ended:
        audit.sends_finished("producer-1", shop.topic, [Sends(0, 0, 900, 900), Sends(1, 0, 0), Sends(2, 0, 0)])
    over = threading.Event()

    def write_on() -> None:
        while not over.wait(0.1):
            shop.send(say(1), partition=1)

    writing = threading.Thread(target=write_on)
    writing.start()
    try:
        with pytest.raises(StreamStalled, match=told):
            shop.take(Bounds("producer", "producer-1", patience=3))
    finally:
        over.set()
        writing.join()


def topic_id(shop) -> str:
    return topic_facts(shop.bootstrap, shop.topic).topic_id


def test_a_second_consumer_is_refused_and_told_who_is_at_work(shop):
    with (
        hold(shop.house.settings.need_audit_url(), ["shop.stream.reviews"], "the-first", 1),
        pytest.raises(LeaseHeld, match="the-first"),
    ):
        shop.take(run_id="second")
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'second'") == [("FAILED",)]


def test_events_wait_in_bronze_while_a_batch_run_holds_the_table(shop, say, monkeypatch):
    monkeypatch.setattr(stream_end, "_HELD", 1.0)
    shop.send(say(1))
    with (
        hold(shop.house.settings.need_audit_url(), ["shop.silver.reviews"], "a-batch", 1),
        pytest.raises(StreamStalled, match=r"all was read, .* held by run a-batch.*wait until that run"),
    ):
        shop.take(Bounds(patience=1.5))
    assert len(shop.events()) == 1
    assert ledger(shop.take()) == {"rows_in": 1, "inserted": 1}


def test_a_batch_run_that_holds_the_table_for_longer_than_patience_ends_no_run(shop, say):
    shop.send(say(1))
    lease = hold(shop.house.settings.need_audit_url(), ["shop.silver.reviews"], "a-batch", 1)
    threading.Timer(6, lease.release).start()
    assert ledger(shop.take(Bounds(patience=1))) == {"rows_in": 1, "inserted": 1}


@pytest.fixture
def stop_at_the_first_events(monkeypatch):
    """A run's stop, set while it keeps the first events that it has read."""
    stop, keep = threading.Event(), stream_run.keep_events

    def told(*words):
        stop.set()
        return keep(*words)

    monkeypatch.setattr(stream_run, "keep_events", told)
    return stop


def test_a_bounded_run_that_is_told_to_stop_takes_in_what_it_has_read(shop, say, stop_at_the_first_events):
    audit = stream_run.Audit(shop.house.settings.need_audit_url())
    audit.sends_began("producer-1", shop.topic, topic_id(shop), {0: 0, 1: 0, 2: 0})
    shop.send(say(1), say(2))
    with pytest.raises(StreamStalled, match="told to stop before its end; the run producer-1 has not handed over"):
        shop.take(Bounds("producer", "producer-1"), stop=stop_at_the_first_events)
    assert [row[0] for row in shop.silver("review_id")] == ["r0", "r1", "r2"]


def test_a_run_without_an_end_stops_well_when_it_is_told(shop, say):
    stop = threading.Event()
    threading.Timer(4, stop.set).start()
    shop.send(say(1))
    outcome = shop.take(Bounds("stopped"), stop=stop, run_id="continuous")
    assert ledger(outcome) == {"rows_in": 1, "inserted": 1}
    assert shop.ask("SELECT status FROM audit.runs WHERE run_id = 'continuous'") == [("SUCCESS",)]
    with pytest.raises(StreamStalled, match="told to stop"):
        shop.take(Bounds("producer", "nobody"), stop=stop)


def test_what_was_read_before_it_is_told_to_stop_is_taken_in(shop, say, stop_at_the_first_events):
    shop.send(say(1), say(2))
    assert ledger(shop.take(Bounds("stopped"), stop=stop_at_the_first_events)) == {"rows_in": 2, "inserted": 2}
    assert [batch.ledger.rows_in for batch in shop.batches] == [2]


@pytest.mark.parametrize("loss", ["all of them", "the newest version"])
def test_events_that_are_lost_are_told_before_new_ones_take_their_place(shop, say, loss):
    shop.send(say(1))
    shop.take()
    shop.send(say(2))
    shop.take()
    events = Path(shop.house.lake.uri("bronze", "reviews_events"))
    if loss == "all of them":
        shutil.rmtree(events)
    else:
        max(events.glob("_delta_log/*.json")).unlink()
    shop.send(say(3))
    with (
        hold(shop.house.settings.need_audit_url(), ["shop.silver.reviews"], "a-batch", 1),
        pytest.raises(StateError, match="there are none" if loss == "all of them" else "they stand at 0"),
    ):
        shop.take()
    assert [row[0] for row in shop.silver("review_id")] == ["r0", "r1", "r2"]


def test_a_stream_needs_its_table_and_says_so(house, build, broker, new_topic, say, request):
    conftest = request.getfixturevalue("new_shop").__globals__
    topic = new_topic().name
    shop = conftest["Shop"](house(conftest["contracts"](build, topic)), broker.bootstrap, topic)
    shop.send(say(1))
    with pytest.raises(StateError, match="lakehouse run shop"):
        shop.take()


def test_everything_again_is_the_same_table(shop, say):
    shop.send(say(1), say(2, 9), say(3), (b"o3", None, [("review_id", b"r3")]), (b"o4", b"{", []))
    shop.take()
    before = shop.silver("review_id, review_score, review_comment_message, review_answer_timestamp, updated_at")
    shop.house.ok("silver", tables=["reviews"], full_refresh=True)
    assert shop.silver("review_id, review_score, review_comment_message, review_answer_timestamp, updated_at") == before
    assert ledger(shop.take()) == {}
    assert len(shop.quarantine()) == 2


def test_a_corrected_contract_takes_held_events_in(shop, say, build, request):
    shop.send(say(1, 9, channel="app"), say(2))
    shop.take()
    conftest = request.getfixturevalue("new_shop").__globals__
    said = conftest["contracts"](build, shop.topic)["silver.reviews"]
    said["quality"] = [build.rule("score_from_1_to_9", "review_score BETWEEN 1 AND 9")]
    shop.house.write("silver.reviews", said, version="2.0.0")
    shop.house.ok("silver", tables=["reviews"], replay=True)
    assert shop.silver("review_id, review_score, _rescued") == [
        ("r0", 3, None), ("r1", 9, '{"channel":"app"}'), ("r2", 5, None),
    ]  # fmt: skip
    assert [row[0] for row in shop.quarantine("status")] == ["released"]


@BOTH_ROADS
def test_an_event_whose_parent_came_later_keeps_its_unknown_fields(shop, say, small_batch_rows):
    shop.send(say(200, channel="app"), say(201))
    shop.take()
    assert [json.loads(payload).get("_rescued") for (payload,) in shop.quarantine("payload")] == [
        '{"channel":"app"}', None,
    ]  # fmt: skip
    shop.house.settings = shop.house.settings.model_copy(update={"small_batch_rows": small_batch_rows})
    rows = [(f"o{number}", datetime.now(UTC).isoformat(), "upsert") for number in (200, 201)]
    shop.house.bring_text("orders", "order_id string, updated_at timestamp", rows)
    shop.house.ok("silver")
    assert shop.silver("review_id, _rescued") == [("r0", None), ("r200", '{"channel":"app"}'), ("r201", None)]


def test_a_contract_with_other_columns_keeps_what_came_by_the_stream(shop, say, build, request):
    shop.send(say(1))
    shop.take()
    conftest = request.getfixturevalue("new_shop").__globals__
    said = conftest["contracts"](build, shop.topic)["silver.reviews"]
    said["columns"] = [each for each in said["columns"] if each["name"] != "review_comment_message"]
    shop.house.write("silver.reviews", said, version="2.0.0")
    shop.send(say(2))
    with pytest.raises(StateError, match="columns of its contract"):
        shop.take()
    shop.house.ok("silver", tables=["reviews"])
    assert shop.silver("review_id, review_score") == [("r0", 3), ("r1", 5)]
    assert ledger(shop.take()) == {"rows_in": 1, "inserted": 1}


def sent(shop, run_id: str, ends: dict[int, int], firsts: dict[int, int] | None = None) -> stream_run.Audit:
    """Hand over offsets in a producer's name."""
    audit = stream_run.Audit(shop.house.settings.need_audit_url())
    firsts = firsts or dict.fromkeys(ends, 0)
    audit.sends_began(run_id, shop.topic, topic_id(shop), firsts)
    audit.sends_finished(run_id, shop.topic, [Sends(n, firsts[n], end, end - firsts[n]) for n, end in ends.items()])
    return audit


def test_what_was_sent_is_compared_with_what_was_taken_in(shop, say):
    audit = sent(shop, "all", {0: 0, 1: 3, 2: 2})
    shop.send(say(1), say(2), say(3, 9), partition=1)
    shop.send(say(4), partition=2)
    table, settings = shop.house.catalog.table("silver.reviews"), shop.house.settings
    with pytest.raises(
        StreamUnbalanced, match="partition 1: 3 sent, 0 kept, 0 doubled, not taken in: partition 1, 0 to 2"
    ):
        reconcile(settings, audit, table, "all")
    shop.take(Bounds(patience=1))
    with pytest.raises(StreamUnbalanced, match="partition 2: 2 sent, 1 kept"):
        reconcile(settings, audit, table, "all")
    shop.send(say(5), partition=2)
    shop.take(Bounds("producer", "all"))
    found = reconcile(settings, audit, table, "all")
    assert (found.ledger.rows_in, found.ledger.inserted, found.ledger.quarantined, found.batches) == (5, 4, 1, 2)
    with pytest.raises(StateError, match="nobody has not handed over"):
        reconcile(settings, audit, table, "nobody")


def test_a_simulation_is_forgotten_and_its_rows_stay(shop, say):
    shop.send(say(1), say(2))
    shop.take()
    settings = shop.house.settings.model_copy(update={"kafka_bootstrap": shop.bootstrap})
    table = shop.house.catalog.table("silver.reviews")
    done = reset(settings, table, Topic(name=shop.topic, partitions=3, retention="1d"), "reset-1")
    assert [text.split()[0] for text in done] == ["topic", "progress", table_uri(shop)]
    assert shop.silver("review_id") == [("r0",), ("r1",), ("r2",)]
    assert ledger(shop.take()) == {}
    shop.send(say(2), say(3))
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 1, "unchanged": 1}
    assert len(shop.events()) == 2


def table_uri(shop) -> str:
    return shop.house.lake.uri("bronze", "reviews_events")


def test_memory_is_given_back_after_each_micro_batch_when_nothing_holds_its_events_any_more(shop, say, monkeypatch):
    held, left, pending = [], [], stream_run.pending

    def watched(*words):
        found = pending(*words)
        held.extend([] if found is None else [weakref.ref(found)])
        return found

    monkeypatch.setattr(stream_run, "pending", watched)
    monkeypatch.setattr(stream_run, "give_back_columns", lambda: left.append([each() for each in held]))
    shop.send(say(1), say(2), say(3))
    shop.take()
    assert held
    assert left
    assert {each for seen in left for each in seen} == {None}


def test_many_small_files_become_few_and_nothing_else_changes(shop, say, monkeypatch):
    monkeypatch.setattr(stream_compact, "MANY", 3)
    for number in range(1, 5):
        shop.send(say(number), say(number + 20, 9))
        outcome = shop.take()
    assert outcome.result.phases["compact"] > 0
    spark, lake = shop.house.spark, shop.house.lake
    for uri in (lake.uri("bronze", "reviews_events"), lake.uri("silver", "reviews"), lake.uri("quarantine", "reviews")):
        history = spark.sql(f"DESCRIBE HISTORY delta.`{uri}`").select("operation").collect()
        assert "OPTIMIZE" in [row.operation for row in history]
    shop.send(say(1, 1, minutes=90), say(5))
    assert ledger(shop.take()) == {"rows_in": 2, "inserted": 1, "updated": 1}
    assert shop.silver("review_id, review_score") == [("r0", 3), ("r1", 1), *[(f"r{n}", 5) for n in range(2, 6)]]
    assert (len(shop.events()), len(shop.quarantine())) == (10, 4)
    assert ledger(shop.take()) == {}
