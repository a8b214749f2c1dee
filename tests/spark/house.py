"""A small lake with a pipeline of its own, run by the engine itself; and short forms of the contracts in it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml
from deltalake import DeltaTable

from lakehouse.changes.definition import new_table
from lakehouse.changes.files import snapshot
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.engine.app import Outcome, Request, run
from lakehouse.engine.context import Options
from lakehouse.engine.drift import arrow_type
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, load_catalog

ROOT = Path(__file__).parents[2]
_LOGICAL = {"string": "string", "boolean": "boolean", "date": "date", "timestamp": "timestamp"}
_LOGICAL |= dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer")
_DUCKDB = {"timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP", "string": "VARCHAR"}
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def contract(columns: Sequence[str], quality: Sequence[dict[str, Any]] = (), **block: Any) -> dict[str, Any]:
    """A contract from columns as `name type [key] [required] [-> table.column]`, rules, and its `lakehouse` block."""
    return {"columns": [column_of(text) for text in columns], "quality": list(quality), "block": block}


def column_of(text: str) -> dict[str, Any]:
    words, _, parent = text.partition(" -> ")
    name, kind, *flags = words.split()
    column: dict[str, Any] = {"name": name, "physicalType": kind}
    column["logicalType"] = _LOGICAL.get(kind.partition("(")[0], "number")
    if "key" in flags:
        column |= {"primaryKey": True, "required": True}
    if "required" in flags:
        column["required"] = True
    return column | ({"relationships": [{"to": parent}]} if parent else {})


def rule(name: str, predicate: str, severity: str = "error") -> dict[str, str]:
    return {"name": name, "type": "custom", "engine": "lakehouse", "implementation": predicate, "severity": severity}


def numbered_keys(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    position = 0
    for column in columns:
        if column.get("primaryKey"):
            position += 1
            column["primaryKeyPosition"] = position
    return columns


def fields_of(schema: str) -> list[list[str]]:
    """Name and type of each column of `name type, …`, with the operation at the end."""
    return [field.split(" ", 1) for field in [*schema.split(", "), "_op string"]]


def shape(schema: str) -> pa.Schema:
    """The same as an Arrow schema."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in fields_of(schema)])


