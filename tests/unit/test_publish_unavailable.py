"""The store away, refusing, full, or no store at all: an error in seconds, never a first run."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from lakehouse.errors import SettingsError, StoreUnavailable
from lakehouse.objects import read_json, store
from lakehouse.publish.store import current, publish
from lakehouse.settings import Settings
from lakehouse.stack.ports import free_port


def fails(settings: Settings) -> StoreUnavailable:
    """Publish, list and read in vain; return the error of publishing, free of the secret."""
    errors = []
    for attempt in (lambda: current(settings, "olist"), lambda: publish(settings, "olist", "r1", {"t": 1})):
        with pytest.raises(StoreUnavailable) as caught:
            attempt()
        errors.append(caught.value)
    for error in errors:
        assert error.heals
        assert error.remedy
        assert "canary" not in f"{error} {error.__cause__}"
        assert "\n" not in str(error)
        assert len(str(error)) < 700
    return errors[-1]


def test_a_missing_bucket_is_not_taken_for_a_first_run(bucket):
    gone = bucket.model_copy(update={"lake": "s3a://no-such-bucket-{layer}"})
    assert "NoSuchBucket" in str(fails(gone))


def test_an_endpoint_that_is_away_is_said_in_seconds(bucket):
    began = time.monotonic()
    error = fails(bucket.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_port()}"}))
    assert "LAKEHOUSE_S3_ENDPOINT" in str(error)
    assert time.monotonic() - began < 20


def test_a_wrong_key_is_said_and_not_taken_for_a_first_run(minio):
    publish(minio, "olist", "r1", {"t": 1})
    for wrong in ({"s3_access_key": "nobody-known"}, {"s3_secret_key": SecretStr("wrong-canary")}):
        assert "LAKEHOUSE_S3_SECRET_KEY" in str(fails(minio.model_copy(update=wrong)))
    assert current(minio, "olist").number == 1


@contextmanager
def answering(answer: bytes, times: int = 1_000) -> Iterator[str]:
    """A server that reads a request and answers with these bytes, whatever was asked; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(times):
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


NOT_A_STORE = {
    "not_found_page": b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nNot found",
    "login_page": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("path", ["a.json", "NoSuchKey.json", "404/a.json"])
def test_a_missing_object_is_told_from_a_missing_bucket_and_from_a_page_that_is_not_found(bucket, folder, path):
    assert read_json(store(bucket, "ops"), path) is None
    assert read_json(store(folder, "ops"), path) is None
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        read_json(store(bucket.model_copy(update={"lake": "s3a://no-such-bucket-{layer}"}), "ops"), path)
    with answering(NOT_A_STORE["not_found_page"]) as url, pytest.raises(StoreUnavailable, match="404"):
        read_json(store(bucket.model_copy(update={"s3_endpoint": url}), "ops"), path)


@pytest.mark.parametrize("answer", NOT_A_STORE.values(), ids=NOT_A_STORE.keys())
def test_something_that_is_no_store_is_never_taken_for_an_empty_one(bucket, answer):
    with answering(answer) as url:
        fails(bucket.model_copy(update={"s3_endpoint": url}))


def test_a_full_disk_leaves_the_earlier_manifest_and_no_torn_one(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        settings = Settings(_env_file=None, lake=f"{disk}/{{layer}}")
        publish(settings, "olist", "r1", {"t": 1})
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4_096)
        with pytest.raises(StoreUnavailable, match="free space"):
            publish(settings, "olist", "r2", {"t": 2})
        assert current(settings, "olist").tables == {"t": 1}
        filler.unlink()
        assert publish(settings, "olist", "r2", {"t": 2}).number == 2
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "lake").write_text("x")
    assert str(tmp_path) in str(fails(Settings(_env_file=None, lake=f"{tmp_path}/lake/{{layer}}")))


def test_a_scheme_without_a_store_is_refused():
    with pytest.raises(SettingsError, match="s3a://"):
        current(Settings(_env_file=None, lake="gs://bucket/{layer}"), "olist")
