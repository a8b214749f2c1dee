"""Leases, with real processes: at once, killed, stopped, and come back from the dead."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from lakehouse.audit import lease_rows
from lakehouse.audit.lease import hold
from lakehouse.errors import AuditUnavailable, LakehouseError, LeaseHeld, LeaseLost, LeaseSessionLost

pytestmark = pytest.mark.postgres

# A process that does what it is told, a line of JSON at a time: take at an instant, check, let go.
WORKER = """
import json, sys, time
from lakehouse.audit import lease_rows
from lakehouse.audit.lease import hold

from lakehouse.errors import LakehouseError
url, lease = sys.argv[1], None
for line in sys.stdin:
    verb, *arguments = json.loads(line)
    try:
        if verb == "hold":
            moment, names, run_id, attempt, wait = arguments
            while time.time() < moment:
                pass
            lease = hold(url, names, run_id, attempt, wait)
            answer = ["held", lease.fences]
        elif verb == "check":
            lease.check()
            answer = ["fine"]
        else:
            lease.release()
            answer = ["released"]
    except LakehouseError as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """One process with one lease."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-c", WORKER, url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> list[Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, *order: Any) -> list[Any]:
        self.send(*order)
        return self.answer()

    def hold(self, run_id: str, attempt: int, *names: str, wait: float = 0) -> list[Any]:
        return self.ask("hold", 0, names or ["olist"], run_id, attempt, wait)


@pytest.fixture
def worker(audit_url: str) -> Iterator[Callable[[], Worker]]:
    """Starts workers; all are ended with the test."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(audit_url))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def test_of_two_processes_at_once_exactly_one_wins_in_each_of_50_races(worker):
    pair = [worker(), worker()]
    for each in pair:
        each.hold("warm", 1, f"warm-{each.process.pid}")
        each.ask("release")
    winners = set()
    for race in range(50):
        moment = time.time() + 0.02
        for number, each in enumerate(pair):
            each.send("hold", moment, ["olist", "olist.silver.orders"], f"run-{race}-{number}", 1, 0)
        answers = [each.answer() for each in pair]
        assert sorted(answer[0] for answer in answers) == ["LeaseHeld", "held"], answers
        winner = [answer[0] for answer in answers].index("held")
        message = answers[1 - winner][1]
        assert f"run-{race}-{winner}, attempt 1" in message
        assert f"(pid {pair[winner].process.pid})" in message
        assert answers[winner][1] == {"olist": race + 1, "olist.silver.orders": race + 1}
        assert pair[winner].ask("check") == ["fine"]
        pair[winner].ask("release")
        winners.add(winner)
    assert winners == {0, 1}, "the race was no race: the same process won every time"


def test_a_refused_run_is_told_who_holds_the_name_and_since_when(worker, audit_url):
    holder = worker()
    holder.hold("scheduled__1", 2, "olist.silver.orders")
    with pytest.raises(LeaseHeld) as caught:
        hold(audit_url, ["olist.silver.orders"], "by-hand", 1)
    text = str(caught.value)
    for part in ("olist.silver.orders", "run scheduled__1, attempt 2", os.uname().nodename, str(holder.process.pid)):
        assert part in text
    assert time.strftime("%Y-%m-%d", time.gmtime()) in text
    assert "UTC" in text
    assert caught.value.heals


def test_a_holder_killed_by_kill_9_frees_its_names(worker, audit_url, ask):
    holder = worker()
    assert holder.hold("r1", 1, "a", "b") == ["held", {"a": 1, "b": 1}]
    assert ask("SELECT count(*) FROM audit.leases_held") == [(2,)]
    holder.process.kill()
    holder.process.wait()
    with hold(audit_url, ["a", "b"], "r2", 1, wait_seconds=5) as lease:
        assert lease.fences == {"a": 2, "b": 2}
        assert ask("SELECT DISTINCT run_id FROM audit.leases_held") == [("r2",)]
    assert ask("SELECT count(*) FROM audit.leases_held") == [(0,)]


