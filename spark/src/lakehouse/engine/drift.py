"""The source's columns against the contract's and Bronze's: what is taken, what stops the run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.audit.result import Drift
from lakehouse.engine.cast import INTEGERS, is_lossless
from lakehouse.errors import SchemaChanged, SourceError, SpecError, did_you_mean
from lakehouse.source.describe import Column
from lakehouse.source.window import WindowCount
from lakehouse.specs import Silver, Table
from lakehouse.specs.expressions import columns_of_expression

_SPARK = {
    "smallint": "smallint", "integer": "int", "bigint": "bigint", "boolean": "boolean", "date": "date",
    "real": "float", "double precision": "double",
}  # fmt: skip
_ARROW = {
    "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64(), "boolean": pa.bool_(), "date": pa.date32(),
    "float": pa.float32(), "double": pa.float64(), "string": pa.string(), "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}  # fmt: skip
_DELTA = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}


def spark_type(postgres: str) -> str:
    """Return the Spark type that a source column is carried in; a type with no exact counterpart travels as text."""
    name = postgres.lower()
    if name in _SPARK:
        return _SPARK[name]
    if name.startswith("timestamp"):
        return "timestamp" if name.endswith("with time zone") else "timestamp_ntz"
    sized = re.fullmatch(r"numeric\((\d+)(?:,(\d+))?\)", name)
    if sized and int(sized[1]) <= 38:
        return f"decimal({sized[1]},{sized[2] or 0})"
    return "string"


def arrow_type(spark: str) -> pa.DataType:
    """Return the Arrow type of what `spark_type` gives."""
    if spark.startswith("decimal("):
        precision, scale = spark[8:-1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return _ARROW[spark]


def source_columns(table: Table, block: Silver) -> set[str]:
    """Return the source columns that a Silver table is made from."""
    looked_up = {name for reference in block.references for name in reference.columns}
    needed = {block.watermark, *([block.deleted_flag] if block.deleted_flag else [])}
    for column in table.columns:
        if column.expression:
            needed |= columns_of_expression(column.expression)
        elif column.name not in looked_up:
            needed.add(column.name)
    return needed


def need_contract_columns(table: Table, block: Silver, found: Sequence[Column]) -> None:
    """Raise SchemaChanged naming every column that the contract needs and the source lacks."""
    names = [column.name for column in found]
    missing = sorted(source_columns(table, block) - set(names))
    if missing:
        hints = "".join(f" {name}:{did_you_mean(name, names)}" for name in missing if did_you_mean(name, names))
        raise SchemaChanged(
            f"the source table {block.source} lacks {', '.join(missing)}.{hints}",
            where=table.full_name,
            allowed=", ".join(names),
            remedy=f"restore the column, or change {table.path.name}.",
        )


def need_comparable_keys(table: Table, block: Silver, found: Sequence[Column]) -> None:
    """Raise SpecError where a key may read otherwise in the lake than at the source.

    Keys are compared as text: one that is cast or derived would seem to be deleted at the source, row by row.
    """
    types = {column.name: spark_type(column.type) for column in found}
    for column in table.columns:
        if block.deletes != "key-scan" or column.key_position is None:
            continue
        kinds = {types.get(column.name, ""), column.type}
        if column.expression or not (kinds <= {*INTEGERS} or kinds in ({"string"}, {"date"})):
            raise SpecError(
                f"the key column {column.name} is {column.type} here and comes from "
                f"{column.expression or types.get(column.name)}: deletes: key-scan cannot compare it with the source.",
                where=table.full_name,
                allowed="key columns that are text, whole numbers or days on both sides, as they are",
                remedy="keep the source's own key as the key, or set deletes: none or soft.",
            )


def need_watermarks(table: Table, block: Silver, count: WindowCount) -> None:
    """Raise SourceError where the contract wants a run to stop at rows without, or ahead of, a watermark."""
    if count.without_watermark and block.on_null_watermark == "fail":
        raise SourceError(
            f"{count.without_watermark} rows of {block.source} have no {block.watermark}.",
            where=table.full_name,
            remedy="stamp them, or set on_null_watermark: quarantine in the contract.",
        )
    if count.held and block.on_future_watermark == "fail":
        raise SourceError(
            f"{count.held} rows of {block.source} are stamped after the horizon.",
            where=table.full_name,
            remedy="correct them, or set on_future_watermark: hold in the contract.",
        )


def find_drift(table: Table, block: Silver, found: Sequence[Column], bronze: DeltaTable | None) -> list[Drift]:
    """Return how the source differs from Bronze; raise SchemaChanged for what the table's policy does not take."""
    if bronze is None:
        return []
    now = {column.name: spark_type(column.type) for column in found}
    held = {name: kind for name, kind in delta_columns(bronze).items() if not name.startswith("_")}
    drift = [Drift(name, "added", "", now[name], "evolve") for name in now if name not in held]
    drift += [Drift(name, "removed", held[name], "", "stop") for name in held if name not in now]
    for name in held.keys() & now.keys():
        if held[name] != now[name]:
            takes = is_lossless(held[name], now[name])
            drift.append(
                Drift(name, "widened" if takes else "changed", held[name], now[name], "evolve" if takes else "stop")
            )
    refused = drift if block.schema_change == "freeze" else [each for each in drift if each.action == "stop"]
    if refused:
        diff = "; ".join(
            f"{each.column} {each.kind} ({each.before or 'absent'} → {each.after or 'absent'})" for each in refused
        )
        raise SchemaChanged(
            f"{block.source} has changed: {diff}.",
            where=table.full_name,
            allowed="nothing (schema_change: freeze)"
            if block.schema_change == "freeze"
            else "added columns and lossless widening",
            remedy="restore the source, or migrate the Bronze table and the contract on purpose.",
        )
    return drift


def is_reshaped(table: Table, held: DeltaTable | None) -> bool:
    """Return whether a contract has other columns, or types, than the table that was made by it."""
    if held is None:
        return False
    columns = delta_columns(held)
    there = {name: kind for name, kind in columns.items() if not name.startswith("_")}
    named = {column.name: column.type.replace(" ", "") for column in table.columns}
    return there != named or not columns.keys() >= {*table.technical_columns}


def delta_columns(table: DeltaTable) -> dict[str, str]:
    """Return a Delta table's columns as Spark types, in order."""
    fields = json.loads(table.schema().to_json())["fields"]
    return {each["name"]: _DELTA.get(str(each["type"]), str(each["type"])) for each in fields}
