"""The scenario folders, run by the engine in the given order, in its reverse, and with everything once more."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

SCENARIOS = Path(__file__).parents[1] / "scenarios"
BRONZE = {
    "customer": "customer_id string, city string, email string, updated_at timestamp",
    "orders": "order_id string, customer_id string, status string, amount decimal(12,2), bought_at timestamp, "
    "delivered_at timestamp, updated_at timestamp",
    "payment": "payment_id string, order_id string, amount decimal(12,2), updated_at timestamp",
}
VIEWS = {
    "gold.fact_order": """SELECT f.*, d.city, f.customer_key <> -1 AS known
        FROM gold_fact_order AS f JOIN gold_dim_customer AS d USING (customer_key)""",
    "gold.dim_customer": "SELECT * FROM gold_dim_customer WHERE customer_key <> -1",
}
BY_SPARK = "in order, by Spark after the first"
WAYS = ("in order", "in order, then all again", "in reverse", BY_SPARK)


@dataclass(frozen=True)
class Scenario:
    """One folder: its batches (rows by table), what is expected, and whether order matters."""

    table: str
    name: str
    any_order: bool
    batches: tuple[dict[str, list[dict[str, str | None]]], ...]
    expect: dict[str, list[dict[str, str | None]]]
    columns: dict[str, list[str]]

    @property
    def prefix(self) -> str:
        return f"{self.name}/"

    def arrivals(self, way: str):
        """The batches as they come in one way; none where this scenario's order decides."""
        if way.startswith("in order"):
            return self.batches
        return tuple(reversed(self.batches)) if self.any_order else ()


def together(batches):
    tables = dict.fromkeys(table for batch in batches for table in batch)
    return {table: [row for batch in batches for row in batch.get(table, [])] for table in tables}


def read(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [{name: value or None for name, value in row.items()} for row in reader]
        return list(reader.fieldnames or []), rows


def load(folder: Path) -> Scenario:
    said = yaml.safe_load((folder / "scenario.yaml").read_text("utf-8"))
    assert said["order"] in ("any", "given"), folder
    batches: dict[str, dict] = {}
    for path in sorted(folder.glob("given/*.csv")):
        number, table = path.stem.split(".")
        batches.setdefault(number, {})[table] = read(path)[1]
    expect = {path.stem: read(path) for path in sorted(folder.glob("expect/*.csv"))}
    assert batches
    assert expect, folder
    return Scenario(
        folder.parent.name, folder.name, said["order"] == "any", tuple(batches.values()),
        {name: rows for name, (_, rows) in expect.items()}, {name: columns for name, (columns, _) in expect.items()},
    )  # fmt: skip


ALL = [load(path.parent) for path in sorted(SCENARIOS.glob("*/*/scenario.yaml"))]


def bring(house, table: str, rows: list[tuple[Scenario, dict[str, str | None]]]) -> None:
    """Append rows of several scenarios to a Bronze table, their ids with the scenario's name in front."""
    names = [column.split()[0] for column in BRONZE[table].split(", ")]

    def cell(scenario: Scenario, row, name: str):
        value = row.get(name)
        return scenario.prefix + value if value and name.endswith("_id") else value

    strays = {name for _, row in rows for name in row} - {*names, "_op"}
    assert not strays, f"{table} has no column {strays}"
    values = [[*(cell(scenario, row, name) for name in names), row.get("_op") or "upsert"] for scenario, row in rows]
    house.bring_text(table, BRONZE[table], values)


def deliver(house, scenarios, batches) -> None:
    """Bring one batch of each scenario, then run Silver and Gold."""
    for table in BRONZE:
        rows = [(s, row) for s, batch in zip(scenarios, batches, strict=True) for row in batch.get(table, [])]
        if rows:
            bring(house, table, rows)
    house.ok("silver", "gold")


@pytest.fixture(scope="module")
def lakes(module_house):
    """What stands in each view, by way."""
    seen = {}
    for way in ("in order", "in reverse", BY_SPARK):
        house = module_house(SCENARIOS / "shop")
        taken = [(scenario, scenario.arrivals(way)) for scenario in ALL if scenario.arrivals(way)]
        for number in range(max(len(batches) for _, batches in taken)):
            due = [(scenario, batches[number]) for scenario, batches in taken if number < len(batches)]
            deliver(house, *zip(*due, strict=True))
            if way == BY_SPARK:
                house.settings = house.settings.model_copy(update={"small_batch_rows": 0})
        seen[way] = content(house)
        if way == "in order":
            again = [(scenario, together(batches)) for scenario, batches in taken if scenario.any_order]
            deliver(house, *zip(*again, strict=True))
            seen["in order, then all again"] = content(house)
    return seen


def content(house) -> duckdb.DuckDBPyConnection:
    """All tables of a lake as they stand now."""
    now = duckdb.connect()
    now.execute("SET TimeZone = 'UTC'")
    for name in house.versions():
        layer, _, table = name.split("/")
        if not table.endswith("_history"):
            now.register("reading", house.delta(layer, table).scan())
            now.execute(f"CREATE TABLE {layer}_{table} AS SELECT * FROM reading")
    return now


def found(now: duckdb.DuckDBPyConnection, view: str, columns: list[str], scenario: Scenario):
    """This scenario's rows of a view as text; a moment at midnight is written as its day."""
    query = VIEWS.get(view) or f"SELECT * FROM {view.replace('.', '_')}"
    if view.startswith("quarantine."):
        query = (
            f"SELECT key, status, array_to_string(list_sort([r.rule FOR r IN reasons]), ' ') AS rules FROM ({query})"
        )
    relation = now.sql(query)
    shown = [
        as_text(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True) if name in columns
    ]
    made = relation.select(", ".join(shown)).fetchall() if shown else []
    names = [name for name in relation.columns if name in columns]
    assert sorted(names) == sorted(columns), f"{view} has {relation.columns}"
    rows = [dict(zip(names, row, strict=True)) for row in made]
    ids = [name for name in names if name.endswith("_id") or name == "key"]
    mine = [row for row in rows if any((row[name] or "").startswith(scenario.prefix) for name in ids)]
    return [
        {n: (v or "").removeprefix(scenario.prefix) if n in ids and v else v for n, v in row.items()} for row in mine
    ]


def as_text(name: str, kind) -> str:
    if str(kind).startswith("TIMESTAMP"):
        form = f"strftime({name}, '%Y-%m-%dT%H:%M:%S')"
        return f"replace({form}, 'T00:00:00', '') AS {name}"
    return f"{name}::VARCHAR AS {name}"


def sorted_rows(rows, columns):
    return sorted((tuple(row[name] for name in columns) for row in rows), key=str)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: f"{scenario.table}/{scenario.name}")
def test_scenario(lakes, scenario: Scenario, way: str) -> None:
    if not scenario.any_order and way not in ("in order", BY_SPARK):
        pytest.skip("its order decides")
    for view, rows in scenario.expect.items():
        columns = scenario.columns[view]
        made = found(lakes[way], view, columns, scenario)
        wanted, there = sorted_rows(rows, columns), sorted_rows(made, columns)
        missing = [row for row in wanted if row not in there]
        extra = [row for row in there if row not in wanted]
        assert (missing, extra) == ([], []), f"{view} ({', '.join(columns)}): missing {missing}, not expected {extra}"
        assert len(there) == len(wanted), f"{view}: a row stands twice"


def test_no_scenario_is_empty_and_names_tell_them_apart() -> None:
    names = [scenario.name for scenario in ALL]
    assert len(names) == len(set(names)) >= 18
    assert all(scenario.table in " ".join(scenario.expect) for scenario in ALL)