def test_a_later_attempt_fences_a_living_first_attempt(worker, audit_url):
    zombie = worker()
    zombie.hold("r1", 1, "a", "b")
    assert zombie.ask("check") == ["fine"]
    with hold(audit_url, ["a", "b"], "r1", 2) as lease:
        name, text = zombie.ask("check")
        assert name == "LeaseLost"
        assert "run r1, attempt 1" in text
        lease.check()
        assert zombie.hold("r1", 1, "a")[0] == "LeaseHeld", "the fenced attempt must not take it back"
        lease.check()


def test_an_attempt_stopped_in_the_middle_cannot_commit_after_it_wakes(worker, audit_url):
    zombie = worker()
    zombie.hold("r1", 1)
    zombie.process.send_signal(signal.SIGSTOP)
    with hold(audit_url, ["olist"], "r1", 2):
        zombie.process.send_signal(signal.SIGCONT)
        assert zombie.ask("check")[0] == "LeaseLost"
    zombie.ask("release")
    assert zombie.ask("check")[0] == "LeaseLost", "what was lost stays lost when the later attempt has ended"


def test_the_fence_alone_stops_an_attempt_whose_session_lives(audit_url, ask):
    with hold(audit_url, ["olist"], "r1", 1) as lease:
        ask("UPDATE audit.leases SET fence = fence + 1")
        with pytest.raises(LeaseLost, match="olist went to a later holder"):
            lease.check()


@pytest.mark.parametrize(("run_id", "attempt"), [("r1", 1), ("r1", 2), ("r2", 3), ("r2", 9)])
def test_neither_another_run_nor_an_earlier_or_equal_attempt_takes_over(worker, audit_url, run_id, attempt):
    holder = worker()
    holder.hold("r1", 2)
    with pytest.raises(LeaseHeld):
        hold(audit_url, ["olist"], run_id, attempt)
    assert holder.ask("check") == ["fine"]


def test_of_two_attempts_that_replace_a_first_one_the_latest_ends_up_holding(worker, audit_url):
    second, third = worker(), worker()
    for race in range(10):
        with hold(audit_url, ["olist"], f"r{race}", 1) as first:
            moment = time.time() + 0.02
            second.send("hold", moment, ["olist"], f"r{race}", 2, 0)
            third.send("hold", moment, ["olist"], f"r{race}", 3, 0)
            assert third.answer()[0] == "held"
            assert second.answer()[0] in ("held", "LeaseHeld", "AuditUnavailable")
            assert third.ask("check") == ["fine"]
            with pytest.raises(LeaseLost):
                first.check()
        third.ask("release")


def test_a_holder_is_not_ended_for_what_was_seen_of_an_earlier_one(audit_url, ask):
    with hold(audit_url, ["olist"], "r1", 1) as lease, hold(audit_url, ["other"], "r1", 2) as later:
        with later._connection.cursor() as cursor:
            found = lease_rows.holder(cursor, "olist")
            lease_rows.fence_off(cursor, "olist", dataclasses.replace(found, fence=found.fence - 1))
            lease_rows.fence_off(cursor, "olist", dataclasses.replace(found, backend_pid=1))
        lease.check()


def test_waiting_for_another_run_ends_when_it_lets_go(worker, audit_url):
    holder = worker()
    holder.hold("r1", 1)
    timer = threading.Timer(0.5, lambda: holder.ask("release"))
    timer.start()
    began = time.monotonic()
    with hold(audit_url, ["olist"], "r2", 1, wait_seconds=10) as lease:
        lease.check()
    timer.join()
    assert 0.3 < time.monotonic() - began < 5


def test_waiting_has_an_end(worker, audit_url):
    worker().hold("r1", 1)
    began = time.monotonic()
    with pytest.raises(LeaseHeld):
        hold(audit_url, ["olist"], "r2", 1, wait_seconds=0.5)
    assert 0.4 < time.monotonic() - began < 3


def test_a_refused_run_keeps_none_of_its_names(worker, audit_url):
    worker().hold("r1", 1, "b")
    with pytest.raises(LeaseHeld):
        hold(audit_url, ["a", "b", "c"], "r2", 1)
    with hold(audit_url, ["a", "c"], "r3", 1, wait_seconds=2):
        pass


