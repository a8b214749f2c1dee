"""From a contract to rules: each derived predicate is judged by DuckDB on rows whose verdict is written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from lakehouse.specs import Layer, Table
from lakehouse.specs.load import load_table

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: shop.silver.things
name: Things
version: 1.0.0
status: active
team: {{name: shop}}
schema:
  - name: things
    properties:
      - {{name: thing_id, logicalType: string, physicalType: string, primaryKey: true}}
{columns}
    quality:
      - {{name: some_rows, metric: rowCount, mustBeGreaterThan: 0}}
{quality}
customProperties:
  - property: lakehouse
    value: {{source: shop.things, watermark: updated_at, latest_by: [thing_id]{block}}}
"""
TEXT = "{name: x, logicalType: string, physicalType: string, %s}"
NUMBER = "{name: x, logicalType: integer, physicalType: int, %s}"
METRIC = "quality: [{metric: %s, mustBe: 0}]"
INVALID = METRIC % "invalidValues, arguments: {%s}"
CUSTOM = "name: %s, type: custom, engine: lakehouse, implementation"


def table(folder: Path, column: str = "", quality: str = "", block: str = "") -> Table:
    path = folder / "things.odcs.yaml"
    lines = [f"      - {each}" if each else "" for each in (column, quality)]
    path.write_text(CONTRACT.format(columns=lines[0], quality=lines[1], block=block), "utf-8")
    found, problems = load_table(path, "shop", Layer.SILVER)
    assert not problems
    assert found is not None
    return found


def verdict(predicate: str, **row: Any) -> bool:
    """Judge one row as the engine does: NULL is not true."""
    columns = ", ".join(f"? AS {name}" for name in row)
    sql = sqlglot.transpile(f"SELECT coalesce({predicate}, FALSE) FROM row", read="spark", write="duckdb")[0]
    with duckdb.connect() as connection:
        return bool(connection.execute(f"WITH row AS (SELECT {columns}) {sql}", list(row.values())).fetchall()[0][0])


