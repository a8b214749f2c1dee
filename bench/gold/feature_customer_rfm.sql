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
aged AS (
    SELECT spent.*, days_between(spent.last_purchase, newest.last_purchase) AS recency_days
    FROM spent
    CROSS JOIN (SELECT max(last_purchase) AS last_purchase FROM spent) AS newest
),
scored AS (
    SELECT
        *,
        CAST(ntile(5) OVER (ORDER BY recency_days DESC, customer_unique_id) AS INT) AS r_score,
        CAST(ntile(5) OVER (ORDER BY frequency, customer_unique_id) AS INT) AS f_score,
        CAST(ntile(5) OVER (ORDER BY monetary, customer_unique_id) AS INT) AS m_score
    FROM aged
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
