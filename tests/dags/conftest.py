"""DAGs are looked at in interpreters of their own: importing Airflow changes the logging of the one that does it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OLIST = ROOT / "spark" / "pipelines" / "olist"
CONTRACT = "silver/product_category_name_translation.odcs.yaml"
# What pip and the shell need; nothing of a person's own settings.
KEPT = ("PATH", "HOME", "LANG", "JAVA_HOME")


@pytest.fixture(scope="session")
def dag_environment() -> Callable[..., dict[str, str]]:
    """Give the environment of an interpreter that reads DAGs; `settings` become LAKEHOUSE_* variables."""

    def environment(folder: Path, **settings: object) -> dict[str, str]:
        told = {"HOME": ROOT, "STATE": folder / "run", "RAW": folder / "raw"} | settings
        return {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            **{f"LAKEHOUSE_{name}": str(value) for name, value in told.items()},
            "PYTHONSAFEPATH": "1",
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "local[2]"}',
        }

    return environment


@pytest.fixture(scope="session")
def new_pipeline() -> Callable[..., Path]:
    """Make a pipeline folder of one Silver table under a root; `more` goes into its pipeline.yaml."""

    def make(root: Path, name: str, **more: str) -> Path:
        folder = root / name
        (folder / "silver").mkdir(parents=True)
        contract = (
            (OLIST / CONTRACT)
            .read_text()
            .replace("id: olist.", f"id: {name}.")
            .replace("domain: olist", f"domain: {name}")
        )
        (folder / CONTRACT).write_text(contract)
        lines = {"name": name, "description": f"The {name}.", "owner": "someone", **more}
        (folder / "pipeline.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return folder

    return make


@pytest.fixture(scope="session")
def run_script() -> Callable[..., Any]:
    """Run a script of this folder in a fresh interpreter and return the JSON that it prints last."""

    def run(script: str, environment: dict[str, str], cwd: Path, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / script), *words],
            env=environment, cwd=cwd, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def olist_and_others(tmp_path_factory, new_pipeline) -> Path:
    """A folder of pipelines: olist as it is, three sound ones, four broken ones."""
    root = tmp_path_factory.mktemp("pipelines")
    shutil.copytree(OLIST, root / "olist")
    for name in ("shop", "medallion", "aaa"):
        new_pipeline(root, name)
    contract = new_pipeline(root, "broken_table") / CONTRACT
    contract.write_text(contract.read_text().replace("latest_by: [updated_at]", "latest_by: [update_at]"))
    (new_pipeline(root, "broken_yaml") / "pipeline.yaml").write_text("name: [broken_yaml\n")
    (new_pipeline(root, "no_yaml") / "pipeline.yaml").unlink()
    new_pipeline(root, "broken_schedule", schedule="'every now and then'")
    (root / ".hidden").mkdir()
    return root
