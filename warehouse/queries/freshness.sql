-- When each table was last brought up to date, and up to which instant of the source; the stalest first.
SELECT layer, table_name,
       max(ended_at) AS last_checked,
       max(ended_at) FILTER (WHERE status = 'SUCCESS') AS last_changed,
       max(window_to) AS source_read_up_to,
       date_trunc('second', now() - max(ended_at)) AS age
FROM audit.run_logs
WHERE status IN ('SUCCESS', 'SKIPPED')
GROUP BY layer, table_name
ORDER BY age DESC;
