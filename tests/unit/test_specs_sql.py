"""SQL in a spec: only its declared inputs are read, nothing is run, nothing changes from run to run."""

from __future__ import annotations

import pytest

from lakehouse.specs.expressions import (
    SqlProblem,
    carried_columns,
    columns_of_expression,
    names_in_select,
    output_of_select,
    tables_of_select,
)

REFUSED_EXPRESSIONS = {
    "a; DROP TABLE orders": "2 statements",
    "DROP TABLE orders": "parsed",
    "a FROM orders": "one scalar expression",
    "(SELECT max(a) FROM orders)": "one scalar expression",
    "a IN (SELECT b FROM orders)": "one scalar expression",
    "EXISTS (SELECT 1)": "one scalar expression",
    "a UNION SELECT b": "one scalar expression",
    "a, b": "one scalar expression",
    "*": "one scalar expression",
    "a AS b": "one scalar expression",
    "": "one scalar expression",
    "a > 'x": "not closed",
    "a >": "parsed",
    "(" * 4000: "nested too deeply",
    "reflect('java.lang.Runtime', 'getRuntime')": "reflect",
    "java_method('java.lang.System', 'getenv', a)": "java_method",
    "read_csv('/etc/passwd')": "READCSV",
    "input_file_name()": "input_file_name",
    "load_file('/etc/passwd')": "load_file",
    "secret('scope', 'key')": "SECRET",
    "a = :value": "PLACEHOLDER",
    "a = ?": "PLACEHOLDER",
    "a = ${env:HOME}": "PARAMETER",
    "sum(a) > 0": "one row",
    "count_if(a)": "one row",
    "row_number() OVER (ORDER BY a)": "one row",
    "explode(a)": "one row",
    "rand() < 0.5": "run to run",
    "uuid()": "run to run",
    "current_timestamp() > a": "run to run",
    "current_date": "run to run",
    "localtimestamp": "run to run",
    "timestamp 'now' > a": "run to run",
    "current_user() = a": "run to run",
    "now() > a": "now",
    "monotonically_increasing_id()": "monotonically_increasing_id",
}


@pytest.mark.parametrize("text", REFUSED_EXPRESSIONS)
def test_refused_expression(text: str) -> None:
    with pytest.raises(SqlProblem) as refused:
        columns_of_expression(text)
    assert REFUSED_EXPRESSIONS[text] in str(refused.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("status <> 'delivered' OR delivered_at IS NOT NULL", {"status", "delivered_at"}),
        ("`order id` RLIKE '^[0-9]{5}$'", {"order id"}),
        ("trim(regexp_replace(translate(lower(city), 'ã', 'a'), ' {2,}', ' '))", {"city"}),
        ("CASE WHEN a THEN b ELSE c END", {"a", "b", "c"}),
        ("upper(trim(state)) -- the state", {"state"}),
        ("exists(tags, tag -> tag = a)", {"tags", "a"}),
        ("1 = 1", set()),
        ("name = 'now'", {"name"}),
    ],
)
def test_columns_of_an_expression(text: str, columns: set[str]) -> None:
    assert columns_of_expression(text) == columns


REFUSED_SELECTS = {
    "DROP TABLE orders": (1, "not a SELECT"),
    "SELECT a FROM orders;\nDELETE FROM orders": (1, "2 statements"),
    "CREATE TABLE x AS SELECT 1 AS a": (1, "not a SELECT"),
    "INSERT INTO orders SELECT 1 AS a": (1, "not a SELECT"),
    "MERGE INTO orders USING x ON orders.a = x.a WHEN MATCHED THEN DELETE": (1, "not a SELECT"),
    "SET spark.sql.ansi.enabled = false": (1, "not a SELECT"),
    "ADD JAR '/tmp/x.jar'": (1, "not a SELECT"),
    "SHOW TABLES": (1, "not a SELECT"),
    "": (1, "0 statements"),
    "SELECT a\nFROM parquet.`/etc/secrets`": (2, "qualified"),
    "SELECT a\nFROM csv.`s3a://bronze/x`": (2, "qualified"),
    "SELECT a\nFROM orders\nJOIN other.customers USING (id)": (3, "qualified"),
    "SELECT a\nFROM read_csv('/etc/passwd')": (2, "READCSV"),
    "SELECT a\nFROM read_files('/etc')": (2, "read_files"),
    "SELECT a\nFROM range(10)": (2, "range"),
    "SELECT a\nFROM explode(array(1))": (2, "table function"),
    "SELECT a\nFROM orders VERSION AS OF 3": (2, "version"),
    "SELECT a\nFROM orders TABLESAMPLE (1 PERCENT)": (2, "run to run"),
    "SELECT TRANSFORM(a) USING 'sh' AS (b)\nFROM orders": (1, "QUERYTRANSFORM"),
    "SELECT a,\n  rand() AS b\nFROM orders": (2, "run to run"),
    "SELECT a\nFROM orders\nWHERE\n  my_udf(a)": (4, "my_udf"),
    "SELECT a\nFROM (\nWHERE": (3, "parsed"),
}


