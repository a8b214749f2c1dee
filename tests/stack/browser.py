"""A real browser, where the machine has one: Chromium, driven by playwright-core in Node (see look.js)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import Settings

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHT = os.environ.get("LAKEHOUSE_PLAYWRIGHT") or "~/.cache/lakehouse/playwright"


def need_browser() -> dict[str, str]:
    """What a job must be told of the machine; the test is skipped where something is missing."""
    chromium = os.environ.get("LAKEHOUSE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium on PATH or in LAKEHOUSE_CHROMIUM")
    playwright = Path(PLAYWRIGHT).expanduser() / "node_modules" / "playwright-core"
    if shutil.which("node") is None or not playwright.exists():
        pytest.skip(f"no node on PATH, or no playwright-core in {playwright.parent}: `make browser` installs it")
    return {"chromium": chromium, "playwright": str(playwright)}


def look(settings: Settings, run: str, at_work: str, pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Log in, follow the links, look at the pages at two widths in light and dark, and return what was seen.

    Pictures are kept where LAKEHOUSE_PICTURES names a folder.
    """
    job = need_browser() | {
        "base": f"http://127.0.0.1:{settings.airflow_port}",
        "user": settings.airflow_user,
        "password": settings.airflow_password.get_secret_value(),
        "run": run,
        "atWork": at_work,
        "pages": pages,
        "out": os.environ.get("LAKEHOUSE_PICTURES", ""),
    }
    done = subprocess.run(
        ["node", str(HERE / "look.js")], input=json.dumps(job), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
