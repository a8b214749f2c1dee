"""Checkpoints of a long log, in a folder and in a bucket: found near the version, or wherever they are."""

from __future__ import annotations

import pytest

from lakehouse.changes.log import newest_checkpoint
from lakehouse.changes.place import place_of

CHECKPOINTS = (0, 10, 250, 260)


@pytest.fixture
def place(settings):
    place = place_of(settings, settings.table_uri("bronze", "shop", "orders"))
    for version in (*range(0, 270, 30), *CHECKPOINTS):
        place.create_object(f"_delta_log/{version:020d}.json", b"{}")
    for version in CHECKPOINTS:
        place.create_object(f"_delta_log/{version:020d}.checkpoint.parquet", b"PAR1")
    place.create_object(f"_delta_log/_sidecars/{255:020d}.checkpoint.parquet", b"PAR1")
    return place


@pytest.mark.parametrize(
    ("version", "found"), [(0, 0), (9, 0), (10, 10), (99, 10), (240, 10), (250, 250), (259, 250), (999, 260)]
)
def test_the_newest_checkpoint_that_is_not_after_a_version(place, version, found):
    assert newest_checkpoint(place, version) == found


def test_a_log_without_checkpoints_has_none(settings):
    place = place_of(settings, settings.table_uri("bronze", "shop", "nothing"))
    assert newest_checkpoint(place, 500) == -1


@pytest.mark.parametrize("after", ["", "2018", "2019", "3"])
def test_names_after_one_are_those_that_sort_after_it(settings, after):
    place = place_of(settings, settings.table_uri("bronze", "shop", "orders"))
    names = ["2017", "2018", "2018.json", "2020"]
    for name in names:
        place.create_object(f"folder/{name}", b"x")
    place.create_object("folder/below/2021", b"x")
    place.create_object("folder2/2022", b"x")
    assert place.list_objects("folder", after) == [name for name in names if name > after]
