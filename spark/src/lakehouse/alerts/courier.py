"""Sending beside a run: in a thread that the run never waits for longer than a moment, and that can fail nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.alerts.send import Sender
from lakehouse.alerts.webhook import webhook_of
from lakehouse.errors import LakehouseError
from lakehouse.log import get_logger, redact, secrets_of
from lakehouse.settings import Settings

log = get_logger(__name__)
# A run's process waits so long for its last message; what is not sent by then stays stored.
LAST_SECONDS = 3.0
_PATIENCE = 5.0


class Courier:
    """Sends what is stored each time that it is nudged. Without a webhook in the settings it does nothing."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = secrets_of(settings)
        webhook = webhook_of(settings)
        self._sender = Sender(settings, webhook, self._secrets) if webhook else None
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def nudge(self) -> None:
        """Have what is stored sent; returns at once."""
        if self._sender is None:
            return
        self._wake.set()
        if self._thread is None:
            # A daemon: a peer that does not answer must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, args=(self._sender,), name="alerts", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Have what was stored last sent, and wait a moment for it."""
        self._closing.set()
        self.nudge()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def _work(self, sender: Sender) -> None:
        pause: float | None = None
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            last = self._closing.is_set()
            pause = self._drain(sender)
            if last:
                return

    def _drain(self, sender: Sender) -> float | None:
        """Send; return after how many seconds to try again by itself, None when nothing is left."""
        try:
            done = sender.drain(_PATIENCE)
        except LakehouseError as error:
            log.warning("alerts are not sent now", error=redact(str(error), self._secrets))
            return None
        except Exception:
            log.exception("alerts are not sent")
            return None
        if done.error is not None:
            log.warning("alerts stay stored", left=done.left, error=redact(str(done.error), self._secrets))
        return max(done.retry_in, 0.1) if done.left and done.retry_in else None


@contextmanager
def sending(settings: Settings) -> Iterator[Courier]:
    """Send what the block stores, and what was left before it; no error of sending leaves the block."""
    courier = Courier(settings)
    try:
        yield courier
    finally:
        courier.close()


def follows(settings: Settings, on_success: bool) -> bool:
    """Tell whether a run has its message from its start: a webhook is set, and nobody has switched good news off."""
    return bool(settings.discord_webhook_url.get_secret_value()) and settings.discord_success and on_success
