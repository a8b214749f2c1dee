"""What SQL may stand in a spec: scalar expressions and single SELECTs over declared inputs, parsed, never run."""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import exp

DIALECT = "spark"

# Functions that sqlglot does not know by name and that touch nothing but their arguments.
_PLAIN = """
    any_value array_contains bool_and bool_or bround btrim conv count_if crc32 date_diff date_format date_trunc
    datediff dayofweek dayofyear every explode hash initcap is_valid_utf8 make_date max_by min_by mode
    months_between ntile nullifzero percent_rank quarter regexp_count regexp_like regexp_substr rlike sequence some
    timestamp_micros translate trunc try_cast try_divide try_element_at try_to_date try_to_number try_to_timestamp
    unix_micros weekday weekofyear width_bucket xxhash64 zeroifnull
"""
PLAIN_FUNCTIONS = frozenset(_PLAIN.split())
FORBIDDEN = (
    exp.DDL, exp.DML, exp.Command, exp.Use, exp.Set, exp.Into, exp.Placeholder, exp.Parameter, exp.SessionParameter,
    exp.QueryTransform, exp.ReadCSV, exp.ReadParquet, exp.Secret, exp.ToFile,
)  # fmt: skip
# The same rows must give the same result in any run: nothing from the clock, the session or chance.
CHANGING = (
    exp.Rand, exp.Randn, exp.Randstr, exp.Uniform, exp.Shuffle, exp.Uuid, exp.TableSample, exp.CurrentTimestamp,
    exp.CurrentDate, exp.CurrentTime, exp.CurrentDatetime, exp.Localtime, exp.Localtimestamp, exp.Systimestamp,
    exp.UtcDate, exp.UtcTime, exp.UtcTimestamp, exp.CurrentUser, exp.SessionUser, exp.CurrentCatalog,
    exp.CurrentDatabase, exp.CurrentSchema, exp.CurrentTimezone, exp.CurrentVersion,
)  # fmt: skip
CLOCK_WORDS = frozenset(["now", "today", "tomorrow", "yesterday", "localtimestamp", "localtime"])
MANY_ROWS = (exp.AggFunc, exp.Window, exp.UDTF, exp.Inline)


class SqlProblem(Exception):
    """The SQL is not of the kind that a spec may hold; `line` counts from 1 within the text."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def columns_of_expression(text: str) -> set[str]:
    """Return the columns that a scalar SQL expression names.

    Raises SqlProblem for anything but one expression without subqueries, DDL, or functions off the list.
    """
    tree = _parse(f"SELECT {text}")
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.args.get("from_") or tree.find(exp.Table):
        raise SqlProblem("is not one scalar expression")
    if tree.find(exp.Subquery, exp.Star, exp.Alias) or len(list(tree.find_all(exp.Select))) > 1:
        raise SqlProblem("is not one scalar expression: subqueries, * and AS are not allowed")
    _refuse(tree)
    if (many := tree.find(*MANY_ROWS)) is not None:
        raise SqlProblem(f"is not judged on one row alone: {many.sql(dialect=DIALECT)}")
    return {column.name for column in tree.find_all(exp.Column)}


def tables_of_select(text: str) -> set[str]:
    """Return the tables (not its own CTEs) that a single SELECT reads; raises SqlProblem for anything else."""
    tree = _parse(text)
    if not isinstance(tree, exp.Query):
        raise SqlProblem("is not a SELECT")
    _refuse(tree)
    tables = set()
    for table in tree.find_all(exp.Table):
        shown = table.sql(dialect=DIALECT)
        if not isinstance(table.this, exp.Identifier):
            raise SqlProblem(f'"{shown}" is a table function; only declared inputs are read', _line(table))
        if table.args.get("db") or table.args.get("catalog"):
            raise SqlProblem(f'"{shown}" is qualified; inputs are named by their table alone', _line(table))
        if table.args.get("version") or table.args.get("when"):
            raise SqlProblem(f'"{shown}" names a version; the platform chooses it', _line(table))
        if not _is_own_cte(table):
            tables.add(table.name)
    return tables


def output_of_select(text: str) -> list[str]:
    """Return the names of a SELECT's output columns, in order; `*` is refused."""
    tree = _parse(text)
    names = tree.named_selects if isinstance(tree, exp.Query) else []
    if "*" in names or not names or "" in names:
        raise SqlProblem("every output column needs a name; * is not allowed in the outer SELECT")
    return list(names)


