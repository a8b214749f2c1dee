"""`lakehouse alerts …`: is the webhook right, send what is stored, what was told."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from lakehouse.alerts.messages import trial_message
from lakehouse.alerts.send import Drained, Sender
from lakehouse.alerts.webhook import Webhook, webhook_of
from lakehouse.audit.log import Audit
from lakehouse.cli.screen import console, print_json, rows_grid
from lakehouse.errors import SettingsError, WebhookUnavailable
from lakehouse.log import redact, secrets_of
from lakehouse.settings import Settings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
alerts_app = typer.Typer(no_args_is_help=True, help="Messages in Discord: try, send what is stored, show.")
_SHOWN = ["alert_id", "created_at", "severity", "status", "title", "occurrences", "attempts", "sent_at", "last_error"]


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.add_typer(alerts_app, name="alerts")


def _webhook(settings: Settings) -> Webhook:
    webhook = webhook_of(settings)
    if webhook is None:
        raise SettingsError(
            "LAKEHOUSE_DISCORD_WEBHOOK_URL is not set.",
            remedy="in Discord: a channel's settings, Integrations, Webhooks, Copy URL; put it into .env.",
        )
    return webhook


@alerts_app.command("test")
def test_command(as_json: Json = False) -> None:
    """Post one message and edit it; says how long Discord took, or what is wrong."""
    settings = load_settings()
    webhook, payload = _webhook(settings), trial_message(settings).payload()
    began = time.monotonic()
    message_id = webhook.post(payload)
    posted = time.monotonic()
    if message_id:
        webhook.edit(message_id, payload)
    seconds = {"post_s": round(posted - began, 3), "edit_s": round(time.monotonic() - posted, 3)}
    if as_json:
        print_json({"message_id": message_id, **seconds})
    else:
        console.print(f"posted in {seconds['post_s']} s, edited in {seconds['edit_s']} s: look into the channel")


@alerts_app.command("send")
def send_command(
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait where Discord asks for a pause.")] = 60,
    as_json: Json = False,
) -> None:
    """Send what is stored and not sent yet."""
    settings = load_settings()
    secrets = secrets_of(settings)
    done = Sender(settings, _webhook(settings), secrets).drain(wait, at_once=True)
    error = redact(str(done.error), secrets) if done.error else None
    if as_json:
        print_json({"posted": done.posted, "edited": done.edited, "left": done.left, "error": error})
    else:
        console.print(f"posted {done.posted}, edited {done.edited}, left {done.left}")
    _raise_for(done)


def _raise_for(done: Drained) -> None:
    if done.error is not None:
        raise done.error
    if done.left:
        when = f"the next may be sent in {done.retry_in:.0f} s" if done.retry_in else "others came meanwhile"
        raise WebhookUnavailable(f"{done.left} alerts are left: {when}.", remedy="run `lakehouse alerts send` again.")


@alerts_app.command("show")
def show_command(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    pending: Annotated[bool, typer.Option("--pending", help="Only what is still to be sent.")] = False,
    as_json: Json = False,
) -> None:
    """List the newest alerts and what became of them."""
    settings = load_settings()
    rows = Audit(settings.need_audit_url(), secrets_of(settings)).alerts(limit, pending=pending)
    if as_json:
        print_json(rows)
    else:
        console.print(rows_grid(rows, _SHOWN if rows else ["no alert"]))
