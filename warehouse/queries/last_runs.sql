-- The last 20 attempts of runs: how they ended, how long they took, how many rows they handled.
SELECT runs.run_id, runs.attempt, runs.pipeline, runs.trigger, runs.status,
       runs.started_at,
       date_trunc('second', coalesce(runs.ended_at, now()) - runs.started_at) AS took,
       count(logs.table_name) AS tables,
       sum(logs.input_rows) AS rows_in,
       sum(logs.output_rows) AS rows_out,
       sum(logs.quarantined) AS quarantined,
       left(runs.error, 120) AS error
FROM audit.runs
LEFT JOIN audit.run_logs AS logs USING (run_id, attempt)
GROUP BY runs.run_id, runs.attempt
ORDER BY runs.started_at DESC
LIMIT 20;
