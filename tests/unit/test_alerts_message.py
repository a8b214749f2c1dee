"""What a message holds, how long it may be, and what must not stand in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.alerts.embed import Embed, cut, length
from lakehouse.alerts.facts import LayerFacts, RunFacts
from lakehouse.alerts.run_message import duration, run_message
from lakehouse.alerts.scrub import scrub
from lakehouse.settings import Settings

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETTINGS = Settings(_env_file=None)
GOOD = RunFacts(
    run_id="olist-20260102T030405-ab12",
    attempt=1,
    pipeline="olist",
    trigger="cli",
    status="SUCCESS",
    began_at=BEGAN,
    ended_at=BEGAN,
    seconds=200.4,
    error="",
    link="",
    layers=[LayerFacts("bronze", 9, 0, 0, 1234, 1234, 0), LayerFacts("silver", 8, 0, 0, 1234, 1200, 34)],
    failed_tables=[],
    rules=[],
    drift=[],
    publication=7,
    failed_before=None,
)
BAD = replace(
    GOOD,
    status="FAILED",
    error="olist.silver.orders: the source went away. Next: look.",
    publication=None,
    layers=[LayerFacts("bronze", 9, 1, 0, 10, 10, 0)],
    failed_tables=[("olist.silver.orders", "olist.silver.orders: the source went away. Next: look.")],
)


def embed(run: RunFacts, settings: Settings = SETTINGS, secrets=()) -> dict:
    (made,) = run_message(run, settings, secrets).payload()["embeds"]
    return made


def fields(made: dict) -> dict[str, str]:
    return {each["name"]: each["value"] for each in made["fields"]}


def test_a_good_run_says_what_how_long_and_how_many_a_layer():
    made = embed(GOOD)
    assert made["title"] == "🟢 olist succeeded"
    assert made["color"] == 0x22C55E
    assert made["description"].splitlines() == [
        "Run `olist-20260102T030405-ab12` · by cli · 3 min 20 s, began <t:1767323045:f> · publication 7",
        "```",
        "layer      in    out  quarantined  tables",
        "bronze  1,234  1,234            0       9",
        "silver  1,234  1,200           34       8",
        "```",
    ]
    assert made["footer"]["text"] == "lakehouse runs show olist-20260102T030405-ab12"
    assert fields(made) == {}


def test_a_failed_run_names_the_table_and_its_last_cause_once():
    made = embed(BAD)
    assert (made["title"], made["color"]) == ("🔴 olist failed", 0xDC2626)
    assert fields(made) == {"Failed": r"**olist.silver.orders**: the source went away. Next: look."}
    assert "9 (1 failed)" in made["description"]


def test_a_failure_of_no_table_is_told_beside_those_of_tables():
    told = fields(embed(replace(BAD, error="GATE: things: rows is 0.")))["Failed"].splitlines()
    assert told == ["GATE: things: rows is 0.", "**olist.silver.orders**: the source went away. Next: look."]


def test_a_recovery_says_so_and_of_what():
    other = embed(replace(GOOD, failed_before="olist-1"))
    assert (other["title"], fields(other)["Recovered"]) == (
        "🟢 olist recovered",
        "The run before it, `olist-1`, had failed.",
    )
    same = embed(replace(GOOD, attempt=2, failed_before=GOOD.run_id))
    assert fields(same)["Recovered"] == "An earlier attempt had failed; attempt 2 went well."
    assert "attempt 2" in same["description"]
    assert embed(replace(BAD, failed_before="olist-1"))["title"] == "🔴 olist failed"


def test_rejected_rows_are_told_by_rule_as_counts_and_drift_by_column():
    run = replace(
        GOOD,
        rules=[("olist.silver.orders", "status_known", "order_status", 1234), ("olist.silver.orders", "rows", "", 2)],
        drift=[("olist.bronze.orders", "note", "added", "evolve")],
    )
    made = embed(run)
    assert made["title"] == "🟠 olist succeeded"
    assert fields(made) == {
        "Quarantined, by rule": "olist.silver.orders · status\\_known (order\\_status): 1,234\n"
        "olist.silver.orders · rows: 2",
        "Drift": "olist.bronze.orders.note: added, evolve",
    }


def test_a_run_at_work_needs_no_edit_for_the_clock():
    now = replace(GOOD, status="RUNNING", ended_at=None, seconds=1.0)
    assert embed(now) == embed(replace(now, seconds=60.0))
    assert "began <t:1767323045:R>" in embed(now)["description"]


def test_links_lead_to_airflow_and_to_the_dashboard():
    run = replace(GOOD, link="/dags/medallion_pipeline/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00")
    native = (
        "[Airflow run](http://127.0.0.1:58080/dags/medallion_pipeline/runs/manual__2026-01-02T03%3A04%3A05%2B00%3A00)"
    )
    own_page = " · [Dashboard](http://127.0.0.1:58080/lakehouse/runs/olist-20260102T030405-ab12)"
    assert fields(embed(run))["Links"] == native + own_page
    settings = Settings(_env_file=None, airflow_url="https://a.example/", dashboard_url="https://d.example/r/{run_id}")
    assert fields(embed(run, settings))["Links"] == (
        native.replace("http://127.0.0.1:58080", "https://a.example")
        + " · [Dashboard](https://d.example/r/olist-20260102T030405-ab12)"
    )
    assert "Links" not in fields(embed(replace(run, link="//evil.example/x")))


def test_nobody_is_mentioned_and_no_text_becomes_mark_up():
    trick = "x: @everyone <@1> [a](https://evil.example) ```js\n**bold**"
    run = replace(BAD, error=trick, failed_tables=[], trigger="`@here`")
    payload = run_message(run, SETTINGS).payload()
    assert payload["allowed_mentions"] == {"parse": []}
    told = fields(payload["embeds"][0])["Failed"]
    assert "[a](" not in told
    assert "```" not in told
    assert "<@1>" not in told


def test_two_hundred_failed_tables_stay_within_the_limits_and_are_counted():
    failed = [(f"olist.gold.table_{n:03}", f"olist.gold.table_{n:03}: " + "cause " * 60) for n in range(51)]
    made = embed(replace(BAD, failed_tables=failed, error=failed[0][1]))
    told = fields(made)["Failed"]
    assert length(told) <= 1024
    assert "… and at least" in told


@given(
    title=st.text(max_size=600),
    description=st.text(max_size=6000),
    values=st.lists(st.tuples(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=2000)), max_size=40),
    footer=st.text(max_size=3000),
)
def test_whatever_it_holds_discord_takes_it(fake_discord, title, description, values, footer):
    made = Embed("t" + title, "failed", description + "x", values, footer)
    assert fake_discord.problem(made.payload()) == ""
    assert fake_discord.problem(made.plain()) == ""


@given(st.text(alphabet="a😀`\n\ud800", max_size=300), st.integers(5, 200))
def test_a_cut_keeps_to_the_limit_and_whole_characters(text, limit):
    short = cut(text, limit)
    assert length(short) <= limit
    short.encode()
    if "`" not in text and "\ud800" not in text and short != text:
        assert text.startswith(short[:-1])


def test_a_block_of_code_that_is_cut_is_closed():
    short = cut("head\n```\n" + "row\n" * 500, 100)
    assert short.count("```") == 2
    assert length(short) <= 100


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_a_duration_is_told_as_people_do(seconds, told):
    assert duration(seconds) == told


PERSONAL = [
    'invalid input syntax for type integer: "Maria da Silva"',
    'duplicate key value violates unique constraint "u" DETAIL: Key (email)=(maria@example.com) already exists.',
    "Failing row contains (1, Maria da Silva, null).",
    "cannot send to maria.silva+x@example.com.br now",
    "the value 'Maria da Silva' of customer_name",
    "taxpayer 123.456.789-09 is unknown",
    "company 12.345.678/0001-95 is unknown",
    "call +55 (11) 91234-5678 first",
    "card 4111 1111 1111 1111 refused",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_values_of_rows_that_an_error_quotes_stay_in_the_house(text):
    told = scrub(text)
    for piece in ("Maria", "maria", "silva", "456.789", "345.678", "91234", "4111"):
        assert piece not in told
    assert "…" in told


@pytest.mark.parametrize(
    "text",
    [
        "olist.silver.orders: 1,234 of 99,441 rows (1.24 %) were rejected; the limit is 1 %.",
        "the window ends (2018-08-01T00:00:00+00:00) before it begins (2018-08-02).",
        "run olist-20260102T030405-ab12, attempt 2 went on 2018-08-01 first.",
        "column order_status changed (string → bigint)",
        "127.0.0.1:55432 refuses the connection",
        "it was made anew: its id is 31433019-5972-4c3f-815d-5eeb8d9ae582 now.",
    ],
)
def test_names_counts_and_moments_are_kept(text):
    assert scrub(text) == text


def test_secrets_are_no_part_of_a_message():
    hidden = ["canary-1", "canary p@ss"]
    run = replace(BAD, error="no: canary-1 postgresql://u:canary-2@h/d", failed_tables=[("t", "canary p@ss")])
    assert "canary" not in str(embed(run, secrets=hidden))
