"""The runs' pages behind Airflow's login where that is FAB's; where it is the native stack's, tests/stack asks."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
LOGIN = "/api/v2/auth/login?next=%2Flakehouse%2Fqueries"


@pytest.mark.slow
def test_only_a_valid_session_that_may_read_runs_sees_a_page(dag_environment, run_script, tmp_path):
    environment = dag_environment(tmp_path) | {
        "AIRFLOW__CORE__AUTH_MANAGER": FAB,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "airflow" / "plugins"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
        "AIRFLOW__API__SECRET_KEY": "y" * 64,
    }
    assert run_script("login.py", environment, tmp_path) == {
        "none": [401, False, ""],
        "none, a person": [303, False, LOGIN],
        "no token": [401, False, ""],
        "forged": [401, False, ""],
        "another's signature": [401, False, ""],
        "viewer": [200, True, ""],
        "viewer, bearer": [200, True, ""],
        "forged bearer beside a good cookie": [401, False, ""],
        "nobody": [403, False, ""],
        "locked out": [401, False, ""],
    }