VERDICTS = {
    "required": (TEXT % "required: true", "x_required", ["", "a"], [None]),
    "minimum": (NUMBER % "logicalTypeOptions: {minimum: 1}", "x_minimum", [1, 2, None], [0, -1]),
    "maximum": (NUMBER % "logicalTypeOptions: {maximum: 5}", "x_maximum", [5, -1, None], [6]),
    "exclusive_minimum": (NUMBER % "logicalTypeOptions: {exclusiveMinimum: 0}", "x_exclusiveminimum", [1, None], [0]),
    "exclusive_maximum": (NUMBER % "logicalTypeOptions: {exclusiveMaximum: 9}", "x_exclusivemaximum", [8, None], [9]),
    "required_minimum": (
        NUMBER % "required: true, logicalTypeOptions: {minimum: 1}",
        "x_minimum",
        [1],
        [0, None],
    ),
    "min_length": (TEXT % "logicalTypeOptions: {minLength: 2}", "x_minlength", ["ab", None], ["a", ""]),
    "max_length": (TEXT % "logicalTypeOptions: {maxLength: 2}", "x_maxlength", ["ab", "", None], ["abc"]),
    "pattern": (TEXT % 'logicalTypeOptions: {pattern: "^[0-9]{5}$"}', "x_pattern", ["01234", None], ["1234", "x01234"]),
    "valid_values": (TEXT % (INVALID % "validValues: [no, on, '01']"), "x_valid", ["no", "01", None], ["1", "NO", ""]),
    "valid_values_with_a_quote": (
        TEXT % (INVALID % """validValues: ["d'oeste"]"""),
        "x_valid",
        ["d'oeste"],
        ["d''oeste"],
    ),
    "valid_numbers": (NUMBER % (INVALID % "validValues: [1, 3]"), "x_valid", [1, 3, None], [2]),
    "valid_pattern": (TEXT % (INVALID % 'pattern: "^[^0-9]*$"'), "x_valid", ["campinas", "", None], ["04482255"]),
    "valid_both": (TEXT % (INVALID % 'pattern: "^a", validValues: [ab, ba]'), "x_valid", ["ab"], ["ba", "ac"]),
    "required_valid_values": (
        TEXT % ("required: true, " + INVALID % "validValues: [a]"),
        "x_valid",
        ["a"],
        ["b", None],
    ),
    "null_values": (TEXT % (METRIC % "nullValues"), "x_present", ["", "a"], [None]),
    "missing_values": (
        TEXT % (METRIC % "missingValues, arguments: {missingValues: [NA, '', null]}"),
        "x_present",
        ["a", " "],
        [None, "", "NA"],
    ),
    "custom": (TEXT % f"quality: [{{{CUSTOM % 'no_at'}: x NOT LIKE '%@%'}}]", "no_at", ["campinas"], ["a@b", None]),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_derived_rule(case: str, tmp_path: Path) -> None:
    column, name, good, bad = VERDICTS[case]
    rules = {rule.name: rule for rule in table(tmp_path, column).rules}
    rule = rules[name]
    assert (rule.column, rule.severity) == ("x", "error")
    assert {value: verdict(rule.predicate, x=value) for value in (*good, *bad)} == {
        **dict.fromkeys(good, True),
        **dict.fromkeys(bad, False),
    }


def test_a_rule_of_a_row(tmp_path: Path) -> None:
    quality = f"{{{CUSTOM % 'dated'}: x <> 'done' OR y IS NOT NULL, severity: warning}}"
    columns = TEXT % "required: true" + "\n      - {name: y, logicalType: date, physicalType: date}"
    rule = table(tmp_path, columns, quality).rules[-1]
    assert (rule.name, rule.column, rule.severity) == ("dated", None, "warning")
    rows = [("done", "2018-01-01", True), ("done", None, False), ("open", None, True), (None, None, False)]
    assert [verdict(rule.predicate, x=x, y=y) for x, y, _ in rows] == [passes for _, _, passes in rows]


def test_nothing_is_derived_where_nothing_is_said(tmp_path: Path) -> None:
    found = table(tmp_path, TEXT % "description: free text")
    assert [rule.name for rule in found.rules] == ["thing_id_required"]
    assert [check.name for check in found.checks] == ["some_rows"]


CHECKS = {
    "row_count": ("", "{name: many, metric: rowCount, mustBeBetween: [2, 123456789]}", "many", ["a", "b"], ["a"]),
    "share_of_nulls": (
        TEXT % "quality: [{metric: nullValues, unit: percent, mustBeLessThan: 50}]",
        "",
        "x_nullValues",
        ["a", "b", None],
        ["a", None],
    ),
    "count_of_nulls": (
        TEXT % "quality: [{metric: nullValues, mustBeLessOrEqualTo: 1}]",
        "",
        "x_nullValues",
        ["a", None],
        [None, None],
    ),
    "share_of_invalid": (
        TEXT % "quality: [{metric: invalidValues, arguments: {pattern: '^[a-z]$'}, unit: percent, mustBeLessThan: 50}]",
        "",
        "x_invalidValues",
        ["a", None, "7"],
        ["a", "7", "8"],
    ),
    "unique": (TEXT % "unique: true", "", "x_unique", ["a", "b", None, None], ["a", "a"]),
    "duplicates": (
        TEXT % "quality: [{metric: duplicateValues, mustBe: 0}]",
        "",
        "x_duplicateValues",
        ["a", "b", None, None],
        ["a", "a"],
    ),
    "share_of_duplicates": (
        TEXT % "quality: [{metric: duplicateValues, unit: percent, mustBeLessThan: 50}]",
        "",
        "x_duplicateValues",
        ["a", "a", "b"],
        ["a", "a"],
    ),
    "duplicates_of_columns": (
        TEXT % "required: false",
        "{name: pairs, metric: duplicateValues, arguments: {properties: [thing_id, x]}, mustBe: 0}",
        "pairs",
        ["a", "b"],
        ["a", "a"],
    ),
}


@pytest.mark.parametrize("case", CHECKS)
def test_derived_check(case: str, tmp_path: Path) -> None:
    column, quality, name, good, bad = CHECKS[case]
    check = next(check for check in table(tmp_path, column, quality).checks if check.name == name)
    sql = f"SELECT {check.predicate} FROM (SELECT {check.expression} AS value FROM rows) AS counted"
    sql = sqlglot.transpile(sql, read="spark", write="duckdb")[0]
    for values, passes in ((good, True), (bad, False)):
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE rows (thing_id TEXT, x TEXT)")
            connection.executemany("INSERT INTO rows VALUES ('k', ?)", [[value] for value in values])
            assert connection.execute(sql).fetchall() == [(passes,)], values


def test_foreign_keys_and_their_severity(tmp_path: Path) -> None:
    columns = TEXT % "relationships: [{to: parents.parent_id}]"
    columns += "\n      - {name: y, logicalType: string, physicalType: string, relationships: [{to: others.id}]}"
    found = table(tmp_path, columns, block=", orphans: {y: warning}")
    assert [(key.name, key.table, key.key, key.severity) for key in found.foreign_keys] == [
        ("orphan_x", "parents", "parent_id", "error"),
        ("orphan_y", "others", "id", "warning"),
    ]
    assert found.inputs == ("parents", "others")


def test_what_the_block_says(tmp_path: Path) -> None:
    block = ", lag: 15m, quarantine_limit: 2.5%, timezone: America/Sao_Paulo, deletes: soft, deleted_flag: gone"
    silver = table(tmp_path, block=block).block
    assert silver.model_dump() | {
        "quarantine_limit": 0.025, "timezone": "America/Sao_Paulo", "deletes": "soft", "deleted_flag": "gone",
    } == silver.model_dump()  # fmt: skip
    assert silver.model_dump()["lag"].total_seconds() == 900
