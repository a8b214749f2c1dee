"""`make init`: a `.env` with random secrets, made once and only ever added to.

It needs nothing but Python's own library: who starts the containers installs nothing else.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import SettingsError

if TYPE_CHECKING:
    from lakehouse.settings import Settings

# Written from the settings class, and held equal to it by a test.
EXAMPLE = Path(__file__).parents[4] / ".env.example"
# Their values are those of the example: by reference to other settings.
URLS = ("LAKEHOUSE_AUDIT_URL", "LAKEHOUSE_CONNECTIONS__SOURCE")
_LINE = re.compile(r"^(?P<comment># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$", re.MULTILINE)


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
    text = path.read_text() if path.exists() else EXAMPLE.read_text()
    present = {name: value for name, value in _assigned(text, commented=False).items() if value.strip()}
    wanted = _values(present)
    written = [name for name in wanted if name not in present]
    for name in written:
        text = _set(text, name, wanted[name])
    _write_private(path, text)
    return written


def need_secrets(settings: Settings, *names: str) -> None:
    """Raise `SettingsError` that names what is not set, of the given settings or else of all that `init` makes."""
    values = {name: getattr(settings, name) for name in names or RANDOM}
    missing = [_variable(name) for name, value in values.items() if not _revealed(value)]
    if missing:
        raise SettingsError(f"Not set: {', '.join(missing)}.", remedy="`make init` writes random ones into .env.")


def _revealed(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value)


def _variable(field: str) -> str:
    return f"LAKEHOUSE_{field.upper()}"


def _assigned(text: str, *, commented: bool) -> dict[str, str]:
    return {each["name"]: each["value"] for each in _LINE.finditer(text) if bool(each["comment"]) == commented}


def _values(present: Mapping[str, str]) -> dict[str, str]:
    values = {_variable(field): present.get(_variable(field)) or make() for field, make in RANDOM.items()}
    defaults = _assigned(EXAMPLE.read_text(), commented=True)
    return values | {name: defaults[name] for name in URLS}


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
