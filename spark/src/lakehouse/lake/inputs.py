"""Which versions of its inputs a Gold table was made from: a small object for each number that its commits carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lakehouse.errors import StateError
from lakehouse.objects import create_json, read_json, store
from lakehouse.settings import Settings
from lakehouse.specs import Table


@dataclass(frozen=True)
class Inputs:
    """Versions by input, and a digest of the SQL and the contract that made the table."""

    versions: dict[str, int]
    definition: str


def _path(table: Table, number: int) -> str:
    return f"{table.pipeline}/inputs/{table.name}/{number:010d}.json"


def read_inputs(settings: Settings, table: Table, number: int) -> Inputs:
    """Return what the commit with this number was made from; raises StateError when it is not known."""
    record = read_json(store(settings, "ops"), _path(table, number))
    if record is None:
        raise StateError(
            f"the table's commit names {_path(table, number)}, which is not there.",
            where=table.full_name,
            remedy="restore it in the ops layer, or run with full_refresh for this table.",
        )
    return Inputs(dict(record["versions"]), str(record["definition"]))


def store_inputs(settings: Settings, table: Table, after: int, inputs: Inputs) -> int:
    """Store what the next commit will be made from and return its number, the next free one above `after`.

    Stored before the commit that carries the number: an attempt that dies between the two leaves an unused number.
    """
    ops, number = store(settings, "ops"), after + 1
    while not create_json(ops, _path(table, number), asdict(inputs)):
        number += 1
    return number
