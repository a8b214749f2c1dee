"""One request to a webhook: what it does on each answer, where it never goes, what it never shows."""

from __future__ import annotations

import socket
import time

import pytest

from lakehouse.alerts import address, webhook
from lakehouse.alerts.url import webhook_problem
from lakehouse.alerts.webhook import Limited, MessageGone, PayloadRefused, Webhook
from lakehouse.errors import LakehouseError, SettingsError, WebhookRefused, WebhookUnavailable
from lakehouse.settings import Settings, read_settings

HELLO = {"content": "hello", "embeds": []}
TOKEN = "canary-token_0123456789"


@pytest.fixture
def hook(discord) -> Webhook:
    return Webhook(discord.url, discord.hosts)


def test_a_message_is_posted_once_and_edited_in_place(discord, hook):
    number = hook.post(HELLO)
    hook.edit(number, HELLO | {"content": "changed"})
    assert discord.messages == {number: HELLO | {"content": "changed"}}
    assert [(method, path.partition("?")[2]) for method, path, *_ in discord.requests] == [
        ("POST", "wait=true"),
        ("PATCH", ""),
    ]


def test_a_thread_of_the_channel_is_kept(discord):
    hook = Webhook(discord.url + "?thread_id=77", discord.hosts)
    hook.edit(hook.post(HELLO), HELLO)
    assert [path.partition("?")[2] for _, path, *_ in discord.requests] == ["wait=true&thread_id=77", "thread_id=77"]


def test_an_answer_without_a_body_is_a_message_without_an_id(discord, hook, fake_discord):
    discord.answers.append(fake_discord.status(204))
    assert hook.post(HELLO) == ""


@pytest.mark.parametrize(
    ("told", "header", "seconds"),
    [(0.4, "1", 1.0), (2.5, None, 2.5), (None, "3", 3.0), ("soon", "x", 1.0), (1e12, None, 3600.0), (0, None, 0.1)],
)
def test_a_pause_is_as_long_as_the_answer_says(discord, hook, fake_discord, told, header, seconds):
    discord.answers.append(
        fake_discord.status(429, {"retry_after": told}, **({"Retry_After": header} if header else {}))
    )
    with pytest.raises(Limited) as caught:
        hook.post(HELLO)
    assert caught.value.seconds == seconds


def test_a_message_that_was_removed_is_told_apart_from_a_webhook_that_was(discord, hook):
    with pytest.raises(MessageGone):
        hook.edit("5", HELLO)
    with pytest.raises(WebhookRefused):
        Webhook(discord.url + "x", discord.hosts).edit("5", HELLO)


def test_content_beyond_the_limits_is_refused_as_content(hook):
    with pytest.raises(PayloadRefused):
        hook.post({"content": "x" * 2001})


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_failing_server_heals(discord, hook, fake_discord, code):
    discord.answers.append(fake_discord.status(code, {"html": "<p>"}))
    with pytest.raises(WebhookUnavailable, match=str(code)):
        hook.post(HELLO)


@pytest.mark.parametrize("way", ["hang", "drip", "cut_off"])
def test_a_silent_a_dripping_and_a_vanishing_peer_are_given_up_in_time(discord, hook, fake_discord, monkeypatch, way):
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.8)
    discord.answers.append(getattr(fake_discord, way))
    began = time.monotonic()
    with pytest.raises(WebhookUnavailable):
        hook.post(HELLO)
    assert time.monotonic() - began < 2


def test_a_peer_that_takes_the_connection_and_begins_no_tls_is_given_up_in_time(discord, monkeypatch):
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.8)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hook = Webhook(f"https://discord.com:{port}/api/webhooks/1/x", f"discord.com:{port}")
        began = time.monotonic()
        with pytest.raises(WebhookUnavailable):
            hook.post(HELLO)
        assert time.monotonic() - began < 2


def test_nobody_at_the_address_heals(discord, hook, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hook = Webhook(f"https://discord.com:{port}/api/webhooks/1/x", f"discord.com:{port}")
    with pytest.raises(WebhookUnavailable, match="refused"):
        hook.post(HELLO)


def test_a_certificate_that_nobody_vouches_for_gets_no_request(discord, hook, monkeypatch):
    monkeypatch.setattr(webhook, "tls", webhook.ssl.create_default_context)
    with pytest.raises(WebhookUnavailable, match="certificate"):
        hook.post(HELLO)
    assert discord.requests == []


def test_a_certificate_of_another_host_gets_no_request(fake_discord, monkeypatch):
    with fake_discord.running("elsewhere.example") as server:
        fake_discord.let_in(server, monkeypatch.setattr)
        with pytest.raises(WebhookUnavailable, match="certificate"):
            Webhook(server.url, server.hosts).post(HELLO)
        assert server.requests == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(discord, hook, fake_discord, code):
    with fake_discord.running("localhost") as inside:
        target = f"https://localhost:{inside.port}/api/webhooks/42/{TOKEN}"
        discord.answers.append(fake_discord.status(code, None, Location=target))
        with pytest.raises(WebhookRefused, match="redirect"):
            hook.post(HELLO)
        assert (len(discord.requests), inside.requests) == (1, [])


@pytest.mark.parametrize(
    "way", ["hang", "cut_off", "503", "404", "400", "429", "302", "certificate", "name", "internal", "refused"]
)
def test_no_error_shows_the_url(discord, hook, fake_discord, monkeypatch, way):
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.3)
    if way.isdigit():
        discord.answers.append(fake_discord.status(int(way), {"message": discord.url, "code": 1}, Location=discord.url))
    elif way == "certificate":
        monkeypatch.setattr(webhook, "tls", webhook.ssl.create_default_context)
    elif way == "name":
        monkeypatch.setattr(address, "public_addresses", REAL)
        monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
    elif way == "internal":
        monkeypatch.setattr(address, "public_addresses", REAL)
        monkeypatch.setattr(socket, "getaddrinfo", leads_to("10.0.0.1"))
    elif way == "refused":
        discord.answers.append(fake_discord.status(403))
    else:
        discord.answers.append(getattr(fake_discord, way))
    with pytest.raises(LakehouseError) as caught:
        hook.post(HELLO)
    shown = "".join([str(caught.value), repr(caught.value), repr(hook)])
    assert TOKEN not in shown
    assert "/api/" not in shown
    assert caught.value.__cause__ is None


