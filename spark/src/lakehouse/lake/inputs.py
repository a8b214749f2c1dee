"""Which versions of its inputs a Gold table was made from: a small object for each number that its commits carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from lakehouse.errors import SpecError, StateError
from lakehouse.lake.tables import Lake
from lakehouse.objects import create_json, delete_object, list_names, read_json, store
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Scd2, Table
from lakehouse.specs.lint import find_input


@dataclass(frozen=True)
class Inputs:
    """Versions by input, a digest of the SQL and the contract that made the table, and the inputs' own ids in Delta.

    What was stored before ids were has none.
    """

    versions: dict[str, int]
    definition: str
    ids: dict[str, str] = field(default_factory=dict)

    def taken_in(self, name: str, identity: str, version: int) -> int | None:
        """Return the version that was taken in of the input that is there now, at `version`; None: none of that table.

        A table that was made anew counts its versions from 0 again, under another id.
        """
        taken = self.versions.get(name)
        if taken is None or taken > version or self.ids.get(name, identity) != identity:
            return None
        return taken


def input_uri(catalog: Catalog, lake: Lake, table: Table, name: str) -> str:
    """Return where an input of a Gold table lies; an SCD2 table reads the history of its Silver table."""
    other = find_input(catalog.tables, table, name)
    if other is None:
        raise SpecError(f'no table is named "{name}".', where=table.full_name)
    return lake.history(other) if isinstance(table.block, Scd2) else lake.of(other)


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
    return Inputs(dict(record["versions"]), str(record["definition"]), dict(record.get("ids", {})))


def drop_inputs(settings: Settings, table: Table, below: int) -> int:
    """Delete what commits with a number under `below` were made from; return how many objects that were."""
    ops = store(settings, "ops")
    folder, _, _ = _path(table, 0).rpartition("/")
    old = [name for name in list_names(ops, folder) if int(name.removesuffix(".json")) < below]
    for name in old:
        delete_object(ops, f"{folder}/{name}")
    return len(old)


def store_inputs(settings: Settings, table: Table, after: int, inputs: Inputs) -> int:
    """Store what the next commit will be made from and return its number, the next free one above `after`.

    Stored before the commit that carries the number: an attempt that dies between the two leaves an unused number.
    """
    ops, number = store(settings, "ops"), after + 1
    while not create_json(ops, _path(table, number), asdict(inputs)):
        number += 1
    return number
