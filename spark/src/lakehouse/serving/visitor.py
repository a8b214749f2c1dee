"""Who asks for a page: the pages know no logins of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

from fastapi import Request


class Visitor(Enum):
    """What the house's login says of a request: let in, no valid session, or a session that may not read runs."""

    WELCOME = "welcome"
    UNKNOWN = "unknown"
    REFUSED = "refused"


Login = Callable[[Request], Awaitable[Visitor]]


class Unwelcome(Exception):
    """A page was asked for by someone who may not see it."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(visitor.value)
        self.visitor = visitor
