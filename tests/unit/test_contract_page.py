"""What is read where the docs of Airflow's tasks lead to a contract."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lakehouse.errors import ParameterError
from lakehouse.serving import contracts
from lakehouse.settings import Settings

ROOT = Path(__file__).parents[2]
OLIST = ROOT / "spark" / "pipelines" / "olist"
SETTINGS = Settings(_env_file=None, home=ROOT)


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.state.reader = SimpleNamespace(settings=SETTINGS)
    app.include_router(contracts.router)
    return TestClient(app)


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_a_contract_is_its_file_and_bronzes_is_silvers(client, layer):
    answer = client.get(f"/contracts/olist/{layer}/orders")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == (OLIST / "silver" / "orders.odcs.yaml").read_text()


def test_gold_has_contracts_of_its_own(client):
    assert client.get("/contracts/olist/gold/dim_date").text == (OLIST / "gold" / "dim_date.odcs.yaml").read_text()


@pytest.mark.parametrize(
    ("pipeline", "layer", "table"),
    [
        ("olist", "silver", "nothing"),
        ("olist", "gold", "orders"),
        ("olist", "seeds", "holidays"),
        ("..", "silver", "orders"),
        ("olist", "silver", "../gold/dim_date"),
        ("olist", "silver", "orders\n"),
        ("", "silver", "orders"),
    ],
)
def test_there_is_no_way_to_any_other_file(pipeline, layer, table):
    with pytest.raises(ParameterError, match="no contract is named"):
        contracts.contract_text(SETTINGS, pipeline, layer, table)