@pytest.mark.parametrize("text", REFUSED_SELECTS)
def test_refused_select(text: str) -> None:
    line, word = REFUSED_SELECTS[text]
    with pytest.raises(SqlProblem) as refused:
        tables_of_select(text)
    assert word in str(refused.value)
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT a FROM orders", {"orders"}),
        ("SELECT o.a FROM orders AS o LEFT JOIN items ON items.id = o.id", {"orders", "items"}),
        ("WITH x AS (SELECT a FROM orders) SELECT a FROM x", {"orders"}),
        ("WITH x AS (SELECT a FROM orders), y AS (SELECT a FROM X) SELECT a FROM y", {"orders"}),
        ("SELECT a FROM (SELECT a FROM items) AS i", {"items"}),
        ("SELECT a FROM orders WHERE a IN (SELECT a FROM items)", {"orders", "items"}),
        ("SELECT a FROM orders UNION ALL SELECT a FROM items", {"orders", "items"}),
        ("SELECT explode(sequence(1, 3)) AS a", set()),
        # A CTE does not see itself, and is not seen outside its query: these read real tables.
        ("WITH orders AS (SELECT a FROM orders) SELECT a FROM orders", {"orders"}),
        ("SELECT a FROM (WITH x AS (SELECT 1 AS a) SELECT a FROM x) AS i JOIN x", {"x"}),
    ],
)
def test_tables_of_a_select(text: str, tables: set[str]) -> None:
    assert tables_of_select(text) == tables


def test_output_of_a_select() -> None:
    assert output_of_select("SELECT o.a, b + 1 AS c, `d e` FROM orders AS o") == ["a", "c", "d e"]
    assert output_of_select("WITH x AS (SELECT * FROM orders) SELECT a FROM x") == ["a"]


@pytest.mark.parametrize("text", ["SELECT * FROM orders", "SELECT o.* FROM orders AS o", "SELECT a + 1 FROM orders"])
def test_output_needs_names(text: str) -> None:
    with pytest.raises(SqlProblem, match="needs a name"):
        output_of_select(text)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a.x, count(*) AS n FROM t AS a GROUP BY a.x", {"a", "x", "n", "t"}),
        ("SELECT X FROM t JOIN u USING (k)", {"x", "t", "u", "k"}),
        ("SELECT a.* FROM t AS a", None),
        ("SELECT x FROM t NATURAL JOIN u", None),
    ],
)
def test_the_names_that_a_select_speaks_of(sql, names):
    assert names_in_select(sql) == names


@pytest.mark.parametrize(
    ("sql", "carried"),
    [
        ("SELECT id, a AS b, upper(c) AS c FROM t WHERE d > 1", {"id": "id", "b": "a"}),
        ("SELECT id, max(a) AS a FROM t GROUP BY id", {}),
        ("SELECT DISTINCT id FROM t", {}),
        ("SELECT id, row_number() OVER (ORDER BY id) AS n FROM t", {}),
        ("SELECT t.id FROM t JOIN u ON t.id = u.id", {}),
        ("SELECT id FROM (SELECT id FROM t) AS s", {}),
        ("SELECT id FROM t UNION ALL SELECT id FROM u", {}),
    ],
)
def test_the_columns_that_a_select_carries_over(sql, carried):
    assert carried_columns(sql) == carried
