"""What the source's catalog says of a table."""

from __future__ import annotations

import pytest

from lakehouse.errors import SourceError
from lakehouse.source.describe import Column, columns, primary_key

pytestmark = pytest.mark.postgres

ODD = """
CREATE SCHEMA shop;
CREATE TABLE shop."Odd table" (
    "Key part" varchar(20), a numeric(10,4), b numeric, c timestamp(3), d timestamptz NOT NULL, e char(2), f int[],
    gone int, g smallint, h jsonb, i numeric(5), "j""k" text, PRIMARY KEY ("Key part", d));
ALTER TABLE shop."Odd table" DROP COLUMN gone;
CREATE VIEW shop.seen AS SELECT a FROM shop."Odd table";
CREATE TABLE shop.bare (a int)"""


def test_columns_come_in_order_with_their_exact_types(database, ask):
    ask(ODD)
    assert columns(database, "shop", "Odd table") == [
        Column("Key part", "character varying(20)", False),
        Column("a", "numeric(10,4)", True),
        Column("b", "numeric", True),
        Column("c", "timestamp(3) without time zone", True),
        Column("d", "timestamp with time zone", False),
        Column("e", "character(2)", True),
        Column("f", "integer[]", True),
        Column("g", "smallint", True),
        Column("h", "jsonb", True),
        Column("i", "numeric(5,0)", True),
        Column('j"k', "text", True),
    ]
    assert columns(database, "shop", "seen") == [Column("a", "numeric(10,4)", True)]


def test_the_key_comes_in_its_own_order(database, ask):
    ask(ODD)
    ask("CREATE TABLE shop.turned (a int, b int, PRIMARY KEY (b, a))")
    assert primary_key(database, "shop", "Odd table") == ["Key part", "d"]
    assert primary_key(database, "shop", "turned") == ["b", "a"]
    assert primary_key(database, "shop", "bare") == []


def test_a_missing_table_is_answered_with_those_there_are(database, ask):
    ask(ODD)
    for look in (columns, primary_key):
        with pytest.raises(SourceError, match=r'shop\.bear.*Did you mean "bare"\?.*Odd table, bare, seen'):
            look(database, "shop", "bear")


def test_a_missing_schema_is_answered_with_those_there_are(database, ask):
    ask(ODD)
    with pytest.raises(SourceError, match=r'schema shp has no tables.*Did you mean "shop"\?'):
        columns(database, "shp", "bare")
