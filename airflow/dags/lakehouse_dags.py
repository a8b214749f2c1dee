"""Airflow DAGs: `setup_source_db`, `medallion_pipeline`, `<pipeline>_pipeline` for further folders, `maintenance`."""

from lakehouse.dags.build import all_dags
from lakehouse.settings import load_settings

globals().update({dag.dag_id: dag for dag in all_dags(load_settings())})
