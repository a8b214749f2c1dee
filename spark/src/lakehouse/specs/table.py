"""Building a table from its contract."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from lakehouse.specs.model import Column, ForeignKey, Full, Incremental, Layer, Scd2, Silver, Table
from lakehouse.specs.odcs import Contract, Property, Schema
from lakehouse.specs.rules import checks, row_rules, rule_name
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
    sql: str | None = None,
) -> Table:
    """Return the table that a contract and its `lakehouse` block describe; `sql` is what stands beside it."""
    schema = contract.schema_[0]
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
        sql=sql,
        retention=_sla(contract, "retention"),
        freshness=_sla(contract, "freshness"),
        description=str(contract.description.get("purpose", "")),
        lines=_lines(schema, document, block_at),
    )


def _lines(schema: Schema, document: YamlDocument, block_at: Location) -> dict[str, int]:
    """Return the line of each column by its name, and of `:id`, `:schema`, `:rule.<name>`, `:block.<field>…`."""
    at: dict[str, Location] = {":id": ("id",), ":schema": ("schema", 0), ":block": block_at}
    at |= {f":rule.{rule_name(rule, None)}": ("schema", 0, "quality", m) for m, rule in enumerate(schema.quality)}
    for n, column in enumerate(schema.properties):
        at[column.name] = ("schema", 0, "properties", n)
        for m, rule in enumerate(column.quality):
            at[f":rule.{rule_name(rule, column)}"] = (*at[column.name], "quality", m)
    depth = len(block_at)
    at |= {
        ":block." + ".".join(map(str, place[depth:])): place
        for place in document.lines
        if place[:depth] == block_at and len(place) > depth
    }
    return {anchor: document.line(place) for anchor, place in at.items()}


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
