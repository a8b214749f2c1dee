WITH spent AS (
    SELECT
        customer_unique_id,
        max(order_purchase_timestamp) AS last_purchase,
        CAST(count(*) AS INT) AS frequency,
        CAST(sum(price_total + freight_total) AS DECIMAL(12, 2)) AS monetary
    FROM fact_orders
    WHERE order_status NOT IN ('canceled', 'unavailable') AND customer_unique_id IS NOT NULL
    GROUP BY customer_unique_id
),
scored AS (
    SELECT
        *,
        CAST(floor(5 * (rank() OVER (ORDER BY date_trunc('month', last_purchase)) - 1) / count(*) OVER ()) + 1 AS INT) AS r_score,
        CAST(floor(5 * (rank() OVER (ORDER BY frequency) - 1) / count(*) OVER ()) + 1 AS INT) AS f_score,
        CAST(floor(5 * (rank() OVER (ORDER BY floor(monetary / 10)) - 1) / count(*) OVER ()) + 1 AS INT) AS m_score
    FROM spent
)
SELECT
    *,
    CASE
        WHEN r_score >= 4 AND f_score >= 4 THEN 'champion'
        WHEN f_score >= 4 THEN 'loyal'
        WHEN r_score >= 4 THEN 'recent'
        WHEN r_score <= 2 AND m_score >= 4 THEN 'at risk'
        WHEN r_score <= 2 THEN 'lost'
        ELSE 'regular'
    END AS segment
FROM scored
