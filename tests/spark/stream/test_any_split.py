"""However events are cut into micro-batches, and wherever a run ends between them, the table is the same."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.changes.files import MOST_BYTES
from lakehouse.engine.stream import keep_events
from lakehouse.engine.stream_run import StreamRequest, StreamRun
from lakehouse.streaming.events import Event, Origin

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([1, 2, 3, 4, 5, 9, None])), min_size=1, max_size=14
)


@pytest.fixture
def model(models):
    return models("stream_model")


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=EVENTS, cuts=st.sets(st.integers(1, 13), max_size=3), lost=st.booleans())
def test_any_split_into_micro_batches_ends_in_the_same_table(shop, model, events, cuts, lost):
    mark = uuid.uuid4().hex[:8]  # keys of this example alone, in one lake for all of them
    said = [model.Said(f"{mark}-{key}", minute, score) for key, minute, score in events]
    parts = [list(range(len(said)))[begin:end] for begin, end in pieces(len(said), cuts)]
    origin, received = Origin(shop.topic, f"id-{mark}", "property"), 0
    for part in parts:
        with StreamRun(shop.house.settings, shop.house.catalog, request(), lambda batch: None, shop.house.spark) as run:
            context = run._context()
            began = {0: part[0]} if part[0] else {}
            keep_events(run.table, context, [event(said[n], n) for n in part], origin, began, {0: part[-1] + 1})
            if lost and part is not parts[-1]:
                continue
            while run._take_in():
                pass
            received += run.sum.result.ledger.rows_in
    assert received == len(said)
    found = {key: score for key, score in shop.silver("review_id, review_score") if key.startswith(mark)}
    assert found == model.table_after(said)


def pieces(length: int, cuts: set[int]) -> list[tuple[int, int]]:
    bounds = [0, *sorted(cut for cut in cuts if cut < length), length]
    return list(pairwise(bounds))


def request() -> StreamRequest:
    return StreamRequest(f"property-{uuid.uuid4().hex[:8]}", "reviews", trigger="test")


def event(said, offset: int) -> Event:
    moment = START + timedelta(minutes=said.minute)
    milliseconds = int(moment.timestamp() * 1000)
    if said.score is None:
        return Event(0, offset, milliseconds, b"o1", None, [("review_id", said.key.encode())])
    fields = {"review_id": said.key, "order_id": "o1", "review_score": said.score, "updated_at": moment.isoformat()}
    return Event(0, offset, milliseconds, b"o1", json.dumps(fields).encode())


def test_what_was_kept_is_taken_in_however_large_it_is(shop):
    large = Event(0, 0, int(START.timestamp() * 1000), b"o1", random.Random(1).randbytes(MOST_BYTES + 1))
    with StreamRun(shop.house.settings, shop.house.catalog, request(), lambda batch: None, shop.house.spark) as run:
        keep_events(run.table, run._context(), [large], Origin(shop.topic, "id", "large"), {}, {0: 1})
        assert run._take_in()
        assert run.sum.result.ledger.quarantined == 1
