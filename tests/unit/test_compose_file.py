"""What docker-compose.yaml promises, held without an engine: the file is read as YAML with its merges."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.settings import Settings
from lakehouse.settings_example import CONTAINERS
from lakehouse.stack.airflow import airflow_environment
from lakehouse.stack.binaries import pom_property
from lakehouse.stack.environment import RANDOM
from lakehouse.stack.layout import Layout
from lakehouse.stack.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
LASTING = {name for name, service in SERVICES.items() if service["restart"] != "no"}
CORE = {name for name in LASTING if "profiles" not in SERVICES[name]}
DOCKERFILE = (ROOT / "spark" / "Dockerfile").read_text()
# ${NAME:-default} and ${NAME:?message}; a default may itself hold one.
VARIABLE = re.compile(r"\$\{(\w+)(:?[-?])?((?:[^${}]|\$\{[^{}]*\}|\{layer\})*)\}")


def used() -> set[tuple[str, str, str]]:
    """Every variable of the file: its name, how it is used, and its default or message."""
    return {match.groups("") for match in VARIABLE.finditer(TEXT)}  # type: ignore[misc]


def mib(limit: str) -> int:
    assert limit.endswith("m"), limit
    return int(limit[:-1])


def tag(service: str) -> str:
    image = VARIABLE.fullmatch(SERVICES[service]["image"])
    assert image
    return image[3]


def test_every_host_port_is_a_variable_on_loopback():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 7
    for port in ports:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{LAKEHOUSE_\w+_PORT:-5\d{4}\}:\d+", port), port
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())


def test_limits_of_the_core_fit_in_6_gib_and_the_comment_tells_their_sum():
    limits = {name: mib(SERVICES[name]["mem_limit"]) for name in CORE}
    assert sum(limits.values()) <= 6 * 1024
    head = " ".join(TEXT[: TEXT.index("name:")].replace("#", " ").split())
    told = dict(re.findall(r"([a-z][a-z-]+) (\d+)(?= [+=])", head))
    assert {name: int(told[name]) for name in CORE} == limits
    assert f"= {sum(limits.values())} " in head
    for name in LASTING - CORE:
        assert f"{name} {mib(SERVICES[name]['mem_limit'])}" in head


def test_what_runs_once_fits_beside_what_waits_for_it():
    once = sum(mib(SERVICES[name]["mem_limit"]) for name in SERVICES.keys() - LASTING)
    assert once <= mib(SERVICES["airflow-scheduler"]["mem_limit"])


def test_a_secret_has_no_default_and_an_empty_one_is_refused():
    secrets = {f"LAKEHOUSE_{name.upper()}" for name in RANDOM}
    assert secrets == {name for name, how, _ in used() if how == ":?"}
    assert {how for name, how, _ in used() if name in secrets} == {":?"}


def test_every_variable_stands_in_env_example_with_the_same_default():
    example = dict(re.findall(r"^# (LAKEHOUSE_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name, how, default in used():
        assert name in example, name
        # Where drivers run, and links from there, are the containers' own affair.
        if how == ":-" and name not in ("LAKEHOUSE_AIRFLOW_URL", "LAKEHOUSE_MINIO_CONSOLE_URL", "LAKEHOUSE_RAW"):
            assert example[name] == default, name
    assert {f"LAKEHOUSE_{name}" for name, _, _ in CONTAINERS} <= {name for name, _, _ in used()}


def test_images_have_full_versions_equal_to_those_of_the_native_parts():
    pom = ROOT / "spark" / "pom.xml"
    assert tag("postgres") == f"postgres:{pom_property(pom, 'postgres.version').removesuffix('.0')}"
    assert tag("kafka") == f"apache/kafka:{pom_property(ROOT / 'kafka' / 'pom.xml', 'kafka.version')}"
    for service in ("postgres", "minio", "kafka", "kafka-ui"):
        assert re.search(r":(v?\d+\.\d+(\.\d+)?|RELEASE\.[\dTZ-]+)$", tag(service)), service
    base = FILE["x-build"]["args"]["PYTHON_IMAGE"]
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert re.search(r":-python:3\.11\.\d+-slim-bookworm\}$", base)
    assert python.startswith(">=3.11")
    makefile = (ROOT / "Makefile").read_text()
    assert f"UV_VERSION := {FILE['x-build']['args']['UV_VERSION']}\n" in makefile


def test_our_images_hold_what_requirements_and_pom_pin_and_nothing_else():
    assert "--require-hashes --compile-bytecode -r requirements.txt" in DOCKERFILE
    assert "-f spark/pom.xml package" in DOCKERFILE
    assert re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.MULTILINE) == [
        ("${PYTHON_IMAGE}", "jars"),
        ("${PYTHON_IMAGE}", "packages"),
        ("packages", "wheel"),
        ("${PYTHON_IMAGE}", "base"),
        ("base", "spark"),
        ("base", "airflow"),
    ]
    assert "\nUSER 1000:1000\n" in DOCKERFILE[DOCKERFILE.index("AS base") : DOCKERFILE.index("AS spark")]


def test_nothing_of_this_machine_enters_a_build():
    lines = (ROOT / ".dockerignore").read_text().split()
    assert "*" in lines
    assert not any(line.startswith("!") and ".env" in line for line in lines)
    assert "ENV LAKEHOUSE_S3" not in DOCKERFILE
    assert not re.search(r"^(ARG|ENV) .*(SECRET|PASSWORD|KEY)", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_root_no_capability_and_a_limit(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert mib(service["mem_limit"])
    assert service["logging"]["options"]["max-size"]
    if name == "minio-folder":
        assert (service["user"], service["cap_add"], service["network_mode"]) == ("root", ["CHOWN"], "none")
    else:
        assert "cap_add" not in service
        assert "privileged" not in service
        assert service.get("user") not in ("root", "0")


@pytest.mark.parametrize("name", sorted(LASTING))
def test_what_lasts_is_restarted_and_asked_for_its_health(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


def test_jobs_find_kafka_where_its_profile_starts_it():
    listeners = dict(
        each.split("://") for each in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert SERVICES["airflow-scheduler"]["environment"]["LAKEHOUSE_KAFKA_BOOTSTRAP"] == listeners["PLATFORM"]


def test_nothing_starts_before_what_it_needs():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_healthy" if other in LASTING else "service_completed_successfully"
            assert how == {"condition": wanted}, f"{name} on {other}"
    needs = SERVICES["airflow-scheduler"]["depends_on"].keys()
    assert needs == {"airflow-init", "airflow-api-server", "minio-init", "spark-worker"}


def test_only_named_volumes_are_written():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if isinstance(volume, str):
                assert volume.partition(":")[0] in FILE["volumes"]
            else:
                assert (volume["source"], volume["read_only"]) == ("${LAKEHOUSE_RAW:-./raw}", True)


def test_secrets_go_only_where_they_are_needed():
    def holders(secret: str) -> set[str]:
        return {name for name, service in SERVICES.items() if f"${{{secret}" in str(service)}

    assert holders("LAKEHOUSE_MINIO_ROOT_PASSWORD") == {"minio", "minio-init"}
    assert holders("LAKEHOUSE_AIRFLOW_PASSWORD") == {"airflow-init"}
    assert holders("LAKEHOUSE_S3_SECRET_KEY") == {"minio-init", "airflow-scheduler", "airflow-api-server"}
    assert holders("LAKEHOUSE_SPARK_SECRET") == {"spark-master", "spark-worker", "airflow-scheduler"}


def test_airflow_is_set_as_in_the_native_stack():
    """The same variables, and the same values where no address, folder or secret is meant."""
    settings = Settings(_env_file=None, home=ROOT, spark_master="spark://spark-master:7077")
    server = PostgresServer(Path("/h"), Path("/d"), 5, "p")
    native = airflow_environment(settings, Layout(Path("/s")), server)
    ours = SERVICES["airflow-scheduler"]["environment"]
    names = {name for name in native if name.startswith("AIRFLOW__")}
    assert names == {name for name in ours if name.startswith("AIRFLOW__")}
    own = re.compile(r"FOLDER|DIRECTORY|FILE|URL|HOST|PORT|CONN|KEY|SECRET|USERS")
    same = {name for name in names if not own.search(name)}
    assert len(same) >= 8
    assert {name: ours[name] for name in same} == {name: native[name] for name in same}


def test_two_drivers_find_room_on_the_worker():
    cores = Settings.model_fields["spark_cores"].default
    heap = Settings.model_fields["spark_executor_memory"].default
    defaults = {name: default for name, _, default in used()}
    assert int(defaults["LAKEHOUSE_CLUSTER_CORES"]) >= 2 * cores
    assert int(defaults["LAKEHOUSE_CLUSTER_MEMORY"].removesuffix("g")) * 1024 >= 2 * mib(heap)


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker with compose v2")
def test_compose_takes_the_file_and_refuses_an_empty_secret(tmp_path):
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("this docker has no compose v2")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    command = ["docker", "compose", "--env-file", str(tmp_path / ".env"), "-f", str(ROOT / "docker-compose.yaml")]
    values = {f"LAKEHOUSE_{name.upper()}": "x" * 20 for name in RANDOM}
    for left_out in (None, *values):
        env = {name: value for name, value in values.items() if name != left_out}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        done = subprocess.run([*command, "config", "-q"], env=plain, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (left_out is None), done.stderr
        assert left_out is None or left_out in done.stderr
