"""From what a contract says to predicates on a row and checks on a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.specs.model import Check, RowRule
from lakehouse.specs.odcs import Property, Quality, Schema

# A cast that fails is a reason of its own; a required column is judged on its typed value.


def literal(value: Any) -> str:
    """Return a Spark SQL literal."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """Return a quoted Spark SQL identifier."""
    return f"`{name}`"


def row_rules(schema: Schema) -> tuple[RowRule, ...]:
    """Return every rule that can be judged row by row."""
    rules = [rule for column in schema.properties for rule in _of_column(column)]
    for quality in schema.quality:
        if quality.type == "custom":
            rules.append(RowRule(str(quality.name), None, str(quality.implementation), quality.severity))
    return tuple(rules)


def _of_column(column: Property) -> Iterator[RowRule]:
    if column.required or column.primaryKey:
        yield RowRule(f"{column.name}_required", column.name, f"{quoted(column.name)} IS NOT NULL", "error")
    for name, predicate in _ranges(column):
        yield RowRule(f"{column.name}_{name}", column.name, _nullable(column, predicate), "error")
    for quality in column.quality:
        if quality.type == "custom":
            yield RowRule(str(quality.name), column.name, str(quality.implementation), quality.severity)
        elif quality.metric in ("nullValues", "missingValues") and quality.mustBe == 0:
            yield RowRule(_named(column, quality), column.name, f"{quoted(column.name)} IS NOT NULL", quality.severity)
        elif quality.metric == "invalidValues" and quality.mustBe == 0:
            predicate = _nullable(column, _valid(column, quality.arguments))
            yield RowRule(_named(column, quality), column.name, predicate, quality.severity)


def _named(column: Property, quality: Quality) -> str:
    suffix = {"nullValues": "present", "missingValues": "present", "invalidValues": "valid"}
    return quality.name or f"{column.name}_{suffix.get(str(quality.metric), quality.metric)}"


def _nullable(column: Property, predicate: str) -> str:
    """NULL in a column that is not required is declared allowed; elsewhere the comparison fails by itself."""
    return predicate if column.required or column.primaryKey else f"({quoted(column.name)} IS NULL OR {predicate})"


def _valid(column: Property, arguments: dict[str, Any]) -> str:
    name = quoted(column.name)
    if "pattern" in arguments:
        return f"{name} RLIKE {literal(arguments['pattern'])}"
    return f"{name} IN ({', '.join(literal(value) for value in arguments['validValues'])})"


def _ranges(column: Property) -> Iterator[tuple[str, str]]:
    name, options = quoted(column.name), column.logicalTypeOptions
    forms = {
        "minimum": f"{name} >= {{}}", "maximum": f"{name} <= {{}}", "exclusiveMinimum": f"{name} > {{}}",
        "exclusiveMaximum": f"{name} < {{}}", "minLength": f"length({name}) >= {{}}",
        "maxLength": f"length({name}) <= {{}}", "pattern": f"{name} RLIKE {{}}",
    }  # fmt: skip
    for option, form in forms.items():
        if option in options:
            yield option.lower(), form.format(literal(options[option]))


def checks(schema: Schema) -> tuple[Check, ...]:
    """Return every rule that is judged on the whole table."""
    found = []
    for quality in schema.quality:
        if quality.type == "library":
            name = quality.name or f"{quality.metric}"
            found.append(Check(name, _aggregate(quality, None), str(quality.comparison), quality.severity))
    for column in schema.properties:
        for quality in column.quality:
            if quality.type == "library" and not (quality.mustBe == 0 and quality.metric != "duplicateValues"):
                name = quality.name or f"{column.name}_{quality.metric}"
                found.append(Check(name, _aggregate(quality, column), str(quality.comparison), quality.severity))
    return tuple(found)


def _aggregate(quality: Quality, column: Property | None) -> str:
    if quality.metric == "rowCount":
        return "count(*)"
    if quality.metric == "duplicateValues":
        names = [column.name] if column else quality.arguments["properties"]
        listed = ", ".join(quoted(name) for name in names)
        return f"count(*) - count(DISTINCT {listed})"
    if column is None:
        raise ValueError(f"{quality.metric} belongs to a column")
    failing = f"{quoted(column.name)} IS NULL"
    if quality.metric == "invalidValues":
        failing = f"NOT coalesce({_nullable(column, _valid(column, quality.arguments))}, FALSE)"
    count = f"count_if({failing})"
    return f"100.0 * {count} / greatest(count(*), 1)" if quality.unit == "percent" else count
