"""The horizon: what was stamped before it is all there to be read, whoever is still writing."""

from __future__ import annotations

import random
import threading
import time
import uuid
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from lakehouse.errors import SourceError
from lakehouse.source import horizon as horizon_module
from lakehouse.source.horizon import fix_horizon
from lakehouse.stack.ports import free_port
from lakehouse.stack.postgres import PostgresServer, running

pytestmark = pytest.mark.postgres

TABLE = "CREATE TABLE sale (id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())"


@pytest.fixture
def shop(database, ask):
    ask(TABLE)
    return database


@pytest.fixture
def session(shop):
    """Opens sessions of other people, which end with the test."""
    with ExitStack() as stack:

        def begin(url=shop, statement="SELECT 1"):
            connection = stack.enter_context(closing(psycopg2.connect(url)))
            cursor = connection.cursor()
            cursor.execute(statement)
            return connection

        yield begin


def server_time(ask):
    return ask("SELECT clock_timestamp()")[0][0]


def test_with_nobody_writing_it_is_the_sources_clock(shop, ask):
    before = server_time(ask)
    horizon = fix_horizon(shop)
    assert before < horizon.at == horizon.clock < server_time(ask)
    assert (horizon.oldest_open, horizon.held_by, horizon.warnings) == (None, (), ())
    assert horizon.at.tzinfo is not None


def test_a_transaction_that_commits_late_is_never_passed(shop, ask, session):
    writer = session(statement="INSERT INTO sale DEFAULT VALUES")
    stamp = ask("SELECT xact_start FROM pg_stat_activity WHERE pid = %s", writer.info.backend_pid)[0][0]
    ask("INSERT INTO sale DEFAULT VALUES")
    horizon = fix_horizon(shop)
    assert horizon.at == horizon.oldest_open == stamp < horizon.clock
    assert horizon.held_by == (writer.info.backend_pid,)
    writer.commit()
    assert ask("SELECT count(*) FROM sale WHERE updated_at < %s", horizon.at) == [(0,)]
    later = fix_horizon(shop)
    window = "SELECT count(*) FROM sale WHERE updated_at >= %s AND updated_at < %s"
    assert ask(window, horizon.at, later.at) == [(2,)]


def test_one_that_has_only_read_so_far_may_still_write(shop, session):
    reader = session()
    assert fix_horizon(shop).held_by == (reader.info.backend_pid,)


def test_the_oldest_of_several_holds(shop, session):
    first = session()
    session()
    assert fix_horizon(shop).held_by == (first.info.backend_pid,)
    first.rollback()
    assert fix_horizon(shop).held_by != (first.info.backend_pid,)


def test_a_transaction_in_another_database_holds_nothing(shop, session, postgres):
    session(url=postgres)
    assert fix_horizon(shop).oldest_open is None


def test_a_clock_that_was_set_back_ends_what_has_been_read_beyond_it(shop):
    horizon = fix_horizon(shop)
    assert horizon.reach(None) == horizon.reach(horizon.clock) == horizon.at
    with pytest.raises(SourceError, match=r"source .*set back.*correct the clock.*--from .*Z --to .*Z`"):
        horizon.reach(horizon.clock + timedelta(microseconds=1))


def test_who_holds_it_for_long_is_named_with_the_age(shop, session, monkeypatch):
    writer = session()
    assert fix_horizon(shop).warnings == ()
    monkeypatch.setattr(horizon_module, "_WARN_AFTER", timedelta(0))
    (warning,) = fix_horizon(shop).warnings
    assert f"process {writer.info.backend_pid} has a transaction open for 0:00:0" in warning


def test_a_callers_connection_is_used_as_it_is_and_does_not_hold_itself(shop, session):
    with closing(psycopg2.connect(shop)) as own:
        own.cursor().execute("SELECT count(*) FROM pg_stat_activity")  # freezes what this transaction sees of others
        other = session()
        assert fix_horizon(own).held_by == (other.info.backend_pid,)
        assert own.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INTRANS


def test_rows_of_one_moment_fall_on_one_side(shop, ask):
    """Hundreds of rows with one stamp, and a horizon exactly there: all in the next window, none in this one."""
    ask("INSERT INTO sale SELECT FROM generate_series(1, 300)")
    (stamp,) = ask("SELECT DISTINCT updated_at FROM sale")[0]
    assert fix_horizon(shop).at > stamp
    windows = [(stamp - timedelta(days=1), stamp), (stamp, fix_horizon(shop).at)]
    count = "SELECT count(*) FROM sale WHERE updated_at >= %s AND updated_at < %s"
    assert [ask(count, *window)[0][0] for window in windows] == [0, 300]


