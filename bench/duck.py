"""The Olist lake as one DuckDB + deltalake process: the physical limit that the benchmark sets beside the platform.

It does what `plain_spark.py` does, from the same SQL in `silver/` and `gold/`, with the same limits: no contracts,
quarantine, audit or publish, and deletes are not seen. The source is read by COPY into a temporary CSV file, because
DuckDB's Postgres extension is a download.

Run: BENCH_SOURCE_URL=postgresql://… python bench/duck.py --lake DIR --mode load|increment
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
from pathlib import Path

import duckdb
import holidays
import psycopg2
from deltalake import DeltaTable, write_deltalake

HERE = Path(__file__).resolve().parent
CATEGORIES = "product_category_name_translation"
SILVER = sorted(path.stem for path in (HERE / "silver").glob("*.sql"))
DIMENSIONS = ["dim_customers", "dim_products", "dim_sellers"]
FACTS = ["dim_location", "fact_orders", "fact_sales", "fact_payments", "fact_reviews"]
FEATURES = ["feature_customer_rfm", "feature_product_performance", "feature_seller_reliability"]
ALWAYS = "TIMESTAMPTZ '1900-01-01 00:00:00+00'"
COLUMNS = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def key_and_sql(layer: str, table: str) -> tuple[list[str], str]:
    """Return the key columns named in a file's first line (none for a fact) and its query."""
    text = (HERE / layer / f"{table}.sql").read_text()
    first, _, rest = text.partition("\n")
    return (first.removeprefix("-- key:").replace(" ", "").split(","), rest) if first.startswith("--") else ([], text)


