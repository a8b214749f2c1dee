"""Asks for the runs' pages as an API server with the FAB auth manager would be asked, and prints the answers."""

from __future__ import annotations

import json
import sys

from airflow.api_fastapi.app import create_app
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.db import upgradedb
from fastapi.testclient import TestClient

PASSWORD = "canary-password"
ROLES = {"viewer": "Viewer", "nobody": "Public", "leaver": "Viewer"}

upgradedb()
with get_application_builder() as builder:
    manager = builder.sm
    users = {
        name: manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), PASSWORD)
        for name, role in ROLES.items()
    }
    client = TestClient(create_app("core"), base_url="http://127.0.0.1:8080", follow_redirects=False)
    answers = {}

    def ask(name: str, cookie: str = "", **head: str) -> None:
        """Ask for a page that needs no database, with Airflow's session cookie or other headers."""
        client.cookies.clear()
        told = head | ({"Cookie": f"_token={cookie}"} if cookie else {})
        answer = client.get("/lakehouse/queries", headers=told)
        answers[name] = [answer.status_code, "SELECT" in answer.text, answer.headers.get("location", "")]

    def log_in(name: str) -> str:
        """Return a user's token."""
        return str(client.post("/auth/token", json={"username": name, "password": PASSWORD}).json()["access_token"])

    tokens = {name: log_in(name) for name in users}
    head, _, signature = tokens["viewer"].rpartition(".")
    ask("none")
    ask("none, a person", **{"Sec-Fetch-Dest": "document"})
    ask("no token", "a.b.c")
    ask("forged", f"{head}.{signature[::-1]}")
    ask("another's signature", f"{tokens['nobody'].rpartition('.')[0]}.{signature}")
    ask("viewer", tokens["viewer"])
    ask("viewer, bearer", Authorization=f"Bearer {tokens['viewer']}")
    ask("forged bearer beside a good cookie", tokens["viewer"], Authorization="Bearer a.b.c")
    ask("nobody", tokens["nobody"])
    users["leaver"].active = False  # before the first page: Airflow remembers a user for half a minute
    manager.update_user(users["leaver"])
    ask("locked out", tokens["leaver"])
print(json.dumps(answers))
sys.stdout.flush()
