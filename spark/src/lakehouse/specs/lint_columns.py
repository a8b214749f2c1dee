"""What is wrong with a table's identity, columns and rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lakehouse.specs.expressions import SqlProblem, columns_of_expression
from lakehouse.specs.finding import found, no_column
from lakehouse.specs.model import Table
from lakehouse.specs.odcs import Contract, Property
from lakehouse.specs.problem import Problem

_TYPE = re.compile(
    r"^(string|boolean|tinyint|smallint|int|bigint|float|double|date|timestamp|decimal\((\d+),\s?(\d+)\))$"
)
TYPES = "string, boolean, tinyint, smallint, int, bigint, float, double, decimal(p,s), date, timestamp"
LOGICAL = {
    "string": "string", "boolean": "boolean", "tinyint": "integer", "smallint": "integer", "int": "integer",
    "bigint": "integer", "float": "number", "double": "number", "decimal": "number", "date": "date",
    "timestamp": "timestamp",
}  # fmt: skip


def lint_identity(table: Table, contract: Contract) -> Iterator[Problem]:
    """Yield what contradicts the table's place or leaves it without an owner."""
    if contract.id != table.full_name:
        yield found(table, ":id", f'id is "{contract.id}"; by its place this table is "{table.full_name}".')
    if contract.schema_[0].name != table.name:
        yield found(
            table, ":schema", f'the schema is named "{contract.schema_[0].name}"; the file says "{table.name}".'
        )
    if not table.owner:
        yield found(table, ":id", "team.name is missing: a table has an owner.")


def lint_columns(table: Table, contract: Contract) -> Iterator[Problem]:
    """Yield doubled names, unknown types, bounds that do not fit a type, and a missing key."""
    for name in sorted({name for name in table.column_names if table.column_names.count(name) > 1}):
        yield found(table, name, f'the column "{name}" stands twice.')
    for column in contract.schema_[0].properties:
        yield from _type(table, column)
        if column.name.startswith("_"):
            yield found(table, column.name, f'"{column.name}": names that begin with _ belong to the platform.')
    if not table.key:
        yield found(table, ":schema", "no column is a primaryKey; every table has a key (all columns, if need be).")
    places = [column.key_position for column in table.columns if column.key_position is not None]
    if len(places) != len(set(places)):
        yield found(table, ":schema", "two key columns have one primaryKeyPosition.")


def _type(table: Table, column: Property) -> Iterator[Problem]:
    type_ = column.physicalType.lower()
    matched = _TYPE.match(type_)
    if not matched or (matched[2] and not 0 <= int(matched[3]) <= int(matched[2]) <= 38):
        yield found(
            table, column.name, f'{column.name}: physicalType "{column.physicalType}" is not known. Types: {TYPES}.'
        )
        return
    logical = LOGICAL[type_.partition("(")[0]]
    if column.logicalType != logical:
        yield found(
            table,
            column.name,
            f'{column.name}: logicalType is "{column.logicalType}"; {type_} is "{logical}".',
        )
    yield from _bounds(table, column, logical)


def _bounds(table: Table, column: Property, logical: str) -> Iterator[Problem]:
    numeric = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    for option, value in column.logicalTypeOptions.model_dump(exclude_none=True).items():
        if option not in numeric:
            fits, wanted = logical == "string", "string columns"
        elif logical in ("date", "timestamp"):
            fits, wanted = isinstance(value, str), f"a {logical} as text"
        else:
            fits, wanted = logical in ("integer", "number") and not isinstance(value, str), "numbers"
        if not fits:
            yield found(
                table, column.name, f'{column.name}: logicalTypeOptions.{option} "{value}" does not fit {logical}; '
                f"it is for {wanted}."
            )  # fmt: skip


def lint_rules(table: Table, contract: Contract) -> Iterator[Problem]:
    """Yield rules that cannot be parsed, that name unknown columns, or that share a name."""
    for rule in table.rules:
        anchor = f":rule.{rule.name}" if f":rule.{rule.name}" in table.lines else rule.column or ":schema"
        try:
            named = columns_of_expression(rule.predicate)
        except SqlProblem as problem:
            yield found(table, anchor, f'rule "{rule.name}": {rule.predicate!r} {problem}.')
            continue
        for name in sorted(named - set(table.column_names)):
            yield no_column(table, anchor, f'rule "{rule.name}": a column', name, table.column_names)
    for quality in contract.schema_[0].quality:
        for name in quality.arguments.properties:
            if name not in table.column_names:
                yield no_column(
                    table, f":rule.{quality.name or quality.metric}", "arguments.properties", name, table.column_names
                )
    names = [*(rule.name for rule in table.rules), *(check.name for check in table.checks)]
    names += [key.name for key in table.foreign_keys]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield found(table, f":rule.{name}", f'two rules are named "{name}"; a reason must name one.')
