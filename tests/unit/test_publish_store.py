"""Manifests in a folder and in a bucket: numbered, created once, whole or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from lakehouse.errors import ParameterError, StateError
from lakehouse.publish.store import current, kept, publish, roll_back


def test_before_the_first_publication_there_is_none(settings):
    assert current(settings, "olist") is None
    assert kept(settings, "olist", 10) == []


def test_a_publication_is_one_numbered_file_that_says_everything(settings, raw):
    manifest = publish(settings, "olist", "r1", {"olist.gold.fact_sales": 3, "olist.silver.orders": 0})
    assert raw(settings).names() == ["0000000001.json"]
    record = json.loads(raw(settings).read("0000000001.json"))
    moment = datetime.fromisoformat(record.pop("published_at"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert record == {
        "number": 1,
        "pipeline": "olist",
        "run_id": "r1",
        "tables": {"olist.gold.fact_sales": 3, "olist.silver.orders": 0},
        "rolled_back_to": None,
    }
    assert current(settings, "olist") == manifest


def test_the_highest_number_is_current_and_pipelines_do_not_mix(settings, raw):
    for version in range(12):
        publish(settings, "olist", f"r{version}", {"t": version})
    publish(settings, "shop", "s1", {"u": 1})
    assert current(settings, "olist").number == 12
    assert current(settings, "olist").tables == {"t": 11}
    assert current(settings, "shop").tables == {"u": 1}
    assert [each.number for each in kept(settings, "olist", 3)] == [12, 11, 10]
    assert len(kept(settings, "olist", 100)) == 12


def test_the_same_versions_make_no_new_publication(settings, raw):
    first = publish(settings, "olist", "r1", {"t": 1, "u": 2})
    assert publish(settings, "olist", "r2", {"u": 2, "t": 1}) == first
    assert raw(settings).names() == ["0000000001.json"]
    assert publish(settings, "olist", "r3", {"t": 1}).number == 2
    assert publish(settings, "olist", "r4", {"t": 1, "u": 2}).number == 3


def test_a_roll_back_is_a_new_publication_of_the_older_versions(settings, raw):
    publish(settings, "olist", "r1", {"t": 1})
    publish(settings, "olist", "r2", {"t": 2, "u": 0})
    back = roll_back(settings, "olist", 1, "by-hand")
    assert (back.number, back.tables, back.rolled_back_to, back.run_id) == (3, {"t": 1}, 1, "by-hand")
    assert current(settings, "olist") == back
    assert roll_back(settings, "olist", 1, "again") == back
    assert raw(settings).names() == ["0000000001.json", "0000000002.json", "0000000003.json"]


@pytest.mark.parametrize("number", [0, 3, -1, 10_000_000_000])
def test_a_roll_back_to_an_unknown_number_names_the_kept_ones(settings, number):
    publish(settings, "olist", "r1", {"t": 1})
    publish(settings, "olist", "r2", {"t": 2})
    with pytest.raises(ParameterError, match=r"Allowed: 2, 1\."):
        roll_back(settings, "olist", number, "r3")
    assert current(settings, "olist").number == 2


GOOD = {
    "number": 2,
    "pipeline": "olist",
    "run_id": "r2",
    "published_at": "2026-01-01T00:00:00+00:00",
    "tables": {"t": 2},
    "rolled_back_to": None,
}
TORN = {
    "empty": b"",
    "cut": json.dumps(GOOD).encode()[:60],
    "a_list": b"[]",
    "not_utf8": b"\xff\xfe\x00",
    "no_tables": json.dumps({**GOOD, "tables": {}}).encode(),
    "version_is_text": json.dumps({**GOOD, "tables": {"t": "2"}}).encode(),
    "version_is_true": json.dumps({**GOOD, "tables": {"t": True}}).encode(),
    "negative_version": json.dumps({**GOOD, "tables": {"t": -1}}).encode(),
    "tables_is_a_list": json.dumps({**GOOD, "tables": ["t"]}).encode(),
    "field_missing": json.dumps({key: GOOD[key] for key in GOOD if key != "run_id"}).encode(),
    "field_unknown": json.dumps({**GOOD, "extra": 1}).encode(),
    "time_without_zone": json.dumps({**GOOD, "published_at": "2026-01-01T00:00:00"}).encode(),
    "another_number": json.dumps({**GOOD, "number": 1}).encode(),
    "another_pipeline": json.dumps({**GOOD, "pipeline": "shop"}).encode(),
}


@pytest.mark.parametrize("content", TORN.values(), ids=TORN.keys())
def test_a_torn_newest_manifest_is_an_error_and_nothing_is_published_over_it(folder, content, raw):
    publish(folder, "olist", "r1", {"t": 1})
    files = raw(folder)
    files.write("0000000002.json", content)
    for attempt in (
        lambda: current(folder, "olist"),
        lambda: kept(folder, "olist", 5),
        lambda: publish(folder, "olist", "r3", {"t": 3}),
        lambda: roll_back(folder, "olist", 1, "r3"),
    ):
        with pytest.raises(StateError, match=r"0000000002\.json"):
            attempt()
    assert files.names() == ["0000000001.json", "0000000002.json"]
    files.write("0000000002.json", json.dumps(GOOD).encode())
    assert current(folder, "olist").tables == {"t": 2}


def test_a_torn_manifest_in_a_bucket_is_an_error_too(bucket, raw):
    publish(bucket, "olist", "r1", {"t": 1})
    raw(bucket).write("0000000002.json", b"{")
    with pytest.raises(StateError, match=r"0000000002\.json"):
        current(bucket, "olist")


def test_what_a_killed_writer_left_behind_is_no_manifest(folder, raw):
    publish(folder, "olist", "r1", {"t": 1})
    raw(folder).write("0000000002.json#1", b"{")
    raw(folder).write("notes.txt", b"x")
    assert current(folder, "olist").number == 1
    assert publish(folder, "olist", "r2", {"t": 2}).number == 2


@pytest.mark.parametrize("tables", [{}, {"t": -1}, {"": 1}])
def test_what_could_not_be_read_back_is_not_written(settings, raw, tables):
    with pytest.raises((ValueError, StateError)):
        publish(settings, "olist", "r1", tables)
    assert raw(settings).names() == []


@pytest.mark.parametrize("name", ["../olist", "a/b", "", "Olist", "a b"])
def test_a_pipelines_name_never_leads_out_of_its_folder(folder, name):
    with pytest.raises(ParameterError):
        publish(folder, name, "r1", {"t": 1})


def test_publishing_needs_neither_pyspark_nor_pandas():
    code = "import sys, lakehouse.publish.store, lakehouse.audit.log, lakehouse.audit.lease, lakehouse.audit.migrate\n"
    code += "print([name for name in ('pyspark', 'pandas', 'pyarrow', 'deltalake', 'airflow') if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
