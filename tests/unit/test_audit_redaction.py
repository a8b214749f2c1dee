"""No secret gets out: of text, of settings, of log lines."""

from __future__ import annotations

import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.audit import values
from lakehouse.audit.database import place
from lakehouse.log import configure, get_logger, redact, secrets_of
from lakehouse.settings import Settings


@pytest.fixture(autouse=True)
def _restore_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:pw@h:1/d", "postgresql://u:***@h:1/d"),
        ("at postgresql://:pw@h/d and redis://x:y@h", "at postgresql://:***@h/d and redis://x:***@h"),
        ("postgresql://u:p%40%3A@h/d", "postgresql://u:***@h/d"),
        ("jdbc:postgresql://h/d?user=u&password=pw&ssl=on", "jdbc:postgresql://h/d?user=u&password=***&ssl=on"),
        ("connect(host='h', password='a b')", "connect(host='h', password=***)"),
        ("fs.s3a.secret.key=abc/def+g", "fs.s3a.secret.key=***"),
        ('{"password": "a b", "x": 1}', '{"password": ***, "x": 1}'),
        ("https://discord.com/api/webhooks/1/tok-en?wait=true", "https://discord.com/api/webhooks/***?wait=true"),
        ("s3a://silver/olist/orders@v3", "s3a://silver/olist/orders@v3"),
        ('password authentication failed for user "x"', 'password authentication failed for user "x"'),
    ],
)
def test_what_looks_like_a_secret_goes_and_the_rest_stays(text, expected):
    assert redact(text) == expected


@given(
    secret=st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="*"), min_size=4),
    before=st.text(),
    after=st.text(),
)
def test_a_known_secret_never_survives(secret, before, after):
    assert secret not in redact(before + secret + after, [secret])


def test_a_secret_that_holds_another_goes_as_a_whole():
    assert redact("abc abcdef", ["abc", "abcdef"]) == "*** ***"


def test_secrets_of_settings_are_all_of_them_and_the_passwords_inside_urls():
    settings = Settings(
        _env_file=None,
        audit_url="postgresql://a:canary-1@h/d",
        connections={"source": "postgresql://a:canary-2%40@h/d"},
        s3_secret_key="canary-3",
    )
    found = secrets_of(settings)
    for secret in ("canary-1", "canary-2%40", "canary-3", "postgresql://a:canary-1@h/d"):
        assert secret in found
    assert "" not in found
    assert redact("canary-2@ canary-2%40", found) == "*** ***"


def test_every_secret_field_of_the_settings_is_known():
    names = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    plain = [name for name in names if name not in ("audit_url", "connections")]
    assert len(plain) >= 6
    shape = {"discord_webhook_url": "https://discord.com/api/webhooks/1/"}  # else it is refused
    settings = Settings(_env_file=None, **{name: f"{shape.get(name, '')}canary-{name}" for name in plain})
    assert {f"canary-{name}" for name in plain} <= set(secrets_of(settings))


def test_a_cut_never_uncovers_the_beginning_of_a_secret():
    for shift in range(30):
        text = values.text("x" * (values.LONGEST_TEXT - shift) + "canary-secret" + "y" * 50, ["canary-secret"])
        assert "cana" not in text
        assert len(text) <= values.LONGEST_TEXT


def test_a_place_has_neither_user_nor_password():
    assert place("postgresql://user:pw@db:5433/audit?sslmode=require") == "postgresql://db:5433/audit"


def test_a_record_is_one_readable_line_without_secrets(capsys):
    configure(["canary"])
    get_logger("lakehouse.x").info(
        "table done\nforged line", table="olist.silver.orders", rows=3, note="two\nlines", deep={"a": ["canary"]}
    )
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.rstrip().endswith(
        r'info    table done\nforged line table=olist.silver.orders rows=3 note="two\nlines" deep={"a": ["***"]}'
    )


def test_an_exceptions_trace_is_in_the_log_without_secrets(capsys):
    configure(["canary"])
    try:
        int("canary")
    except ValueError:
        get_logger("lakehouse.x").exception("failed")
    line = capsys.readouterr().err
    assert "Traceback" in line
    assert "'***'" in line
    assert line.count("\n") == 1


def test_libraries_log_through_the_same_door(capsys):
    configure(["canary"])
    logging.getLogger("some.library").warning("connecting with %s", "canary")
    logging.getLogger("some.library").info("chatter")
    assert capsys.readouterr().err.rstrip().endswith("warning connecting with ***")


def test_json_lines_for_machines(capsys):
    configure(["canary"], as_json=True)
    get_logger("lakehouse.x").info("done", rows=3, who="canary")
    record = json.loads(capsys.readouterr().err)
    assert (record["event"], record["rows"], record["who"], record["level"]) == ("done", 3, "***", "info")
