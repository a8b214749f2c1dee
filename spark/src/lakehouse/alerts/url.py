"""What counts as the URL of a webhook; what is refused never shows the URL."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

HTTPS = 443
_PATH = re.compile(r"/api/(?:v\d{1,2}/)?webhooks/\d{1,20}/[\w-]{1,200}")


def webhook_problem(url: str, hosts: str) -> str:
    """Return what keeps a URL from being a webhook at one of `hosts` (`host` or `host:port`, by commas), or ""."""
    try:
        parts = urlsplit(url)
        port = parts.port or HTTPS
    except ValueError:
        return "it is no URL"
    if parts.scheme != "https":
        return "it does not begin with https://"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "it holds a user, a password or a #"
    if (parts.hostname or "", port) not in allowed(hosts):
        return f"its host is none of {hosts} (LAKEHOUSE_DISCORD_HOSTS)"
    if not _PATH.fullmatch(parts.path) or not _names_a_thread_at_most(parts.query):
        return "its path is not /api/webhooks/ID/TOKEN"
    return ""


def allowed(hosts: str) -> set[tuple[str, int]]:
    """Return the hosts and ports that a list names; raises ValueError for what is no name of a host."""
    found = set()
    for entry in filter(None, (each.strip() for each in hosts.split(","))):
        host, _, port = entry.partition(":")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host):
            raise ValueError(f"{entry!r} is no name of a host")
        found.add((host, int(port) if port else HTTPS))
    return found


def _names_a_thread_at_most(query: str) -> bool:
    asked = parse_qs(query, keep_blank_values=True)
    return not asked or (asked.keys() == {"thread_id"} and all(value.isdecimal() for value in asked["thread_id"]))
