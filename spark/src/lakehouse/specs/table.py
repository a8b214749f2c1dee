"""Building a table from its contract."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from lakehouse.specs.model import Column, ForeignKey, Full, Incremental, Layer, Scd2, Silver, Table
from lakehouse.specs.odcs import Contract, Property
from lakehouse.specs.rules import checks, row_rules
from lakehouse.specs.yaml_source import Location, YamlDocument

_UNITS = {"d": "days", "day": "days", "days": "days", "h": "hours", "hours": "hours", "m": "minutes", "w": "weeks"}


def build_table(
    contract: Contract,
    block: Silver | Scd2 | Incremental | Full,
    document: YamlDocument,
    path: Path,
    pipeline: str,
    layer: Layer,
    block_at: Location,
) -> Table:
    """Return the table that a contract and its `lakehouse` block describe; the SQL of a Gold table stands beside it."""
    schema = contract.schema_[0]
    sql_path = path.with_name(path.name.removesuffix(".odcs.yaml") + ".sql")
    lines = {column.name: document.line(("schema", 0, "properties", n)) for n, column in enumerate(schema.properties)}
    lines |= {"id": document.line(("id",)), "schema": document.line(("schema", 0)), "block": document.line(block_at)}
    return Table(
        pipeline=pipeline,
        layer=layer,
        name=path.name.removesuffix(".odcs.yaml"),
        version=contract.version,
        owner=str(contract.team.get("name", "")),
        path=path,
        columns=tuple(_column(column, position) for position, column in enumerate(schema.properties)),
        block=block,
        rules=row_rules(schema),
        foreign_keys=tuple(_foreign_keys(schema.properties, block)),
        checks=checks(schema),
        sql=sql_path.read_text("utf-8") if layer is Layer.GOLD and sql_path.is_file() else None,
        retention=_sla(contract, "retention"),
        freshness=_sla(contract, "freshness"),
        description=str(contract.description.get("purpose", "")),
        lines=lines,
    )


def _column(column: Property, position: int) -> Column:
    key = (column.primaryKeyPosition or position + 1) if column.primaryKey else None
    return Column(
        name=column.name,
        type=column.physicalType.lower(),
        required=column.required or column.primaryKey,
        key_position=key,
        expression=column.transformLogic,
        classification=column.classification,
        description=column.description or "",
    )


def _foreign_keys(columns: list[Property], block: Silver | Scd2 | Incremental | Full) -> list[ForeignKey]:
    if not isinstance(block, Silver):
        return []
    found = []
    for column in columns:
        for relationship in column.relationships:
            other, key = relationship.to.split(".")
            found.append(ForeignKey(column.name, other, key, block.orphans.get(column.name, "error")))
    return found


def _sla(contract: Contract, name: str) -> timedelta | None:
    for item in contract.slaProperties:
        if item.property == name and item.unit in _UNITS:
            return timedelta(**{_UNITS[item.unit]: float(item.value)})
    return None
