"""In a process that stays: sending what was stored where nobody sent it, and finding streams that have died."""

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
WATCH_SECONDS = 30.0
_LONG_PAUSE_SECONDS = 60.0


def beside(app: App) -> App:
    """Return a web app as it is, after beginning to send and to watch for as long as its process lives."""
    for work in (_send, _watch):
        threading.Thread(target=work, name=f"resident{work.__name__}", daemon=True).start()
    return app


def _watch() -> None:
    try:
        settings = load_settings()
        watch_on(settings.need_audit_url(), secrets_of(settings), threading.Event())
    except LakehouseError as error:
        log.warning("nobody looks for streams that have died", error=str(error))


def watch_on(url: str, secrets: tuple[str, ...], stop: threading.Event) -> None:
    """Look every half minute for streams that have died, until it is told to stop."""
    from lakehouse.audit.dead_streams import end_dead_streams

    while not stop.wait(WATCH_SECONDS):
        try:
            for run in end_dead_streams(url, secrets):
                log.warning("a stream has died without a word", run=run)
        except LakehouseError as error:
            log.info("streams cannot be looked after now", error=redact(str(error), secrets))
        except Exception:
            log.exception("streams are not looked after")
            stop.wait(_LONG_PAUSE_SECONDS)


def _send() -> None:
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
