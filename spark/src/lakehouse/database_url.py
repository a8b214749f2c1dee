"""A Postgres URL as psycopg2 takes it, in the words of the JDBC driver; what only one of the two knows is refused."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SAME = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")
# `options` is missing: it is the platform's own, which sets zone and formats by it.
_JDBC = {name: name for name in _SAME} | {"connect_timeout": "connectTimeout", "application_name": "ApplicationName"}


def problem(url: str) -> str:
    """Return what is wrong with a URL, without a value of it; empty where nothing is."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
        return "not a URL of the form postgresql://user:password@host:port/database"
    return "" if is_port(parts) else "its port is no number from 1 to 65535; correct it, or leave it out for 5432"


def is_port(parts: SplitResult) -> bool:
    """Whether an address names no port, or one that can be."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def unknown_parameters(url: str) -> list[str]:
    """Return the names of the URL's parameters that have no counterpart in the JDBC driver."""
    return sorted({name for name, _ in _query(url)} - _JDBC.keys())


def allowed_parameters() -> str:
    """Return the names of the parameters that both take."""
    return ", ".join(sorted(_JDBC))


def jdbc_url(url: str) -> str:
    """Return the server and the database, without user, password and parameters."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"jdbc:postgresql://{host}:{parts.port or 5432}{parts.path}"


def jdbc_parameters(url: str) -> dict[str, str]:
    """Return user, password and the URL's parameters by the names that the JDBC driver has for them."""
    parts = urlsplit(url)
    login = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return login | {_JDBC.get(name, name): value for name, value in _query(url)}


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)
