"""Small change sets on the driver: reading a table's changes and rows by key, and committing rows, without a JVM job.

A Spark job for a few hundred rows costs seconds of planning and compiling; reading the Parquet files and writing the
log entry costs hundredths. What the SQL of contracts and tables means is still Spark's to say.
"""
