"""Ports of this machine, all on the loopback address."""

from __future__ import annotations

import socket

from lakehouse.stack.errors import StackError

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def need_free(port: int, setting: str) -> None:
    """Raise `StackError` that names the setting, if something else listens on the port."""
    if not is_free(port):
        raise StackError(
            f"Port {port} is taken by another program.",
            where=setting,
            remedy=f"stop what listens there (`ss -ltnp 'sport = :{port}'`) or set {setting} in .env.",
        )


def free_port() -> int:
    """Return a port that nothing listens on; the system does not hand it out again at once."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