class Lake:
    """One lake folder, one DuckDB in memory and one source; the tables are views of their own names."""

    def __init__(self, root: Path, source_url: str) -> None:
        self.root, self.duck, self.source = root, duckdb.connect(), psycopg2.connect(source_url)
        self.duck.execute("SET TimeZone = 'UTC'")
        self.duck.execute("SET preserve_insertion_order = false")
        self.duck.execute("CREATE MACRO days_between(first, last) AS date_diff('day', first, last)")
        with self.source.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")

    def path(self, layer: str, table: str) -> str:
        return str(self.root / layer / table)

    def write(self, query: str, layer: str, table: str, mode: str = "overwrite") -> None:
        write_deltalake(self.path(layer, table), self.duck.sql(query).to_arrow_reader(), mode=mode)

    def show(self, layer: str, table: str, name: str) -> None:
        """Make a table's newest version a view."""
        files = DeltaTable(self.path(layer, table)).file_uris()
        self.duck.execute(f"CREATE OR REPLACE VIEW {name} AS FROM read_parquet({files})")

    def read_source(self, table: str, where: str = "true") -> int:
        """Copy rows of a source table into the DuckDB table `batch`; return their number."""
        with tempfile.NamedTemporaryFile(suffix=".csv") as file, self.source.cursor() as cursor:
            cursor.execute(COLUMNS, (f"olist.{table}",))
            columns = dict(cursor.fetchall())
            cursor.copy_expert(f"COPY (SELECT * FROM olist.{table} WHERE {where}) TO STDOUT (FORMAT csv)", file)
            file.flush()
            self.duck.execute(
                "CREATE OR REPLACE TABLE batch AS FROM read_csv("
                f"?, header = false, columns = {columns}, auto_detect = false, "
                "delim = ',', quote = '\"', escape = '\"', new_line = '\\n', allow_quoted_nulls = false)",
                [file.name],
            )
        return int(self.duck.table("batch").count("*").fetchall()[0][0])

    def silver_query(self, table: str) -> str:
        """Return the query that types `batch` and keeps the newest row of each key."""
        key, sql = key_and_sql("silver", table)
        if "GROUP BY" in sql:  # is one row a key as it stands
            return sql
        newest = f"row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY updated_at DESC) = 1"
        return f"SELECT * FROM ({sql}) QUALIFY {newest}"

    def load_table(self, table: str) -> None:
        self.read_source(table)
        self.write("FROM batch", "bronze", table)
        if table == CATEGORIES:
            self.duck.execute("CREATE TABLE category_translation AS FROM batch")
        else:
            self.duck.execute(f"CREATE TABLE {table} AS {self.silver_query(table)}")
            self.write(f"FROM {table}", "silver", table)

    def increment_table(self, table: str) -> None:
        """Append what changed since the watermark to Bronze and merge it into Silver."""
        self.show("bronze", table, "seen")
        mark = self.duck.sql("SELECT max(updated_at)::VARCHAR FROM seen").fetchall()[0][0]
        changed = self.read_source(table, f"updated_at > '{mark}'")
        if changed:
            self.write("FROM batch", "bronze", table, "append")
        if table == CATEGORIES:
            self.show("bronze", table, "category_translation")
            return
        if changed:
            self.merge_silver(table)
        self.show("silver", table, table)

    def merge_silver(self, table: str) -> None:
        on = " AND ".join(f"t.{column} = s.{column}" for column in key_and_sql("silver", table)[0])
        rows = self.duck.sql(self.silver_query(table)).to_arrow_table()
        merge = DeltaTable(self.path("silver", table)).merge(rows, on, source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()

    def versioned(self, table: str, rows: str, since: str) -> str:
        """Return the query that adds the surrogate key and the validity of a dimension's new versions."""
        name, key = table.removeprefix("dim_").removesuffix("s"), key_and_sql("gold", table)[0][0]
        return (
            f"SELECT md5(concat_ws('|', {key}, CAST({since} AS VARCHAR))) AS {name}_key, "
            f"* EXCLUDE (updated_at), {since} AS valid_from, CAST(NULL AS TIMESTAMPTZ) AS valid_to, true AS is_current "
            f"FROM ({rows})"
        )

    def load_dimension(self, table: str) -> None:
        self.duck.execute(f"CREATE TABLE {table} AS {self.versioned(table, key_and_sql('gold', table)[1], ALWAYS)}")
        self.write(f"FROM {table}", "gold", table)

    def increment_dimension(self, table: str) -> None:
        """SCD2 by one merge: a changed member is staged twice, once to close its version and once to open the next."""
        (key,), sql = key_and_sql("gold", table)
        self.show("gold", table, "old")
        columns = [row[0] for row in self.duck.sql(f"DESCRIBE {sql}").fetchall() if row[0] not in (key, "updated_at")]
        changed = " OR ".join(f"s.{column} IS DISTINCT FROM t.{column}" for column in columns)
        staged = (
            f"SELECT s.* REPLACE (CASE WHEN t.{key} IS NULL THEN {ALWAYS} ELSE s.updated_at END AS updated_at) "
            f"FROM ({sql}) AS s LEFT JOIN old AS t ON s.{key} = t.{key} AND t.is_current "
            f"WHERE t.{key} IS NULL OR {changed}"
        )
        opened = self.versioned(table, staged, "updated_at")
        self.duck.execute(f"CREATE OR REPLACE TABLE opened AS {opened}")
        self.merge_dimension(table, key)
        self.show("gold", table, table)

    def merge_dimension(self, table: str, key: str) -> None:
        """Merge the versions in `opened` into a dimension."""
        rows = self.duck.sql(
            f"SELECT *, {key} AS closes FROM opened WHERE valid_from > {ALWAYS} UNION ALL SELECT *, NULL FROM opened"
        ).to_arrow_table()
        if rows.num_rows == 0:
            return
        merge = DeltaTable(self.path("gold", table)).merge(
            rows, f"t.{key} = s.closes AND t.is_current", source_alias="s", target_alias="t"
        )
        merge.when_matched_update({"valid_to": "s.valid_from", "is_current": "false"}).when_not_matched_insert(
            {column: f"s.{column}" for column in rows.column_names if column != "closes"}
        ).execute()

    def rebuild(self, table: str) -> None:
        self.duck.execute(f"CREATE TABLE {table} AS {key_and_sql('gold', table)[1]}")
        self.write(f"FROM {table}", "gold", table)

    def load_dates(self) -> None:
        """Write 2016 to 2020, a row a day, with Brazil's public holidays."""
        free = holidays.country_holidays("BR", years=range(2016, 2021))
        first = datetime.date(2016, 1, 1)
        days = [first + datetime.timedelta(days=number) for number in range(1827)]
        self.duck.execute(
            "CREATE TABLE dim_date AS SELECT day AS date, year(day) AS year, month(day) AS month, day(day) AS day, "
            "isodow(day) AS weekday, holiday FROM (SELECT unnest(?::DATE[]) AS day, unnest(?::VARCHAR[]) AS holiday)",
            [days, [free.get(day) for day in days]],
        )
        self.write("FROM dim_date", "gold", "dim_date")


def load(lake: Lake) -> None:
    """Load everything for the first time."""
    for table in [CATEGORIES, *SILVER]:
        lake.load_table(table)
    for table in DIMENSIONS:
        lake.load_dimension(table)
    lake.load_dates()


def increment(lake: Lake) -> None:
    """Take what changed since the last run."""
    for table in [CATEGORIES, *SILVER]:
        lake.increment_table(table)
    for table in DIMENSIONS:
        lake.increment_dimension(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--mode", choices=("load", "increment"), required=True)
    options = parser.parse_args()
    lake = Lake(options.lake.resolve(), os.environ["BENCH_SOURCE_URL"])
    {"load": load, "increment": increment}[options.mode](lake)
    for table in [*FACTS, *FEATURES]:
        lake.rebuild(table)


if __name__ == "__main__":
    main()
