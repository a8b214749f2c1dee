"""Runs a DAG by Airflow's own test run once a case and prints what became of each: one start of Airflow for all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

from lakehouse.dags import in_process

cases = json.loads(Path(sys.argv[1]).read_text())
initdb()
told = {}
for name, case in cases.items():
    Path(os.environ["CASE"]).write_text(json.dumps(case.get("jobs", {})))
    calls = Path(os.environ["CALLS"])
    calls.unlink(missing_ok=True)
    dag = DagBag().dags[case["dag"]]
    told[name] = in_process.run(dag, case.get("asked"))
    called = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    told[name]["calls"] = [call for call in called if not call["job"].startswith("lakehouse ")]
    told[name]["verbs"] = [call["words"] for call in called if call["job"].startswith("lakehouse ")]
print(json.dumps(told))
