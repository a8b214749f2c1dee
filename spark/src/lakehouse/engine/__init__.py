"""Everything that runs on Spark; no other package imports pyspark."""
