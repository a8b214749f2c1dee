"""`make init`: a `.env` with random secrets, made once and only ever added to."""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from lakehouse.errors import SettingsError
from lakehouse.settings import Settings
from lakehouse.settings_example import DATABASES, example, native_url, variable


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


# MinIO takes 3 to 20 characters for the name of a user and 8 to 40 for a secret.
RANDOM: Mapping[str, Callable[[], str]] = {
    "s3_access_key": lambda: f"jobs-{secrets.token_hex(6)}",
    "s3_secret_key": _password,
    "minio_root_password": _password,
    "postgres_password": _password,
    "airflow_password": _password,
    "airflow_secret": lambda: secrets.token_urlsafe(64),
    "airflow_jwt_secret": lambda: secrets.token_urlsafe(64),
    "airflow_fernet_key": _fernet_key,
    "spark_secret": lambda: secrets.token_urlsafe(48),
}


def init(path: Path) -> list[str]:
    """Fill in what `.env` lacks and return the variables written; a value that is there is never changed.

    The file is readable by its owner only.
    """
    text = path.read_text() if path.exists() else example()
    present = (
        {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
        if path.exists()
        else {}
    )
    wanted = _values(present)
    written = [name for name in wanted if name not in present]
    for name in written:
        text = _set(text, name, wanted[name])
    _write_private(path, text)
    return written


def need_secrets(settings: Settings, *names: str) -> None:
    """Raise `SettingsError` that names what is not set, of the given settings or else of all that `init` makes."""
    values = {name: getattr(settings, name) for name in names or RANDOM}
    missing = [f"LAKEHOUSE_{name.upper()}" for name, value in values.items() if not _revealed(value)]
    if missing:
        raise SettingsError(f"Not set: {', '.join(missing)}.", remedy="`make init` writes random ones into .env.")


def _revealed(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _values(present: Mapping[str, str]) -> dict[str, str]:
    values = {variable(field): present.get(variable(field)) or make() for field, make in RANDOM.items()}
    return values | {variable(field): native_url(database) for field, database in DATABASES.items()}


def _set(text: str, name: str, value: str) -> str:
    line = re.compile(rf"^(# )?{name}=.*$", re.MULTILINE)
    if line.search(text):
        return line.sub(lambda _: f"{name}={value}", text, count=1)
    return f"{text.rstrip()}\n{name}={value}\n"


def _write_private(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def main() -> None:
    """Fill in `.env` of the current folder and say in one line what was done."""
    written = init(Path(".env"))
    if written:
        sys.stdout.write(f"Wrote {len(written)} random secrets and addresses into .env.\n")


if __name__ == "__main__":
    main()
