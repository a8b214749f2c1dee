"""The object store slow, refusing, cutting connections or silent: tried again so often, then one clear error.

Between the jobs and a real MinIO stands a forwarder that makes it so. `rows` is the setting by which small change sets
are written by the driver itself, larger ones by Spark: each has a client of its own for the store.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.settings import Settings

pytestmark = [pytest.mark.stack, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]
BRONZE = ("--layers", "bronze", "--no-publish")
DRIVER, SPARK = "50000", "0"
names = itertools.count()


@pytest.fixture
def forwarder(drill, minio: Settings) -> Iterator[Any]:
    forwarder = drill.Forwarder(f"127.0.0.1:{minio.minio_port}")
    yield forwarder
    forwarder.before = drill.nothing
    forwarder.close()


@pytest.fixture
def shop(new_shop, object_store, minio: Settings, forwarder) -> Any:
    """A shop whose store is reached through the forwarder; two words are in its source."""
    lake = {"LAKE": f"s3a://{{layer}}/t{next(names)}", "S3_ENDPOINT": forwarder.url}
    shop = new_shop(object_store.ObjectStore(minio).lake | lake)
    shop.say({1: "um", 2: "dois"})
    return shop


@pytest.fixture
def direct(object_store, minio: Settings) -> dict[str, str]:
    """How a reader gets at the store past the forwarder."""
    return object_store.ObjectStore(minio).reader


def refused(shop, done) -> None:
    """The run ended as one that the store ended: exit code 75 (try again), one error, a FAILED row with it."""
    assert done.returncode == 75, done.stderr
    (error,) = shop.errors(done)
    status, told = shop.runs()[-1]
    assert status == "FAILED"
    assert told.startswith(error.removeprefix("error: "))
    assert shop.lake["S3_SECRET_KEY"] not in done.stderr + told


@pytest.mark.parametrize("rows", [DRIVER, pytest.param(SPARK, marks=pytest.mark.daily)])
def test_a_slow_store_that_stumbles_is_borne(drill, shop, forwarder, direct, rows):
    seen = itertools.count(1)
    stumbled = []

    def stumble(method: str, path: str) -> int | None:
        number = next(seen)
        time.sleep(0.05)
        if number % 11 == 0:
            stumbled.append("cut")
            raise drill.Cut
        if number % 7 == 0:
            stumbled.append("503")
            return 503
        return None

    forwarder.before = stumble
    done = shop.run(LAKEHOUSE_SMALL_BATCH_ROWS=rows)
    assert done.returncode == 0, done.stderr
    assert {"cut", "503"} == set(stumbled)
    assert shop.table("silver", direct) == {1: "um", 2: "dois"}


def refuse_writes(forwarder, drill, fault: str) -> list[str]:
    """Let no write through from now on; the list grows by the path of each that was tried."""
    writes: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if method not in ("PUT", "POST"):
            return None
        writes.append(path)
        if fault == "cut":
            raise drill.Cut
        return 503

    forwarder.before = refuse
    return writes


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_a_store_that_takes_no_writes_ends_the_run_and_nothing_is_torn(drill, shop, forwarder, direct, fault):
    assert shop.run(*BRONZE).returncode == 0
    shop.say({3: "tres"})
    writes = refuse_writes(forwarder, drill, fault)
    refused(shop, shop.run(*BRONZE))
    assert 1 < len(writes) < 20, "tried again, and not for ever"
    forwarder.before = drill.nothing
    assert shop.table("bronze", direct) == {1: "um", 2: "dois"}
    assert shop.run(*BRONZE).returncode == 0
    assert shop.table("bronze", direct) == {1: "um", 2: "dois", 3: "tres"}


@pytest.mark.parametrize("fault", [pytest.param("cut", marks=pytest.mark.daily), "503"])
def test_a_store_that_takes_no_writes_of_sparks_ends_the_run(drill, shop, forwarder, direct, fault):
    writes = refuse_writes(forwarder, drill, fault)
    refused(shop, shop.run(*BRONZE, LAKEHOUSE_SMALL_BATCH_ROWS=SPARK))
    assert 1 < len(writes) < 100
    forwarder.before = drill.nothing
    assert shop.run(*BRONZE).returncode == 0
    assert shop.table("bronze", direct) == {1: "um", 2: "dois"}


def test_a_store_that_says_nothing_is_not_waited_for_for_ever(drill, shop, forwarder):
    over = threading.Event()
    forwarder.before = lambda method, path: over.wait(100) and None
    try:
        refused(shop, shop.run(*BRONZE))
    finally:
        over.set()
