"""What a person reads when the source refuses, is away or goes away, and what they never read."""

from __future__ import annotations

import threading
import time
import traceback
from urllib.parse import quote, urlsplit

import psycopg2
import pytest

from lakehouse.errors import SourceError, SourceUnavailable
from lakehouse.source.connect import reading, reading_by, transaction
from lakehouse.stack.ports import free_port

pytestmark = pytest.mark.postgres
CANARY = "canary/7%&?"


def with_login(url, user, password, database=None):
    parts = urlsplit(url)
    return f"postgresql://{user}:{quote(password, safe='')}@{parts.hostname}:{parts.port}/{database or parts.path[1:]}"


def error_of(kind, url):
    """The error of connecting, after looking for the secret in all that could be shown of it."""
    with pytest.raises(kind) as caught, reading(url):
        pass
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for secret in ("canary", url):
        assert secret not in shown
    return str(caught.value)


def test_a_wrong_password_is_said_without_the_password(database):
    user = urlsplit(database).username
    message = error_of(SourceError, with_login(database, user, CANARY))
    assert f'password authentication failed for user "{user}"' in message
    assert str(urlsplit(database).port) in message


def test_a_database_that_is_not_there_is_named(database):
    parts = urlsplit(database)
    url = with_login(database, parts.username, parts.password, "absent")
    assert 'database "absent" does not exist' in error_of(SourceError, url)


def test_a_source_that_is_down_may_come_back(database):
    message = error_of(SourceUnavailable, f"postgresql://u:{quote(CANARY, safe='')}@127.0.0.1:{free_port()}/x")
    assert "Connection refused" in message
    assert SourceUnavailable.heals


@pytest.mark.parametrize(
    "url", ["postgresql://u:canary@[::1/x", "postgresql://u:canary%@h/x", "nonsense canary", "password=canary nonsense"]
)
def test_a_url_that_cannot_be_read_is_not_shown(url):
    assert "cannot be read" in error_of(SourceError, url)


def test_sessions_are_in_utc_under_our_name(database):
    with reading(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('TimeZone'), current_setting('application_name')")
        assert cursor.fetchall() == [("UTC", "lakehouse")]


def test_a_reader_cannot_write(database):
    with pytest.raises(SourceError, match="read-only"), reading(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t ()")


def test_a_transaction_is_kept_whole_or_not_at_all(database, ask):
    with transaction(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept ()")
    with pytest.raises(ZeroDivisionError), transaction(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lost ()")
        raise ZeroDivisionError
    assert ask("SELECT to_regclass('kept')::text, to_regclass('lost')::text") == [("kept", None)]


def test_a_right_that_lacks_is_asked_for(database, ask):
    ask("CREATE ROLE poor LOGIN PASSWORD 'x'")
    try:
        ask("CREATE TABLE rich (a int)")
        url = with_login(database, "poor", "x")
        with pytest.raises(SourceError, match="GRANT") as caught, reading(url) as connection:
            connection.cursor().execute("SELECT * FROM rich")
        assert "permission denied for table rich" in str(caught.value)
    finally:
        ask("DROP ROLE poor")


def test_a_source_that_goes_away_during_a_read_may_come_back(database, ask):
    def cut():
        time.sleep(0.2)
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(SourceUnavailable), reading(database) as connection:
        connection.cursor().execute("SELECT pg_sleep(10)")
    thread.join()


def test_errors_on_a_callers_own_connection_are_ours_too(database):
    own = psycopg2.connect(database)
    with pytest.raises(SourceError, match='relation "nope" does not exist') as caught, reading_by(own) as connection:
        connection.cursor().execute("SELECT * FROM nope")
    assert urlsplit(database).password not in "".join(traceback.format_exception(caught.value))
    assert not own.closed
    own.close()