def test_two_runs_that_name_their_tables_in_opposite_order_do_not_wait_for_each_other(worker):
    pair = [worker(), worker()]
    for _ in range(10):
        moment = time.time() + 0.02
        pair[0].send("hold", moment, ["a", "b"], "r1", 1, 10)
        pair[1].send("hold", moment, ["b", "a"], "r2", 1, 10)
        time.sleep(0.1)
        began = time.monotonic()
        for each in pair:
            each.send("release")
        assert sorted(each.answer()[0] for each in pair) == ["held", "held"]
        assert [each.answer() for each in pair] == [["released"]] * 2
        assert time.monotonic() - began < 5


def test_a_session_ended_by_the_server_is_a_lost_lease(audit_url, ask):
    with hold(audit_url, ["olist"], "r1", 1) as lease:
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'lakehouse lease%%'")
        with pytest.raises(LeaseLost, match="session is gone") as alone:
            lease.check()
        with hold(audit_url, ["olist"], "r2", 1):
            pass
        with pytest.raises(LeaseLost, match="olist went to a later holder") as replaced:
            lease.check()
    assert alone.value.heals, "nobody has the lease: a retry can take it"
    assert not replaced.value.heals


def test_a_database_that_has_gone_away_lets_a_later_attempt_take_the_lease(audit_url, ask, monkeypatch):
    def away(*_: object) -> None:
        raise AuditUnavailable("the audit database cannot be used.")

    with hold(audit_url, ["olist"], "r1", 1) as lease:
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'lakehouse lease%%'")
        with monkeypatch.context() as patched, pytest.raises(LeaseSessionLost):
            patched.setattr("lakehouse.audit.lease.connect", away)
            lease.check()
    with hold(audit_url, ["olist"], "r1", 2) as again:
        again.check()


def test_a_session_that_has_locked_and_says_nothing_is_reported_as_such(audit_url, ask, monkeypatch):
    monkeypatch.setattr("lakehouse.audit.lease.TAKEOVER_SECONDS", 0.3)
    ask("SELECT pg_advisory_lock(%s)", lease_rows.lock_key("olist"))
    ((pid,),) = ask("SELECT pg_backend_pid()")
    with pytest.raises(LeaseHeld, match=f"process {pid} of the database server"):
        hold(audit_url, ["olist"], "r1", 1)


def test_a_lease_is_usable_by_many_threads(audit_url):
    failures: list[LakehouseError] = []

    def work(lease) -> None:
        try:
            for _ in range(50):
                lease.check()
        except LakehouseError as error:
            failures.append(error)

    with hold(audit_url, ["a", "b"], "r1", 1) as lease:
        threads = [threading.Thread(target=work, args=[lease]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_database_that_is_away_or_empty_is_said(database):
    with pytest.raises(AuditUnavailable, match="lakehouse migrate"):
        hold(database, ["olist"], "r1", 1)
    with pytest.raises(AuditUnavailable):
        hold("postgresql://u:p@127.0.0.1:1/none", ["olist"], "r1", 1)
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchone() == (0,)


def test_what_was_let_go_can_be_taken_at_once(audit_url):
    for turn in range(50):
        with hold(audit_url, ["a", "b"], f"r{turn}", 1):
            pass


def test_names_after_the_first_are_waited_for_in_turns(audit_url):
    stream = hold(audit_url, ["shop.silver.reviews"], "stream", 1)
    threading.Timer(1, stream.release).start()
    with hold(audit_url, ["shop", "shop.silver.reviews"], "batch", 1, turn_seconds=10) as lease:
        assert lease.fences.keys() == {"shop", "shop.silver.reviews"}
        began = time.monotonic()
        with pytest.raises(LeaseHeld, match="run batch"):
            hold(audit_url, ["shop", "shop.silver.reviews"], "second", 1, turn_seconds=10)
        assert time.monotonic() - began < 5
    with (
        hold(audit_url, ["shop.silver.reviews"], "stream", 1),
        pytest.raises(LeaseHeld, match=r"silver\.reviews.*stream"),
    ):
        hold(audit_url, ["shop", "shop.silver.reviews"], "batch", 1, turn_seconds=1)
