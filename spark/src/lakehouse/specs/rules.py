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
        if judged_by_row(quality):
            yield RowRule(rule_name(quality, column), column.name, _predicate(quality, column), quality.severity)


def judged_by_row(quality: Quality) -> bool:
    """Whether a rule of a column says the same of every single row: no row may fail it."""
    return quality.type == "custom" or (quality.mustBe == 0 and quality.metric != "duplicateValues")


def rule_name(quality: Quality, column: Property | None) -> str:
    """Return the name that a rule is known by: its own, or one made from its column and metric."""
    suffix = {"nullValues": "present", "missingValues": "present", "invalidValues": "valid"}
    made = suffix.get(str(quality.metric), str(quality.metric)) if judged_by_row(quality) else str(quality.metric)
    return quality.name or (f"{column.name}_{made}" if column else made)


def _predicate(quality: Quality, column: Property) -> str:
    """Return what a row must make true, for a metric that no row may fail."""
    name, arguments = quoted(column.name), quality.arguments
    if quality.type == "custom":
        return str(quality.implementation)
    if quality.metric == "invalidValues":
        return _nullable(column, _valid(column, quality))
    missing = [literal(value) for value in arguments.missingValues if value is not None]
    listed = f" AND {name} NOT IN ({', '.join(missing)})" if missing else ""
    return f"{name} IS NOT NULL{listed}"


def _nullable(column: Property, predicate: str) -> str:
    """NULL in a column that is not required is declared allowed; elsewhere the comparison fails by itself."""
    return predicate if column.required or column.primaryKey else f"({quoted(column.name)} IS NULL OR {predicate})"


def _valid(column: Property, quality: Quality) -> str:
    name, arguments = quoted(column.name), quality.arguments
    tests = []
    if arguments.pattern is not None:
        tests.append(f"{name} RLIKE {literal(arguments.pattern)}")
    if arguments.validValues:
        tests.append(f"{name} IN ({', '.join(literal(value) for value in arguments.validValues)})")
    return " AND ".join(tests)


def _ranges(column: Property) -> Iterator[tuple[str, str]]:
    name = quoted(column.name)
    forms = {
        "minimum": f"{name} >= {{}}", "maximum": f"{name} <= {{}}", "exclusiveMinimum": f"{name} > {{}}",
        "exclusiveMaximum": f"{name} < {{}}", "minLength": f"length({name}) >= {{}}",
        "maxLength": f"length({name}) <= {{}}", "pattern": f"{name} RLIKE {{}}",
    }  # fmt: skip
    for option, form in forms.items():
        value = getattr(column.logicalTypeOptions, option)
        if value is not None:
            yield option.lower(), form.format(literal(value))


def checks(schema: Schema) -> tuple[Check, ...]:
    """Return every rule that is judged on the whole table."""
    rules: list[tuple[Quality, Property | None]] = [(quality, None) for quality in schema.quality]
    rules += [(quality, column) for column in schema.properties for quality in column.quality]
    found = [
        Check(rule_name(quality, column), _aggregate(quality, column), str(quality.comparison), quality.severity)
        for quality, column in rules
        if quality.type == "library" and not (column and judged_by_row(quality))
    ]
    found += [
        Check(f"{column.name}_unique", _doubled([column.name]), "value = 0", "error")
        for column in schema.properties
        if column.unique
    ]
    return tuple(found)


def _aggregate(quality: Quality, column: Property | None) -> str:
    if quality.metric == "rowCount":
        return "count(*)"
    if quality.metric == "duplicateValues":
        count = _doubled([column.name] if column else list(quality.arguments.properties))
    elif column is not None:
        count = f"count_if(NOT coalesce({_predicate(quality, column)}, FALSE))"
    else:
        raise ValueError(f"{quality.metric} belongs to a column")
    return f"100.0 * {count} / greatest(count(*), 1)" if quality.unit == "percent" else count


def _doubled(names: list[str]) -> str:
    """Return how many rows have values that an earlier row has; a NULL equals nothing."""
    listed = ", ".join(quoted(name) for name in names)
    present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in names)
    return f"(count_if({present}) - count(DISTINCT {listed}))"
