"""Rows that say RUNNING although nobody works on them, with real processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lakehouse.audit.dead_streams import end_dead_streams
from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.audit.process import Process

pytestmark = pytest.mark.postgres

WORKER = """
import sys, time
from lakehouse.audit.log import Audit
from lakehouse.audit.process import Process
audit = Audit(sys.argv[1])
audit.start_run(sys.argv[2], "olist", 1, "cli")
audit.table_started(sys.argv[2], 1, "silver", "olist.silver.orders")
print("ready", flush=True)
time.sleep(600)
"""
ENDED = "the process ended without a word (found by run r2)"


@pytest.fixture
def worker(audit_url: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of table orders of run r1."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, audit_url, "r1"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_a_stream_that_died_is_found_by_who_stays_and_one_that_is_held_is_left_alone(audit: Audit, audit_url, ask):
    stream = "olist.stream.order_reviews"
    for number, pipeline in enumerate([stream, "olist.stream.orders", "olist.stream.sellers", "olist"]):
        audit.start_run(f"s{number}", pipeline, 1, "cli")
    ask("UPDATE audit.runs SET host = 'elsewhere', started_at = started_at - interval '2 minutes' WHERE run_id <> 's2'")
    with hold(audit_url, ["olist.stream.orders"], "s1", 1):
        assert end_dead_streams(audit_url) == ["s0"]
        assert end_dead_streams(audit_url) == []
    said = ask("SELECT run_id, status, error FROM audit.runs ORDER BY run_id")
    assert said[0] == ("s0", "FAILED", "the process ended without a word (found by run the API server)")
    assert {status for _, status, _ in said[1:]} == {"RUNNING"}
    assert ask("SELECT run_id FROM audit.alerts") == [("s0",)]


def states(ask) -> list[tuple[str, str | None]]:
    return ask(
        "SELECT status, error FROM audit.runs WHERE run_id = 'r1'"
        " UNION ALL SELECT status, error FROM audit.run_logs WHERE run_id = 'r1'"
    )


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "not_yet_reaped"])
def test_the_rows_of_a_killed_process_are_ended_and_an_alert_is_stored(audit: Audit, ask, worker, reaped):
    worker.kill()
    if reaped:
        worker.wait()
    else:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    found = audit.repair("r2", 1)
    assert [(each.run_id, each.layer, each.name) for each in found] == [
        ("r1", "", "olist"),
        ("r1", "silver", "olist.silver.orders"),
    ]
    assert states(ask) == [("FAILED", ENDED)] * 2
    assert ask("SELECT run_id, title, body FROM audit.alerts") == [("r1", "olist: run r1 failed (attempt 1)", ENDED)]
    assert audit.repair("r2", 1) == []


@pytest.mark.parametrize("stopped", [False, True])
def test_a_living_process_is_left_alone_even_when_it_is_stopped(audit: Audit, ask, worker, stopped):
    if stopped:
        worker.send_signal(signal.SIGSTOP)
    assert audit.repair("r2", 1) == []
    assert states(ask) == [("RUNNING", None)] * 2


def test_a_pid_used_again_by_another_process_is_not_taken_for_the_old_one(audit: Audit, ask, worker):
    ask("UPDATE audit.runs SET process_start = regexp_replace(process_start, '/.*', '/1')")
    ask("UPDATE audit.run_logs SET process_start = regexp_replace(process_start, '/.*', '/1')")
    audit.repair("r2", 1)
    assert states(ask) == [("FAILED", ENDED)] * 2


def test_a_process_from_before_the_last_boot_is_gone(audit: Audit, ask, worker):
    ask("UPDATE audit.run_logs SET process_start = 'another-boot/' || split_part(process_start, '/', 2)")
    audit.repair("r2", 1)
    assert states(ask) == [("RUNNING", None), ("FAILED", ENDED)]


def test_another_machines_rows_are_ended_only_for_names_whose_lease_is_held(audit: Audit, ask, worker):
    worker.kill()
    worker.wait()
    for table in ("runs", "run_logs"):
        ask(f"UPDATE audit.{table} SET host = 'another-machine'")
    assert audit.repair("r2", 1, held=["olist.silver.sellers"]) == []
    audit.repair("r2", 1, held=["olist.silver.orders"])
    assert states(ask) == [("RUNNING", None), ("FAILED", ENDED)]
    audit.repair("r2", 1, held=["olist", "olist.silver.orders"])
    assert states(ask) == [("FAILED", ENDED)] * 2


def test_a_run_never_ends_its_own_rows(audit: Audit, ask, worker):
    assert audit.repair("r1", 1, held=["olist", "olist.silver.orders"]) == []
    assert states(ask) == [("RUNNING", None)] * 2


def test_finished_rows_are_left_as_they_are(audit: Audit, ask, worker):
    audit.table_failed("r1", 1, "silver", "olist.silver.orders", "its own words")
    audit.finish_run("r1", 1, "SKIPPED")
    worker.kill()
    worker.wait()
    assert audit.repair("r2", 1, held=["olist", "olist.silver.orders"]) == []
    assert states(ask) == [("SKIPPED", None), ("FAILED", "its own words")]


@pytest.mark.parametrize("word", ["SKIPPED", "FAILED"])
def test_a_row_that_is_finished_while_it_is_looked_at_keeps_its_own_end(
    audit: Audit, audit_url, ask, worker, monkeypatch, word
):
    def finish_meanwhile(_: Process) -> bool:
        with Audit(audit_url) as other:
            other.table_failed("r1", 1, "silver", "olist.silver.orders", "its own words")
            other.finish_run("r1", 1, word, "its own words")
        return True

    monkeypatch.setattr(Process, "is_gone", finish_meanwhile)
    assert audit.repair("r2", 1) == []
    assert ("FAILED", "its own words") in states(ask)
    assert not [error for _, error in states(ask) if error == ENDED]
