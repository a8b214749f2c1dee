"""What is read where the docs of Airflow's tasks lead to a contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lakehouse.errors import SpecError
from lakehouse.serving import contracts
from lakehouse.serving.app import make_app
from lakehouse.serving.visitor import Visitor
from lakehouse.settings import Settings

ROOT = Path(__file__).parents[2]
OLIST = ROOT / "spark" / "pipelines" / "olist"
SETTINGS = Settings(_env_file=None, home=ROOT)


def client_of(visitor: Visitor) -> TestClient:
    async def login(_: Any) -> Visitor:
        return visitor

    house = FastAPI()
    house.mount("/lakehouse", make_app(lambda: SETTINGS, login))
    return TestClient(house, base_url="http://house/lakehouse", follow_redirects=False)


@pytest.fixture
def client() -> TestClient:
    return client_of(Visitor.WELCOME)


def test_a_contract_is_read_behind_the_login(client):
    path = "contracts/olist/silver/orders"
    assert [client.get(path).status_code, client_of(Visitor.UNKNOWN).get(path).status_code] == [200, 401]


def test_a_contract_that_is_not_there_is_named(client):
    answer = client.get("contracts/olist/silver/nothing")
    assert (answer.status_code, "olist.silver.nothing" in answer.text) == (404, True)


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_a_contract_is_its_file_and_bronzes_is_silvers(client, layer):
    answer = client.get(f"contracts/olist/{layer}/orders")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == (OLIST / "silver" / "orders.odcs.yaml").read_text()


def test_gold_has_contracts_of_its_own(client):
    assert client.get("contracts/olist/gold/dim_date").text == (OLIST / "gold" / "dim_date.odcs.yaml").read_text()


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
    with pytest.raises(SpecError, match="no contract is named"):
        contracts.contract_text(SETTINGS, pipeline, layer, table)
