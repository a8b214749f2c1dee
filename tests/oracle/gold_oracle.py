"""The whole expected Gold of the Olist pipeline, computed by DuckDB straight from the rows of the source.

Written from the design and from what the contracts say in words, sharing nothing with the platform: not its SQL, not
its code. A table is a DuckDB table `gold.<name>` made from `gold/<name>.sql`. Of an SCD2 dimension it holds the current
members, and `<name>_versions` all versions, made from the changes that its file tells of; of a fact, in place of each
surrogate key, `known_<natural key>`: the member that key has to lead to, NULL for the unknown, and
`known_<natural key>_since`, the beginning of its version. When a key went is between two looks at the source: its last
version ends at `GONE`. A key that returns is not told.

    con = oracle.connect()
    oracle.take(con, url)                     # the source as it is now: the load
    oracle.take(con, url)                     # and again after each simulated day that the platform has run
    oracle.build_gold(con)
    assert oracle.difference(con, "fact_sales", arrow_table) == []
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import holidays
import psycopg2

HERE = Path(__file__).resolve().parent

# Parents before children: a child is judged against the valid rows of its parents.
KEYS = {
    "product_category_name_translation": ("product_category_name",),
    "customers": ("customer_id",),
    "geolocation": (),
    "sellers": ("seller_id",),
    "products": ("product_id",),
    "orders": ("order_id",),
    "order_items": ("order_id", "order_item_id"),
    "order_payments": ("order_id", "payment_sequential"),
    "order_reviews": ("review_id", "order_id"),
}

# table.rule → what has to be true of a row; NULL is not true.
RULES = {
    "product_category_name_translation.names_present": (
        "product_category_name IS NOT NULL AND product_category_name_english IS NOT NULL"
    ),
    "customers.keys_present": "customer_id IS NOT NULL AND customer_unique_id IS NOT NULL",
    "geolocation.zip_code_prefix_valid": "zip_code(geolocation_zip_code_prefix) SIMILAR TO '[0-9]{5}'",
    "geolocation.on_earth": "geolocation_lat BETWEEN -90 AND 90 AND geolocation_lng BETWEEN -180 AND 180",
    "geolocation.city_present": "geolocation_city IS NOT NULL AND geolocation_state IS NOT NULL",
    "sellers.keys_present": "seller_id IS NOT NULL",
    "sellers.city_without_digits": "NOT regexp_matches(seller_city, '[0-9]')",
    "products.keys_present": "product_id IS NOT NULL",
    "products.name_length_present": "product_name_lenght IS NOT NULL",
    "products.description_length_present": "product_description_lenght IS NOT NULL",
    "products.photos_present": "product_photos_qty IS NOT NULL",
    "products.weight_present": "product_weight_g IS NOT NULL",
    "products.length_present": "product_length_cm IS NOT NULL",
    "products.height_present": "product_height_cm IS NOT NULL",
    "products.width_present": "product_width_cm IS NOT NULL",
    "orders.keys_present": "order_id IS NOT NULL AND customer_id IS NOT NULL",
    "orders.purchase_time_present": "order_purchase_timestamp IS NOT NULL",
    "orders.estimate_present": "order_estimated_delivery_date IS NOT NULL",
    "orders.status_known": (
        "order_status IN ('created', 'approved', 'invoiced', 'processing', 'shipped', 'delivered', 'canceled', "
        "'unavailable')"
    ),
    "orders.delivered_has_a_date": "order_status <> 'delivered' OR order_delivered_customer_date IS NOT NULL",
    "orders.shipped_has_a_carrier_date": (
        "order_status NOT IN ('shipped', 'delivered') OR order_delivered_carrier_date IS NOT NULL"
    ),
    "orders.customer_exists": "customer_id IN (SELECT customer_id FROM silver.customers)",
    "order_items.keys_present": (
        "order_id IS NOT NULL AND order_item_id IS NOT NULL AND product_id IS NOT NULL AND seller_id IS NOT NULL"
    ),
    "order_items.price_not_negative": "price >= 0",
    "order_items.freight_not_negative": "freight_value >= 0",
    "order_items.order_exists": "order_id IN (SELECT order_id FROM silver.orders)",
    "order_items.product_exists": "product_id IN (SELECT product_id FROM silver.products)",
    "order_items.seller_exists": "seller_id IN (SELECT seller_id FROM silver.sellers)",
    "order_payments.keys_present": "order_id IS NOT NULL AND payment_sequential IS NOT NULL",
    "order_payments.value_not_negative": "payment_value >= 0",
    "order_payments.order_exists": "order_id IN (SELECT order_id FROM silver.orders)",
    "order_reviews.keys_present": "review_id IS NOT NULL AND order_id IS NOT NULL",
    "order_reviews.score_1_to_5": "review_score BETWEEN 1 AND 5",
    "order_reviews.order_exists": "order_id IN (SELECT order_id FROM silver.orders)",
}

# Rows that break one of these are missing from Gold, the other rules warn; a caller may say otherwise: `errors=RULES`.
ERRORS = frozenset(RULES) - {"order_items.product_exists", "order_items.seller_exists"}

# The end of a version whose key is gone.
GONE = "TIMESTAMPTZ '9999-01-01 00:00:00+00'"

# What the design leaves open, a DuckDB macro each; a caller may replace one before `take`.
CONVENTIONS = {
    "city(name)": (
        "trim(regexp_replace(regexp_replace(strip_accents(lower(name)), '[\\x{B4}\\x{2018}\\x{2019}`]', '''', 'g'), "
        "'[\\s\\x{A0}\\x{200B}\\x{FEFF}]+', ' ', 'g'))"
    ),
    "state(name)": "upper(trim(name))",
    "zip_code(prefix)": "CASE WHEN trim(prefix) SIMILAR TO '[0-9]{4}' THEN '0' || trim(prefix) ELSE trim(prefix) END",
    # Whole days between two dates of the calendar, negative when the second comes first.
    "days(first, last)": "CAST(last AS DATE) - CAST(first AS DATE)",
    "sold(status)": "status NOT IN ('canceled', 'unavailable')",
    "written(words)": "coalesce(trim(words), '') <> ''",
    # NULL is a value of its own.
    "said(a, b, c)": "concat_ws('|', coalesce(a::VARCHAR, '∅'), coalesce(b::VARCHAR, '∅'), coalesce(c::VARCHAR, '∅'))",
    # Cells of a tenth of a degree.
    "cell(degrees)": "floor(degrees * 10)",
    "segment(r, f, m)": (
        "CASE WHEN r >= 4 AND f >= 4 THEN 'champion' WHEN f >= 4 THEN 'loyal' WHEN r >= 4 THEN 'recent' "
        "WHEN r <= 2 AND m >= 4 THEN 'at_risk' WHEN r <= 2 THEN 'lost' ELSE 'regular' END"
    ),
}

# Table → key. A later one may read an earlier one.
GOLD = {
    "dim_date": ("date",),
    "dim_customers": ("customer_unique_id",),
    "dim_products": ("product_id",),
    "dim_sellers": ("seller_id",),
    "dim_location": ("zip_code_prefix",),
    "dim_customers_versions": ("customer_unique_id", "valid_from"),
    "dim_products_versions": ("product_id", "valid_from"),
    "dim_sellers_versions": ("seller_id", "valid_from"),
    "fact_sales": ("order_id", "order_item_id"),
    "fact_orders": ("order_id",),
    "fact_payments": ("order_id", "payment_sequential"),
    "fact_reviews": ("review_id", "order_id"),
    "feature_customer_purchases": ("customer_unique_id",),
    "feature_rfm_fifths": ("measure", "fifth"),
    "feature_customer_rfm": ("customer_unique_id",),
    "feature_product_performance": ("product_id",),
    "feature_seller_reliability": ("seller_id",),
}

# Fact → when what it tells of happened: the version of a member that it refers to is that of this moment.
MOMENTS = {
    "fact_sales": "order_purchase_timestamp",
    "fact_orders": "order_purchase_timestamp",
    "fact_payments": "order_purchase_timestamp",
    "fact_reviews": "review_creation_date",
}

# SCD2 dimension → its natural key.
VERSIONED = {"dim_customers": "customer_unique_id", "dim_products": "product_id", "dim_sellers": "seller_id"}

# SCD2 dimension → which keys are gone; that a customer's rows are deleted says nothing of the person.
GONE_KEYS = {
    "dim_customers": "false",
    "dim_products": "product_id NOT IN (SELECT product_id FROM silver.products)",
    "dim_sellers": "seller_id NOT IN (SELECT seller_id FROM silver.sellers)",
}

_HOLIDAYS = sorted(holidays.country_holidays("BR", years=range(2016, 2021)))
_COLUMNS = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
              WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def connect() -> duckdb.DuckDBPyConnection:
    """Return an empty DuckDB with the conventions and no row taken."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for schema in ("before", "source", "silver", "seen", "waiting", "gold"):
        con.execute(f"CREATE SCHEMA {schema}")
    for signature, expression in CONVENTIONS.items():
        con.execute(f"CREATE MACRO {signature} AS {expression}")
    con.execute("CREATE TABLE source.holidays AS SELECT unnest(?::DATE[]) AS date", [_HOLIDAYS])
    return con


