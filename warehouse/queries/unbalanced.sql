-- Rows lost or counted twice; always empty, because the table refuses such a row. It is here to be checked by anybody.
SELECT run_id, attempt, layer, table_name, input_rows,
       inserted + updated + unchanged + stale + duplicate + quarantined + deleted AS accounted
FROM audit.run_logs
WHERE status IN ('SUCCESS', 'SKIPPED')
  AND input_rows <> inserted + updated + unchanged + stale + duplicate + quarantined + deleted;
