"""What types alone cannot hold: names that must exist, expressions that must parse, a graph without cycles."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lakehouse.errors import did_you_mean
from lakehouse.specs.expressions import SqlProblem, columns_of_expression, output_of_select, tables_of_select
from lakehouse.specs.model import Full, Incremental, Layer, Scd2, Silver, Table
from lakehouse.specs.odcs import Contract
from lakehouse.specs.problem import Problem

_TYPE = re.compile(
    r"^(string|boolean|tinyint|smallint|int|bigint|float|double|date|timestamp|decimal\((\d+),\s?(\d+)\))$"
)
TYPES = "string, boolean, tinyint, smallint, int, bigint, float, double, decimal(p,s), date, timestamp"
TECHNICAL = ["valid_from", "valid_to", "is_current", "is_deleted"]


def lint_table(table: Table, contract: Contract) -> list[Problem]:
    """Return the problems of one table taken by itself."""
    found = [*_identity(table, contract), *_columns(table), *_rules(table)]
    match table.block:
        case Silver():
            found += _silver(table, table.block)
        case Scd2() | Incremental() | Full():
            found += _gold(table)
    return found


def _problem(table: Table, anchor: str, message: str) -> Problem:
    return Problem(table.path, table.lines.get(anchor, 1), message)


def _unknown(table: Table, field: str, name: str, known: list[str], anchor: str = "block") -> Problem:
    message = (
        f'{field} is "{name}"; the table has no such column.{did_you_mean(name, known)} Columns: {", ".join(known)}.'
    )
    return _problem(table, anchor, message)


def _identity(table: Table, contract: Contract) -> Iterator[Problem]:
    if contract.id != table.full_name:
        yield _problem(table, "id", f'id is "{contract.id}"; by its place this table is "{table.full_name}".')
    if contract.schema_[0].name != table.name:
        yield _problem(
            table, "schema", f'the schema is named "{contract.schema_[0].name}"; the file says "{table.name}".'
        )
    if not table.owner:
        yield _problem(table, "id", "team.name is missing: a table has an owner.")


def _columns(table: Table) -> Iterator[Problem]:
    for name in {name for name in table.column_names if table.column_names.count(name) > 1}:
        yield _problem(table, name, f'the column "{name}" stands twice.')
    for column in table.columns:
        matched = _TYPE.match(column.type)
        if not matched or (matched[2] and not 0 <= int(matched[3]) <= int(matched[2]) <= 38):
            yield _problem(
                table, column.name, f'{column.name}: physicalType "{column.type}" is not known. Types: {TYPES}.'
            )
        if column.name.startswith("_"):
            yield _problem(table, column.name, f'"{column.name}": names that begin with _ belong to the platform.')
    if not table.key:
        yield _problem(table, "schema", "no column is a primaryKey; every table has a key (all columns, if need be).")


def _rules(table: Table) -> Iterator[Problem]:
    known = list(table.column_names)
    for rule in table.rules:
        try:
            named = columns_of_expression(rule.predicate)
        except SqlProblem as problem:
            yield _problem(table, rule.column or "schema", f'rule "{rule.name}": {rule.predicate!r} {problem}.')
            continue
        for name in sorted(named - set(known)):
            yield _unknown(table, f'rule "{rule.name}": a column', name, known, rule.column or "schema")
    names = [rule.name for rule in table.rules] + [key.name for key in table.foreign_keys]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _problem(table, "schema", f'two rules are named "{name}"; a reason must name one.')


def _silver(table: Table, block: Silver) -> Iterator[Problem]:
    for column in table.columns:
        if column.expression:
            try:
                columns_of_expression(column.expression)
            except SqlProblem as problem:
                yield _problem(table, column.name, f"{column.name}: transformLogic {column.expression!r} {problem}.")
    known = [*table.column_names, block.watermark]
    for name in block.latest_by:
        if name not in known:
            yield _unknown(table, "latest_by", name, known)
    for name in block.orphans:
        if name not in {key.column for key in table.foreign_keys}:
            yield _unknown(table, "orphans", name, [key.column for key in table.foreign_keys])
    for reference in block.references:
        for name in (reference.on, *reference.columns):
            if name not in table.column_names:
                yield _unknown(table, f"references.{reference.table}", name, list(table.column_names))
    if (block.deletes == "soft") != (block.deleted_flag is not None):
        yield _problem(table, "block", "deletes: soft and deleted_flag belong together.")


def _gold(table: Table) -> Iterator[Problem]:
    if table.sql is None:
        yield _problem(table, "block", f"{table.name}.sql is missing beside the contract.")
        return
    try:
        read, output = tables_of_select(table.sql), output_of_select(table.sql)
    except SqlProblem as problem:
        yield Problem(table.path.with_name(f"{table.name}.sql"), 1, f"{problem}.")
        return
    allowed = set(table.inputs) - {lookup.dimension for lookup in getattr(table.block, "lookups", [])}
    allowed |= set(getattr(table.block, "seeds", []))
    for name in sorted(read - allowed):
        yield _problem(
            table,
            "block",
            f'{table.name}.sql reads "{name}", which is no declared input ({", ".join(sorted(allowed))}).',
        )
    made = set(output) | _added(table)
    for name in sorted(set(table.column_names) - made):
        yield _problem(
            table, name, f'"{name}" is in the contract, but {table.name}.sql does not make it ({", ".join(output)}).'
        )
    for name in sorted(_needed(table) - set(output)):
        yield _unknown(table, "a key, sequence or lookup column", name, output)


def _added(table: Table) -> set[str]:
    match table.block:
        case Scd2(surrogate=surrogate):
            return {surrogate, *TECHNICAL}
        case Incremental(lookups=lookups):
            return {lookup.surrogate for lookup in lookups}
        case Full(surrogate=surrogate) if surrogate:
            return {surrogate}
    return set()


def _needed(table: Table) -> set[str]:
    match table.block:
        case Scd2() as block:
            return {*block.key, *block.sequence_by, *block.untracked, "_deleted"}
        case Incremental() as block:
            ats = {lookup.at for lookup in block.lookups if lookup.at}
            return {block.rebuild_by, *ats, *(name for lookup in block.lookups for name in lookup.on.values())}
    return set()


def lint_catalog(tables: dict[str, Table]) -> list[tuple[str, Problem]]:
    """Return (table, problem) for what is wrong between tables: unknown inputs, missing columns, cycles."""
    found = []
    for table in tables.values():
        for name in table.inputs:
            other = find_input(tables, table, name)
            if other is None:
                known = sorted({t.name for t in tables.values()} - {table.name})
                found.append(
                    (
                        table.full_name,
                        _problem(
                            table,
                            "block",
                            f'it reads "{name}", and no sound table is named so.{did_you_mean(name, known)}',
                        ),
                    )
                )
            elif isinstance(table.block, Scd2) and not getattr(other.block, "history", False):
                found.append(
                    (
                        table.full_name,
                        _problem(
                            table,
                            "block",
                            f'{other.full_name} has no "history: true", which an SCD2 table is made from.',
                        ),
                    )
                )
        found += [
            (table.full_name, _problem(table, "block", f"a cycle: {' → '.join(cycle)}."))
            for cycle in _cycles(tables, table)
        ]
        for key in table.foreign_keys:
            parent = find_input(tables, table, key.table)
            if parent is not None and key.key not in parent.column_names:
                found.append(
                    (
                        table.full_name,
                        _unknown(
                            table, f"relationships of {key.column}", key.key, list(parent.column_names), key.column
                        ),
                    )
                )
    return found


def find_input(tables: dict[str, Table], table: Table, name: str) -> Table | None:
    """Return the table that `name` means when `table` reads it: the same layer first for Gold, then Silver."""
    layers = (
        (Layer.SILVER,) if table.layer is Layer.SILVER or isinstance(table.block, Scd2) else (Layer.GOLD, Layer.SILVER)
    )
    return next((tables[full] for layer in layers if (full := f"{table.pipeline}.{layer}.{name}") in tables), None)


def _cycles(tables: dict[str, Table], start: Table) -> list[list[str]]:
    """Return one cycle through `start`, if it reaches itself."""
    stack, seen = [(start, [start.name])], set()
    while stack:
        table, path = stack.pop()
        for name in table.inputs:
            other = find_input(tables, table, name)
            if other is start:
                return [[*path, start.name]]
            if other is not None and other.full_name not in seen:
                seen.add(other.full_name)
                stack.append((other, [*path, other.name]))
    return []
