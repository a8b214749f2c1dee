"""From Bronze columns to the contract's: raw values beside typed ones, looked-up columns, and whether parents exist."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine.cast import TIMES, exact_cast, is_lossless
from lakehouse.engine.unfit import UNFIT, fits, may_be_unfit
from lakehouse.specs import Silver, Table
from lakehouse.specs.expressions import columns_of_expression
from lakehouse.specs.model import RESCUED
from lakehouse.specs.rules import quoted

RAW, FOUND = "_raw_", "_found_"
# What an expression gave, beside the contract's column of that name: as a number or a moment it may not fit.
DERIVED = "_derived_"
# The column of rows that come from the quarantine.
FINGERPRINT = "_fingerprint"


def typed(batch: DataFrame, table: Table, block: Silver) -> DataFrame:
    """Return the batch with every Bronze column as `_raw_<name>`, and the contract's columns beside them.

    An expression speaks of source columns by their own names.
    """
    looked_up = {name for reference in block.references for name in reference.columns}
    raw_types = {field.name: field.dataType.simpleString() for field in batch.schema.fields}
    raw = [F.col(name) if name.startswith("_") else F.col(name).alias(RAW + name) for name in batch.columns]
    columns = []
    for column in table.columns:
        if column.name in looked_up:
            continue
        if column.expression and column.type == "string":
            columns.append(F.expr(f"CAST({column.expression} AS string)").alias(column.name))
        elif column.expression:
            made = batch.select(F.expr(column.expression)).schema.fields[0].dataType.simpleString()
            cast = exact_cast(f"({column.expression})", made, column.type, block.timezone)
            columns.append(F.expr(column.expression).alias(DERIVED + column.name))
            columns.append(F.expr(cast).alias(column.name))
        else:
            cast = exact_cast(quoted(column.name), raw_types[column.name], column.type, block.timezone)
            columns.append(F.expr(cast).alias(column.name))
    if block.stream is not None and RESCUED not in raw_types:
        columns.append(F.lit(None).cast("string").alias(RESCUED))
    return batch.select(*raw, *columns)


def cast_rules(batch: DataFrame, table: Table) -> dict[str, str]:
    """Return for each column whose cast can fail, or whose source can, the predicate that it has not."""
    raw_types = {field.name: field.dataType.simpleString() for field in batch.schema.fields}
    rules = {
        column.name: f"{quoted(DERIVED + column.name)} IS NULL OR {quoted(column.name)} IS NOT NULL"
        for column in table.columns
        if column.expression and column.type != "string"
    } | {
        column.name: f"{quoted(RAW + column.name)} IS NULL OR {quoted(column.name)} IS NOT NULL"
        for column in table.columns
        if not column.expression
        and column.name in raw_types
        and (column.type in TIMES or not is_lossless(raw_types[column.name], column.type))
        and column.type != "string"
    }
    for column in table.columns if UNFIT in raw_types else ():
        read = columns_of_expression(column.expression) if column.expression else {column.name}
        if unsure := [name for name in read if may_be_unfit(raw_types.get(name, ""))]:
            cast = rules.get(column.name)
            rules[column.name] = f"({cast}) AND {fits(unsure)}" if cast else fits(unsure)
    return rules


def with_references(rows: DataFrame, block: Silver, read: Callable[[str], DataFrame]) -> DataFrame:
    """Add the columns that a contract takes over from other Silver tables; `read` gives a table by its name."""
    for reference in block.references:
        there = read(reference.table).select(
            F.col(reference.key).alias("_there"),
            *[F.col(theirs).alias(ours) for ours, theirs in reference.columns.items()],
        )
        rows = rows.join(F.broadcast(there), F.col(reference.on) == F.col("_there"), "left").drop("_there")
    return rows


def with_parents(rows: DataFrame, table: Table, read: Callable[[str], DataFrame], *, small: bool) -> DataFrame:
    """Add `_found_<column>` for every foreign key: TRUE where the parent holds the value.

    For a small batch only the parents' keys that it names are looked for, so that a parent is scanned, not shuffled.
    """
    for foreign in table.foreign_keys:
        parents: DataFrame = read(foreign.table).select(F.col(foreign.key).alias("_parent"))
        if small:
            asked = rows.select(F.col(foreign.column).alias("_parent")).distinct()
            parents = F.broadcast(parents.join(F.broadcast(asked), "_parent", "left_semi"))
        parents = parents.withColumn(FOUND + foreign.column, F.lit(True))
        rows = rows.join(parents, F.col(foreign.column) == F.col("_parent"), "left").drop("_parent")
    return rows


def found(column: str) -> Column:
    """Return whether a foreign key's value was found; a NULL refers to nothing and is judged by `required`."""
    return F.col(FOUND + column) | F.col(column).isNull()
