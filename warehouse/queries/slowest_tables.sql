-- Where the time went in the last seven days, and which phase of a table took most of it.
SELECT logs.layer, logs.table_name,
       count(DISTINCT (logs.run_id, logs.attempt)) AS runs,
       round(sum(phase.seconds), 1) AS seconds,
       round(sum(phase.seconds) / count(DISTINCT (logs.run_id, logs.attempt)), 1) AS seconds_a_run,
       (array_agg(phase.name ORDER BY phase.seconds DESC))[1] AS longest_phase
FROM audit.run_logs AS logs
CROSS JOIN LATERAL (SELECT key AS name, value::numeric AS seconds FROM jsonb_each_text(logs.phases)) AS phase
WHERE logs.status = 'SUCCESS' AND logs.started_at > now() - interval '7 days'
GROUP BY logs.layer, logs.table_name
ORDER BY seconds DESC
LIMIT 20;
