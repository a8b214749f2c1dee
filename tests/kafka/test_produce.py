"""The producer against a real broker: what it counts is what the topic holds, whatever happens to the broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.errors import KafkaUnavailable, ParameterError, StoreUnavailable
from lakehouse.stack.ports import free_port
from lakehouse.streaming.facts import topic_facts
from lakehouse.streaming.messages import REVIEW
from lakehouse.streaming.produce import Request, produce
from lakehouse.streaming.troubles import TROUBLES, End

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def without_kind(line: dict) -> dict:
    """A line of the producer's log as the topic tells it: Kafka's timestamps are milliseconds."""
    return {name: value for name, value in line.items() if name != "kind"} | {"sent_at": line["sent_at"] // 1000}


def in_order(messages: list[dict]) -> list[dict]:
    return sorted(messages, key=lambda message: (message["partition"], message["offset"]))


def test_what_is_acknowledged_is_what_the_topic_holds(broker, topic, audit, reviews, tmp_path):
    log = tmp_path / "log"
    done = produce(broker.bootstrap, audit, reviews, Request("r1", topic, 2_000, trouble_share=0.5, log=log))
    facts = topic_facts(broker.bootstrap, topic)
    assert [(each.next_offset, each.acknowledged) for each in done.partitions] == [
        (each.latest,) * 2 for each in facts.partitions
    ]
    assert done.acknowledged + done.refused == 2_000
    assert [without_kind(line) for line in in_order(lines(log))] == in_order(broker.messages(topic))
    assert Counter(line["kind"] for line in lines(log)) == done.kinds
    refused = {name for name, trouble in TROUBLES.items() if trouble.end is End.REFUSED}
    assert done.kinds.keys() == {REVIEW, *TROUBLES} - refused
    assert done.refused >= 5
    assert {row["topic_id"] for row in audit.sends_of("r1")} == {facts.topic_id}


def test_messages_of_an_order_are_in_one_partition_in_the_order_of_their_making(
    broker, topic, audit, reviews, tmp_path
):
    log = tmp_path / "log"
    produce(broker.bootstrap, audit, reviews[:50], Request("r1", topic, 1_000, trouble_share=0.2, log=log))
    keyed = [line for line in in_order(lines(log)) if line["key"] is not None]
    for key in {line["key"] for line in keyed}:
        mine = [line for line in keyed if line["key"] == key]
        assert len({line["partition"] for line in mine}) == 1
        assert mine == sorted(mine, key=lambda line: line["sent_at"])


def test_a_topic_of_small_messages_refuses_large_ones_and_takes_the_rest(broker, new_topic, audit, reviews):
    topic = new_topic(max_message_bytes=20_000).name
    done = produce(broker.bootstrap, audit, reviews, Request("r1", topic, 500, trouble_share=1))
    assert done.refused == 500 - done.acknowledged
    assert not {"large", "deep", "oversized"} & done.kinds.keys()
    assert topic_facts(broker.bootstrap, topic).messages == done.acknowledged


def test_a_pace_is_kept(broker, topic, audit, reviews):
    done = produce(broker.bootstrap, audit, reviews, Request("r1", topic, 300, rate=200))
    assert 1.4 < done.seconds < 4


def test_no_more_is_sent_after_its_minutes(broker, topic, audit, reviews):
    done = produce(broker.bootstrap, audit, reviews, Request("r1", topic, 10_000, rate=100, minutes=0.03))
    assert 0 < done.acknowledged <= 200
    assert all(row["finished_at"] for row in audit.sends_of("r1"))


def test_rows_say_that_a_run_is_at_work_and_then_what_it_sent(broker, topic, audit, reviews):
    seen: list[list[dict]] = []
    request = Request("r1", topic, 300, rate=200)
    produce(broker.bootstrap, audit, reviews, request, lambda _: seen.append(audit.sends_of("r1")))
    assert [row["finished_at"] for row in seen[0]] == [None] * 3
    assert 0 < sum(row["acknowledged"] for row in seen[0]) <= 300
    assert sum(row["acknowledged"] for row in audit.sends_of("r1")) == 300
    assert all(row["finished_at"] and row["error"] is None for row in audit.sends_of("r1"))


def test_a_second_attempt_goes_on_with_the_rows_of_the_first(broker, topic, audit, reviews):
    for _ in range(2):
        produce(broker.bootstrap, audit, reviews, Request("r1", topic, 100))
    rows = audit.sends_of("r1")
    assert sum(row["acknowledged"] for row in rows) == 200
    assert {row["first_offset"] for row in rows} == {0}
    assert [row["next_offset"] for row in rows] == [row["acknowledged"] for row in rows]


def test_an_unknown_topic_sends_nothing_and_leaves_no_row(broker, audit, reviews):
    with pytest.raises(ParameterError, match="nowhere"):
        produce(broker.bootstrap, audit, reviews, Request("r1", "nowhere", 10))
    assert audit.sends_of("r1") == []


def test_a_log_that_cannot_be_written_is_told(broker, topic, audit, reviews, tmp_path):
    with pytest.raises(StoreUnavailable, match="nowhere"):
        produce(broker.bootstrap, audit, reviews, Request("r1", topic, 10, log=tmp_path / "nowhere" / "log"))


def test_a_broker_killed_in_the_middle_has_every_acknowledged_message_once(broker, topic, audit, reviews, tmp_path):
    log = tmp_path / "log"
    request = Request("r1", topic, 8_000, rate=2_000, patience=40, log=log)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(produce, broker.bootstrap, audit, reviews, request)
        time.sleep(1.5)
        broker.kill()
        time.sleep(0.5)
        broker.start()
        done = running.result(timeout=60)
    assert (done.acknowledged, done.refused) == (8_000, 0)
    held = broker.messages(topic)
    assert [without_kind(line) for line in in_order(lines(log))] == in_order(held)
    assert len({message["value"] for message in held}) == 8_000


def test_a_broker_that_goes_and_stays_away_ends_the_run_with_what_was_acknowledged(
    broker, topic, audit, reviews, tmp_path
):
    log = tmp_path / "log"
    request = Request("r1", topic, 100_000, rate=1_000, patience=6, log=log)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(produce, broker.bootstrap, audit, reviews, request)
        time.sleep(1)
        broker.kill()
        began = time.monotonic()
        with pytest.raises(KafkaUnavailable):
            running.result(timeout=30)
    assert time.monotonic() - began < 15
    broker.start()
    rows = audit.sends_of("r1")
    assert all(row["finished_at"] and "Kafka" in row["error"] for row in rows)
    assert 0 < sum(row["acknowledged"] for row in rows) == len(lines(log))
    held = in_order(broker.messages(topic))
    assert all(without_kind(line) in held for line in lines(log))


def run(broker_port: int, audit_url: str, folder: Path, *words: str, **how) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    settings = {"HOME": ROOT, "RAW": folder, "STATE": folder, "AUDIT_URL": audit_url, "KAFKA_PORT": broker_port}
    environment |= {f"LAKEHOUSE_{name}": str(value) for name, value in settings.items()} | {"PYTHONSAFEPATH": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, **pipes, **how)


def test_the_script_is_the_verb_and_says_what_was_acknowledged(broker, topic, audit, audit_url, tmp_path):
    words = (str(ROOT / "kafka" / "producer.py"), "--topic", topic, "--count", "200", "--run-id", "r1", "--json")
    process = run(broker.server.port, audit_url, tmp_path, *words)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["acknowledged"] == 200
    assert sum(row["acknowledged"] for row in audit.sends_of("r1")) == 200


def test_a_script_that_is_told_to_end_hands_over_what_it_sent(broker, topic, audit, audit_url, tmp_path):
    log = tmp_path / "sent.ndjson"
    words = (str(ROOT / "kafka" / "producer.py"), "--topic", topic, "--count", "1000000", "--log", str(log))
    process = run(broker.server.port, audit_url, tmp_path, *words, "--run-id", "r1")
    while topic_facts(broker.bootstrap, topic).messages < 5_000:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    rows = audit.sends_of("r1")
    assert [row["next_offset"] for row in rows] == [
        each.latest for each in topic_facts(broker.bootstrap, topic).partitions
    ]
    assert all(row["finished_at"] and row["error"] is None for row in rows)
    lines = log.read_text().count("\n")
    assert sum(row["acknowledged"] for row in rows) == topic_facts(broker.bootstrap, topic).messages == lines


def test_without_a_broker_the_exit_code_says_that_trying_again_can_help(audit_url, tmp_path):
    process = run(free_port(), audit_url, tmp_path, str(ROOT / "kafka" / "producer.py"), "--count", "10")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "Kafka cannot be used" in err
    assert "Traceback" not in err
