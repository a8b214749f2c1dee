"""The doctor: each trouble is made, found, and answered with a remedy."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from lakehouse.stack.doctor import (
    examine,
    examine_disk,
    examine_java,
    examine_maven,
    examine_memory,
    examine_minio,
    examine_ports,
    examine_secrets,
)
from lakehouse.stack.environment import init
from lakehouse.stack.ports import free_port
from lakehouse.stack.versions import examine_versions

GOOD_JARS = (
    "spark-sql-kafka-0-10_2.13-4.2.0",
    "delta-spark_4.2_2.13-4.4.0",
    "hadoop-aws-3.5.0",
    "lakehouse-log-store-0.1.0",
)


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    init(tmp_path / ".env")
    names = ("postgres_port", "minio_port", "minio_console_port", "kafka_port", "kafka_controller_port", "airflow_port")
    ports = {name: free_port() for name in names}
    return Settings(_env_file=tmp_path / ".env", home=tmp_path, cache=tmp_path / "cache", **ports)


def java_saying(folder: Path, line: str) -> str:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'Picked up JAVA_TOOL_OPTIONS: -X' >&2\necho '{line}' >&2\n")
    program.chmod(0o755)
    return str(folder)


def jars(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / f"{name}.jar").touch()
    return folder


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "21" 2023-09-19', True),
        ('openjdk version "11.0.2" 2019-01-15', False),
        ('java version "1.8.0_392"', False),
        ("Error: could not find libjvm", False),
    ],
)
def test_java_is_17_or_newer(tmp_path, monkeypatch, line, ok):
    monkeypatch.setenv("JAVA_HOME", java_saying(tmp_path, line))
    finding = examine_java()
    assert finding.ok is ok
    assert ("JDK 17" in finding.remedy) is not ok


def test_programs_that_are_missing(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    findings = [examine_java(), examine_maven(), examine_minio(settings)]
    assert [f.ok for f in findings] == [False, False, False]
    assert "`minio` on PATH, or Go" in findings[2].remedy


def test_a_java_home_that_points_nowhere_is_not_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert not examine_java().ok


def test_memory_and_disk_are_measured_against_what_is_needed(tmp_path):
    assert examine_memory(need=0.01).ok
    assert not examine_memory(need=10_000).ok
    assert examine_disk(tmp_path / "not" / "there" / "yet", need=0.001).ok
    assert "LAKEHOUSE_STATE" in examine_disk(tmp_path, need=10_000_000).remedy


def test_jars_that_match_the_python_packages(tmp_path):
    assert [f for f in examine_versions(jars(tmp_path, GOOD_JARS)) if not f.ok] == []


@pytest.mark.parametrize(
    ("names", "trouble"),
    [
        ((), {"Kafka connector = pyspark", "Delta jar = delta-spark", "hadoop-aws = Spark's Hadoop", "Log store"}),
        (("spark-sql-kafka-0-10_2.13-4.1.0", *GOOD_JARS[1:]), {"Kafka connector = pyspark"}),
        ((*GOOD_JARS, "delta-spark_4.2_2.13-4.3.1"), {"Delta jar = delta-spark"}),
        (("hadoop-aws-3.4.1", *GOOD_JARS[:2], GOOD_JARS[3]), {"hadoop-aws = Spark's Hadoop"}),
        (GOOD_JARS[:3], {"Log store"}),
    ],
)
def test_jars_that_do_not(tmp_path, names, trouble):
    bad = [f for f in examine_versions(jars(tmp_path, names)) if not f.ok]
    assert {f.name for f in bad} == trouble
    assert all("make install" in f.remedy for f in bad)


def test_a_taken_port_names_its_setting(settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.minio_port))
        other.listen()
        bad = [f for f in examine_ports(settings) if not f.ok]
    assert [f.found for f in bad] == ["taken"]
    assert "LAKEHOUSE_MINIO_PORT" in bad[0].remedy


def test_secrets_are_counted_but_not_shown(settings):
    findings = list(examine_secrets(settings))
    assert all(f.ok for f in findings)
    assert settings.airflow_password.get_secret_value() not in str(findings)


def test_missing_secrets_are_named(settings, tmp_path):
    (tmp_path / ".env").unlink()
    (bad,) = examine_secrets(Settings(_env_file=None, home=tmp_path))
    assert not bad.ok
    assert "LAKEHOUSE_MINIO_ROOT_PASSWORD" in bad.found


def test_a_readable_env_file_is_named(settings, tmp_path):
    (tmp_path / ".env").chmod(0o644)
    (bad,) = [f for f in examine_secrets(settings) if not f.ok]
    assert bad.name == ".env"
    assert "chmod 600" in bad.remedy


def test_every_finding_that_is_not_fine_has_a_remedy_of_one_line(settings):
    findings = examine(settings)
    assert len(findings) >= 12
    for finding in findings:
        assert bool(finding.remedy) is not finding.ok
        assert "\n" not in finding.remedy + finding.found