def names_in_select(text: str) -> set[str] | None:
    """Return all names that a SELECT speaks of, in lower case, its columns among them.

    None where it takes columns without their names: by `*`, or by a natural join.
    """
    tree = _parse(text)
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return None
    if any(join.args.get("method") == "NATURAL" for join in tree.find_all(exp.Join)):
        return None
    return {name.name.lower() for name in tree.find_all(exp.Identifier)}


def carried_columns(text: str) -> dict[str, str]:
    """Return the output columns of a SELECT that are a column of its table unchanged: output name to column name.

    Empty unless the query looks at each row of one table on its own: no join, grouping, window, DISTINCT or subquery.
    """
    tree = _parse(text)
    apart = (exp.Join, exp.Group, exp.Window, exp.AggFunc, exp.Distinct, exp.Subquery, exp.With, exp.Limit, exp.Lateral)
    if not isinstance(tree, exp.Select) or tree.find(*apart) or len(list(tree.find_all(exp.Table))) != 1:
        return {}
    plain = [each for each in tree.expressions if isinstance(each.unalias(), exp.Column)]
    return {each.alias_or_name: each.unalias().name for each in plain}


def _parse(text: str) -> exp.Expr:
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = sqlglot.parse(text, dialect=DIALECT)
    except sqlglot.errors.ParseError as error:
        first = error.errors[0] if error.errors else {}
        what = str(first.get("description") or error).partition("<Token")[0].strip()
        line = int(first.get("line") or 1)
        raise SqlProblem(f"cannot be parsed as Spark SQL: {what} near {first.get('highlight')!r}", line) from None
    except sqlglot.errors.TokenError as error:
        line = text.count("\n", 0, getattr(error, "end", 0)) + 1
        raise SqlProblem("cannot be parsed as Spark SQL: a quote or comment is not closed", line) from None
    except RecursionError:
        raise SqlProblem("is nested too deeply") from None
    parsed = [statement for statement in statements if statement is not None]
    if len(parsed) != 1:
        raise SqlProblem(f"holds {len(parsed)} statements; exactly one is allowed")
    return parsed[0]


def _refuse(tree: exp.Expr) -> None:
    for node in tree.walk():
        # SELECT is a DML-free Query; sqlglot files INSERT and the like under exp.DML.
        if isinstance(node, FORBIDDEN) and not isinstance(node, exp.Query):
            raise SqlProblem(f"{type(node).__name__.upper()} is not allowed; a spec only reads its inputs", _line(node))
        if isinstance(node, CHANGING) or _is_clock_word(node):
            shown = node.sql(dialect=DIALECT)
            raise SqlProblem(f"{shown} changes from run to run and is not allowed", _line(node))
        if isinstance(node, exp.Anonymous) and node.name.lower() not in PLAIN_FUNCTIONS:
            raise SqlProblem(f'the function "{node.name}" is not on the list of plain functions', _line(node))


def _is_clock_word(node: exp.Expr) -> bool:
    """`timestamp 'now'` and a bare `localtimestamp` are the clock, although they look like a literal and a column."""
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        return node.this.name.strip().lower() in CLOCK_WORDS
    bare = isinstance(node, exp.Column) and not node.table and not node.this.args.get("quoted")
    return bare and node.name.lower() in ("localtimestamp", "localtime")


def _is_own_cte(table: exp.Table) -> bool:
    """Whether a CTE that stands before the table's place has its name; a CTE does not see itself."""
    above: list[exp.Expr] = [table]
    while (parent := above[-1].parent) is not None:
        above.append(parent)
    for node in above:
        clause = node.args.get("with_")
        if clause is None:
            continue
        for cte in clause.expressions:
            if any(cte is each for each in above) and not clause.args.get("recursive"):
                break
            if cte.alias.lower() == table.name.lower():
                return True
    return False


def _line(node: exp.Expr) -> int:
    """Return the line of the first token below a node that remembers its place."""
    return next((each.meta["line"] for each in node.walk() if "line" in each.meta), 1)
