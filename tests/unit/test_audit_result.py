"""The ledger's arithmetic, and that a commit's note gives back what was put into it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lakehouse.audit.result import Drift, Ledger, RuleResult, TableResult
from lakehouse.errors import LedgerUnbalanced, StateError

FIGURES = ("inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted")


def full_result() -> TableResult:
    return TableResult(
        table="olist.silver.orders",
        layer="silver",
        status="SUCCESS",
        ledger=Ledger(10, 4, 2, 1, 1, 1, 1, 0),
        rows_out=6,
        versions_read={"olist.bronze.orders": 4},
        version_written=5,
        phases={"read": 0.25, "merge": 1.5},
        contract_version="1.2.0",
        window_from=datetime(2018, 11, 4, 0, 0, tzinfo=timezone(timedelta(hours=-2))),
        window_to=datetime(2018, 11, 5, 3, 0, 0, 7, tzinfo=UTC),
        rules=[RuleResult("price_not_negative", "price", "error", 9, 1)],
        drift=[Drift("channel", "added", "", "string", "evolved")],
        note="first load",
    )


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_counts_towards_the_balance(figure):
    Ledger(rows_in=3, **{figure: 3}).check("t")
    with pytest.raises(LedgerUnbalanced):
        Ledger(rows_in=3, **{figure: 2}).check("t")


def test_an_unbalanced_ledger_names_the_table_and_every_figure():
    with pytest.raises(LedgerUnbalanced) as caught:
        Ledger(100, 11, 12, 13, 14, 15, 16, 17).check("olist.silver.orders")
    text = str(caught.value)
    for word in ("olist.silver.orders", "100", *(f"{name} {n}" for n, name in enumerate(FIGURES, 11)), "98"):
        assert word in text


def test_a_negative_figure_never_balances():
    with pytest.raises(LedgerUnbalanced):
        Ledger(rows_in=1, inserted=2, deleted=-1).check("t")


def test_ledgers_add_figure_by_figure():
    assert Ledger(1, 2, 3, 4, 5, 6, 7, 8) + Ledger(10, 20, 30, 40, 50, 60, 70, 80) == Ledger(
        11, 22, 33, 44, 55, 66, 77, 88
    )


def test_a_commits_note_gives_back_the_whole_result():
    result = full_result()
    assert "\n" not in result.as_json()
    assert TableResult.from_json(result.as_json()) == result
    assert json.loads(result.as_json())["ledger"]["inserted"] == 4


def test_a_note_of_an_older_version_is_read_with_defaults():
    assert TableResult.from_json('{"table":"t","layer":"gold","status":"SKIPPED"}') == TableResult(
        "t", "gold", "SKIPPED"
    )


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '"x"', "null", '{"table":"t","window_from":7}'])
def test_a_torn_note_is_an_error_and_never_an_empty_result(text):
    with pytest.raises(StateError):
        TableResult.from_json(text)


def test_a_window_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        TableResult("t", "bronze", "SUCCESS", window_to=datetime(2018, 1, 1))
