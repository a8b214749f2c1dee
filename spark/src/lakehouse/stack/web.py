"""Requests to the parts, over loopback only and past no proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests


def ask(method: str, url: str, *, json: Mapping[str, Any] | None = None, token: str = "") -> requests.Response:
    """Send one request and return the answer, whatever its status; `requests.RequestException` when there is none."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return session.request(method, url, json=json, headers=headers, timeout=10)


def answers_ok(url: str) -> bool:
    """Tell whether a GET is answered with a 2xx now."""
    try:
        return ask("GET", url).ok
    except requests.RequestException:
        return False
