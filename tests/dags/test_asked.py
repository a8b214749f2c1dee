"""What a form asks of a run, and what is refused of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.dags.asked import Asked, in_backfill, platform_run_id, read_asked
from lakehouse.errors import ParameterError
from lakehouse.specs import Catalog, load_catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Path(__file__).parents[2] / "spark" / "pipelines" / "olist")


def test_nothing_asked_is_everything(catalog):
    assert read_asked(catalog, {"tables": [], "full_refresh": False, "window_from": None}) == Asked()
    assert Asked().arguments() == []


def test_what_is_asked_becomes_arguments_of_the_job(catalog):
    params = {
        "tables": ["silver.orders", "gold.fact_orders"],
        "full_refresh": True,
        "window_from": "2018-08-01T00:00:00-03:00",
        "window_to": "2018-08-02T00:00:00Z",
    }
    assert read_asked(catalog, params).arguments() == [
        *("--full-refresh", "--tables", "silver.orders,gold.fact_orders"),
        *("--from", "2018-08-01T00:00:00-03:00", "--to", "2018-08-02T00:00:00+00:00"),
    ]


@pytest.mark.parametrize("end", ["2018-08-01T00:00:00Z", "2018-07-31T23:59:59Z", "2018-08-01T02:00:00+03:00"])
def test_a_window_that_ends_before_it_begins_is_refused(catalog, end):
    with pytest.raises(ParameterError, match=r"the window ends .* before it begins"):
        read_asked(catalog, {"window_from": "2018-08-01T00:00:00Z", "window_to": end})


def test_what_is_no_moment_is_refused(catalog):
    with pytest.raises(ParameterError, match='window_to is "yesterday; rm -rf /"'):
        read_asked(catalog, {"window_to": "yesterday; rm -rf /"})


@pytest.mark.parametrize("name", ["silver.order", "orders", "bronze.orders", "; rm -rf /", "", 7])
def test_an_unknown_table_is_refused_with_those_that_are_known(catalog, name):
    with pytest.raises(ParameterError, match=r"unknown") as refused:
        read_asked(catalog, {"tables": ["silver.orders", name]})
    assert "gold.fact_sales" in str(refused.value.allowed)


def test_a_near_miss_is_named(catalog):
    with pytest.raises(ParameterError, match=r'Did you mean "silver.orders"\?'):
        read_asked(catalog, {"tables": ["silver.order"]})


@given(st.text(min_size=1, max_size=250))
def test_a_runs_id_is_plain_whatever_airflows_is(text):
    assert re.fullmatch(r"olist-[A-Za-z0-9-]*-[0-9a-f]{6}", platform_run_id("olist", text))
    assert len(platform_run_id("olist", text)) <= 100


def test_ids_that_differ_only_in_signs_stay_apart():
    assert platform_run_id("olist", "a+b") != platform_run_id("olist", "a:b")
    assert platform_run_id("olist", "manual__2026-11-21T10:33:25+00:00").startswith(
        "olist-manual-2026-11-21T10-33-25-00-00-"
    )


def test_a_param_that_the_form_does_not_have_is_refused(catalog):
    with pytest.raises(ParameterError, match=r'dryrun unknown\. Did you mean "dry_run"\?'):
        read_asked(catalog, {"dryrun": True})


@pytest.mark.parametrize("limit", [-0.1, 1.1, "5%", True, float("nan")])
def test_what_is_no_share_is_refused(catalog, limit):
    with pytest.raises(ParameterError, match="quarantine_limit is"):
        read_asked(catalog, {"quarantine_limit": limit})


def test_a_limit_of_nothing_is_a_limit(catalog):
    asked = read_asked(catalog, {"quarantine_limit": 0, "dry_run": True, "tables": None})
    assert asked.arguments() == ["--dry-run", "--quarantine-limit", "0"]


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        ("@daily", "2018-08-02T00:00:00+00:00"),
        ("0 * * * *", "2018-08-01T01:00:00+00:00"),
        ("@monthly", "2018-09-01T00:00:00+00:00"),
    ],
)
def test_a_backfills_window_goes_to_the_next_date_of_the_schedule(schedule, end):
    asked = in_backfill({"tables": ["silver.orders"], "window_from": None}, datetime(2018, 8, 1, tzinfo=UTC), schedule)
    window = {"window_from": "2018-08-01T00:00:00+00:00", "window_to": end}
    assert asked == {"tables": ["silver.orders"], **window}


@pytest.mark.parametrize("form", [{"full_refresh": True}, {"window_from": "2018-01-01T00:00:00Z"}])
def test_what_the_form_of_a_backfill_says_stands(form):
    assert in_backfill(form, datetime(2018, 8, 1, tzinfo=UTC), "@daily") == form


def test_a_backfill_of_a_schedule_without_a_next_date_is_refused():
    with pytest.raises(ParameterError, match='schedule "@once" has no next date'):
        in_backfill({}, datetime(2018, 8, 1, tzinfo=UTC), "@once")
