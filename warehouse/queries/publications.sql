-- The last 20 publications and, for each, how many tables changed against the one before it.
SELECT this.pipeline, this.number, this.published_at, this.run_id, this.rolled_back_to,
       count(*) AS tables,
       count(*) FILTER (WHERE previous.tables -> each.key IS DISTINCT FROM each.value) AS changed_tables
FROM audit.publications AS this
CROSS JOIN LATERAL jsonb_each(this.tables) AS each
LEFT JOIN audit.publications AS previous ON previous.pipeline = this.pipeline AND previous.number = this.number - 1
GROUP BY this.pipeline, this.number
ORDER BY this.published_at DESC
LIMIT 20;
