"""The page of streams over a real broker, a real lake of events and a real audit database; and each of them away."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from kafka import KafkaProducer

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.audit.stream_rows import OffsetRange, Sends, StreamBatch
from lakehouse.changes.definition import new_table
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.cli import history
from lakehouse.lake import Lake
from lakehouse.serving.app import make_app
from lakehouse.serving.visitor import Visitor
from lakehouse.settings import Settings
from lakehouse.specs import load_catalog
from lakehouse.stack.ports import free_port
from lakehouse.streaming.ensure import make_anew
from lakehouse.streaming.events import EVENTS, Event, Origin, as_table, mark
from lakehouse.streaming.facts import topic_facts
from lakehouse.streaming.newest import newest_events

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
ROOT = Path(__file__).parents[2]
TABLE, STREAM = "olist.silver.order_reviews", "olist.stream.order_reviews"
NONE = "\u2013"
BEGAN = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SECRET = "canary: maria never got it"
TRICK = "<script>alert(1)</script>"


@pytest.fixture
def settings(broker, topic: str, audit_url: str, tmp_path: Path) -> Settings:
    """The Olist pipeline, its stream fed by this test's own topic."""
    shutil.copytree(ROOT / "spark" / "pipelines" / "olist", tmp_path / "pipelines" / "olist")
    contract = tmp_path / "pipelines" / "olist" / "silver" / "order_reviews.odcs.yaml"
    contract.write_text(contract.read_text().replace("olist_reviews_stream", topic))
    return Settings(
        _env_file=None, home=ROOT, audit_url=audit_url, kafka_bootstrap=broker.bootstrap,
        lake=f"{tmp_path}/lake/{{layer}}", pipelines=tmp_path / "pipelines",
    )  # fmt: skip


def client_of(settings: Settings) -> TestClient:
    async def login(_: Any) -> Visitor:
        return Visitor.WELCOME

    house = FastAPI()
    house.mount("/lakehouse", make_app(lambda: settings, login))
    return TestClient(house, base_url="http://127.0.0.1/lakehouse/", follow_redirects=False)


def look(settings: Settings) -> str:
    answer = client_of(settings).get("streams")
    assert answer.status_code == 200
    return answer.text


