"""A local server that behaves as Discord's webhooks do, limits and refusals included, over TLS as discord.com.

`answers` holds what the next requests get instead: a function of the handler each.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "canary-token_0123456789"


@dataclass
class Discord:
    """Messages by id as a channel shows them, and every request: (method, path, body, time)."""

    port: int = 0
    certificate: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any, float]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    answers: list[Callable[[Handler], None]] = field(default_factory=list)
    always: Callable[[Handler], None] | None = None
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://discord.com:{self.port}/api/webhooks/42/{TOKEN}"

    @property
    def hosts(self) -> str:
        return f"discord.com:{self.port}"

    def methods(self) -> list[str]:
        return [method for method, *_ in self.requests]

    def shown(self) -> list[dict[str, Any]]:
        """The embeds of all messages, in the order in which they were posted."""
        return [message["embeds"][0] for message in self.messages.values()]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    @property
    def discord(self) -> Discord:
        return self.server.discord  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, told: Any = None, **headers: str) -> None:
        body = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        discord = self.discord
        discord.requests.append((self.command, self.path, body, time.time()))
        instead = discord.answers.pop(0) if discord.answers else discord.always
        if instead:
            instead(self)
        else:
            self.behave(body)

    do_POST = do_PATCH = handle_one  # noqa: N815 - the names that http.server calls

    def behave(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        place = parts.path.removeprefix(f"/api/webhooks/42/{TOKEN}")
        if place == parts.path or (place and not place.startswith("/messages/")):
            return self.answer(404, {"message": "Unknown Webhook", "code": 10015})
        wrong = problem(body)
        if wrong:
            return self.answer(400, {"message": wrong, "code": 50035})
        if self.command == "POST":
            number = str(1_000 + len(self.discord.messages))
            self.discord.messages[number] = body
            return (
                self.answer(200, {"id": number}) if parse_qs(parts.query).get("wait") == ["true"] else self.answer(204)
            )
        number = place.removeprefix("/messages/")
        if number not in self.discord.messages:
            return self.answer(404, {"message": "Unknown Message", "code": 10008})
        self.discord.messages[number] = body
        return self.answer(200, {"id": number})


def units(text: str) -> int:
    return sum(2 if ord(each) > 0xFFFF else 1 for each in text)


def problem(body: dict[str, Any]) -> str:
    """What Discord says of content beyond its limits; they are written here once more, from its documentation."""
    if not body.get("content") and not body.get("embeds"):
        return "Cannot send an empty message"
    if units(body.get("content") or "") > 2000:
        return "content: Must be 2000 or fewer in length."
    for embed in body.get("embeds", []):
        fields = embed.get("fields", [])
        lengths = [(embed.get("title", ""), 256), (embed.get("description", ""), 4096)]
        lengths += [(each["name"], 256) for each in fields] + [(each["value"], 1024) for each in fields]
        lengths += [(embed.get("footer", {}).get("text", ""), 2048)]
        if any(units(text) > limit for text, limit in lengths) or len(fields) > 25:
            return "Invalid Form Body"
        if any(not each["name"] or not each["value"] for each in fields):
            return "This field is required"
        if sum(units(text) for text, _ in lengths) > 6000:
            return "Embed size exceeds maximum size of 6000"
    return ""


# What may be answered instead.
def status(code: int, told: Any = None, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.answer(code, told, **headers)


def limited(seconds: float) -> Callable[[Handler], None]:
    told = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
    return status(429, told, Retry_After=str(int(seconds + 0.999)))


def hang(handler: Handler) -> None:
    handler.discord.released.wait(30)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """A byte now and then, for ever: no single wait is long."""
    handler.close_connection = True
    for _ in range(300):
        if handler.discord.released.wait(0.1):
            return
        try:
            handler.wfile.write(b"H")
        except OSError:
            return


def cut_off(handler: Handler) -> None:
    handler.close_connection = True


@contextmanager
def running(name: str = "discord.com") -> Iterator[Discord]:
    """Run a server whose certificate is for `name`."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-discord-") as folder:
        key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
        make_certificate(key, certificate, name)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake is done by the thread of the request, so that a bad one keeps nobody waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.discord = Discord(server.server_address[1], Path(certificate).read_text())  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.discord  # type: ignore[attr-defined]
        finally:
            server.discord.released.set()  # type: ignore[attr-defined]
            server.shutdown()
            server.server_close()
            thread.join()


def make_certificate(key: str, certificate: str, name: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True, timeout=30)


def let_in(server: Discord, replace: Callable[[Any, str, Any], None]) -> None:
    """Let this process reach the server as discord.com: its address on loopback, its certificate trusted."""
    from lakehouse.alerts import address, webhook

    def addresses(host: str, port: int) -> list[str]:
        server.looked_up.append(host)
        return ["127.0.0.1"]

    replace(address, "public_addresses", addresses)
    replace(webhook, "tls", lambda: ssl.create_default_context(cadata=server.certificate))
