"""The unmodified docker-compose.yaml as a project of the test's own: its commands, its containers, its REST API."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from compose_engine import Engine
from deltalake import DeltaTable

from lakehouse.settings import Settings
from lakehouse.stack.environment import init
from lakehouse.stack.ports import free_port

ROOT = Path(__file__).parents[2]
PORTS = ("POSTGRES", "MINIO", "MINIO_CONSOLE", "AIRFLOW", "CLUSTER", "KAFKA", "KAFKA_UI")
PIP = (Path("~/.config/pip/pip.conf"), Path("~/.pip/pip.conf"), Path("/etc/pip.conf"))
MAVEN = (Path("~/.m2/settings.xml"),)


@dataclass
class Platform:
    """A project by its engine, name and env file."""

    engine: Engine
    project: str
    env_file: Path
    ports: dict[str, int]
    _token: str = field(default="", repr=False)

    @property
    def settings(self) -> Settings:
        """The settings in the env file, as a process on the host has them."""
        return Settings(_env_file=self.env_file, home=ROOT)

    def compose(self, *words: str, timeout: float = 600) -> str:
        """Run `docker compose …` for this project."""
        file = ["-f", str(ROOT / "docker-compose.yaml"), "--project-directory", str(ROOT)]
        options = ["-p", self.project, "--env-file", str(self.env_file), "--profile", "*", "--progress", "quiet"]
        return self.engine.docker("compose", *file, *options, *words, timeout=timeout)

    def services(self) -> dict[str, dict[str, Any]]:
        """What `docker inspect` says of each container, by its service."""
        ids = self.compose("ps", "-aq").split()
        found = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def state(self, service: str) -> dict[str, Any]:
        """State of one container, Docker's words."""
        return dict(self.services()[service]["State"])

    def execute(self, service: str, *words: str, timeout: float = 120) -> str:
        """Run a program in a running container."""
        return self.compose("exec", "-T", service, *words, timeout=timeout)

    def kill(self, service: str) -> float:
        """Kill -9 the container's first process from outside; return the seconds until it is healthy again."""
        before = self.state(service)
        os.kill(before["Pid"], signal.SIGKILL)
        began = time.monotonic()

        def back() -> bool:
            now = self.state(service)
            return now["StartedAt"] != before["StartedAt"] and now.get("Health", {}).get("Status") == "healthy"

        eventually(back, 120, f"{service} is not back")
        return time.monotonic() - began

    def page(self, path: str) -> requests.Response:
        """Ask Spark's pages on the host."""
        return requests.get(f"http://127.0.0.1:{self.ports['CLUSTER']}{path}", timeout=10)

    def shown(self, path: str) -> str:
        """Return a page beside Airflow's own, behind its login."""
        answer = self._request("GET", path, None, below="/lakehouse")
        answer.raise_for_status()
        return answer.text

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask Airflow's REST API; while the database is away it answers with an error, and is asked again."""
        last = ""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                answer = self._request(method, path, body)
                if answer.ok:
                    return dict(answer.json())
                last = f"{answer.status_code} {answer.text[:300]}"
                if answer.status_code in (400, 404, 422):
                    break
            except requests.RequestException as error:
                last = repr(error)
            time.sleep(1)
        raise AssertionError(f"{method} {path}: {last}")

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, below: str = "/api/v2"
    ) -> requests.Response:
        base = f"http://127.0.0.1:{self.ports['AIRFLOW']}"
        if not self._token:
            secret = self.settings.airflow_password.get_secret_value()
            login = {"username": self.settings.airflow_user, "password": secret}
            answer = requests.post(f"{base}/auth/token", json=login, timeout=20)
            answer.raise_for_status()
            self._token = answer.json()["access_token"]
        head = {"Authorization": f"Bearer {self._token}"}
        return requests.request(method, f"{base}{below}{path}", json=body, headers=head, timeout=20)

    def trigger(self, dag: str, asked: dict[str, Any] | None = None) -> str:
        """Trigger a DAG as the UI does, with what its form asks; return the path of its run."""
        eventually(lambda: self._request("GET", f"/dags/{dag}", None).ok, 120, f"{dag} is not there")
        run = self.ask("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": asked or {}})
        return f"/dags/{dag}/dagRuns/{run['dag_run_id']}"

    def wait(self, run: str, meanwhile: Callable[[], None] = lambda: None, patience: float = 500) -> str:
        """Wait for the end of a run and return its state."""
        deadline = time.monotonic() + patience
        while (state := str(self.ask("GET", run)["state"])) not in ("success", "failed"):
            assert time.monotonic() < deadline, f"{run} is {state} after {patience} s\n{self.logs('airflow-scheduler')}"
            meanwhile()
            time.sleep(1)
        return state

    def task(self, run: str, name: str) -> str:
        """State of one task of a run."""
        tasks = self.ask("GET", f"{run}/taskInstances")["task_instances"]
        return next(str(task["state"]) for task in tasks if task["task_id"] == name)

    def logs(self, service: str, lines: int = 60) -> str:
        """The last lines that a container printed."""
        return self.compose("logs", "--no-color", "--tail", str(lines), service)

    def gold(self, name: str) -> DeltaTable:
        """Open a Gold table as the host sees it."""
        settings = self.settings
        options = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['MINIO']}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": settings.s3_region,
            "AWS_ACCESS_KEY_ID": settings.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
        }
        return DeltaTable(f"s3://gold/olist/{name}", storage_options=options)


@contextmanager
def platform(engine: Engine, folder: Path, raw: Path) -> Iterator[Platform]:
    """Hold a project with fresh secrets and free ports; containers, networks and volumes go with it."""
    env_file, ports = folder / ".env", {name: free_port() for name in PORTS}
    init(env_file)
    told = {f"LAKEHOUSE_{name}_PORT": port for name, port in ports.items()}
    told |= {"LAKEHOUSE_RAW": raw, "LAKEHOUSE_IMAGE_TAG": "test"}
    for name, places in (("PIP", PIP), ("MAVEN", MAVEN)):
        told |= {f"LAKEHOUSE_BUILD_{name}": file for each in places if (file := each.expanduser()).is_file()}
    # What stands last wins, and a reference sees only what stands above it: ours go first.
    lines = [line for line in env_file.read_text().splitlines() if line.partition("=")[0] not in told]
    env_file.write_text("\n".join([*(f"{name}={value}" for name, value in told.items()), *lines, ""]))
    made = Platform(engine, f"lakehouse-test-{os.getpid()}", env_file, ports)
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        if not engine.ours:
            engine.docker("image", "rm", "lakehouse-spark:test", "lakehouse-airflow:test", check=False)


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds; fail with `what` when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (requests.RequestException, RuntimeError):
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.5)
