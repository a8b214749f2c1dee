"""Topics as the file says, in a real broker."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from lakehouse.errors import KafkaUnavailable, ParameterError, SpecError
from lakehouse.stack.ports import free_port
from lakehouse.streaming.broker import administrator, configuration_of
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.facts import PartitionFacts, topic_facts
from lakehouse.streaming.topics import load_topics

pytestmark = pytest.mark.kafka
TOPICS = Path(__file__).parents[2] / "kafka" / "topics.yaml"


def said(broker, topics) -> list[str]:
    return [str(each) for each in ensure_topics(broker.bootstrap, topics)]


def test_the_shipped_topics_are_made_once_and_then_there_is_nothing_to_do(broker):
    wanted = load_topics(TOPICS)
    assert said(broker, wanted) == ["created"] * len(wanted)
    assert said(broker, wanted) == ["unchanged"] * len(wanted)
    facts = topic_facts(broker.bootstrap, "olist_reviews_stream")
    assert facts.max_message_bytes == 1_048_576
    assert facts.partitions == tuple(PartitionFacts(number, 0, 0) for number in range(3))


def test_a_topic_is_widened_and_altered_where_the_file_says_so(broker, new_topic):
    topic = new_topic(partitions=1)
    wider = topic.model_copy(update={"partitions": 2})
    other = wider.model_copy(update={"max_message_bytes": 2_000_000, "cleanup_policy": "compact"})
    assert said(broker, [wider]) == ["partitions added"]
    assert said(broker, [other]) == ["config altered"]
    assert said(broker, [other]) == ["unchanged"]
    facts = topic_facts(broker.bootstrap, topic.name)
    assert (facts.max_message_bytes, len(facts.partitions)) == (2_000_000, 2)


def test_fewer_partitions_are_refused_before_anything_is_changed(broker, new_topic):
    topic = new_topic(partitions=2)
    fewer = topic.model_copy(update={"partitions": 1})
    new = topic.model_copy(update={"name": f"{topic.name}-new"})
    with pytest.raises(SpecError, match=rf"{topic.name}: it has 2 partitions, and 1 are wanted"):
        ensure_topics(broker.bootstrap, [new, fewer])
    with pytest.raises(ParameterError):
        topic_facts(broker.bootstrap, new.name)


def test_two_at_once_make_a_topic_once(broker, new_topic):
    topic = new_topic()
    with ThreadPoolExecutor(4) as pool:
        for number in range(8):
            again = topic.model_copy(update={"name": f"{topic.name}-{number}"})
            done = [each.result()[0] for each in [pool.submit(said, broker, [again]) for _ in range(4)]]
            assert sorted(done) == ["created", "unchanged", "unchanged", "unchanged"]


def test_a_broker_that_does_not_know_a_topic_yet_tells_no_settings_and_that_is_an_error(broker):
    said = r"topic not-there: the broker tells no retention\.ms"
    with pytest.raises(KafkaUnavailable, match=said), administrator(broker.bootstrap) as client:
        configuration_of(client, "not-there", ["retention.ms"])


def test_a_setting_that_the_broker_refuses_is_said_for_a_new_topic_and_for_one_that_is_there(broker, new_topic):
    topic = new_topic()
    for name in (topic.name, f"{topic.name}-new"):
        wrong = topic.model_copy(update={"name": name, "max_message_bytes": -1})
        with pytest.raises(SpecError, match=rf"(?s)topic {name}.*Kafka refuses .*max\.message\.bytes=-1"):
            ensure_topics(broker.bootstrap, [wrong])
    assert said(broker, [topic]) == ["unchanged"]


def test_a_topic_that_is_made_anew_has_another_id(broker, new_topic):
    topic = new_topic()
    before = topic_facts(broker.bootstrap, topic.name).topic_id
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    client.delete_topics([topic.name])
    client.close()
    assert said(broker, [topic]) == ["created"]
    assert topic_facts(broker.bootstrap, topic.name).topic_id != before


def test_an_unknown_topic_is_named_with_its_neighbour(broker, new_topic):
    topic = new_topic(name="reviews_of_today")
    with pytest.raises(ParameterError, match=f'"reviews_of_todey".*Did you mean "{topic.name}"'):
        topic_facts(broker.bootstrap, "reviews_of_todey")


def test_a_broker_that_is_away_or_silent_is_said_in_seconds(broker, topic):
    began = time.monotonic()
    with pytest.raises(KafkaUnavailable, match="LAKEHOUSE_KAFKA_BOOTSTRAP"):
        topic_facts(f"127.0.0.1:{free_port()}", topic)
    broker.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(KafkaUnavailable, match=broker.bootstrap):
            topic_facts(broker.bootstrap, topic)
    finally:
        broker.process.send_signal(signal.SIGCONT)
    assert time.monotonic() - began < 15
