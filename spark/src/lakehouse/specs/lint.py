"""What types alone cannot hold: names that must exist, expressions that must parse, a graph without cycles."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lakehouse.errors import did_you_mean
from lakehouse.specs.finding import found, no_column
from lakehouse.specs.lint_blocks import lint_gold, lint_silver, lint_stream
from lakehouse.specs.lint_columns import lint_columns, lint_identity, lint_rules
from lakehouse.specs.model import Incremental, Layer, Scd2, Silver, Table
from lakehouse.specs.odcs import Contract
from lakehouse.specs.problem import Problem


def lint_table(table: Table, contract: Contract) -> list[Problem]:
    """Return the problems of one table taken by itself."""
    problems = [*lint_identity(table, contract), *lint_columns(table, contract), *lint_rules(table, contract)]
    block = table.block
    if isinstance(block, Silver):
        return [*problems, *lint_silver(table, block), *lint_stream(table, block)]
    return [*problems, *lint_gold(table)]


def lint_catalog(tables: dict[str, Table], broken: Collection[str] = ()) -> list[tuple[str, Problem]]:
    """Return (table, problem) for what is wrong between tables: unknown inputs, missing columns, cycles.

    `broken` are full names of tables that have problems of their own: who reads them is told so.
    """
    return [
        (table.full_name, problem)
        for table in tables.values()
        for problem in (*_inputs(tables, table, broken), *_cycle(tables, table), *_columns(tables, table))
    ]


def find_input(tables: dict[str, Table], table: Table, name: str) -> Table | None:
    """Return the table that `name` means when `table` reads it: another Gold table first for Gold, then Silver."""
    silver_only = table.layer is Layer.SILVER or isinstance(table.block, Scd2) or name == table.name
    layers = (Layer.SILVER,) if silver_only else (Layer.GOLD, Layer.SILVER)
    return next((tables[full] for layer in layers if (full := f"{table.pipeline}.{layer}.{name}") in tables), None)


def _inputs(tables: dict[str, Table], table: Table, broken: Collection[str]) -> Iterator[Problem]:
    for name in table.inputs:
        other = find_input(tables, table, name)
        if other is None and any(f"{table.pipeline}.{layer}.{name}" in broken for layer in Layer):
            yield found(table, _anchor(table, name), f'it reads "{name}", which has problems of its own.')
        elif other is None:
            known = sorted({each.name for each in tables.values()} - {table.name})
            hint = did_you_mean(name, known)
            yield found(table, _anchor(table, name), f'it reads "{name}", and no table is named so.{hint}')
        elif isinstance(table.block, Scd2) and not getattr(other.block, "history", False):
            yield found(
                table, ":block.changes_of", f'{other.full_name} has no "history: true", which an scd2 table is made of.'
            )


def _anchor(table: Table, name: str) -> str:
    """Return where a table names another one that it reads."""
    match table.block:
        case Silver(references=references):
            places = {key.table: key.column for key in reversed(table.foreign_keys)}
            places |= {each.table: f":block.references.{index}" for index, each in enumerate(references)}
        case Scd2():
            places = {name: ":block.changes_of"}
        case Incremental(lookups=lookups, inputs=inputs, whole_by=whole_by):
            places = dict.fromkeys(whole_by, ":block.whole_by")
            places |= {each.dimension: f":block.lookups.{index}" for index, each in enumerate(lookups)}
            places |= {each: f":block.inputs.{each}" for each in inputs}
        case _:
            places = {name: ":block.inputs"}
    return places.get(name, ":block.reads")


def _cycle(tables: dict[str, Table], start: Table) -> Iterator[Problem]:
    """Yield one cycle through `start`, if it reaches itself."""
    stack, seen = [(start, [start.name])], set()
    while stack:
        table, path = stack.pop()
        for name in table.inputs:
            other = find_input(tables, table, name)
            if other is start:
                yield found(start, ":block", f"a cycle: {' → '.join([*path, start.name])}.")
                return
            if other is not None and other.full_name not in seen:
                seen.add(other.full_name)
                stack.append((other, [*path, other.name]))


def _columns(tables: dict[str, Table], table: Table) -> Iterator[Problem]:
    """Yield the columns of other tables that are spoken of and are not there."""
    for anchor, what, name, column in _spoken_of(table):
        other = find_input(tables, table, name)
        if other is not None and column not in other.column_names:
            yield no_column(table, anchor, what, column, other.column_names, other.full_name)
    yield from _foreign_keys(tables, table)
    if isinstance(table.block, Silver):
        yield from _references(tables, table, table.block)
    if isinstance(table.block, Incremental):
        yield from _lookups(tables, table, table.block)


def _foreign_keys(tables: dict[str, Table], table: Table) -> Iterator[Problem]:
    """Yield relationships by which a row could find several parents: it would be counted once for each."""
    for foreign in table.foreign_keys:
        other = find_input(tables, table, foreign.table)
        if other is not None and foreign.key in other.column_names and other.key != (foreign.key,):
            told = f"{foreign.key} is not the primary key of {other.full_name} ({', '.join(other.key)})."
            yield found(table, foreign.column, f"relationships of {foreign.column}: {told}")


def _references(tables: dict[str, Table], table: Table, block: Silver) -> Iterator[Problem]:
    """Yield references by which a row could find several."""
    for index, reference in enumerate(block.references):
        other = find_input(tables, table, reference.table)
        if other is not None and reference.key in other.column_names and other.key != (reference.key,):
            told = f"{reference.key} is not the primary key of {other.full_name} ({', '.join(other.key)})."
            yield found(table, f":block.references.{index}", f"references.{reference.table}: {told}")


def _spoken_of(table: Table) -> Iterator[tuple[str, str, str, str]]:
    """Yield (anchor, what it is, table, column) for every column of another table that a contract names."""
    for key in table.foreign_keys:
        yield key.column, f"relationships of {key.column}", key.table, key.key
    if isinstance(table.block, Silver):
        for index, reference in enumerate(table.block.references):
            for name in (reference.key, *reference.columns.values()):
                yield f":block.references.{index}", f"references.{reference.table}", reference.table, name
    if isinstance(table.block, Incremental):
        for name, source in table.block.inputs.items():
            yield f":block.inputs.{name}", f"inputs.{name}.column", name, source.column
            if source.through:
                yield f":block.inputs.{name}", f"inputs.{name}.column", source.through, source.column
        for index, lookup in enumerate(table.block.lookups):
            for name in (*lookup.on, lookup.surrogate):
                yield f":block.lookups.{index}", f"lookups.{lookup.dimension}", lookup.dimension, name


def _lookups(tables: dict[str, Table], table: Table, block: Incremental) -> Iterator[Problem]:
    for index, lookup in enumerate(block.lookups):
        other = find_input(tables, table, lookup.dimension)
        if other is not None and isinstance(other.block, Scd2) != (lookup.at is not None):
            says = (
                "has versions, so `at` must name the fact's time" if lookup.at is None else "has no versions; drop `at`"
            )
            yield found(table, f":block.lookups.{index}", f"{other.full_name} {says}.")
