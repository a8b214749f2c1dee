"""Every error a person may meet: what happened, where, what is allowed, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LakehouseError(Exception):
    """Base of all errors of the platform.

    `heals` tells a scheduler whether trying again without a change can help; `exit_code` is what a command ends with.
    """

    heals = False
    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, allowed: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.allowed, self.remedy = what, where, allowed, remedy

    def __str__(self) -> str:
        """One line: `where: what Allowed: … Next: …`."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}.")
        if self.remedy:
            parts.append(f"Next: {self.remedy}")
        return " ".join(parts)


class SettingsError(LakehouseError):
    """A setting is missing or not usable; the value is never shown when it is a secret."""

    exit_code = 2


class SpecError(LakehouseError):
    """A contract or a pipeline file says something that cannot be run."""

    exit_code = 2


class ParameterError(LakehouseError):
    """A run parameter is refused before anything starts."""

    exit_code = 2


class SourceError(LakehouseError):
    """The source answered, but not with what the contract expects."""


class SourceUnavailable(LakehouseError):
    """The source cannot be reached or went away during a read."""

    heals = True
    exit_code = 75


class ChangedMeanwhile(SourceError):
    """The source's columns changed between the plan of a read and its end; nothing of the read is kept."""

    heals = True
    exit_code = 75


class SchemaChanged(SourceError):
    """The source's columns differ from the table's in a way its policy does not take."""


class StateError(LakehouseError):
    """What the tables say of their own progress cannot be read or contradicts itself; nothing is started over."""


class Overtaken(StateError):
    """Another writer has moved the table since it was read: nothing is committed, and reading it again shows both."""

    heals = True
    exit_code = 75


class StoreUnavailable(LakehouseError):
    """The object store or the disk refuses reads or writes (away, wrong key, out of space)."""

    heals = True
    exit_code = 75


class EngineGone(LakehouseError):
    """The JVM that does Spark's work has ended in the middle of it: killed, or out of memory."""

    heals = True
    exit_code = 75


class KafkaUnavailable(LakehouseError):
    """No broker answers, or it did not take everything in the time that it was given."""

    heals = True
    exit_code = 75


class EventUnreadable(LakehouseError):
    """Kafka's client cannot read what stands at an offset; nothing after it is read."""


class OffsetsLost(LakehouseError):
    """Events of a topic are gone before they were read; nothing after them is read until that is accepted."""


class TopicChanged(LakehouseError):
    """A topic is not the one that was read before: it was made anew, or has lost its end."""


class StreamUnbalanced(LakehouseError):
    """What a producer sent and what the lake has taken in are not the same events."""


class ProducerFailed(LakehouseError):
    """The producer whose events a run waits for ended before it had sent them all; what it sent was taken in."""


class StreamStalled(LakehouseError):
    """A bounded run of a stream has not come to its end, and nothing moves any more."""

    heals = True
    exit_code = 75


class AuditUnavailable(LakehouseError):
    """The audit database cannot be reached: no run is called a success without its row."""

    heals = True
    exit_code = 75


class LeaseHeld(LakehouseError):
    """Another run holds the table."""

    heals = True
    exit_code = 75


class RunInProgress(LakehouseError):
    """A run that a person asked for finds another one of its pipeline at work, and changes nothing."""

    exit_code = 2


class LeaseLost(LakehouseError):
    """This attempt has been fenced by a later one and may no longer commit."""


class LeaseSessionLost(LeaseLost):
    """The session that held the lease is gone and nobody has taken it since: a further attempt can."""

    heals = True
    exit_code = 75


class QuarantineLimitExceeded(LakehouseError):
    """More rows were rejected than the table's contract allows; the rejects are kept, nothing is published."""


class GateFailed(LakehouseError):
    """A table-level check of severity error failed."""


class LedgerUnbalanced(LakehouseError):
    """Rows in do not equal the sum of what became of them."""


class WebhookUnavailable(LakehouseError):
    """Discord cannot be reached, is limiting us or fails; what is stored is sent later."""

    heals = True
    exit_code = 75


class WebhookRefused(LakehouseError):
    """Discord does not know the webhook, or what is at its address is none."""


class Unforeseen(LakehouseError):
    """An error of no kind that this program knows: trying again may help, and the trace is kept."""

    heals = True
    exit_code = 75


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""
