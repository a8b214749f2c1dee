"""The object store's own disk full: one clear line, what is there stays readable, and on it goes once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.settings import Settings
from lakehouse.stack.layout import layout

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]
NOTHING_PUBLISHED = ("--layers", "bronze,silver", "--no-publish")
# By the driver itself, or all by Spark.
ROADS = ["50000", pytest.param("0", marks=pytest.mark.daily)]


@pytest.fixture
def disk(drill, settings: Settings) -> Iterator[Any]:
    with drill.small_disk(layout(settings).data("minio"), 64) as disk:
        yield disk


@pytest.mark.parametrize("rows", ROADS)
def test_a_store_without_room_ends_the_run_and_recovers(new_shop, disk, settings, object_store, rows):
    with object_store.running(settings) as store:
        reader = store.reader
        shop = new_shop(store.lake | {"SMALL_BATCH_ROWS": rows})
        shop.say({1: "um", 2: "dois"})
        assert shop.run(*NOTHING_PUBLISHED).returncode == 0
        disk.fill()
        shop.say({2: "two", 3: "tres"})
        done = shop.run(*NOTHING_PUBLISHED)
        assert done.returncode == 75, done.stderr
        (error,) = shop.errors(done)
        assert "has reached its minimum free dri" in error
        status, told = shop.runs()[-1]
        assert status == "FAILED"
        assert told.startswith(error.removeprefix("error: "))
        assert shop.table("bronze", reader) == shop.table("silver", reader) == {1: "um", 2: "dois"}
        disk.make_room()
        assert shop.run(*NOTHING_PUBLISHED).returncode == 0
        assert shop.table("silver", reader) == {1: "um", 2: "two", 3: "tres"}
