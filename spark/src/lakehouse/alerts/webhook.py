"""One request to a webhook: to a checked address of an allowed host, over TLS, within seconds, following nothing."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

from lakehouse.alerts import address
from lakehouse.alerts.url import HTTPS, webhook_problem
from lakehouse.errors import LakehouseError, SettingsError, WebhookRefused, WebhookUnavailable
from lakehouse.settings import Settings

Payload = dict[str, Any]

# A request, from the name's look-up to the answer's last byte, and a longest pause that is taken from an answer.
REQUEST_SECONDS = 5.0
CONNECT_SECONDS = 3.0
LONGEST_PAUSE = 3600.0
_LONGEST_ANSWER = 65_536
_UNKNOWN_MESSAGE = 10008
_AGAIN = "it is sent again later, or by `lakehouse alerts send`."


class Limited(WebhookUnavailable):
    """Discord asks for a pause of `seconds`."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what, remedy=_AGAIN)
        self.seconds = seconds


class MessageGone(LakehouseError):
    """The message to be edited is no longer there."""


class PayloadRefused(LakehouseError):
    """Discord does not take this content; another one it may."""


class Webhook:
    """A channel's webhook. No error and no text of it shows its URL."""

    def __init__(self, url: str, hosts: str) -> None:
        problem = webhook_problem(url, hosts)
        if problem:
            raise SettingsError(f"LAKEHOUSE_DISCORD_WEBHOOK_URL is no webhook: {problem}.")
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or HTTPS
        self._path, self._query = parts.path, parts.query

    def post(self, payload: Payload) -> str:
        """Post a message and return its id, "" where the answer names none.

        Raises Limited, WebhookUnavailable, PayloadRefused, WebhookRefused.
        """
        answer = self._request("POST", self._path, payload, "wait=true")
        return str(answer.get("id") or "")

    def edit(self, message_id: str, payload: Payload) -> None:
        """Replace a message's content; raises MessageGone when somebody has removed it, else as `post`."""
        self._request("PATCH", f"{self._path}/messages/{message_id}", payload)

    def _request(self, method: str, path: str, payload: Payload, query: str = "") -> dict[str, Any]:
        target = "?".join(filter(None, [path, "&".join(filter(None, [query, self._query]))]))
        body = json.dumps(payload).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "lakehouse (alerts, 1)"}
        try:
            status, pause, answer = self._exchange(method, target, body, headers)
        except LakehouseError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._away(_plain(error)) from None
        return self._judge(status, pause, answer)

    def _exchange(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """Return the answer's status, its Retry-After and its body; a peer that drips bytes is cut off in time."""
        deadline = time.monotonic() + REQUEST_SECONDS
        addresses = address.public_addresses(self._host, self._port)
        connection = _Pinned(self._host, self._port, addresses)
        cut = threading.Timer(max(0.1, deadline - time.monotonic()), connection.cut)
        cut.daemon = True
        with closing(connection):
            cut.start()
            try:
                connection.connect()
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.headers.get("Retry-After") or "", answer.read(_LONGEST_ANSWER)
            finally:
                cut.cancel()

    def _judge(self, status: int, pause: str, answer: bytes) -> dict[str, Any]:
        told = _json(answer)
        if 200 <= status < 300:
            return told
        if status == http.client.TOO_MANY_REQUESTS:
            seconds = _seconds(told.get("retry_after"), pause)
            raise Limited(f"Discord asks for a pause of {seconds:g} s (429).", seconds)
        if status == http.client.NOT_FOUND and told.get("code") == _UNKNOWN_MESSAGE:
            raise MessageGone("the message was removed.", where=self._host)
        if status in (http.client.BAD_REQUEST, http.client.REQUEST_ENTITY_TOO_LARGE):
            raise PayloadRefused(f"Discord refuses the content ({status}, code {told.get('code')}).", where=self._host)
        if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.REQUEST_TIMEOUT:
            raise self._away(f"it answers {status}")
        what = "a redirect, which is not followed" if 300 <= status < 400 else "the webhook is not known there"
        raise WebhookRefused(
            f"it answers {status}: {what}.",
            where=self._host,
            remedy="put the URL that Discord shows under Integrations into LAKEHOUSE_DISCORD_WEBHOOK_URL, then "
            "`lakehouse alerts test` and `lakehouse alerts send`.",
        )

    def _away(self, why: str) -> WebhookUnavailable:
        return WebhookUnavailable(f"the webhook cannot be used: {why}.", where=self._host, remedy=_AGAIN)


class _Pinned(http.client.HTTPSConnection):
    """Connects to addresses that were checked, never to what a second look-up of the name gives."""

    def __init__(self, host: str, port: int, addresses: list[str]) -> None:
        self._tls = tls()
        super().__init__(host, port, timeout=CONNECT_SECONDS, context=self._tls)
        self._addresses = addresses

    def connect(self) -> None:
        """Connect to the first address that answers, and check the certificate against the host's name."""
        plain = self._reach()
        plain.settimeout(REQUEST_SECONDS)
        self.sock = secure = self._tls.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        secure.do_handshake()

    def _reach(self) -> socket.socket:
        deadline = time.monotonic() + CONNECT_SECONDS
        for each in self._addresses[:-1]:
            try:
                return socket.create_connection((each, self.port), timeout=1.0)
            except OSError:
                continue
        return socket.create_connection((self._addresses[-1], self.port), max(0.5, deadline - time.monotonic()))

    def cut(self) -> None:
        """End a request from another thread."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def tls() -> ssl.SSLContext:
    """Return how peers are checked: by the system's authorities, and by name."""
    return ssl.create_default_context()


def webhook_of(settings: Settings) -> Webhook | None:
    """Return the webhook that the settings name, or None where they name none."""
    url = settings.discord_webhook_url.get_secret_value()
    return Webhook(url, settings.discord_hosts) if url else None


def _plain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return re.sub(r"\s+", " ", getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def _json(answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _seconds(told: Any, header: str) -> float:
    """Return the longer of the two pauses that an answer names, at least 0.1 s; 1 s where it names none."""
    found = []
    for each in (told, header):
        try:
            found.append(float(each))
        except (TypeError, ValueError):
            continue
    sound = [each for each in found if 0 <= each < float("inf")]
    return min(max([*sound, 0.1] if sound else [1.0]), LONGEST_PAUSE)
