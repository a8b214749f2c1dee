"""Where a host's name leads: nothing is sent to an address that is not a public one."""

from __future__ import annotations

import ipaddress
import socket

from lakehouse.errors import WebhookRefused, WebhookUnavailable


def public_addresses(host: str, port: int) -> list[str]:
    """Return a host's addresses in the resolver's order.

    Raises WebhookRefused when one of them is internal (loopback, private, link-local, reserved, multicast), and
    WebhookUnavailable when the name leads nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebhookUnavailable(f"its name is not known ({error}).", where=host) from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not all(map(is_public, addresses)):
        raise WebhookRefused(
            "its name leads to an internal address; nothing was sent.",
            where=host,
            remedy="correct LAKEHOUSE_DISCORD_WEBHOOK_URL, LAKEHOUSE_DISCORD_HOSTS or the resolver.",
        )
    return addresses


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet; one that wraps an IPv4 address is judged by that."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1]) or _nat64(found)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    inside = address in ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if inside else None
