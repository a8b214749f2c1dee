"""Deletes by key-scan: whatever came and went in a bucket, what is found is what sets in plain Python say."""

from __future__ import annotations

from hashlib import md5

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.lake import live_keys, missing_keys


def digest(key: str) -> str:
    return md5(key.encode()).hexdigest()


# Few buckets, with many keys each.
BUCKETS = {digest(str(number))[:3] for number in range(3)}
POOL = [str(number) for number in range(60_000) if digest(str(number))[:3] in BUCKETS]
KEYS = st.sets(st.sampled_from(POOL), max_size=12)


def sums(keys):
    found = {}
    for key in keys:
        count, total = found.get(digest(key)[:3], (0, 0))
        found[digest(key)[:3]] = (count + 1, total + int(digest(key)[3:18], 16))
    return found


def missing(lake, below, above, asked, arriving=()):
    """`below` and `above`: the source's keys whose rows are stamped before the horizon, and after it."""

    def source_keys(wanted):
        asked.update(wanted)
        return [key for key in wanted if key[0] in below | above]

    live = live_keys(pa.table({"id": sorted(lake)}), None, ["id"])
    return missing_keys(live, list(arriving), lambda: sums(below), source_keys)


@given(KEYS, KEYS, KEYS, KEYS, KEYS)
@settings(max_examples=100, deadline=None)
def test_every_key_that_went_is_found_whatever_came(held, came, went, touched, arriving):
    """Whatever the window is said to bring: keys that the lake has, that came and went again, or none."""
    lake = held | went | touched
    below, above = (lake | came) - went - touched, touched - went
    found = missing(lake, below, above, set(), [*arriving, *arriving])
    assert found == sorted((key,) for key in lake - below - above)


@given(KEYS, KEYS, KEYS)
@settings(max_examples=40, deadline=None)
def test_what_the_window_brings_makes_no_bucket_differ(held, came, changed):
    asked, lake = set(), held | changed
    assert missing(lake, lake | came, set(), asked, came | changed) == []
    assert asked == set()


def test_one_that_came_hides_none_that_went_in_its_bucket():
    went, came = [key for key in POOL if digest(key)[:3] == digest("0")[:3]][:2]
    assert missing({went}, {came}, set(), set()) == [(went,)]


def test_no_key_of_a_bucket_that_is_alike_is_looked_for():
    asked = set()
    assert missing(set(POOL), set(POOL), set(), asked) == []
    assert asked == set()
