"""Reading specs is light: a DAG file and the command line do it at every start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OLIST = Path(__file__).parents[2] / "spark" / "pipelines" / "olist"
PROBE = """
import json, sys, time
begun = time.process_time()
from lakehouse.specs import load_catalog
imported = time.process_time() - begun
from pathlib import Path
tables = len(load_catalog(Path(sys.argv[1])).tables)
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"imported": imported, "tables": tables, "modules": modules}))
"""


def test_loading_specs_imports_nothing_heavy_and_takes_less_than_a_second() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, str(OLIST)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    heavy = {"pyspark", "py4j", "pandas", "numpy", "pyarrow", "deltalake", "duckdb", "airflow", "psycopg2", "boto3"}
    assert heavy & set(found["modules"]) == set()
    assert found["tables"] == 23
    # CPU time of one process: other work on the machine does not count.
    assert found["imported"] < 1
