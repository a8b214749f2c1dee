"""`python -m lakehouse.dags.in_process REPORT DAG…` runs DAGs one after another by Airflow's own `dag.test()`.

No scheduler and no API server are needed; Airflow's database is made where it is not there yet. REPORT gets one line of
JSON a DAG: its id, its state, what its tasks returned and what they failed with. Ends with 1 at the first failed DAG.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.utils.db import initdb

from lakehouse.errors import StateError


def main() -> None:
    """Run the DAGs that the command line names."""
    report, names = Path(sys.argv[1]), sys.argv[2:]
    initdb()
    bag = DagBag(collect_dags=True)
    for name in names:
        told = run(find(bag, name))
        with report.open("a", encoding="utf-8") as out:
            out.write(json.dumps(told) + "\n")
        if told["state"] != "success":
            sys.exit(1)


def find(bag: DagBag, name: str) -> DAG:
    """Return a DAG; raises StateError with what its file's import said when there is none."""
    if name not in bag.dags:
        raise StateError(f"there is no DAG {name}: {'; '.join(bag.import_errors.values()) or 'no file defines it'}")
    dag: DAG = bag.dags[name]
    return dag


def run(dag: DAG, asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run one DAG to its end as its form is filled in; return what its tasks returned, or failed with, by task."""
    returned: dict[str, Any] = {}
    failed: dict[str, str] = {}
    skipped: list[str] = []

    def on_success(context: Any) -> None:
        ti = context["task_instance"]
        returned[ti.task_id] = ti.xcom_pull(task_ids=ti.task_id)

    def on_failure(context: Any) -> None:
        failed[context["task_instance"].task_id] = str(context.get("exception"))

    def on_skip(context: Any) -> None:
        skipped.append(context["task_instance"].task_id)

    for task in dag.tasks:
        task.on_skipped_callback = [*as_list(task.on_skipped_callback), on_skip]
        task.on_success_callback = [*as_list(task.on_success_callback), on_success]
        task.on_failure_callback = [*as_list(task.on_failure_callback), on_failure]
    run = dag.test(run_conf=asked)
    return {"dag": dag.dag_id, "state": str(run.state), "returned": returned, "failed": failed, "skipped": skipped}


def as_list(callbacks: Any) -> list[Any]:
    """Return callbacks as the list that they may already be."""
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks] if callbacks else []


if __name__ == "__main__":
    main()