REAL = address.public_addresses


def leads_to(*addresses: str):
    return lambda host, port, **_: [(0, 0, 0, "", (each, port)) for each in addresses]


def unknown_name(*_: object, **__: object):
    raise socket.gaierror(-2, "Name or service not known")


INTERNAL = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a00:1::",
]


@pytest.mark.parametrize("internal", INTERNAL)
def test_an_internal_address_is_none_to_send_to(monkeypatch, internal):
    monkeypatch.setattr(socket, "getaddrinfo", leads_to("162.159.135.232", internal))
    connected = []
    monkeypatch.setattr(socket, "create_connection", lambda *a, **_: connected.append(a))
    with pytest.raises(WebhookRefused, match="internal"):
        Webhook("https://discord.com/api/webhooks/1/x", "discord.com").post(HELLO)
    assert connected == []


def test_public_addresses_are_taken_in_their_order(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", leads_to("162.159.135.232", "2606:4700::1", "162.159.135.232"))
    assert address.public_addresses("discord.com", 443) == ["162.159.135.232", "2606:4700::1"]


def test_a_request_goes_to_the_address_that_was_checked_and_the_name_is_looked_up_once(monkeypatch):
    """Another look-up could lead inward: what is connected to is an address, never the name."""
    asked, reached = [], []

    def look_up(host, port, **_):
        asked.append(host)
        return leads_to("162.159.135.232" if len(asked) == 1 else "127.0.0.1")(host, port)

    def connect(place, *_, **__):
        reached.append(place)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(WebhookUnavailable):
        Webhook("https://discord.com/api/webhooks/1/x", "discord.com").post(HELLO)
    assert (asked, reached) == (["discord.com"], [("162.159.135.232", 443)])


def test_a_proxy_of_the_environment_is_not_asked(discord, hook, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert hook.post(HELLO)


REFUSED = [
    "http://discord.com/api/webhooks/1/x",
    "file:///etc/passwd",
    "https://127.0.0.1/api/webhooks/1/x",
    "https://discord.com.evil.example/api/webhooks/1/x",
    "https://user:p@discord.com/api/webhooks/1/x",
    "https://discord.com@evil.example/api/webhooks/1/x",
    "https://discord.com:8443/api/webhooks/1/x",
    "https://discord.com:99999/api/webhooks/1/x",
    "https://discord.com/api/webhooks/1",
    "https://discord.com/api/channels/1/x",
    "https://discord.com/api/webhooks/1/x/../../y",
    "https://discord.com/api/webhooks/1/x?wait=true",
    "https://discord.com/api/webhooks/1/x?thread_id=1&thread_id=a",
    "https://discord.com/api/webhooks/1/x#f",
    "https://evil.example/api/webhooks/1/x",
    "discord.com/api/webhooks/1/x",
    "https://[::1]/api/webhooks/1/x",
    "https://discord.com/api/webhooks/1/%2e%2e",
    "https://localhost/api/webhooks/1/x",
    "https:///api/webhooks/1/x",
    "https://discord.com\\@evil.example/api/webhooks/1/x",
    "https://[discord.com/api/webhooks/1/x",
    "changeme",
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_webhook_is_refused_by_the_settings_without_being_shown(monkeypatch, tmp_path, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_DISCORD_WEBHOOK_URL", url.replace("/x", "/canary"))
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "LAKEHOUSE_DISCORD_WEBHOOK_URL" in str(caught.value)
    assert "canary" not in str(caught.value)
    with pytest.raises(SettingsError):
        Webhook(url, "discord.com,discordapp.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://discord.com/api/webhooks/1/x",
        "https://DISCORD.com/api/v10/webhooks/123456789012345678/aB-_9",
        "https://discordapp.com/api/webhooks/1/x?thread_id=5",
        "https://discord.com/api/webhooks/1/x\n",
    ],
)
def test_a_webhook_is_taken(url):
    settings = Settings(_env_file=None, discord_webhook_url=url)
    assert settings.discord_webhook_url.get_secret_value() == url.strip()


def test_a_host_of_ones_own_is_taken_with_its_port_only():
    assert webhook_problem("https://d.example:8443/api/webhooks/1/x", "discord.com, d.example:8443") == ""
    assert "host" in webhook_problem("https://d.example/api/webhooks/1/x", "discord.com, d.example:8443")


@pytest.mark.parametrize(
    "hosts", ["https://discord.com", "*", "discord.com/x", "discord.com:x", "dis cord.com", "*.com"]
)
def test_a_list_of_hosts_that_is_none_is_refused(hosts, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_DISCORD_HOSTS", hosts)
    with pytest.raises(SettingsError, match="LAKEHOUSE_DISCORD_HOSTS"):
        read_settings()


@pytest.mark.parametrize("link", ["javascript:alert(1)", "ftp://h/", "https://u:p@h/", "h/x", "https://"])
def test_a_link_that_cannot_be_opened_is_refused(link, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_DASHBOARD_URL", link)
    with pytest.raises(SettingsError, match="LAKEHOUSE_DASHBOARD_URL"):
        read_settings()
