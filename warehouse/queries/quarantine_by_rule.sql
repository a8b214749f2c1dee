-- Which rules rejected rows in the last seven days, worst first.
SELECT results.table_name, results.rule, results.column_name, results.severity,
       sum(results.failed) AS failed,
       round(100.0 * sum(results.failed) / nullif(sum(results.passed + results.failed), 0), 2) AS percent,
       max(logs.ended_at) AS last_seen
FROM audit.quality_results AS results
JOIN audit.run_logs AS logs USING (run_id, attempt, layer, table_name)
WHERE results.failed > 0 AND results.value IS NULL AND logs.started_at > now() - interval '7 days'
GROUP BY results.table_name, results.rule, results.column_name, results.severity
ORDER BY failed DESC;
