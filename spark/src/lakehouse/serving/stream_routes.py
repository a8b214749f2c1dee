"""The page of streams. What it reads by is imported with its first visit: 100 MB that no other page needs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from lakehouse.log import secrets_of
from lakehouse.serving.pages import page
from lakehouse.serving.reader import Reader, places
from lakehouse.serving.words import Fault

if TYPE_CHECKING:
    from lakehouse.serving.streams import Streams

# The bars show more.
LISTED_BATCHES = 12
router = APIRouter(default_response_class=HTMLResponse)


@router.get("/streams")
async def streams(request: Request) -> Response:
    """What each stream's topic holds, what was taken in of it, and how its last run went."""
    from lakehouse.serving.stream_page import stream_page

    reader: Reader = request.app.state.reader
    secrets = secrets_of(reader.settings)
    looks, wrong = await _streams(request, reader).look()
    return page(
        request,
        "streams.html",
        streams=[stream_page(look, datetime.now(UTC), secrets) for look in looks],
        wrong=[Fault.of(str(error), secrets) for error in wrong],
        listed=LISTED_BATCHES,
        brokers=reader.settings.brokers(),
        places=places(reader.settings),
    )


def _streams(request: Request, reader: Reader) -> Streams:
    from lakehouse.serving.streams import Streams

    state = request.app.state
    if not hasattr(state, "streams"):
        state.streams = Streams(reader.settings)
    held: Streams = state.streams
    return held
