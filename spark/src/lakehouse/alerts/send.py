"""Sending what is stored, one alert after another, by one sender at a time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg2

from lakehouse.alerts import outbox
from lakehouse.alerts.embed import Embed
from lakehouse.alerts.messages import message
from lakehouse.alerts.webhook import Limited, MessageGone, Payload, PayloadRefused, Webhook
from lakehouse.audit.database import Connection, connect, unavailable
from lakehouse.errors import LakehouseError, WebhookRefused, WebhookUnavailable
from lakehouse.log import get_logger, redact
from lakehouse.settings import Settings

log = get_logger(__name__)
# Patient with a run that touches an alert: an answer of Discord that is not written down is a message told twice.
_OPTIONS = "-c timezone=UTC -c statement_timeout=60s -c lock_timeout=30s"
_PAUSE = 0.1


@dataclass(frozen=True)
class Drained:
    """How many messages were posted and edited, and what keeps the rest from being sent, if anything is left."""

    posted: int = 0
    edited: int = 0
    left: int = 0
    error: LakehouseError | None = None
    retry_in: float | None = None


class Sender:
    """Empties the outbox over a connection of its own; a run's transactions never wait for it."""

    def __init__(self, settings: Settings, webhook: Webhook, secrets: Sequence[str]) -> None:
        self.settings, self.webhook, self.secrets = settings, webhook, tuple(secrets)
        self._url = settings.need_audit_url()

    def drain(self, patience: float, *, at_once: bool = False) -> Drained:
        """Send all that is due; wait up to `patience` seconds for another sender and for pauses that Discord asks for.

        `at_once` tries although the channel has just failed; a pause that Discord asked for is kept. Raises
        AuditUnavailable.
        """
        deadline = time.monotonic() + patience
        try:
            with closing(connect(self._url, "lakehouse alerts", _OPTIONS)) as connection:
                connection.autocommit = True
                while not _locked(connection):
                    if time.monotonic() >= deadline:
                        return Drained(left=_pending(connection), retry_in=_PAUSE)
                    time.sleep(_PAUSE)
                done = self._send_all(connection, deadline, at_once)
                with connection.cursor() as cursor:
                    outbox.unlock(cursor)
                left = _pending(connection)
                return replace(done, left=left, retry_in=done.retry_in if left else None)
        except psycopg2.Error as error:
            raise unavailable(self._url, error) from error

    def _send_all(self, connection: Connection, deadline: float, at_once: bool) -> Drained:
        done, tried = Drained(), False
        while True:
            with connection.cursor() as cursor:
                shut = outbox.closed(cursor)
            if shut and (shut.limited or tried or not at_once):
                if not shut.limited or time.monotonic() + shut.seconds > deadline:
                    return replace(done, retry_in=shut.seconds)
                time.sleep(shut.seconds)
            with connection, connection.cursor() as cursor:  # psycopg2: one transaction, also with autocommit
                alert = outbox.next_due(cursor)
            if alert is None:
                return replace(done, error=None, retry_in=_full_for(connection))
            done, tried = self._send(connection, alert, done), True
        return done

    def _send(self, connection: Connection, alert: outbox.Stored, done: Drained) -> Drained:
        with connection, connection.cursor() as cursor:
            embed = message(cursor, alert, self.settings, self.secrets)
        payload = embed.payload()
        digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
        if alert.message_id and digest == alert.sent_digest:
            with connection, connection.cursor() as cursor:
                outbox.mark_sent(cursor, alert, alert.message_id, digest)
            return done
        try:
            message_id = self._tell(alert, embed)
        except LakehouseError as error:
            self._note_failure(connection, alert, error)
            return replace(done, error=error)
        with connection, connection.cursor() as cursor:
            outbox.mark_sent(cursor, alert, message_id, digest)
            outbox.open_channel(cursor)
        edited = int(alert.message_id is not None)
        return Drained(done.posted + 1 - edited, done.edited + edited)

    def _tell(self, alert: outbox.Stored, embed: Embed) -> str:
        """Post or edit, in bare words where the form is refused; return the message's id."""
        try:
            return self._request(alert, embed.payload())
        except PayloadRefused as error:
            log.warning("told in bare words", alert=alert.alert_id, error=str(error))
            return self._request(alert, embed.plain())

    def _request(self, alert: outbox.Stored, payload: Payload) -> str:
        if alert.message_id is None:
            return self.webhook.post(payload)
        self.webhook.edit(alert.message_id, payload)
        return alert.message_id

    def _note_failure(self, connection: Connection, alert: outbox.Stored, error: LakehouseError) -> None:
        told = redact(str(error), self.secrets)
        with connection, connection.cursor() as cursor:
            if isinstance(error, MessageGone):
                outbox.forget_message(cursor, alert)
            elif isinstance(error, WebhookUnavailable | WebhookRefused):
                outbox.mark_failed(cursor, alert, told)
                outbox.close_channel(cursor, told, error.seconds if isinstance(error, Limited) else None)
            else:
                log.error("an alert is given up", alert=alert.alert_id, title=alert.title, error=told)
                outbox.mark_failed(cursor, alert, told, for_good=True)


def _locked(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        return outbox.try_lock(cursor)


def _full_for(connection: Connection) -> float | None:
    with connection.cursor() as cursor:
        return outbox.full_for(cursor)


def _pending(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit.alerts WHERE status = 'PENDING'")
        (count,) = cursor.fetchone() or (0,)
    return int(count)
