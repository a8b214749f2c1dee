"""The disk full, of the lake or of Spark: one clear line, earlier versions readable, and on it goes once there is room.

A small tmpfs is the disk, so it takes a machine where this user may mount one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]
NOTHING_PUBLISHED = ("--layers", "bronze,silver", "--no-publish")
# By the driver itself, or all by Spark.
ROADS = ["50000", pytest.param("0", marks=pytest.mark.daily)]


@pytest.fixture
def disk(drill, tmp_path: Path) -> Iterator[Any]:
    with drill.small_disk(tmp_path / "disk", 4) as disk:
        yield disk


def refused(shop, done) -> None:
    """The run ended as one that a full disk ends: exit code 75 (try again), one error, a FAILED row with it."""
    assert done.returncode == 75, done.stderr
    (error,) = shop.errors(done)
    assert "No space left on device" in error or "os error 28" in error
    status, told = shop.runs()[-1]
    assert status == "FAILED"
    assert told.startswith(error.removeprefix("error: "))


@pytest.mark.parametrize("rows", ROADS)
def test_a_full_lake_fails_cleanly_and_recovers(new_shop, disk, rows):
    shop = new_shop({"LAKE": f"{disk.place}/{{layer}}", "SMALL_BATCH_ROWS": rows})
    shop.say({1: "um", 2: "dois"})
    assert shop.run(*NOTHING_PUBLISHED).returncode == 0
    disk.fill()
    shop.say({2: "two", 3: "tres"})
    refused(shop, shop.run(*NOTHING_PUBLISHED))
    assert shop.table("bronze") == shop.table("silver") == {1: "um", 2: "dois"}
    for commit in disk.place.glob("*/shop/words/_delta_log/*.json"):
        assert [json.loads(line) for line in commit.read_text().splitlines()]
    disk.make_room()
    assert shop.run().returncode == 0
    assert shop.table("silver") == {1: "um", 2: "two", 3: "tres"}
    assert shop.table("silver", version=0) == {1: "um", 2: "dois"}
    assert [status for status, _ in shop.runs()] == ["SUCCESS", "FAILED", "SUCCESS"]


@pytest.mark.daily
def test_spark_without_room_for_its_own_files_fails_cleanly_and_recovers(new_shop, disk):
    shop = new_shop({"SMALL_BATCH_ROWS": "0"})
    shop.say({1: "um", 2: "dois"})
    disk.fill()
    refused(shop, shop.run(*NOTHING_PUBLISHED, SPARK_LOCAL_DIRS=str(disk.place)))
    disk.make_room()
    assert shop.run(SPARK_LOCAL_DIRS=str(disk.place)).returncode == 0
    assert shop.table("silver") == {1: "um", 2: "dois"}
