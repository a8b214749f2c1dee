"""A new table's definition in the log: protocol, schema and properties, as Spark would write them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pyarrow as pa

from lakehouse.changes.files import Snapshot
from lakehouse.changes.log import Action
from lakehouse.changes.place import place_of
from lakehouse.errors import ParameterError
from lakehouse.settings import Settings

# Maintenance cleans the log: Delta's own clean-up knows nothing of published versions.
_PROPERTIES = {
    "delta.enableDeletionVectors": "true",
    "delta.enableChangeDataFeed": "true",
    "delta.enableExpiredLogCleanup": "false",
}
_SIMPLE = {
    pa.int8(): "byte", pa.int16(): "short", pa.int32(): "integer", pa.int64(): "long", pa.float32(): "float",
    pa.float64(): "double", pa.string(): "string", pa.bool_(): "boolean", pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp", pa.timestamp("us"): "timestamp_ntz", pa.binary(): "binary",
}  # fmt: skip


def new_table(settings: Settings, uri: str, schema: pa.Schema) -> Snapshot:
    """Return the state before a table's first commit; that commit then defines it."""
    return Snapshot(place_of(settings, uri), -1, pa.schema([(each.name, each.type) for each in schema]), (), {}, None)


def definition(schema: pa.Schema) -> list[Action]:
    """Return the actions that define a table: deletion vectors and a change feed, every column nullable."""
    types = json.dumps([_type(field.type) for field in schema])
    ntz = ["timestampNtz"] if '"timestamp_ntz"' in types else []
    protocol = {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors", *ntz],
        "writerFeatures": ["deletionVectors", "invariants", "changeDataFeed", "appendOnly", *ntz],
    }  # fmt: skip
    table = {
        "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(_struct(pa.struct(list(schema))), separators=(",", ":")), "partitionColumns": [],
        "configuration": _PROPERTIES, "createdTime": int(time.time() * 1000),
    }  # fmt: skip
    return [{"protocol": protocol}, {"metaData": table}]


def _struct(kind: pa.StructType) -> dict[str, Any]:
    fields = [{"name": each.name, "type": _type(each.type), "nullable": True, "metadata": {}} for each in kind]
    return {"type": "struct", "fields": fields}


def _type(kind: pa.DataType) -> Any:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_struct(kind):
        return _struct(kind)
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _type(kind.value_type), "containsNull": True}
    if kind not in _SIMPLE:
        raise ParameterError(f"a column of the type {kind} cannot be kept.", remedy="cast it in the contract.")
    return _SIMPLE[kind]