def take(con: duckdb.DuckDBPyConnection, url: str, errors: Collection[str] = ERRORS, *, replay: bool = False) -> None:
    """Read the source at `url` as it is now and bring Silver up to date; `replay` judges the rejects of old again."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(psycopg2.connect(url)) as postgres,
        postgres.cursor() as cursor,
    ):
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in KEYS:
            cursor.execute(_COLUMNS, (f"olist.{table}",))
            columns, file = dict(cursor.fetchall()), Path(folder, table)
            with file.open("wb") as out:
                cursor.copy_expert(f"COPY olist.{table} TO STDOUT (FORMAT csv)", out)
            rows = (
                f"FROM read_csv('{file}', header = false, columns = {columns}, delim = ',', quote = '\"', "
                "escape = '\"', new_line = '\\n', allow_quoted_nulls = false, auto_detect = false)"
            )
            give(con, table, rows)
    judge(con, errors, replay=replay)


def give(con: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    """Make the rows of a query the source table's newest state; the one before it is kept for comparison."""
    con.execute(f"CREATE OR REPLACE TABLE source.next AS {query}")
    con.execute(f"CREATE TABLE IF NOT EXISTS source.{table} AS FROM source.next LIMIT 0")
    con.execute(f"CREATE OR REPLACE TABLE before.{table} AS FROM source.{table}")
    con.execute(f"CREATE OR REPLACE TABLE source.{table} AS FROM source.next")
    con.execute("DROP TABLE source.next")


