"""MinIO: the program, its start, the buckets of the lake and the jobs' own user."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider

from lakehouse.settings import LAYERS, Settings
from lakehouse.stack.errors import MissingTool
from lakehouse.stack.layout import Layout
from lakehouse.stack.part import Part, inherited
from lakehouse.stack.ports import HOST
from lakehouse.stack.tools import run_tool
from lakehouse.stack.web import answers_ok

# The last commit before the repository was archived; only a full pseudo-version resolves.
MODULE = "github.com/minio/minio"
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
STAMPS = {
    "Version": "2026-02-12T20:18:48Z",
    "ReleaseTag": "DEVELOPMENT.2026-02-12T20-18-48Z",
    "CommitID": "7aac2a2c5b7c",
}
POLICY = "lakehouse-jobs"


def find_minio(cache: Path) -> Path | None:
    """Return a MinIO that is on PATH or was built before."""
    found = shutil.which("minio") or shutil.which(built(cache))
    return Path(found) if found else None


def fetch_minio(cache: Path) -> Path:
    """Return a MinIO, built with Go where there is none: four CPU minutes, once. `MissingTool` says what to get."""
    return find_minio(cache) or _build(need_go(), built(cache))


def need_go() -> str:
    """Return the path of Go, or raise `MissingTool`: without MinIO and Go there is no object store to start."""
    go = shutil.which("go")
    if go is None:
        raise MissingTool(
            "There is no MinIO and no Go to build it with.", remedy="put a `minio` or Go 1.24 or newer on PATH."
        )
    return go


def built(cache: Path) -> Path:
    """Return where a MinIO of the version above is built to."""
    return cache / "minio" / VERSION.rpartition("-")[2] / "minio"


def _build(go: str, target: Path) -> Path:
    """Build in a folder of its own, which is removed: sources and objects take 2 GB.

    Of two processes that want it at once one builds it; the other one waits.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "building").open("w") as lock, tempfile.TemporaryDirectory(dir=target.parent) as work:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        stamps = " ".join(f"-X {MODULE}/cmd.{name}={value}" for name, value in STAMPS.items())
        folders = {"GOPATH": f"{work}/path", "GOBIN": f"{work}/bin", "GOCACHE": f"{work}/cache"}
        environment = {**os.environ, **folders, "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
        # Debugging data that the linker leaves out need not be made: 220 CPU seconds instead of 260.
        flags = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {stamps}"]
        command = [go, "install", *flags, f"{MODULE}@{VERSION}"]
        run_tool(command, what="Building MinIO", env=environment)
        (Path(work) / "bin" / "minio").replace(target)
    return target


def minio_part(settings: Settings, place: Layout) -> Part:
    """Return MinIO as a part: S3 on one port, the console on another."""
    cache = settings.path(settings.cache)
    program = find_minio(cache) or built(cache)
    api, console = f"{HOST}:{settings.minio_port}", f"{HOST}:{settings.minio_console_port}"
    secrets = {
        "MINIO_ROOT_USER": settings.minio_root_user,
        "MINIO_ROOT_PASSWORD": settings.minio_root_password.get_secret_value(),
    }
    return Part(
        name="minio",
        address=f"http://{console} (console), http://{api} (S3)",
        command=(str(program), "server", str(place.data("minio")), "--address", api, "--console-address", console),
        answers=lambda: answers_ok(f"http://{api}/minio/health/ready"),
        environment={**inherited(), **secrets, "MINIO_SITE_REGION": settings.s3_region, "MINIO_UPDATE": "off"},
        ports={
            "LAKEHOUSE_MINIO_PORT": settings.minio_port,
            "LAKEHOUSE_MINIO_CONSOLE_PORT": settings.minio_console_port,
        },
        after=lambda: prepare_lake(settings, api),
    )


def prepare_lake(settings: Settings, endpoint: str) -> None:
    """Make the buckets that are not there, and the jobs' user with a policy for these buckets alone.

    `endpoint` is host:port of a MinIO that answers.
    """
    root, secret = settings.minio_root_user, settings.minio_root_password.get_secret_value()
    client = Minio(endpoint, access_key=root, secret_key=secret, secure=False, region=settings.s3_region)
    for bucket in LAYERS:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
    admin = MinioAdmin(endpoint=endpoint, credentials=StaticProvider(root, secret), secure=False)
    admin.policy_add(POLICY, policy=_policy())
    admin.user_add(settings.s3_access_key, settings.s3_secret_key.get_secret_value())
    admin.policy_set(POLICY, user=settings.s3_access_key)


def _policy() -> dict[str, object]:
    buckets = [f"arn:aws:s3:::{bucket}" for bucket in LAYERS]
    on_buckets = ("GetBucketLocation", "ListBucket", "ListBucketMultipartUploads")
    on_objects = ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": [f"s3:{name}" for name in on_buckets], "Resource": buckets},
            {
                "Effect": "Allow",
                "Action": [f"s3:{name}" for name in on_objects],
                "Resource": [f"{b}/*" for b in buckets],
            },
        ],
    }
