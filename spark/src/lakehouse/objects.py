"""Small JSON objects in a layer of the lake, each created once: in a local folder or a bucket by the same calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from lakehouse.errors import SettingsError, StateError, StoreUnavailable
from lakehouse.log import redact, secrets_of
from lakehouse.settings import Settings

if TYPE_CHECKING:  # these names exist for type checkers only
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

# A request may take 10 s and be tried again four times, all within 20 s.
_CLIENT: ClientConfig = {"connect_timeout": "3s", "timeout": "10s"}
_RETRY: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}
_REMEDIES = {
    ("NoSuchBucket",): "make the bucket (`make up` does), or correct LAKEHOUSE_LAKE.",
    ("403 Forbidden", "401 Unauthorized", "InvalidAccessKeyId"): (
        "correct LAKEHOUSE_S3_ACCESS_KEY and LAKEHOUSE_S3_SECRET_KEY, or what that user may do."
    ),
    ("No space left", "StorageFull", "os error 28"): "free space on the store; the earlier state is unharmed.",
    ("Permission denied", "os error 13"): "let this user read and write the folder.",
}


@dataclass(frozen=True)
class Store:
    """A layer of the lake: its URI, for messages, and the object store behind it."""

    uri: str
    backend: ObjectStore
    secrets: tuple[str, ...] = ()


def store(settings: Settings, layer: str) -> Store:
    """Return the store of a layer: a bucket for `s3a://` and `s3://`, else a folder, which is made when missing."""
    return store_at(settings, settings.table_uri(layer))


def store_at(settings: Settings, uri: str) -> Store:
    """Return the store of a folder in the lake by its address; made when missing, as a layer's is."""
    scheme, _, rest = uri.rpartition("://")
    secrets = secrets_of(settings)
    if scheme in ("s3a", "s3"):
        return Store(uri, _bucket(settings, *rest.partition("/")[::2]), secrets)
    if scheme not in ("", "file"):
        raise SettingsError(
            f'LAKEHOUSE_LAKE has the scheme "{scheme}".',
            allowed="s3a://{layer}, s3a://bucket/{layer}, file:///folder/{layer} or /folder/{layer}",
            remedy="correct it in .env.",
        )
    with store_errors(uri, secrets):
        return Store(uri, LocalStore(Path(rest).absolute(), mkdir=True), secrets)


def read_json(store: Store, path: str) -> dict[str, Any] | None:
    """Return the object at `path`, None when the store says that there is none.

    Raises StateError when it is not a JSON object, StoreUnavailable when the store or the bucket does not answer.
    """
    where = f"{store.uri}/{path}"
    try:
        with store_errors(where, store.secrets):
            content = bytes(obstore.get(store.backend, path).bytes())
    except FileNotFoundError:
        return None
    record = _decoded(content)
    if not isinstance(record, dict):
        raise StateError(
            f"{len(content)} bytes that are no JSON object.",
            where=where,
            remedy="put the object back from a backup; nothing is started over without it.",
        )
    return record


def create_json(store: Store, path: str, record: dict[str, Any]) -> bool:
    """Write an object where there is none and return True; return False, changing nothing, when there is one.

    One of several writers gets True. A False can be this very call's own write whose answer was lost on the way: a
    caller to whom that matters reads what stands there.
    """
    content = json.dumps(record, indent=1, sort_keys=True).encode()
    try:
        with store_errors(f"{store.uri}/{path}", store.secrets):
            obstore.put(store.backend, path, content, mode="create")
    except AlreadyExistsError:
        return False
    return True


def delete_object(store: Store, path: str) -> None:
    """Delete an object; one that is gone already is no error."""
    try:
        with store_errors(f"{store.uri}/{path}", store.secrets):
            obstore.delete(store.backend, path)
    except FileNotFoundError:
        return


def list_names(store: Store, folder: str, after: str = "") -> list[str]:
    """Return the names of the objects directly in a folder, sorted; an empty list when there are none.

    `after` leaves out the names up to it, itself included: a store is not asked for them.
    """
    with store_errors(f"{store.uri}/{folder}", store.secrets):
        if after:
            found = [
                each for batch in obstore.list(store.backend, folder, offset=f"{folder}/{after}") for each in batch
            ]
        else:
            found = list(obstore.list_with_delimiter(store.backend, folder)["objects"])
    places = (str(each["path"]).rpartition("/") for each in found)
    names = sorted(name for place, _, name in places if place == folder)
    if not names and not after:
        _refuse_what_is_no_store(store, f"{folder}/nothing")
    return names


def _refuse_what_is_no_store(store: Store, path: str) -> None:
    """Raise StoreUnavailable unless the store says in its own words that it has nothing at `path`.

    Any page that answers 200 (a login, a proxy) reads as an empty list.
    """
    try:
        with store_errors(store.uri, store.secrets):
            obstore.get(store.backend, path)
    except FileNotFoundError:
        return
    raise StoreUnavailable(
        "what answers there is no object store.",
        where=store.uri,
        remedy="let LAKEHOUSE_S3_ENDPOINT name the store itself; then run again.",
    )


def _bucket(settings: Settings, bucket: str, prefix: str) -> S3Store:
    config: S3Config = {"region": settings.s3_region}
    if settings.s3_access_key:
        config["access_key_id"] = settings.s3_access_key
        config["secret_access_key"] = settings.s3_secret_key.get_secret_value()
    if settings.s3_endpoint:
        config["endpoint"] = settings.s3_endpoint
    client: ClientConfig = {**_CLIENT, "allow_http": urlsplit(settings.s3_endpoint).scheme == "http"}
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=_RETRY)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


@contextmanager
def store_errors(where: str, secrets: tuple[str, ...]) -> Iterator[None]:
    """Turn the store's errors into StoreUnavailable; let through that an object is there already, or is not there."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and _is_missing_object(str(error)):
            raise
        said = redact(str(error).partition("\n\nDebug source")[0], secrets)
        raise StoreUnavailable(_what(said), where=where, remedy=_remedy(said)) from None


def _is_missing_object(said: str) -> bool:
    """Tell a missing object from a missing bucket and from the 404 of something that is no object store."""
    return "<Code>NoSuchKey</Code>" in said or "status code: 404" not in said


def _what(said: str) -> str:
    """Return the store's own code and message, else the beginning of what was said."""
    code, message = (re.search(f"<{tag}>(.*?)</{tag}>", said, re.DOTALL) for tag in ("Code", "Message"))
    if code and message:
        return f"{code.group(1)}: {message.group(1).rstrip('.')}."
    return f"{' '.join(said.split())[:300].rstrip('.')}."


def _remedy(said: str) -> str:
    for signs, remedy in _REMEDIES.items():
        if any(sign in said for sign in signs):
            return remedy
    return "see that the store runs and that LAKEHOUSE_LAKE and LAKEHOUSE_S3_ENDPOINT name it; then run again."