def test_a_user_who_cannot_see_others_is_told_what_to_grant(shop, ask, session):
    name = f"poor_{uuid.uuid4().hex[:8]}"
    ask(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    parts = urlsplit(shop)
    poor = f"postgresql://{name}:x@{parts.hostname}:{parts.port}{parts.path}"
    try:
        other = session()
        with pytest.raises(SourceError, match=f"GRANT pg_read_all_stats TO {name};"):
            fix_horizon(poor)
        ask(f"GRANT pg_read_all_stats TO {name}")
        assert fix_horizon(poor).held_by == (other.info.backend_pid,)
        ask(f"REVOKE pg_read_all_stats FROM {name}; GRANT pg_monitor TO {name}")
        assert fix_horizon(poor).held_by == (other.info.backend_pid,)
    finally:
        ask(f"DROP ROLE {name}")


def write_until(stop, url, written, seed):
    """Transactions of 0 to 40 ms; every fifth is rolled back. `written` gets the ids of the committed rows."""
    lots = random.Random(seed)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        while not stop.is_set():
            cursor.execute("INSERT INTO sale DEFAULT VALUES RETURNING id")
            (number,) = cursor.fetchone()
            time.sleep(lots.random() * 0.04)
            if lots.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()
                written.append(number)


def windows_under_writers(url, ask, fix, rounds=25, rows_wanted=200):
    """Read window after window while six writers work; return the ids as read, and those that were committed."""
    stop, written, read = threading.Event(), [], []
    writers = [threading.Thread(target=write_until, args=(stop, url, written, seed)) for seed in range(6)]
    for writer in writers:
        writer.start()
    previous = ask("SELECT clock_timestamp() - interval '1 day'")[0][0]
    rows = "SELECT id FROM sale WHERE updated_at >= %s AND updated_at < %s"

    def next_window():
        nonlocal previous
        horizon = fix(previous)
        read.extend(number for (number,) in ask(rows, previous, horizon))
        previous = horizon

    windows, give_up = 0, time.monotonic() + 60
    while (windows < rounds or len(written) <= rows_wanted) and time.monotonic() < give_up:
        next_window()
        windows += 1
    stop.set()
    for writer in writers:
        writer.join()
    next_window()
    return sorted(read), sorted(written)


def test_windows_under_concurrent_writers_hold_every_row_once(shop, ask):
    read, written = windows_under_writers(shop, ask, lambda previous: max(fix_horizon(shop).at, previous))
    assert len(written) > 200
    assert read == written


def test_the_same_windows_by_the_clock_alone_lose_rows(shop, ask):
    """Shows that the test above can fail: a horizon that is just the time of the read skips what commits later."""
    read, written = windows_under_writers(shop, ask, lambda previous: server_time(ask))
    assert set(read) < set(written)


@pytest.fixture(scope="module")
def own_server(postgres, tmp_path_factory):
    """A second server, whose programs are those of the first: it takes prepared transactions."""
    with closing(psycopg2.connect(postgres)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        home = Path(cursor.fetchone()[0]).parent
    folder = tmp_path_factory.mktemp("server")
    for parent in [folder, *folder.parents][:4]:
        parent.chmod(0o755)
    return PostgresServer(
        home, folder / "data", free_port(), password="x", options=("max_prepared_transactions=3", "fsync=off")
    )


def test_a_prepared_transaction_holds_the_horizon_where_it_is(own_server):
    with running(own_server, own_server.data.parent / "log"), closing(psycopg2.connect(own_server.url())) as connection:
        url = own_server.url()
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(TABLE)
        previous = fix_horizon(url).at
        cursor.execute("BEGIN; INSERT INTO sale DEFAULT VALUES; PREPARE TRANSACTION 'transfer 7'")
        held = fix_horizon(url)
        assert (held.reach(previous), held.prepared) == (previous, ("transfer 7",))
        assert "transfer 7" in held.warnings[0]
        with pytest.raises(SourceError, match=r"transfer 7.*COMMIT PREPARED"):
            held.reach(None)
        cursor.execute("COMMIT PREPARED 'transfer 7'")
        free = fix_horizon(url)
        cursor.execute("SELECT count(*) FROM sale WHERE updated_at >= %s AND updated_at < %s", [previous, free.at])
        assert cursor.fetchone() == (1,)


def test_a_replica_is_refused(own_server):
    """A replica does not see what is open on its primary. This one has no primary at all, which is enough to be one."""
    with running(own_server, own_server.data.parent / "log"):
        pass
    (own_server.data / "standby.signal").touch()
    with (
        running(own_server, own_server.data.parent / "log"),
        pytest.raises(SourceError, match=r"replica.*address of the primary"),
    ):
        fix_horizon(own_server.url())
