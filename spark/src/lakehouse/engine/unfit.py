"""What a typed source column may hold and the lake's type for it cannot: NaN as a decimal, times without a year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg2 import extensions
from pyspark.sql import Column as Expression
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine.cast import TIMES
from lakehouse.engine.drift import spark_type
from lakehouse.source.describe import Column
from lakehouse.source.unchanged import literal as source_literal
from lakehouse.specs.rules import literal

# Of a Bronze row: what its source said in such columns, which are NULL in the row, as JSON texts by the column's name.
# A table has the column from the first such row on.
UNFIT = "_unfit"
# Years 1 to 9999: what every reader of the lake can say. Postgres has more, and infinity at both ends.
_FIRST, _END = "0001-01-01", "10000-01-01"


def fitting(column: Column) -> str:
    """Return SQL for a source column's value, or NULL where the lake's type for it cannot hold that."""
    test = _is_unfit(column)
    return f'CASE WHEN {test} THEN NULL ELSE "{column.name}" END' if test else f'"{column.name}"'


def unfit_texts(columns: Sequence[Column]) -> str:
    """Return SQL for a source row's `_unfit`; NULL where all of its values fit."""
    tests = {column.name: test for column in columns if (test := _is_unfit(column))}
    if not tests:
        return "NULL::text"
    names = ", ".join(source_literal(name) for name in tests)
    texts = ", ".join(f'CASE WHEN {test} THEN "{name}"::text END' for name, test in tests.items())
    said = f"jsonb_strip_nulls(jsonb_object(ARRAY[{names}], ARRAY[{texts}]))::text"
    return f"CASE WHEN {' OR '.join(tests.values())} THEN {said} END"


def holds_unfit(connection: extensions.connection, table: str, columns: Sequence[Column], inside: str) -> bool:
    """Return whether a row of `table` (`schema.name`) under the predicate `inside` has such a value.

    Errors are those of the connection.
    """
    tests = [test for column in columns if (test := _is_unfit(column))]
    schema, name = table.split(".")
    if not tests:
        return False
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT EXISTS (SELECT FROM "{schema}"."{name}" WHERE {inside} AND ({" OR ".join(tests)}))')
        return cursor.fetchone() == (True,)


def fits(names: Iterable[str]) -> str:
    """Return a predicate on a row of Bronze: none of these columns is one of its `_unfit`."""
    wanted = ", ".join(literal(name) for name in sorted(names))
    return f"NOT coalesce(arrays_overlap(json_object_keys({UNFIT}), array({wanted})), FALSE)"


def unfit_text(name: str) -> Expression:
    """Return what the source said in a column of a row of Bronze, where it is one of its `_unfit`."""
    return F.from_json(UNFIT, "map<string, string>")[name]


def may_be_unfit(kind: str) -> bool:
    """Whether a source column that is carried in this Spark type can hold what that cannot."""
    return kind in TIMES or kind.startswith("decimal(")


def _is_unfit(column: Column) -> str:
    kind, value = spark_type(column.type), f'"{column.name}"'
    if not may_be_unfit(kind):
        return ""
    return f"({value} < '{_FIRST}' OR {value} >= '{_END}')" if kind in TIMES else f"{value} = 'NaN'"
