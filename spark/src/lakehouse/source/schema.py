"""Makes the source's schema: tables, keys, and the stamp that every change of a row gets."""

from __future__ import annotations

from psycopg2 import extensions, sql

from lakehouse.source.olist import STAMP, TABLES, Table

# now() is the start of the transaction: rows become visible later than their stamp says, see lakehouse.source.horizon.
_STAMP_FUNCTION = sql.SQL("""
CREATE OR REPLACE FUNCTION {schema}.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$""")


def create_schema(cursor: extensions.cursor, schema: str) -> None:
    """Make what is not there yet of the schema and its nine tables; safe to repeat."""
    cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s)) AND relkind IN ('r', 'p')",
        [schema],
    )
    present = {name for (name,) in cursor.fetchall()}
    missing = [table for table in TABLES.values() if table.name not in present]
    if missing:
        cursor.execute(_STAMP_FUNCTION.format(schema=sql.Identifier(schema)))
    for table in missing:
        cursor.execute(_create_table(schema, table))


def _create_table(schema: str, table: Table) -> sql.Composed:
    columns = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in table.columns.items()]
    key = [sql.SQL("PRIMARY KEY ({})").format(names(table.key))] if table.key else []
    return sql.SQL("""
CREATE TABLE {table} ({columns}, {stamp} timestamptz NOT NULL DEFAULT now());
CREATE INDEX {index} ON {table} ({stamp});
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {schema}.stamp()""").format(
        table=sql.Identifier(schema, table.name),
        columns=sql.SQL(", ").join([*columns, *key]),
        stamp=sql.Identifier(STAMP),
        index=sql.Identifier(f"{table.name}_{STAMP}"),
        schema=sql.Identifier(schema),
    )


def names(columns: tuple[str, ...] | list[str]) -> sql.Composed:
    """Return column names as a quoted list for SQL."""
    return sql.SQL(", ").join([sql.Identifier(name) for name in columns])
