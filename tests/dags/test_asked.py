"""What a form asks of a run, and what is refused of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.dags.asked import Asked, platform_run_id, read_asked
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
