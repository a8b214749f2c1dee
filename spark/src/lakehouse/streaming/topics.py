"""The topics of `kafka/topics.yaml`, made so in Kafka, and what a topic holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lakehouse.errors import SpecError
from lakehouse.specs.explain import explained
from lakehouse.specs.fields import Duration
from lakehouse.specs.yaml_source import YamlProblem, read_yaml

FILE = Path("kafka/topics.yaml")


class Topic(BaseModel):
    """A topic as it should be; a message of more than `max_message_bytes` is refused by the broker.

    A message is a row in the driver's memory, and in the JVM's some times its size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}$")
    description: str = ""
    partitions: int = Field(ge=1, le=1000)
    retention: Duration
    max_message_bytes: int = Field(default=1_048_576, ge=1_024, le=16_000_000)
    cleanup_policy: Literal["delete", "compact"] = "delete"

    @property
    def configuration(self) -> dict[str, str]:
        """Return what Kafka is told of it, by Kafka's own names."""
        return {
            "retention.ms": str(round(self.retention.total_seconds() * 1000)),
            "max.message.bytes": str(self.max_message_bytes),
            "cleanup.policy": self.cleanup_policy,
        }


def _named_once(topics: list[Topic]) -> list[Topic]:
    doubled = [name for name, times in Counter(topic.name for topic in topics).items() if times > 1]
    if doubled:
        raise ValueError(f"{', '.join(doubled)}: named twice")
    return topics


class Topics(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: Annotated[list[Topic], Field(min_length=1), AfterValidator(_named_once)]


def load_topics(path: Path) -> list[Topic]:
    """Read the file; SpecError names every problem with its line."""
    try:
        document = read_yaml(path)
        return Topics.model_validate(document.data).topics
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except YamlProblem as problem:
        raise SpecError(problem.message, where=f"{path}:{problem.line}") from None
    except ValidationError as error:
        problems = [str(problem) for problem in explained(error, path, document, (), Topics)]
        raise SpecError("\n".join(problems)) from None
