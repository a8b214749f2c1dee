-- The least value that at least so many fifths of the customers do not pass.
WITH every AS (
    FROM gold.feature_customer_purchases
    SELECT 'recency' AS measure, date_diff('month', DATE '0001-01-01', CAST(last_purchase AS DATE)) + 13 AS value
    UNION ALL
    FROM gold.feature_customer_purchases SELECT 'frequency', frequency
    UNION ALL
    FROM gold.feature_customer_purchases SELECT 'monetary', CAST(floor(monetary / 10) AS BIGINT)
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY measure ORDER BY value) AS place, count(*) OVER (PARTITION BY measure) AS everybody
    FROM every
)
SELECT measure, fifth, value AS above
FROM numbered JOIN range(2, 6) AS fifths (fifth) ON place = ((fifth - 1) * everybody + 4) // 5
