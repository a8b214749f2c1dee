"""What Airflow runs: DAGs made from the specs, and what their tasks do. Importing it starts no JVM."""
