"""A run in a shell finds a scheduler's run between two of its tasks, where nobody holds a lease."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from lakehouse.audit.alone import hold_alone
from lakehouse.audit.lease import hold
from lakehouse.errors import LeaseHeld

pytestmark = pytest.mark.postgres
LINK = "/dags/medallion_pipeline/runs/manual__1"
PART = """
import sys, time
from lakehouse.audit.log import Audit
audit = Audit(sys.argv[1])
attempt = audit.begin_part("scheduled", "olist", "airflow", {}, sys.argv[2])
if sys.argv[3] == "done":
    audit.end_part("scheduled", attempt)
print(attempt, flush=True)
if sys.argv[3] == "at work":
    sys.stdin.readline()
"""


@pytest.fixture
def part(audit_url):
    """Start a part of a scheduler's run in a process: `done`, `at work` until the test ends, or `killed`."""
    started = []

    def begin(end: str, link: str = LINK):
        words = [sys.executable, "-c", PART, audit_url, link, end]
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline()
        if end != "at work":
            started[-1].communicate(timeout=30)
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def take(audit, audit_url):
    """Take the lease of the pipeline for a run in a shell, and let go of it again."""
    return lambda wait=0: hold_alone(audit_url, audit, "olist", ["olist"], "by-hand", 1, wait).release()


@pytest.mark.parametrize("end", ["done", "at work"])
def test_a_run_whose_tasks_are_still_to_come_is_named_and_nothing_is_held(part, take, audit_url, end):
    part(end)
    with pytest.raises(LeaseHeld, match=r"run scheduled \(by airflow\) since .* is between two of its tasks"):
        take()
    hold(audit_url, ["olist"], "scheduled", 1).release()


def test_it_is_waited_for(part, take, audit):
    part("done")
    ended = threading.Timer(1.5, lambda: audit.finish_run("scheduled", 1, "SUCCESS"))
    began = time.monotonic()
    ended.start()
    take(wait=20)
    assert 1.5 <= time.monotonic() - began < 10
    ended.join()


def test_one_whose_process_was_killed_is_no_hindrance(part, take):
    part("killed")
    take()


def test_one_that_gave_no_sign_for_ten_minutes_is_no_hindrance(part, take, audit, ask):
    part("done")
    ask("UPDATE audit.runs SET started_at = now() - interval '11 minutes'")
    take()
    audit.table_started("scheduled", 1, "bronze", "olist.bronze.orders")
    with pytest.raises(LeaseHeld):
        take()


def test_a_run_of_a_shell_or_of_another_pipeline_is_no_hindrance(part, take, audit):
    part("done", link="")
    audit.end_part("x", audit.begin_part("x", "shop", "airflow", {}, LINK))
    take()
