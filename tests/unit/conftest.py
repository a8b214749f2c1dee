"""Fixtures of the tests without a JVM: the places where small objects are kept."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lakehouse.settings import Settings
from lakehouse.stack.minio import find_minio
from lakehouse.stack.ports import free_port

KEYS = {"s3_access_key": "lakehouse-jobs", "s3_secret_key": "canary-secret-key"}
CACHE = Settings(_env_file=None).cache


def client(settings: Settings):
    """A client of another make for the same bucket: the other road to what was written."""
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
    )


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto: str, request) -> Settings:
    """Settings with a bucket of this test's own, under a prefix."""
    name = f"b{abs(hash(request.node.nodeid))}"
    settings = Settings(_env_file=None, lake=f"s3a://{name}/lake/{{layer}}", s3_endpoint=moto, **KEYS)
    client(settings).create_bucket(Bucket=name)
    return settings


@pytest.fixture
def folder(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path)


@pytest.fixture(params=["folder", "bucket"])
def settings(request) -> Settings:
    return request.getfixturevalue(request.param)


class Raw:
    """Reads and writes the files of publications past the code under test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = settings.table_uri("ops", "olist", "publications")
        self.bucket, _, self.prefix = self.where.removeprefix("s3a://").partition("/")

    def names(self) -> list[str]:
        if self.settings.lake:
            found = client(self.settings).list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + "/")
            return [each["Key"].rpartition("/")[2] for each in found.get("Contents", [])]
        return sorted(path.name for path in Path(self.where).glob("*"))

    def read(self, name: str) -> bytes:
        if self.settings.lake:
            return client(self.settings).get_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")["Body"].read()
        return Path(self.where, name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        if self.settings.lake:
            client(self.settings).put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=content)
        else:
            Path(self.where).mkdir(parents=True, exist_ok=True)
            Path(self.where, name).write_bytes(content)


@pytest.fixture
def raw() -> Callable[[Settings], Raw]:
    """Gives access to the files of publications past the code under test."""
    return Raw


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture
def minio(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a real MinIO of this test's own and its bucket `ops`."""
    program = find_minio(CACHE.expanduser())
    if program is None:
        pytest.skip("no minio on PATH and none built yet: `make up` builds it")
    folder = tmp_path / "minio"
    folder.mkdir()
    port, console = free_port(), free_port()
    environment = {**os.environ, "MINIO_ROOT_USER": KEYS["s3_access_key"], "MINIO_ROOT_PASSWORD": KEYS["s3_secret_key"]}
    addresses = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}"]
    with (tmp_path / "minio.log").open("w") as log:
        server = subprocess.Popen(
            [str(program), "server", "--quiet", *addresses, str(folder)], env=environment, stdout=log, stderr=log
        )
    settings = Settings(_env_file=None, lake="s3a://{layer}", s3_endpoint=f"http://127.0.0.1:{port}", **KEYS)
    try:
        _wait_for(port)
        client(settings).create_bucket(Bucket="ops")
        yield settings
    finally:
        server.terminate()
        server.wait()