def judge(con: duckdb.DuckDBPyConnection, errors: Collection[str] = ERRORS, *, replay: bool = False) -> None:
    """Bring Silver up to date: an invalid newer row never removes a valid older one; a key that is gone does go.

    What lacks nothing but a parent waits for it. `seen` keeps every valid row there ever was. What has no key only
    grows.
    """
    if unknown := set(errors) - set(RULES):
        raise KeyError(f"no such rule: {sorted(unknown)}")
    for table, key in KEYS.items():
        for schema in ("silver", "seen", "waiting"):
            con.execute(f"CREATE TABLE IF NOT EXISTS {schema}.{table} AS FROM source.{table} LIMIT 0")
        mine = [name for name in errors if name.startswith(f"{table}.")]
        own = _all_of([name for name in mine if not name.endswith("_exists")])
        rows = f"FROM source.{table}" if replay else f"FROM source.{table} EXCEPT ALL FROM before.{table}"
        con.execute(f"CREATE OR REPLACE TABLE silver.news AS FROM ({rows}) WHERE {_all_of(mine)}")
        if key:
            same = " AND ".join(f"n.{column} = t.{column}" for column in key)
            gone = f"NOT EXISTS (FROM source.{table} AS n WHERE {same})"
            con.execute(f"DELETE FROM waiting.{table} AS t WHERE {gone}")
            con.execute(
                f"INSERT INTO silver.news FROM waiting.{table} AS t WHERE {_all_of(mine)} "
                f"AND NOT EXISTS (FROM silver.news AS n WHERE {same}) "
                f"AND NOT EXISTS (FROM silver.{table} AS n WHERE {same} AND n.updated_at >= t.updated_at) "
                f"QUALIFY row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY updated_at DESC) = 1"
            )
            con.execute(f"DELETE FROM silver.{table} AS t WHERE EXISTS (FROM silver.news AS n WHERE {same})")
            con.execute(f"DELETE FROM silver.{table} AS t WHERE {gone}")
        waiting = f"FROM (({rows}) UNION ALL FROM waiting.{table}) WHERE {own} AND NOT {_all_of(mine)}"
        con.execute(f"CREATE OR REPLACE TABLE waiting.{table} AS {waiting}")
        con.execute(f"INSERT INTO silver.{table} FROM silver.news")
        con.execute(f"INSERT INTO seen.{table} FROM silver.news")


def _all_of(rules: Collection[str]) -> str:
    """The predicate that a row passes all of them."""
    return f"({' AND '.join(f'coalesce({RULES[name]}, false)' for name in rules) or 'true'})"


