-- Months and tens of BRL, not days and cents: where a fifth begins elsewhere, every customer's scores are made anew, and
-- by days that is so after every day. A few hundred values are put in order, not a million customers.
WITH counted AS (
    SELECT 'recency' AS measure, CAST(12 * year(last_purchase) + month(last_purchase) AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(12 * year(last_purchase) + month(last_purchase) AS BIGINT)
    UNION ALL
    SELECT 'frequency' AS measure, CAST(frequency AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(frequency AS BIGINT)
    UNION ALL
    SELECT 'monetary' AS measure, CAST(floor(monetary / 10) AS BIGINT) AS value, count(*) AS customers
    FROM feature_customer_purchases
    GROUP BY CAST(floor(monetary / 10) AS BIGINT)
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