def cells(html: str, region: str) -> list[list[str]]:
    """The rows of the table in the region of this name: the texts of their cells."""
    part = html.partition(f'aria-label="{region}')[2].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", part, re.DOTALL)
    texts = [re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL) for row in rows]
    return [[" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()) for text in row] for row in texts]


def faults(html: str) -> dict[str, str]:
    """What is away, by title."""
    found = re.findall(r'<div class="fault calm">\s*<h3>(.*?)</h3>(.*?)</div>', html, re.DOTALL)
    return {title: " ".join(unescape(re.sub(r"<[^>]*>", " ", told)).split()) for title, told in found}


@pytest.fixture
def send(broker, topic: str) -> Callable[..., None]:
    """Sends messages to partition 0, one after another."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)

    def send(*messages: tuple[bytes | None, bytes | None]) -> None:
        for key, value in messages:
            producer.send(topic, value, key, partition=0).get(10)

    return send


def review(**more: Any) -> bytes:
    usual = {"review_id": "r1", "order_id": "o1", "review_score": 1, "review_comment_message": SECRET}
    return json.dumps(usual | more).encode()


def keep(settings: Settings, topic_id: str, offsets: dict[int, int]) -> None:
    """Commit an event to the table of events, as the engine does, and which offsets are next."""
    uri = Lake(settings, "olist").events(load_catalog(settings.pipelines / "olist").table(TABLE))
    held = new_table(settings, uri, EVENTS)
    rows = as_table([Event(0, 0, 0, b"o1", b"{}")], Origin("t", topic_id, "r1"), BEGAN)
    beside = {mark(topic_id, number): offset for number, offset in offsets.items()}
    commit_change(held, Change.appending(rows, held), Commit(f"events:{topic_id}", 1, "", beside))


def batch(number: int, p50: float | None = 800.0, **counts: int) -> StreamBatch:
    began = BEGAN + timedelta(seconds=10 * number)
    ledger = Ledger(sum(counts.values()), **counts)
    p95 = None if p50 is None else 2 * p50
    return StreamBatch(
        number, TABLE, began, began + timedelta(seconds=2), [OffsetRange(0, number, number + 1)], ledger,
        4, 9, p50, p95, p95,
    )  # fmt: skip


def test_offsets_lag_and_the_newest_messages_without_what_is_personal(settings, send, topic, broker):
    send((b"o1", review(review_id=f"r{TRICK}")), (b"o2", b"no json, " + SECRET.encode()), (b"o3", None))
    send((None, review(nickname=SECRET, review_comment_title=None, review_score=[SECRET])))
    topic_id = topic_facts(broker.bootstrap, topic).topic_id
    keep(settings, topic_id, {0: 1})
    html = look(settings)
    assert faults(html) == {}
    assert cells(html, "Partitions")[-3:] == [["0", "0", "4", "1", "3"], *[[n, "0", "0", "0", "0"] for n in "12"]]
    assert f"<code>{topic}</code>" in html
    assert f"<code>{topic_id}</code>" in html
    found = [[row[1], *row[3:]] for row in cells(html, "Newest messages")[-4:]]
    hidden = '"review_comment_message": "…"'
    assert found == [
        ["3", "none", f'{{"review_id": "r1", "order_id": "o1", "review_score": "…", {hidden}, "nickname": "…", '
         '"review_comment_title": null}'],
        ["2", "o3", "no value: a tombstone"],
        ["1", "o2", "35 bytes that are no JSON object: not shown"],
        ["0", "o1", f'{{"review_id": "r{TRICK}", "order_id": "o1", "review_score": 1, {hidden}}}'],
    ]  # fmt: skip
    assert "canary" not in html
    assert TRICK not in html
    assert "review_comment_title, review_comment_message, which the contract calls personal" in html


def test_before_the_first_run_everything_is_still_to_be_taken_in(settings, send):
    send((b"o1", review()), (b"o1", review()))
    html = look(settings)
    assert faults(html) == {}
    assert cells(html, "Partitions")[1] == ["0", "0", "2", "0", "2"]
    assert "lakehouse stream run olist.order_reviews" in html
    assert "none yet" in html
    assert not (Path(settings.lake.format(layer="bronze"))).exists(), "a page writes nothing"


def test_a_topic_made_anew_is_told_as_the_next_run_would(settings, send, topic, broker, new_topic):
    send((b"o1", review()))
    first = topic_facts(broker.bootstrap, topic).topic_id
    keep(settings, first, {0: 1})
    make_anew(broker.bootstrap, new_topic(name=topic))
    told = faults(look(settings))
    assert list(told) == ["The next run will not begin"]
    assert f"id {first}" in told["The next run will not begin"]
    assert "--accept-loss" in told["The next run will not begin"]


def test_the_last_run_and_its_micro_batches(settings, audit):
    audit.begin_part("stream-r1", STREAM, "airflow", {"until": "producer", "producer": "stream-r1-sent"})
    audit.sends_began("stream-r1-sent", "reviews", "id", {0: 10})
    audit.sends_finished("stream-r1-sent", "reviews", [Sends(0, 10, 15, 5, 1)])
    audit.write_batch("stream-r1", 1, batch(0, inserted=1_000, quarantined=7))
    audit.write_batch("stream-r1", 1, batch(1, 2_500.0, inserted=3, duplicate=2))
    audit.table_finished("stream-r1", 1, TableResult(TABLE, "silver", "SUCCESS", Ledger(5, inserted=5)))
    html = look(settings)
    assert '<main data-refresh="5">' in html
    newest, older = cells(html, "Micro-batches, newest first")[1:]
    assert newest[0] == "1"
    assert newest[2:] == ["5", "3", "0", "0", "0", "2", "0", "0", "2.0 s", "2.5 s", "5.0 s", "5.0 s", "9"]
    assert older[2:] == ["1,007", "1,000", "0", "0", "0", "0", "7", "0", "2.0 s", "800 ms", "1.6 s", "1.6 s", "9"]
    assert "median 800 ms, p95 1.6 s" in html
    audit.finish_run("stream-r1", 1, "FAILED", "it stalled")
    assert '<span class="status failed">failed</span>' in look(settings)
    run = client_of(settings).get("runs/stream-r1").text
    everything = cells(run, "Micro-batches, newest first")[1]
    assert everything[:4] == ["all 2", "latencies: the worst", "1,012", "1,003"]
    assert everything[-5:] == ["4.0 s", "2.5 s", "5.0 s", "5.0 s", ""]
    assert cells(run, "What was sent")[1][:6] == ["reviews", "0", "10", "15", "5", "1"]
    assert 'href="/lakehouse/streams#olist.order_reviews"' in run
    for page in (run, client_of(settings).get("").text):
        assert "What readers see" not in page, "a stream publishes nothing"


def test_of_many_micro_batches_a_run_shows_the_newest_and_the_sum_of_all(settings, audit):
    audit.start_run("stream-r1", STREAM, 1, "cli")
    for number in range(60):
        audit.write_batch("stream-r1", 1, batch(number, None, inserted=1))
    shown = audit.show("stream-r1")
    assert [row["batch"] for row in shown["batches"]] == list(range(59, 9, -1))
    assert [(row["batches"], row["received"], row["latency_max_ms"]) for row in shown["batches_summed"]] == [
        (60, 60, None)
    ]
    run = client_of(settings).get("runs/stream-r1").text
    assert "The newest 50 of 60" in run
    assert cells(run, "Micro-batches, newest first")[2][-4:-1] == [NONE] * 3


def test_a_shell_is_shown_the_micro_batches_of_a_run_too(audit, monkeypatch, capsys):
    audit.start_run("stream-r1", STREAM, 1, "cli")
    audit.write_batch("stream-r1", 1, batch(0, inserted=4, quarantined=1))
    audit.write_batch("stream-r1", 1, batch(1, inserted=2))
    monkeypatch.setattr(history, "_audit", lambda: audit)
    monkeypatch.setattr(history.console, "_width", 200)
    history.show_command("stream-r1")
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    (summed,) = [told[number + 2] for number, line in enumerate(told) if line == ["batches_summed"]]
    assert summed == ["2", "4.0", "7", "6", "1", "800.0", "1600.0", "1600.0"]
    first = told.index(["batches"]) + 2
    assert [line[:2] for line in told[first : first + 2]] == [["1", "1"], ["1", "0"]]
    assert told[first][-5:] == ["0", "9", "800.0", "1600.0", "1600.0"]


def test_the_newest_messages_are_few_whatever_the_topic_holds(broker, topic, send):
    assert newest_events(broker.bootstrap, topic_facts(broker.bootstrap, topic), 10, 5) == []
    send(*[(b"k", str(number).encode()) for number in range(40)])
    found = newest_events(broker.bootstrap, topic_facts(broker.bootstrap, topic), 10, 5)
    assert [each.value for each in found] == [str(number).encode() for number in range(39, 29, -1)]


def test_each_part_that_is_away_is_a_line_with_what_to_do_and_the_others_stay(settings, send, topic, broker):
    send((b"o1", review()))
    keep(settings, topic_facts(broker.bootstrap, topic).topic_id, {0: 1})
    nowhere = f"127.0.0.1:{free_port()}"
    no_kafka = look(settings.model_copy(update={"kafka_bootstrap": nowhere}))
    assert list(faults(no_kafka)) == ["The topic is not known now"]
    assert "LAKEHOUSE_KAFKA_BOOTSTRAP" in faults(no_kafka)["The topic is not known now"]
    assert cells(no_kafka, "Partitions")[1] == ["0", NONE, NONE, "1", NONE]
    lake = {"lake": "s3a://{layer}", "s3_endpoint": f"http://{nowhere}", "s3_access_key": "a"}
    no_lake = look(settings.model_copy(update=lake))
    assert list(faults(no_lake)) == ["What was taken in is not known now"]
    assert cells(no_lake, "Partitions")[1] == ["0", "0", "1", NONE, NONE]
    url = Settings(_env_file=None, audit_url=f"postgresql://someone:canary-password@{nowhere}/audit").audit_url
    no_audit = look(settings.model_copy(update={"audit_url": url}))
    assert list(faults(no_audit)) == ["Its runs are not known now"]
    assert "canary-password" not in no_audit
    assert cells(no_audit, "Partitions")[1] == ["0", "0", "1", "1", "0"]


def test_with_all_of_them_away_the_page_is_there_within_5_seconds(settings):
    nowhere = f"127.0.0.1:{free_port()}"
    url = Settings(_env_file=None, audit_url=f"postgresql://someone:canary-password@{nowhere}/audit").audit_url
    away = {"kafka_bootstrap": nowhere, "audit_url": url, "lake": "s3a://{layer}", "s3_endpoint": f"http://{nowhere}"}
    client = client_of(settings.model_copy(update=away))
    client.get("queries")
    began = time.monotonic()
    answer = client.get("streams")
    assert time.monotonic() - began < 6
    assert answer.status_code == 200
    assert len(faults(answer.text)) == 3
    assert [told for told in faults(answer.text).values() if "Next" not in told] == []


def test_without_a_stream_it_says_how_to_have_one(settings):
    contract = settings.pipelines / "olist" / "silver" / "order_reviews.odcs.yaml"
    contract.write_text(re.sub(r"\n +stream: .*", "", contract.read_text()))
    assert "No stream is configured." in look(settings)


def test_a_pipeline_that_cannot_be_read_is_named_and_the_others_stay(settings):
    (settings.pipelines / "broken").mkdir()
    html = look(settings)
    assert "The streams of a pipeline are not known" in html
    assert "broken" in html
    assert "olist.order_reviews" in html
    (settings.pipelines / "broken").rmdir()
    assert "are not known" not in look(settings)
