"""Migrations: applied once, by one process at a time, never changed afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse.audit.migrate import migrate
from lakehouse.errors import AuditUnavailable, SettingsError, StateError

pytestmark = pytest.mark.postgres
MIGRATIONS = Path(__file__).parents[2] / "warehouse" / "migrations"
NAMES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE audit.one (n int);\nINSERT INTO audit.one VALUES (1);\n")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE audit.two (n int);\n")
    return tmp_path


def tables(ask) -> set[str]:
    return {name for (name,) in ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'audit'")}


def test_the_shipped_schema_is_applied_once_and_then_there_is_nothing_to_do(database, ask):
    assert migrate(database, MIGRATIONS) == NAMES
    assert migrate(database, MIGRATIONS) == []
    assert tables(ask) == {
        *(
            "runs",
            "run_logs",
            "quality_results",
            "drift",
            "publications",
            "alerts",
            "alert_channels",
            "leases",
            "leases_held",
            "stream_sends",
            "stream_batches",
        ),
        "schema_migrations",
    }


def test_processes_at_once_apply_every_file_once(database, folder, ask):
    slow = "SELECT pg_sleep(0.3);\n" + (folder / "0001_one.sql").read_text()
    (folder / "0001_one.sql").write_text(slow)
    code = (
        "import sys, time; from pathlib import Path; from lakehouse.audit.migrate import migrate\n"
        "time.sleep(max(0, float(sys.argv[3]) - time.time()))\n"
        "print(','.join(migrate(sys.argv[1], Path(sys.argv[2]))))"
    )
    start = str(time.time() + 1.5)
    command = [sys.executable, "-c", code, database, str(folder), start]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert answers == ["", "", "", "0001_one.sql,0002_two.sql"]
    assert ask("SELECT count(*) FROM audit.one") == [(1,)]


def test_a_new_file_is_applied_alone(database, folder, ask):
    migrate(database, folder)
    (folder / "0003_three.sql").write_text("CREATE TABLE audit.three (n int);")
    assert migrate(database, folder) == ["0003_three.sql"]
    assert "three" in tables(ask)


def test_a_changed_applied_file_is_refused_by_name_and_nothing_new_is_applied(database, folder, ask):
    migrate(database, folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE audit.one (n bigint);")
    (folder / "0003_three.sql").write_text("CREATE TABLE audit.three (n int);")
    with pytest.raises(StateError, match=r"differ from the files: 0001_one\.sql\."):
        migrate(database, folder)
    assert "three" not in tables(ask)


def test_line_ends_of_another_system_are_no_change(database, folder):
    migrate(database, folder)
    path = folder / "0001_one.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate(database, folder) == []


@pytest.mark.parametrize("name", ["0002_two.sql", "0001_one.sql"])
def test_a_missing_applied_file_is_refused(database, folder, name):
    migrate(database, folder)
    (folder / name).unlink()
    with pytest.raises(StateError, match=name):
        migrate(database, folder)


def test_a_file_slipped_in_below_an_applied_one_is_refused(database, folder):
    (folder / "0002_two.sql").rename(folder / "0003_two.sql")
    migrate(database, folder)
    (folder / "0002_late.sql").write_text("CREATE TABLE audit.late (n int);")
    with pytest.raises(StateError, match="0002_late"):
        migrate(database, folder)


def test_a_broken_file_is_named_and_leaves_nothing_behind(database, folder, ask):
    (folder / "0002_two.sql").write_text("CREATE TABLE audit.two (n int); CREATE TABEL audit.x (n int);")
    with pytest.raises(StateError, match=r"0002_two\.sql.*TABEL"):
        migrate(database, folder)
    assert tables(ask) == set()


@pytest.mark.parametrize("names", [[], ["1_x.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_a_folder_without_a_usable_order_is_refused_before_the_database_is_asked(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(SettingsError, match="LAKEHOUSE_HOME"):
        migrate("postgresql://nobody:secret-word@127.0.0.1:1/none", tmp_path)


def test_a_database_that_is_away_is_said_without_its_password():
    with pytest.raises(AuditUnavailable) as caught:
        migrate("postgresql://nobody:secret-word@127.0.0.1:1/none", MIGRATIONS)
    assert "127.0.0.1:1/none" in str(caught.value)
    assert "secret-word" not in str(caught.value)
