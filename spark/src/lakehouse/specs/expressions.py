"""What SQL may stand in a spec: scalar expressions and single SELECTs over declared inputs, parsed, never run."""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import exp

DIALECT = "spark"

# Functions that sqlglot does not know by name and that touch nothing but their arguments.
PLAIN_FUNCTIONS = frozenset(
    ["any_value", "array_contains", "bool_and", "bool_or", "bround", "btrim", "conv", "count_if", "date_diff", "date_format", "date_trunc", "datediff", "dayofweek", "dayofyear", "every", "explode", "hash", "initcap", "is_valid_utf8", "make_date", "max_by", "min_by", "mode", "months_between", "ntile", "nullifzero", "percent_rank", "quarter", "regexp_count", "regexp_like", "regexp_substr", "rlike", "sequence", "some", "timestamp_micros", "translate", "trunc", "try_cast", "try_divide", "try_element_at", "unix_micros", "weekday", "weekofyear", "width_bucket", "xxhash64", "zeroifnull"]
)
FORBIDDEN = (
    exp.DDL, exp.DML, exp.Command, exp.Use, exp.Set, exp.Into, exp.Placeholder, exp.Parameter, exp.SessionParameter,
    exp.QueryTransform,
)  # fmt: skip
# The same rows must give the same result in any run: nothing from the clock, the session or chance.
CHANGING = (
    exp.Rand, exp.Randn, exp.Uuid, exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.CurrentUser,
)  # fmt: skip


class SqlProblem(Exception):
    """The SQL is not of the kind that a spec may hold."""


def _parse(text: str) -> exp.Expr:
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = sqlglot.parse(text, dialect=DIALECT)
    except sqlglot.errors.SqlglotError as error:
        first = str(error).splitlines()[0] if str(error) else "syntax error"
        raise SqlProblem(f"cannot be parsed as Spark SQL: {first[:200]}") from None
    parsed = [statement for statement in statements if statement is not None]
    if len(parsed) != 1:
        raise SqlProblem(f"holds {len(parsed)} statements; exactly one is allowed")
    return parsed[0]


def _refuse(tree: exp.Expr) -> None:
    for node in tree.walk():
        # SELECT is a DML-free Query; sqlglot files INSERT and the like under exp.DML.
        if isinstance(node, FORBIDDEN) and not isinstance(node, exp.Query):
            raise SqlProblem(f"{type(node).__name__.upper()} is not allowed; a spec only reads")
        if isinstance(node, CHANGING):
            raise SqlProblem(f"{node.sql(dialect=DIALECT)} changes from run to run and is not allowed")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in PLAIN_FUNCTIONS:
            raise SqlProblem(f'the function "{node.name}" is not on the list of plain functions')


def columns_of_expression(text: str) -> set[str]:
    """Return the columns that a scalar SQL expression names.

    Raises SqlProblem for anything but one expression without subqueries, DDL, or functions off the list.
    """
    tree = _parse(f"SELECT {text}")
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.args.get("from_") or tree.find(exp.Table):
        raise SqlProblem("is not one scalar expression")
    if next(iter(tree.find_all(exp.Subquery, exp.Star)), None) or len(list(tree.find_all(exp.Select))) > 1:
        raise SqlProblem("subqueries and * are not allowed in an expression")
    _refuse(tree)
    return {column.name for column in tree.find_all(exp.Column)}


def tables_of_select(text: str) -> set[str]:
    """Return the tables (not its own CTEs) that a single SELECT reads; raises SqlProblem for anything else."""
    tree = _parse(text)
    if not isinstance(tree, exp.Query):
        raise SqlProblem("is not a SELECT")
    _refuse(tree)
    own = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    tables = set()
    for table in tree.find_all(exp.Table):
        if table.args.get("db") or table.args.get("catalog"):
            raise SqlProblem(f'"{table.sql(dialect=DIALECT)}" is qualified; inputs are named by their table alone')
        if table.name and table.name not in own:
            tables.add(table.name)
    return tables


def output_of_select(text: str) -> list[str]:
    """Return the names of a SELECT's output columns, in order; `*` is refused."""
    tree = _parse(text)
    names = tree.named_selects if isinstance(tree, exp.Query) else []
    if "*" in names or not names or "" in names:
        raise SqlProblem("every output column needs a name; * is not allowed in the outer SELECT")
    return list(names)
