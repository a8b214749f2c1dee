"""The native stack, whole: it comes up, does what it says, keeps its secrets, and leaves nothing running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import pytest
import requests
from minio import Minio
from minio.error import S3Error
from pydantic import SecretStr

from lakehouse.errors import SettingsError
from lakehouse.publish.store import publish
from lakehouse.settings import Settings
from lakehouse.stack.doctor import examine_ports
from lakehouse.stack.errors import MissingTool, StackError
from lakehouse.stack.layout import layout
from lakehouse.stack.parts import all_parts
from lakehouse.stack.ports import is_free
from lakehouse.stack.up import down, start_postgres_only, state, up

pytestmark = pytest.mark.stack
PARTS = [
    *("postgres", "minio", "kafka"),
    *("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
]


@pytest.fixture(scope="module")
def stack(new_settings) -> Settings:
    """A stack that runs for all tests of this module."""
    settings = new_settings()
    assert [(part.name, part.state, part.started) for part in up(settings)] == [
        (name, "running", True) for name in PARTS
    ]
    return settings


def processes(settings: Settings) -> dict[int, str]:
    """Process ids with command lines that name the state folder or have it, or a folder in it, as current folder."""
    found = {}
    for process in psutil.process_iter():
        try:
            line, folder = " ".join(process.cmdline()), process.cwd()
        except psutil.Error:
            continue
        if str(settings.state) in line or Path(folder).is_relative_to(settings.state):
            found[process.pid] = line
    return found


def ports_of(settings: Settings) -> list[int]:
    """Every port that a part listens on."""
    return [port for part in all_parts(settings, layout(settings)) for port in part.ports.values()]


def eventually(holds: Callable[[], bool], seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def airflow(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.airflow_port}"


def token(settings: Settings, password: str) -> requests.Response:
    login = {"username": settings.airflow_user, "password": password}
    return requests.post(f"{airflow(settings)}/auth/token", json=login, timeout=60)


def s3(settings: Settings, user: str, secret: SecretStr) -> Minio:
    return Minio(
        f"127.0.0.1:{settings.minio_port}", access_key=user, secret_key=secret.get_secret_value(), secure=False
    )


def test_airflow_takes_the_login_of_env_and_no_other(stack):
    assert token(stack, "admin").status_code == 401
    answer = token(stack, stack.airflow_password.get_secret_value())
    assert answer.status_code == 201
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert requests.get(f"{airflow(stack)}/api/v2/dags", timeout=60).status_code == 401
    assert requests.get(f"{airflow(stack)}/api/v2/dags", headers=headers, timeout=60).status_code == 200
    pool = requests.get(f"{airflow(stack)}/api/v2/pools/spark", headers=headers, timeout=60).json()
    assert pool["slots"] == 1


def test_airflow_serves_its_login_form(stack):
    answer = requests.get(f"{airflow(stack)}/auth/login", timeout=60)
    assert answer.ok
    assert "text/html" in answer.headers["content-type"]


def test_the_console_of_minio_answers(stack):
    assert requests.get(f"http://127.0.0.1:{stack.minio_console_port}/", timeout=60).ok


def test_every_layer_has_its_bucket(stack):
    root = s3(stack, stack.minio_root_user, stack.minio_root_password)
    assert {bucket.name for bucket in root.list_buckets()} == {"bronze", "silver", "gold", "quarantine", "ops"}


def test_jobs_write_and_read_in_their_buckets(stack, tmp_path):
    jobs = s3(stack, stack.s3_access_key, stack.s3_secret_key)
    (tmp_path / "file").write_text("a row")
    jobs.fput_object("bronze", "olist/orders/part-0", str(tmp_path / "file"))
    assert jobs.get_object("bronze", "olist/orders/part-0").read() == b"a row"
    assert [item.object_name for item in jobs.list_objects("bronze", recursive=True)] == ["olist/orders/part-0"]
    jobs.remove_object("bronze", "olist/orders/part-0")


def test_jobs_make_no_bucket_and_reach_no_other(stack, tmp_path):
    jobs = s3(stack, stack.s3_access_key, stack.s3_secret_key)
    root = s3(stack, stack.minio_root_user, stack.minio_root_password)
    root.make_bucket("payroll")
    (tmp_path / "file").write_text("a row")
    for attempt in (
        lambda: jobs.make_bucket("mine"),
        lambda: jobs.remove_bucket("gold"),
        lambda: jobs.fput_object("payroll", "file", str(tmp_path / "file")),
        lambda: list(jobs.list_objects("payroll")),
    ):
        with pytest.raises(S3Error) as refused:
            attempt()
        assert refused.value.code == "AccessDenied"
    root.remove_bucket("payroll")


def test_the_databases_are_there(stack):
    for database in ("source", "audit", "airflow"):
        password = stack.postgres_password.get_secret_value()
        url = f"postgresql://lakehouse:{password}@127.0.0.1:{stack.postgres_port}/{database}"
        psycopg2.connect(url).close()


def test_every_port_is_on_loopback_only(stack):
    own = processes(stack)
    listening = [c for c in psutil.net_connections("tcp") if c.pid in own and c.status == psutil.CONN_LISTEN]
    ports = set(ports_of(stack))
    assert {connection.laddr.port for connection in listening} == ports
    # A JVM's sockets speak both families.
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_up_again_starts_nothing(stack):
    before = processes(stack)
    assert [part.started for part in up(stack)] == [False] * len(PARTS)
    assert processes(stack).keys() >= before.keys()
    assert [part.state for part in state(stack)] == ["running"] * len(PARTS)


def test_a_part_that_is_killed_comes_back(stack):
    killed = next(pid for pid, line in processes(stack).items() if "minio server" in line)
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: killed not in processes(stack))
    assert eventually(lambda: [part.state for part in state(stack)] == ["running"] * len(PARTS))


def test_tasks_are_told_the_lake_and_no_administrator(stack):
    (scheduler,) = [pid for pid, line in processes(stack).items() if "airflow scheduler" in line]
    told = psutil.Process(scheduler).environ()
    assert told["LAKEHOUSE_LAKE"] == "s3a://{layer}"
    assert told["LAKEHOUSE_S3_ENDPOINT"] == f"http://127.0.0.1:{stack.minio_port}"
    assert told["LAKEHOUSE_S3_SECRET_KEY"] == stack.s3_secret_key.get_secret_value()
    assert told["PYTHONSAFEPATH"] == "1"
    assert Path(shutil.which("spark-submit", path=told["PATH"])).parent.parent.name == ".venv"
    assert (Path(told["SPARK_HOME"]) / "bin" / "spark-submit").exists()
    for secret in (stack.minio_root_password, stack.airflow_password):
        assert secret.get_secret_value() not in " ".join(told.values())


def shell(settings: Settings, *words: str) -> str:
    """What a command prints in a person's shell, in a folder with this stack's .env: nobody has named a lake."""
    folders = {"HOME": settings.home, "STATE": settings.state}
    ports = {name.upper(): getattr(settings, name) for name in Settings.model_fields if name.endswith("_port")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    environment |= {f"LAKEHOUSE_{name}": str(value) for name, value in (folders | ports).items()}
    command = [str(Path(sys.executable).with_name("lakehouse")), *words]
    done = subprocess.run(
        command, cwd=settings.state.parent, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_in_a_shell_work_on_the_lake_of_the_stack_until_it_is_down(stack):
    address = f"http://127.0.0.1:{stack.minio_port}"
    jobs = stack.model_copy(update={"lake": "s3a://{layer}", "s3_endpoint": address})
    made = publish(jobs, "olist", "r1", {"olist.silver.orders": 3})
    assert [each["number"] for each in json.loads(shell(stack, "publications", "olist", "--json"))] == [made.number]
    assert f"s3a://{{layer}} at {address}" in shell(stack, "state")
    note = stack.state / "running-lake.json"
    told = note.read_text()
    for name in ("s3_secret_key", "minio_root_password", "postgres_password"):
        assert getattr(stack, name).get_secret_value() not in told
    note.unlink()
    assert json.loads(shell(stack, "publications", "olist", "--json")) == []
    up(stack)
    assert note.read_text() == told


def test_no_secret_is_in_a_log_a_command_line_or_an_open_file(stack):
    names = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    secrets = {name: getattr(stack, name).get_secret_value() for name in names}
    lines = " ".join(line for pid in psutil.pids() for line in command_line(pid))
    told = [
        path for path in stack.state.rglob("*") if path.is_file() and not path.is_relative_to(stack.state / "minio")
    ]
    for name, secret in secrets.items():
        if secret:
            assert secret not in lines, name
            holders = [path for path in told if secret.encode() in path.read_bytes()]
            closed = [path for path in holders if not path.stat().st_mode & 0o077 or not is_enterable(path.parent)]
            assert holders == closed, name
            assert [path for path in holders if path.is_relative_to(stack.state / "logs")] == [], name


def command_line(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def is_enterable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o077)


# What follows needs Postgres only; the supervisor does the same for every part.


def test_down_stops_exactly_what_was_started_and_leaves_data(settings, new_settings):
    other = new_settings()
    start_postgres_only(other)
    start_postgres_only(settings)
    assert down(settings) == ["postgres"]
    assert processes(settings) == {}
    assert is_free(settings.postgres_port)
    assert (settings.state / "postgres" / "PG_VERSION").exists()
    assert next(part.state for part in state(other)) == "running"
    assert down(settings) == []


def test_a_stack_whose_supervisor_was_killed_starts_anew(settings):
    start_postgres_only(settings)
    before = processes(settings)
    (supervisor,) = [pid for pid, line in before.items() if "supervisord" in line]
    os.kill(supervisor, signal.SIGKILL)
    assert start_postgres_only(settings).started
    assert not processes(settings).keys() & before.keys()
    assert down(settings) == ["postgres"]


def test_down_ends_what_a_killed_supervisor_left(settings):
    start_postgres_only(settings)
    (supervisor,) = [pid for pid, line in processes(settings).items() if "supervisord" in line]
    os.kill(supervisor, signal.SIGKILL)
    down(settings)
    assert processes(settings) == {}


def test_a_taken_port_is_found_before_anything_starts(settings, new_settings):
    taken = new_settings().model_copy(update={"airflow_port": settings.postgres_port})
    start_postgres_only(settings)
    with pytest.raises(StackError, match=rf"LAKEHOUSE_AIRFLOW_PORT: Port {settings.postgres_port} is taken"):
        up(taken)
    assert processes(taken) == {}


def test_a_part_that_cannot_start_says_why_and_nothing_stays(settings):
    start_postgres_only(settings)
    down(settings)
    (settings.state / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(StackError, match=r"postgres\.log.*postgres ends as soon.*configuration file"):
        start_postgres_only(settings)
    assert processes(settings) == {}


def test_without_secrets_nothing_starts(settings):
    bare = settings.model_copy(update={"minio_root_password": SecretStr("")})
    with pytest.raises(SettingsError, match=r"LAKEHOUSE_MINIO_ROOT_PASSWORD.*make init"):
        up(bare)


def test_without_minio_and_go_both_are_named(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="`minio` or Go"):
        up(settings.model_copy(update={"cache": tmp_path}))


def test_the_doctor_knows_our_own_ports(settings):
    start_postgres_only(settings)
    (finding,) = [f for f in examine_ports(settings) if f.name == f"Port {settings.postgres_port}"]
    assert (finding.ok, finding.found) == (True, "held by our postgres")
    down(settings)


def test_a_state_folder_too_deep_for_a_socket_is_named(settings, tmp_path):
    with pytest.raises(StackError, match="LAKEHOUSE_STATE"):
        start_postgres_only(settings.model_copy(update={"state": tmp_path / ("x" * 90)}))


def test_down_after_all_leaves_no_process(new_settings, stack):
    """Last in this file: it ends the stack that the others use."""
    assert down(stack) == sorted(PARTS)
    assert not (stack.state / "running-lake.json").exists()
    assert processes(stack) == {}
    assert all(map(is_free, ports_of(stack)))
    assert list((stack.state / "minio" / "bronze").parent.iterdir()) != []
