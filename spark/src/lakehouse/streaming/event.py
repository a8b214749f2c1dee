"""A review as a message: a JSON object in UTF-8, keyed by its order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from lakehouse.streaming.reviews import Review

Fields: TypeAlias = dict[str, Any]
Header: TypeAlias = tuple[str, bytes]
# Key, value and headers, as Kafka takes them.
Parts: TypeAlias = tuple[bytes | None, bytes | None, list[Header]]
# One encoder: json.dumps makes one a call, which takes longer than its work here.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def review_fields(review: Review) -> Fields:
    """Return the fields of a review's message but for the moment of the answer."""
    return {
        "review_id": review.review_id,
        "order_id": review.order_id,
        "review_score": review.score,
        "review_comment_title": review.title,
        "review_comment_message": review.message,
        "review_creation_date": review.asked_on,
    }


def moment(microseconds: int) -> Fields:
    """Return the fields that say when a customer answered: `microseconds` since 1970, as ISO 8601 in UTC."""
    at = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    second, fraction = at[:19], at[19:26]
    return {"review_answer_timestamp": f"{second}Z", "updated_at": f"{second}{fraction}Z"}


def encode(fields: Fields) -> bytes:
    """Return fields as the value of a message."""
    return _JSON.encode(fields).encode()


def key_of(fields: Fields) -> bytes:
    """Return the key of a review's message: one order's messages are in one partition, in their order."""
    return str(fields["order_id"]).encode()


def plain(fields: Fields) -> Parts:
    """Return the message of a review as it should be."""
    return key_of(fields), encode(fields), []
