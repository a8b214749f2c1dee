"""The way to the brokers: short waits, and their errors in our words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from lakehouse.errors import KafkaUnavailable

# Milliseconds. A broker that answers does so in tens of them; one that starts takes seconds.
BOOTSTRAP_MS, REQUEST_MS = 5_000, 8_000
# It tells each refused connection as an error; what that means for us is told once, by our own.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@contextmanager
def administrator(bootstrap: str, *, bootstrap_ms: int = BOOTSTRAP_MS) -> Iterator[KafkaAdminClient]:
    """Hold a client for topics and offsets; whatever Kafka's client raises within leaves as KafkaUnavailable.

    `bootstrap` is host:port, or several by commas. No answer is waited for longer than 10 s.
    """
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            bootstrap_timeout_ms=bootstrap_ms,
            request_timeout_ms=REQUEST_MS,
            reconnect_backoff_max_ms=500,
        )
    except KafkaError as error:
        raise unavailable(bootstrap, error) from None
    try:
        yield client
    except KafkaError as error:
        raise unavailable(bootstrap, error) from error
    finally:
        client.close()


def configuration_of(client: KafkaAdminClient, topic: str, names: Sequence[str]) -> dict[str, str]:
    """Return what a topic's settings are now, by their names; UnknownTopicOrPartitionError where the broker has none.

    Kafka's client returns nothing, and says no error, where the broker that it asked does not know the topic.
    """
    told = client.describe_configs([ConfigResource("TOPIC", topic, list(names))], config_filter="all")["topic"][topic]
    if missing := [name for name in names if name not in told]:
        raise UnknownTopicOrPartitionError(f"topic {topic}: the broker tells no {', '.join(missing)}")
    return {name: told[name]["value"] for name in names}


def unavailable(bootstrap: str, error: Exception) -> KafkaUnavailable:
    """Return the error to raise for what Kafka's client said."""
    said = " ".join(str(error).split()) or type(error).__name__
    return KafkaUnavailable(
        f"Kafka cannot be used: {said}.",
        where=bootstrap,
        remedy="see that the broker runs (`lakehouse state`) and that LAKEHOUSE_KAFKA_BOOTSTRAP names it.",
    )


def answers(bootstrap: str) -> bool:
    """Tell whether a broker answers now with a cluster that has a member."""
    try:
        with administrator(bootstrap, bootstrap_ms=1_000) as client:
            return bool(client.describe_cluster()["brokers"])
    except KafkaUnavailable:
        return False
