"""Held rows whose parents have come since: they are judged again without being asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.engine.context import Context
from lakehouse.engine.quarantine import HELD
from lakehouse.specs import Layer, Table
from lakehouse.specs.model import ForeignKey

# A missing parent by its foreign key, and the value that was looked for.
Missing = tuple[str, str | None]


def no_orphans_any_more(table: Table, context: Context) -> list[str]:
    """Return the fingerprints of held rows that were rejected for missing parents alone, all of which are there now."""
    # The value of a derived column is not the one that the source has, which is all that is kept of it.
    derived = {column.name for column in table.columns if column.expression}
    foreign = {key.name: key for key in table.foreign_keys if key.severity == "error" and key.column not in derived}
    held = context.snapshot(context.lake.quarantine(table)) if foreign else None
    if held is None:
        return []
    rows = held.read(["fingerprint", "reasons"], among={"status": pa.array([HELD])})
    pairs = zip(rows.column("fingerprint").to_pylist(), rows.column("reasons").to_pylist(), strict=True)
    waiting = {fingerprint: missing for fingerprint, reasons in pairs if (missing := _missing(reasons, foreign))}
    there = {
        (name, value)
        for name, key in foreign.items()
        for value in _there(key, context, {value for each in waiting.values() for rule, value in each if rule == name})
    }
    return [fingerprint for fingerprint, missing in waiting.items() if missing <= there]


def _missing(reasons: Sequence[dict[str, Any]], foreign: Collection[str]) -> set[Missing]:
    """Return the parents that a row waits for; none where it was rejected for anything else too."""
    errors = [reason for reason in reasons if reason["severity"] == "error"]
    if any(reason["rule"] not in foreign for reason in errors):
        return set()
    return {(reason["rule"], reason["value"]) for reason in errors}


def _there(key: ForeignKey, context: Context, values: Iterable[str | None]) -> list[str]:
    """Return which values, as the source has them, are keys of the parents' table now."""
    parents = context.snapshot(context.lake.uri(Layer.SILVER, key.table))
    asked = [value for value in values if value is not None]
    if parents is None or not asked:
        return []
    kind = parents.schema.field(key.key).type
    try:
        typed = pa.array(asked).cast(kind)
    except pa.ArrowInvalid:
        # As a number '1.0' is the parent 1: such a row waits for `quarantine replay`.
        return []
    found = parents.read([key.key], among={key.key: typed.unique()}).column(key.key)
    return [value for value, known in zip(asked, pc.is_in(typed, value_set=found.combine_chunks()), strict=True)
            if known.as_py()]  # fmt: skip
