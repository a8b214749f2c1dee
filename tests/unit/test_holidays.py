"""Public holidays from an API that answers, lies, or is away: the calendar is never worse than before."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lakehouse.cli.holidays import fetch_command
from lakehouse.lake.seeds import read_csv, read_seed, seed_digest, store_seed
from lakehouse.settings import Settings
from lakehouse.source.holidays import fetch_holidays

OLIST = Path(__file__).parents[2] / "spark" / "pipelines" / "olist"


def holiday(
    day: str, name: str, *, everywhere: bool = True, kind: str = "Public", country: str = "BR"
) -> dict[str, object]:
    return {
        "date": day, "localName": name, "name": "in English", "countryCode": country, "fixed": False,
        "global": everywhere, "counties": None if everywhere else [f"{country}-SP"], "launchYear": None,
        "types": [kind],
    }  # fmt: skip


ANSWERS: dict[str, tuple[int, bytes]] = {
    "2016": (200, json.dumps([
        holiday("2016-12-25", "Natal"), holiday("2016-01-01", "Ano Novo"),
        holiday("2016-07-09", "Só em São Paulo", everywhere=False), holiday("2016-02-09", "Carnaval", kind="Bank"),
    ]).encode()),
    "2017": (200, b"<html>log in</html>"),
    "2018": (500, b"[]"),
    "2019": (200, b"[]"),
    "2020": (302, b""),
    "2021": (200, json.dumps([holiday("2020-01-01", "of another year")]).encode()),
    "2022": (200, b'[{"date": "2022-01-01"}]'),
    "2023": (200, b'{"error": "no"}'),
    "2024": (200, json.dumps([holiday("2024-07-14", "Fête nationale", country="FR")]).encode()),
    "2025": (200, json.dumps([holiday("2025-12-25", "Natal"), holiday("2025-12-25", "Natal", country="PT")]).encode()),
}  # fmt: skip


@pytest.fixture
def api() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = ANSWERS[self.path.strip("/").removesuffix("/BR")]
            self.send_response(status)
            self.send_header("Location", "/2016/BR")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{{year}}/BR"
    server.shutdown()
    server.server_close()


def test_only_public_holidays_of_the_whole_country_are_taken(api):
    found = fetch_holidays(api, [2016], "BR")
    assert found.rows == [{"date": "2016-01-01", "name": "Ano Novo"}, {"date": "2016-12-25", "name": "Natal"}]
    assert found.missing == {}


def test_what_is_no_list_of_the_years_holidays_counts_as_no_answer(api):
    found = fetch_holidays(api, range(2016, 2024), "BR")
    assert {row["date"][:4] for row in found.rows} == {"2016"}
    assert sorted(found.missing) == list(range(2017, 2024))


def test_holidays_of_another_country_count_as_no_answer(api):
    found = fetch_holidays(api, [2016, 2024, 2025], "BR")
    assert {row["date"][:4] for row in found.rows} == {"2016"}
    assert found.missing == {2024: "holidays of FR, not of BR", 2025: "holidays of PT, not of BR"}


def test_years_that_keep_the_last_good_copy_are_named(api, tmp_path, monkeypatch, capsys):
    shutil.copytree(OLIST, tmp_path / "pipelines" / "olist")
    file = tmp_path / "pipelines" / "olist" / "pipeline.yaml"
    text = file.read_text(encoding="utf-8").replace("https://date.nager.at/api/v3/PublicHolidays/{year}/BR", api)
    file.write_text(text.replace("first_year: 2016, last_year: 2020", "first_year: 2024, last_year: 2024"), "utf-8")
    settings = Settings(_env_file=None, pipelines=tmp_path / "pipelines", state=tmp_path / "run")
    monkeypatch.setattr("lakehouse.cli.holidays.load_settings", lambda: settings)
    warned: list[str] = []
    monkeypatch.setattr("lakehouse.cli.holidays.log.warning", lambda text, **facts: warned.append(text))
    fetch_command("olist", as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "changed": False, "fetched": [], "missing": {"2024": "holidays of FR, not of BR"},
        "stale": "the last good copy stays for 2024",
    }  # fmt: skip
    assert warned == ["the last good copy stays for 2024"]


def test_nobody_there_is_asked_once():
    found = fetch_holidays("http://127.0.0.1:1/{year}", range(2016, 2021), "BR")
    assert (found.rows, sorted(found.missing)) == ([], list(range(2016, 2021)))


@pytest.fixture
def pipeline(tmp_path: Path) -> tuple[Settings, Path]:
    folder = tmp_path / "pipelines" / "shop"
    (folder / "seeds").mkdir(parents=True)
    (folder / "seeds" / "days.csv").write_text("date,name\n2016-01-01,Confraternização\n", encoding="utf-8")
    return Settings(_env_file=None, state=tmp_path / "run"), folder


def test_what_was_fetched_stands_before_the_file_and_the_same_again_is_nothing_new(pipeline):
    settings, folder = pipeline
    checked_in = read_csv(folder, "days")
    first = seed_digest(settings, folder, "days")
    assert not store_seed(settings, folder, "days", checked_in)
    newer = [*checked_in, {"date": "2016-12-25", "name": "Natal"}]
    assert store_seed(settings, folder, "days", newer)
    assert not store_seed(settings, folder, "days", newer)
    assert read_seed(settings, folder, "days") == newer
    assert seed_digest(settings, folder, "days") != first
    assert store_seed(settings, folder, "days", checked_in)
    assert seed_digest(settings, folder, "days") == first
