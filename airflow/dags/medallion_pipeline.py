"""Airflow DAGs: `medallion_pipeline` for pipeline olist, `<pipeline>_pipeline` for every further folder of specs."""

from lakehouse.dags.build import pipeline_dags
from lakehouse.settings import load_settings

globals().update({dag.dag_id: dag for dag in pipeline_dags(load_settings())})
