"""`kafka/topics.yaml`: what is taken, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.errors import SpecError
from lakehouse.streaming.topics import load_topics

SHIPPED = Path(__file__).parents[2] / "kafka" / "topics.yaml"
GOOD = "topics:\n  - name: reviews\n    partitions: 3\n    retention: 7d\n"


def test_the_shipped_file_names_the_topic_of_reviews():
    (topic,) = load_topics(SHIPPED)
    assert (topic.name, topic.partitions) == ("olist_reviews_stream", 3)
    assert topic.configuration == {
        "retention.ms": "604800000",
        "max.message.bytes": "1048576",
        "cleanup.policy": "delete",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.replace("partitions", "partition"),
            r':3: topics\.0\.partition is not known\. Did you mean "partitions"\?',
        ),
        (GOOD + "    name: others\n", r':5: the key "name" stands twice'),
        (GOOD + GOOD.partition("\n")[2], r":1: topics: reviews: named twice"),
        (GOOD.replace("3", "0"), r":3: topics\.0\.partitions: .*greater than or equal to 1"),
        (GOOD.replace("3", "!!int 3"), ":3: the tag "),
        (GOOD.replace("7d", "&week 7d"), ":4: anchors and aliases are not taken"),
        (GOOD + "    max_message_bytes: 16000001\n", r":5: .*less than or equal to 16000000"),
        (GOOD.replace("7d", "a week"), r":4: topics\.0\.retention: no duration"),
        (GOOD.replace("reviews", "../reviews"), r":2: topics\.0\.name: "),
        (GOOD + "    cleanup_policy: compress\n", r":5: .*Allowed: delete, compact\."),
        ("topics: []\n", ":1: topics: "),
        ("", ":1: the document must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    file = tmp_path / "topics.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=said):
        load_topics(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"topics\.yaml: cannot be read"):
        load_topics(tmp_path / "topics.yaml")
