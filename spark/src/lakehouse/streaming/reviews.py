"""Product reviews to send: those of the Olist CSV file in `raw/`, or of a sample made for it."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lakehouse.errors import SourceError
from lakehouse.source.csvfile import CsvStream, open_csv
from lakehouse.source.olist import TABLES
from lakehouse.source.rawfiles import bind, find_files
from lakehouse.source.sample import write_sample

TABLE = "order_reviews"
SAMPLE_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class Review:
    """A customer's review of one order; `asked_on` is a moment as ISO 8601 in UTC."""

    review_id: str
    order_id: str
    score: int
    title: str | None
    message: str | None
    asked_on: str | None


def read_reviews(raw: Path, most: int, seed: int = 42) -> list[Review]:
    """Return at most `most` reviews in the order of their file.

    Where `raw` holds no reviews they are those of a sample of scale 0.1 with this seed: `lakehouse sample --seed`
    makes the same. SourceError for a file that is damaged or has another header.
    """
    with _file(raw, seed) as path, open_csv(path) as stream:
        fields = bind(path, TABLES[TABLE], stream.columns())
        rows = csv.reader(_lines(stream))
        return [_review(path, dict(zip(fields, row, strict=False))) for row in islice(rows, most)]


@contextmanager
def _file(raw: Path, seed: int) -> Iterator[Path]:
    try:
        found = find_files(raw).get(TABLE)
    except SourceError:
        found = None
    if found is not None:
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="lakehouse-reviews-") as folder:
        write_sample(Path(folder), scale=SAMPLE_SCALE, seed=seed)
        yield find_files(Path(folder))[TABLE]


def _lines(stream: CsvStream) -> Iterator[str]:
    rest = b""
    while chunk := stream.read():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (f"{line.decode()}\n" for line in lines)
    if rest:
        yield rest.decode()


def _review(path: Path, row: dict[str, str]) -> Review:
    try:
        asked_on = row["review_creation_date"]
        return Review(
            row["review_id"],
            row["order_id"],
            int(row["review_score"]),
            row["review_comment_title"] or None,
            row["review_comment_message"] or None,
            f"{asked_on.replace(' ', 'T')}.000000Z" if asked_on else None,
        )
    except (KeyError, ValueError) as error:
        raise SourceError(f"holds a row that is no review: {error!r}.", where=str(path)) from None
