"""Reads the DAGs as Airflow does and prints what they are; `sys.modules` is looked at before anything else is done."""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag()
imported = sorted({name.partition(".")[0] for name in sys.modules})
dags = {}
for name, dag in bag.dags.items():
    dags[name] = {
        "serialized": json.loads(json.dumps(DagSerialization.to_dict(dag), default=str)),
        "tasks": {
            task.task_id: {
                "downstream": sorted(task.downstream_task_ids),
                "pool": task.pool,
                "retries": task.retries,
                "delay": task.retry_delay.total_seconds(),
                "backoff": task.retry_exponential_backoff,
                "timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
                "kind": type(task).__name__,
                "application": getattr(task, "application", None),
                "conf": getattr(task, "conf", None),
                "doc": task.doc_md,
                "owner": task.owner,
                "outlets": [outlet.name for outlet in task.outlets],
                "gives_up": bool(task.on_failure_callback),
                "links": [type(link).__name__ for link in task.operator_extra_links],
            }
            for task in dag.tasks
        },
        "max_active_runs": dag.max_active_runs,
        "timeout": dag.dagrun_timeout and dag.dagrun_timeout.total_seconds(),
        "schedule": str(getattr(dag.schedule, "expression", dag.schedule)),
        "start_date": dag.start_date and str(dag.start_date),
        "paused": dag.is_paused_upon_creation,
        "params": {name: {**dag.params.get_param(name).schema, "default": dag.params[name]} for name in dag.params},
        "doc": dag.doc_md,
        "tags": sorted(dag.tags),
    }
print(json.dumps({"errors": bag.import_errors, "imported": imported, "dags": dags}))
