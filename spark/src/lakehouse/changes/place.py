"""Where a table's files lie: objects of its log and its Parquet files, in a local folder or a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError
from pyarrow import fs

from lakehouse.errors import StateError
from lakehouse.objects import Store, delete_object, list_names, store_at, store_errors
from lakehouse.settings import Settings


@dataclass(frozen=True)
class StoredFile:
    """One object of a table: its path from the table's folder, bytes, and the store's own time of it."""

    path: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Place:
    """One table's folder; every error of the store becomes StoreUnavailable with its remedy."""

    uri: str
    store: Store
    files: fs.FileSystem
    root: str

    def read_object(self, path: str) -> bytes | None:
        """Return a small object, or None where the store says that there is none."""
        try:
            with store_errors(f"{self.uri}/{path}", self.store.secrets):
                return bytes(obstore.get(self.store.backend, path).bytes())
        except FileNotFoundError:
            return None

    def create_object(self, path: str, content: bytes) -> bool:
        """Write an object where there is none; False, with nothing written, where another writer was first."""
        try:
            with store_errors(f"{self.uri}/{path}", self.store.secrets):
                obstore.put(self.store.backend, path, content, mode="create")
        except AlreadyExistsError:
            # A retry after a lost answer meets its own object.
            return self.read_object(path) == content
        return True

    def list_objects(self, folder: str, after: str = "") -> list[str]:
        """Return the names directly in a folder, those that come after one if it is given."""
        return list_names(self.store, folder, after)

    def list_tree(self) -> list[StoredFile]:
        """Return every object of the table, those of its log among them."""
        with store_errors(self.uri, self.store.secrets):
            found = [each for batch in obstore.list(self.store.backend) for each in batch]
        return [StoredFile(str(each["path"]), int(each["size"]), each["last_modified"]) for each in found]

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; one that is gone already is no error."""
        for path in paths:
            delete_object(self.store, path)

    @contextmanager
    def open_file(self, path: str) -> Iterator[pa.NativeFile]:
        """Open a data file for reading; raises StateError where it is gone, or is no such file any more."""
        where = f"{self.uri}/{path}"
        try:
            with store_errors(where, self.store.secrets), self.files.open_input_file(self._full(path)) as source:
                yield source
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise StateError(
                f"a file that the log names cannot be read: {str(error).splitlines()[0][:200]}.",
                where=where,
                remedy="restore it, or run with full_refresh for this table.",
            ) from error

    @contextmanager
    def create_file(self, path: str) -> Iterator[pa.NativeFile]:
        """Open a new data file, whose name no other writer uses."""
        with store_errors(f"{self.uri}/{path}", self.store.secrets):
            if isinstance(self.files, fs.LocalFileSystem):
                self.files.create_dir(self._full(path).rpartition("/")[0])
            with self.files.open_output_stream(self._full(path)) as sink:
                yield sink

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        with store_errors(f"{self.uri}/{path}", self.store.secrets):
            return int(self.files.get_file_info(self._full(path)).size)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"


def place_of(settings: Settings, uri: str) -> Place:
    """Return the place of a table by its address."""
    parts = urlsplit(uri)
    if parts.scheme in ("s3", "s3a"):
        return Place(uri, store_at(settings, uri), _bucket(settings), f"{parts.netloc}{parts.path}")
    store = store_at(settings, uri)
    return Place(uri, store, fs.LocalFileSystem(), parts.path if parts.scheme == "file" else uri)


def _bucket(settings: Settings) -> fs.S3FileSystem:
    endpoint = urlsplit(settings.s3_endpoint)
    return fs.S3FileSystem(
        access_key=settings.s3_access_key or None,
        secret_key=settings.s3_secret_key.get_secret_value() or None,
        region=settings.s3_region,
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        connect_timeout=3,
        request_timeout=30,
        # A small file is one PUT, which can be repeated; a multipart upload cannot be completed twice.
        allow_delayed_open=True,
        # Buckets are made by the start-up, never by a job.
        allow_bucket_creation=False,
    )
