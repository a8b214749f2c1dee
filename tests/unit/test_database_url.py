"""A source's URL by the two drivers that read it: nothing that a person wrote into it is dropped."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from lakehouse.database_url import jdbc_parameters, jdbc_url
from lakehouse.engine import jdbc
from lakehouse.errors import SettingsError
from lakehouse.settings import load_settings
from lakehouse.source.connect import _unsaid


@pytest.mark.parametrize(
    ("url", "jdbc_url_of_it"),
    [
        ("postgresql://u:p@db/shop", "jdbc:postgresql://db:5432/shop"),
        ("postgresql://u:p@db:5433/shop?sslmode=require", "jdbc:postgresql://db:5433/shop"),
        ("postgresql://u:p@[::1]/shop", "jdbc:postgresql://[::1]:5432/shop"),
        ("postgresql://u:p@[fe80::a:1]:5433/shop", "jdbc:postgresql://[fe80::a:1]:5433/shop"),
    ],
)
def test_server_and_database_are_those_of_the_url(url, jdbc_url_of_it):
    assert jdbc_url(url) == jdbc_url_of_it


def test_parameters_travel_by_the_names_that_jdbc_has_for_them():
    url = (
        "postgresql://us%40er:p%2Fw@db/shop?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&sslcert=/c&sslkey=/k"
        "&connect_timeout=3&application_name=my%20shop"
    )
    assert jdbc_parameters(url) == {
        "user": "us@er", "password": "p/w", "sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "sslcert": "/c",
        "sslkey": "/k", "connectTimeout": "3", "ApplicationName": "my shop",
    }  # fmt: skip


class Reader:
    """A reader of Spark's that is told its options, and loads nothing."""

    def __init__(self):
        self.told = {}
        self.read = self

    def format(self, name):
        return self

    def option(self, name, value):
        self.told[name] = value
        return self

    def options(self, **told):
        self.told |= told
        return self

    def load(self):
        return self


def test_spark_is_told_all_that_the_url_says():
    url = "postgresql://u:p@[::1]/d?sslmode=verify-full"
    told = jdbc.read_rows(Reader(), url, "SELECT 1 WHERE TRUE", ["TRUE"], 10).told
    assert (told["url"], told["sslmode"]) == ("jdbc:postgresql://[::1]:5432/d", "verify-full")
    assert (told["connectTimeout"], told["ApplicationName"], told["options"]) == ("10", "lakehouse", "-c TimeZone=UTC")


def test_what_the_url_says_is_not_overridden_for_the_driver_that_copies():
    usual = {"connect_timeout": "10", "application_name": "lakehouse"}
    assert _unsaid("postgresql://u:p@db/shop?connect_timeout=3", **usual) == {"application_name": "lakehouse"}
    assert _unsaid("postgresql://u:p@db/shop", **usual) == usual


@pytest.mark.parametrize("parameter", ["options=-c%20search_path%3Dcanary", "krbsrvname=canary", "host=canary"])
def test_a_parameter_that_one_of_the_drivers_would_drop_is_refused_by_name(monkeypatch, tmp_path, parameter):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_CONNECTIONS__SOURCE", f"postgresql://u:p@db/shop?{parameter}")
    with pytest.raises(SettingsError, match=f"parameters {parameter.partition('=')[0]}.*allowed: .*sslmode") as caught:
        load_settings()
    assert "canary" not in str(caught.value)
    monkeypatch.setenv("LAKEHOUSE_CONNECTIONS__SOURCE", "postgresql://u:p@db/shop?sslmode=require")
    assert isinstance(load_settings().connections["source"], SecretStr)
