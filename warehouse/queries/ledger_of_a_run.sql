-- What became of every row of the newest run; put another run's id in place of the subquery.
SELECT layer, table_name, status,
       input_rows, inserted, updated, unchanged, stale, duplicate, quarantined, deleted,
       output_rows, version_written
FROM audit.run_logs
WHERE run_id = (SELECT run_id FROM audit.runs ORDER BY started_at DESC LIMIT 1)
ORDER BY started_at, table_name;
