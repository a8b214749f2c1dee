"""The shape of Gold rows: the contract's types, rules that stop a commit, surrogate keys, the unknown member."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine.latest import with_hash
from lakehouse.engine.lookups import UNKNOWN
from lakehouse.engine.scd2 import OPEN_PAST
from lakehouse.specs import Table


def natural_key(table: Table) -> tuple[str, ...]:
    """Return the key without the surrogate; a table whose key is its surrogate is named by its first other column."""
    surrogate = getattr(table.block, "surrogate", None)
    others = tuple(name for name in table.key if name != surrogate)
    return others or tuple(name for name in table.column_names if name != surrogate)[:1]


def unknown_member(table: Table, like: DataFrame) -> DataFrame:
    """Return the member that facts without one refer to: key -1, text 'unknown' where the contract wants a value."""
    fixed = {
        getattr(table.block, "surrogate", ""): F.lit(UNKNOWN),
        "valid_from": F.lit(OPEN_PAST),
        "is_current": F.lit(True),
    }
    needed = {column.name for column in table.columns if column.required and column.type == "string"}
    columns = []
    for field in like.schema.fields:
        default = F.lit("unknown") if field.name in needed else F.lit(None)
        columns.append(fixed.get(field.name, default).cast(field.dataType).alias(field.name))
    return like.sparkSession.range(1).select(*columns)


def shaped(rows: DataFrame, table: Table) -> DataFrame:
    """Return the contract's columns in their types, with `_hash`; a row that breaks a rule stops the commit."""
    typed = rows.select(*[F.col(column.name).cast(column.type).alias(column.name) for column in table.columns])
    broken = [
        F.when(~F.coalesce(F.expr(rule.predicate), F.lit(False)), F.lit(rule.name))
        for rule in table.rules
        if rule.severity == "error"
    ]
    if broken:
        name = reduce(lambda left, right: F.coalesce(left, right), broken)
        shown = F.concat_ws(", ", *[F.concat(F.lit(f"{key}="), F.col(key).cast("string")) for key in table.key])
        message = F.concat(F.lit(f"GATE {table.full_name}: rule "), name, F.lit(" fails for "), shown)
        holds = F.when(name.isNull() | _is_unknown(table), F.lit(True)).otherwise(
            F.raise_error(message).cast("boolean")
        )
        typed = typed.where(holds)
    return with_hash(typed, table.column_names)


def _is_unknown(table: Table) -> Column:
    surrogate = getattr(table.block, "surrogate", None)
    return F.col(surrogate) == UNKNOWN if surrogate else F.lit(False)
