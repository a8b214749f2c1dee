"""Airflow DAG: fill the source database from the CSV files in raw/."""

from lakehouse.dags.build import source_dag

dag = source_dag()
