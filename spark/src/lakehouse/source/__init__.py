"""The source database: its schema, the load of its CSV files, a made sample, a simulated day, horizon and keys."""
