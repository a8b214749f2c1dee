-- By value first: of a million customers, a few thousand values are put in order.
WITH counted AS (
    SELECT 'recency' AS measure, CAST(unix_date(CAST(last_purchase AS DATE)) AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(unix_date(CAST(last_purchase AS DATE)) AS BIGINT)
    UNION ALL
    SELECT 'frequency' AS measure, CAST(frequency AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(frequency AS BIGINT)
    UNION ALL
    SELECT 'monetary' AS measure, CAST(floor(monetary) AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(floor(monetary) AS BIGINT)
),
placed AS (
    SELECT
        measure,
        value,
        sum(customers) OVER (PARTITION BY measure ORDER BY value) AS up_to_here,
        sum(customers) OVER (PARTITION BY measure) AS everybody
    FROM counted
),
fifths AS (
    SELECT 2 AS fifth UNION ALL SELECT 3 AS fifth UNION ALL SELECT 4 AS fifth UNION ALL SELECT 5 AS fifth
)
SELECT measure, CAST(fifth AS TINYINT) AS fifth, min(value) AS above
FROM placed CROSS JOIN fifths
WHERE 5 * up_to_here >= (fifth - 1) * everybody
GROUP BY measure, fifth
