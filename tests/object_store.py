"""A MinIO of a test's own, with the buckets of a lake and the jobs' user; it can be killed and started on its data."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.settings import Settings
from lakehouse.stack.environment import init
from lakehouse.stack.layout import layout, make_folders
from lakehouse.stack.minio import fetch_minio, minio_part
from lakehouse.stack.ports import free_port

ROOT = Path(__file__).parents[1]


@dataclass
class ObjectStore:
    """The MinIO of some settings; `process` is the one that runs."""

    settings: Settings
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Return when it answers and has all that a lake needs."""
        place = layout(self.settings)
        make_folders(place)
        fetch_minio(self.settings.path(self.settings.cache))
        part = minio_part(self.settings, place)
        with place.log("minio").open("a") as log:
            self.process = subprocess.Popen(part.command, env=part.environment, stdout=log, stderr=log)
        while not part.answers():
            assert self.process.poll() is None, place.log("minio").read_text()
            time.sleep(0.05)
        part.after()

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    @property
    def lake(self) -> dict[str, str]:
        """The settings of a lake in it, without their prefix."""
        reader = self.reader
        return {
            "LAKE": "s3a://{layer}",
            "S3_ENDPOINT": reader["AWS_ENDPOINT_URL"],
            "S3_ACCESS_KEY": reader["AWS_ACCESS_KEY_ID"],
            "S3_SECRET_KEY": reader["AWS_SECRET_ACCESS_KEY"],
        }

    @property
    def reader(self) -> dict[str, str]:
        """How a reader of another make gets at it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.settings.minio_port}",
            "AWS_ACCESS_KEY_ID": self.settings.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.settings.s3_secret_key.get_secret_value(),
            "AWS_REGION": self.settings.s3_region,
            "AWS_ALLOW_HTTP": "true",
        }


def settings_in(folder: Path) -> Settings:
    """Settings with secrets and ports of their own, for a store whose data lies in a folder."""
    init(folder / ".env")
    ports = {"minio_port": free_port(), "minio_console_port": free_port()}
    return Settings(_env_file=folder / ".env", home=ROOT, state=folder / "store", **ports)


@contextmanager
def running(settings: Settings) -> Iterator[ObjectStore]:
    """Hold the MinIO of these settings."""
    store = ObjectStore(settings)
    store.start()
    try:
        yield store
    finally:
        store.stop()