def build_gold(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table of `GOLD` anew from Silver."""
    for table in GOLD:
        query = (HERE / "gold" / f"{table}.sql").read_text()
        if (dimension := table.removesuffix("_versions")) in VERSIONED and dimension != table:
            query = _versions(query, VERSIONED[dimension], GONE_KEYS[dimension])
        con.execute(f"CREATE OR REPLACE TABLE gold.{table} AS {query}")
        for dimension, natural in VERSIONED.items() if table in MOMENTS else ():
            if f"known_{natural}" in _types(con, f"gold.{table}"):
                _refer(con, table, dimension, natural)


def _versions(changes: str, key: str, gone: str) -> str:
    """The query for a dimension's versions, from that for (key, updated_at, said); the first is open to the past."""
    moment = f"OVER (PARTITION BY {key} ORDER BY updated_at)"
    return (
        f"WITH compared AS (SELECT *, row_number() {moment} = 1 AS first, said IS DISTINCT FROM lag(said) {moment} "
        f"AS differs FROM ({changes})) SELECT {key}, said, "
        "CASE WHEN first THEN TIMESTAMPTZ '1900-01-01 00:00:00+00' ELSE updated_at END AS valid_from, "
        f"coalesce(lead(updated_at) {moment}, CASE WHEN {gone} THEN {GONE} END) AS valid_to "
        "FROM compared WHERE first OR differs"
    )


def _refer(con: duckdb.DuckDBPyConnection, fact: str, dimension: str, natural: str) -> None:
    """Add the beginning of the version that was valid at each fact's moment."""
    at = f"f.{MOMENTS[fact]}"
    con.execute(
        f"CREATE OR REPLACE TABLE gold.{fact} AS SELECT f.*, v.valid_from AS known_{natural}_since "
        f"FROM gold.{fact} AS f LEFT JOIN gold.{dimension}_versions AS v ON v.{natural} = f.known_{natural} "
        f"AND {at} >= v.valid_from AND ({at} < v.valid_to OR v.valid_to IS NULL)"
    )


def difference(
    con: duckdb.DuckDBPyConnection, table: str, actual: Any, columns: Collection[str] = (), limit: int = 20
) -> list[tuple[Any, ...]]:
    """Return the cells that differ as (*key, column, expected, actual); none when the tables agree.

    `actual` is anything DuckDB can register (an Arrow table, reader or data set). A row that one side lacks, and a key
    that stands twice, are the column "(rows)" with the numbers of rows. `columns` empty compares all the oracle has. A
    mean may differ by what the actual column's own scale rounds off.
    """
    key = GOLD[table]
    con.register("_actual", actual)
    con.execute("CREATE OR REPLACE TEMP TABLE actual AS FROM _actual")
    con.unregister("_actual")
    ours, theirs = _types(con, f"gold.{table}"), _types(con, "actual")
    cells = [_differing(key, column, ours[column], theirs[column]) for column in columns or set(ours) - set(key)]
    names = ", ".join(key)
    rows = (
        f"SELECT {names}, '(rows)', CAST(coalesce(e.n, 0) AS VARCHAR), CAST(coalesce(a.n, 0) AS VARCHAR) "
        f"FROM (SELECT {names}, count(*) AS n FROM gold.{table} GROUP BY ALL) AS e "
        f"FULL JOIN (SELECT {names}, count(*) AS n FROM actual GROUP BY ALL) AS a USING ({names}) "
        "WHERE e.n IS DISTINCT FROM a.n"
    )
    both = " UNION ALL ".join([rows, *(cell.format(table=f"gold.{table}") for cell in cells)])
    return con.execute(f"FROM ({both}) ORDER BY ALL LIMIT {limit}").fetchall()


def _types(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return dict(con.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall())


def _differing(key: Collection[str], column: str, ours: str, theirs: str) -> str:
    """Return the query for the rows whose `column` differs."""
    expected, actual = f"e.{column}", f"a.{column}"
    if "TIMESTAMP" in ours:
        expected, actual = f"CAST({expected} AS TIMESTAMPTZ)", f"CAST({actual} AS TIMESTAMPTZ)"
    differs = f"{expected} IS DISTINCT FROM {actual}"
    if ours == "DOUBLE":
        scale = int(theirs.rpartition(",")[2].rstrip(")")) if theirs.startswith("DECIMAL") else 9
        off = f"abs({expected} - CAST({actual} AS DOUBLE)) > {0.5000001 * 10**-scale}"
        differs = f"coalesce({off}, {expected} IS DISTINCT FROM {actual})"
    names = ", ".join(key)
    return (
        f"SELECT {names}, '{column}', CAST({expected} AS VARCHAR), CAST({actual} AS VARCHAR) "
        f"FROM {{table}} AS e JOIN actual AS a USING ({names}) WHERE {differs}"
    )