def columnar(schema: str, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Rows as Arrow, in the types of a schema such as `id string, n int`."""
    fields = shape(schema)
    columns = list(zip(*rows, strict=True)) or [[]] * len(fields)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)], fields)


class House:
    """A pipeline `shop` and its lake under `folder`; `contracts` by `layer.table` (Gold: a pair with the SQL)."""

    def __init__(
        self, folder: Path, spark: Any, audit_url: str, contracts: dict[str, Any] | Path, source: str | None
    ) -> None:
        self.folder, self.spark, self.batches = folder, spark, 0
        self.pipeline = folder / "pipelines" / "shop"
        self.settings = Settings(
            _env_file=None,
            home=ROOT,
            pipelines=folder / "pipelines",
            state=folder / "run",
            audit_url=audit_url,
            connections={"source": source or "postgresql://nobody:none@127.0.0.1:1/none"},
        )
        self.lake = Lake(self.settings, "shop")
        if isinstance(contracts, Path):
            shutil.copytree(contracts, self.pipeline)
            return
        self.pipeline.mkdir(parents=True)
        head = {"name": "shop", "description": "A shop.", "owner": "shop", "schedule": None}
        (self.pipeline / "pipeline.yaml").write_text(yaml.safe_dump(head))
        for name, said in contracts.items():
            self.write(name, said)

    def copy(self, folder: Path) -> House:
        """The same lake once more in another folder: what tests begin with is made once."""
        shutil.copytree(self.folder, folder)
        other = copy(self)
        other.folder, other.pipeline = folder, folder / self.pipeline.relative_to(self.folder)
        places = {"pipelines": folder / "pipelines", "state": folder / "run"}
        other.settings = self.settings.model_copy(update=places)
        other.lake = Lake(other.settings, "shop")
        return other

    def write(self, name: str, said: Any, version: str = "1.0.0") -> None:
        """Write (or rewrite) one table's contract, and its SQL for a Gold table."""
        said, sql = said if isinstance(said, tuple) else (said, None)
        layer, table = name.split(".")
        document = {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": f"shop.{name}",
            "name": table,
            "version": version,
            "status": "active",
            "team": {"name": "shop"},
            "schema": [{"name": table, "properties": numbered_keys(said["columns"]), "quality": said["quality"]}],
            "customProperties": [{"property": "lakehouse", "value": said["block"]}],
            **({"slaProperties": said["slaProperties"]} if "slaProperties" in said else {}),
        }
        path = self.pipeline / layer / f"{table}.odcs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        if sql:
            path.with_name(f"{table}.sql").write_text(sql)

    @property
    def catalog(self) -> Catalog:
        catalog = load_catalog(self.pipeline)
        catalog.need_sound()
        return catalog

    def run(
        self, *layers: str, tables: Iterable[str] = (), publish: bool = False, attempt: tuple[str, int] | None = None,
        **options: Any,
    ) -> Outcome:  # fmt: skip
        """Run layers (all if none is named) in the one session; `attempt` is a run's id and the attempt's number."""
        run_id, number = attempt or (f"run-{uuid.uuid4().hex}", 1)
        request = Request(
            run_id=run_id,
            attempt=number,
            trigger="test",
            layers=tuple(Layer(layer) for layer in layers or ("bronze", "silver", "gold")),
            tables=tuple(tables),
            publish=publish,
            options=Options(**options),
        )
        return run(self.settings, self.catalog, request, shared=self.spark)

    def ok(self, *layers: str, **options: Any) -> dict[str, Any]:
        """Run layers and return the results by table; the first failure is raised."""
        outcome = self.run(*layers, **options)
        for error in outcome.failures.values():
            raise error
        return {result.table.removeprefix("shop."): result for result in outcome.results}

    def bring(self, table: str, schema: str, rows: Iterable[Sequence[Any]]) -> None:
        """Append one batch to a Bronze table, as a window of the source would; `rows` end with their `_op`."""
        self._append(table, columnar(schema, rows))

    def bring_text(self, table: str, schema: str, rows: Iterable[Sequence[str | None]]) -> None:
        """The same from text, which DuckDB reads into the schema's types."""
        fields = fields_of(schema)
        texts = columnar(", ".join(f"{name} string" for name, _ in fields[:-1]), rows)
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        read = ", ".join(f'"{name}"::{_DUCKDB.get(kind, kind)} AS "{name}"' for name, kind in fields)
        self._append(table, connection.from_arrow(texts).select(read).to_arrow_table().cast(shape(schema)))

    def _append(self, table: str, rows: pa.Table) -> None:
        self.batches += 1
        origin = {"_run_id": f"batch-{self.batches}", "_source": "test"}
        origin["_ingested_at"] = EPOCH + timedelta(days=3650, seconds=self.batches)
        for name in ("_run_id", "_ingested_at", "_source"):
            kind = pa.timestamp("us", "UTC") if name == "_ingested_at" else pa.string()
            rows = rows.append_column(name, pa.array([origin[name]] * rows.num_rows, kind))
        uri = self.lake.uri("bronze", table)
        there = self.lake.open(uri)
        held = snapshot(self.settings, there, uri) if there is not None else new_table(self.settings, uri, rows.schema)
        commit_change(held, Change.appending(rows, held), Commit(f"bronze:{table}", self.batches))

    def delta(self, layer: str, table: str) -> DeltaTable:
        found = self.lake.open(self.lake.uri(layer, table))
        assert found is not None, f"there is no {layer}.{table}"
        return found

    def rows(self, layer: str, table: str, columns: str = "*", order: str = "ALL") -> list[tuple[Any, ...]]:
        """Read a table by another engine than the one that wrote it."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", self.delta(layer, table).scan())
        return connection.execute(f"SELECT {columns} FROM rows ORDER BY {order}").fetchall()

    def versions(self) -> dict[str, int]:
        """The version of every table of the lake."""
        root = Path(self.settings.table_uri("bronze")).parent
        logs = sorted(root.rglob("_delta_log"))
        return {str(log.parent.relative_to(root)): DeltaTable(str(log.parent)).version() for log in logs}
