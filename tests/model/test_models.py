"""The models themselves, held to cases that a person can see are right."""

from __future__ import annotations

from pathlib import Path

from modules import load

scd2 = load(Path(__file__).with_name("scd2_model.py"))
Change, Rules, Version = scd2.Change, scd2.Rules, scd2.Version
A, B = ("a",), ("b",)


def table(changes, **rules):
    (only,) = scd2.admissible(changes, Rules(**rules))
    return only


def test_a_late_change_is_placed_in_the_middle_and_its_neighbour_is_cut():
    changes = [Change(10, 0, A), Change(30, 0, A), Change(20, 0, B)]
    assert table(changes, first_version="at_change") == [
        Version(10, A, None, 20), Version(20, B, None, 30), Version(30, A, None),
    ]  # fmt: skip


def test_a_touch_makes_no_version_and_the_newest_untracked_value_stands():
    assert table([Change(10, 0, A, "x"), Change(20, 0, A, "y")], first_version="at_change") == [Version(10, A, "y")]


def test_the_first_version_is_open_to_the_past():
    assert table([Change(10, 0, A)]) == [Version(scd2.OPEN_PAST, A, None)]


def test_a_delete_closes_and_a_return_opens_after_the_gap():
    changes = [Change(10, 0, A), Change(20, 0, (None,), deleted=True), Change(30, 0, A)]
    closed = [Version(10, A, None, 20), Version(30, A, None)]
    assert table(changes, first_version="at_change") == closed
    recorded = [Version(10, A, None, 20), Version(20, A, None, 30, deleted=True), Version(30, A, None)]
    assert table(changes, first_version="at_change", deletes="record") == recorded
    assert table(changes, first_version="at_change", deletes="ignore") == [Version(10, A, None)]


def test_a_lone_delete_makes_no_version_unless_deletes_are_recorded():
    gone = Change(10, 0, (None,), deleted=True)
    assert table([gone]) == []
    assert table([gone], deletes="record") == [Version(10, (None,), None, deleted=True)]


def test_at_one_moment_the_tie_breaker_decides_then_a_delete_stands_after_an_upsert():
    assert table([Change(10, 1, A), Change(10, 2, B)]) == [Version(scd2.OPEN_PAST, B, None)]
    assert table([Change(10, 1, A), Change(10, 1, (None,), deleted=True)]) == []
    assert len(scd2.admissible([Change(10, 1, A), Change(10, 1, B)], Rules())) == 2
