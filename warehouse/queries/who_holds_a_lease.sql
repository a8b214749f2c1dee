-- Which runs hold which pipelines and tables at this moment.
SELECT name, run_id, attempt, host, pid, acquired_at, date_trunc('second', now() - acquired_at) AS held_for, fence
FROM audit.leases_held
ORDER BY acquired_at, name;
