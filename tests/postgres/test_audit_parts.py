"""A run in parts, each in a process of its own: one attempt while all goes well, the next where one is tried again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lakehouse.audit.log import Audit

pytestmark = pytest.mark.postgres

PART = """
import sys
from lakehouse.audit.log import Audit
audit = Audit(sys.argv[1])
attempt = audit.begin_part("r1", "olist", "airflow", {"tables": ["orders"]})
print(attempt)
if sys.argv[2] == "done":
    audit.end_part("r1", attempt)
"""


def part(url: str, end: str = "done") -> int:
    """Run a part in a process; `killed` leaves the row as a process does that ends without a word."""
    done = subprocess.run([sys.executable, "-c", PART, url, end], capture_output=True, text=True, check=True)
    return int(done.stdout)


def runs(ask) -> list[tuple]:
    return ask("SELECT run_id, attempt, status, error, pid FROM audit.runs ORDER BY run_id, attempt")


def test_parts_that_follow_each_other_are_one_attempt_that_is_running_until_it_is_finished(audit, audit_url, ask):
    assert [part(audit_url), part(audit_url)] == [1, 1]
    assert runs(ask) == [("r1", 1, "RUNNING", None, 0)]
    assert audit.begin_part("r1", "olist", "airflow") == 1
    assert runs(ask) == [("r1", 1, "RUNNING", None, os.getpid())]
    audit.finish_run("r1", 1, "SUCCESS")
    assert ask("SELECT status, params, ended_at IS NOT NULL FROM audit.runs") == [
        ("SUCCESS", {"tables": ["orders"]}, True)
    ]


def test_a_run_that_waits_for_its_next_part_is_not_taken_for_abandoned(audit, audit_url, ask):
    part(audit_url)
    audit.start_run("r2", "olist", 1, "cli")
    assert audit.repair("r2", 1, held=["olist", "olist.silver.orders"]) == []
    assert runs(ask)[0] == ("r1", 1, "RUNNING", None, 0)


def test_a_part_tried_again_after_a_kill_is_the_next_attempt_and_the_first_is_ended(audit_url, ask):
    assert [part(audit_url), part(audit_url, "killed"), part(audit_url), part(audit_url)] == [1, 1, 2, 2]
    assert runs(ask) == [("r1", 1, "FAILED", "replaced by attempt 2", ask_pid(ask)), ("r1", 2, "RUNNING", None, 0)]
    assert ask("SELECT count(*) FROM audit.alerts") == [(0,)]


def ask_pid(ask) -> int:
    ((pid,),) = ask("SELECT pid FROM audit.runs WHERE attempt = 1")
    return pid


@pytest.mark.parametrize("status", ["FAILED", "SUCCESS"])
def test_a_part_tried_again_after_an_end_is_the_next_attempt(audit, audit_url, ask, status):
    part(audit_url)
    audit.finish_run("r1", 1, status, "why")
    assert part(audit_url) == 2
    assert [row[2] for row in runs(ask)] == [status, "RUNNING"]


def test_begun_twice_by_one_process_it_is_the_same_attempt(audit):
    assert [audit.begin_part("r1", "olist", "airflow") for _ in range(2)] == [1, 1]


def test_a_run_whose_next_part_never_came_is_ended_by_the_next_run_of_its_scheduler(audit: Audit, audit_url, ask):
    part(audit_url)
    audit.begin_part("other", "shop", "airflow")
    audit.begin_part("third", "olist", "cli")
    assert {row[2] for row in runs(ask)} == {"RUNNING"}
    audit.begin_part("r2", "olist", "airflow")
    told = "its next part never came (found by run r2)"
    assert [row for row in runs(ask) if row[0] == "r1"] == [("r1", 1, "FAILED", told, 0)]
    assert ask("SELECT run_id, body FROM audit.alerts") == [("r1", told)]


def test_a_run_at_work_in_a_part_is_not_ended_by_another_run(audit: Audit, audit_url, ask):
    part(audit_url, "killed")
    audit.begin_part("r2", "olist", "airflow")
    assert runs(ask)[0][2] == "RUNNING"


def test_a_run_given_up_is_failed_once_with_its_alert(audit: Audit, audit_url, ask):
    part(audit_url)
    assert audit.fail_run("r1", "silver_processing failed")
    assert not audit.fail_run("r1", "again")
    assert not audit.fail_run("unknown", "again")
    assert runs(ask) == [("r1", 1, "FAILED", "silver_processing failed", 0)]
    assert ask("SELECT run_id, body FROM audit.alerts") == [("r1", "silver_processing failed")]


def test_a_run_that_was_given_up_does_not_succeed_afterwards(audit: Audit, ask):
    audit.begin_part("r1", "olist", "airflow")
    audit.fail_run("r1", "task review_producer_task failed")
    audit.finish_run("r1", 1, "SUCCESS")
    assert ask("SELECT status, error FROM audit.runs") == [("FAILED", "task review_producer_task failed")]
    assert ask("SELECT severity FROM audit.alerts") == [("error",)]


def test_the_end_of_a_part_changes_no_run_that_has_ended(audit: Audit, audit_url, ask):
    part(audit_url, "killed")
    audit.finish_run("r1", 1, "FAILED", "why")
    before = runs(ask)
    audit.end_part("r1", 1)
    assert runs(ask) == before


def test_a_failed_attempt_takes_its_tables_with_it(audit, ask):
    attempt = audit.begin_part("r1", "olist", "airflow")
    audit.table_started("r1", attempt, "silver", "olist.silver.orders")
    audit.fail_run("r1", "task silver_processing was ended")
    assert ask("SELECT status, error FROM audit.run_logs") == [("FAILED", "task silver_processing was ended")]
