"""What the runs' pages say: errors taken apart, figures, bars."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lakehouse.errors import QuarantineLimitExceeded
from lakehouse.serving.bars import LANE, SHORTEST, TALL, lanes, latency_bars, phases_of, run_bars
from lakehouse.serving.queries import read_queries
from lakehouse.serving.run_page import stream_of
from lakehouse.serving.words import Fault, latency, marked, moment, share, short_moment

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def work(table: str, after: float, seconds: float, **phases: float) -> dict:
    began = NOON + timedelta(seconds=after)
    return {"table_name": table, "layer": "silver", "started_at": began, "seconds": seconds, "phases": phases}


def test_an_error_is_taken_apart_as_it_was_put_together():
    error = QuarantineLimitExceeded(
        "12 of 40 rows.", where="olist.silver.orders", allowed="up to 5 %", remedy="look at `them`. Next: run."
    )
    told = Fault.of(str(error))
    assert told == Fault("olist.silver.orders: 12 of 40 rows.", "up to 5 %", "look at `them`. Next: run.")
    assert Fault.of("It broke.") == Fault("It broke.", "", "")
    assert Fault.of("as s3cret says", ["s3cret"]).cause == "as *** says"
    long = "x" * 3_000
    assert Fault.of(long).cause == long, "a page has room for what a message has not"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("no run is there.", "No run is there."),
        ("olist.silver.orders: broke", "olist.silver.orders: broke"),
        ("postgresql://h:1/a: away", "postgresql://h:1/a: away"),
        ("run `lakehouse <x>` & see", "Run <code>lakehouse &lt;x&gt;</code> &amp; see"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("a ` never closed", "A ` never closed"),
        ("`a` and ` one more", "<code>a</code> and ` one more"),
        ("", ""),
    ],
)
def test_sentences(text, html):
    assert str(marked(text)) == html


def test_figures():
    assert [share(0, 10), share(5, 0), share(1, 3), share(1, 100_000), share(10, 10)] == [
        *("0 %", "0 %", "33.33 %", "< 0.01 %", "100.00 %")
    ]
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-3)))
    assert (moment(elsewhere), short_moment(elsewhere)) == ("2026-01-02 12:00:00", "01-02 12:00")


def test_bars_are_as_high_as_runs_were_long_and_the_oldest_comes_first():
    runs = [
        {"run_id": str(n), "pipeline": "olist", "started_at": NOON - timedelta(hours=n), "seconds": 10.0 * n}
        for n in range(40)
    ]
    (olist,) = run_bars([*runs, runs[0] | {"pipeline": "alone"}])
    assert [bar.run["run_id"] for bar in olist.bars] == [str(n) for n in range(29, -1, -1)]
    assert olist.longest == 290
    assert olist.bars[0].height == TALL
    assert olist.bars[15].height == pytest.approx(TALL * 140 / 290)
    assert olist.bars[-1].height > 0, "a run that took no time is still seen"


def test_lanes_lie_where_the_work_was():
    one, two = lanes([work("a", 0, 5, write=4.0, plan=1.0), work("b", 5, 5)])
    assert [(each.phase, each.start, each.width) for each in one.segments] == [
        ("plan", 0, LANE / 10),
        ("write", LANE / 10, LANE * 4 / 10),
    ]
    assert [(each.phase, each.start, each.width) for each in two.segments] == [("", LANE / 2, LANE / 2)]
    assert phases_of([one, two]) == ["plan", "write", ""]
    assert lanes([]) == []


def test_a_lane_of_an_unknown_phase_ends_with_it():
    (lane,) = lanes([work("a", 0, 3, zzz=1.0, read=2.0)])
    assert [each.phase for each in lane.segments] == ["read", "zzz"]


def test_queries_of_a_folder_that_is_not_there_are_none(tmp_path):
    assert read_queries(tmp_path / "none") == []


def test_the_pictures_that_the_docs_show_are_there_and_all_of_them_are_small():
    docs = Path(__file__).parents[2] / "docs"
    shown = {name for page in docs.glob("*.md") for name in re.findall(r"\]\((images/[^)]+)\)", page.read_text())}
    assert shown
    assert [name for name in sorted(shown) if not (docs / name).exists()] == []
    assert sum(path.stat().st_size for path in (docs / "images").iterdir()) < 1_500_000


def test_the_plugin_costs_a_task_no_web_framework():
    """Every task's process loads the plugins."""
    code = "import sys; from lakehouse.serving.mount import RunsPages; RunsPages(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lakehouse.serving.mount" in done.stdout.split()
    assert not {"fastapi", "starlette", "jinja2"} & set(done.stdout.split())


def test_latencies_are_said_as_people_say_them():
    assert [latency(each) for each in (None, 0.4, 820.0, 999.6, 1_250.0, 61_000.0)] == [
        *("\u2013", "0 ms", "820 ms", "1.0 s", "1.2 s", "1 min 1 s")
    ]


def test_latency_bars_are_of_the_newest_batches_the_oldest_first():
    def batch(number: int, p50: float | None, p95: float | None) -> dict:
        return {"batch": number, "latency_p50_ms": p50, "latency_p95_ms": p95}

    bars = latency_bars([batch(3, 100.0, 400.0), batch(2, None, None), batch(1, 1.0, 200.0)])
    assert [(bar.batch["batch"], bar.p50, bar.p95) for bar in bars] == [(1, SHORTEST, TALL / 2), (3, TALL / 4, TALL)]
    assert len(latency_bars([batch(number, 1.0, 1.0) for number in range(99)])) == 30
    assert latency_bars([]) == []


@pytest.mark.parametrize(
    ("pipeline", "stream"), [("olist.stream.order_reviews", "olist.order_reviews"), ("olist", ""), ("stream", "")]
)
def test_a_streams_run_is_known_by_its_name(pipeline, stream):
    assert stream_of(pipeline) == stream
