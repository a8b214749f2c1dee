"""The app as Airflow's plugin holds it: made with the first request.

Every task's process loads the plugins too; none of them should pay for importing a web framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class RunsPages:
    """An ASGI app that becomes the pages, behind Airflow's login, when it is first asked."""

    def __init__(self) -> None:
        self._app: App | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if self._app is None:
            self._app = _make()
        await self._app(scope, receive, send)


def _make() -> App:
    from lakehouse.serving.airflow_login import airflow_login
    from lakehouse.serving.app import make_app
    from lakehouse.settings import load_settings

    return make_app(load_settings, airflow_login)
