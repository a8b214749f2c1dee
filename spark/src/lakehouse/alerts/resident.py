"""Sending in a process that stays: what was stored where nobody sent it, or while Discord was away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from lakehouse.errors import LakehouseError
from lakehouse.log import get_logger, redact, secrets_of
from lakehouse.settings import load_settings

if TYPE_CHECKING:
    from lakehouse.alerts.send import Sender

App = TypeVar("App")
log = get_logger(__name__)
PAUSE_SECONDS = 2.0
_LONG_PAUSE_SECONDS = 60.0


def beside(app: App) -> App:
    """Return a web app as it is, after beginning to send what is stored for as long as its process lives."""
    threading.Thread(target=_stay, name="resident alerts", daemon=True).start()
    return app


def _stay() -> None:
    from lakehouse.alerts.send import Sender
    from lakehouse.alerts.webhook import webhook_of

    try:
        settings = load_settings()
        webhook = webhook_of(settings)
        if webhook is None:
            return
        send_on(Sender(settings, webhook, secrets_of(settings)), threading.Event())
    except LakehouseError as error:
        log.warning("nobody sends alerts between runs", error=str(error))


def send_on(sender: Sender, stop: threading.Event) -> None:
    """Send what is due every two seconds until it is told to stop; what keeps it from that is said once."""
    said = ""
    while not stop.wait(PAUSE_SECONDS):
        try:
            done = sender.drain(0)
            told = redact(str(done.error), sender.secrets) if done.error else ""
            said = "" if done.posted or done.edited else said
        except LakehouseError as error:
            told = redact(str(error), sender.secrets)
        except Exception:
            log.exception("alerts are not sent")
            stop.wait(_LONG_PAUSE_SECONDS)
            continue
        if told and told != said:
            log.warning("alerts stay stored", error=told)
            said = told
