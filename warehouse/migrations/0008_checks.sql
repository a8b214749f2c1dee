-- Checks of whole tables stand beside the rules of rows.

ALTER TABLE audit.quality_results ADD COLUMN value double precision;
COMMENT ON COLUMN audit.quality_results.value IS
    'what a check of the whole table found, which passed or failed once; NULL for a rule, which counts rows';
