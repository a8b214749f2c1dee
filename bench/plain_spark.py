"""The Olist lake as a plain PySpark + Delta script: what a good engineer writes in an afternoon, the baseline.

Bronze is appended by a watermark on `updated_at`; Silver is deduplicated by key, typed and MERGEd; the three SCD2
dimensions are MERGEd; every other Gold table is rebuilt by each run, because working out which of its rows change
takes more than an afternoon. No contracts, quarantine, audit or publish; deletes are not seen, and a crash between
two tables is the reader's problem. The SQL of each table is in `silver/` and `gold/` beside this file; `duck.py` runs
the same.

Run: BENCH_SOURCE_URL=postgresql://… python bench/plain_spark.py --lake DIR --mode load|increment
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import holidays
from pyspark.sql import DataFrame, SparkSession

HERE = Path(__file__).resolve().parent
JARS = HERE.parent / "spark" / "jars"
CATEGORIES = "product_category_name_translation"
SILVER = sorted(path.stem for path in (HERE / "silver").glob("*.sql"))
DIMENSIONS = ["dim_customers", "dim_products", "dim_sellers"]
FACTS = ["fact_orders", "fact_sales", "fact_payments", "fact_reviews"]
FEATURES = ["feature_customer_rfm", "feature_product_performance", "feature_seller_reliability"]
ALWAYS = "TIMESTAMP '1900-01-01 00:00:00'"


def session() -> SparkSession:
    """Return a local session with the JVM's own flags, tuned for two cores and small Delta tables."""
    conf = {
        "spark.master": "local[2]",
        "spark.driver.memory": "2g",
        "spark.driver.extraClassPath": f"{JARS}/*",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    builder = SparkSession.builder.appName("plain-spark")
    for key, value in conf.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.sql(
        "CREATE TEMPORARY FUNCTION days_between(start TIMESTAMP, end TIMESTAMP) RETURNS INT RETURN datediff(end, start)"
    )
    return spark


def key_and_sql(layer: str, table: str) -> tuple[list[str], str]:
    """Return the key columns named in a file's first line (none for a fact) and its query."""
    text = (HERE / layer / f"{table}.sql").read_text()
    first, _, rest = text.partition("\n")
    return (first.removeprefix("-- key:").replace(" ", "").split(","), rest) if first.startswith("--") else ([], text)


class Lake:
    """One lake folder, one session and one source."""

    def __init__(self, spark: SparkSession, root: Path, source_url: str) -> None:
        self.spark, self.root = spark, root
        parts = urlsplit(source_url)
        self.jdbc = {
            "url": f"jdbc:postgresql://{parts.hostname}:{parts.port or 5432}{parts.path}",
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "driver": "org.postgresql.Driver",
            "fetchsize": "10000",
        }

    def path(self, layer: str, table: str) -> str:
        return str(self.root / layer / table)

    def read(self, layer: str, table: str) -> DataFrame:
        return self.spark.read.format("delta").load(self.path(layer, table))

    def write(self, frame: DataFrame, layer: str, table: str, mode: str = "overwrite") -> None:
        frame.write.format("delta").mode(mode).save(self.path(layer, table))

    def show(self, layer: str, table: str, name: str | None = None) -> None:
        """Make a table's newest version a view that the queries see."""
        self.read(layer, table).createOrReplaceTempView(name or table)

    def source(self, query: str) -> DataFrame:
        return self.spark.read.format("jdbc").options(**self.jdbc, dbtable=f"({query}) AS q").load()

    def silver_rows(self, table: str, batch: DataFrame) -> DataFrame:
        """Type a Bronze batch and keep the newest row of each key."""
        key, sql = key_and_sql("silver", table)
        columns = self.spark.sql(sql.replace("batch", "{batch}"), batch=batch)
        if "GROUP BY" in sql:  # is one row a key as it stands
            return columns
        order = f"row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY updated_at DESC) AS newest"
        return columns.selectExpr("*", order).where("newest = 1").drop("newest")

    def load_bronze(self, table: str) -> None:
        self.write(self.source(f"SELECT * FROM olist.{table}"), "bronze", table, "append")

    def load_silver(self, table: str) -> None:
        self.write(self.silver_rows(table, self.read("bronze", table)), "silver", table)
        self.show("silver", table)

    def increment_table(self, table: str) -> None:
        """Append what changed since the watermark to Bronze and MERGE it into Silver."""
        mark = self.read("bronze", table).selectExpr("CAST(max(updated_at) AS STRING)").first()[0]
        batch = self.source(f"SELECT * FROM olist.{table} WHERE updated_at > '{mark}+00'").cache()
        if not batch.isEmpty():
            self.write(batch, "bronze", table, "append")
            if table != CATEGORIES:
                self.merge_silver(table, batch)
        batch.unpersist()
        if table == CATEGORIES:
            self.show("bronze", CATEGORIES, "category_translation")
        else:
            self.show("silver", table)

    def merge_silver(self, table: str, batch: DataFrame) -> None:
        on = " AND ".join(f"t.{column} = s.{column}" for column in key_and_sql("silver", table)[0])
        self.spark.sql(
            f"MERGE INTO delta.`{self.path('silver', table)}` AS t USING {{rows}} AS s ON {on} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
            rows=self.silver_rows(table, batch),
        )

    def versioned(self, table: str, rows: DataFrame, since: str) -> DataFrame:
        """Add the surrogate key and the validity of a dimension's new versions."""
        name = table.removeprefix("dim_").removesuffix("s")
        key = key_and_sql("gold", table)[0][0]
        return rows.selectExpr(
            f"md5(concat_ws('|', {key}, CAST({since} AS STRING))) AS {name}_key",
            *[column for column in rows.columns if column not in ("updated_at", "since")],
            f"{since} AS valid_from",
            "CAST(NULL AS TIMESTAMP) AS valid_to",
            "true AS is_current",
        )

    def load_dimension(self, table: str) -> None:
        self.write(self.versioned(table, self.spark.sql(key_and_sql("gold", table)[1]), ALWAYS), "gold", table)
        self.show("gold", table)

    def increment_dimension(self, table: str) -> None:
        """SCD2 by one MERGE: a changed member is staged twice, once to close its version and once to open the next."""
        key, sql = key_and_sql("gold", table)
        now = self.spark.sql(sql)
        changed = " OR ".join(
            f"s.{column} IS DISTINCT FROM t.{column}" for column in now.columns if column not in (*key, "updated_at")
        )
        staged = self.spark.sql(
            f"SELECT s.*, CASE WHEN t.{key[0]} IS NULL THEN {ALWAYS} ELSE s.updated_at END AS since "
            f"FROM {{now}} AS s LEFT JOIN {{old}} AS t ON s.{key[0]} = t.{key[0]} AND t.is_current "
            f"WHERE t.{key[0]} IS NULL OR {changed}",
            now=now,
            old=self.read("gold", table),
        )
        self.merge_dimension(table, key[0], staged)
        self.show("gold", table)

    def merge_dimension(self, table: str, key: str, staged: DataFrame) -> None:
        opened = self.versioned(table, staged, "since")
        closing = opened.selectExpr("*", f"{key} AS closes").where(f"valid_from > {ALWAYS}")
        columns = ", ".join(opened.columns)
        self.spark.sql(
            f"MERGE INTO delta.`{self.path('gold', table)}` AS t USING {{rows}} AS s "
            f"ON t.{key} = s.closes AND t.is_current "
            "WHEN MATCHED THEN UPDATE SET valid_to = s.valid_from, is_current = false "
            f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({columns})",
            rows=closing.unionByName(opened.selectExpr("*", "CAST(NULL AS STRING) AS closes")),
        )

    def rebuild(self, table: str) -> None:
        self.write(self.spark.sql(key_and_sql("gold", table)[1]), "gold", table)
        self.show("gold", table)

    def load_dates(self) -> None:
        """Write 2016 to 2020, a row a day, with Brazil's public holidays."""
        free = holidays.country_holidays("BR", years=range(2016, 2021))
        first = datetime.date(2016, 1, 1)
        days = [first + datetime.timedelta(days=number) for number in range(1827)]
        rows = [(day, day.year, day.month, day.day, day.isoweekday(), free.get(day)) for day in days]
        schema = "date DATE, year INT, month INT, day INT, weekday INT, holiday STRING"
        self.write(self.spark.createDataFrame(rows, schema), "gold", "dim_date")


def side_by_side(action: Callable[[str], None], tables: Iterable[str]) -> None:
    """Do two tables at a time; the first error ends the script."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(action, tables))


def load(lake: Lake) -> None:
    """Load everything for the first time."""
    side_by_side(lake.load_bronze, ["geolocation", *[table for table in SILVER if table != "geolocation"], CATEGORIES])
    lake.show("bronze", CATEGORIES, "category_translation")
    side_by_side(lake.load_silver, SILVER)
    side_by_side(lake.load_dimension, DIMENSIONS)
    lake.load_dates()


def increment(lake: Lake) -> None:
    """Take what changed since the last run."""
    lake.increment_table(CATEGORIES)
    side_by_side(lake.increment_table, SILVER)
    side_by_side(lake.increment_dimension, DIMENSIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--mode", choices=("load", "increment"), required=True)
    options = parser.parse_args()
    lake = Lake(session(), options.lake.resolve(), os.environ["BENCH_SOURCE_URL"])
    {"load": load, "increment": increment}[options.mode](lake)
    side_by_side(lake.rebuild, ["dim_location", *FACTS])
    side_by_side(lake.rebuild, FEATURES)
    lake.spark.stop()


if __name__ == "__main__":
    main()
